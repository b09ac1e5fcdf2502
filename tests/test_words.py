"""How values are written."""

import pytest
from test_report_records import CPU

from aebench.analysis import words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.605, "0.605"), (2.16, "2.16"), (0.0242, "0.0242"), (12.345, "12.3"), (123.4, "123"),
        (10816, "10,816"), (0.000012345, "1.23 × 10⁻⁵"), (0, "0"), (None, "–"),
        (float("nan"), "–"), (9.999, "10.0"), (float("inf"), "inf"), (-0.5, "-0.500"),
    ],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(10816, "10,816"), (7.6, "8"), (None, "–"), (float("inf"), "–")]
)
def test_counts(value: float, text: str) -> None:
    assert words.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.2, "0.2"), (0.18, "0.18"), (0.185, "0.185"), (1e-5, "1 × 10⁻⁵")]
)
def test_ticks(value: float, text: str) -> None:
    assert words.tick(value) == text


def test_conditions_name_what_must_be_alike() -> None:
    row = CPU | {"device": "cpu", "engine": "eager", "precision": "fp32"}
    text = words.conditions(row)
    assert text == (
        "Intel Xeon Platinum 8275CL, cpu, engine eager, fp32, 2 threads, torch 2.11.0, "
        "machine 0f1e2d3c"
    )
    assert words.listed(["a", "b", "c"]) == "a, b and c"
