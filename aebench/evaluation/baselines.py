"""Exact baselines: what the best linear code of every size reaches on the test images.

PCA of the training split minimizes the squared error of any linear code with k numbers
(Eckart and Young, 1936); k = 0 is the mean image. Both are computed, not trained, so a model
above this line is worse than linear algebra. The whole curve is cached beside the data.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_CHUNK = 8192  # images at a time, so that CIFAR-10 in float64 does not fill the memory


def curve(
    train: Tensor, test: Tensor, cache: Path | None = None, device: torch.device | None = None
) -> NDArray[np.float64]:
    """Test MSE per pixel of PCA with 0, 1, ..., D components, float64 [D + 1].

    `train` and `test` are uint8 [N, C, H, W]; with `cache`, a file that holds or will hold the
    curve. A cache that cannot be read is computed anew, and one that cannot be written, because
    the folder of a shared data cache is read-only or full, is left alone: a job is not lost for
    it. The computation is exact up to float64 rounding.
    """
    if cache is not None:
        stored = _stored(cache)
        if stored is not None and stored.shape == (train[0].numel() + 1,):
            return stored
    errors = _compute(train.flatten(1), test.flatten(1), device or torch.device("cpu"))
    if cache is not None:
        with contextlib.suppress(OSError):
            _keep(errors, cache)
    return errors


def _stored(cache: Path) -> NDArray[np.float64] | None:
    try:
        with cache.open("rb") as file:
            stored = np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError):
        return None
    if stored.dtype != np.float64 or not np.isfinite(stored).all():
        return None
    return np.asarray(stored, dtype=np.float64)


def _keep(errors: NDArray[np.float64], cache: Path) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".npy", dir=cache.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, errors)
        os.chmod(name, 0o644)  # mkstemp makes files that only their owner may read
        os.replace(name, cache)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _compute(train: Tensor, test: Tensor, device: torch.device) -> NDArray[np.float64]:
    numbers = train.shape[1]
    total = torch.zeros(numbers, dtype=torch.float64, device=device)
    products = torch.zeros(numbers, numbers, dtype=torch.float64, device=device)
    for part in train.split(_CHUNK):
        x = part.to(device, torch.float64).div_(255)
        total += x.sum(0)
        products.addmm_(x.T, x)
    mean = total / len(train)
    covariance = products / len(train) - torch.outer(mean, mean)
    components = torch.linalg.eigh(covariance).eigenvectors.flip(1)  # largest variance first

    # Components are orthonormal, so each removes its own squared projection from the error.
    residual = torch.zeros((), dtype=torch.float64, device=device)
    removed = torch.zeros(numbers, dtype=torch.float64, device=device)
    for part in test.split(_CHUNK):
        x = part.to(device, torch.float64).div_(255) - mean
        residual += x.square().sum()
        removed += (x @ components).square().sum(0)
    left = residual - torch.cat([torch.zeros_like(residual)[None], removed.cumsum(0)])
    errors = left.clamp_(min=0) / (len(test) * numbers)
    return np.asarray(errors.cpu().numpy(), dtype=np.float64)
