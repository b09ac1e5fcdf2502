"""What Ctrl-C and SIGTERM mean while workers run: they are counted, and raise nothing.

The first Ctrl-C asks to stop after the jobs in hand, the second to end these too; SIGTERM, by which
systems end what they do not want any more, asks for both at once. The executor reads it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

_GRACE_S = 0.1
_WORTH: dict[int, int] = {signal.SIGINT: 1, signal.SIGTERM: 2}


@dataclass
class Stop:
    """How often the user has pressed Ctrl-C; a SIGTERM counts as twice."""

    asked: int = 0

    def forced(self) -> bool:
        """Whether jobs in hand are to end too, asked when one has died: of a moment from now.

        What ends a run with all its processes, as Slurm and service managers do, may reach a
        worker first.
        """
        time.sleep(_GRACE_S)
        return self.asked > 1


@contextlib.contextmanager
def interruptible(stop: Stop) -> Iterator[None]:
    """Count signals in `stop` rather than raise, for as long as workers are running."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return

    def asked(number: int, _frame: object) -> None:
        stop.asked += _WORTH[number]

    before = {number: signal.signal(number, asked) for number in _WORTH}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
