"""Where a search stands, from the records alone: its rungs, its winner, its edges, what is next.

Successive halving: K. Jamieson, A. Talwalkar: Non-stochastic Best Arm Identification (AISTATS
2016). On every rung candidates are trained from scratch with so many epochs, and the best of them,
one in `keep` and two at least, go on to the next, and so do those that had been on it already.
Optuna's own pruners are not used: they judge a training by its curve before it has ended, and under
a cosine schedule only complete trainings can be compared. Everything here follows from the records,
so that a search which was stopped goes on as if it had not been, and no record is needed of how far
it came.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aebench.errors import RequestError
from aebench.job import FIELDS as JOB_FIELDS
from aebench.job import FRACTIONS, Job
from aebench.protocols import TrainingSettings
from aebench.tune import choice
from aebench.tune.choice import COLUMNS, Candidate, Choice, Row
from aebench.tune.space import FIELDS, Choices, Dimension, Dimensions, Point, Range, Search, bounds

if TYPE_CHECKING:
    import pandas as pd

_AT_END = 0.05  # of a range's length: so near an end is on the edge
_PAYS = 0.98  # of the error one rung before: below it more epochs still pay
_FACTOR = 3  # by which a range, or the epochs, are widened
_TIMES = 2  # that each is widened at most
# What decides a job's result; engines agree within rounding, and a protocol is but a name.
_RESULT = tuple(n for n in JOB_FIELDS if n not in ("engine", "protocol", "repeat"))
Identity = tuple[Any, ...]


class Known:
    """The records of a folder, by what decides their result."""

    def __init__(self, jobs: pd.DataFrame) -> None:
        self.rows: dict[Identity, list[Row]] = {}
        for row in choice.plain_rows(jobs, COLUMNS):
            self.rows.setdefault(tuple(row[name] for name in _RESULT), []).append(row)

    def of(self, job: Job) -> list[Row]:
        """The records of a job, by whatever engine."""
        return self.rows.get(_identity(job), [])

    def val_mse(self, job: Job) -> float | None:
        """Its validation error, the median of several; infinite if it failed, None if not run."""
        rows = self.of(job)
        return statistics.median(map(choice.val_mse, rows)) if rows else None

    def points(self, search: Search, dims: Dimensions, how: Mapping[str, Any]) -> list[Point]:
        """Every point within `dims` that has a record on the first rung, in a fixed order."""
        found: dict[Point, None] = {}
        for rows in self.rows.values():
            row = rows[0]
            where = (row["architecture"], row["dataset"], row["epochs"])
            if where != (search.architecture, search.dataset, search.epochs[0]):
                continue
            fields = tuple((name, row[name]) for name in FIELDS)
            point = Point(fields, row["depth"], row["options"] or "")
            if row["latent"] in search.latent and search.values(point, dims) is not None:
                with contextlib.suppress(RequestError):  # what can be no job any more
                    if self.of(search.job(point, row["latent"], row["epochs"], how)):
                        found[point] = None  # of this seed and precision
        return sorted(found, key=repr)


def _identity(job: Job) -> Identity:
    return tuple(getattr(job, name) for name in _RESULT)


@dataclass(frozen=True)
class Stand:
    """Where a search stands. `rung` is the place of the one in hand, `widened` how often it grew.

    `pending` are the jobs to train on it. `wanted` more candidates are to be sampled within `part`,
    the one of that `number`, those at the values of `reach` first, given those `tried` there and
    how bad they were. With neither it is done: `ranked` are the candidates of the last rung, best
    first, `others` all others, `edges` what was found of the winner: the field and a sentence each.
    """

    search: Search
    rungs: tuple[int, ...]
    rung: int
    widened: int
    pending: tuple[Job, ...] = ()
    part: Dimensions = field(default_factory=dict)
    number: int = 0
    reach: Sequence[tuple[str, float]] = ()
    wanted: int = 0
    tried: Mapping[Point, float] = field(default_factory=dict)
    ranked: Sequence[Candidate] = ()
    others: Sequence[Candidate] = ()
    rows: Sequence[Row] = ()
    edges: Mapping[str, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.pending or self.wanted)

    def choice(self, grid: str, accepted: Collection[str]) -> tuple[Choice | None, str]:
        """What is chosen, or None and why nothing is."""
        best = self.ranked[0] if self.ranked else None
        if not self.done:
            at = f"rung {self.rung + 1} of {len(self.rungs)} ({self.rungs[self.rung]} epochs)"
            said = f"the budget ended on {at}; the same command goes on from there"
            refused = [sentence for name, sentence in self.edges.items() if name not in accepted]
            return None, "; ".join([said, *refused])
        if best is None or len(self.ranked) < 2:
            return None, (
                f"candidates that reached the last rung: {len(self.ranked)}, and a winner needs two"
                " to have been compared; give more candidates"
            )
        if math.isinf(best.ratio):
            return None, "no candidate of the last rung ended ok with at least half of the models"
        if refused := [said for name, said in self.edges.items() if name not in accepted]:
            return None, "; ".join(refused)
        s = self.search
        where = choice.provenance(self.rows, grid)
        found = Choice(s.architecture, s.dataset, s.latent, self.ranked, self.others, where)
        return replace(found, at_edge=tuple(sorted(self.edges))), ""


def stand(
    search: Search,
    known: Known,
    how: Mapping[str, Any],
    accepted: Collection[str] = (),
    exhausted: Collection[tuple[Search, int]] = (),
) -> Stand:
    """Where `search` stands by what is `known`.

    `how` is how its jobs are run, `accepted` the fields whose edges are fine, `exhausted` the parts
    of spaces, by search and number, in which no other point is to be found.
    """
    parts: list[tuple[Dimensions, Sequence[tuple[str, float]]]] = [(search.dims, _reach(search))]
    whole: Dimensions = search.dims
    rungs, widened = search.epochs, Counter[str]()
    edges: dict[str, str] = {}
    while True:
        here = _Climb(search, known, how, rungs)
        pool: dict[Point, None] = {}
        for number, (part, reach) in enumerate(parts):
            inside = known.points(search, part, how)
            new = [point for point in inside if point not in pool]  # not at an end of both
            pool |= dict.fromkeys(inside)
            target = search.candidates if not number else math.ceil(search.candidates / _FACTOR)
            wanted = 0 if (search, number) in exhausted else max(0, target - len(new))
            if wanted:
                tried = {p: here.badness(p) for p in inside}
                pending = here.pending(inside, rungs[0])
                now = Stand(
                    search, rungs, 0, widened.total(), pending, part, number, reach, wanted, tried,
                    edges=edges,
                )  # fmt: skip
                return here.shown(now, pool)
        members = list(pool)
        for rung, epochs in enumerate(rungs):
            if pending := here.pending(members, epochs):
                now = Stand(search, rungs, rung, widened.total(), pending, edges=edges)
                return here.shown(now, pool)
            ranked = here.ranked(members, epochs)
            keep = max(2, len(ranked) // search.keep)
            if rung + 1 < len(rungs):
                points = [_point(candidate) for candidate in ranked]
                # Who was on the next rung before better ones came is compared there all the same.
                been = (p for p in points[keep:] if not here.pending([p], rungs[rung + 1]))
                members = [*points[:keep], *been]
        edges = _edges(whole, rungs, ranked, here) if ranked else {}
        grown = None
        for name in edges:
            if name not in accepted and widened[name] < _TIMES and grown is None:
                if name == "epochs":
                    grown, rungs = name, (*rungs, rungs[-1] * _FACTOR)
                elif wider := _widened(here, whole, name, _point(ranked[0])):
                    grown, (whole, part, end) = name, wider
                    parts.append((part, ((name, end),)))
        if grown is None:
            now = Stand(search, rungs, len(rungs) - 1, widened.total(), ranked=ranked, edges=edges)
            return here.shown(now, pool)
        widened[grown] += 1


def _reach(search: Search) -> list[tuple[str, float]]:
    """The ends of all ranges, a third of the candidates at most: what lies beyond shows there."""
    ranges = ((name, dim) for name, dim in search.dims.items() if isinstance(dim, Range))
    ends = [(name, end) for name, dim in ranges for end in (dim.low, dim.high)]
    return ends[: search.candidates // 3]


@dataclass(frozen=True)
class _Climb:
    """The candidates of a search on its rungs, by what is known of them."""

    search: Search
    known: Known
    how: Mapping[str, Any]
    rungs: tuple[int, ...]

    def jobs(self, point: Point, epochs: int) -> list[Job]:
        return [self.search.job(point, k, epochs, self.how) for k in self.search.latent]

    def pending(self, members: Sequence[Point], epochs: int) -> tuple[Job, ...]:
        jobs = (job for point in members for job in self.jobs(point, epochs))
        return tuple(job for job in jobs if not self.known.of(job))

    def ranked(self, members: Sequence[Point], *epochs: int) -> list[Candidate]:
        """Those of `members` that were run with every model for so many epochs, best first."""
        return choice.rank({k: v for e in epochs for k, v in self._errors(members, e).items()})

    def _errors(
        self, members: Sequence[Point], epochs: int
    ) -> dict[tuple[TrainingSettings, int, str], dict[str, float]]:
        errors = {}
        for point in members:
            rows = [self.known.of(job) for job in self.jobs(point, epochs)]
            if all(rows):
                settings = TrainingSettings(**dict(point.fields), epochs=epochs)
                errors[settings, point.depth, point.options] = {
                    _without_form(of_model[0]): statistics.median(map(choice.val_mse, of_model))
                    for of_model in rows
                }
        return errors

    def badness(self, point: Point) -> float:
        """How bad a point was on the first rung: the mean log of its errors, for the sampler."""
        errors = [self.known.val_mse(job) for job in self.jobs(point, self.rungs[0])]
        done = [math.log(max(e, 1e-300)) if e < math.inf else e for e in errors if e is not None]
        return sum(done) / len(done)

    def shown(self, now: Stand, pool: Collection[Point]) -> Stand:
        """`now` with the other candidates, of all rungs, and all rows."""
        best = {(c.settings, c.depth, c.options) for c in now.ranked}
        every = self.ranked(list(pool), *self.rungs)
        others = [c for c in every if (c.settings, c.depth, c.options) not in best]
        jobs = (job for e in self.rungs for point in pool for job in self.jobs(point, e))
        return replace(now, others=others, rows=[row for job in jobs for row in self.known.of(job)])


def _without_form(row: Row) -> str:
    """A row's model, without the depth and options that the candidates differ in."""
    return choice.model_name({**row, "depth": Job.depth, "options": ""})


