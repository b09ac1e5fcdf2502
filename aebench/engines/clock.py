"""The clock: named phases, each closed only when the device has finished its work.

Every second in a record passes through `PhaseClock`. What belongs to which phase is decided by
the worker; here is only the arithmetic, which is tested with a fake clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PHASES = ("data", "build", "compile", "warmup", "train", "eval", "baseline", "samples", "probe")


class PhaseClock:
    """Adds up seconds per phase. Phases do not nest: no second is counted twice.

    `now` gives nanoseconds; `synchronize` returns when the device has nothing left to do.
    """

    def __init__(
        self,
        now: Callable[[], int] = time.perf_counter_ns,
        synchronize: Callable[[], None] = lambda: None,
    ) -> None:
        self._now = now
        self._synchronize = synchronize
        self._started = now()
        self._open: str | None = None
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.last_s = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time the block as part of `name`; `last_s` then holds this block's seconds.

        The device is drained on both sides, so earlier work is not charged to this phase and
        its own work is not charged to the next. A block that raises is counted as well.
        """
        if name not in self.seconds:
            raise ValueError(f"no phase {name!r}; phases are {', '.join(PHASES)}")
        if self._open is not None:
            raise RuntimeError(f"phase {name!r} opened inside {self._open!r}")
        self._synchronize()
        self._open = name
        start = self._now()
        try:
            yield
            self._synchronize()
        finally:
            self.last_s = (self._now() - start) / 1e9
            self.seconds[name] += self.last_s
            self._open = None

    def total_s(self) -> float:
        """Seconds since the clock was made, phases and everything between them."""
        return (self._now() - self._started) / 1e9
