"""A keeper: the small process between a run and its worker, which lets nothing outlive either.

It forks the worker, waits, and when the worker has ended, or the run wants it to, or the run
itself has died, kills whatever the worker has started: threads cannot survive their process, but
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
from collections.abc import Callable
from typing import NoReturn

_POLL_S = 0.5  # how often to look for the parent where the system does not tell of its death
_END_S = 1.5  # for killing descendants: new ones may be started meanwhile
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)


class _Asked(BaseException):
    """The run wants the worker to end, or has died."""


def keep(parent: int, work: Callable[[], object], tell: Callable[[int], object]) -> NoReturn:
    """Do `work` in a process of its own, and end with it, or with process `parent`.

    `tell` is called at the end with the worker's exit code, negative for a signal. Not on Windows.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _ask)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    keeper, code = os.getpid(), -int(signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # until both know what it means
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
    with contextlib.suppress(_Asked):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        code = _wait(worker, parent)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end_descendants()
    tell(code)
    os._exit(0)


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