def _point(candidate: Candidate) -> Point:
    fields = tuple((n, getattr(candidate.settings, n)) for n in FIELDS)
    return Point(fields, candidate.depth, candidate.options)


def _edges(
    dims: Dimensions, rungs: tuple[int, ...], ranked: Sequence[Candidate], here: _Climb
) -> dict[str, str]:
    """The fields whose value of the winner lies on an edge, and a sentence of each."""
    values = here.search.values(_point(ranked[0]), dims) or {}
    found = {}
    for name, dim in dims.items():
        if side := _side(name, dim, values.get(name)):
            found[name] = _sentence(name, dim, values[name], side)
    if len(rungs) > 1:
        before = here.ranked([_point(ranked[0])], rungs[-2])[0].val_mse
        now = ranked[0].val_mse
        gain = statistics.median(_ratio(now[model], before[model]) for model in now)
        if gain < _PAYS:
            found["epochs"] = (
                f"epochs: the last rung, {rungs[-1]} epochs, still lowered the winner's validation"
                f" error by {1 - gain:.0%} from that of {rungs[-2]}; add a rung of"
                f" {rungs[-1] * _FACTOR} to epochs in the file, or --accept-edge epochs"
            )
    return found


def _ratio(now: float, before: float) -> float:
    return now / before if before and math.isfinite(now) else 1.0


