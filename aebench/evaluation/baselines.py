"""Exact baselines: what the best linear code of every size reaches on the test images.

PCA of the training split minimizes the squared error of any linear code with k numbers
(Eckart and Young, 1936); k = 0 is the mean image. Both are computed, not trained, so a model
above this line is worse than linear algebra. The whole curve is kept beside the data, and so are
the components themselves, which codes are made with; one that is not whole, or of something else,
is computed anew. torch is imported to compute only.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aebench.disk import write_whole
from aebench.evaluation import kept
from aebench.evaluation.kept import Damaged

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_CHUNK = 8192  # images at a time, so that CIFAR-10 in float64 does not fill the memory


@dataclass(frozen=True)
class Split:
    """What was fitted to: all pixels by their checksum, and which of them."""

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
    """What PCA finds in a training split, pixels in [0, 1]: float32, in which codes are decoded.

    `mean` is [D]; `directions`, [D, K], has a component a column, the largest variance first.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]


def components(
    train: Tensor, split: Split, directory: Path, device: torch.device | None = None
) -> Components:
    """The components of `train`, uint8 [N, C, H, W], of which `split` says what it is.

    As many as two thirds of its numbers, for a longer code hardly compresses. They are taken from
    the data cache `directory`, or put there as a curve is.
    """
    path, numbers = components_path(directory, split), train[0].numel()
    shape = (numbers, 2 * numbers // 3)
    with contextlib.suppress(OSError, Damaged):
        stored, found = _read_components(path)
        if stored == split and found.directions.shape == shape:
            return found
    mean, directions = _principal(train.flatten(1), device)
    few = directions[:, : shape[1]]
    found = Components(*(part.float().cpu().numpy() for part in (mean, few)))
    content = io.BytesIO()
    said = json.dumps(asdict(split))
    np.savez(content, split=np.array(said), mean=found.mean, directions=found.directions)
    with contextlib.suppress(OSError):
        write_whole(path, content.getvalue())
    return found


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


def path_of(directory: Path, split: Split) -> Path:
    """Where the data cache `directory` keeps the curve of `split`."""
    name = f"pca-{split.data_sha256[:16]}-{split.train_images}-{split.seed}.json"
    return directory / kept.FOLDER / name


def components_path(directory: Path, split: Split) -> Path:
    """Where the data cache `directory` keeps the components of `split`."""
    return path_of(directory, split).with_suffix(".npz")


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
    content = {**asdict(split), "curve": [float(e) for e in curve]}
    kept.write(path_of(directory, split), content)


def verify(directory: Path) -> dict[str, str]:
    """Look at every curve and all components in the data cache `directory`: see `kept.verify`."""
    curves = kept.verify(directory, "pca-*.json", lambda path: path_of(directory, _read(path)[0]))
    return curves | kept.verify(
        directory, "pca-*.npz", lambda path: components_path(directory, _read_components(path)[0])
    )


def _read(path: Path) -> tuple[Split, list[float]]:
    content = kept.read(path)
    try:
        split = Split(content["data_sha256"], content["seed"], content["train_images"])
        curve = [float(error) for error in content["curve"]]
    except (ValueError, TypeError, KeyError) as error:
        raise Damaged(f"no curve: {type(error).__name__}") from error
    if not all(math.isfinite(error) and error >= 0 for error in curve):
        raise Damaged("an error in it is no number")
    return split, curve


def _read_components(path: Path) -> tuple[Split, Components]:
    try:
        # Every part of a zip file carries a checksum, at which one that has changed is refused.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            split = Split(**json.loads(str(content["split"])))
            return split, Components(content["mean"], content["directions"])
    except (ValueError, TypeError, KeyError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise Damaged(f"no components: {type(error).__name__}") from error
