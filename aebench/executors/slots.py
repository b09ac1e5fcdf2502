"""What goes on at each place of a pool: the job in hand, and the worker that has it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime

from aebench.executors.places import Place, Worker
from aebench.job import Job


class Process(enum.Enum):
    """What process a job runs in."""

    KEPT = enum.auto()  # that of the jobs before it: of our code, once
    FORKED = enum.auto()  # a fork of one that has imported: of code that is not ours, which may
    # leave its process in any state
    STARTED = enum.auto()  # started for it and ended after it: one of several repeats


@dataclass
class Slot:
    """What goes on at a place: its workers, one for each kind of process at most, and its job."""

    place: Place
    workers: dict[Process, Worker] = field(default_factory=dict)
    process: Process = Process.KEPT  # for the job in hand
    foreign: bool = False  # whether the job runs code that is not ours
    job: Job | None = None
    given: bool = False  # the worker has the job
    since: float = 0.0  # when its present task began: to start, to prepare, to run the job
    running: bool = False  # the job's own time has begun
    started_at: datetime | None = None
    starts: int = 0  # that failed, in turn
    closed: bool = False

    @property
    def worker(self) -> Worker | None:
        """The worker for the job in hand."""
        return self.workers.get(self.process)
