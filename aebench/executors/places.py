"""Where a pool may have a job at a time, and what it may ask of the worker there.

Two kinds of places are there: of this machine (`local`) and of a node of a cluster (`on_ray`).
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any, Protocol

from aebench.executors.processes import ForeignCode
from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Row


class Worker(Protocol):
    """A process that takes jobs; `processes.Worker` is the one on this machine.

    `said` holds its messages as they come in; of a dead one `exit` says how it ended, and `lost`
    whether its machine has gone with it.
    """

    said: queue.SimpleQueue[dict[str, Any]]
    ready: bool

    @property
    def lost(self) -> bool:
        """Whether it ended because its machine has gone."""

    @property
    def ended(self) -> bool:
        """Whether it is gone and everything that it said is in `said`."""

    @property
    def exit(self) -> str:
        """How it ended, in words."""

    def give(self, job: Job, where: Circumstances, code: ForeignCode | None) -> None:
        """Hand a job over; of a dead worker `ended` tells."""

    def end(self) -> None:
        """End it at once, with all that it started."""


class Place(Protocol):
    """Somewhere a job at a time can run.

    `threads` is how many it may use, `concurrent` whether other places share its machine, `data`
    the folder of the data cache there.
    """

    threads: int
    concurrent: bool
    data: Path | None

    def start(self, forks: bool, news: threading.Event) -> Worker:
        """Start a worker there; `news` is to be set with each of its messages.

        Raises:
            OSError: the system starts none.
        """

    def describe(self) -> Row:
        """Columns of the `jobs` table that describe its machine, without asking torch."""

    def others(self) -> int:
        """How many processes of ours compute on its machine now, besides those of this run."""

    def leave(self) -> None:
        """Give the place back; its workers have ended."""
