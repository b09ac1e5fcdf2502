"""The five tables beside the parts and packs: a copy of what counts, for other tools.

Made anew when other records count than those that they were made of. One that cannot be read is
given another name first, and never deleted.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pyarrow.compute as pc

from aebench.store import files
from aebench.store.contents import Contents, gather
from aebench.store.files import Problem, Unusable
from aebench.store.layout import TABLES

_STAMP = b"aebench_records"  # of which records a table was made


def up_to_date(folder: Path, packed: bool) -> bool:
    """Whether the tables need not be made anew: they hold what counts, or are all there is."""
    contents = gather(folder, nested=False)
    if any(not problem.newer for problem in contents.table_problems):
        return False
    with contextlib.suppress(FileNotFoundError, Unusable):
        said = [files.check_table(_path(folder, name), name).get(_STAMP) for name in TABLES]
        return not packed or set(said) == {contents.stamp}
    return not packed


def make(folder: Path, contents: Contents) -> list[Problem]:
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
            files.write_table(path, tables[name], {_STAMP: contents.stamp})
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
        for name in ("epochs", "samples", "probes"):
            with contextlib.suppress(FileNotFoundError, Unusable):
                table, _ = files.read_table(_path(folder, name), name)
                if not pc.all(pc.is_in(table.column("key"), keys)).as_py():
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
