"""Grids: which jobs to run. Enumerates, validates and slices; runs nothing and imports no torch.

A grid file is TOML. Every key is the name of a command-line option, with dashes or underscores;
the command line wins over the file. See `aebench/grids/` for the presets.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from aebench import architectures, datasets, engines, protocols
from aebench.datasets import own
from aebench.errors import RequestError, printable, unknown
from aebench.job import LEAST, NAMES, OPTIONS, Job, checked, shown

PRESETS = ("quick", "hour", "study", "full", "search")

_REQUIRED = ("architecture", "dataset", "latent")
_TABLES = ("product", "job", "exclude")
# Options of `aebench run` that say how to run a grid, not which jobs it has.
_RUN_OPTIONS = (
    "grid", "shard", "plan", "retry_failed", "plugin", "workers", "timeout", "results", "data",
    "report", "keep_weights", "retrain", "checkpoint",
)  # fmt: skip
_LONGEST_NUMBER = 40  # digits: far beyond any that is allowed, and Python refuses thousands
_MOST = 1_000_000  # values of one option, jobs of one table: far more is a slip, and would hang
_COUNTS = {"seeds": "seed", "repeats": "repeat"}  # how many, instead of a list
_NAMES = NAMES | {"engine": (*NAMES["engine"], "auto")}

Axes = dict[str, list[Any]]


@dataclass(frozen=True)
class Grid:
    """A named, ordered set of jobs, and those that cannot be built, each with the reason.

    `notes` are sentences that whoever runs the grid should read, such as files left out.
    """

    name: str
    jobs: tuple[Job, ...]
    impossible: Mapping[Job, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def shard(self, index: int, count: int) -> Grid:
        """Part `index` of `count` (from 1), by key, so that every machine agrees on the parts.

        Raises:
            RequestError: no such part.
        """
        if not 1 <= index <= count:
            raise RequestError(f"shard {index}/{count}: parts are numbered from 1 to {count}")
        jobs = tuple(job for job in self.jobs if int(job.key, 16) % count == index - 1)
        impossible = {j: self.impossible[j] for j in jobs if j in self.impossible}
        return replace(self, jobs=jobs, impossible=impossible)


def load_grid(
    source: str | None,
    overrides: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    data: Path | None = None,
) -> Grid:
    """Enumerate a preset, a TOML file, or, with no source, what the overrides alone describe.

    `overrides` maps option names to a value, a list or a range text (``"0..4"``); each replaces
    that key everywhere in the file. `defaults` holds where neither says anything. A dataset may be
    a path to a folder or file of images, relative to the grid file or, in `overrides`, to the
    current folder; its pixels are then prepared in the data cache `data` (see `datasets.own`).

    Raises:
        RequestError: every mistake found, one a line, with its place and the nearest valid name.
    """
    notes: dict[str, None] = {}
    forced = _with_own_data(overrides or {}, Path(), data, notes)
    name, shown_source, content = "custom", "the command line", dict(defaults or {})
    if source is not None:
        name, shown_source = Path(source).stem, printable(source)
        content |= _with_own_data(_table(source), Path(source).parent, data, notes)
    grid = _enumerate(name, content, forced, shown_source)
    return replace(grid, notes=(*notes, *grid.notes))


def _table(source: str) -> dict[str, Any]:
    """What a preset or a TOML file says."""
    shown_source, path = printable(source), Path(source)
    if source in PRESETS:
        text = (resources.files("aebench") / "grids" / f"{source}.toml").read_text("utf-8")
    elif path.suffix.lower() != ".toml":
        raise RequestError(f"{unknown('grid', source, PRESETS)}, or name a file ending in .toml")
    else:
        try:
            text = path.read_text("utf-8-sig")  # some editors begin a file with a mark
        except FileNotFoundError:
            raise RequestError(f"no grid file at {shown_source}") from None
        except (OSError, ValueError) as error:  # ValueError: no text, or no name of a file
            raise RequestError(f"cannot read the grid file {shown_source}: {error}") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also for a number of thousands of digits
        raise RequestError(f"{shown_source} is not valid TOML: {error}") from None


def _with_own_data(
    table: Mapping[str, Any], base: Path, data: Path | None, notes: dict[str, None]
) -> dict[str, Any]:
    """`table` with all data of one's own replaced by the name of the dataset that it becomes."""

    def named(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        adopted = own.find(value, base, data)
        if adopted is None:
            return value
        notes.update({adopted.note: None} if adopted.note else {})
        return adopted.info.name

    replaced = dict(table)
    for key, value in table.items():
        values = value if isinstance(value, list) else [value]
        if key == "dataset":
            replaced[key] = [named(v) for v in values]
        elif key == "protocol":
            replaced[key] = [
                str(base / v) if isinstance(v, str) and protocols.is_file(v) else v for v in values
            ]
        elif key in _TABLES and isinstance(value, list):
            replaced[key] = [
                _with_own_data(t, base, data, notes) if isinstance(t, dict) else t for t in value
            ]
    return replaced


def _enumerate(
    name: str, content: dict[str, Any], overrides: Mapping[str, Any], source: str
) -> Grid:
    mistakes: list[str] = []
    forced = _axes(overrides, "the command line", mistakes)
    common = {k: v for k, v in content.items() if k not in _TABLES and k != "title"}
    defaults = _axes(common, source, mistakes, beside=("title", *_TABLES))
    tables = {name: content.get(name, []) for name in _TABLES}
    for wrong in (n for n, t in tables.items() if not _is_tables(t)):
        mistakes.append(f"{source}: write {wrong} as [[{wrong}]] tables")
        tables[wrong] = []
    jobs: dict[Job, None] = {}
    notes: dict[str, None] = {}
    if not (tables["product"] or tables["job"]):
        tables["product"] = [{}]
    for name_of_table in ("product", "job"):
        for table in tables[name_of_table]:
            where = f"{source}, [[{name_of_table}]]" if table else source
            axes = defaults | _axes(table, where, mistakes) | forced
            if missing := [axis for axis in _REQUIRED if axis not in axes]:
                mistakes.append(f"{where}: {', '.join(missing)} not given")
            else:
                _multiply(axes, where, jobs, mistakes, notes)
    kept = dict(jobs)
    for table in tables["exclude"]:
        axes = _axes(table, f"{source}, [[exclude]]", mistakes)
        hit = [job for job in jobs if all(getattr(job, k) in v for k, v in axes.items())]
        # What the command line has overridden may rightly leave nothing to exclude.
        if not hit and not mistakes and not forced:
            mistakes.append(f"{source}, [[exclude]] {table}: matches no job")
        for job in hit:
            kept.pop(job, None)
    if mistakes:
        raise RequestError("\n".join(dict.fromkeys(mistakes)))
    impossible = {job: reason for job in kept if (reason := _why_impossible(job))}
    if not kept:
        raise RequestError(f"{source} describes no job at all")
    if len(impossible) == len(kept):
        raise RequestError("\n".join(dict.fromkeys(impossible.values())))
    # Randomized blocks, so that drift of the machine does not fall on one architecture: every
    # system once for each repeat and seed, in the order of the keys. These hash repeat and seed
    # too, so that the order is in effect random, another in each block, the same in every run.
    ordered = sorted(kept, key=lambda job: (job.repeat, job.seed, job.key))
    return Grid(name, tuple(ordered), impossible, tuple(notes))


def _multiply(
    axes: Axes, where: str, jobs: dict[Job, None], mistakes: list[str], notes: dict[str, None]
) -> None:
    """Add the job of every combination of values to `jobs`."""
    if [] in axes.values():
        return  # a wrong value, named already
    count = math.prod(map(len, axes.values()))
    if count > _MOST:
        mistakes.append(f"{where}: {count:,} jobs, and a grid holds at most {_MOST:,}")
        return
    for values in itertools.product(*axes.values()):
        try:
            jobs[_job(dict(zip(axes, values, strict=True)), notes)] = None
        except RequestError as error:
            mistakes.append(f"{where}: {error}")
            return


def _job(fields: dict[str, Any], notes: dict[str, None]) -> Job:
    protocol = fields.get("protocol", Job.protocol)
    if protocols.is_file(protocol):
        chosen = protocols.from_file(Path(protocol), fields["architecture"])
        fields = dataclasses.asdict(chosen) | fields | {"protocol": Job.protocol}
    if fields.get("engine") != "auto":
        job = Job.create(**fields)
        if why := engines.trouble(job.engine):
            raise engines.unavailable(job.engine, why)
        return job
    asked = (
        fields["architecture"],
        fields.get("device", Job.device),
        fields.get("depth", Job.depth),
        fields.get("precision", Job.precision),
    )
    engine, note = engines.choose(*asked)
    if note:
        notes[note] = None
    return Job.create(**fields | {"engine": engine, "engine_choice": "auto"})


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(table, dict) for table in value)


