"""Ranges of budgets: every budget is in one of them, with the outcome that it has."""

import itertools

import pytest

from aebench.analysis import budgets
from aebench.analysis.fights import Fight, Side
from aebench.analysis.statistics import Interval

RATIO = {"mlp": 0.5, "conv": 2.0, "": 1.25, "few": 4.0}


def fight(budget: float, outcome: str, other: str = "conv") -> Fight:
    """The family that is ahead, none, or too few seeds to tell."""
    sides = (Side(f"mlp-{budget:g}", "tuned", 0.1, 3, 8), Side(f"{other}-8", "tuned", 0.1, 3, 8))
    ratio, few = RATIO[outcome], outcome == "few"
    interval = Interval(ratio, None if few else ratio / 1.1, None if few else ratio * 1.2, 3)
    p = None if few else 0.5 if not outcome else 0.001
    return Fight(budget, ("mlp", other), sides, interval, p)


@pytest.mark.parametrize("outcomes", [*itertools.product(RATIO, repeat=3)])
def test_no_budget_is_told_twice_and_none_is_lost(outcomes: tuple[str, ...]) -> None:
    met = [fight(10.0 * i, outcome) for i, outcome in enumerate(outcomes)]
    (pair,) = budgets.ranges(met)
    assert [f for found in pair for f in found.fights] == met
    for found in pair:
        assert {f.ahead for f in found.fights} == {found.ahead}
        assert {f.p is None for f in found.fights} == {found.few}
    for before, after in itertools.pairwise(pair):
        assert before.until == after.fights[0].budget
        assert (before.ahead, before.few) != (after.ahead, after.few)
    assert [found.first for found in pair] == [True] + [False] * (len(pair) - 1)
    assert pair[-1].until is None
    assert [found.whole for found in pair] == [len(pair) == 1] * len(pair)


def test_a_decided_ratio_is_above_one_whoever_is_ahead() -> None:
    ((mlp, conv, open_),) = budgets.ranges([fight(1, "mlp"), fight(2, "conv"), fight(3, "")])
    assert mlp.ratio.centre == pytest.approx(2.0)
    assert (mlp.ratio.low, mlp.ratio.high) == (pytest.approx(1 / 0.6), pytest.approx(2.2))
    assert conv.ratio.centre == 2.0
    assert open_.ratio.centre == 1.25  # of the first over the other
    ((few,),) = budgets.ranges([fight(1, "few")])
    assert (few.ratio.centre, few.ratio.low, few.few) == (4.0, None, True)


def test_pairs_are_kept_apart_and_a_missing_side_is_no_outcome() -> None:
    alone = Fight(4, ("mlp", "conv"), (None, fight(4, "").sides[1]))
    met = [fight(1, "conv"), alone, fight(8, "conv"), fight(8, "conv", "conv-bottleneck")]
    pairs = budgets.ranges(met)
    assert [[len(found.fights) for found in pair] for pair in pairs] == [[2], [1]]
    assert [pair[0].families[1] for pair in pairs] == ["conv", "conv-bottleneck"]
    assert pairs[0][0].shown.budget == 8
    assert budgets.ranges([alone]) == []
