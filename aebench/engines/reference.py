"""The study's training loop as it stands in the study: slow, and the measure of the rest.

A torchvision dataset makes a PIL image of every sample and `ToTensor` a tensor of it, a
DataLoader without workers collates 128 of them, and every step waits for `.item()`. Only what
the study prints or plots is left out.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets as torchvision_datasets
from torchvision import transforms

from aebench.engines.training import WARMUP_STEPS, Engine, Setup, Work, clip_gradient


def _as_torchvision(images: Tensor) -> torchvision_datasets.VisionDataset:
    """Give `images` the class, and so the per-sample cost, that the study's data has.

    Grey images become torchvision's MNIST and colour images its CIFAR10, filled in place of
    their constructors, which would insist on downloading.
    """
    grey = images.shape[1] == 1
    study = torchvision_datasets.MNIST if grey else torchvision_datasets.CIFAR10
    dataset = study.__new__(study)
    torchvision_datasets.VisionDataset.__init__(dataset, "", transform=transforms.ToTensor())
    if grey:
        dataset.data = images[:, 0].contiguous()
    else:
        dataset.data = images.permute(0, 2, 3, 1).contiguous().numpy()
    dataset.targets = [0] * len(images)
    return dataset


class Reference(Engine):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.taught = self.optimizer = self._optimizer(setup.model)
        self.loading_s = 0.0
        self.loader: DataLoader[tuple[Tensor, int]] | None = None

    def _optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return self.setup.optimizer_of(model, fused=False)

    def load(self) -> None:
        """Wrap the split; the loader reads it sample by sample, every epoch anew."""
        self.loader = self._loader(None)

    def _loader(self, order: Tensor | None) -> DataLoader[tuple[Tensor, int]]:
        return DataLoader(
            _as_torchvision(self.setup.images),
            batch_size=self.setup.job.batch_size,
            sampler=None if order is None else order.tolist(),
            drop_last=True,
        )

    def warm_up(self) -> None:
        """Take a few steps with a copy of the model."""
        twin = copy.deepcopy(self.setup.model)
        self._learn(twin, self._optimizer(twin), 0, WARMUP_STEPS)
        self.loading_s = 0.0

    def work(self) -> Work:
        return replace(super().work(), loading_s=self.loading_s)

    def _train(self, epoch: int, steps: int) -> float:
        return self._learn(self.setup.model, self.taught, epoch, steps)

    def _learn(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int, steps: int
    ) -> float:
        assert self.loader is not None, "load() comes first"
        setup, device = self.setup, self.setup.device
        order, generator = setup.order(epoch), setup.noise(epoch)
        loader = self.loader if order is None else self._loader(order)
        rates = setup.rates[epoch * setup.steps_per_epoch :]
        criterion = setup.loss_of(model)
        model.train()
        losses: list[float] = []
        for image, rate in zip(self._timed(islice(loader, steps)), rates, strict=False):
            image = image.to(device)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            loss = criterion(setup.inputs(image, generator), image)
            loss.backward()
            clip_gradient(model, setup.job.clip_gradient)
            optimizer.step()
            losses.append(loss.item())
        return sum(losses, 0.0)

    def _timed(self, batches: Iterator[tuple[Tensor, int]]) -> Iterator[Tensor]:
        """Pass the images on, and add up in `loading_s` how long the loop waits for them."""
        while True:
            asked = time.perf_counter()
            batch = next(batches, None)
            self.loading_s += time.perf_counter() - asked
            if batch is None:
                return
            yield batch[0]


create = Reference
