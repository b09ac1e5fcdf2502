"""The study's training loop as it stands in the study: slow, and the measure of the rest.

A torchvision dataset makes a PIL image of every sample and `ToTensor` a tensor of it, a
DataLoader without workers collates 128 of them, and every step waits for `.item()`. Only what
the study prints or plots is left out.
"""

from __future__ import annotations

import copy
from itertools import islice

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets as torchvision_datasets
from torchvision import transforms

from aebench.engines import Engine, Setup
from aebench.engines.precision import autocast

_WARMUP_STEPS = 3


def _as_torchvision(images: Tensor) -> torchvision_datasets.VisionDataset:
    """Give `images` the class, and so the per-sample cost, that the study's data has.

    Grey images become torchvision's MNIST and colour images its CIFAR10, filled in place of
    their constructors, which would insist on downloading.
    """
    grey = images.shape[1] == 1
    kind = torchvision_datasets.MNIST if grey else torchvision_datasets.CIFAR10
    dataset = kind.__new__(kind)
    torchvision_datasets.VisionDataset.__init__(dataset, "", transform=transforms.ToTensor())
    if grey:
        dataset.data = images[:, 0].contiguous()
    else:
        dataset.data = images.permute(0, 2, 3, 1).contiguous().numpy()
    dataset.targets = [0] * len(images)
    return dataset


class Reference:
    """See the module's docstring."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.optimizer = self._adam(setup.model)
        self.loader: DataLoader[tuple[Tensor, int]] | None = None

    def _adam(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=self.setup.job.learning_rate)

    def load(self) -> None:
        """Wrap the split; the loader reads it sample by sample, every epoch anew."""
        self.loader = DataLoader(
            _as_torchvision(self.setup.images),
            batch_size=self.setup.job.batch_size,
            drop_last=True,
        )

    def warm_up(self) -> None:
        """Take a few steps with a copy of the model."""
        twin = copy.deepcopy(self.setup.model)
        self._steps(twin, self._adam(twin), _WARMUP_STEPS)

    def train_epoch(self) -> Tensor:
        """One pass of the study's loop."""
        losses = self._steps(self.setup.model, self.optimizer, None)
        return torch.tensor(sum(losses) / len(losses), dtype=torch.float64)

    def _steps(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, limit: int | None
    ) -> list[float]:
        assert self.loader is not None, "load() comes first"
        device, precision = self.setup.device, self.setup.job.precision
        criterion = nn.MSELoss()
        model.train()
        losses = []
        for image, _label in islice(self.loader, limit):
            image = image.to(device)
            optimizer.zero_grad()
            with autocast(precision, device):
                output = model(image)
            loss = criterion(output.float(), image)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses


def create(setup: Setup) -> Engine:
    """Make the engine for `setup`."""
    return Reference(setup)
