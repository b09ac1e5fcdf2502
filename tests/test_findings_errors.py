"""Findings that compare errors of models."""

from pathlib import Path

import pytest
from judging import judge, seeds
from test_report_records import record

from aebench.store import Record


def models(*errors: tuple[str, int, list[float]]) -> list[Record]:
    return [
        r for architecture, latent, values in errors for r in seeds(architecture, latent, values)
    ]


@pytest.mark.slow
def test_smaller_is_worse(tmp_path: Path) -> None:
    first = ("mlp", 512, [0.60, 0.61, 0.62])
    second = ("mlp", 128, [2.1, 2.2, 2.3])
    rising = judge(
        tmp_path / "a", "mlp-smaller-worse", *models(first, second, ("mlp", 1, [9, 9.1, 9.2]))
    )
    assert rising.verdict == "replicated"
    assert rising.ours == pytest.approx(3.6, rel=0.02)  # the smaller of two steps
    falling = judge(
        tmp_path / "b", "mlp-smaller-worse", *models(first, second, ("mlp", 1, [0.9, 0.91, 0.92]))
    )
    assert falling.verdict == "not replicated"
    unclear = judge(
        tmp_path / "c", "mlp-smaller-worse", *models(first, second, ("mlp", 1, [1.5, 2.2, 3.4]))
    )
    assert unclear.verdict == "undecided"
    assert unclear.n_seeds == 3
    lacking = judge(tmp_path / "d", "mlp-smaller-worse", *models(first, second))
    assert lacking.verdict == "undecided"
    assert "needs mnist mlp-1" in lacking.note


@pytest.mark.slow
def test_far_better_needs_half_the_error(tmp_path: Path) -> None:
    conv = ("conv", 512, [0.30, 0.31, 0.32])
    far = judge(tmp_path / "a", "conv-beats-mlp", *models(conv, ("mlp", 512, [0.75, 0.77, 0.8])))
    assert far.verdict == "replicated"
    little = judge(
        tmp_path / "b", "conv-beats-mlp", *models(conv, ("mlp", 512, [0.35, 0.36, 0.37]))
    )
    assert little.verdict == "not replicated"
    noisy = judge(tmp_path / "c", "conv-beats-mlp", *models(conv, ("mlp", 512, [0.3, 0.7, 1.6])))
    assert noisy.verdict == "undecided"
    few = judge(
        tmp_path / "d", "conv-beats-mlp", *models(("conv", 512, [0.03]), ("mlp", 512, [0.6]))
    )
    assert few.answer == "consistent, one seed"
    assert few.ours == pytest.approx(20)
    assert few.low is None
    assert "mlp-512 on MNIST: 0.600 (one seed)" in few.note
    against = models(("conv", 512, [0.6, 0.6]), ("mlp", 512, [0.6, 0.6]))
    assert judge(tmp_path / "e", "conv-beats-mlp", *against).verdict == "undecided"
    assert "the paired test needs 3" in few.note


@pytest.mark.slow
def test_deep_is_better(tmp_path: Path) -> None:
    shallow = seeds("conv", 128, [0.041, 0.042, 0.043])
    for folder, deep, verdict in (
        ("a", [0.0040, 0.0041, 0.0042], "replicated"),
        ("b", [0.080, 0.081, 0.083], "not replicated"),
        ("c", [0.020, 0.042, 0.090], "undecided"),
    ):
        records = [*shallow, *seeds("conv", 128, deep, depth=2)]
        assert judge(tmp_path / folder, "deep-better", *records).verdict == verdict


@pytest.mark.slow
def test_colour_is_harder(tmp_path: Path) -> None:
    grey = seeds("conv", 128, [0.041, 0.042, 0.043])
    for folder, colour, verdict in (
        ("a", [0.20, 0.21, 0.22], "replicated"),
        ("b", [0.020, 0.021, 0.022], "not replicated"),
        ("c", [0.02, 0.042, 0.11], "undecided"),
    ):
        records = [*grey, *seeds("conv", 128, colour, dataset="cifar10")]
        assert judge(tmp_path / folder, "colour-harder", *records).verdict == verdict


def test_unpaired_seeds_decide_nothing(tmp_path: Path) -> None:
    records = [
        *(record("conv", 512, 0.024, seed=s) for s in (0, 1, 2)),
        *(record("mlp", 512, 0.605, seed=s) for s in (3, 4, 5)),
    ]
    outcome = judge(tmp_path, "conv-beats-mlp", *records)
    assert outcome.verdict == "undecided"
    assert "no seed is common to both" in outcome.note


@pytest.mark.slow
def test_holm_holds_back_what_a_single_test_would_pass(tmp_path: Path) -> None:
    # One comparison at p of about 0.02 passes alone; among five tested ones it must not.
    shallow, deep = [0.042, 0.042, 0.042], [0.030, 0.038, 0.034]
    alone = [*seeds("conv", 128, shallow), *seeds("conv", 128, deep, depth=2)]
    assert judge(tmp_path / "a", "deep-better", *alone).verdict == "replicated"
    noisy = [
        *seeds("mlp", 512, [0.4, 0.6, 0.9]),
        *seeds("mlp", 128, [0.5, 0.6, 0.7]),
        *seeds("mlp", 1, [0.6, 0.5, 0.8]),
        *seeds("conv", 512, [0.4, 0.6, 0.5]),
        *seeds("conv", 128, [0.04, 0.042, 0.06], dataset="cifar10"),
    ]
    together = judge(tmp_path / "b", "deep-better", *alone, *noisy)
    assert together.verdict == "undecided"
    assert "after Holm's correction" in together.note
