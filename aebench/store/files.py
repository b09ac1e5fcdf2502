"""One file of a results folder: read whatever lies there without harm, write it whole or not.

Leaves to others which files there are, and what a record in several of them means.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from aebench import schema
from aebench.disk import write_whole
from aebench.errors import RequestError, printable
from aebench.store.layout import (
    NESTED,
    SHARED,
    TABLES,
    Misfit,
    Rows,
    conformed,
    jobs_only,
    unnested,
)

VERSION_KEY = b"aebench_schema"
UNFINISHED = "."  # begins names of half-written files, and keeps them out of readers' globs
PARTS = "parts"
PACK = "pack-"
Version = tuple[int, int, int]  # what tells a file from one put in its place

_DELETE = "left out; remove it, and if it held a job's only record, run the same command again"
_RERUN = "left out; `aebench run` trains again what no other file here holds"
_SET_ASIDE = "left out; `aebench run` sets it aside and makes it anew of what else is here"


@dataclass(frozen=True)
class Problem:
    """A file of which something was left out: what was wrong with it, and what to do.

    `newer` marks what a newer aebench wrote, which is whole and none of ours to move.
    """

    path: Path
    what: str
    advice: str
    newer: bool = False

    def __str__(self) -> str:
        return f"{printable(self.path, 1000)}: {self.what}; {self.advice}"


@dataclass(frozen=True, eq=False)
class Source:
    """A file that was read: its records, and whether they are all that it holds."""

    path: Path
    version: Version
    rows: Rows
    whole: bool = True


class Unusable(Exception):
    """A file that holds nothing for us; carries the problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def read_records(path: Path, problems: list[Problem], *, nested: bool = True) -> Source | None:
    """Records of a part or a pack; None, and a problem, where there are none to be had.

    Without `nested`, of a pack no more than the rows of `jobs`. A part is whole or left out, lest
    a job whose curve is lost pass for done; of a pack, which holds many jobs, what can be read is.

    Raises:
        FileNotFoundError: there is no such file any more.
    """
    packed = path.name.startswith(PACK)
    lists = [f"{name}_rows" for name in NESTED] if nested or not packed else []
    faults: list[Problem] = []
    try:
        with _opened(path) as (file, version):
            try:
                table = _columns(path, file, [*TABLES["jobs"].names, *lists])
            except Unusable as error:
                faults.append(error.problem)
                table, lists = _columns(path, file, TABLES["jobs"].names), []
        jobs = _fitting(path, table, "jobs")
        _check_keys(path, jobs)
        rows = jobs_only(jobs)
        tables, owner = dict(rows.tables), dict(rows.owner)
        for name in NESTED if lists else ():
            if f"{name}_rows" in table.column_names:  # else from before there was such a table
                column = table.column(f"{name}_rows")
                try:
                    tables[name], owner[name] = _owned(path, jobs, column, name)
                except Unusable as error:
                    faults.append(error.problem)
    except Unusable as error:
        problems.append(error.problem)
        return None
    problems += faults
    if faults and not packed:
        return None
    return Source(path, version, Rows(tables, owner), whole=not faults)


def read_table(path: Path, name: str) -> tuple[pa.Table, Version]:
    """One of the seven tables.

    Raises:
        FileNotFoundError: there is no such file.
        Unusable: it is not ours, or torn.
    """
    with _opened(path) as (file, version):
        return _fitting(path, _columns(path, file, TABLES[name].names), name), version


def check_table(path: Path, name: str) -> dict[bytes, bytes]:
    """What one of the seven tables says of itself, without reading its rows.

    Raises:
        FileNotFoundError: there is no such file.
        Unusable: it is not ours, torn, or of other columns.
    """
    with _opened(path) as (file, _):
        _fitting(path, file.schema_arrow.empty_table(), name)
        return dict(file.schema_arrow.metadata)


def size(path: Path) -> tuple[int, int] | None:
    """Records and bytes of a pack; None where it cannot be read."""
    try:
        with _opened(path) as (file, version):
            return file.metadata.num_rows, version[-1]
    except (Unusable, FileNotFoundError):
        return None


def version_of(path: Path) -> Version | None:
    """The version of the file that lies there now; None where there is none."""
    try:
        return _version(path.stat())
    except OSError:
        return None


def write_table(target: Path, table: pa.Table, said: dict[bytes, bytes] | None = None) -> None:
    """Put `table` at `target` at once and whole; its metadata is `said` and our version."""
    write_whole(target, encoded(table, said))


def write_records(folder: Path, stem: str, records: pa.Table) -> Path:
    """Put `records` into a file in `folder` whose name, begun by `stem`, is made of its content."""
    content = encoded(records, packed=stem == PACK)
    target = folder / f"{stem}{hashlib.sha256(content).hexdigest()[:16]}.parquet"
    write_whole(target, content)
    return target


