"""What fits a budget of time: costs learnt from records of this machine, asked before each job.

Costs begin with an estimate, which is corrected by what jobs of the same kind took in this folder,
and once more by how far the jobs of the run itself were off. In which order jobs are tried is for
whoever has a budget to say. A job that has begun is ended, so the last may take longer than it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aebench.errors import RequestError
from aebench.estimate import Estimator, Guess, of_this_machine
from aebench.job import FIELDS, Job

if TYPE_CHECKING:
    import pandas as pd

_TIMED = ("status", "total_s", "baseline_s", "compile_s", "threads")
_RARE = 20.0  # to learn anew takes at most a twentieth of the time


@dataclass(frozen=True)
class Costs:
    """What jobs will take, by an estimate and by how far it was off in this folder.

    `corrections` are factors by architecture and data set, from jobs of this machine, also beside
    others; the one of ``()`` holds for all others. `measured` are seconds an epoch, for models of
    unknown size, and where this machine has run nothing they are any machine's. Jobs of `started`
    have a process started for them.
    """

    estimator: Estimator
    start_s: float = 0.0
    corrections: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    measured: Mapping[tuple[str, ...], float] = field(default_factory=dict)
    started: frozenset[Job] = frozenset()

    @classmethod
    def of(
        cls, jobs: pd.DataFrame, folder: str, threads: int, started: frozenset[Job] = frozenset()
    ) -> Costs:
        """Learn from the rows of a `folder` what jobs on so many threads will take."""
        estimator = Estimator.from_jobs(jobs, folder, threads)
        columns = list(dict.fromkeys([*_TIMED, *FIELDS]))
        here = of_this_machine(jobs)
        any_here = bool(here.any())
        known = jobs[here] if any_here else jobs
        off: dict[tuple[str, ...], list[float]] = {}
        took: dict[tuple[str, ...], list[float]] = {}
        known = known.loc[:, columns].fillna({"threads": threads})
        for row in known.astype("object").to_dict("records"):
            job_s = _seconds(row)
            if job_s is None:
                continue
            alike = (str(row["architecture"]), str(row["dataset"]))
            took.setdefault(alike, []).append(job_s / row["epochs"])
            if not any_here:
                continue
            try:
                job = Job(**{name: row[name] for name in FIELDS})
                guess = estimator.job(job, int(row["threads"]))
            except RequestError:  # of a plugin, say, that is not here
                continue
            if guess and guess.likely_s:
                for name in (alike, ()):
                    off.setdefault(name, []).append(job_s / guess.likely_s)
        corrections = {name: statistics.median(ratios) for name, ratios in off.items()}
        measured = {name: statistics.median(seconds) for name, seconds in took.items()}
        return cls(estimator, estimator.start_s, corrections, measured, started)

    def seconds(self, job: Job) -> float:
        """Seconds that a job will take; nothing for one of which nothing is known."""
        return self.guess(job).likely_s

    def guess(self, job: Job) -> Guess:
        """The same as a range."""
        alike = (job.architecture, job.dataset)
        guess = self.estimator.job(job)
        if guess is None:
            known_s = self.measured.get(alike, 0.0) * job.epochs
            guess = Guess(known_s, known_s, known_s)
        else:
            guess = guess.times(self.corrections.get(alike, self.corrections.get((), 1.0)))
        start_s = self.start_s if job in self.started else 0.0
        return guess + Guess(start_s, start_s, start_s)


def _seconds(row: Mapping[Any, Any]) -> float | None:
    """What a finished job took, without what is done once for several."""
    if row["status"] != "ok":
        return None
    once = sum(row[n] for n in ("baseline_s", "compile_s") if row[n] == row[n] and row[n])
    took = float(row["total_s"]) - once
    return took if took > 0 else None


class Admission:
    """Says at a job's turn whether it still fits the time that is left; `refused` are the others.

    What the jobs before it took, against their estimate, is taken into account; with `learn`, which
    gives costs by the records that there are now, so is what those say of the jobs to come. After
    `patience_s` no job may start, so that a new batch is planned.
    """

    def __init__(
        self,
        costs: Costs,
        end: float,
        workers: int = 1,
        clock: Callable[[], float] = time.monotonic,
        *,
        patience_s: float | None = None,
        learn: Callable[[], Costs] | None = None,
    ) -> None:
        self.costs, self.end, self.workers, self.clock = costs, end, workers, clock
        self.patience_s, self.learn = patience_s, learn
        self.begun, self.started = clock(), list[Job]()
        self.refused: list[Job] = []
        self._again_at = self.begun

    def __call__(self, job: Job) -> bool:
        """Whether the job may start now."""
        now = self._learnt() if self.learn and self.started else self.clock()
        over = now - self.begun - self.costs.start_s
        planned = sum(map(self.costs.seconds, self.started)) / self.workers
        slower = max(1.0, over / planned) if planned else 1.0
        taken = now - self.begun
        late = bool(self.started) and self.patience_s is not None and taken > self.patience_s
        if late or now + self.costs.seconds(job) * slower > self.end:
            self.refused.append(job)
            return False
        self.started.append(job)
        return True

    def _learnt(self) -> float:
        """Learn what the records say now, if that was long ago; the time after it."""
        assert self.learn is not None
        before = self.clock()
        if before < self._again_at:
            return before
        self.costs = self.learn()
        now = self.clock()
        self._again_at = now + _RARE * (now - before)
        return now


@dataclass(frozen=True)
class Fit:
    """How many jobs fit a budget, at least, likely and at most; `jobs` are the likely ones."""

    least: int
    jobs: tuple[Job, ...]
    most: int


def fitting(jobs: Sequence[Job], costs: Costs, budget_s: float, workers: int = 1) -> Fit:
    """What of `jobs`, tried in this order, fits `budget_s` seconds by their costs.

    Raises:
        RequestError: not one does; the message says what would do.
    """
    guesses = [(job, costs.guess(job)) for job in jobs]
    likely = _that_fit([(j, g.likely_s) for j, g in guesses], costs.start_s, budget_s, workers)
    least = _that_fit([(j, g.high_s) for j, g in guesses], costs.start_s, budget_s, workers)
    most = _that_fit([(j, g.low_s) for j, g in guesses], costs.start_s, budget_s, workers)
    if jobs and not likely:
        least_s = costs.start_s + min(guess.likely_s for _, guess in guesses)
        raise too_small(budget_s, least_s)
    # Where dear jobs no longer fit, more cheap ones do: less time may be for more jobs.
    counts = sorted(map(len, (least, likely, most)))
    return Fit(counts[0], tuple(likely), counts[-1])


def too_small(budget_s: float, least_s: float) -> RequestError:
    """What to tell where a budget is too small for the job that takes the least."""
    return RequestError(
        f"--budget {budget_s:g}s is too small for a single job; the least that would do is"
        f" {int(-(-least_s // 1))}s"
    )


def _that_fit(
    jobs: Iterable[tuple[Job, float]], start_s: float, budget_s: float, workers: int
) -> list[Job]:
    fit: list[Job] = []
    taken_s = 0.0
    for job, job_s in jobs:
        if start_s + max(job_s, (taken_s + job_s) / workers) <= budget_s:
            fit.append(job)
            taken_s += job_s
    return fit
