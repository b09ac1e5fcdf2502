"""The rule for a figure that the study prints, on runs that are drawn by hand."""

import math
import re

import pytest

from aebench.analysis.evidence import Claim, Need, projected, together
from aebench.analysis.figures import EXACT, Runs
from aebench.analysis.statistics import ALPHA, as_alone, paired, predicts, wilson


def test_the_figure_may_be_one_of_two_outcomes_and_not_typical() -> None:
    runs = Runs.of([3.45, 3.5, 3.51, 3.56, 8.7, 9.1, 10.2, 11.0] * 2, 3.53)
    assert (runs.typical, runs.drawn, runs.verdict) == (False, True, "replicated")


def test_a_figure_that_no_run_gives_is_refused_below_and_between_and_above() -> None:
    low = [3.45 + i / 100 for i in range(10)]
    high = [8.5 + i / 100 for i in range(10)]
    for figure in (1.0, 5.46, 20.0):  # 5.46 is the mean of them all, where no run ends
        runs = Runs.of(low + high, figure)
        assert (runs.near, runs.alone, runs.drawn, runs.typical) == (0, 0, False, False)
        assert runs.verdict == "not replicated"


def test_the_exact_test_can_refuse_from_nineteen_runs_on() -> None:
    # Two outcomes far apart: no prediction interval leaves out what lies near them.
    values = [3.5, 9.0] * 10
    assert EXACT == 19
    assert Runs.of(values[: EXACT - 1], 1.7).drawn is None
    assert Runs.of(values[:EXACT], 1.7).drawn is False


def test_the_prediction_interval_refuses_what_scatters_too_widely_for_the_exact_test() -> None:
    values = [2.0**i for i in range(-2, 3)] * 4
    spread = [v * 1.3 ** (k // 5) for k, v in enumerate(values)]
    runs = Runs.of(spread, 10_000.0)
    assert (runs.alone + 1 / runs.n) > ALPHA
    assert runs.drawn is False


def test_an_ordinary_draw_of_what_scatters_widely_is_plausible() -> None:
    values = [1.5**i for i in range(-10, 11)]  # each further than a tenth from all others
    among, beyond = Runs.of(values, 1.5**0.5), Runs.of(values, 1.5**13)
    assert (among.near, among.drawn, among.verdict) == (0, True, "replicated")
    assert beyond.drawn is None


def test_alike_within_the_margin_is_typical_though_no_run_is_near() -> None:
    runs = Runs.of([0.147 + i / 10**4 for i in range(20)], 0.17)
    assert (runs.typical, runs.drawn, runs.verdict) == (True, False, "replicated")


def test_on_the_edge_of_the_margin_it_takes_both_answers_to_refuse() -> None:
    runs = Runs.of([1.23, 1.24, 1.25, 1.26, 1.27] * 2, 1.0)
    assert (runs.typical, runs.drawn, runs.verdict) == (None, False, "undecided")


def test_a_figure_that_more_than_one_run_in_ten_gives_is_not_refused() -> None:
    rare = [3.40, 3.41, 3.42, 3.70, 3.72]  # the first three are near 3.3
    runs = Runs.of(rare + [9.0 + i / 100 for i in range(15)], 3.3)
    assert (runs.near, runs.told, runs.drawn) == (3 / 20, True, None)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([1.0], "consistent"),
        ([1.24, 1.2], "consistent"),
        ([1.3], "undecided"),
        ([2, 3], "undecided"),
    ],
)
def test_few_runs_decide_nothing(values: list[float], verdict: str) -> None:
    assert Runs.of(values, 1.0).verdict == verdict


@pytest.mark.parametrize(
    "values",
    [[0.50, 0.60, 0.80], [0.61, 0.8, 0.95, 0.75], [1.2, 0.9, 1.6], [3.5, 9, 11, 8.5, 0.605]],
)
def test_so_many_runs_like_these_decide(values: list[float]) -> None:
    runs = Runs.of(values, 0.605)
    assert runs.verdict == "undecided"
    needed = runs.needed()
    assert needed is not None
    as_many = -(-needed // len(values)) + 1  # of each, and some more: it is an estimate
    assert Runs.of(values * as_many, 0.605).verdict != "undecided"


def test_what_is_needed_is_no_more_than_it_takes() -> None:
    runs = Runs.of([0.50, 0.60, 0.80], 0.605)
    needed = runs.needed()
    assert needed is not None
    before = [n for n in projected(3) if n < needed]
    for n in before:
        found = runs.ratio.of(n).interval(0.90)
        assert found.high is not None
        assert found.high > 1.25


def test_numbers_of_seeds_are_asked_one_by_one_and_then_in_steps() -> None:
    asked = list(projected(1))
    assert asked[:5] == [3, 4, 5, 6, 7]
    assert 900 < asked[-1] <= 1_000
    assert len(asked) < 150


# What it is made of


def test_as_alone_counts_neighbours_of_each() -> None:
    values = [1.0, 1.05, 1.1, 2.0, 3.0]
    assert as_alone(values, 1.02, 1.1) == (3, 5)  # and none has more
    assert as_alone(values, 2.5, 1.1) == (0, 2)
    assert as_alone(values, 2.1, 1.1) == (1, 2)  # 2.0 has it for a neighbour
    assert as_alone([1.0], 1.1, 1.1) == (1, 1)  # just within a factor of 1.1


def test_most_alone_of_all_is_as_rare_as_it_says() -> None:
    # Whatever the runs are, each of n + 1 is the only one with fewest neighbours once at most.
    values = [3.4, 3.5, 3.6, 3.7, 9.0, 9.2, 20.0]
    ranks = [as_alone(values[:i] + values[i + 1 :], values[i], 1.1)[1] for i in range(7)]
    assert ranks == [6, 6, 6, 6, 2, 2, 0]
    for k in range(7):
        assert sum(rank <= k for rank in ranks) <= k + 1


def test_wilson_is_that_of_the_book() -> None:
    # R. G. Newcombe, Stat. Med. 17 (1998) 857, table I, method 3.
    for hits, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605),
                               (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):  # fmt: skip
        assert wilson(hits, n) == pytest.approx((low, high), abs=5e-5)


def test_prediction_interval_is_that_of_students_t() -> None:
    logs = paired([math.exp(x) for x in (-1, 0, 1)])  # mean 0, standard deviation 1
    half = 9.9248 * math.sqrt(1 + 1 / 3)  # the 99.5 % quantile of t with two degrees of freedom
    assert predicts(logs, math.exp(half - 1e-3), 0.99)
    assert not predicts(logs, math.exp(half + 1e-3), 0.99)
    assert not predicts(logs, math.exp(-half - 1e-3), 0.99)


# Comparisons


def test_so_many_pairs_like_these_decide_a_comparison() -> None:
    ratios = [1.4, 0.93, 1.08]
    judged = together([Claim(ratios, 1.0, "above")], 3, "", Need({"a": 3, "b": 5}))
    assert judged.p_for > ALPHA
    said = re.fullmatch(r"about (\d+) more seeds of a and about (\d+) more seeds of b",
                        judged.decided_by(4))  # fmt: skip
    assert said is not None
    n = 3 + int(said[1])
    assert int(said[2]) == n - 5
    estimate = paired(ratios)
    assert estimate.of(n).p_above(1.0) <= ALPHA / 4 < estimate.of(n - 1).p_above(1.0)


def test_what_lies_on_its_bound_takes_more_than_is_counted() -> None:
    judged = together([Claim([0.5, 1.0, 2.0], 1.0, "above")], 3, "", Need({"a": 3}, "pair"))
    assert judged.decided_by(1) == "more than 1,000 pairs"