def encoded(
    table: pa.Table, said: dict[bytes, bytes] | None = None, *, packed: bool = True
) -> memoryview:
    """`table` as the bytes of a Parquet file; checksums let a reader notice what has rotted.

    What is not `packed` is one record, which will be read once, to be packed: for that a compressor
    for each of its columns takes thrice as long as all else, and there is nothing to look up.
    """
    made = {VERSION_KEY: str(schema.VERSION).encode()} | (said or {})
    sink = pa.BufferOutputStream()
    pq.write_table(
        table.replace_schema_metadata(made),
        sink,
        compression="zstd" if packed else "snappy",
        use_dictionary=packed,
        write_statistics=packed,
        write_page_checksum=True,
    )
    return memoryview(sink.getvalue())


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Whatever the system refuses meanwhile becomes one sentence about `folder`.

    Raises:
        RequestError: the system refused.
    """
    try:
        yield
    except OSError as error:
        raise RequestError(
            f"cannot write a record to {printable(folder, 1000)}"
            f" ({printable(error.strerror or error)}); what finished before is"
            " kept. Make room there, or choose another folder with --results,"
            " and run the same command again"
        ) from error


def _version(status: os.stat_result) -> Version:
    return (status.st_ino, status.st_mtime_ns, status.st_size)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[pq.ParquetFile, Version]]:
    """Open one of our files, never waiting for what is no file."""
    try:
        # Without waiting, for a pipe has no end until somebody writes to it.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | _BINARY)
    except FileNotFoundError:
        if not path.is_symlink():
            raise
        problem = Problem(path, "unreadable (a link that leads nowhere)", _DELETE)
        raise Unusable(problem) from None
    except OSError as error:
        raise Unusable(_unreadable(path, error)) from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise Unusable(Problem(path, "unreadable (no regular file)", _advice(path)))
    with os.fdopen(handle, "rb") as raw:
        try:
            file = pq.ParquetFile(raw, page_checksum_verification=True)
            version = int((file.schema_arrow.metadata or {}).get(VERSION_KEY, b"-1"))
        except Exception as error:  # whatever bytes lie there, and whatever they make pyarrow raise
            raise Unusable(_unreadable(path, error)) from error
        with file:
            if version < 0:
                raise Unusable(Problem(path, "not written by aebench", "left out"))
            if version > schema.VERSION:
                what = (
                    f"written by a newer aebench (schema {version}, this one reads up to"
                    f" {schema.VERSION})"
                )
                raise Unusable(Problem(path, what, "left out, upgrade to read it", newer=True))
            yield file, _version(status)


_BINARY = getattr(os, "O_BINARY", 0)


def _columns(path: Path, file: pq.ParquetFile, names: Sequence[str]) -> pa.Table:
    try:
        table = file.read(columns=list(names), use_threads=False)
        table.validate(full=True)  # else a text that is no UTF-8 is found much later
    except Exception as error:  # as above
        raise Unusable(_unreadable(path, error)) from error
    return table


def _fitting(path: Path, table: pa.Table, name: str) -> pa.Table:
    try:
        return conformed(table, TABLES[name])
    except Misfit as error:
        raise Unusable(Problem(path, f"unreadable ({printable(error)})", _advice(path))) from error


def _check_keys(path: Path, jobs: pa.Table) -> None:
    """That a part or pack holds what its name says; a copy under another name does not."""
    keys = jobs.column("key").to_pylist()
    if not path.name.startswith(PACK):
        if len(keys) != 1:
            raise Unusable(Problem(path, f"holds {len(keys)} records where one belongs", _DELETE))
        if not keys[0]:
            raise Unusable(Problem(path, "holds a record without a key", _DELETE))
        if not re.fullmatch(re.escape(keys[0]) + "(-[0-9a-f]{16})?", path.stem):
            what = f"is named otherwise than its record, whose key is {printable(keys[0])}"
            raise Unusable(Problem(path, what, "left out; a copy may be deleted"))
    elif not re.fullmatch(PACK + "[0-9a-f]{16}", path.stem):
        advice = "left out; a copy may be deleted, and a pack has to be named as it was"
        raise Unusable(Problem(path, "has a name that no pack is given", advice))
    elif not all(keys):
        raise Unusable(Problem(path, "holds records without a key", _RERUN))


def _owned(
    path: Path, jobs: pa.Table, lists: pa.ChunkedArray, name: str
) -> tuple[pa.Table, np.ndarray]:
    """Rows of table `name` in a part or pack, each of the job in whose list it is."""
    try:
        rows, owner = unnested(lists, name)
    except Misfit as error:
        raise Unusable(Problem(path, f"unreadable ({printable(error)})", _advice(path))) from error
    if name != "baselines":
        same = pc.equal(rows.column("key"), jobs.column("key").take(pa.array(owner)))
        # Without a key it is no job's, which only shared rows may be.
        if rows.num_rows and not pc.all(pc.fill_null(same, name in SHARED)).as_py():
            raise Unusable(Problem(path, f"its {name} are of another job", _advice(path)))
    return rows, owner


def _unreadable(path: Path, error: Exception) -> Problem:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    first = said.splitlines()[0] if said else type(error).__name__
    return Problem(path, f"unreadable ({printable(first, most=200)})", _advice(path))


def _advice(path: Path) -> str:
    if path.parent.name != PARTS:
        return _SET_ASIDE
    return _RERUN if path.name.startswith(PACK) else _DELETE
