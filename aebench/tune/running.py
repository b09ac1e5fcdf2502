"""A search, run: batch after batch of ordinary jobs, until all are done or the budget is used up.

Which jobs: all searches have a rung before one has the next, and those that widen come last. Of
these, in turn, jobs that still fit the budget by their estimate, which is corrected by what jobs
took in this folder. Executors train them; nothing is kept here but the time that is left.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from aebench import machine
from aebench.budget import Admission, Costs, too_small
from aebench.errors import RequestError
from aebench.estimate import Estimator
from aebench.job import Job
from aebench.store import Store
from aebench.tune.halving import Known, Stand, stand
from aebench.tune.reading import Space
from aebench.tune.sampling import STARTUP, propose
from aebench.tune.space import Point, Search

if TYPE_CHECKING:
    import pandas as pd

_BATCH_S = 300.0  # of a batch, after which what was measured corrects what is to come
_AT_ONCE = 4  # candidates sampled at least, once there are enough to model
MayStart = Callable[[Job], bool]
Train = Callable[[Sequence[Job], Estimator, MayStart], bool]
"""Trains jobs that may start, leaving a record of each; False if the user stopped it."""


@dataclass
class Running:
    """A run of a space's searches on a folder of results.

    `how` is engine, precision and device of all jobs, `workers` how many run at a time, `accepted`
    the fields whose edges are fine.
    """

    space: Space
    store: Store
    how: Mapping[str, Any]
    workers: int = 1
    accepted: Collection[str] = ()
    clock: Callable[[], float] = time.monotonic
    exhausted: set[tuple[Search, int]] = field(default_factory=set)
    unable: str = ""  # why a point was none that can be trained

    @property
    def _abreast(self) -> int:
        """How many jobs have a core for themselves."""
        return min(self.workers, machine.cores())

    def stands(self) -> list[Stand]:
        """Where each search stands, by the records."""
        return self._stands(_jobs(self.store))

    def _stands(self, jobs: pd.DataFrame) -> list[Stand]:
        known = Known(jobs)
        return [
            stand(search, known, self.how, self.accepted, self.exhausted)
            for search in self.space.searches
        ]

    def search(self, train: Train, budget_s: float) -> bool:
        """Train for at most `budget_s` seconds; False if the user stopped it.

        Raises:
            RequestError: a model cannot be trained in this way; or there is something to train, and
                the budget is too small for any of it.
        """
        for one in self.space.searches:
            if why := one.impossible(one.dims, self.how):
                raise RequestError(f"{one.name}: {why}")
        begun = self.clock()
        last: list[Job] = []
        threads = machine.share_of_cores(self.workers)
        admission = Admission(Costs(Estimator(threads=threads)), begun, clock=self.clock)
        while True:
            jobs = _jobs(self.store)
            stands = self._stands(jobs)
            if all(s.done for s in stands):
                return True
            left_s = budget_s - (self.clock() - begun)
            costs = Costs.of(jobs, self.store.path.name, threads)
            batch, least_s, batch_s = self._batch(stands, left_s, costs)
            if batch:
                if batch == last and admission.started:
                    raise RequestError(f"jobs leave no readable record in {self.store.path}")
                last = batch
                # For a better estimate of what is left, no job starts long after the first.
                patience_s = max(2 * _BATCH_S, batch_s)
                admission = Admission(
                    costs, begun + budget_s, self._abreast, self.clock, patience_s=patience_s
                )
                if not train(batch, costs.estimator, admission):
                    return False
            elif least_s < math.inf:
                if not last:
                    raise too_small(budget_s, least_s)
                return True
            # Else no search had another point to give, which is noted; some may go on to a rung.

    def _batch(
        self, stands: Sequence[Stand], left_s: float, costs: Costs
    ) -> tuple[list[Job], float, float]:
        """The jobs to train next, the seconds of the one that takes the least, and those of all.

        Beside a job that takes longer than a batch should, others fill the time of the workers that
        would wait for it.
        """
        least_s = math.inf
        waiting = sorted((s for s in stands if not s.done), key=_turn)
        for _, turn in groupby(waiting, key=_turn):
            batch: list[Job] = []
            taken_s = batch_s = 0.0
            for job in _in_turn([self._jobs(one) for one in turn]):
                job_s = costs.seconds(job)
                alone_s = costs.start_s + job_s
                least_s = min(least_s, alone_s)
                wall_s = costs.start_s + max(job_s, (taken_s + job_s) / self._abreast)
                full = len(batch) >= self.workers and wall_s > max(_BATCH_S, batch_s)
                if wall_s <= left_s and not full and job not in batch:
                    batch.append(job)
                    taken_s += job_s
                    batch_s = max(batch_s, wall_s)
            if batch:
                return batch, least_s, batch_s
        return [], least_s, 0.0

    def _jobs(self, stand: Stand) -> list[Job]:
        """The jobs of a search on its rung, those of new candidates included."""
        jobs = list(stand.pending)
        if stand.wanted:
            search = stand.search
            at_once = max(STARTUP - len(stand.tried), self.workers, _AT_ONCE)
            count = min(stand.wanted, at_once)
            points = propose(
                search, stand.part, stand.tried, count, self._possible(search), stand.reach
            )
            if not points:
                if self.unable and not (stand.tried or stand.number):
                    raise RequestError(f"{search.name}: {self.unable}")
                self.exhausted.add((search, stand.number))
            jobs += [
                search.job(point, latent, stand.rungs[0], self.how)
                for point in points
                for latent in search.latent
            ]
        return jobs

    def _possible(self, search: Search) -> Callable[[Point], bool]:
        def possible(point: Point) -> bool:
            try:
                search.job(point, search.latent[0], search.epochs[0], self.how)
            except RequestError as error:  # as a momentum with an optimizer that has none
                self.unable = str(error)
                return False
            return True

        return possible


def _jobs(store: Store) -> pd.DataFrame:
    return store.survey().jobs


def _turn(stand: Stand) -> tuple[int, int]:
    return stand.widened, stand.rung


def _in_turn(lists: Sequence[list[Job]]) -> Iterator[Job]:
    """The first of each list, then the second of each, and so on."""
    for place in range(max(map(len, lists), default=0)):
        yield from (jobs[place] for jobs in lists if place < len(jobs))
