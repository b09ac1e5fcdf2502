"""Intervals and tests on positive quantities, compared as ratios, and on shares of runs.

Of quantities everything is Student's t on the logarithm, which keeps its promised coverage at
three values, where a bootstrap does not; only a median, which may be of infinite values, has the
interval of its order statistics. What a result means for a finding is decided in `rules` and
`figures`. Rates that are called measured are held by `tests/test_rates_of_rules.py`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
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
        half = t_quantile((1 + level) / 2, self.degrees) * self.error if self.error else 0.0
        return Interval(centre, math.exp(self.log - half), math.exp(self.log + half), self.n)

    def p_above(self, bound: float) -> float:
        """One-sided t-test: p-value of "the ratio is at most `bound`"."""
        from scipy import special  # not scipy.stats, which takes longer to load than all the rest

        distance = self.log - math.log(bound)
        if self.error == 0:  # where scipy's own test has no answer
            return 0.5 if distance == 0 else float(distance < 0)
        return float(special.stdtr(self.degrees, -distance / self.error))

    def of(self, n: int) -> Estimate:
        """What `n` values would give that lie and scatter as these do."""
        error = self.error * math.sqrt(self.n / n)
        return Estimate(self.log, error, n - 1, n)

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


def log_mean(values: Sequence[float]) -> float:
    """Mean of the logarithms of positive numbers: the logarithm of their geometric mean."""
    return math.fsum(map(math.log, values)) / len(values)


def paired(ratios: Sequence[float]) -> Estimate:
    """Geometric mean of ratios of values that belong together two by two; one alone has error 0.

    Raises:
        ValueError: no values, or one that is not a positive finite number.
    """
    n = len(ratios)
    if not n or not all(math.isfinite(ratio) and ratio > 0 for ratio in ratios):
        raise ValueError(f"positive finite numbers wanted, not {list(ratios)}")
    mean = log_mean(ratios)
    squares = math.fsum((math.log(ratio) - mean) ** 2 for ratio in ratios)
    return Estimate(mean, math.sqrt(squares / (n - 1) / n) if n > 1 else 0.0, max(n - 1, 1), n)


def pooled(estimates: Sequence[Estimate]) -> Estimate:
    """Geometric mean of independent ratios, for these very ones and not for others like them."""
    count = len(estimates)
    log = math.fsum(e.log for e in estimates) / count
    parts = [(e.error / count, e.degrees) for e in estimates]
    return Estimate(log, *_welch_satterthwaite(parts), min(e.n for e in estimates))


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Geometric mean with the t interval of its logarithm; raises as `paired` does.

    Measured, 95 % intervals of 3, 5 and 20 values miss the mean in 5 % of log-normal samples; in 8
    to 13 % of samples skewed by an exponential; in 25, 6 and 4 % where half of the values lie
    apart from the others, as those of a model with two outcomes do.
    """
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
    return paired(ratios).p_above(bound)


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


def wilson(hits: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Interval of the share that `hits` of `n` runs are drawn from; `hits` may be no whole number.

    E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209. Measured for 20 runs at 95 % it misses the
    true share in 4 to 5 % of samples where that is one in ten to one in two.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, more = hits / n, z * z / n
    half = z * math.sqrt(share * (1 - share) / n + more / (4 * n))
    return (share + more / 2 - half) / (1 + more), (share + more / 2 + half) / (1 + more)


def predicts(logs: Estimate, value: float, level: float) -> bool:
    """Whether one more run like those behind `logs` may give `value`: its t prediction interval.

    W. Q. Meeker, G. J. Hahn and L. A. Escobar, Statistical Intervals (2017), section 4.7.
    """
    spread = logs.error * math.sqrt(logs.n + 1)  # of a mean of n, and of one more beside it
    return abs(math.log(value) - logs.log) <= t_quantile((1 + level) / 2, logs.degrees) * spread


def as_alone(values: Sequence[float], value: float, factor: float) -> tuple[int, int]:
    """How many `values` lie within `factor` of `value`, and how many have no more such neighbours.

    Neighbours are counted among all of them, `value` included. If `value` is one more draw, each
    of the n + 1 is as likely as any to be the most alone: that it is among the k + 1 most alone
    has probability (k + 1) / (n + 1) at most, whatever they are drawn from (the density level sets
    of J. Lei, J. Robins and L. Wasserman, J. Am. Stat. Assoc. 108 (2013) 278, section 3).
    """
    reach = math.log(factor) * (1 + 1e-12)
    ours, figure = sorted(map(math.log, values)), math.log(value)
    every = sorted([*ours, figure])

    def neighbours(log: float) -> int:
        return bisect_right(every, log + reach) - bisect_left(every, log - reach) - 1

    near = neighbours(figure)
    return near, sum(neighbours(log) <= near for log in ours)


@cache
def t_quantile(p: float, degrees: float) -> float:
    """Quantile of Student's t."""
    from scipy import special

    return float(special.stdtrit(degrees, p))


def _welch_satterthwaite(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Standard error and degrees of freedom of a sum of independent means, given those of each.

    B. L. Welch, Biometrika 34 (1947), equation 28; F. E. Satterthwaite, Biometrics 2 (1946). Not
    by scipy, which has it for two samples only, and not for estimates to be pooled.
    """
    variance = math.fsum(error**2 for error, _ in parts)
    scale = math.fsum(error**4 / degrees for error, degrees in parts if degrees > 0)
    # Without any spread the degrees of freedom do not matter.
    return math.sqrt(variance), variance**2 / scale if scale > 0 else math.inf
