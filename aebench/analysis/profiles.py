"""Performance profiles: how often, over many tasks, a system is among the fastest.

The share of tasks that a system solves within tau times the cost of the cheapest system, as a
function of tau (E. D. Dolan, J. J. Moré: Benchmarking optimization software with performance
profiles, Mathematical Programming 91, 2002). What a system, a task and a cost are is decided
elsewhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 2  # systems, and tasks, below which there is nothing to compare
MOST = 8  # systems that a chart can tell apart
# AlgoPerf scores up to 4 (G. E. Dahl et al.: Benchmarking neural network training algorithms,
# arXiv:2306.07179), and so do its scripts.
SCORED_TO = 4.0


def common(costs: pd.DataFrame) -> pd.DataFrame | None:
    """The part of `costs` without gaps: systems (rows) that all ran the same tasks (columns).

    `costs` are positive, infinite where a task was run and never solved, and NaN where it was not
    run: to leave that out of a mean favours who avoided what is hard, to count it as unsolved
    favours the others. Of all such parts one with many results is taken, among which more than
    `MOST` systems count as so many; it is sought by adding to each system, one by one, the one
    that leaves the most tasks. None where fewer than two systems share two tasks.
    """
    ran = costs.notna().to_numpy()
    best: tuple[int, list[int], NDArray[np.bool_]] | None = None
    for first in range(len(ran)):
        if (ran[:first] == ran[first]).all(axis=1).any():
            continue  # another of the same tasks was begun with
        chosen, tasks, left = [first], ran[first], np.arange(len(ran)) != first
        while left.any():
            following = int(np.where(left, (ran & tasks).sum(axis=1), -1).argmax())
            left[following] = False
            chosen, tasks = [*chosen, following], tasks & ran[following]
            if tasks.sum() < LEAST:
                break
            size = min(len(chosen), MOST) * int(tasks.sum())
            if best is None or (size, len(chosen)) > (best[0], len(best[1])):
                best = size, chosen, tasks
    return None if best is None else costs.iloc[sorted(best[1])].loc[:, best[2]]


def ratios(costs: pd.DataFrame) -> pd.DataFrame:
    """Each cost over the least one of its task; infinite where it, or every one, is infinite."""
    least = costs.min(axis="index")
    return costs.div(least.where(least < np.inf, 1.0), axis="columns")


def share(ratios: pd.Series[float], tau: float) -> float:
    """The share of tasks that one system solves within `tau` times the least cost."""
    return float((ratios <= tau).mean())


def steps(ratios: pd.Series[float]) -> tuple[list[float], list[float]]:
    """Where the profile of one system rises, from tau = 1 on, and the share from there on."""
    taus = sorted({1.0, *(float(ratio) for ratio in ratios if ratio < np.inf)})
    return taus, [share(ratios, tau) for tau in taus]


def score(ratios: pd.Series[float], most: float = SCORED_TO) -> float:
    """The mean height of one system's profile from tau = 1 to `most`, between 0 and 1.

    AlgoPerf's score: the area under the profile over `most` - 1, tau on a linear scale. A task
    solved at a ratio r adds its share from r on, so the integral is a mean over tasks.
    """
    within = (most - ratios.clip(upper=most)) / (most - 1)
    return float(within.mean())
