"""What findings are looked at in: the seeds, curves and pictures that each rests on."""

import math
from pathlib import Path

import pytest
from test_report_records import record, stored, study

from aebench.analysis.exhibits import Exhibit
from aebench.analysis.findings import FINDINGS, evaluate
from aebench.analysis.outcomes import claims
from aebench.store import Record


def shown(folder: Path, id: str, *records: Record) -> Exhibit:
    return next(o for o in evaluate(stored(folder, *records)) if o.finding.id == id).exhibit


def test_a_figure_is_our_seeds_over_the_studys(tmp_path: Path) -> None:
    records = [record("mlp", 512, error, seed=s) for s, error in enumerate((0.605, 1.21))]
    found = shown(tmp_path, "mlp-512", *records)
    assert found.dots is not None
    assert found.dots.lines[0].values == pytest.approx((1.0, 2.0))
    assert (found.dots.mark, found.dots.margin) == (1.0, (0.8, 1.25))
    assert found.pictures is not None
    assert [model.label for model in found.pictures.models] == ["mlp-512"]


def test_errors_are_set_beside_what_the_study_prints_of_each_model(tmp_path: Path) -> None:
    found = shown(tmp_path, "mlp-smaller-worse", *study(2))
    assert found.dots is not None
    lines = [(line.label, len(line.values), line.study) for line in found.dots.lines]
    assert lines == [("mlp-512", 2, 0.605), ("mlp-128", 2, 2.16), ("mlp-1", 2, 9.47)]
    first = found.dots.lines[0]
    assert first.mean == pytest.approx(math.sqrt(first.values[0] * first.values[1]))


def test_models_on_two_datasets_are_told_apart(tmp_path: Path) -> None:
    found = shown(tmp_path, "colour-harder", *study(1))
    assert found.dots is not None
    assert [line.label for line in found.dots.lines] == [
        "conv-128 on CIFAR-10",
        "conv-128 on MNIST",
    ]


def test_curves_are_scaled_to_their_own_fall(tmp_path: Path) -> None:
    slow, fast = (5.0, 4.0, 3.0), (7.0, 3.5, 3.0)
    records = [record("mlp", 512, losses=slow, epochs=3, seed=s) for s in (0, 1)]
    records += [record("conv", 128, losses=fast, epochs=3)]
    found = shown(tmp_path, "same-convergence", *records)
    assert found.curves is None  # which are of another protocol than the study's 15 epochs
    long = tuple(9.0 - i / 2 for i in range(15))
    records = [record("mlp", 512, losses=long), record("conv", 128, losses=long)]
    found = shown(tmp_path / "long", "same-convergence", *records)
    assert found.curves is not None
    drawn = [(curve.model.label, curve.phase) for curve in found.curves.curves]
    assert drawn == [
        ("mlp-512", "training"), ("mlp-512", "validation"),
        ("conv-128", "training"), ("conv-128", "validation"),
    ]  # fmt: skip
    for curve in found.curves.curves:
        assert curve.points == pytest.approx([i / 14 for i in range(15)])


def test_denoising_is_set_beside_its_bars_and_other_models(tmp_path: Path) -> None:
    records = [record("conv", 64, depth=2), record("mlp", 512, denoised={0.3: 0.01})]
    found = shown(tmp_path, "denoise-0.3", *records)
    assert found.dots is not None
    lines = {line.label: (line.mean, line.trained) for line in found.dots.lines}
    assert lines == {
        "conv-64 depth 2": (pytest.approx(0.03), True),
        "mlp-512": (pytest.approx(0.01), True),
        "noisy images": (pytest.approx(0.09), False),
        "mean image": (pytest.approx(0.0674), False),
    }
    assert found.pictures is not None
    assert found.pictures.kind == "denoising 0.3"


def test_the_photograph_is_set_beside_the_models_own_images(tmp_path: Path) -> None:
    found = shown(tmp_path, "out-of-distribution", record("mlp", 512, 0.78, stranger=0.2))
    assert found.dots is not None
    assert [line.mean for line in found.dots.lines] == pytest.approx([0.2, 0.01, 0.0872])
    assert found.pictures is not None
    assert found.pictures.kind == "out-of-distribution"


def test_colours_are_set_beside_shapes(tmp_path: Path) -> None:
    found = shown(tmp_path, "colour-mlp", record("mlp-shared", 512, dataset="cifar10"))
    assert found.dots is not None
    assert [line.mean for line in found.dots.lines] == pytest.approx([0.005 / 0.045, 0.8])
    assert found.pictures is not None
    assert found.pictures.lost


def test_times_are_the_ratios_beside_their_bound(tmp_path: Path) -> None:
    engine = {"engine": "reference", "row": {"concurrent": False}}
    records = [
        record("mlp", 512, seconds=10.0, **engine),
        record("conv", 128, seconds=12.0, **engine),
    ]
    found = shown(tmp_path, "conv-not-slower-cpu", *records)
    assert found.dots is not None
    assert found.dots.lines[0].values == pytest.approx((1.2,))
    assert found.dots.mark == 1.5


def test_where_nothing_was_run_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    for outcome in evaluate(stored(tmp_path)):
        assert outcome.exhibit.dots is None
        assert outcome.exhibit.curves is None


def test_a_finding_of_pictures_asks_for_them(tmp_path: Path) -> None:
    cited = [o for o in evaluate(stored(tmp_path)) if o.finding.source == "pictures"]
    assert len(cited) == 5
    assert all(outcome.exhibit.pictures for outcome in cited)


def test_claims_have_their_readings_behind_them(tmp_path: Path) -> None:
    found = claims(evaluate(stored(tmp_path)))
    ids = [[outcome.finding.id for outcome in claim] for claim in found]
    assert len(ids) == 23
    assert sum(map(len, ids)) == len(FINDINGS)
    assert ["deep-128", "deep-128-relu"] in ids
    assert [
        "deep-slower", "deep-slower-cpu", "deep-slower-relu", "deep-slower-relu-cpu",
    ] in ids  # fmt: skip
    for claim in found:
        assert len({outcome.finding.how for outcome in claim}) == len(claim)
