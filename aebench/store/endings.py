"""How a job ended, by its key: an index of the files that hold many records.

A run asks this for every job that it takes, and if each answer read every record there is, a
campaign would cost the square of its jobs. So a file of many records is read once for each version
of it, and a job's own file when it is asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from aebench.store import files
from aebench.store.contents import jobs_table, listed
from aebench.store.files import Source, Version

_COLUMNS = [
    *("key", "status", "reason", "started_at", "study_error", "mse", "train_s", "weights_sha256")
]


@dataclass(frozen=True)
class _Index:
    """One version of a file: its rows, and where in it each key's are."""

    version: Version
    rows: pa.Table
    places: dict[str, list[int]]

    @classmethod
    def of(cls, source: Source | None, version: Version) -> _Index:
        """Of a file that nothing can be read of, an empty one, until it is another."""
        if source is None:
            return cls(version, pa.table({}), {})
        rows = source.rows.jobs.select(_COLUMNS)
        places: dict[str, list[int]] = {}
        for place, key in enumerate(rows.column("key").to_pylist()):
            places.setdefault(key, []).append(place)
        return cls(source.version, rows, places)


class Endings:
    """How the jobs of a folder of results ended, by the records there now."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, _Index] = {}

    def of(self, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The files that hold a record of `key`, with the columns that say how good it is."""
        # A job's own file before those of many: what is folded meanwhile is in one of these then.
        for name in self._listed(f"{key}-", f"{key}."):
            path = self._folder / files.PARTS / name
            with contextlib.suppress(FileNotFoundError):
                if source := files.read_records(path, [], nested=False):
                    for row in source.rows.jobs.select(_COLUMNS).to_pylist():
                        yield path, row
        self._look()
        for path, index in self._known.items():
            for place in index.places.get(key, []):
                yield path, index.rows.slice(place, 1).to_pylist()[0]

    def _listed(self, *begins: str) -> list[str]:
        try:
            return [n for n in listed(self._folder / files.PARTS) if n.startswith(begins)]
        except OSError:  # told by whoever reads
            return []

    def _look(self) -> None:
        """Bring what is known of the files of many records up to date."""
        while True:
            packs = [self._folder / files.PARTS / name for name in self._listed(files.PACK)]
            try:
                known = {pack: self._index(pack) for pack in packs}
            except FileNotFoundError:
                continue  # folded into another since it was listed: that one is to be looked for
            table = self._folder / "jobs.parquet"
            version = files.version_of(table)
            if version is not None:
                last = self._known.get(table)
                if last is None or last.version != version:
                    last = _Index.of(next(iter(jobs_table(self._folder, [])), None), version)
                known[table] = last
            self._known = known
            return

    def _index(self, pack: Path) -> _Index:
        version = files.version_of(pack)
        if version is None:
            raise FileNotFoundError(pack)
        last = self._known.get(pack)
        if last is not None and last.version == version:
            return last
        return _Index.of(files.read_records(pack, [], nested=False), version)
