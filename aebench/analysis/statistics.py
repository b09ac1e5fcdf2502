"""Intervals and tests on positive quantities: errors and times, always compared as ratios.

Everything is Student's t on the logarithm, which keeps its promised coverage at three values,
where a bootstrap does not; only a median, which may be of infinite values, has the interval of its
order statistics. What a result means for a finding is decided in `rules`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median as middle

LEAST = 3  # values below which no interval is given: t with one degree of freedom says nothing
ALPHA = 0.05

# Two figures count as the same when their ratio lies between 80 % and 125 %: the customary
# margin of bioequivalence (FDA 2001; EMA CPMP/EWP/QWP/1401/98 Rev. 1, 2010), symmetric in logs.
MARGIN = (0.8, 1.25)


@dataclass(frozen=True)
class Interval:
    """Geometric mean of `n` values; `low` and `high` are None where n is below `LEAST`.

    Or their median, see `median`.
    """

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
        centre = math.exp(self.log)
        if self.n < LEAST:
            return Interval(centre, None, None, self.n)
        from scipy import stats

        half = float(stats.t.ppf((1 + level) / 2, self.degrees)) * self.error if self.error else 0.0
        return Interval(centre, math.exp(self.log - half), math.exp(self.log + half), self.n)

    def p_equal(self) -> float | None:
        """Two-sided t-test: p-value of "the ratio is 1"; None where n is below `LEAST`."""
        if self.n < LEAST:
            return None
        if self.error == 0:
            return float(self.log == 0)
        from scipy import stats

        return 2 * float(stats.t.sf(abs(self.log) / self.error, self.degrees))


def unpaired(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """Geometric mean of `above` over that of `below`, which are independent: Welch's t."""
    one, other = paired(above), paired(below)
    parts = [(one.error, one.n - 1), (other.error, other.n - 1)]
    return Estimate(one.log - other.log, *_welch_satterthwaite(parts), min(one.n, other.n))


def paired(ratios: Sequence[float]) -> Estimate:
    """Geometric mean of ratios of values that belong together two by two; one alone has error 0.

    Raises:
        ValueError: no values, or one that is not a positive finite number.
    """
    n = len(ratios)
    if not n or not all(math.isfinite(ratio) and ratio > 0 for ratio in ratios):
        raise ValueError(f"positive finite numbers wanted, not {list(ratios)}")
    logs = [math.log(ratio) for ratio in ratios]
    mean = math.fsum(logs) / n
    squares = math.fsum((log - mean) ** 2 for log in logs)
    return Estimate(mean, math.sqrt(squares / (n - 1) / n) if n > 1 else 0.0, max(n - 1, 1), n)


def pooled(estimates: Sequence[Estimate]) -> Estimate:
    """Geometric mean of independent ratios, for these very ones and not for others like them."""
    count = len(estimates)
    log = math.fsum(e.log for e in estimates) / count
    parts = [(e.error / count, e.degrees) for e in estimates]
    return Estimate(log, *_welch_satterthwaite(parts), min(e.n for e in estimates))


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Geometric mean with the t interval of its logarithm; raises as `paired` does."""
    return paired(values).interval(level)


def median(values: Sequence[float]) -> Interval:
    """Median of positive values, infinite ones among them, with a 95 % interval.

    The interval lies between two of the values and holds for any distribution (H. A. David, H. N.
    Nagaraja: Order Statistics, 2003, section 7.1). It takes six: the range of five holds 94 %.

    Raises:
        ValueError: no values, or one that is not positive.
    """
    if not values or not all(value > 0 for value in values):
        raise ValueError(f"positive numbers wanted, not {list(values)}")
    from scipy import stats

    # The mean of the middle two is infinite where one of them is: half of the runs are no median.
    centre = float(middle(values))
    found = stats.quantile_test(values, p=0.5).confidence_interval(0.95)
    if math.isnan(found.low) or math.isnan(found.high):
        return Interval(centre, None, None, len(values))
    return Interval(centre, float(found.low), float(found.high), len(values))


def p_above(ratios: Sequence[float], bound: float) -> float:
    """One-sided t-test: p-value of "the geometric mean of `ratios` is at most `bound`"."""
    from scipy import stats

    found = paired(ratios)
    distance = found.log - math.log(bound)
    if found.error == 0:  # where scipy's own test has no answer
        return 0.5 if distance == 0 else float(distance < 0)
    return float(stats.t.sf(distance / found.error, found.n - 1))


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


def _welch_satterthwaite(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a sum of independent means, given those of each.

    B. L. Welch, Biometrika 34 (1947), equation 28; F. E. Satterthwaite, Biometrics 2 (1946). Not
    by scipy, which has it for two samples only, and not for estimates to be pooled.
    """
    variance = math.fsum(error**2 for error, _ in parts)
    scale = math.fsum(error**4 / degrees for error, degrees in parts if degrees > 0)
    # Without any spread the degrees of freedom do not matter.
    return math.sqrt(variance), variance**2 / scale if scale > 0 else math.inf
