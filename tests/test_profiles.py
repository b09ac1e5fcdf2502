"""Performance profiles: worked by hand, and what must hold of any."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aebench.analysis import profiles

NEVER, NOT_RUN = math.inf, math.nan
# The cheapest of each task has 1, 2 and 3; the last task is reached by none.
COSTS = pd.DataFrame(
    {"a": [1.0, 2.0, NEVER], "b": [6.0, 2.0, 3.0], "c": [3.0, NEVER, 12.0], "d": [NEVER] * 3},
    index=["x", "y", "z"],
)
costs = st.one_of(st.floats(0.01, 100.0), st.just(NEVER))


def test_ratios_are_to_the_cheapest_of_each_task() -> None:
    found = profiles.ratios(COSTS)
    assert found.loc["x"].to_list() == [1.0, 3.0, 1.0, NEVER]
    assert found.loc["y"].to_list() == [2.0, 1.0, NEVER, NEVER]
    assert found.loc["z"].to_list() == [NEVER, 1.5, 4.0, NEVER]


def test_a_profile_is_the_share_of_all_tasks_within_so_many_times_the_least() -> None:
    x, y, z = (row for _, row in profiles.ratios(COSTS).iterrows())
    assert [profiles.share(x, tau) for tau in (1.0, 2.9, 3.0, 1e9)] == [0.5, 0.5, 0.75, 0.75]
    assert profiles.steps(x) == ([1.0, 3.0], [0.5, 0.75])
    assert profiles.steps(y) == ([1.0, 2.0], [0.25, 0.5])
    # It is the cheapest in none, so its line begins at 0.
    assert profiles.steps(z) == ([1.0, 1.5, 4.0], [0.0, 0.25, 0.5])
    assert profiles.steps(pd.Series([NEVER, NEVER])) == ([1.0], [0.0])


def test_score_is_the_area_up_to_four_on_a_linear_scale() -> None:
    x, y, z = (row for _, row in profiles.ratios(COSTS).iterrows())
    # 0.5 from 1 to 3, then 0.75: (0.5 x 2 + 0.75 x 1) / 3
    assert profiles.score(x) == pytest.approx(1.75 / 3)
    assert profiles.score(y) == pytest.approx((0.25 * 1 + 0.5 * 2) / 3)
    assert profiles.score(z) == pytest.approx(0.25 * 2.5 / 3)
    assert profiles.score(z, most=7.0) == pytest.approx((0.25 * 2.5 + 0.5 * 3) / 6)
    assert profiles.score(pd.Series([1.0, 1.0])) == 1.0
    assert profiles.score(pd.Series([NEVER, 100.0])) == 0.0


@given(st.lists(costs, min_size=1, max_size=6))
def test_score_is_the_integral_of_the_steps(values: list[float]) -> None:
    ratios = profiles.ratios(pd.DataFrame([values, [min(values)] * len(values)])).iloc[0]
    taus, shares = profiles.steps(ratios)
    inside = [(t, s) for t, s in zip(taus, shares, strict=True) if t < profiles.SCORED_TO]
    ends = [t for t, _ in inside[1:]] + [profiles.SCORED_TO]
    area = sum(s * (end - t) for (t, s), end in zip(inside, ends, strict=True))
    assert profiles.score(ratios) == pytest.approx(area / 3)


@given(
    st.lists(st.tuples(costs, st.floats(0.01, 1.0)), min_size=1, max_size=6),
    st.lists(costs, min_size=6, max_size=6),
    st.floats(1.0, 50.0),
)
def test_who_is_faster_everywhere_has_the_profile_above(
    pairs: list[tuple[float, float]], third: list[float], tau: float
) -> None:
    slow = [cost for cost, _ in pairs]
    fast = [cost * factor for cost, factor in pairs]
    every = pd.DataFrame([fast, slow, third[: len(pairs)]], index=["fast", "slow", "third"])
    found = profiles.ratios(every)
    fast_row, slow_row = found.loc["fast"], found.loc["slow"]
    assert profiles.share(fast_row, tau) >= profiles.share(slow_row, tau)
    assert profiles.score(fast_row) >= profiles.score(slow_row)
    assert (found >= 1).all(axis=None)
    # Some system is the cheapest of every task that anyone solves.
    solved = (every < math.inf).any()
    assert ((found == 1).any() == solved).all()


@given(st.floats(0.01, 100.0))
def test_the_unit_of_a_cost_does_not_matter(unit: float) -> None:
    pd.testing.assert_frame_equal(profiles.ratios(unit * COSTS), profiles.ratios(COSTS))


def test_only_tasks_that_all_ran_are_compared() -> None:
    frame = pd.DataFrame(
        {
            "a": [1.0, 1.0, 1.0, NOT_RUN],
            "b": [1.0, NEVER, 1.0, NOT_RUN],
            "c": [1.0, 1.0, NOT_RUN, 1.0],
            "d": [1.0, 1.0, NOT_RUN, NOT_RUN],
            "e": [NOT_RUN, NOT_RUN, NOT_RUN, 1.0],
        },
        index=["w", "x", "y", "z"],
    )
    # w and x share four tasks, 8 results; with y they share two, 6. Never is no gap.
    found = profiles.common(frame)
    assert found is not None
    assert (list(found.index), list(found.columns)) == (["w", "x"], ["a", "b", "c", "d"])
    # Without d it is three times two results as well, and more systems.
    found = profiles.common(frame.drop(columns="d"))
    assert found is not None
    assert (list(found.index), list(found.columns)) == (["w", "x", "y"], ["a", "b"])


def test_more_systems_than_a_chart_holds_count_for_no_more() -> None:
    wide = [[1.0, 1.0, 1.0]] * profiles.MOST
    many = pd.DataFrame([*wide, *[[1.0, 1.0, NOT_RUN]] * 30])
    found = profiles.common(many)
    assert found is not None
    assert found.shape == (profiles.MOST, 3)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [[1.0, 1.0, 1.0]],
        [[1.0, NOT_RUN], [1.0, 1.0]],
        [[1.0, 1.0, NOT_RUN], [NOT_RUN, 1.0, 1.0], [1.0, NOT_RUN, 1.0]],
    ],
)
def test_two_systems_must_share_two_tasks(rows: list[list[float]]) -> None:
    assert profiles.common(pd.DataFrame(rows)) is None


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=2, max_size=6))
def test_the_common_part_has_no_gap_and_is_found_where_there_is_one(ran: list[list[bool]]) -> None:
    frame = pd.DataFrame(np.where(ran, 1.0, NOT_RUN))
    shared = [sum(a and b for a, b in zip(ran[i], ran[j], strict=True))
              for i in range(len(ran)) for j in range(i)]  # fmt: skip
    found = profiles.common(frame)
    assert (found is not None) == (max(shared) >= 2)
    if found is not None:
        assert found.notna().all(axis=None)
        assert min(found.shape) >= 2
        assert found.size >= 2 * max(shared)
