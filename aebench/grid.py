"""Grids: which jobs to run. Enumerates, validates and slices; runs nothing and imports no torch.

A grid file is TOML. Every key is the name of a command-line option, with dashes or underscores;
the command line wins over the file. See `aebench/grids/` for the presets.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from operator import attrgetter
from pathlib import Path
from typing import Any

from aebench import architectures, datasets, engines, protocols
from aebench.axes import MOST_VALUES, OF_MODEL, Axes, read_axes
from aebench.datasets import own
from aebench.errors import RequestError, printable, unknown
from aebench.job import FIELDS, Job, checked
from aebench.selection import matches

PRESETS = ("quick", "study", "best", "full")
SEARCHES = ("search",)
"""Presets for `aebench tune`."""

_REQUIRED = ("architecture", "dataset", "latent")
_TABLES = ("product", "job", "exclude")


@dataclass(frozen=True)
class Grid:
    """A named, ordered set of jobs, and those that cannot be built, each with the reason.

    `notes` are sentences that whoever runs the grid should read, such as files left out. `repeated`
    are jobs of which the whole grid, whatever part this is, has further repeats.
    """

    name: str
    jobs: tuple[Job, ...]
    impossible: Mapping[Job, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    repeated: frozenset[Job] = frozenset()

    def shard(self, index: int, count: int) -> Grid:
        """Part `index` of `count` (from 1), by key, so that every machine agrees on the parts.

        Raises:
            RequestError: no such part.
        """
        if not 1 <= index <= count:
            raise RequestError(f"shard {index}/{count}: parts are numbered from 1 to {count}")
        return self.of(job for job in self.jobs if int(job.common_key, 16) % count == index - 1)

    def of(self, some: Iterable[Job]) -> Grid:
        """The same grid with these of its jobs only."""
        jobs = tuple(some)
        impossible = {j: self.impossible[j] for j in jobs if j in self.impossible}
        return replace(self, jobs=jobs, impossible=impossible)


def load_grid(
    source: str | None,
    overrides: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Any] | None = None,
    data: Path | None = None,
    asker: str = "the command line",
) -> Grid:
    """Enumerate a preset, a TOML file, or, with no source, what the overrides alone describe.

    `overrides` maps option names to a value, a list or a range text (``"0..4"``); each replaces
    that key everywhere in the file. `defaults` holds where neither says anything; the engine is
    then ``auto``. A dataset may be a path to a folder or file of images, relative to the grid file
    or, in `overrides`, to the current folder; its pixels are then prepared in the data cache `data`
    (see `datasets.own`). `asker` is what to call the place that the overrides come from.

    Raises:
        RequestError: every mistake found, one a line, with its place and the nearest valid name.
    """
    notes: dict[str, None] = {}
    forced = with_own_data(overrides or {}, Path(), data, notes)
    name, shown_source = "custom", asker
    content = {"engine": "auto", **(defaults or {})}
    if source is not None:
        name, shown_source = Path(source).stem, printable(source)
        table = read_toml(source)
        if "search" in table:
            raise RequestError(
                f"{shown_source} describes a search, which `aebench tune` runs: aebench tune --grid"
                f" {shown_source} --budget 1h --out tuned.toml"
            )
        content |= with_own_data(table, Path(source).parent, data, notes)
    grid = _enumerate(name, content, forced, shown_source, asker)
    return replace(grid, notes=(*notes, *grid.notes))


def read_toml(source: str) -> dict[str, Any]:
    """What a preset or a TOML file says.

    Raises:
        RequestError: there is none such, or it is not TOML.
    """
    shown_source, path = printable(source), Path(source)
    if source in (*PRESETS, *SEARCHES):
        text = (resources.files("aebench") / "grids" / f"{source}.toml").read_text("utf-8")
    elif path.suffix.lower() != ".toml":
        raise RequestError(
            f"{unknown('grid', source, (*PRESETS, *SEARCHES))}, or name a file ending in .toml"
        )
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


def with_own_data(
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
                with_own_data(t, base, data, notes) if isinstance(t, dict) else t for t in value
            ]
    return replaced


def _enumerate(
    name: str, content: dict[str, Any], overrides: Mapping[str, Any], source: str, asker: str
) -> Grid:
    mistakes: list[str] = []
    forced = read_axes(overrides, asker, mistakes)
    common = {k: v for k, v in content.items() if k not in _TABLES and k != "title"}
    defaults = read_axes(common, source, mistakes, beside=("title", *_TABLES))
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
            axes = defaults | read_axes(table, where, mistakes) | forced
            if missing := [axis for axis in _REQUIRED if axis not in axes]:
                mistakes.append(f"{where}: {', '.join(missing)} not given")
            else:
                _multiply(axes, where, jobs, mistakes, notes)
    kept = dict(jobs)
    for table in tables["exclude"]:
        axes = read_axes(table, f"{source}, [[exclude]]", mistakes)
        try:
            hit = [job for job in jobs if matches(job, axes)]
        except RequestError as error:
            mistakes.append(f"{source}, [[exclude]]: {error}")
            continue
        # What the command line has overridden may rightly leave nothing to exclude.
        if not hit and not mistakes and not forced:
            mistakes.append(f"{source}, [[exclude]] {table}: matches no job")
        for job in hit:
            kept.pop(job, None)
    if mistakes:
        raise RequestError("\n".join(dict.fromkeys(mistakes)))
    why: dict[tuple[Any, ...], str] = {}
    for job in kept:
        if (of := system(job)) not in why:
            why[of] = why_impossible(job)
    impossible = {job: reason for job in kept if (reason := why[system(job)])}
    if not kept:
        raise RequestError(f"{source} describes no job at all")
    if len(impossible) == len(kept):
        raise RequestError("\n".join(dict.fromkeys(impossible.values())))
    # Randomized blocks, so that drift of the machine does not fall on one architecture: every
    # system once for each repeat and seed, in the order of the keys. These hash repeat and seed
    # too, so that the order is in effect random, another in each block, the same in every run.
    ordered = sorted(kept, key=lambda job: (job.repeat, job.seed, job.key))
    return Grid(name, tuple(ordered), impossible, tuple(notes), repeated(kept))


_setting = attrgetter(*(name for name in FIELDS if name != "repeat"))
system = attrgetter(*(name for name in FIELDS if name not in ("seed", "repeat")))
"""What jobs that differ in seed and repeat alone have in common."""


def repeated(jobs: Collection[Job]) -> frozenset[Job]:
    """Those of `jobs` of which others differ in their repeat alone: jobs run for their times."""
    count = Counter(map(_setting, jobs))
    return frozenset(job for job in jobs if count[_setting(job)] > 1)


def _multiply(
    axes: Axes, where: str, jobs: dict[Job, None], mistakes: list[str], notes: dict[str, None]
) -> None:
    """Add the job of every combination of values to `jobs`."""
    if [] in axes.values():
        return  # a wrong value, named already
    count = math.prod(map(len, axes.values()))
    if count > MOST_VALUES:
        mistakes.append(f"{where}: {count:,} jobs, and a grid holds at most {MOST_VALUES:,}")
        return
    # Of each system one job is made and checked; thousands may differ in seed and repeat alone.
    counts = {name: axes[name] for name in ("seed", "repeat") if name in axes}
    systems = {name: values for name, values in axes.items() if name not in counts}
    numbers = list(itertools.product(counts.get("seed", [0]), counts.get("repeat", [0])))
    for values in itertools.product(*systems.values()):
        try:
            first = make_job(dict(zip(systems, values, strict=True)), notes)
            jobs.update((first.again(*each), None) for each in numbers)
        except RequestError as error:
            mistakes.append(f"{where}: {error}")
            return


def make_job(fields: dict[str, Any], notes: dict[str, None]) -> Job:
    """The job that `fields` describe, names of axes to values; `notes` takes what to know of it.

    Raises:
        RequestError: there can be no such job.
    """
    options = {k: v for k, v in fields.items() if k.startswith(OF_MODEL)}
    fields = {k: v for k, v in fields.items() if k not in options}
    if options:
        named = {k.removeprefix(OF_MODEL): v for k, v in options.items()}
        fields["options"] = architectures.canonical(fields["architecture"], named)
    protocol = fields.get("protocol", Job.protocol)
    family, where = fields["architecture"], (fields["dataset"], fields["latent"])
    if fields.pop("model", "given") == "tuned":
        if said := [name for name in ("depth", "options") if name in fields]:
            raise RequestError(
                f"model tuned takes depth and options from the protocol's search, and"
                f" {' and '.join(said)} {'is' if len(said) == 1 else 'are'} given as well; leave"
                " out one or the other"
            )
        best = protocols.best_model(protocol, family, *where)
        fields |= {"depth": best.depth, "options": best.options}
    form = architectures.canonical(family, fields.get("options", Job.options))
    model = (*where, fields.get("depth", Job.depth), form)
    if protocols.is_file(protocol):
        entry = protocols.from_file(Path(protocol), family, *model)
        _check_settings(entry, printable(Path(protocol).name))
        source = f"{printable(Path(protocol).name)}: {entry.source}"
        fields = dataclasses.asdict(entry.settings) | {"settings_from": source} | fields
        fields["protocol"] = Job.protocol
    if fields.get("engine") != "auto":
        job = Job.create(**fields)
        if why := engines.trouble(job.engine, job.precision):
            raise engines.unavailable(job.engine, why, job.precision)
        return job
    asked = {
        name: fields.get(name, getattr(Job, name))
        for name in ("device", "depth", "precision", "options")
    }
    how = protocols.settings(fields.get("protocol", Job.protocol), family, *model)
    how = replace(how, **{n: fields[n] for n in vars(how) if n in fields})
    plain = protocols.plain(how)
    engine, why, note = engines.choose(family, **asked, plain=plain)
    if note:
        notes[note] = None
    return Job.create(**fields | {"engine": engine, "engine_choice": f"auto: {why}"})


def _check_settings(entry: protocols.Entry, file: str) -> None:
    """Refuse the settings of an entry in a user's file as a mistake in that file."""
    for name, value in vars(entry.settings).items():
        try:
            checked(name, value)
        except RequestError as error:
            latents = ", ".join(map(str, entry.latent))
            of = f" for {entry.dataset}, latent {latents}" if entry.dataset else ""
            raise RequestError(f"{file}, [[{entry.architecture}]]{of}: {error}") from None


def _is_tables(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(table, dict) for table in value)


def size(job: Job) -> architectures.Size | None:
    """What the job's model amounts to, or None for a family that can only be measured.

    Raises:
        RequestError: there is no such model for these images.
    """
    shape = datasets.info(job.dataset).image_shape
    family = architectures.get(job.architecture)
    return family.sized(shape, job.latent, job.depth, job.options)


def steps(job: Job) -> int:
    """Training steps of the whole job; the last, partial batch of an epoch is dropped."""
    return _images(job) // job.batch_size * job.epochs


def _images(job: Job) -> int:
    """Images in the training split."""
    info = datasets.info(job.dataset)
    return info.train_images - info.validation_images


def why_impossible(job: Job) -> str:
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
    return engines.untrainable(job.engine, job.architecture, job.depth, job.options)
