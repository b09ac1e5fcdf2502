"""Executors: where jobs run. Each takes jobs and a store, and reports to a `Listener`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aebench import machine
from aebench.job import Job

in_worker = False
"""Whether this process is itself a worker, which starts no run of its own."""


@dataclass(frozen=True)
class Allocation:
    """What each task of an array job asks of Slurm, and how many `tasks` there are at most.

    `cpus`, `gpus` and `memory` ("16G") are of one task, which runs one job at a time, and
    `time_min` is its limit in minutes; `setup` are lines of shell before it starts, and `sbatch`
    further options of sbatch by their long names.
    """

    tasks: int = 100
    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    time_min: int = 240
    cpus: int = 1
    gpus: int = 0
    memory: str = ""
    setup: tuple[str, ...] = ()
    sbatch: Mapping[str, str | int] = field(default_factory=dict)

    def options(self) -> dict[str, str | int]:
        """Options of sbatch by their long names, all but the limit of time; True is a mere flag."""
        said: dict[str, str | int] = {
            "partition": self.partition, "account": self.account, "qos": self.qos,
            "constraint": self.constraint, "cpus-per-task": self.cpus, "gpus-per-node": self.gpus,
            "mem": self.memory,
        }  # fmt: skip
        return {"requeue": True, **{n: v for n, v in said.items() if v}, **self.sbatch}


@dataclass(frozen=True)
class RunOptions:
    """How to run jobs: `workers` at a time, each for at most `timeout_s` seconds.

    `cuda` is torch's name of the device for jobs on CUDA. `threads` per worker defaults to an
    equal share of the cores. `data` is the folder of the data cache; `command` is kept in the
    records; `plugins` are absolute paths of Python files that workers import. A job's time begins
    when its worker has all that it needs to know of the device.

    With `keep_weights` trained models are stored beside the records, for `aebench.load`; with
    `retrain` as well, jobs are trained again whose records are there and their weights are not.
    `checkpoint_s` is after how many seconds, at the end of an epoch, a job in training is stored,
    so that a run that finds it interrupted goes on from there. `may_start` is asked before each job
    whether it may start; one that may not is left out. Each job of `repeated` runs in a process
    that is started for it, unless `repeats_in_process`: address layout, allocator and caches, which
    a process keeps, then vary from repeat to repeat as they do from run to run.

    `on` is where jobs run: "" for this machine, ``ray`` for a Ray cluster that runs here or is
    started here, ``ray=ADDRESS`` for another, ``slurm`` for an array job of Slurm's. On a Ray
    cluster a job holds `cpus_per_job` cores, all of a node's or its GPU's part of them without it,
    and `gpus_per_job` GPUs; `workers` None takes all the room that there is. On Slurm a task of the
    array holds its `allocation`, and with `wait` the run lasts until every task is done.
    """

    cuda: str = "cuda"
    workers: int | None = 1
    timeout_s: float | None = None
    threads: int | None = None
    data: Path | None = None
    command: str = ""
    plugins: tuple[str, ...] = ()
    keep_weights: bool = False
    retrain: bool = False
    checkpoint_s: float | None = None
    may_start: Callable[[Job], bool] | None = None
    repeated: frozenset[Job] = frozenset()
    repeats_in_process: bool = False
    on: str = ""
    cpus_per_job: int | None = None
    gpus_per_job: int | None = None
    allocation: Allocation | None = None
    wait: bool = False

    def at_once(self, jobs: int) -> int:
        """How many of so many jobs run at a time."""
        return max(1, min(self.workers or 1, jobs))

    def abreast(self, jobs: int) -> int:
        """How many of them have a core for themselves, as on this machine not all may."""
        return self.at_once(jobs) if self.on else min(self.at_once(jobs), machine.cores())

    def threads_of_each(self, jobs: int) -> int:
        """Threads of each worker, where there are so many jobs to do."""
        if self.on:
            return self.threads or self.cpus_per_job or machine.cores()
        return self.threads or machine.share_of_cores(self.at_once(jobs))


@dataclass(frozen=True)
class Ending:
    """How a job ended, for a listener; everything else is in the store."""

    status: str
    reason: str
    study_error: float | None = None
    mse: float | None = None
    train_s: float | None = None
    elsewhere: bool = False  # another run on the same folder trained the job

    @classmethod
    def of(cls, row: Mapping[str, Any], *, elsewhere: bool = False) -> Ending:
        """What a row of the `jobs` table tells of its job's end."""
        figures = {name: row.get(name) for name in ("study_error", "mse", "train_s")}
        return cls(row["status"], row["reason"] or "", **figures, elsewhere=elsewhere)


class Listener:
    """Somebody who watches a run; this one does nothing.

    Called in the parent process, never in one that is timed.
    """

    def placed(self, told: str) -> None:
        """Where the jobs run, in words, if that is not here."""

    def started(self, slot: int, job: Job) -> None:
        """A worker has taken the job."""

    def epoch(self, slot: int, job: Job, epoch: int, train_mse: float) -> None:
        """The job has finished an epoch."""

    def ended(self, slot: int, job: Job, ending: Ending) -> None:
        """The job has a record in the store."""

    def tick(self) -> None:
        """Called a few times a second, whether or not anything has happened."""

    def stopping(self, running: int) -> None:
        """The user asked to stop: jobs that run are finished, no other is started."""
