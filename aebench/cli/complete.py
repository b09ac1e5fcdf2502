"""Values that a shell offers while a command is typed: within 200 ms, so neither torch nor pandas.

Each function takes what has been typed of the word and gives whole words that begin with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from aebench import architectures, axes, datasets, engines, protocols
from aebench.cli import folders as results_folders
from aebench.datasets import own
from aebench.grid import PRESETS, SEARCHES
from aebench.job import OPTIONS
from aebench.language import LANGUAGES

Complete = Callable[[str], list[str]]

# Not read from `analysis.findings`, which loads pandas; a test holds the two equal.
FINDINGS = (
    "mlp-512", "mlp-128", "mlp-1", "mlp-smaller-worse", "out-of-distribution",
    "conv-512", "conv-128", "conv-16", "conv-1", "conv-smaller-worse",
    "conv-beats-mlp", "conv-not-slower", "conv-not-slower-cpu", "same-convergence",
    "deep-128", "deep-64", "deep-better", "deep-slower", "deep-slower-cpu",
    "deep-128-relu", "deep-64-relu", "deep-better-relu", "deep-slower-relu",
    "deep-slower-relu-cpu", "denoise-0.3", "denoise-0.8",
    "colour-mlp", "colour-mlp-wide", "colour-conv", "colour-harder",
)  # fmt: skip
# A test holds these to what is there.
EXAMPLES = ("cluster", "lab", "patches", "resnet", "sparse", "vae")


def _one(values: Callable[[], Iterable[str]], suffix: str = "") -> Complete:
    """Complete one value, or a file of `suffix`."""

    def complete(incomplete: str) -> list[str]:
        known = [value for value in values() if value.startswith(incomplete)]
        return [*known, *(_paths(incomplete, suffix) if suffix else ())]

    return complete


def _several(values: Callable[[], Iterable[str]], suffix: str | tuple[str, ...] = "") -> Complete:
    """Complete the last item of a list like ``mlp,conv``, or a folder or file of `suffix`."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        taken = before.split(",") if before else []
        known = (v for v in values() if v.startswith(last) and v not in taken)
        paths = () if suffix == "" else _paths(incomplete, suffix)
        return [*(before + comma + value for value in known), *paths]

    return complete


architecture = _several(architectures.names)
dataset = _several(datasets.names, own.FILES)
named_dataset = _one(datasets.names)
protocol = _several(lambda: protocols.NAMES, ".toml")
grid = _one(lambda: PRESETS, ".toml")
language = _one(lambda: LANGUAGES)
space = _one(lambda: SEARCHES, ".toml")
model = _one(lambda: axes.MODELS)
plugin = _one(tuple, ".py")
example = _one(lambda: EXAMPLES)
device = _one(lambda: ("auto", *engines.DEVICES))
engine = _several(lambda: (*engines.ENGINES, "auto"))
precision = _several(lambda: engines.PRECISIONS)
schedule = _several(lambda: protocols.SCHEDULES)
optimizer = _several(lambda: protocols.OPTIMIZERS)
order = _several(lambda: protocols.ORDERS)
finding = _several(lambda: FINDINGS)
across = _several(
    lambda: ("engine", "device", "precision", "threads", "torch", "machine", "code", "options")
)


def option(incomplete: str) -> list[str]:
    """Options of the families that are there without a plugin: their names, then their choices."""
    name, equals, typed = incomplete.partition("=")
    known = [o for n in architectures.names() for o in architectures.get(n).options.values()]
    if not equals:
        return list(dict.fromkeys(f"{o.name}=" for o in known if o.name.startswith(name)))
    choices = dict.fromkeys(str(c) for o in known if o.name == name for c in o.choices)
    return [f"{name}={value}" for value in _several(lambda: choices)(typed)]


def only(incomplete: str) -> list[str]:
    """Axes, and options of families, to choose jobs of a grid by."""
    name, equals, _ = incomplete.partition("=")
    by_name = {"architecture": architecture, "dataset": dataset, "engine": engine}
    if equals and name in by_name:
        return [f"{name}={value}" for value in by_name[name](incomplete.partition("=")[2])]
    names = [f"{known}=" for known in OPTIONS if known.startswith(name) and not equals]
    return [*names, *option(incomplete)]


def results(incomplete: str) -> list[str]:
    """Results folders below ``results/`` first, then whatever folder is typed."""
    known = [folder for folder in results_folders.below_results() if folder.startswith(incomplete)]
    return known + [path for path in folders(incomplete) if path.rstrip("/") not in known]


def outcomes(incomplete: str) -> list[str]:
    """Results folders, and files of outcomes."""
    files = [path for path in _paths(incomplete, ".json") if not path.endswith(os.sep)]
    return [*results(incomplete), *files]


def folders(incomplete: str) -> list[str]:
    """Folders, with a slash at the end to go on from."""
    return list(_paths(incomplete, None))


def _paths(incomplete: str, suffix: str | tuple[str, ...] | None) -> Iterator[str]:
    """Folders, and files of a suffix, that begin with what is typed; hidden ones if that does."""
    typed, last = os.path.split(incomplete)
    try:
        entries = sorted(os.scandir(Path(typed or ".").expanduser()), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if not entry.name.startswith(last) or (entry.name.startswith(".") and not last):
            continue
        if entry.is_dir():
            yield os.path.join(typed, entry.name, "")
        elif suffix and entry.name.lower().endswith(suffix):
            yield os.path.join(typed, entry.name)
