"""What Ctrl-C means while workers run: it is counted, and raises nothing.

The first asks to stop after the jobs in hand, the second to end these too; the executor reads it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass
class Stop:
    """How often the user has pressed Ctrl-C."""

    asked: int = 0


@contextlib.contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """Count Ctrl-C in `stop` rather than raise, for as long as workers are running."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def asked(_signal: int, _frame: object) -> None:
        stop.asked += 1

    before = signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
