"""How values are written."""

import pytest
from test_report_records import CPU

from aebench.analysis import words
from aebench.job import Job


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
    ("value", "plain", "power"),
    [
        (0.2, "0.2", "2 × 10⁻¹"), (0.18, "0.18", "1.8 × 10⁻¹"), (0.185, "0.185", "1.85 × 10⁻¹"),
        (1, "1", "10⁰"), (20, "20", "2 × 10¹"), (1e-5, "0.00001", "10⁻⁵"),
        (5e-5, "0.00005", "5 × 10⁻⁵"), (0, "0", "0"),
    ],
)  # fmt: skip
def test_ticks_of_an_axis_are_written_in_one_way(value: float, plain: str, power: str) -> None:
    assert words.tick(value) == plain
    assert words.tick(value, powers=True) == power


def test_conditions_name_what_must_be_alike() -> None:
    row = CPU | {"device": "cpu", "engine": "eager", "precision": "fp32"}
    text = words.conditions(row)
    assert text == (
        "Intel Xeon Platinum 8275CL, cpu, engine eager, fp32, 2 threads, torch 2.11.0, "
        "machine 0f1e2d3c"
    )
    assert words.listed(["a", "b", "c"]) == "a, b and c"


def test_a_model_is_named_before_what_tells_it_apart() -> None:
    assert words.model("conv", 16) == "conv-16"
    assert words.model("conv (kernel=5)", 16, 2) == "conv-16 depth 2 (kernel=5)"
    assert words.line("mine (code 1a2b3c)", 2) == "mine depth 2 (code 1a2b3c)"
    job = Job("conv", "mnist", 16, depth=2, options="kernel=5", seed=1)
    row = vars(job) | {"modified": ""}
    assert words.job(row) == job.name == "mnist conv-16 depth 2 (kernel=5) seed 1"
    assert words.job(row | {"architecture": "conv (kernel=5)"}) == job.name  # told apart already
    assert words.job(row, without=["options"]) == "mnist conv-16 depth 2 seed 1"
    assert words.job(row | {"options": None}) == "mnist conv-16 depth 2 seed 1"


def test_p_values_are_never_told_too_small() -> None:
    told = [words.at_most(p) for p in (0.0, 0.00099, 0.001, 0.0111, 0.049999)]
    assert told == ["p < 0.001", "p < 0.001", "p ≤ 0.001", "p ≤ 0.012", "p ≤ 0.050"]
