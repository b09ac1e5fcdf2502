"""Everything that a results folder holds, while other processes write and fold in it.

The seven tables beside the parts and packs are a copy of what counts, for other tools. They are
made anew when other records count than those that they were made of; one that cannot be read is
given another name first, and never deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aebench.store.files import (
    PARTS,
    UNFINISHED,
    Problem,
    Source,
    Unusable,
    check_table,
    read_records,
    read_table,
    write_table,
)
from aebench.store.layout import NESTED, SHARED, TABLES, Mask, Rows, jobs_only, joined, winners

# What tells two rows of one job apart, in each table that has several.
_IDENTITY = {
    "epochs": ["key", "epoch"],
    "samples": ["key", "kind"],
    "probes": ["key", "kind", "input", "amplitude"],
    "rates": ["key", "dataset", "seed", "codec", "bottleneck", "bits", "quality"],
    "codes": ["key", "kind", "place"],
}


@dataclass(frozen=True)
class Contents:
    """The files that were read, all their records, which of these count, and what went wrong.

    `rows` are those of `sources`, one after the other; `wins` marks one record for each key.
    """

    sources: list[Source]
    rows: Rows
    wins: Mask
    problems: list[Problem]
    table_problems: list[Problem]

    @property
    def tables(self) -> dict[str, pa.Table]:
        """The seven tables of the records that count."""
        return dict(self.rows.only(self.wins, self.rows.shared).tables)

    @property
    def stamp(self) -> bytes:
        """A hash of which records count: what was made of the same ones need not be made anew."""
        counted = self.rows.jobs.filter(pa.array(self.wins))
        columns = (counted.column(name).to_pylist() for name in ("key", "status", "started_at"))
        lines = sorted(map(repr, zip(*columns, strict=True)))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest().encode()


def gather(
    folder: Path,
    *,
    nested: bool = True,
    wanted: Callable[[str], bool] = bool,
    tables: bool = True,
) -> Contents:
    """Read a folder; without `nested`, no more than the rows of `jobs` and each table's footer.

    Of ``parts/`` only files whose names are `wanted`; without `tables`, not these.
    """
    problems: list[Problem] = []
    sources = _parts(folder / PARTS, problems, nested, wanted)
    single = sum(source.rows.jobs.num_rows for source in sources)
    table_problems: list[Problem] = []
    if tables:
        sources += jobs_table(folder, table_problems)
    jobs = joined([source.rows for source in sources]).jobs
    standing = (np.arange(jobs.num_rows) < single).astype(np.int64)
    wins = winners(jobs, standing)
    for name in NESTED if tables else ():
        needed = name == "baselines" or (nested and bool(wins[single:].any()))
        sources = _beside(folder, name, sources, needed, table_problems)
    rows = joined([source.rows for source in sources])
    return Contents(sources, rows, wins, problems + table_problems, table_problems)


def listed(parts: Path) -> list[str]:
    """Names of the files in ``parts/`` that are no half-written ones."""
    names = os.listdir(parts)
    return sorted(n for n in names if n.endswith(".parquet") and not n.startswith(UNFINISHED))


def _parts(
    parts: Path, problems: list[Problem], nested: bool, wanted: Callable[[str], bool]
) -> list[Source]:
    sources: list[Source] = []
    seen: set[str] = set()
    while True:
        try:
            names = listed(parts)
        except FileNotFoundError:
            return sources
        except OSError as error:
            what = f"unreadable ({error.strerror})"
            problems.append(Problem(parts, what, "left out; make it a folder you may read"))
            return sources
        fresh = [n for n in names if n not in seen and wanted(n)]
        # What another process folded away since it was listed lies in a pack: look again, until
        # there is nothing new.
        if not fresh:
            return sources
        for name in fresh:
            try:
                source = read_records(parts / name, problems, nested=nested)
            except FileNotFoundError:
                continue
            seen.add(name)
            if source:
                sources.append(source)


def jobs_table(folder: Path, problems: list[Problem]) -> list[Source]:
    """What ``jobs.parquet`` holds, if it can be read: one source, or none."""
    path = folder / "jobs.parquet"
    try:
        jobs, version = read_table(path, "jobs")
    except FileNotFoundError:
        return []
    except Unusable as error:
        problems.append(error.problem)
        return []
    named = pc.fill_null(pc.greater(pc.utf8_length(jobs.column("key")), 0), False)
    once = jobs.filter(named)
    once = once.filter(pa.array(winners(once, np.zeros(once.num_rows, np.int64))))
    for count, what in (
        (jobs.num_rows - pc.sum(named).as_py() if jobs.num_rows else 0, "have no key"),
        ((pc.sum(named).as_py() or 0) - once.num_rows, "are there a second time"),
    ):
        if count:
            problems.append(Problem(path, f"{count} of its jobs {what}", "these are left out"))
    return [Source(path, version, jobs_only(once), whole=once.num_rows == jobs.num_rows)]


def _beside(
    folder: Path, name: str, sources: list[Source], needed: bool, problems: list[Problem]
) -> list[Source]:
    """Add a table's rows to the jobs of ``jobs.parquet``; unless `needed`, only look at it."""
    path = folder / f"{name}.parquet"
    try:
        if not needed:
            check_table(path, name)
            return sources
        table, version = read_table(path, name)
    except FileNotFoundError:
        return sources
    except Unusable as error:
        problems.append(error.problem)
        return sources
    if not sources or sources[-1].path.parent != folder:
        sources = [*sources, Source(path, version, joined([]))]
    jobs = sources[-1]
    if name == "baselines":
        owner = np.zeros(table.num_rows, np.int64)
    else:
        positions = pc.index_in(table.column("key"), jobs.rows.jobs.column("key"))
        if name in SHARED:  # its rows without a key are no job's
            positions = pc.if_else(pc.is_null(table.column("key")), 0, positions)
        table = table.filter(pc.is_valid(positions))
        owner = positions.drop_null().to_numpy().astype(np.int64)
        if not jobs.whole:  # what repeats jobs repeats their rows
            again = table.select(_IDENTITY[name]).to_pandas().duplicated().to_numpy()
            table, owner = table.filter(pa.array(~again)), owner[~again]
    rows = Rows(dict(jobs.rows.tables) | {name: table}, dict(jobs.rows.owner) | {name: owner})
    return [*sources[:-1], Source(jobs.path, jobs.version, rows, jobs.whole)]


