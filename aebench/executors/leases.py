"""Leases: which run trains a job, where several share a folder of results.

A lease is a file lock held by the run's own process, so it ends when the process does, however
it ends, on every machine that shares the folder. A lease says nothing of what was recorded:
whoever has just got one looks into the store before he trains.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from filelock import FileLock, Timeout

from aebench.errors import RequestError


def held(parts: Path) -> list[str]:
    """Keys of the jobs that runs which are alive have leases of, in the folder `parts`."""
    keys = []
    for file in sorted(parts.glob(".*.lock")):
        lock = FileLock(file)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            keys.append(file.stem[1:])
            continue
        except (OSError, NotImplementedError):
            continue  # whether it may be used at all is seen when a lease is taken
        lock.release()
    return keys


class Leases:
    """The leases of one run, in the folder `parts` of its results."""

    def __init__(self, parts: Path) -> None:
        self._folder = parts
        self._held: dict[str, FileLock] = {}

    def take(self, key: str) -> bool:
        """Get the lease of the job `key`; False if another run has it.

        Raises:
            RequestError: the system grants no locks there.
        """
        if key in self._held:
            return True
        try:
            # Hidden, as nothing of it is a result; for whoever else may write to the folder.
            lock = FileLock(self._folder / f".{key}.lock", mode=0o666)
            lock.acquire(blocking=False)
        except Timeout:
            return False
        except (OSError, NotImplementedError) as error:
            raise RequestError(
                f"cannot lock a file in {self._folder} ({error}), which keeps two runs from"
                " training the same job; choose another folder with --results"
            ) from error
        self._held[key] = lock
        return True

    def give_up(self, key: str, *, done: bool) -> None:
        """Give a lease back; `done` if the job has its record, so that nobody asks again."""
        lock = self._held.pop(key, None)
        if lock is None:
            return
        if done:  # whoever opened the file meanwhile gets its lease, and finds the record
            with contextlib.suppress(OSError):
                Path(lock.lock_file).unlink()
        lock.release()

    def close(self) -> None:
        """Give every lease back."""
        for key in list(self._held):
            self.give_up(key, done=False)
