"""Exact baselines: what the best linear code of every size reaches on the test images.

PCA of the training split minimizes the squared error of any linear code with k numbers
(Eckart and Young, 1936); k = 0 is the mean image. Both are computed, not trained, so a model
above this line is worse than linear algebra. The whole curve is cached beside the data.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aebench.evaluation import curves
from aebench.evaluation.curves import Split

_CHUNK = 8192  # images at a time, so that CIFAR-10 in float64 does not fill the memory


def curve(
    train: Tensor,
    test: Tensor,
    split: Split | None = None,
    directory: Path | None = None,
    device: torch.device | None = None,
) -> NDArray[np.float64]:
    """Test MSE per pixel of PCA with 0, 1, ..., D components, float64 [D + 1].

    `train` and `test` are uint8 [N, C, H, W]. With `split`, which says what they are, and the data
    cache `directory`, the curve is taken from there, or put there once it is computed. One that
    is not whole is computed anew, and a cache that cannot be written, because it is shared and
    read-only or full, is left alone: a job is not lost for it. The computation is exact up to
    float64 rounding.
    """
    if split is not None and directory is not None:
        stored = curves.read(directory, split, train[0].numel())
        if stored is not None:
            return np.asarray(stored, dtype=np.float64)
    errors = _compute(train.flatten(1), test.flatten(1), device or torch.device("cpu"))
    if split is not None and directory is not None:
        with contextlib.suppress(OSError):
            curves.write(directory, split, errors.tolist())
    return errors


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
