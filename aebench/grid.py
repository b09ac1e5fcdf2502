"""Grids: which jobs to run. Enumerates, validates and slices; runs nothing and imports no torch.

A grid file is TOML. Every key is the name of a command-line option; the command line wins over
the file. See `aebench/grids/` for the presets.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from aebench import architectures, datasets, protocols
from aebench.errors import RequestError, unknown
from aebench.job import DEVICES, ENGINES, FIELDS, PRECISIONS, Job

PRESETS = ("quick", "study", "full")

_NUMBERS = ("learning_rate", "train_noise")
_WHOLE = ("latent", "depth", "seed", "epochs", "batch_size", "repeat")
_REQUIRED = ("architecture", "dataset", "latent")
_TABLES = ("product", "job", "exclude")
_COUNTS = {"seeds": "seed", "repeats": "repeat"}  # how many, instead of a list
_NAMES: dict[str, Sequence[str]] = {
    "protocol": protocols.NAMES,
    "schedule": protocols.SCHEDULES,
    "order": protocols.ORDERS,
    "engine": ENGINES,
    "precision": PRECISIONS,
    "device": DEVICES,
}

Axes = dict[str, list[Any]]


@dataclass(frozen=True)
class Grid:
    """A named, ordered set of jobs, and those that cannot be built, each with the reason."""

    name: str
    jobs: tuple[Job, ...]
    impossible: Mapping[Job, str] = field(default_factory=dict)

    def shard(self, index: int, count: int) -> Grid:
        """Part `index` of `count` (from 1), by key, so that every machine agrees on the parts.

        Raises:
            RequestError: no such part.
        """
        if not 1 <= index <= count:
            raise RequestError(f"shard {index}/{count}: parts are numbered from 1 to {count}")
        jobs = tuple(job for job in self.jobs if int(job.key, 16) % count == index - 1)
        return Grid(self.name, jobs, {j: r for j, r in self.impossible.items() if j in set(jobs)})


def load_grid(
    source: str | None,
    overrides: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Grid:
    """Enumerate a preset, a TOML file, or, with no source, what the overrides alone describe.

    `overrides` maps option names to a value, a list or a range text (``"0..4"``); each replaces
    that key everywhere in the file. `defaults` holds where neither says anything.

    Raises:
        RequestError: every mistake found, one a line, with its place and the nearest valid name.
    """
    if source is None:
        return _enumerate("custom", dict(defaults or {}), overrides or {}, "the command line")
    if source in PRESETS:
        text = (resources.files("aebench") / "grids" / f"{source}.toml").read_text("utf-8")
        name = source
    else:
        path = Path(source)
        if path.suffix != ".toml":
            raise RequestError(
                f"{unknown('grid', source, PRESETS)}, or name a file ending in .toml"
            )
        try:
            text = path.read_text("utf-8")
        except FileNotFoundError:
            raise RequestError(f"no grid file at {path}") from None
        except (OSError, UnicodeDecodeError) as error:
            raise RequestError(f"cannot read the grid file {path}: {error}") from None
        name = path.stem
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{source} is not valid TOML: {error}") from None
    return _enumerate(name, dict(defaults or {}) | content, overrides or {}, str(source))


def _enumerate(
    name: str, content: dict[str, Any], overrides: Mapping[str, Any], source: str
) -> Grid:
    mistakes: list[str] = []
    forced = _axes(overrides, "the command line", mistakes)
    common = {k: v for k, v in content.items() if k not in _TABLES and k != "title"}
    defaults = _axes(common, source, mistakes)
    tables = {t: _tables(content, t, source, mistakes) for t in _TABLES}

    jobs: dict[Job, None] = {}
    products = tables["product"] or ([{}] if not tables["job"] else [])
    for kind, table in [("product", t) for t in products] + [("job", t) for t in tables["job"]]:
        place = f"{source}, [[{kind}]]" if table else source
        axes = defaults | _axes(table, place, mistakes) | forced
        missing = [axis for axis in _REQUIRED if axis not in axes]
        if missing:
            mistakes.append(f"{place}: {', '.join(missing)} not given")
        elif not mistakes:
            for values in itertools.product(*axes.values()):
                try:
                    jobs[Job.create(**dict(zip(axes, values, strict=True)))] = None
                except RequestError as error:
                    mistakes.append(f"{place}: {error}")
                    break
    kept = list(jobs)
    for table in tables["exclude"]:
        axes = _axes(table, f"{source}, [[exclude]]", mistakes)
        hit = {job for job in kept if all(getattr(job, k) in v for k, v in axes.items())}
        if kept and not hit and not mistakes and not forced:
            mistakes.append(f"{source}, [[exclude]] {table}: matches no job")
        kept = [job for job in kept if job not in hit]
    if mistakes:
        raise RequestError("\n".join(dict.fromkeys(mistakes)))
    impossible = {job: reason for job in kept if (reason := _why_impossible(job))}
    if not kept:
        raise RequestError(f"{source} describes no job at all")
    if len(impossible) == len(kept):
        raise RequestError("\n".join(dict.fromkeys(impossible.values())))
    # Randomized blocks, so that drift of the machine does not fall on one architecture: every
    # system once for each repeat and seed, in the order of the keys, which hash repeat and seed
    # as well. So the order is in effect random, another one in each block, and the same again
    # whenever the grid is run.
    kept.sort(key=lambda job: (job.repeat, job.seed, job.key))
    return Grid(name, tuple(kept), impossible)


def _tables(
    content: Mapping[str, Any], name: str, source: str, mistakes: list[str]
) -> list[dict[str, Any]]:
    tables = content.get(name, [])
    if isinstance(tables, list) and all(isinstance(t, dict) for t in tables):
        return tables
    mistakes.append(f"{source}: write {name} as [[{name}]] tables")
    return []


def _axes(table: Mapping[str, Any], place: str, mistakes: list[str]) -> Axes:
    """Turn options into lists of checked values; what is wrong goes into `mistakes`."""
    axes: Axes = {}
    for name, given in table.items():
        if name in _COUNTS:
            if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
                axes[_COUNTS[name]] = list(range(given))
            else:
                mistakes.append(
                    f"{place}: {name} is how many, a whole number from 1, not {given!r}"
                )
        elif name not in FIELDS:
            mistakes.append(f"{place}: {unknown('option', name, [*FIELDS, *_COUNTS])}")
        else:
            try:
                values = [_value(name, v) for v in _listed(name, given)]
                axes[name] = list(dict.fromkeys(values))
            except RequestError as error:
                mistakes.append(f"{place}: {error}")
    return axes


def _listed(name: str, given: Any) -> Iterable[Any]:
    """The values an option stands for: one, a list, or for whole numbers a range ``"0..4"``."""
    values = given if isinstance(given, list | tuple) else [given]
    if not values:
        raise RequestError(f"{name} is an empty list")
    for value in values:
        if name in _WHOLE and isinstance(value, str):
            first, dots, last = value.partition("..")
            if not (dots and first.strip().isdigit() and last.strip().isdigit()):
                raise RequestError(
                    f"{name} takes whole numbers or a range like 0..4, not {value!r}"
                )
            if int(last) < int(first):
                raise RequestError(f"{name}: the range {value} is empty")
            yield from range(int(first), int(last) + 1)
        else:
            yield value


def _value(name: str, value: Any) -> Any:
    """Check one value of one option, and suggest the nearest name where a name is wrong."""
    if name in _WHOLE:
        if not isinstance(value, int) or isinstance(value, bool):
            raise RequestError(f"{name} takes whole numbers, not {value!r}")
        return value
    if name in _NUMBERS:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise RequestError(f"{name} takes a number, not {value!r}")
        return float(value)
    if not isinstance(value, str):
        raise RequestError(f"{name} takes a name, not {value!r}")
    if name == "architecture":
        architectures.get(value)
    elif name == "dataset":
        datasets.info(value)
    elif value not in _NAMES[name]:
        raise RequestError(unknown(name, value, _NAMES[name]))
    return value


def shape(job: Job) -> architectures.Shape:
    """Channels, height and width of the job's images."""
    info = datasets.info(job.dataset)
    return (info.channels, info.height, info.width)


def size(job: Job) -> architectures.Size | None:
    """What the job's model amounts to, or None for a family that can only be measured.

    Raises:
        RequestError: there is no such model for these images.
    """
    sizer = architectures.get(job.architecture).size
    return sizer(shape(job), job.latent, job.depth) if sizer else None


def steps(job: Job) -> int:
    """Training steps of the whole job; the last, partial batch of an epoch is dropped."""
    info = datasets.info(job.dataset)
    return (info.train_images - info.validation_images) // job.batch_size * job.epochs


def _why_impossible(job: Job) -> str:
    try:
        size(job)
    except RequestError as error:
        return str(error)
    if steps(job) == 0:
        return f"batch_size {job.batch_size} leaves no full batch of {job.dataset}"
    return ""
