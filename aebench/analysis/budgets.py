"""Ranges of budgets in which two families meet with the same outcome.

What is told of a pair of families at one cost is told range by range, so that no two statements
are of the same budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from aebench.analysis.fights import Fight
from aebench.analysis.statistics import Interval


@dataclass(frozen=True)
class Range:
    """Fights of one pair of families in a row, by rising budget, that have the same outcome.

    `until` is the budget at which the next range begins, None for the last one; `first` is the one
    of the least budgets.
    """

    fights: tuple[Fight, ...]
    until: float | None
    first: bool

    @property
    def families(self) -> tuple[str, str]:
        """The two that meet."""
        return self.fights[0].families

    @property
    def ahead(self) -> str:
        """The family of the lesser error in all of these; empty where nothing is decided."""
        return self.fights[0].ahead

    @property
    def few(self) -> bool:
        """Whether there are too few seeds to decide anything."""
        return self.fights[0].p is None

    @property
    def whole(self) -> bool:
        """Whether the outcome is the same at every budget."""
        return self.first and self.until is None

    @property
    def shown(self) -> Fight:
        """The fight that stands for the others: that of the greatest budget, the best of both."""
        return self.fights[-1]

    @property
    def ratio(self) -> Interval:
        """In `shown`: the greater error over the winner's, or the first's over the other's."""
        ratio = self.shown.ratio
        assert ratio is not None
        if self.ahead != self.families[0]:
            return ratio
        low, high = ratio.high, ratio.low
        return Interval(1 / ratio.centre, low and 1 / low, high and 1 / high, ratio.n)


def ranges(met: Sequence[Fight]) -> list[list[Range]]:
    """The ranges of each pair of families that meets at any budget, from fights at one cost."""
    both = [fight for fight in met if fight.ratio]
    made = []
    for _, pair in groupby(both, key=lambda fight: fight.families):
        runs = [tuple(run) for _, run in groupby(pair, key=lambda f: (f.ahead, f.p is None))]
        starts = [run[0].budget for run in runs[1:]]
        made.append([
            Range(run, until, first=i == 0)
            for i, (run, until) in enumerate(zip(runs, [*starts, None], strict=True))
        ])  # fmt: skip
    return made
