"""Plain PyTorch, as the study wrote it: torchvision's MNIST, ToTensor, a DataLoader, a loop.

The clock runs from the first batch of the first epoch to the last step of the last. With
``BENCH_PEERS_AUTOCAST=1`` models run in bfloat16 under autocast, channels last, as PyTorch's own
guides have it.
"""

from __future__ import annotations

import os
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from bench.peers.task import (
    AUTOCAST,
    BATCH_SIZE,
    LEARNING_RATE,
    MODELS,
    Task,
    answer,
    read_arguments,
)


def mlp(latent: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, latent), nn.Sigmoid()),
        nn.Sequential(nn.Linear(latent, 28 * 28), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28))),
    )


def conv(latent: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, latent, 3), nn.ReLU()),
        nn.Sequential(nn.ConvTranspose2d(latent, 1, 3), nn.Sigmoid()),
    )


def deep_conv(latent: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 128, 3), nn.ReLU(), nn.Conv2d(128, latent, 3), nn.ReLU()),
        nn.Sequential(
            nn.ConvTranspose2d(latent, 128, 3), nn.Sigmoid(),
            nn.ConvTranspose2d(128, 1, 3), nn.Sigmoid(),
        ),
    )  # fmt: skip


def conv_bottleneck(latent: int) -> nn.Sequential:
    # The code's layer is drawn last, so that all weights are those of aebench.
    down = [nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Flatten()]
    up = [
        nn.Linear(latent, 32 * 14 * 14), nn.ReLU(), nn.Unflatten(1, (32, 14, 14)),
        nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Sigmoid(),
    ]  # fmt: skip
    code = nn.Linear(32 * 14 * 14, latent)
    return nn.Sequential(nn.Sequential(*down, code), nn.Sequential(*up))


BUILD = {
    ("mlp", 1): mlp,
    ("conv", 1): conv,
    ("conv", 2): deep_conv,
    ("conv-bottleneck", 1): conv_bottleneck,
}


def build(name: str, seed: int) -> nn.Sequential:
    """The model with the weights that ``torch.manual_seed(seed)`` and the constructor give."""
    family, latent, depth = MODELS[name]
    torch.manual_seed(seed)
    return BUILD[family, depth](latent)


def images(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Training split in its order, and test set: uint8 [N, 28, 28], for who holds them whole."""
    train = datasets.MNIST(task.folder, train=True).data.numpy()
    test = datasets.MNIST(task.folder, train=False).data.numpy()
    return train[np.load(task.split)], test


def loaders(task: Task) -> tuple[DataLoader, DataLoader]:
    """Training split in its order, and test set, in full batches."""
    to_tensor = transforms.ToTensor()
    train = datasets.MNIST(task.folder, train=True, transform=to_tensor)
    test = datasets.MNIST(task.folder, train=False, transform=to_tensor)
    train = Subset(train, np.load(task.split).tolist())
    return (
        DataLoader(train, batch_size=BATCH_SIZE, drop_last=True),
        DataLoader(test, batch_size=BATCH_SIZE, drop_last=True),
    )


def study_error(model: nn.Module, loader: DataLoader, device: torch.device) -> float:
    """Sum over the batches of the batch's mean squared error."""
    model.to(device).eval()
    with torch.no_grad():
        batches = (image.to(device) for image, _ in loader)
        return sum(nn.functional.mse_loss(model(x), x).item() for x in batches)


def main() -> None:
    task = read_arguments()
    device = torch.device(task.device)
    train, test = loaders(task)
    bf16 = os.environ.get(AUTOCAST) == "1"
    layout = torch.channels_last if bf16 else torch.contiguous_format
    model = build(task.model, task.seed).to(device, memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    criterion = nn.MSELoss()
    began = time.perf_counter()
    for _ in range(task.epochs):
        model.train()
        total = 0.0
        for image, _ in train:
            image = image.to(device, memory_format=layout)
            optimizer.zero_grad()
            with torch.autocast(task.device, torch.bfloat16, enabled=bf16):
                output = model(image)
            loss = criterion(output.float(), image)
            loss.backward()
            optimizer.step()
            total += loss.item()
    train_s = time.perf_counter() - began
    answer(train_s, study_error(model, test, device), threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
