"""MNIST as the four files that torchvision's class reads, made from aebench's verified pixels.

So the loops of others get the very same images, without a download. Labels are zeros: no
autoencoder looks at them.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aebench.datasets import Dataset

_UNSIGNED_BYTE = 0x08  # http://yann.lecun.com/exdb/mnist: the third byte of the magic number


def write(dataset: Dataset, folder: Path) -> Path:
    """Write `dataset`, grey images, so that ``torchvision.datasets.MNIST(folder)`` finds it."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix, pixels in (("train", dataset.train), ("t10k", dataset.test)):
        _write(raw / f"{prefix}-images-idx3-ubyte", np.asarray(pixels[:, 0]))
        _write(raw / f"{prefix}-labels-idx1-ubyte", np.zeros(len(pixels), np.uint8))
    return folder


def _write(path: Path, values: NDArray[np.uint8]) -> None:
    head = struct.pack(f">HBB{values.ndim}I", 0, _UNSIGNED_BYTE, values.ndim, *values.shape)
    path.write_bytes(head + values.tobytes())
