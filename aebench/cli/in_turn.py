"""Two values of one axis of a grid, run in turn on this machine, for ``aebench compare --run``.

Each job of the one side stands beside its partner of the other, and who is first changes with
every repeat: A B, B A, A B, ... So a machine that grows steadily slower favours neither side. Every
job has a process started for it. What the two sides differ in is judged by `analysis.comparison`.
"""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from aebench.cli import axes, folders, text
from aebench.cli.execute import execute, to_do
from aebench.errors import RequestError, printable
from aebench.estimate import Estimator
from aebench.executors import RunOptions
from aebench.grid import Grid, load_grid
from aebench.job import FIELDS, Job

if TYPE_CHECKING:
    from aebench.store import Results

AXES = ("engine", "precision", "device")
"""What two values may be given of."""


@dataclass(frozen=True)
class Sides:
    """Partners, in the order in which they run, and the names of what they differ in.

    `names` are the values of the axis that was given two; `across` is that axis, and the engine as
    well where `auto` chose another one on each side.
    """

    jobs: tuple[Job, ...]
    names: tuple[str, str]
    across: tuple[str, ...]

    def of(self, results: Results, number: int) -> Results:
        """The rows of side 0 or 1."""
        axis, name = self.across[0], self.names[number]
        keys = {job.key for job in self.jobs if getattr(job, axis) == name}
        return dataclasses.replace(results, jobs=results.jobs[results.jobs["key"].isin(keys)])


def sides(grid: str, given: Mapping[str, str | None], repeats: int, data: Path | None) -> Sides:
    """Enumerate both sides of `grid`; `given` has the words of `AXES`.

    Raises:
        RequestError: not exactly one axis has two values, the grid is wrong, or no job of one side
            has a partner on the other.
    """
    words = {name: text.items(f"--{name}", value) for name, value in given.items() if value}
    two = [name for name, values in words.items() if len(values) > 1]
    options = ", ".join(f"--{name}" for name in AXES)
    if len(two) != 1 or len(set(words[two[0]])) != 2 or len(words[two[0]]) != 2:
        raise RequestError(
            f"compare --run takes two values of one of {options}, as in --engine eager,native; it"
            " was given "
            + (", ".join(f"--{name} {printable(given[name] or '')}" for name in words) or "none")
        )
    asked: dict[str, Any] = {name: values for name, values in words.items() if name != "device"}
    asked["device"] = [axes.device(word) for word in words.get("device", ["auto"])]
    axis = two[0]
    first, second = asked[axis]
    if first == second:
        raise RequestError(f"--{axis} {given[axis]}: both mean {first}, so there are no two sides")
    found = load_grid(grid, asked | {"repeats": repeats}, None, data)
    text.warn(found.notes)
    return pair(found, axis, (first, second))


def pair(grid: Grid, axis: str, names: tuple[str, str]) -> Sides:
    """Pair the jobs of a grid, and put them in order.

    Raises:
        RequestError: none has a partner.
    """
    free = {axis, "engine"} if all(job.by_auto for job in grid.jobs) else {axis}
    same = attrgetter(*(name for name in FIELDS if name not in free))
    possible = [job for job in grid.jobs if job not in grid.impossible]
    partners: dict[Any, dict[str, Job]] = {}
    for job in possible:
        partners.setdefault(same(job), {})[getattr(job, axis)] = job
    pairs = [found for found in partners.values() if len(found) == len(names)]
    alone = [job for found in partners.values() if len(found) == 1 for job in found.values()]
    reasons = dict.fromkeys([*grid.impossible.values(), *(f"{job.name} alone" for job in alone)])
    told = printable("; ".join(list(reasons)[:3]))
    if not pairs:
        raise RequestError(
            f"no job of {printable(grid.name)} can be run both with {names[0]} and {names[1]}:"
            f" {told}"
        )
    left_out = len(grid.jobs) - len(names) * len(pairs)
    text.warn(
        [f"{text.count(left_out, 'job')} without a partner, left out: {told}"] * bool(left_out)
    )
    ordered = [
        found[name]
        for found in sorted(pairs, key=lambda found: next(iter(found.values())).repeat)
        for name in (names if found[names[0]].repeat % 2 == 0 else names[::-1])
    ]
    differ = any(found[names[0]].engine != found[names[1]].engine for found in pairs)
    across = (axis, "engine") if differ and axis != "engine" else (axis,)
    return Sides(tuple(ordered), names, across)


def run(pairs: Sides, grid: str, shown: Path | None, options: RunOptions) -> tuple[Results, Path]:
    """Run what is not there yet of both sides, with progress; their results, and the folder.

    Raises:
        RequestError: another run works in the folder; or a job has no readable record.
        typer.Exit: the user stopped it, or some jobs did not end ok, with what to do said.
    """
    from aebench.executors import leases
    from aebench.store import Store

    here = folders.current()
    name = "-".join(["compare", Path(grid).stem, *pairs.names])
    shown = shown or text.RESULTS / name
    store = Store(here / shown)
    folders.check_utf8(store.path)
    if leases.held(store.parts):
        raise RequestError(
            f"{shown} is in use: another run trains jobs there, and times beside it would be of"
            " both; wait for it, or choose another folder with --results"
        )
    known = store.survey()
    text.warn(known.problems)
    asked = Grid(name, pairs.jobs, repeated=frozenset(pairs.jobs))
    todo = to_do(asked, known, options, retry_failed=True)
    if 0 < len(todo) < len(asked.jobs):
        text.warn(["part of it was measured earlier, so not all of it is in turn"])
    estimator = Estimator.from_survey(known, options.threads_of_each(len(todo)))
    finished = execute(asked, todo, store, shown, estimator, options)
    if not finished:
        again = shlex.join(["aebench", *sys.argv[1:]])
        text.error(f"stopped; to continue: {again}", style="")
        raise typer.Exit(130)
    results = store.read()
    mine = results.jobs[results.jobs["key"].isin({job.key for job in pairs.jobs})]
    bad = mine[mine["status"].ne("ok")]
    if len(bad) or len(mine) < len(pairs.jobs):
        _complain(list(zip(bad["status"], bad["reason"], strict=True)), len(pairs.jobs), len(mine))
        raise typer.Exit(1)
    return results, shown


def _complain(bad: Sequence[tuple[str, str]], wanted: int, there: int) -> None:
    if missing := wanted - there:
        text.error(f"{text.count(missing, 'job')} of {wanted} left no readable record")
    if bad:
        status, reason = bad[0]
        text.error(
            f"{len(bad)} of {wanted} jobs did not end ok, so nothing is compared; the first:"
            f" {status}: {printable(reason)}; the same command runs them again"
        )
