"""Whether outcomes are as expected: one set of them beside another, finding by finding.

The other set is a file that `aebench findings --format json` wrote, or the outcomes of the
reference results, which ship with aebench and are made anew by `python -m bench.reference`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from aebench.analysis import words
from aebench.analysis.evidence import Verdict
from aebench.analysis.figures import EXACT, NEAR, Runs
from aebench.analysis.statistics import LEAST
from aebench.errors import RequestError, printable
from aebench.language import say

REFERENCE = Path(__file__).with_name("reference_outcomes.json")
Answer = Literal["as expected", "differs", "too few to tell", "not tested here", "not tested there"]
ANSWERS: tuple[Answer, ...] = get_args(Answer)
_APART = 10.0  # the largest of several runs over the smallest


@dataclass(frozen=True)
class Known:
    """What of an outcome is compared; `values` are the figures behind `ours`, one for each seed."""

    id: str
    verdict: Verdict
    ours: float | None
    low: float | None
    high: float | None
    n_seeds: int
    counts: str
    values: tuple[float, ...]

    @property
    def apart(self) -> bool:
        """Whether the runs differ so much that their mean says nothing.

        Some seeds of a model may learn and others not: the mean is then the figure of none of them.
        """
        low, high = min(self.values, default=0.0), max(self.values, default=0.0)
        return 0 < _APART * low < high

    @property
    def figure(self) -> str:
        """`ours` in words or, where the runs lie apart, from which to which they go."""
        if self.apart:
            return words.between(min(self.values), max(self.values))
        return words.number(self.ours)

    @property
    def interval(self) -> str:
        """What stands beside the figure: its 95 % interval, or that it goes from run to run."""
        return say("from run to run") if self.apart else words.between(self.low, self.high)


@dataclass(frozen=True)
class Expectation:
    """An outcome here beside the one there; `overlap` of their 95 % intervals, if both have one."""

    id: str
    answer: Answer
    here: Known
    there: Known | None
    overlap: bool | None
    why: str


def compare(here: Known, there: Known | None) -> Expectation:
    """Say whether `here` is as expected, given what came out `there`.

    With three seeds or more on both sides the 95 % intervals of the means overlap, or else, where
    one has runs enough to know how they are distributed, every run of the other is one that it may
    give: not told from them by the tests of `figures.Runs.told`. With fewer than three on one side
    each of its runs must be such, or within a factor of 1.1 of one of the others. With fewer on
    both, runs within a factor of 1.1 agree, and others say nothing. Ratios of times are those of a
    machine, so of these only opposite verdicts differ.

    Measured for 1, 3 or 20 runs here and 3 or 20 there, all drawn alike: it says "differs" in at
    most 4 % of samples; 10 % for one run beside three where runs have two outcomes.
    """

    def said(answer: Answer, why: str, overlap: bool | None = None) -> Expectation:
        return Expectation(here.id, answer, here, there, overlap, why)

    if here.ours is None:
        return said("not tested here", "no figure here")
    if there is None or there.ours is None:
        return said("not tested there", "no figure to compare it with")
    if here.counts == "pair":
        opposite = {here.verdict, there.verdict} == {"replicated", "not replicated"}
        why = "verdicts compared, for times are those of a machine"
        return said("differs" if opposite else "as expected", why)
    few, many = sorted((here, there), key=lambda known: known.n_seeds)
    if few.n_seeds >= LEAST:
        overlap = _overlap(here, there)
        why = f"the intervals {'overlap' if overlap else 'do not overlap'}"
        known = many.n_seeds >= EXACT  # how its runs are distributed
        alike = known and not any(Runs.of(many.values, value).told for value in few.values)
        why += ", but the runs are alike" * (alike and not overlap)
        return said("as expected" if overlap or alike else "differs", why, overlap)
    seeds, others = words.seeds(few.n_seeds), words.counted(many.n_seeds, "seed")
    if many.n_seeds < LEAST:
        near = all(any(_near(v, w) for w in many.values) for v in few.values)
        why = f"{seeds} beside {others}: no interval"
        return said("as expected" if near else "too few to tell", why)
    if all(_may_give(many.values, value) for value in few.values):
        return said("as expected", f"{seeds}, such as the {others} on the other side may give")
    return said("differs", f"{seeds}, such as the {others} on the other side do not give")


def _overlap(one: Known, other: Known) -> bool:
    ends = one.low, one.high, other.low, other.high
    low, high, other_low, other_high = (math.nan if end is None else end for end in ends)
    return low <= other_high and other_low <= high


def _near(one: float, other: float) -> bool:
    return 1 / NEAR <= one / other <= NEAR


def _may_give(values: Sequence[float], value: float) -> bool:
    runs = Runs.of(values, value)
    return runs.near > 0 or not runs.told


def compared(here: Iterable[Known], there: Mapping[str, Known]) -> list[Expectation]:
    """Every outcome here beside the one there with the same id."""
    return [compare(known, there.get(known.id)) for known in here]


@cache
def reference() -> dict[str, Known]:
    """The outcomes of the reference results, by id."""
    return read(REFERENCE)


def written(outcomes: Iterable[Known]) -> str:
    """The file that `read` reads, of what it needs and no more."""
    return json.dumps([asdict(known) for known in outcomes], indent=1, allow_nan=False) + "\n"


def read(path: Path) -> dict[str, Known]:
    """The outcomes in a file that `aebench findings --format json` wrote, by id.

    Raises:
        RequestError: the file cannot be read, or holds something else.
    """
    try:
        rows = json.loads(path.read_bytes())
        found = [_known(row) for row in rows]
    except OSError as error:
        why = error.strerror or str(error)
        raise RequestError(f"{printable(path)} cannot be read: {why}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise RequestError(
            f"{printable(path)} holds no outcomes of findings ({printable(error)}); name a results "
            "folder, or a file that `aebench findings --format json` wrote"
        ) from None
    return {known.id: known for known in found}


def _known(row: Mapping[str, Any]) -> Known:
    plain = {field.name: row[field.name] for field in fields(Known)}
    known = Known(**plain | {"values": tuple(map(_positive, row["values"]))})
    for figure in (known.ours, known.low, known.high):
        if figure is not None:
            _positive(figure)
    if known.verdict not in get_args(Verdict) or not isinstance(known.id, str):
        raise ValueError(f"verdict {known.verdict!r} of {known.id!r}")
    if known.n_seeds != len(known.values):
        raise ValueError(f"{known.n_seeds} seeds of {known.id} with {len(known.values)} values")
    return known


def _positive(figure: Any) -> float:
    if not isinstance(figure, float | int) or not 0 < figure < math.inf:
        raise ValueError(f"{figure!r} is no positive number")
    return float(figure)
