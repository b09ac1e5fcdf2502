"""Intervals and tests on positive quantities: errors and times, always compared as ratios.

Everything is Student's t on the logarithm, which keeps its promised coverage at three values,
where a bootstrap does not. What a result means for a finding is decided in `rules`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

LEAST = 3  # values below which no interval is given: t with one degree of freedom says nothing
ALPHA = 0.05

# Two figures count as the same when their ratio lies between 80 % and 125 %: the customary
# margin of bioequivalence (FDA 2001; EMA CPMP/EWP/QWP/1401/98 Rev. 1, 2010), symmetric in logs.
MARGIN = (0.8, 1.25)


@dataclass(frozen=True)
class Interval:
    """Geometric mean of `n` values; `low` and `high` are None where n is below `LEAST`."""

    centre: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Estimate:
    """Logarithm of a ratio, with its standard error; `n` is the least number of values behind it.

    Kept apart from its interval so that estimates can be pooled and levels corrected afterwards.
    """

    log: float
    error: float
    degrees: float
    n: int

    def interval(self, level: float = 0.95) -> Interval:
        """The ratio with its t interval, or with none where n is below `LEAST`."""
        if self.n < LEAST:
            return Interval(math.exp(self.log), None, None, self.n)
        half = _quantile((1 + level) / 2, self.degrees) * self.error if self.error else 0.0
        low, high = math.exp(self.log - half), math.exp(self.log + half)
        return Interval(math.exp(self.log), low, high, self.n)


def unpaired(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """Geometric mean of `above` over that of `below`, which are independent: Welch's t."""
    upper, lower = _logs(above), _logs(below)
    (a, ea), (b, eb) = _mean_error(upper), _mean_error(lower)
    parts = [(ea, len(upper) - 1), (eb, len(lower) - 1)]
    return Estimate(a - b, *_welch_satterthwaite(parts), min(len(upper), len(lower)))


def paired(ratios: Sequence[float]) -> Estimate:
    """Geometric mean of ratios of values that belong together two by two."""
    logs = _logs(ratios)
    mean, error = _mean_error(logs)
    return Estimate(mean, error, max(len(logs) - 1, 1), len(logs))


def pooled(estimates: Sequence[Estimate]) -> Estimate:
    """Geometric mean of independent ratios, for these very ones and not for others like them."""
    count = len(estimates)
    log = math.fsum(e.log for e in estimates) / count
    parts = [(e.error / count, e.degrees) for e in estimates]
    return Estimate(log, *_welch_satterthwaite(parts), min(e.n for e in estimates))


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Geometric mean with the t interval of its logarithm.

    Raises:
        ValueError: no values, or one that is not a positive finite number.
    """
    logs = _logs(values)
    mean, error = _mean_error(logs)
    if len(logs) < LEAST:
        return Interval(math.exp(mean), None, None, len(logs))
    half = _quantile((1 + level) / 2, len(logs) - 1) * error
    return Interval(math.exp(mean), math.exp(mean - half), math.exp(mean + half), len(logs))


def ratio_interval(above: Sequence[float], below: Sequence[float]) -> Interval:
    """Geometric mean of `above` over that of `below`, unpaired: Welch's t, 95 %."""
    return unpaired(above, below).interval()


def p_above(ratios: Sequence[float], bound: float) -> float:
    """One-sided t-test: p-value of "the geometric mean of `ratios` is at most `bound`"."""
    from scipy import stats

    logs = _logs(ratios)
    mean, error = _mean_error(logs)
    distance = mean - math.log(bound)
    if error == 0:
        return 0.5 if distance == 0 else float(distance < 0)
    return float(stats.t.sf(distance / error, len(logs) - 1))


def p_below(ratios: Sequence[float], bound: float) -> float:
    """One-sided t-test: p-value of "the geometric mean of `ratios` is at least `bound`"."""
    return p_above([1 / ratio for ratio in ratios], 1 / bound)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Adjust p-values for their number (S. Holm, Scand. J. Statist. 6, 1979)."""
    adjusted: dict[str, float] = {}
    largest = 0.0
    for rank, name in enumerate(sorted(p_values, key=lambda n: (p_values[n], n))):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[name]))
        adjusted[name] = largest
    return adjusted


def _logs(values: Sequence[float]) -> list[float]:
    if not len(values) or not all(math.isfinite(v) and v > 0 for v in values):
        raise ValueError(f"positive finite numbers wanted, not {list(values)}")
    return [math.log(v) for v in values]


def _mean_error(logs: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error; the error of a single value is taken as 0."""
    n = len(logs)
    mean = math.fsum(logs) / n
    if n < 2:
        return mean, 0.0
    return mean, math.sqrt(math.fsum((x - mean) ** 2 for x in logs) / (n - 1) / n)


def _welch_satterthwaite(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a sum of independent means, given those of each.

    B. L. Welch, Biometrika 34 (1947), equation 28; F. E. Satterthwaite, Biometrics 2 (1946).
    """
    variance = math.fsum(error**2 for error, _ in parts)
    scale = math.fsum(error**4 / degrees for error, degrees in parts if degrees > 0)
    # Without any spread the degrees of freedom do not matter.
    return math.sqrt(variance), variance**2 / scale if scale > 0 else math.inf


def _quantile(p: float, degrees: float) -> float:
    from scipy import stats

    return float(stats.t.ppf(p, degrees))
