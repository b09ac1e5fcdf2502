"""The arithmetic of side-by-side timing: ratios of paired rounds, and their interval.

Nothing here reads a clock, so that all of it can be tested without one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """Median of `n` values; the median of their population lies in low..high with `coverage`."""

    centre: float
    low: float
    high: float
    coverage: float
    n: int


def median_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The median and the narrowest pair of order statistics that covers it with `level`.

    The k-th smallest and k-th largest of n independent values enclose the median with
    probability 1 - 2 P(Binomial(n, 1/2) < k) (H. A. David and H. N. Nagaraja, Order Statistics,
    3rd ed., section 7.1), whatever the distribution. Five values or fewer cannot reach 95 %:
    smallest and largest are given then, and `coverage` says how little they promise.

    Raises:
        ValueError: no values, or one that is not a positive finite number.
    """
    if not values or not all(math.isfinite(v) and v > 0 for v in values):
        raise ValueError(f"positive finite numbers wanted, not {list(values)}")
    ordered, n = sorted(values), len(values)
    k = 1
    while k + 1 <= n // 2 and _coverage(n, k + 1) >= level:
        k += 1
    return Interval(median(ordered), ordered[k - 1], ordered[n - k], _coverage(n, k), n)


def _coverage(n: int, k: int) -> float:
    return 1 - 2 * sum(math.comb(n, i) for i in range(k)) / 2**n if n > 1 else 0.0


def sandwiched(against: Sequence[float], ours: Sequence[float]) -> list[float]:
    """How many times faster `ours` is in each round, `against` having run before and after it.

    `against` has one value more than `ours`. Each of ours is set against the geometric mean of
    its two neighbours, so that a machine that steadily slows down favours neither.

    Raises:
        ValueError: the counts do not match.
    """
    if len(against) != len(ours) + 1:
        raise ValueError(f"{len(ours)} rounds need {len(ours) + 1} neighbours, not {len(against)}")
    return [math.sqrt(a * b) / own for (a, b), own in zip(pairwise(against), ours, strict=True)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int) -> list[str]:
    """Lines of a plain-text table; the first `text_columns` are set left, the others right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        parts = [
            cell.ljust(width) if i < text_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(parts).rstrip()

    return [line(head), "  ".join("-" * width for width in widths), *map(line, rows)]
