"""Plain PyTorch, as the study wrote it: torchvision's MNIST, ToTensor, a DataLoader, a loop.

The clock runs from the first batch of the first epoch to the last step of the last.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from bench.peers.task import BATCH_SIZE, LEARNING_RATE, MODELS, Task, answer, read_arguments


class MLP(nn.Module):
    def __init__(self, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, latent), nn.Sigmoid())
        self.decoder = nn.Sequential(
            nn.Linear(latent, 28 * 28), nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x))


class Conv(nn.Module):
    def __init__(self, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, latent, 3), nn.ReLU())
        self.decoder = nn.Sequential(nn.ConvTranspose2d(latent, 1, 3), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(x))


def build(name: str, seed: int) -> nn.Module:
    """The model with the weights that ``torch.manual_seed(seed)`` and the constructor give."""
    family, latent = MODELS[name]
    torch.manual_seed(seed)
    return MLP(latent) if family == "mlp" else Conv(latent)


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
    model = build(task.model, task.seed).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    criterion = nn.MSELoss()
    began = time.perf_counter()
    for _ in range(task.epochs):
        model.train()
        total = 0.0
        for image, _ in train:
            image = image.to(device)
            optimizer.zero_grad()
            loss = criterion(model(image), image)
            loss.backward()
            optimizer.step()
            total += loss.item()
    train_s = time.perf_counter() - began
    answer(train_s, study_error(model, test, device), threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
