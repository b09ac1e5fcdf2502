"""Entries of a file of settings: what each search chose, and which entry is closest to a model.

A file holds arrays of tables, ``[[mlp]]``: an entry for each search, with the data set, the latents
and the model (depth, options) that it was searched on. An older file holds one table a family,
``[mlp]``, whose entry holds for every data set, latent and model. No torch here.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from aebench import architectures, datasets
from aebench.errors import RequestError
from aebench.protocols.training import NEEDED, TrainingSettings

SETTINGS = tuple(f.name for f in dataclasses.fields(TrainingSettings))


@dataclass(frozen=True)
class Entry:
    """Settings for one family, and the search that chose them.

    `dataset`, `latent`, `depth` and `options` are what they were searched on; an empty `dataset`,
    no `latent` and no `depth` each stand for all. `val_mse` is by the names of the models searched.
    `at_edge` names the fields whose chosen value lay at an end of the searched range. `models` is
    of how many, different in depth or options, this one was found the best.
    """

    architecture: str
    settings: TrainingSettings
    dataset: str = ""
    latent: tuple[int, ...] = ()
    depth: int | None = None
    options: str = ""
    val_mse: Mapping[str, float] = field(default_factory=dict, hash=False)
    at_edge: tuple[str, ...] = ()
    models: int = 1
    grid: str = "?"
    keys_sha256: str = "?"
    started_at: str = "?"

    @property
    def source(self) -> str:
        """Which search this is, in words: its grid, keys and date, and what it was searched on."""
        words = f"grid {self.grid}, keys {self.keys_sha256[:16]}, {self.started_at[:10]}"
        if self.dataset:
            latents = ",".join(map(str, self.latent))
            words += f", searched on {self.dataset} {self.architecture}-{latents}"
            words += f" depth {self.depth}" if self.depth else ""
            words += f" ({self.options})" if self.options else ""
        return words + (f", at_edge {' '.join(self.at_edge)}" if self.at_edge else "")

    def error_at(self, latent: int) -> float:
        """The validation error that the search reached with its latent nearest to `latent`."""
        near = min(self.latent, key=lambda own: _apart(own, latent), default=latent)
        begin = f"{self.dataset} {self.architecture}-{near} "
        mine = [e for name, e in self.val_mse.items() if f"{name} ".startswith(begin)]
        errors = mine or list(self.val_mse.values())
        return sum(errors) / len(errors) if errors else math.inf


def closest(entries: Sequence[Entry], dataset: str, latent: int, depth: int, options: str) -> Entry:
    """The entry closest to a model: by data set, then depth and options, then latent.

    First come entries of the same data set, then of one with as many colours, then all others;
    among those, entries of the same depth and options, then of the same depth; among those the
    nearest latent on a log scale, of two as near the smaller, and of several the one with the
    least validation error: errors of codes of different sizes say nothing of their settings.
    """

    def distance(entry: Entry) -> tuple[float, ...]:
        same_depth = entry.depth in (None, depth)
        same = same_depth and (entry.depth is None or entry.options == options)
        model = 0 if same else 1 if same_depth else 2
        near = _nearest(entry, latent)
        return (_data_apart(entry, dataset), model, *near, entry.error_at(latent))

    return min(entries, key=distance)


def best_model(entries: Sequence[Entry], dataset: str, latent: int) -> Entry | None:
    """The entry of the best model known of its family at `latent`; None if no entry has a model.

    Of the entries of the nearest data set (see `closest`) those whose search had several models to
    choose from, if there are any; of these the nearest latent, the smaller of two as near, then the
    least validation error.
    """

    def distance(entry: Entry) -> tuple[float, ...]:
        near = _nearest(entry, latent)
        return (_data_apart(entry, dataset), entry.models < 2, *near, entry.error_at(latent))

    return min((e for e in entries if e.depth), key=distance, default=None)


def _data_apart(entry: Entry, dataset: str) -> int:
    if entry.dataset in ("", dataset):
        return 0
    colours = _channels(dataset)
    return 1 if colours and _channels(entry.dataset) == colours else 2


def _channels(dataset: str) -> int | None:
    try:
        return datasets.info(dataset).channels
    except RequestError:  # not known in this process
        return None


def _nearest(entry: Entry, latent: int) -> tuple[float, int]:
    """How far the entry's nearest latent is, and which it is; an entry of no latent is near all."""
    return min(((_apart(own, latent), own) for own in entry.latent), default=(1.0, latent))


