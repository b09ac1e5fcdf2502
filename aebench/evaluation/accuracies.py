"""What a linear probe reads off PCA's codes, kept beside the data: it is the same for all jobs.

What an accuracy belongs to is a mapping of all that it depends on, which `codes` makes. No torch
here, for `verify` is asked by a command that needs none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aebench.evaluation import kept


def path_of(directory: Path, belongs: Mapping[str, Any]) -> Path:
    """Where the data cache `directory` keeps the accuracy of what `belongs` describes."""
    return directory / kept.FOLDER / f"probe-{kept.checksum(belongs)[:32]}.json"


def read(directory: Path, belongs: Mapping[str, Any]) -> float | None:
    """The accuracy of what `belongs` describes, or None if there is none that can be trusted."""
    with contextlib.suppress(OSError, kept.Damaged):
        stored, accuracy = _read(path_of(directory, belongs))
        if stored == belongs:
            return accuracy
    return None


def write(directory: Path, belongs: Mapping[str, Any], accuracy: float) -> None:
    """Keep an accuracy; a cache that cannot be written, shared or full, is left alone."""
    with contextlib.suppress(OSError):
        kept.write(path_of(directory, belongs), {**belongs, "accuracy": accuracy})


def verify(directory: Path) -> dict[str, str]:
    """Look at every accuracy in the data cache `directory`: see `kept.verify`."""
    return kept.verify(directory, "probe-*.json", lambda path: path_of(directory, _read(path)[0]))


def _read(path: Path) -> tuple[dict[str, Any], float]:
    content = kept.read(path)
    accuracy = content.pop("accuracy", None)
    if not (isinstance(accuracy, float) and 0 <= accuracy <= 1):
        raise kept.Damaged("no accuracy")
    return content, accuracy
