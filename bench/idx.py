"""MNIST as the four files that torchvision's class reads, made from aebench's verified pixels.

So the loops of others get the very same images, without a download. Labels are zeros: no
autoencoder looks at them.
"""

from __future__ import annotations

import gzip
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
        write_file(raw / f"{prefix}-images-idx3-ubyte", pixels[:, 0])
        write_file(raw / f"{prefix}-labels-idx1-ubyte", np.zeros(len(pixels), np.uint8))
    return folder


def write_file(path: Path, values: NDArray[np.uint8]) -> None:
    """Write bytes of any shape as an idx file, gzipped if it ends in .gz."""
    head = struct.pack(f">HBB{values.ndim}I", 0, _UNSIGNED_BYTE, values.ndim, *values.shape)
    content = head + np.ascontiguousarray(values).tobytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