def _axes(
    table: Mapping[str, Any], where: str, mistakes: list[str], beside: Sequence[str] = ()
) -> Axes:
    """Turn options into lists of checked values; what is wrong goes into `mistakes`.

    An option whose value is wrong keeps its place with an empty list, so that nobody says it was
    not given. `beside` names what else may stand in the table.
    """
    axes: Axes = {}
    for written, given in table.items():
        option = written.replace("-", "_")
        name = _COUNTS.get(option, option)
        if option in _RUN_OPTIONS:
            mistakes.append(
                f"{where}: {written} says how to run a grid, not which jobs it has;"
                f" give it on the command line, as --{option.replace('_', '-')}"
            )
        elif name not in OPTIONS:
            mistakes.append(f"{where}: {unknown('option', written, [*OPTIONS, *_COUNTS, *beside])}")
        elif name in axes:
            mistakes.append(f"{where}: {name} is given twice, the second time as {written}")
        else:
            try:
                values = _first(option, given) if option in _COUNTS else _listed(name, given)
                axes[name] = list(dict.fromkeys(_value(name, v) for v in values))
            except RequestError as error:
                axes[name] = []
                mistakes.append(f"{where}: {error}")
    return axes


def _first(option: str, given: Any) -> Iterable[int]:
    """Seeds, or repeats, 0 to `given` - 1."""
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= _MOST:
        raise RequestError(
            f"{option} is how many, a whole number from 1 to {_MOST:,}, not {shown(given)}"
        )
    return range(given)


