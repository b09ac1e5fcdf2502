"""Exact baselines: what the best linear code of every size reaches on the test images.

PCA of the training split minimizes the squared error of any linear code with k numbers
(Eckart and Young, 1936); k = 0 is the mean image. Both are computed, not trained, so a model
above this line is worse than linear algebra. The whole curve is kept beside the data: a file says
in itself what it belongs to and carries a checksum, so that a curve is taken only for what it was
computed from and as it was written; any other is computed anew. torch is imported to compute only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aebench.disk import write_whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CHUNK = 8192  # images at a time, so that CIFAR-10 in float64 does not fill the memory
_FORMAT = 1
_FOLDER = "baselines"


@dataclass(frozen=True)
class Split:
    """What a curve belongs to: all pixels by their checksum, and which of them were fitted to."""

    data_sha256: str
    seed: int
    train_images: int


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
        stored = read(directory, split, train[0].numel())
        if stored is not None:
            return np.asarray(stored, dtype=np.float64)
    errors = _compute(train.flatten(1), test.flatten(1), device)
    if split is not None and directory is not None:
        with contextlib.suppress(OSError):
            write(directory, split, errors.tolist())
    return errors


@dataclass(frozen=True)
class Components:
    """What PCA finds in a training split, pixels in [0, 1], float32.

    `mean` is [D]; `directions`, [D, K], has a component a column, the largest variance first.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]


def components(train: Tensor, split: Split, device: torch.device | None = None) -> Components:
    """The components of `train`, uint8 [N, C, H, W], of which `split` says what it is.

    As many as two thirds of its numbers, for a longer code hardly compresses. Those of the latest
    split stay in memory, since a worker meets the same one again and again.
    """
    if split not in _latest:
        mean, directions = _principal(train.flatten(1), device)
        few = directions[:, : 2 * len(mean) // 3]
        _latest.clear()
        _latest[split] = Components(*(part.float().cpu().numpy() for part in (mean, few)))
    return _latest[split]


_latest: dict[Split, Components] = {}


def _principal(train: Tensor, device: torch.device | None) -> tuple[Tensor, Tensor]:
    """Mean [D] and components [D, D] of `train`, uint8 [N, D], float64 on `device`."""
    import torch

    numbers = train.shape[1]
    total = torch.zeros(numbers, dtype=torch.float64, device=device)
    products = torch.zeros(numbers, numbers, dtype=torch.float64, device=device)
    for part in train.split(_CHUNK):
        x = part.to(device, torch.float64).div_(255)
        total += x.sum(0)
        products.addmm_(x.T, x)
    mean = total / len(train)
    covariance = products / len(train) - torch.outer(mean, mean)
    return mean, torch.linalg.eigh(covariance).eigenvectors.flip(1)  # largest variance first


def _compute(train: Tensor, test: Tensor, device: torch.device | None) -> NDArray[np.float64]:
    import torch

    numbers = train.shape[1]
    mean, components = _principal(train, device)

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


class Damaged(Exception):
    """The file does not hold what was written; the text says why."""


def path_of(directory: Path, split: Split) -> Path:
    """Where the data cache `directory` keeps the curve of `split`."""
    name = f"pca-{split.data_sha256[:16]}-{split.train_images}-{split.seed}.json"
    return directory / _FOLDER / name


def read(directory: Path, split: Split, numbers: int) -> list[float] | None:
    """The curve of `split`, `numbers` + 1 errors, or None if there is none that can be trusted."""
    try:
        stored, curve = _read(path_of(directory, split))
    except (OSError, Damaged):
        return None
    return curve if stored == split and len(curve) == numbers + 1 else None


def write(directory: Path, split: Split, curve: Sequence[float]) -> None:
    """Keep the curve of `split` for everybody who reads this cache.

    Raises:
        OSError: the system refuses; what was there before stays.
    """
    content = {"format": _FORMAT, **asdict(split), "curve": [float(e) for e in curve]}
    text = json.dumps(content | {"sha256": _checksum(content)})
    write_whole(path_of(directory, split), text.encode())


def verify(directory: Path) -> dict[str, str]:
    """Look at every curve in the data cache `directory`: its file's name, and what is wrong.

    An empty text says that it is whole. What is wrong is never used: it is computed anew.
    """
    wrong = {}
    paths: list[Path] = []
    with contextlib.suppress(OSError):  # no such folder, nor can there be
        paths = sorted((directory / _FOLDER).glob("pca-*.json"))
    for path in paths:
        try:
            split, _ = _read(path)
            right = path_of(directory, split).name
            wrong[path.name] = "" if path.name == right else f"it is that of {right}"
        except (OSError, Damaged) as error:
            wrong[path.name] = str(error) if isinstance(error, Damaged) else "cannot be read"
    return wrong


def _read(path: Path) -> tuple[Split, list[float]]:
    try:
        content = json.loads(path.read_text("utf-8"))
        checksum = content.pop("sha256")
        split = Split(content["data_sha256"], content["seed"], content["train_images"])
        curve = [float(error) for error in content["curve"]]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Damaged(f"no curve: {type(error).__name__}") from error
    if content.get("format") != _FORMAT or checksum != _checksum(content):
        raise Damaged("its checksum differs")
    if not all(math.isfinite(error) and error >= 0 for error in curve):
        raise Damaged("an error in it is no number")
    return split, curve


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
