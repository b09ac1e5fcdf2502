"""A keeper: the small process between a run and its worker, which lets nothing outlive either.

It forks a worker, waits, and when the worker has ended, or the run wants it to, or the run itself
has died, kills whatever the worker has started: threads cannot survive their process, but
programs started by a model's code can. On Linux even those that have hidden in a session of their
own are found, since the system hands orphans to the nearest keeper (prctl(2), subreaper).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import NoReturn, TypeVar

T = TypeVar("T")

_POLL_S = 0.5  # how often to look for the parent where the system does not tell of its death
_END_S = 1.5  # for killing descendants: new ones may be started meanwhile
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)


class _Asked(BaseException):
    """The run wants the worker to end, or has died."""


def keep(
    parent: int,
    tasks: Iterable[T],
    work: Callable[[T], object],
    tell: Callable[[T, int], object],
) -> NoReturn:
    """Do `work` for each of `tasks` in a process of its own, and end with process `parent`.

    What `tasks` itself does, it does in the keeper: what is imported there every worker has, and
    no thread may be left. `tell` is called after each task, when all that it started has ended,
    with the worker's exit code, negative for a signal. Not on Windows.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _ask)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        if os.getppid() == parent:
            for task in tasks:
                tell(task, _done(partial(work, task), parent))
    finally:  # asked to, told that nobody listens, or nothing is left to do
        os._exit(0)


def _done(work: Callable[[], object], parent: int) -> int:
    """Do `work` in a child, kill what it leaves, and give its exit code.

    Raises:
        _Asked: the parent died, or sent SIGTERM.
    """
    keeper = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until both know what it means
    with warnings.catch_warnings():
        # Python warns of threads: those of a library that was imported here and has used none.
        warnings.simplefilter("ignore", DeprecationWarning)
        worker = os.fork()
    if worker == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            if os.getppid() == keeper:
                work()
        finally:
            os._exit(1)  # `work` ends the process itself
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        return _wait(worker, parent)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        _end_descendants()
        signal.signal(signal.SIGTERM, _ask)


def _ask(_signal: int, _frame: object) -> NoReturn:
    raise _Asked


def _wait(worker: int, parent: int) -> int:
    """Wait for the worker and give its exit code.

    Raises:
        _Asked: the parent died, or sent SIGTERM.
    """
    while True:
        if os.getppid() != parent:
            raise _Asked
        # Where the system signals the parent's death, nothing has to be looked for.
        ended, status = os.waitpid(worker, 0 if sys.platform == "linux" else os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(_POLL_S)


def _end_descendants() -> None:
    """Kill and reap everything below this process, and what is left of its process group."""
    import psutil

    until = time.monotonic() + _END_S
    while time.monotonic() < until:
        found = psutil.Process().children(recursive=True)
        for process in found:
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not found:
            return
        time.sleep(0.01)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
