"""Findings that the study rests on pictures."""

import dataclasses
import math
from pathlib import Path

import pytest
from judging import judge
from test_report_records import record, stored

from aebench.analysis.findings import FINDINGS, evaluate


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([0.030, 0.031, 0.032], "replicated"),
        ([0.080, 0.081, 0.082], "not replicated"),  # below the noisy images, above the mean image
        ([0.100, 0.101, 0.102], "not replicated"),
        ([0.040, 0.070, 0.090], "undecided"),
        ([0.030], "consistent"),
        ([0.080], "undecided"),
    ],
)
def test_noise_of_03_is_removed(tmp_path: Path, errors: list[float], verdict: str) -> None:
    records = [record("conv", 64, depth=2, seed=s, denoised={0.3: e}) for s, e in enumerate(errors)]
    outcome = judge(tmp_path, "denoise-0.3", *records, record("mlp", 512))
    assert outcome.verdict == verdict
    assert (outcome.n_jobs, outcome.n_seeds) == (len(errors), len(errors))
    # The less clear of two bars: 0.09 of the noisy images, 0.0674 of the mean image.
    middle = math.prod(errors) ** (1 / len(errors))
    assert outcome.ours == pytest.approx(0.0674 / middle)
    assert "clipping to [0, 1] alone 0.0540" in outcome.note
    assert "other models: mlp-512 0.0300" in outcome.note
    assert ("better than this model" in outcome.note) == (sorted(errors)[len(errors) // 2] > 0.054)


def test_denoising_takes_the_model_that_the_study_has_at_that_point(tmp_path: Path) -> None:
    others = [
        *(record("conv", 64, seed=s) for s in range(3)),
        *(record("conv", 128, depth=2, seed=s) for s in range(3)),
        *(record("conv", 64, depth=2, seed=s, train_noise=0.3) for s in range(3)),
    ]
    outcome = judge(tmp_path, "denoise-0.3", *others)
    assert (outcome.verdict, outcome.n_jobs) == ("not tested", 0)
    assert "no finished job of mnist conv-64 depth 2" in outcome.note


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([0.12, 0.13, 0.14], "replicated"),
        ([0.050, 0.051, 0.052], "not replicated"),
        ([0.050, 0.070, 0.090], "undecided"),
        ([0.12, 0.13], "consistent"),
    ],
)
def test_noise_of_08_is_too_much(tmp_path: Path, errors: list[float], verdict: str) -> None:
    records = [record("conv", 64, depth=2, seed=s, denoised={0.8: e}) for s, e in enumerate(errors)]
    assert judge(tmp_path, "denoise-0.8", *records).verdict == verdict


@pytest.mark.parametrize(
    ("strangers", "own", "verdict"),
    [
        ([0.20, 0.21, 0.22], 0.6, "replicated"),
        ([0.060, 0.061, 0.062], 0.6, "not replicated"),  # 8 times its own, but like the photograph
        ([0.20, 0.21, 0.22], 9.0, "not replicated"),  # unlike it, but no better on digits
        ([0.05, 0.09, 0.20], 0.6, "undecided"),
        ([0.2], 0.6, "consistent"),
    ],
)
def test_a_landscape_is_out_of_distribution(
    tmp_path: Path, strangers: list[float], own: float, verdict: str
) -> None:
    records = [record("mlp", 512, own, seed=s, stranger=e) for s, e in enumerate(strangers)]
    for each in records:  # and another picture, of which the finding does not speak
        (china,) = (row for row in each.probes if row["input"] == "china.jpg")
        each.probes.append(china | {"input": "flower.jpg", "mse": 0.06})
    outcome = judge(tmp_path, "out-of-distribution", *records)
    assert outcome.verdict == verdict
    assert "a flat grey picture has 0.0872" in outcome.note
    if strangers == [0.2]:
        assert "MSE on china.jpg 0.200, " in outcome.note


