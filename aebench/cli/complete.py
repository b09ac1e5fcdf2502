"""Values that a shell offers while a command is typed: within 200 ms, so neither torch nor pandas.

Each function takes what has been typed of the word and gives whole words that begin with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from aebench import architectures, datasets, engines, protocols
from aebench.cli import folders as results_folders
from aebench.grid import PRESETS

# Not read from `report.findings`, which loads pandas; a test holds the two equal.
FINDINGS = (
    "mlp-512", "mlp-128", "mlp-1", "mlp-smaller-worse", "out-of-distribution",
    "conv-512", "conv-128", "conv-16", "conv-1", "conv-smaller-worse",
    "conv-beats-mlp", "conv-not-slower", "same-convergence",
    "deep-128", "deep-64", "deep-better", "deep-slower", "denoise-0.3", "denoise-0.8",
    "colour-mlp", "colour-mlp-wide", "colour-conv", "colour-harder",
)  # fmt: skip


def _several(values: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Complete the last item of a list like ``mlp,conv``."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",") if before else []
        return [before + comma + v for v in values() if v.startswith(last) and v not in taken]

    return complete


architecture = _several(architectures.names)
engine = _several(lambda: (*engines.ENGINES, "auto"))
precision = _several(lambda: engines.PRECISIONS)
schedule = _several(lambda: protocols.SCHEDULES)
order = _several(lambda: protocols.ORDERS)
finding = _several(lambda: FINDINGS)
across = _several(lambda: ("engine", "device", "precision", "threads", "torch", "machine"))


def _named_dataset(incomplete: str) -> list[str]:
    return _several(datasets.names)(incomplete)


def dataset(incomplete: str) -> list[str]:
    """Datasets by name, and folders of images."""
    return [*_named_dataset(incomplete), *folders(incomplete)]


def named_dataset(incomplete: str) -> list[str]:
    """Datasets by name."""
    return [name for name in datasets.names() if name.startswith(incomplete)]


def protocol(incomplete: str) -> list[str]:
    """Protocols by name, and files of settings."""
    return [*_several(lambda: protocols.NAMES)(incomplete), *_paths(incomplete, ".toml")]


def grid(incomplete: str) -> list[str]:
    """The grids that come with aebench, and grid files."""
    return [*(n for n in PRESETS if n.startswith(incomplete)), *_paths(incomplete, ".toml")]


def device(incomplete: str) -> list[str]:
    """Kinds of devices."""
    return [name for name in ("auto", *engines.DEVICES) if name.startswith(incomplete)]


def plugin(incomplete: str) -> list[str]:
    """Python files."""
    return list(_paths(incomplete, ".py"))


def results(incomplete: str) -> list[str]:
    """Results folders below ``results/`` first, then whatever folder is typed."""
    known = [folder for folder in results_folders.below_results() if folder.startswith(incomplete)]
    return known + [path for path in folders(incomplete) if path.rstrip("/") not in known]


def folders(incomplete: str) -> list[str]:
    """Folders, with a slash at the end to go on from."""
    return list(_paths(incomplete, None))


def _paths(incomplete: str, suffix: str | None) -> Iterator[str]:
    """Folders, and files of a suffix, that begin with what is typed; hidden ones if that does."""
    typed, last = os.path.split(incomplete)
    try:
        found = sorted(os.scandir(Path(typed or ".").expanduser()), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in found:
        if not entry.name.startswith(last) or (entry.name.startswith(".") and not last):
            continue
        if entry.is_dir():
            yield os.path.join(typed, entry.name, "")
        elif suffix and entry.name.lower().endswith(suffix):
            yield os.path.join(typed, entry.name)