def _listed(name: str, given: Any) -> Iterable[Any]:
    """The values an option stands for: one, a list, or for whole numbers a range ``"0..4"``."""
    values = given if isinstance(given, list | tuple) else [given]
    if not values:
        raise RequestError(f"{name} is an empty list")
    for value in values:
        if name in LEAST and isinstance(value, str):
            first, dots, last = (part.strip() for part in value.partition(".."))
            if not (dots and first.isdecimal() and last.isdecimal()):
                raise RequestError(
                    f"{name} takes whole numbers or a range like 0..4, not {shown(value)}"
                )
            if max(len(first), len(last)) > _LONGEST_NUMBER:
                raise RequestError(f"{name}: a number in the range is too long")
            if int(last) < int(first):
                raise RequestError(f"{name}: the range {value} is empty")
            if int(last) - int(first) >= _MOST:
                raise RequestError(f"{name}: the range {value} has more than {_MOST:,} values")
            yield from range(int(first), int(last) + 1)
        else:
            yield value


def _value(name: str, value: Any) -> Any:
    """Check one value of one option, and suggest the nearest name where a name is wrong."""
    if name in LEAST or name in ("learning_rate", "train_noise"):
        return checked(name, value)
    if not isinstance(value, str):
        quoted = f'; in a grid file names stand in quotes: "{shown(value)}"'
        hint = quoted if isinstance(value, int | float) else ""
        raise RequestError(f"{name} takes a name, not {shown(value)}{hint}")
    if name == "architecture":
        architectures.get(value)
    elif name == "dataset":
        datasets.info(value)
    elif value not in _NAMES[name] and not (name == "protocol" and protocols.is_file(value)):
        raise RequestError(unknown(name, value, _NAMES[name]))
    return value


def size(job: Job) -> architectures.Size | None:
    """What the job's model amounts to, or None for a family that can only be measured.

    Raises:
        RequestError: there is no such model for these images.
    """
    sizer = architectures.get(job.architecture).size
    shape = datasets.info(job.dataset).image_shape
    return sizer(shape, job.latent, job.depth) if sizer else None


def steps(job: Job) -> int:
    """Training steps of the whole job; the last, partial batch of an epoch is dropped."""
    return _images(job) // job.batch_size * job.epochs


def _images(job: Job) -> int:
    """Images in the training split."""
    info = datasets.info(job.dataset)
    return info.train_images - info.validation_images


def _why_impossible(job: Job) -> str:
    """Why there can be no such job, whatever machine it runs on; empty if there can."""
    try:
        size(job)
    except RequestError as error:
        return str(error)
    if steps(job) == 0:
        return (
            f"batch_size {job.batch_size} is more than the {_images(job):,} training images of"
            f" {job.dataset}, so no full batch is left; give --batch-size {_images(job)} or less"
        )
    return engines.untrainable(job.engine, job.architecture, job.depth)