# The seven tables, a copy

_STAMP = b"aebench_records"  # of which records a table was made


def up_to_date(folder: Path, packed: bool) -> bool:
    """Whether the tables need not be made anew: they hold what counts, or are all there is."""
    contents = gather(folder, nested=False)
    if any(not problem.newer for problem in contents.table_problems):
        return False
    with contextlib.suppress(FileNotFoundError, Unusable):
        said = [check_table(_path(folder, name), name).get(_STAMP) for name in TABLES]
        return not packed or set(said) == {contents.stamp}
    return not packed


def make_tables(folder: Path, contents: Contents) -> list[Problem]:
    """Make the tables of `contents`, and tell of those set aside or not to be replaced.

    Where a newer aebench has written one, all stay as they are.

    Raises:
        OSError: the system refuses.
    """
    if any(problem.newer for problem in contents.table_problems):
        return []
    told = _set_aside(folder, contents)
    tables = contents.tables
    for name in reversed(TABLES):  # `jobs` last: its jobs then have their other rows beside it
        path = _path(folder, name)
        try:
            write_table(path, tables[name], {_STAMP: contents.stamp})
        except PermissionError as error:  # the records are stored; this is their copy
            what = f"cannot be made anew ({error.strerror})"
            return [*told, Problem(path, what, "other tools read older records there")]
    return told


def _set_aside(folder: Path, contents: Contents) -> list[Problem]:
    """Give another name to each table that cannot be read, or whose jobs cannot."""
    moved = {problem.path: problem.what for problem in contents.table_problems}
    jobs = _path(folder, "jobs")
    if jobs in moved or not jobs.exists():
        keys = contents.rows.jobs.column("key")
        for name in (n for n in NESTED if n != "baselines"):
            with contextlib.suppress(FileNotFoundError, Unusable):
                table, _ = read_table(_path(folder, name), name)
                known = pc.is_in(table.column("key").drop_null(), keys)
                if not pc.all(known, min_count=0).as_py():
                    what = "holds rows of jobs that jobs.parquet would name"
                    moved.setdefault(_path(folder, name), what)
    told = []
    for path, what in moved.items():
        number = 1
        while os.path.lexists(aside := path.with_name(f"{path.name}.aside-{number}")):
            number += 1
        path.rename(aside)
        told.append(Problem(path, what, f"set aside as {aside.name}"))
    return told


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.parquet"
