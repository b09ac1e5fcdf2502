"""Which candidates to try next: Optuna's sampler, given all that is recorded already.

A study lives for one call only: it is made anew of the records, and its seed of their number, so
that a search that was stopped goes on without a file of its own.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aebench.errors import RequestError
from aebench.tune.space import Choices, Dimension, Dimensions, Point, Range, Search, points

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

STARTUP = 10
"""Candidates that are spread evenly before the sampler models what was measured."""
_TRIES = 40  # for each candidate, before what is left of a space is looked through
_MOST = 10_000  # points of a space that are looked through
_DIGITS = 3  # of a number drawn


def propose(
    search: Search,
    dims: Dimensions,
    known: Mapping[Point, float],
    count: int,
    possible: Callable[[Point], bool],
    reach: Sequence[tuple[str, float]] = (),
) -> list[Point]:
    """At most `count` points within `dims` that are not `known`; fewer if there are no more.

    `known` maps points to how bad they were, infinite where they failed. `reach` are values of
    dimensions to try first, where they have not been: ends of ranges, that sampling hardly meets.

    Raises:
        RequestError: optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise RequestError(
            "a search takes optuna, which samples its candidates, and this Python has none: pip"
            " install optuna, then the same command again"
        ) from None

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    free = {name: dim for name, dim in dims.items() if points({name: dim}) > 1}
    fixed = {
        name: dim.values[0]
        for name, dim in dims.items()
        if name not in free and isinstance(dim, Choices)
    }
    space = {name: _distribution(dim) for name, dim in free.items()}
    sampler = optuna.samplers.TPESampler(
        seed=search.seed + len(known), n_startup_trials=STARTUP, constant_liar=True
    )
    study = optuna.create_study(sampler=sampler)
    used: list[dict[str, Any]] = []
    for point, badness in known.items():
        if (values := search.values(point, dims)) is not None:
            used.append({name: _param(free[name], values[name]) for name in free})
            study.add_trial(
                optuna.trial.create_trial(params=used[-1], distributions=space, value=badness)
            )
    ends = [(name, end) for name, end in reach if not any(u[name] == end for u in used)]
    for i in range(max(len(ends), min(count, STARTUP - len(used)))):
        used.append(_spread(free, used, dict(ends[i : i + 1])))
        study.enqueue_trial(used[-1])
    found: dict[Point, None] = {}
    for _ in range(_TRIES * count):
        if len(found) == count:
            break
        trial = study.ask(space)
        values = {name: _value(free[name], trial.params[name]) for name in free}
        drawn = _usable(search, fixed | values, possible)
        if drawn is None or drawn in known or drawn in found:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            found[drawn] = None
    if len(found) < count and points(dims) <= _MOST:
        for combination in itertools.product(*map(_all, dims.values())):
            one = _usable(search, dict(zip(dims, combination, strict=True)), possible)
            if one is not None and one not in known and len(found) < count:
                found[one] = None
    return list(found)


def _spread(
    free: Dimensions, used: Sequence[Mapping[str, Any]], given: Mapping[str, Any]
) -> dict[str, Any]:
    """One more candidate, as far from those `used` as may be in each dimension that is not `given`.

    Of a list the choice that was used least; of a range the middle of its widest gap, in what of it
    the same choices left. Few candidates drawn at random would leave some choices out.
    """
    one = dict(given)
    for name, dim in free.items():
        if name not in one and isinstance(dim, Choices):
            times = Counter(u[name] for u in used)
            one[name] = min(range(len(dim.values)), key=lambda place: times[place])
    same = [u for u in used if all(u[n] == v for n, v in one.items() if n not in given)]
    for name, dim in free.items():
        if name not in one and isinstance(dim, Range):
            taken = [u[name] for u in same if name in u]
            one[name] = _in_widest_gap(dim, taken, [u[name] for u in used if name in u])
    return one


def _in_widest_gap(dim: Range, same: Sequence[float], all_: Sequence[float]) -> Any:
    """The middle of the widest gap between numbers tried, those of the `same` choices if any."""
    scale = math.log if dim.log else float
    low, high = scale(dim.low), scale(dim.high)
    marks = sorted({low, high, *map(scale, same or all_)})
    below, above = max(itertools.pairwise(marks), key=lambda gap: gap[1] - gap[0])
    middle = (below + above) / 2
    number = math.exp(middle) if dim.log else middle
    return round(number) if dim.whole else _rounded(dim, number)


def _usable(
    search: Search, values: Mapping[str, Any], possible: Callable[[Point], bool]
) -> Point | None:
    try:
        point = search.point(values)
    except RequestError:
        return None
    return point if possible(point) else None


def _all(dim: Dimension) -> tuple[Any, ...]:
    if isinstance(dim, Choices):
        return dim.values
    return tuple(range(int(dim.low), int(dim.high) + 1))


def _distribution(dim: Dimension) -> BaseDistribution:
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    if isinstance(dim, Choices):
        return CategoricalDistribution(range(len(dim.values)))
    if dim.whole:
        return IntDistribution(int(dim.low), int(dim.high), log=dim.log)
    return FloatDistribution(dim.low, dim.high, log=dim.log)


def _param(dim: Dimension, value: Any) -> Any:
    """A value as Optuna knows it: of a list its place."""
    return dim.values.index(value) if isinstance(dim, Choices) else value


def _value(dim: Dimension, param: Any) -> Any:
    if isinstance(dim, Choices):
        return dim.values[param]
    return param if dim.whole else _rounded(dim, param)


def _rounded(dim: Range, number: float) -> float:
    """As a person would write it, and within the range still."""
    return min(max(float(f"{number:.{_DIGITS}g}"), dim.low), dim.high)
