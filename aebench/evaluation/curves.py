"""PCA curves on disk: computed once for a data set and a split, kept beside the data.

A file says in itself what it belongs to and carries a checksum, so that a curve is taken only for
what it was computed from and as it was written; any other is computed anew. No torch here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aebench.disk import write_whole

_FORMAT = 1
_FOLDER = "baselines"


@dataclass(frozen=True)
class Split:
    """What a curve belongs to: all pixels by their checksum, and which of them were fitted to."""

    data_sha256: str
    seed: int
    train_images: int


class Damaged(Exception):
    """The file does not hold what was written; the text says why."""


def place(directory: Path, split: Split) -> Path:
    """Where the data cache `directory` keeps the curve of `split`."""
    name = f"pca-{split.data_sha256[:16]}-{split.train_images}-{split.seed}.json"
    return directory / _FOLDER / name


def read(directory: Path, split: Split, numbers: int) -> list[float] | None:
    """The curve of `split`, `numbers` + 1 errors, or None if there is none that can be trusted."""
    try:
        found, curve = _read(place(directory, split))
    except (OSError, Damaged):
        return None
    return curve if found == split and len(curve) == numbers + 1 else None


def write(directory: Path, split: Split, curve: Sequence[float]) -> None:
    """Keep the curve of `split` for everybody who reads this cache.

    Raises:
        OSError: the system refuses; what was there before stays.
    """
    target = place(directory, split)
    content = {"format": _FORMAT, **asdict(split), "curve": [float(e) for e in curve]}
    write_whole(target, json.dumps(content | {"sha256": _checksum(content)}).encode())


def verify(directory: Path) -> dict[str, str]:
    """Look at every curve in the data cache `directory`: its file's name, and what is wrong.

    An empty text says that it is whole. What is wrong is never used: it is computed anew.
    """
    found = {}
    paths: list[Path] = []
    with contextlib.suppress(OSError):  # no such folder, nor can there be
        paths = sorted((directory / _FOLDER).glob("pca-*.json"))
    for path in paths:
        try:
            split, _ = _read(path)
            right = place(directory, split).name
            found[path.name] = "" if path.name == right else f"it is that of {right}"
        except (OSError, Damaged) as error:
            found[path.name] = str(error) if isinstance(error, Damaged) else "cannot be read"
    return found


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
