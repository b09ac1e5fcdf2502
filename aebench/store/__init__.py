"""Results on disk: a part per finished job, packs of many, and seven plain tables for other tools.

A job's record is written once, atomically, into ``parts/``, into a file whose name is made of the
job's key and the record's content; nothing another job does can harm it. `Store.compact` folds
parts that have become many into a *pack*, a file of many records named by its content, and makes
``jobs.parquet``, ``epochs.parquet``, ``samples.parquet``, ``probes.parquet``, ``rates.parquet``,
``codes.parquet``
and ``baselines.parquet`` beside, a copy. No two different files of ``parts/`` ever share a name, so
folders may be copied together in any order; which record of a key counts is said by
`layout.winners`. The tables are read too, for what no part or pack holds: results are
published as tables alone, and older versions kept nothing else.

A file is removed only when another one, already on disk, holds its records or better ones. Hence
a fold cut off at any point loses and repeats nothing, and neither do two at a time.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from aebench.errors import RequestError, printable
from aebench.store import files, kept, shown
from aebench.store.contents import Contents, gather, listed, make_tables, up_to_date
from aebench.store.endings import Endings
from aebench.store.files import Problem
from aebench.store.layout import NESTED, RECORD, TABLES, Rows, joined, nested

if TYPE_CHECKING:  # it takes a second to import, and who only writes records does not need it
    import pandas as pd

Row = dict[str, Any]

_STALE_S = 24 * 3600  # a write takes seconds; a day leaves room for a machine put to sleep in one
_COMPACT_AT = 200  # parts; reading one costs some milliseconds, one in a pack next to nothing
_MANY_PACKS = 8
_LARGE_BYTES = 512 * 1024**2  # a pack that is not worth writing again for a few records more
_LOCK_S = 60.0  # longer than a fold takes; then whoever holds the lock is stopped, not at work


@dataclass(frozen=True)
class Record:
    """What one job left behind: its row of `jobs` and its rows of the other tables.

    `baselines` holds the whole curve of its data set; jobs that share it carry the same rows, and
    so it is with those rows of `rates` that have no key.
    """

    job: Row
    epochs: Sequence[Row] = ()
    samples: Sequence[Row] = ()
    baselines: Sequence[Row] = ()
    probes: Sequence[Row] = ()
    rates: Sequence[Row] = ()
    codes: Sequence[Row] = ()


@dataclass(frozen=True)
class Results:
    """The seven tables as data frames, and what was wrong with each file that could not be read.

    `jobs` has a row a job, failures included, and `key` leads from it to its rows of `epochs`,
    `samples`, `probes`, `codes` and `rates`; `baselines`, and rows of `rates` without a key, belong
    to a dataset and a seed. `aebench.schema` says what each column holds; those of times end in
    ``_s`` (seconds), of sizes in ``_bytes``.
    """

    jobs: pd.DataFrame
    epochs: pd.DataFrame
    samples: pd.DataFrame
    baselines: pd.DataFrame
    probes: pd.DataFrame
    rates: pd.DataFrame
    codes: pd.DataFrame
    problems: list[Problem] = field(default_factory=list)

    def _repr_html_(self) -> str:
        return shown.results(self)


@dataclass(frozen=True)
class Survey:
    """The jobs of a folder without their curves and pictures, and what could not be read."""

    jobs: pd.DataFrame
    problems: list[Problem]
    path: Path

    @property
    def weights(self) -> set[str]:
        """The key of every job whose weights were kept and are still there."""
        recorded = self.jobs["key"][self.jobs["weights_sha256"].fillna("").ne("")]
        return set(recorded) & kept.keys(self.path, kept.WEIGHTS)

    @property
    def statuses(self) -> dict[str, str]:
        """Map the key of every job with a readable record to its status."""
        return dict(zip(self.jobs["key"], self.jobs["status"], strict=True))


class Store:
    """A folder of results. Several processes may write and read it at the same time."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._endings = Endings(self.path)
        self._unfolded = 0  # parts that the last fold left, mostly since they cannot be read

    @property
    def parts(self) -> Path:
        """Folder of the records, one by one and in packs."""
        return self.path / files.PARTS

    @property
    def exists(self) -> bool:
        """Whether the folder holds results, or was made to: some other folder is not ours."""
        tables = (self.path / f"{name}.parquet" for name in TABLES)
        # A link that leads nowhere, or to itself, is there all the same, and will be named.
        return os.path.isdir(self.parts) or any(map(os.path.lexists, tables))

    def prepare(self) -> None:
        """Make sure that records can be written, before hours are spent on them.

        Raises:
            RequestError: the folder cannot be made, or not be written to.
        """
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.parts):
                pass
        except OSError as error:
            raise RequestError(
                f"cannot write results to {printable(self.path, 1000)}"
                f" ({printable(error.strerror or error)}); choose another folder with --results"
            ) from error
        self._remove_leftovers()

    def write(self, record: Record) -> Path:
        """Store one record, and return the file that now holds the job's.

        Where the job has a readable record that is `ok`, one that is not is dropped, and the
        file that holds the good one is returned. Otherwise both records are kept until the next
        fold, and `layout.winners` says which of them counts.

        Raises:
            ValueError: the record has a column the schema does not know, or lacks its key.
            RequestError: the system refuses, for instance because the disk is full.
        """
        unknown = set(record.job) - set(TABLES["jobs"].names)
        for name in NESTED:
            unknown |= {c for row in getattr(record, name) for c in row} - set(TABLES[name].names)
        key = record.job.get("key")
        if unknown or not key or not re.fullmatch("[0-9A-Za-z]+", key):
            raise ValueError(f"not a record: no key, or unknown columns {sorted(unknown)}")
        if record.job.get("status") != "ok":
            for path, row in self._endings.of(key):
                if row["status"] == "ok":
                    return path
        row = record.job | {f"{n}_rows": list(getattr(record, n)) for n in NESTED}
        with files.writing(self.path):
            made = pa.Table.from_pylist([row], schema=RECORD)
            return files.write_records(self.parts, f"{key}-", made)

    def ending(self, key: str) -> Row | None:
        """How the job `key` ended, by the record of it that counts; None without a readable one.

        Some columns of `jobs`: status, reason, started_at, study_error, mse, train_s,
        weights_sha256.
        """
        rows = [row for _, row in self._endings.of(key)]
        # As `layout.winners` has it; where even the start is the same, they are one record.
        return max(
            rows, key=lambda row: (row["status"] == "ok", row["started_at"] or ""), default=None
        )

    def read(self) -> Results:
        """Read all seven tables, leaving out and naming every file that is not ours or torn.

        Raises:
            RequestError: there is no such folder, or no results in it, or it may not be read.
        """
        if not self.exists:
            raise RequestError(
                f"no results at {printable(self.path, 1000)}:"
                f" run `aebench run --results {printable(self.path, 1000)}` first"
            )
        contents = gather(self.path)
        frames = {name: table.to_pandas() for name, table in contents.tables.items()}
        return Results(**frames, problems=contents.problems)

    def survey(self) -> Survey:
        """Read `jobs` alone, in a fraction of the time; an empty frame where there is nothing.

        Raises:
            RequestError: the folder may not be read.
        """
        contents = gather(self.path, nested=False)
        jobs = contents.rows.jobs.filter(pa.array(contents.wins)).to_pandas()
        return Survey(jobs, contents.problems, self.path)

    def statuses(self) -> dict[str, str]:
        """Map the key of every job with a readable record to its status."""
        return self.survey().statuses

    def compact(self, *, force: bool = True) -> list[Problem]:
        """Fold parts into packs and, with `force`, make the seven tables; tell what was set aside.

        Without `force`, only when parts are many. A table that could not be read is given
        another name and told in a sentence; it is never deleted.

        Raises:
            RequestError: the system refuses to write; no record is lost.
        """
        singles, packs = self._listed()
        if not force:
            if len(singles) >= _COMPACT_AT + self._unfolded:
                with files.writing(self.path), self._locked():
                    names = self._worth_folding()
                    self._fold(gather(self.path, wanted=names.__contains__, tables=False), names)
                self._unfolded = len(self._listed()[0])
            return []
        if not singles and up_to_date(self.path, bool(packs)):
            return []
        with files.writing(self.path), self._locked():
            contents = gather(self.path)
            self._fold(contents, self._worth_folding())
            told = make_tables(self.path, contents)
            self._remove_leftovers()
        return told

    def add(self, records: Rows) -> None:
        """Store many records at once, in one file.

        Raises:
            RequestError: the system refuses to write.
        """
        with files.writing(self.path):
            files.write_records(self.parts, files.PACK, nested(records))

    def _listed(self) -> tuple[list[str], list[str]]:
        """Names of the single parts, and of the packs."""
        try:
            names = listed(self.parts)
        except OSError:  # told by whoever reads
            return [], []
        packs = [name for name in names if name.startswith(files.PACK)]
        return [name for name in names if not name.startswith(files.PACK)], packs

    def _worth_folding(self) -> set[str]:
        """Names of all single parts, and of the packs that are better written again with them.

        A pack is, once as many records have come as half of its own: so each record is written
        again as often as the logarithm of their number, and the packs stay as few.
        """
        singles, packs = self._listed()
        sizes = {name: files.size(self.parts / name) for name in packs}
        small = sorted((s, n) for n, s in sizes.items() if s and s[1] < _LARGE_BYTES)
        names, count = set(singles), len(singles)
        for i, ((records, _), name) in enumerate(small):
            if records > 2 * count and len(small) - i <= _MANY_PACKS:
                break
            names.add(name)
            count += records
        return names

    def _fold(self, contents: Contents, names: Collection[str]) -> None:
        """Put what counts of the files `names`, and of the tables, into one pack; remove those."""
        folded = [s for s in contents.sources if s.path.name in names and s.whole]
        ours = [*folded, *(s for s in contents.sources if s.path.parent == self.path)]
        sizes = [source.rows.jobs.num_rows for source in contents.sources]
        in_ours = np.array([source in ours for source in contents.sources], np.bool_)
        kept = contents.wins & np.repeat(in_ours, sizes)
        written = None
        if [s.path.name.startswith(files.PACK) for s in folded] == [True] and (
            kept.sum() == folded[0].rows.jobs.num_rows
        ):
            return  # a pack that would be written again as it is
        if kept.any():
            brought = joined([source.rows for source in ours])
            records = nested(contents.rows.only(kept, brought.shared))
            written = files.write_records(self.parts, files.PACK, records)
        for source in folded:
            # What was put in its place since it was read is not folded.
            if source.path != written and files.version_of(source.path) == source.version:
                with contextlib.suppress(PermissionError):  # another user's, who may fold it
                    source.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other folds out, where the system lets us.

        It spares double work and keeps the seven tables of one making. No record depends on it:
        so another user's lock file, or a file system without locks, is no reason to stop.
        """
        path = self.path / ".lock"
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError, Timeout, NotImplementedError):
                # Made here and with its own mode, since FileLock gives its file one for its owner.
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NONBLOCK", 0)
                handle = os.open(path, flags, 0o666)
                mode = os.fstat(handle).st_mode
                os.close(handle)
                if stat.S_ISREG(mode):
                    held.enter_context(FileLock(path, timeout=_LOCK_S, mode=stat.S_IMODE(mode)))
            yield

    def _remove_leftovers(self) -> None:
        """Remove what processes killed amid a write left half-written, a day ago or longer.

        By age alone: a process that writes at this moment may run on another machine.
        """
        ours = {".parquet", kept.SUFFIX}
        for path in self.path.rglob(f"{files.UNFINISHED}*"):
            if path.suffix not in ours:
                continue
            with contextlib.suppress(OSError):  # another process removed it, or owns it
                if time.time() - path.stat().st_mtime > _STALE_S:
                    path.unlink()


def read(path: Path | str) -> Results:
    """Read a results folder: ``aebench.read("results/quick").jobs`` is a data frame.

    Raises:
        RequestError: there is no such folder, or no results in it, or it may not be read.
    """
    return Store(path).read()
