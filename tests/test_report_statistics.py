"""Intervals and tests against scipy's own, and the coverage they promise."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aebench.report.statistics import (
    holm,
    interval,
    p_above,
    p_below,
    ratio_interval,
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


def test_ratio_interval_is_that_of_welch() -> None:
    slow, fast = [3.0, 3.3, 3.1, 3.6], [1.0, 1.2, 1.1]
    found = ratio_interval(slow, fast)
    expected = stats.ttest_ind(np.log(slow), np.log(fast), equal_var=False).confidence_interval()
    assert math.log(found.low or 0) == pytest.approx(expected.low)
    assert math.log(found.high or 0) == pytest.approx(expected.high)
    assert ratio_interval([2.0], [1.0]).low is None
    assert ratio_interval([2.0] * 3, [1.0] * 3).high == pytest.approx(2.0)


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(p_values: dict[str, float]) -> None:
    adjusted = holm(p_values)
    for name, p in p_values.items():
        assert p <= adjusted[name] <= min(1.0, len(p_values) * p)
    ranked = sorted(p_values, key=lambda n: p_values[n])
    assert [adjusted[n] for n in ranked] == sorted(adjusted.values())


def test_holm_by_hand() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({}) == {}