@pytest.mark.parametrize(
    ("luma", "chroma", "verdict"),
    [
        ([0.005, 0.006, 0.005], [0.004, 0.0041, 0.0042], "replicated"),
        ([0.005, 0.006, 0.005], [0.001, 0.0011, 0.0012], "not replicated"),  # colours survive
        ([0.040, 0.041, 0.042], [0.004, 0.0041, 0.0042], "not replicated"),  # shapes do not
        ([0.005, 0.006, 0.005], [0.0015, 0.0025, 0.004], "undecided"),
        ([0.005], [0.004], "consistent"),
        ([0.005], [0.001], "undecided"),
    ],
)
def test_shapes_survive_and_colours_do_not(
    tmp_path: Path, luma: list[float], chroma: list[float], verdict: str
) -> None:
    records = [
        record("mlp-shared", 512, dataset="cifar10", seed=s, row={"luma_mse": y, "chroma_mse": c})
        for s, (y, c) in enumerate(zip(luma, chroma, strict=True))
    ]
    assert judge(tmp_path, "colour-mlp", *records).verdict == verdict


def test_shares_explained_are_told(tmp_path: Path) -> None:
    outcome = judge(tmp_path, "colour-mlp", record("mlp-shared", 512, dataset="cifar10"))
    assert "89 % of the variance of luma is explained" in outcome.note  # 1 - 5 / 45
    assert "20 % of the variance of chroma is explained" in outcome.note  # 1 - 4 / 5


@pytest.mark.parametrize(
    ("errors", "sharpness", "verdict"),
    [
        ([0.83, 0.84, 0.85], [0.40, 0.41, 0.42], "replicated"),
        ([0.83, 0.84, 0.85], [0.80, 0.81, 0.82], "not replicated"),  # worse, but not blurrier
        ([0.41, 0.42, 0.43], [0.40, 0.41, 0.42], "not replicated"),  # blurrier, but not worse
        ([0.83, 0.84, 0.85], [0.30, 0.60, 0.90], "undecided"),
        ([0.83], [0.4], "consistent"),
        ([0.83], [0.8], "undecided"),
    ],
)
def test_the_wide_colour_mlp_is_blurrier(
    tmp_path: Path, errors: list[float], sharpness: list[float], verdict: str
) -> None:
    records = [
        record("mlp-separate", 8500, e, dataset="cifar10", seed=s, row={"sharpness": sharp})
        for s, (e, sharp) in enumerate(zip(errors, sharpness, strict=True))
    ]
    records += [record("mlp-shared", 512, dataset="cifar10", seed=s) for s in range(len(errors))]
    outcome = judge(tmp_path, "colour-mlp-wide", *records)
    assert outcome.verdict == verdict
    if len(errors) == 1:
        assert f"mlp-separate-8500: study error 0.830, sharpness {sharpness[0]:.3f}" in outcome.note


def test_the_rules_say_how_many_images_are_probed() -> None:
    from aebench.evaluation import probes

    rules = [f.rule for f in FINDINGS if f.id.startswith("denoise")]
    assert len(rules) == 2
    assert all(f"first {probes.IMAGES:,} test images" in rule for rule in rules)
    assert {"0.3", "0.8"} == {str(amplitude) for amplitude in probes.PICTURED}


def test_records_of_before_the_probes_are_told_from_no_records(tmp_path: Path) -> None:
    bare = dict.fromkeys(("luma_mse", "chroma_mse", "sharpness"))
    records = [
        dataclasses.replace(record("mlp", 512), probes=()),
        record("mlp-shared", 512, dataset="cifar10", row=bare),
    ]
    outcomes = {o.finding.id: o for o in evaluate(stored(tmp_path, *records))}
    assert "mnist mlp-512 has records, but of before" in outcomes["out-of-distribution"].note
    assert "has records, but of before" in outcomes["colour-mlp"].note
    assert "no finished job of cifar10 mlp-separate-8500" in outcomes["colour-mlp-wide"].note
    for id in ("out-of-distribution", "colour-mlp"):
        assert outcomes[id].verdict == "not tested"  # run, but never looked at in this respect
