"""Intervals and tests against scipy's own, and the coverage they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aebench.analysis.statistics import (
    ALPHA,
    LEAST,
    MARGIN,
    holm,
    interval,
    median,
    p_above,
    p_below,
    paired,
    pooled,
    unpaired,
)

positive = st.floats(1e-6, 1e6)


@given(st.lists(positive, min_size=3, max_size=12))
def test_interval_holds_its_centre_and_the_values_range_its_centre(values: list[float]) -> None:
    found = interval(values)
    assert found.low is not None
    assert found.high is not None
    tiny = 1e-9
    assert found.low * (1 - tiny) <= found.centre <= found.high * (1 + tiny)
    assert min(values) * (1 - tiny) <= found.centre <= max(values) * (1 + tiny)


@given(st.lists(positive, min_size=3, max_size=8), st.floats(1e-3, 1e3))
def test_interval_does_not_depend_on_the_unit(values: list[float], unit: float) -> None:
    one, other = interval(values), interval([unit * v for v in values])
    for name in ("centre", "low", "high"):
        assert math.isclose(unit * getattr(one, name), getattr(other, name), rel_tol=1e-6)


@pytest.mark.parametrize("values", [[1.0], [1.0, 2.0]])
def test_no_interval_below_three(values: list[float]) -> None:
    assert interval(values).low is None
    assert interval(values).centre == pytest.approx(math.prod(values) ** (1 / len(values)))


@pytest.mark.parametrize("values", [[], [0.0, 1.0, 2.0], [-1.0], [math.nan], [math.inf]])
def test_only_positive_numbers(values: list[float]) -> None:
    with pytest.raises(ValueError, match="positive finite numbers"):
        interval(values)


def test_equal_values_have_an_interval_of_no_width() -> None:
    found = interval([2.0, 2.0, 2.0])
    assert found.centre == pytest.approx(2.0)
    assert (found.low, found.high) == (found.centre, found.centre)
    assert p_above([2.0, 2.0, 2.0], 1.0) == 0
    assert p_below([2.0, 2.0, 2.0], 1.0) == 1


def test_interval_covers_at_three_values() -> None:
    draw = np.random.default_rng(7)
    samples = np.exp(draw.normal(size=(2000, 3)))
    found = [interval(list(sample)) for sample in samples]
    covered = sum(i.low < 1 < i.high for i in found) / len(found)  # type: ignore[operator]
    assert covered == pytest.approx(0.95, abs=0.015)


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=8), st.floats(0.5, 2))
def test_one_sided_tests_are_those_of_scipy(ratios: list[float], bound: float) -> None:
    logs = np.log(ratios)
    if logs.std() < 1e-6:
        return
    expected = stats.ttest_1samp(logs, math.log(bound), alternative="greater").pvalue
    assert p_above(ratios, bound) == pytest.approx(expected, abs=1e-7)
    assert p_above(ratios, bound) + p_below(ratios, bound) == pytest.approx(1, abs=1e-7)


def test_unpaired_is_the_interval_of_welch() -> None:
    slow, fast = [3.0, 3.3, 3.1, 3.6], [1.0, 1.2, 1.1]
    found = unpaired(slow, fast).interval()
    expected = stats.ttest_ind(np.log(slow), np.log(fast), equal_var=False).confidence_interval()
    assert math.log(found.low or 0) == pytest.approx(expected.low)
    assert math.log(found.high or 0) == pytest.approx(expected.high)
    assert unpaired([2.0], [1.0]).interval().low is None
    assert unpaired([2.0] * 3, [1.0] * 3).interval().high == pytest.approx(2.0)


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(p_values: dict[str, float]) -> None:
    adjusted = holm(p_values)
    for name, p in p_values.items():
        assert p <= adjusted[name] <= min(1.0, len(p_values) * p)
    ranked = sorted(p_values, key=lambda n: p_values[n])
    assert [adjusted[n] for n in ranked] == sorted(adjusted.values())


def test_p_of_equal_errors_is_that_of_scipy_on_the_logarithm() -> None:
    ratios = [1.2, 1.1, 1.4, 0.9]
    expected = stats.ttest_1samp(np.log(ratios), 0).pvalue
    assert paired(ratios).p_equal() == pytest.approx(expected)
    assert paired([1 / ratio for ratio in ratios]).p_equal() == pytest.approx(expected)
    one, other = [1.2, 1.1, 1.4], [0.9, 0.7, 1.0, 0.8]
    welch = stats.ttest_ind(np.log(one), np.log(other), equal_var=False).pvalue
    assert unpaired(one, other).p_equal() == pytest.approx(welch)


def test_p_of_equal_errors_without_spread_and_of_too_few() -> None:
    assert paired([4.0, 4.0, 4.0]).p_equal() == 0
    assert paired([1.0, 1.0, 1.0]).p_equal() == 1
    assert paired([4.0, 4.0]).p_equal() is None


def test_holm_by_hand() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({}) == {}


def test_the_levels_are_the_customary_ones() -> None:
    assert ALPHA == 0.05
    assert LEAST == 3
    assert MARGIN == (0.8, 1.25)
    assert math.prod(MARGIN) == 1  # as far below as above


@pytest.mark.parametrize("ratios", [[1.1, 1.3, 1.2], [0.5, 0.7, 0.6, 0.9, 0.8]])
def test_paired_is_the_t_interval_of_scipy(ratios: list[float]) -> None:
    found = paired(ratios)
    expected = stats.ttest_1samp(np.log(ratios), 0).confidence_interval(0.9)
    assert math.log(found.interval(0.9).low or 0) == pytest.approx(expected.low)
    assert math.log(found.interval(0.9).high or 0) == pytest.approx(expected.high)
    assert (found.degrees, found.n) == (len(ratios) - 1, len(ratios))


def test_two_values_have_an_error_and_one_has_none() -> None:
    two = paired([1.0, math.e])
    assert (two.log, two.error, two.degrees, two.n) == pytest.approx((0.5, 0.5, 1, 2))
    assert two.interval().low is None
    one = paired([math.e])
    assert (one.log, one.error, one.degrees, one.n) == (1, 0, 1, 1)


def test_pooling_counts_estimates_with_one_degree_of_freedom() -> None:
    """By the formulas of Welch and Satterthwaite, for two runs beside three."""
    two, three = [1.0, 1.2], [1.0, 1.1, 1.3]
    found = pooled([unpaired(two, two), unpaired(three, three)])
    errors = [np.log(runs).std(ddof=1) / len(runs) ** 0.5 for runs in (two, two, three, three)]
    degrees = [1, 1, 2, 2]
    within = [
        (a**2 + b**2) ** 2 / (a**4 / n + b**4 / m)
        for (a, b), (n, m) in zip([errors[:2], errors[2:]], [degrees[:2], degrees[2:]], strict=True)
    ]
    variances = [sum(e**2 for e in pair) / 4 for pair in (errors[:2], errors[2:])]
    assert found.error == pytest.approx(sum(variances) ** 0.5)
    expected = sum(variances) ** 2 / sum(v**2 / d for v, d in zip(variances, within, strict=True))
    assert found.degrees == pytest.approx(expected)
    assert found.n == 2
    assert found.log == pytest.approx(0)


def test_equal_ratios_on_the_bound_decide_nothing() -> None:
    assert p_above([2.0, 2.0, 2.0], 2.0) == p_below([2.0, 2.0, 2.0], 2.0) == 0.5
    assert p_above([2.0, 2.0, 2.0], 2.0 * math.e) == 1  # a logarithm of one below
    assert p_above([2.0, 2.0, 2.0], 2.0 / math.e) == 0


def test_a_median_of_six_lies_between_the_least_and_the_greatest() -> None:
    six = median([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert (six.centre, six.low, six.high, six.n) == (3.5, 1.0, 6.0, 6)
    # Of twenty between the sixth and the fifteenth: binomial(20, 1/2) is below 6 in 2.07 %.
    many = median([float(i) for i in range(20, 0, -1)])
    assert (many.centre, many.low, many.high) == (10.5, 6.0, 15.0)


def test_a_median_of_few_has_no_interval() -> None:
    for n in range(1, 6):
        found = median([4.0] * n)
        assert (found.centre, found.low, found.high, found.n) == (4.0, None, None, n)


def test_what_never_ends_has_its_place_in_a_median() -> None:
    never = math.inf
    assert median([1.0, never]).centre == never
    assert median([1.0, 2.0, never]).centre == 2.0
    some = median([1.0, 2.0, 3.0, 4.0, 5.0, never])
    assert (some.centre, some.low, some.high) == (3.5, 1.0, never)
    none = median([never] * 6)
    assert (none.centre, none.low, none.high) == (never, never, never)


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [1.0, -1.0], [1.0, math.nan]])
def test_a_median_of_what_is_no_amount_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="positive numbers wanted"):
        median(values)


@given(st.lists(st.one_of(positive, st.just(math.inf)), min_size=1, max_size=30))
def test_the_interval_of_a_median_is_the_narrowest_of_its_level(values: list[float]) -> None:
    found = median(values)
    assert (found.low is None) == (len(values) < 6)
    if found.low is None or found.high is None:
        return
    assert found.low <= found.centre <= found.high
    # Median above the k-th of n and below the k-th from the end, but in 2 P(binomial < k) of cases.
    ordered, n = sorted(values), len(values)
    k = max(k for k in range(1, n) if 2 * stats.binom.cdf(k - 1, n, 0.5) <= ALPHA)
    assert (found.low, found.high) == (ordered[k - 1], ordered[n - k])