def _apart(one: int, other: int) -> float:
    """The ratio of the two, 1 or more: exact where both are powers of two."""
    return max(one, other) / min(one, other)


def of_family(path: Path, architecture: str) -> tuple[Entry, ...]:
    """The entries for a family of architectures in the file at `path`.

    Raises:
        RequestError: the file cannot be read, or holds no sound settings for the family.
    """
    table = read(path).get(architecture)
    if not _is_tables(table):
        raise RequestError(f"{path} holds no settings for architecture {architecture!r}")
    return _parsed(path, path.stat().st_mtime_ns, architecture)


def _is_tables(table: object) -> bool:
    if isinstance(table, list):
        return bool(table) and all(isinstance(one, Mapping) for one in table)
    return isinstance(table, Mapping)


@cache  # asked for every job of a grid
def _parsed(path: Path, changed_ns: int, architecture: str) -> tuple[Entry, ...]:
    table = _tables(path, changed_ns)[architecture]
    if isinstance(table, Mapping):
        return (_entry(f"{path}, [{architecture}]", architecture, table, old=True),)
    return tuple(
        _entry(f"{path}, [[{architecture}]] {number}", architecture, one, old=False)
        for number, one in enumerate(table, start=1)
    )


def _entry(where: str, architecture: str, table: Mapping[str, Any], old: bool) -> Entry:
    needed = NEEDED if old else (*NEEDED, "dataset", "latent", "depth")
    if missing := [name for name in needed if name not in table]:
        raise RequestError(f"{where}: {', '.join(missing)} not given")
    try:
        val_mse = {str(k): float(v) for k, v in table.get("val_mse", {}).items()}
        found = Entry(
            architecture,
            TrainingSettings(**{name: table[name] for name in SETTINGS if name in table}),
            val_mse=val_mse,
            at_edge=tuple(map(str, table.get("at_edge", ()))),
            models=int(table.get("models", 1)),
            grid=str(table.get("grid", "?")),
            keys_sha256=str(table.get("keys_sha256", "?")),
            started_at=str(table.get("started_at", "?")),
        )
    except (TypeError, ValueError, AttributeError):
        raise RequestError(
            f"{where}: val_mse is a table of names and numbers, at_edge a list, models a number"
        ) from None
    if old:
        return found
    latent, depth = table["latent"], table["depth"]
    whole = isinstance(latent, list) and all(type(k) is int and k > 0 for k in [*latent, depth])
    if not (latent and whole):
        raise RequestError(f"{where}: latent is a list of whole numbers from 1, depth one of them")
    try:
        options = architectures.canonical(architecture, table.get("options", ""))
    except RequestError as error:
        raise RequestError(f"{where}: {error}") from None
    searched = {"dataset": str(table["dataset"]), "latent": tuple(latent), "depth": depth}
    return dataclasses.replace(found, **searched, options=options)


def read(path: Path) -> dict[str, Any]:
    """The tables of a file of settings.

    Raises:
        RequestError: it is not there, cannot be read, or is not TOML.
    """
    try:
        return _tables(path, path.stat().st_mtime_ns)
    except FileNotFoundError:
        raise RequestError(f"no file of settings at {path}; `aebench tune` writes one") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"cannot read the settings in {path}: {error}") from None


@cache
def _tables(path: Path, _changed_ns: int) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8-sig"))
