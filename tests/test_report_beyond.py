"""Fair fights, distance to the optimum, and what the stopwatch timed, on synthetic records."""

import pandas as pd
import pytest
from test_report_records import failure, record, stored

from aebench.report import beyond, fights, frames
from aebench.report.fights import COSTS
from aebench.report.html import page
from aebench.store import Record, Results

BOTTLENECK, PARAMETERS, TFLOP, TIME = COSTS


def points(*rows: tuple[str, int, float, float]) -> pd.DataFrame:
    """Architecture, seed, cost, error; latent stands for nothing here."""
    frame = pd.DataFrame(rows, columns=["architecture", "seed", "cost", "error"])
    return frame.assign(latent=range(1, len(frame) + 1), depth=1)


def ordered(folder, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def test_at_most_means_at_most() -> None:
    mine = points(("mlp", 0, 10.0, 0.5), ("mlp", 0, 20.0, 0.2), ("mlp", 0, 40.0, 0.3))
    assert fights.best(mine, 9.0) is None
    assert fights.best(mine, 10.0)["error"] == 0.5
    # What costs more and is worse is never chosen.
    assert fights.best(mine, 100.0)["error"] == 0.2


def test_front_drops_what_another_beats() -> None:
    mine = points(
        ("mlp", 0, 10.0, 0.5), ("mlp", 0, 10.0, 0.6), ("mlp", 0, 20.0, 0.5), ("mlp", 0, 30.0, 0.1)
    )
    assert fights.front(mine)["cost"].to_list() == [10.0, 30.0]


def test_fights_are_paired_by_seed_and_start_where_both_can_afford_something() -> None:
    rows = [("mlp", s, 10.0, 0.4 * (1 + s / 10)) for s in range(3)]
    rows += [("conv", s, 50.0, 0.1 * (1 + s / 10)) for s in range(4)]
    found = fights.fights(points(*rows), "conv")
    assert min(f.budget for f in found) >= 50.0
    assert all(f.ratio.n == 3 for f in found)
    # The seeds differ by tenths, the ratios not at all: pairing takes the seed out.
    assert all(f.ratio.low == pytest.approx(4.0) == f.ratio.high for f in found)


def test_no_common_seed_is_no_fight() -> None:
    assert fights.fights(points(("mlp", 0, 1.0, 0.4), ("conv", 1, 1.0, 0.1)), "conv") == []


def test_arithmetic_is_spent_epoch_by_epoch(tmp_path) -> None:
    results = ordered(tmp_path, record("mlp", 16, losses=(0.3, 0.2, 0.1), epochs=3))
    spent = fights.spent(results, TFLOP)
    # 429 steps an epoch of 1e9 operations each
    assert spent["cost"].to_list() == pytest.approx([0.429, 0.858, 1.287])
    assert spent["error"].to_list() == [0.3, 0.2, 0.1]


def test_shared_machines_have_no_time_to_spend(tmp_path) -> None:
    results = ordered(tmp_path, record("mlp", 16, row={"concurrent": True}))
    assert not len(fights.spent(results, TIME))
    assert len(fights.spent(results, TFLOP))


def test_times_of_two_machines_do_not_meet(tmp_path) -> None:
    results = ordered(
        tmp_path,
        record("mlp", 16, seconds=1.0),
        record("conv", 4, seconds=5.0, row={"machine_id": "another"}),
    )
    section = beyond.sections(results)[0]
    assert not any("training time" in line for line in section.lists)
    assert any("parameters" in line for line in section.lists)


def test_verdict_follows_the_errors(tmp_path) -> None:
    better = ordered(tmp_path / "a", record("mlp", 1000, 1.0), record("conv", 1, 2.0))
    worse = ordered(tmp_path / "b", record("mlp", 1000, 2.0), record("conv", 1, 1.0))
    said = [" ".join(beyond.sections(r)[0].lists) for r in (better, worse)]
    assert "equal bottleneck: the MLP is ahead throughout" in said[0]
    assert "equal bottleneck: conv is ahead throughout" in said[1]


def test_distance_to_the_optimum_counts_only_what_compresses(tmp_path) -> None:
    records = [
        record("mlp", 16, 78 * 0.02, seed=s, row={"pca_mse": 0.01, "mean_mse": 0.015})
        for s in range(3)
    ]
    near = record("mlp", 700)  # a code of nine tenths of the image: PCA is all but exact there
    results = ordered(tmp_path, *records, near, record("conv", 16), failure())
    rows = fights.to_optimum(results)
    assert rows["architecture"].to_list() == ["mlp"]
    assert rows["ratio"].item() == pytest.approx(2.0)
    text = " ".join(beyond.sections(results)[1].intro)
    assert "0 of 1 model beat it" in text
    assert "mlp-16 on MNIST does worse than the mean image" in text


def test_stopwatch_sets_the_loop_beside_the_engine(tmp_path) -> None:
    slow = {"engine": "reference"}
    results = ordered(
        tmp_path,
        record("mlp", 512, seconds=100.0, row={"loading_s": 80.0}, **slow),
        record("conv", 128, seconds=125.0, row={"loading_s": 80.0}, **slow),
        record("mlp", 512, seconds=4.0),
        record("conv", 128, seconds=40.0),
        record("conv", 16, seconds=9.0),  # no reference run: nothing to set it beside
    )
    [(_, engine, rows)] = fights.stopwatch(results)
    assert engine == "eager"
    assert dict(zip(rows["architecture"], rows["gain"], strict=True)) == {"mlp": 25, "conv": 3.125}
    text = " ".join(beyond.sections(results)[2].intro)
    assert "conv-128 takes 1.25 times as long to train as mlp-512 under reference" in text
    assert "10.0 times under eager" in text
    assert "71.1 %" in text


def test_sections_without_data_say_what_they_take(tmp_path) -> None:
    html = page(stored(tmp_path, record("conv", 16)))
    assert "This takes an MLP and another family" in html
    assert "This takes a finished model whose code is at most two thirds" in html
    assert "aebench run --engine reference,eager" in html


def test_which_convolutions_compress() -> None:
    summary = pd.DataFrame(
        {
            "dataset": "mnist", "architecture": "conv", "depth": 1, "latent": [1, 16],
            "compression": [784 / 676, 784 / 10816],
        }
    )  # fmt: skip
    text = beyond.compression_in_words(summary)
    assert "only conv-1 on MNIST (factor 1.2) compresses" in text
