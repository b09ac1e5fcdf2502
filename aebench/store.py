"""Results on disk: one Parquet part per finished job, folded into five plain tables.

A job's record is written once, atomically, into ``parts/``; nothing another job does can harm
it. `Store.compact` folds parts into ``jobs.parquet``, ``epochs.parquet``, ``samples.parquet``,
``probes.parquet`` and ``baselines.parquet``. A key found in a part replaces the same key in the
tables, so a fold cut off at any point loses and repeats nothing.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock

from aebench import schema
from aebench.errors import RequestError

Row = dict[str, Any]
_Version = tuple[int, int, int] | None

_VERSION_KEY = b"aebench_schema"
_UNFINISHED = "."  # begins names of half-written files, and keeps them out of readers' globs
_STALE_S = 24 * 3600  # a write takes seconds; a day leaves room for a machine put to sleep in one
_COMPACT_AT = 200  # parts; reading one costs about a millisecond, a folded table next to nothing


@dataclass(frozen=True)
class Record:
    """What one job left behind: its row of `jobs` and its rows of the other tables.

    `baselines` holds the whole curve of its data set; jobs that share it carry the same rows.
    """

    job: Row
    epochs: Sequence[Row] = ()
    samples: Sequence[Row] = ()
    baselines: Sequence[Row] = ()
    probes: Sequence[Row] = ()


@dataclass(frozen=True)
class Results:
    """The five tables as data frames, and one sentence for each file that could not be read."""

    jobs: pd.DataFrame
    epochs: pd.DataFrame
    samples: pd.DataFrame
    baselines: pd.DataFrame
    probes: pd.DataFrame
    problems: list[str] = field(default_factory=list)


def _arrow(columns: Iterable[schema.Column]) -> pa.Schema:
    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "binary": pa.binary(),
    }
    return pa.schema([(c.name, types[c.kind]) for c in columns])


_TABLES = {
    "jobs": _arrow(schema.JOBS),
    "epochs": _arrow(schema.EPOCHS),
    "samples": _arrow(schema.SAMPLES),
    "baselines": _arrow(schema.BASELINES),
    "probes": _arrow(schema.PROBES),
}
_NESTED = ("epochs", "samples", "baselines", "probes")
# A part is one row: the job's columns, and each other table's rows as a list of structs.
_PART = pa.schema(
    [
        *_TABLES["jobs"],
        *(pa.field(f"{n}_rows", pa.list_(pa.struct(list(_TABLES[n])))) for n in _NESTED),
    ]
)


class Store:
    """A folder of results. Several processes may write and read it at the same time."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def parts(self) -> Path:
        """Folder of the records not folded yet."""
        return self.path / "parts"

    @property
    def exists(self) -> bool:
        """Whether the folder holds results, or was made to: some other folder is not ours."""
        return self.parts.is_dir() or any(self._table_path(name).exists() for name in _TABLES)

    def prepare(self) -> None:
        """Make sure that records can be written, before hours are spent on them.

        Raises:
            RequestError: the folder cannot be made, or not be written to.
        """
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.parts):
                pass
            self._remove_leftovers()
        except OSError as error:
            raise RequestError(
                f"cannot write results to {self.path} ({error.strerror or error});"
                " choose another folder with --results"
            ) from error

    def write(self, record: Record) -> Path:
        """Store one record, replacing an earlier record of the same key.

        Raises:
            ValueError: the record has a column the schema does not know, or lacks its key.
            RequestError: the system refuses, for instance because the disk is full.
        """
        unknown = set(record.job) - set(_TABLES["jobs"].names)
        for name in _NESTED:
            unknown |= {c for row in getattr(record, name) for c in row} - set(_TABLES[name].names)
        if unknown or not record.job.get("key"):
            raise ValueError(f"not a record: no key, or unknown columns {sorted(unknown)}")
        row = record.job | {f"{n}_rows": list(getattr(record, n)) for n in _NESTED}
        target = self._part_path(record.job["key"])
        self._replace(target, pa.Table.from_pylist([row], schema=_PART))
        return target

    def endings(self) -> dict[str, Any]:
        if not self.exists:
            return {}
        jobs = self.read().jobs
        return dict(zip(jobs["key"], jobs["started_at"], strict=True))

    def ending(self, key: str) -> Row | None:
        path = self._part_path(key)
        table = _read_file(path, []) if path.exists() else None
        if table is not None:
            return table.to_pylist()[0]
        if not self.exists:
            return None
        jobs = self.read().jobs
        rows = jobs[jobs["key"] == key].to_dict("records")
        return rows[0] if rows else None

    def has_part(self, key: str) -> bool:
        """Whether the record of `key` was written since the last fold."""
        return self._part_path(key).exists()

    def read(self) -> Results:
        """Read all five tables, leaving out and naming every file that is not ours or torn.

        Raises:
            RequestError: there is no such folder, or no results in it.
        """
        if not self.exists:
            raise RequestError(
                f"no results at {self.path}: run `aebench run --results {self.path}` first"
            )
        problems: list[str] = []
        new = self._read_parts(problems)
        tables = {name: self._merged(name, new, problems).to_pandas() for name in _TABLES}
        return Results(**tables, problems=problems)

    def statuses(self) -> dict[str, str]:
        """Map the key of every job with a readable record to its status."""
        if not self.exists:
            return {}
        jobs = self.read().jobs
        return dict(zip(jobs["key"], jobs["status"], strict=True))

    def compact(self, *, force: bool = True) -> None:
        """Fold the parts into the five tables; without `force`, only when parts are many.

        Raises:
            RequestError: the system refuses to write; everything stays as it was.
        """
        paths = self._part_paths()
        if not paths or (not force and len(paths) < _COMPACT_AT):
            return
        with FileLock(self.path / ".lock"):
            problems: list[str] = []
            read: dict[Path, _Version] = {}
            new = self._read_parts(problems, read)
            merged = {name: self._merged(name, new, problems) for name in _TABLES}
            # `jobs` goes last: a key listed there always has its other rows beside it.
            for name in reversed(_TABLES):
                path = self._table_path(name)
                if any(problem.startswith(f"{path}:") for problem in problems):
                    return  # never overwrite a table we could not read
                self._replace(path, merged[name])
            self._remove_leftovers()
            for path, version in read.items():
                # A part written again since it was read, by a retry of its job, is not folded.
                if _version(path) == version:
                    path.unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Remove what processes killed amid a write left half-written, a day ago or longer.

        By age alone: a process that writes at this moment may run on another machine.
        """
        for folder in (self.path, self.parts):
            for path in folder.glob(f"{_UNFINISHED}*.parquet"):
                with contextlib.suppress(OSError):  # another process removed it, or owns it
                    if time.time() - path.stat().st_mtime > _STALE_S:
                        path.unlink()

    def _part_path(self, key: str) -> Path:
        return self.parts / f"{key}.parquet"

    def _part_paths(self) -> list[Path]:
        return sorted(p for p in self.parts.glob("*.parquet") if not p.name.startswith(_UNFINISHED))

    def _table_path(self, name: str) -> Path:
        return self.path / f"{name}.parquet"

    def _read_parts(
        self, problems: list[str], read: dict[Path, _Version] | None = None
    ) -> dict[str, pa.Table]:
        rows: list[Row] = []
        for path in self._part_paths():
            version = _version(path)
            table = _read_file(path, problems)
            if table is not None:
                rows += [schema.ABSENT | row for row in table.to_pylist()]
                if read is not None:
                    read[path] = version
        found: dict[str, list[Row]] = {"jobs": rows}
        for name in _NESTED:
            found[name] = [item for row in rows for item in row.pop(f"{name}_rows", None) or ()]
        found["baselines"] = list(_last_by(found["baselines"], ("dataset", "seed", "components")))
        return {n: pa.Table.from_pylist(found[n], schema=_TABLES[n]) for n in _TABLES}

    def _merged(self, name: str, new: Mapping[str, pa.Table], problems: list[str]) -> pa.Table:
        path = self._table_path(name)
        old = _read_file(path, problems) if path.exists() else None
        if old is None:
            return new[name]
        old = _conform(old, _TABLES[name])
        if name == "baselines":
            again = pc.is_in(_curves(old), _curves(new[name]))
        else:
            # By the keys of the jobs: a job that failed this time has no epochs, and those of an
            # earlier success must not stand beside its new row.
            again = pc.is_in(old.column("key"), new["jobs"].column("key"))
        return pa.concat_tables([old.filter(pc.invert(again)), new[name]])

    def _replace(self, target: Path, table: pa.Table) -> None:
        table = table.replace_schema_metadata({_VERSION_KEY: str(schema.VERSION)})
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_UNFINISHED, suffix=".parquet", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)  # mkstemp makes files that only their owner may read
            os.replace(name, target)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            raise RequestError(
                f"cannot write a record to {self.path} ({error.strerror or error}); what finished"
                " before is kept. Make room there, or choose another folder with --results, and"
                " run the same command again"
            ) from error
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def read(path: Path | str) -> Results:
    """Read a results folder: ``aebench.read("results/quick").jobs`` is a data frame."""
    return Store(path).read()


def _curves(baselines: pa.Table) -> pa.ChunkedArray:
    """One string per row that says which curve, of a data set and a seed, it belongs to."""
    columns = [baselines.column(c).cast(pa.string()) for c in ("dataset", "seed")]
    return pc.binary_join_element_wise(*columns, " ")


def _version(path: Path) -> _Version:
    """What tells a file from one put in its place; None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _last_by(rows: Iterable[Row], identity: Sequence[str]) -> Iterable[Row]:
    last: Mapping[Any, Row] = {tuple(row[name] for name in identity): row for row in rows}
    return last.values()


def _read_file(path: Path, problems: list[str]) -> pa.Table | None:
    """Read one of our files; where that fails, say why in `problems` and return None."""
    try:
        with pq.ParquetFile(path) as file:
            version = (file.schema_arrow.metadata or {}).get(_VERSION_KEY)
            if version is None:
                problems.append(f"{path}: not written by aebench; left out")
                return None
            if int(version) > schema.VERSION:
                problems.append(
                    f"{path}: written by a newer aebench (schema {int(version)}, this one reads"
                    f" up to {schema.VERSION}); left out, upgrade to read it"
                )
                return None
            return file.read(use_threads=False)
    except FileNotFoundError:
        return None  # folded by another process since it was listed
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        problems.append(f"{path}: unreadable ({first}); left out, delete it to run its job again")
        return None


def _conform(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Give `table` the columns of `wanted`; unknown ones are dropped, missing ones null.

    Or what they mean where they are missing: see `schema.ABSENT`.
    """
    columns = [
        table.column(f.name).cast(f.type)
        if f.name in table.column_names
        else pa.repeat(pa.scalar(schema.ABSENT.get(f.name), f.type), table.num_rows)
        for f in wanted
    ]
    return pa.Table.from_arrays(columns, schema=wanted)
