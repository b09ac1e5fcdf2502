"""Who of ours computes on this machine: what makes `concurrent` true across runs and users.

A process that is about to compute leaves a file named by its number and the moment it was
started; whoever wants to know counts the files whose process is still that one. Nothing waits
and nothing is locked, so what a killed process leaves misleads nobody. Other programs' load is
the business of `interference`.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

_FOLDER = "aebench-computing"
_SAME_S = 2.0  # the system derives the moment from a clock that may be set meanwhile


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / _FOLDER


def _started(pid: int) -> float | None:
    """When the process was started, in seconds since 1970; None if there is none."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def _lives(pid: int, started: float) -> bool:
    """Whether that process is there, and not a later one of the same number."""
    now = _started(pid)
    return now is not None and abs(now - started) < _SAME_S


@contextlib.contextmanager
def computing() -> Iterator[None]:
    """Let every other process on this machine know that this one computes."""
    folder = _folder()
    mark = folder / f"{os.getpid()}-{_started(os.getpid()):.2f}"
    try:
        folder.mkdir(exist_ok=True)
        with contextlib.suppress(OSError):
            folder.chmod(0o1777)  # for all users, as the folder that it lies in; ours only once
        mark.touch()
    except OSError:  # nowhere to write: others cannot see us, and that is no reason to fail
        yield
        return
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            mark.unlink()


def others() -> int:
    """How many other processes of ours compute on this machine now, whoever started them."""
    count = 0
    with contextlib.suppress(OSError):
        for mark in _folder().iterdir():
            pid, _, started = mark.name.partition("-")
            try:
                lives = _lives(int(pid), float(started))
            except ValueError:
                continue  # no file of ours
            if int(pid) == os.getpid():
                continue
            if lives:
                count += 1
            else:
                with contextlib.suppress(OSError):  # another user's; it misleads nobody
                    mark.unlink()
    return count
