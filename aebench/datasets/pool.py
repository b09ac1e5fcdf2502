"""The pixels of a job: its split of a data set, as tensors, read once per process.

Which images belong to which part, and where pixels come from, is decided in `datasets`. What is
handed out is a copy, or evaluated through one: see `evaluation.reconstruction.reconstruct`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from aebench import datasets


@dataclass(frozen=True)
class Pool:
    """All images of a data set, uint8 [N, C, H, W] on the CPU, and what is recorded of them.

    `labels` is a sentence where there are none.
    """

    images: Tensor  # train and validation, in the order of the data set
    test: Tensor
    validation_images: int
    source: str
    sha256: str
    labels: Labels | str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        channels, height, width = self.test.shape[1:]
        return channels, height, width


@dataclass(frozen=True)
class Labels:
    """The labels of all images of a pool, int64 [N]."""

    images: Tensor
    test: Tensor


@dataclass(frozen=True)
class Splits:
    """The images of one seed: `indices` says where the training split lies in the pool."""

    pool: Pool
    indices: Tensor
    validation: Tensor

    @property
    def train(self) -> Tensor:
        """The training split in its order, copied out of the pool."""
        return self.pool.images[self.indices]

    @cached_property
    def mean(self) -> Tensor:
        """The mean training image, float64 [C, H, W], pixels in [0, 1]."""
        total = torch.zeros(self.pool.images.shape[1:], dtype=torch.float64)
        # Sums of so few bytes are whole numbers below 2^24, exact in float32; torch would add up
        # all of them in int64 by way of a copy eight times as large.
        for some in self.indices.split(4096):
            total += self.pool.images[some].to(torch.float32).sum(0)
        return total / (255 * len(self.indices))


def load(name: str, seed: int, directory: Path | None) -> Splits:
    """The splits of data set `name` for `seed`, from the cache in `directory`.

    Raises:
        RequestError: no such data set, or it cannot be had.
    """
    pool = _pool(name, directory)
    train, validation = datasets.split(len(pool.images), pool.validation_images, seed)
    return Splits(pool, torch.from_numpy(train), pool.images[torch.from_numpy(validation)])


@lru_cache(maxsize=2)  # a worker meets the same few again and again; two fit any memory
def _pool(name: str, directory: Path | None) -> Pool:
    data = datasets.load(name, directory)
    return Pool(
        images=torch.from_numpy(data.train.copy()),
        test=torch.from_numpy(data.test.copy()),
        validation_images=data.info.validation_images,
        source=data.source,
        sha256=data.sha256,
        labels=_labels(data, directory),
    )


def _labels(data: datasets.Dataset, directory: Path | None) -> Labels | str:
    try:
        pair = datasets.kept_labels(data, directory)
    except datasets.BadData as error:
        return str(error)
    if pair is not None:
        return Labels(*(torch.from_numpy(labels.astype("int64")) for labels in pair))
    name = data.info.name
    if data.info.train_labels_sha256:
        return f"the data cache has no labels of {name}: `aebench data fetch {name}` adds them"
    return f"{name} has no labels"