def _side(name: str, dim: Dimension, value: Any) -> int:
    """-1 or 1 if `value` lies at the lower or the upper edge of `dim`; 0 if at none.

    Where a field can go no further, as below no weight decay at all, there is no edge.
    """
    if isinstance(dim, Range):
        low, high, share = dim.low, dim.high, dim.share(value)
        at = -1 if share <= _AT_END else 1 if share >= 1 - _AT_END else 0
    else:
        numbers = [v for v in dim.values if isinstance(v, int | float) and not isinstance(v, bool)]
        if len(numbers) < len(dim.values) or len(numbers) < 3:
            return 0
        low, high = min(numbers), max(numbers)
        at = -1 if value == low else 1 if value == high else 0
    least, most = bounds(name)
    return 0 if (at < 0 and low <= least) or (at > 0 and high >= most) else at


def _sentence(name: str, dim: Dimension, value: float, side: int) -> str:
    end = "lower" if side < 0 else "upper"
    if isinstance(dim, Range):
        tried = f"the range {dim.low:g} to {dim.high:g}"
        further = dim.low / _FACTOR if side < 0 else dim.high * _FACTOR
        how = f"{'from' if side < 0 else 'to'} = {further:g}"
        if not dim.log:
            further = dim.low - (dim.high - dim.low) if side < 0 else 2 * dim.high - dim.low
            how = f"{'from' if side < 0 else 'to'} = {max(further, bounds(name)[0]):g}"
    else:
        tried = f"{', '.join(f'{v:g}' for v in dim.values)}"
        how = f"{'smaller' if side < 0 else 'larger'} values"
    return (
        f"{name}: the winner's {value:g} lies at the {end} edge of {tried}; widen it in the file"
        f" ({how}), or --accept-edge {name}"
    )


def _widened(
    here: _Climb, whole: Dimensions, name: str, winner: Point
) -> tuple[Dimensions, Dimensions, float] | None:
    """The space with the range of a field widened on the winner's side, its new part and end."""
    dim = whole[name]
    if isinstance(dim, Choices):
        return None
    value = (here.search.values(winner, whole) or {})[name]
    down = _side(name, dim, value) < 0
    if dim.log:
        end = dim.low / _FACTOR if down else dim.high * _FACTOR
    else:
        end = dim.low - (dim.high - dim.low) if down else 2 * dim.high - dim.low
    least, most = bounds(name)
    if end <= 0 and name in FRACTIONS and not FRACTIONS[name][0]:
        end = dim.low / _FACTOR
    end = min(max(end, least), most)
    end = round(end) if dim.whole else float(f"{end:.6g}")
    wide = Range(end, dim.high, dim.whole) if down else Range(dim.low, end, dim.whole)
    new = Range(end, dim.low, dim.whole) if down else Range(dim.high, end, dim.whole)
    if new.low >= new.high:
        return None
    dims = {**whole, name: wide}
    if here.search.impossible(dims, here.how):
        return None
    return dims, {**whole, name: new}, end
