"""Fair fights, distance to the optimum, and what the stopwatch timed, on synthetic records."""

import pandas as pd
import pytest
from test_report_records import failure, record, stored

from aebench.analysis import fights, fitness, frames
from aebench.analysis.fights import COSTS
from aebench.page import fair, reconstruction, stopwatch, trained
from aebench.page.html import page
from aebench.store import Record, Results

BOTTLENECK, PARAMETERS, TFLOP, TIME = COSTS


def points(*rows: tuple[str, int, float, float]) -> pd.DataFrame:
    """Architecture, seed, cost, error; another cost is another model, named by its latent."""
    frame = pd.DataFrame(rows, columns=["architecture", "seed", "cost", "error"])
    return frame.assign(latent=frame["cost"].astype(int), depth=1, epoch=0)


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
    rows += [("conv", s, 50.0, 0.1 * (1 + s / 10)) for s in range(3)]
    found = fights.fights(points(*rows), "conv")
    assert min(f.budget for f in found) >= 50.0
    assert all(f.ratio.n == f.mlp.seeds == f.other.seeds == 3 for f in found)
    # The seeds differ by tenths, the ratios not at all: pairing takes the seed out.
    assert all(f.ratio.low == pytest.approx(4.0) == f.ratio.high for f in found)


def test_a_fight_is_between_models_with_the_figures_of_all_their_seeds() -> None:
    # The wider MLP has the best single seed, and the greater mean: it is not chosen for a seed.
    rows = [("mlp", s, 10.0, 0.4) for s in range(3)] + [("mlp", 0, 20.0, 0.5)]
    rows += [("mlp", s, 20.0, e) for s, e in ((1, 0.1), (2, 4.0))]
    rows += [("conv", s, 20.0, e) for s, e in enumerate((0.1, 0.2, 0.4, 0.8))]
    found = fights.fights(points(*rows), "conv")[-1]
    assert (found.mlp.model, found.mlp.error) == ("mlp-10", pytest.approx(0.4))
    assert found.other.error == pytest.approx((0.1 * 0.2 * 0.4 * 0.8) ** 0.25)
    assert (found.mlp.seeds, found.other.seeds, found.ratio.n) == (3, 4, 3)
    assert found.ratio.centre == pytest.approx(found.mlp.error / found.other.error)
    assert found.ratio.low < 1 < found.ratio.high
    assert found.ahead == ""


def test_seeds_need_not_be_common() -> None:
    found, *_ = fights.fights(points(("mlp", 0, 1.0, 0.4), ("conv", 1, 1.0, 0.1)), "conv")
    assert (found.ratio.centre, found.ahead) == (pytest.approx(4.0), "conv")


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
    section = fair.section(results)
    assert not any("training time" in line for line in section.lists)
    assert any("parameters" in line for line in section.lists)


def test_verdict_follows_the_errors(tmp_path) -> None:
    better = ordered(tmp_path / "a", record("mlp", 1000, 1.0), record("conv", 1, 2.0))
    worse = ordered(tmp_path / "b", record("mlp", 1000, 2.0), record("conv", 1, 1.0))
    said = [fair.section(r).lists[0] for r in (better, worse)]
    assert said[0] == (
        "MNIST, equal bottleneck, mlp against conv: mlp is ahead at every budget. mlp-1000 0.0128 "
        "against conv-1 0.0256 (one seed each), a factor of 2.0, at 1,000 numbers (test MSE)."
    )
    assert said[1] == (
        "MNIST, equal bottleneck, mlp against conv: conv is ahead at every budget. conv-1 0.0128 "
        "against mlp-1000 0.0256 (one seed each), a factor of 2.0, at 1,000 numbers (test MSE)."
    )


def test_every_fight_names_both_sides_and_tells_where_it_turns(tmp_path) -> None:
    records = [
        record("mlp", 700, 1.0), record("conv", 1, 2.0), record("conv", 16, 0.1),
        record("conv-bottleneck", 128, 3.0),
    ]  # fmt: skip
    section = fair.section(ordered(tmp_path, *records))
    for sentence in section.lists:
        family = sentence.split("mlp against ")[1].split(":")[0]
        told = sentence.split(". ", 1)[1].split("; ")
        assert family in ("conv", "conv-bottleneck")
        for meeting in told:
            sides = meeting.split(" against ")
            assert sorted(side.rpartition("-")[0].split()[-1] for side in (
                sides[0].split(" 0.")[0], sides[1].split(" 0.")[0]
            )) == sorted(["mlp", family])  # fmt: skip
    (turning,) = [s for s in section.lists if "equal bottleneck, mlp against conv:" in s]
    assert "who is ahead depends on the budget" in turning
    assert turning.index("mlp-700 0.0128 against conv-1") < turning.index("conv-16 0.00128 against")
    (both,) = [s for s in section.lists if "equal bottleneck, mlp against conv-bottleneck" in s]
    assert "mlp is ahead at every budget" in both


def test_times_that_check_rejects_are_in_no_fight_and_no_ratio(tmp_path) -> None:
    row = {"pressure_s": 50.0}
    records = [
        record(kind, latent, seconds=s, engine=engine, row=row | {"loading_s": 1.0})
        for kind, latent, s in (("mlp", 512, 100.0), ("conv", 128, 125.0))
        for engine in ("reference", "eager")
    ]
    results = fitness.marked(ordered(tmp_path, *records))
    fought, watch = fair.section(results), stopwatch.section(results)
    assert any("training arithmetic" in line for line in fought.lists)
    assert not any("training time" in line for line in fought.lists)
    assert any("4 times that aebench check rejects are not among them" in t for t in fought.intro)
    text = " ".join(watch.intro)
    assert "aebench check rejects the times of mlp-512 and conv-128: no ratio of them" in text
    assert "prefer a machine of your own" in text
    assert "times as long" not in text
    (chart,) = watch.charts
    assert "✘ mlp-512" in chart.svg
    for table_row in chart.tables[0].rows:
        assert table_row[-2].text == "–"
        assert table_row[-1].text == "✘ rejected: contended"
    # One more run that passes: the ratio is of that one.
    more = [
        record(kind, latent, seconds=s, engine=engine, repeat=1, row={"loading_s": 1.0})
        for kind, latent, s in (("mlp", 512, 100.0), ("conv", 128, 126.0))
        for engine in ("reference", "eager")
    ]
    watch = stopwatch.section(fitness.marked(ordered(tmp_path, *more)))
    assert "conv-128 takes 1.26 times as long" in " ".join(watch.intro)


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
    text = " ".join(trained.section(results).intro)
    assert "the error is 2.0 (mlp-16 on MNIST) times PCA's; 0 of 1 such model beat it" in text
    assert "of these mlp-16 on MNIST does worse than the mean image" in text


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
    [watch] = fights.stopwatch(results)
    assert watch.engine == "eager"
    rows = watch.models
    assert dict(zip(rows["architecture"], rows["gain"], strict=True)) == {"mlp": 25, "conv": 3.125}
    text = " ".join(stopwatch.section(results).intro)
    assert "conv-128 takes 1.25 times as long to train as mlp-512 under reference" in text
    assert "10.0 times under eager" in text
    assert "71.1 %" in text


@pytest.mark.usefixtures("undrawn")
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
    text = reconstruction.compression_in_words(summary)
    assert "only conv-1 on MNIST (factor 1.2) compresses" in text
