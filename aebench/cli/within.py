"""``--budget`` of ``aebench run``: what of a grid fits a time, in which order, what is left out.

First come jobs that findings wait for, the finding that is decided soonest before the others; the
rest keeps the order of the grid, which has every system once before any twice. A job whose turn
comes when it no longer fits is left out, and a cheaper one may take its place.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aebench.budget import Admission, Costs, Fit, fitting
from aebench.cli import text
from aebench.errors import printable
from aebench.estimate import Guess
from aebench.executors import RunOptions
from aebench.grid import Grid
from aebench.job import Job

if TYPE_CHECKING:
    from aebench.store import Store, Survey

_NAMED = 5


@dataclass(frozen=True)
class Within:
    """The jobs to do in the order in which they are tried, and what likely fits.

    `there` are the keys of all jobs with a good record in the folder, of the grid or not.
    """

    grid: Grid
    there: frozenset[str]
    todo: tuple[Job, ...]
    costs: Costs
    budget_s: float
    fit: Fit

    def admission(self, store: Store, options: RunOptions) -> Admission:
        """Who says at a job's turn whether it still fits; the budget begins now."""
        folder, started = store.path.name, self.costs.started
        threads = options.threads_of_each(len(self.todo))

        def learn() -> Costs:
            return Costs.of(store.survey().jobs, folder, threads, started)

        end = time.monotonic() + self.budget_s
        return Admission(self.costs, end, options.abreast(len(self.todo)), learn=learn)


def within(
    grid: Grid,
    todo: Sequence[Job],
    known: Survey,
    folder: str,
    options: RunOptions,
    budget_s: float,
) -> Within:
    """What to do of `grid` within `budget_s` seconds; `known` is what its `folder` holds.

    Raises:
        RequestError: there is something to do, and the budget is too small for any of it.
    """
    from aebench.analysis import deciding

    started = frozenset() if options.repeats_in_process else grid.repeated
    costs = Costs.of(known.jobs, folder, options.threads_of_each(len(todo)), started)
    there = _done(known.statuses)
    possible = [job for job in todo if job not in grid.impossible]
    wanted = set(possible)
    first = deciding.first(
        [job for job in grid.jobs if job in wanted or job.key in there], there, costs.seconds
    )
    ordered = tuple(dict.fromkeys([*first, *possible]))
    fit = fitting(ordered, costs, budget_s, options.abreast(len(todo)))
    skipped = [job for job in todo if job in grid.impossible]
    return Within(grid, there, (*skipped, *ordered), costs, budget_s, fit)


def _done(statuses: Mapping[str, str]) -> frozenset[str]:
    return frozenset(key for key, status in statuses.items() if status == "ok")


def told_before(plan: Within, options: RunOptions) -> list[str]:
    """What likely fits and what is left out, in sentences, before anything runs."""
    from aebench.analysis import deciding

    fits, ordered = set(plan.fit.jobs), [j for j in plan.todo if j not in plan.grid.impossible]
    out = [job for job in ordered if job not in fits]
    took = sum(map(plan.costs.guess, plan.fit.jobs), Guess()).times(
        1 / options.abreast(len(plan.todo))
    )
    between = f"{plan.fit.least} to {plan.fit.most}"
    said = [
        f"within {text.duration(plan.budget_s)}: about {len(fits)} of {len(ordered)} jobs"
        f" ({between}), {text.between(took.low_s, took.high_s)}; first {_named(plan.fit.jobs)}"
    ]
    there = plan.there | {job.key for job in plan.fit.jobs}
    waits = deciding.waits(plan.grid.jobs, there)
    if decided := [id for id, missing in waits.items() if not missing]:
        said.append(f"findings that then have what they take: {', '.join(decided)}")
    return [*said, *_left_out(plan, out, there)]


def told_after(
    plan: Within, left_out: Sequence[Job], statuses: Mapping[str, str], again: str
) -> list[str]:
    """What the budget has left out, what is undecided for it, and that `again` goes on."""
    if not left_out:
        return []
    return [*_left_out(plan, left_out, _done(statuses)), f"to go on: {again}"]


def _left_out(plan: Within, left_out: Sequence[Job], there: frozenset[str]) -> list[str]:
    from aebench.analysis import deciding

    if not left_out:
        return []
    out = set(left_out)
    waits = deciding.waits(plan.grid.jobs, there)
    undecided = [id for id, missing in waits.items() if out & set(missing)]
    said = [f"left out by the budget: {text.count(len(left_out), 'job')}: {_named(left_out)}"]
    if undecided:
        said.append(f"findings that wait for them: {', '.join(undecided)}")
    return said


def _named(jobs: Sequence[Job]) -> str:
    named = ", ".join(printable(job.name) for job in jobs[:_NAMED])
    return named + (f" and {len(jobs) - _NAMED} more" if len(jobs) > _NAMED else "")
