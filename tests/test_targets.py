"""When a target is reached, against curves worked by hand, and which runs have seconds for it."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_report_records import failure, pca, record, stored

from aebench.analysis import findings, fitness, frames, targets
from aebench.analysis.targets import MEAN, PCA, STUDY
from aebench.store import Record, Results

NEVER = math.inf
LOSSES = (0.3, 0.2, 0.1, 0.05)


def curve(*losses: float, architecture: str = "mlp", latent: int = 16, **more) -> Record:
    """A run of four seconds an epoch; its mean image has an error of 0.2, its PCA one of 0.1."""
    row = {"mean_mse": 0.2, "pca_mse": 0.1} | more.pop("row", {})
    seconds = more.pop("seconds", 4.0 * len(losses))
    return record(
        architecture, latent, losses=losses, epochs=len(losses), seconds=seconds, row=row, **more
    )


def diverged(made: Record, epochs: int = 0) -> Record:
    """The same run, had it diverged after so many epochs: it knows its size, and no test error."""
    unknown = dict.fromkeys(("mse", "study_error", "mean_mse", "pca_mse", "train_s", "steps"))
    job = made.job | unknown | {"status": "diverged", "reason": "the loss is nan"}
    return Record(job, made.epochs[:epochs])


def reached(results: Results, target: str = MEAN) -> pd.Series:
    rows = targets.to_targets(results)
    (row,) = (row for _, row in rows[rows["target"] == target].iterrows())
    return row


def test_a_target_is_reached_at_the_end_of_the_first_epoch_at_or_below_it(tmp_path) -> None:
    results = stored(tmp_path, curve(*LOSSES))
    mean, optimum = reached(results), reached(results, PCA)
    # Exactly equal is reached. 429 steps an epoch, of 1e9 operations each.
    assert mean[["reached", "epochs", "gflop", "train_s"]].to_list() == [True, 2, 858.0, 8.0]
    assert optimum[["reached", "epochs", "gflop", "train_s"]].to_list() == [True, 3, 1287.0, 12.0]
    assert (mean["target_mse"], optimum["target_mse"]) == (0.2, 0.1)
    assert mean["task"] == "MNIST, latent 16, mean image"
    assert optimum["task"] == "MNIST, latent 16, PCA-16"
    assert len(targets.to_targets(results)) == 2  # the study has no figure for this model


def test_just_above_is_not_there_and_nothing_is_interpolated(tmp_path) -> None:
    above = float(np.nextafter(0.2, 1.0))
    row = reached(stored(tmp_path, curve(0.3, above, 0.01)))
    assert (row["epochs"], row["train_s"]) == (3, 12.0)


def test_what_rises_again_was_there(tmp_path) -> None:
    assert reached(stored(tmp_path, curve(0.3, 0.1, 0.3)))["epochs"] == 2


def test_never_is_infinite_and_not_left_out(tmp_path) -> None:
    row = reached(stored(tmp_path, curve(0.5, 0.4, 0.3)))
    assert row[["reached", "epochs", "gflop", "train_s"]].to_list() == [False, NEVER, NEVER, NEVER]


def test_the_first_epoch_may_be_enough(tmp_path) -> None:
    row = reached(stored(tmp_path, curve(0.1, 0.05)))
    assert row[["epochs", "gflop", "train_s"]].to_list() == [1, 429.0, 4.0]


@pytest.mark.parametrize("wrong", [None, math.nan, 0.0, -1.0])
def test_an_epoch_without_an_error_reaches_nothing(tmp_path, wrong) -> None:
    made = curve(0.3, 0.3, 0.1, 0.05)
    made.epochs[1]["val_mse"] = wrong
    row = reached(stored(tmp_path, made))
    assert row[["epochs", "train_s"]].to_list() == [3, 12.0]
    for epoch in made.epochs:
        epoch["val_mse"] = wrong
    assert reached(stored(tmp_path / "all", made))["epochs"] == NEVER


def test_seconds_that_lack_an_epoch_are_no_seconds(tmp_path) -> None:
    gaps = {"untimed": {"train_s": None}, "missing": {"epoch": 7}, "endless": {"train_s": math.inf}}
    for name, gap in gaps.items():
        made = curve(*LOSSES)
        made.epochs[0] |= gap
        row = reached(stored(tmp_path / name, made))
        assert row["reached"]
        assert math.isnan(row["train_s"]), name
        assert row["epochs"] == 2


def test_a_damaged_record_has_neither_seconds_nor_operations(tmp_path) -> None:
    made = curve(*LOSSES, row={"flops_per_step": 0})
    for epoch in made.epochs:
        epoch["train_s"] = 0.0
    row = reached(stored(tmp_path, made))
    assert row["epochs"] == 2
    assert row[["gflop", "train_s"]].isna().all()


def test_epochs_have_seconds_of_their_own(tmp_path) -> None:
    made = curve(*LOSSES)
    for epoch, seconds in zip(made.epochs, (1.0, 2.0, 4.0, 8.0), strict=True):
        epoch["train_s"] = seconds
    results = stored(tmp_path, dataclasses.replace(made, epochs=made.epochs[::-1]))
    assert (reached(results)["train_s"], reached(results, PCA)["train_s"]) == (3.0, 7.0)


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"concurrent": True}, id="beside other jobs"),
        pytest.param({"resumed": "after epoch 1"}, id="resumed"),
        pytest.param({"engine_note": "on one core"}, id="engine otherwise than named"),
        pytest.param({"pressure_s": 50.0}, id="rejected by check"),
        pytest.param({"train_s": None, "amortised_train_s": 3.0}, id="trained as one model"),
    ],
)
def test_times_that_may_not_be_compared_are_no_seconds(tmp_path, row) -> None:
    results = stored(tmp_path, curve(*LOSSES, row=row))
    mean = reached(results)
    assert mean[["reached", "epochs", "gflop"]].to_list() == [True, 2, 858.0]
    assert math.isnan(mean["train_s"])
    assert not any(c.cost == "train_s" for c in targets.contests(targets.to_targets(results)))
    # Nor are they for who never gets there: those would else count alone, and as infinitely slow.
    never = reached(stored(tmp_path / "never", curve(0.5, 0.4, row=row)))
    assert never["epochs"] == NEVER
    assert math.isnan(never["train_s"])


def test_what_check_rejects_is_known_with_and_without_its_marks(tmp_path) -> None:
    results = stored(tmp_path, curve(*LOSSES), curve(*LOSSES, latent=8, row={"pressure_s": 50.0}))
    plain = targets.to_targets(results)
    pd.testing.assert_frame_equal(
        plain, targets.to_targets(fitness.marked(frames.ordered(results)))
    )
    assert plain.groupby("latent")["train_s"].count().to_dict() == {8: 0, 16: 2}


def test_only_codes_that_compress_are_set_beside_pca(tmp_path) -> None:
    records = [curve(*LOSSES, latent=k) for k in (522, 523)]  # 784 / 1.5 is 522.7
    rows = targets.to_targets(stored(tmp_path, *records))
    assert rows.loc[rows["target"] == PCA, "latent"].to_list() == [522]
    assert rows.loc[rows["target"] == MEAN, "latent"].to_list() == [522, 523]


def test_pca_is_no_target_where_it_is_all_but_exact(tmp_path) -> None:
    # Its mean image has an error of 0.2: of less than a hundredth of that nothing is told.
    made = [curve(*LOSSES, latent=k, row={"pca_mse": p}) for k, p in ((8, 0.002), (9, 0.0019))]
    lost = diverged(curve(*LOSSES, latent=500))  # whose baselines are those of its data
    rows = targets.to_targets(stored(tmp_path, *made, lost))
    assert rows.loc[rows["target"] == PCA, "latent"].to_list() == [8]
    assert sorted(rows.loc[rows["target"] == MEAN, "latent"]) == [8, 9, 500]


def test_the_figure_of_the_study_is_a_sum_over_its_batches(tmp_path) -> None:
    figures = {f.id: (f.model, f.source) for f in findings.FINDINGS if f.model}
    assert len(figures) == 12  # ten of them, and two again for the other deeper decoder
    assert figures["conv-1"] == (frames.Model("mnist", "conv", 1), "3.53")
    records = [
        curve(3.54 / 78, 3.53 / 78, architecture="conv", latent=1),
        curve(3.54 / 78, 3.53 / 78, architecture="conv", latent=1, protocol="tuned"),
        curve(0.2, 0.1, architecture="conv", latent=2),
        curve(0.2, 0.1, architecture="conv", latent=1, row={"code": "ab12", "options": ""}),
    ]
    rows = targets.to_targets(stored(tmp_path, *records[:3]))
    study = rows[rows["target"] == STUDY]
    assert study["settings"].str.partition(" ")[0].to_list() == ["study", "tuned"]
    assert study["target_mse"].to_list() == pytest.approx([3.53 / 78] * 2)
    assert study["epochs"].to_list() == [2, 2]
    assert study["task"].unique().tolist() == ["MNIST, latent 1, the study's 3.53"]
    # A user's own code of that name is another model, and own data are other images.
    pixels = curve(0.2, 0.1, architecture="conv", latent=1, row={"pixels": "ab12cd"})
    for name, other in (("code", records[3]), ("pixels", pixels)):
        own = targets.to_targets(stored(tmp_path / name, other))
        assert own["target"].to_list() == [MEAN], name


def test_who_diverged_is_infinitely_slow(tmp_path) -> None:
    at_once = diverged(curve(*LOSSES, seed=1))
    late = diverged(curve(0.3, 0.01, 0.01, seed=2), epochs=2)
    results = stored(tmp_path, curve(*LOSSES), at_once, late)
    rows = targets.to_targets(results)
    mean = rows[rows["target"] == MEAN].set_index("seed")
    # Its own mean image was never looked at: it has the stored one of its data.
    assert mean["target_mse"].to_dict() == pytest.approx({0: 0.2, 1: 0.0674, 2: 0.0674})
    assert mean["epochs"].to_dict() == {0: 2, 1: NEVER, 2: 2}
    # Steps are counted at the end; it is known how many an epoch has: 55,000 / 128.
    assert mean["gflop"].to_dict() == {0: 858.0, 1: NEVER, 2: 858.0}
    assert mean["train_s"].drop(2).to_dict() == {0: 8.0, 1: NEVER}
    assert math.isnan(mean["train_s"][2])
    optimum = rows[rows["target"] == PCA].set_index("seed")
    assert optimum["target_mse"].to_dict() == pytest.approx(
        {0: 0.1} | dict.fromkeys((1, 2), pca(16, 784))
    )
    beside = diverged(curve(*LOSSES, seed=3, row={"concurrent": True}))
    row = targets.to_targets(stored(tmp_path / "b", curve(*LOSSES), beside)).set_index("seed")
    assert row.loc[3, "epochs"].to_list() == [NEVER, NEVER]
    assert row.loc[3, "train_s"].isna().all()


def test_what_others_ended_is_unknown(tmp_path) -> None:
    made = curve(*LOSSES, seed=1)
    ended = [
        dataclasses.replace(made, job=made.job | {"status": status, "seed": i, "key": f"{i:016x}"})
        for i, status in enumerate(
            ("failed", "out_of_memory", "timed_out", "killed", "skipped"), start=1
        )
    ]
    without_curve = curve(*LOSSES, seed=9)
    results = stored(
        tmp_path, *ended, failure(), dataclasses.replace(without_curve, epochs=[]), curve(*LOSSES)
    )
    assert targets.to_targets(results)["seed"].to_list() == [0, 0]
    assert not len(targets.to_targets(stored(tmp_path / "none", failure())))
    assert not len(targets.summary(targets.to_targets(stored(tmp_path / "still", failure()))))
    assert targets.contests(targets.to_targets(stored(tmp_path / "nor", failure()))) == []


def test_medians_count_who_never_gets_there(tmp_path) -> None:
    fast, slow, never = (0.1, 0.1, 0.1), (0.3, 0.3, 0.1), (0.3, 0.3, 0.3)
    three = targets.summary(targets.to_targets(stored(tmp_path / "3", *(
        curve(*losses, seed=i) for i, losses in enumerate((fast, slow, never))
    ))))  # fmt: skip
    mean = three[three["target"] == MEAN].iloc[0]
    assert mean[["n", "reached", "timed"]].to_list() == [3, 2, 3]
    assert mean[["epochs", "gflop", "train_s"]].to_list() == [3, 1287.0, 12.0]
    assert pd.isna(mean["low"])
    # With half of them the middle is between a number and never: never.
    two = targets.summary(targets.to_targets(stored(
        tmp_path / "2", curve(*fast, seed=0), curve(*never, seed=1)
    )))  # fmt: skip
    mean = two[two["target"] == MEAN].iloc[0]
    assert mean[["reached", "epochs", "train_s"]].to_list() == [1, NEVER, NEVER]


def test_six_runs_have_an_interval_and_those_beside_others_no_part_in_it(tmp_path) -> None:
    losses = [(0.3,) * i + (0.1,) * (6 - i) for i in range(6)]
    records = [curve(*each, seed=i) for i, each in enumerate(losses)]
    records += [curve(*(0.3,) * 6, seed=6, row={"concurrent": True})]
    rows = targets.summary(targets.to_targets(stored(tmp_path, *records)))
    mean = rows[rows["target"] == MEAN].iloc[0]
    assert mean[["n", "reached", "timed"]].to_list() == [7, 6, 6]
    assert mean[["epochs", "train_s", "low", "high"]].to_list() == [4, 14.0, 4.0, 24.0]


def test_what_is_unlike_is_not_folded(tmp_path) -> None:
    records = [
        curve(*LOSSES),
        curve(*LOSSES, engine="reference"),
        curve(*LOSSES, precision="bf16"),
        curve(*LOSSES, learning_rate=0.01),
        curve(*LOSSES, seed=1, row={"machine_id": "another"}),
        curve(*LOSSES, depth=2),
    ]
    rows = targets.summary(targets.to_targets(stored(tmp_path, *records)))
    assert len(rows[rows["target"] == MEAN]) == 6
    assert set(rows["n"]) == {1}


def test_systems_meet_in_the_tasks_that_all_of_them_ran(tmp_path) -> None:
    records = [
        # Four seconds an epoch by eager, eight by native; the second model never gets there.
        *(curve(0.3, 0.1, latent=k, seconds=8.0) for k in (8, 16)),
        *(curve(0.3, 0.1, latent=k, seconds=16.0, engine="native") for k in (8, 16)),
        *(curve(0.3, 0.3, latent=k, depth=2, seconds=1.0) for k in (8, 16)),
        curve(0.3, 0.1, latent=8, architecture="conv-bottleneck", row={"compression": 1.0}),
        curve(0.1, 0.1, latent=8, engine="reference", row={"torch": "2.0"}),
    ]
    rows = targets.to_targets(stored(tmp_path, *records))
    seconds, arithmetic = targets.contests(rows)
    assert (seconds.cost, arithmetic.cost) == ("train_s", "gflop")
    tasks = [f"MNIST, latent {k}, {what}" for k in (8, 16) for what in (MEAN, f"PCA-{k}")]
    assert sorted(seconds.ratios.columns) == sorted(tasks)
    assert seconds.ratios.T.drop_duplicates().T.to_numpy().tolist() == [[1.0], [2.0], [NEVER]]
    assert seconds.ratios.index.to_list() == ["mlp, eager", "mlp, native", "mlp depth 2, eager"]
    assert seconds.left_out == 1
    # Neither engine nor precision is a condition of all of them.
    assert seconds.conditions == (
        "Intel Xeon Platinum 8275CL, cpu, fp32, 2 threads, torch 2.11.0, machine 0f1e2d3c"
    )
    assert arithmetic.ratios.index.to_list() == ["mlp", "mlp depth 2"]
    assert arithmetic.conditions == ""


def test_settings_are_told_where_they_differ(tmp_path) -> None:
    records = [
        curve(0.3, 0.1, latent=k, learning_rate=rate) for k in (8, 16) for rate in (1e-4, 0.01)
    ]
    seconds, arithmetic = targets.contests(targets.to_targets(stored(tmp_path, *records)))
    names = ["mlp, study with epochs=2", "mlp, study with epochs=2, learning_rate=0.01"]
    assert seconds.ratios.index.to_list() == arithmetic.ratios.index.to_list() == names


@given(
    st.lists(st.one_of(st.floats(0.01, 1.0), st.just(math.nan)), min_size=1, max_size=8),
    st.floats(0.01, 1.0),
    st.floats(0.01, 1.0),
)
def test_an_easier_target_is_reached_no_later(
    losses: list[float], one: float, other: float
) -> None:
    epochs = pd.DataFrame({
        "key": "k", "epoch": range(1, len(losses) + 1), "val_mse": losses, "train_s": 1.0,
    })  # fmt: skip
    jobs = pd.DataFrame([{
        "key": "k", "status": "ok", "concurrent": False, "resumed": "", "engine_note": "",
        "train_s": 1.0, "steps": 10 * len(losses), "epochs": len(losses), "train_images": 100,
        "batch_size": 10, "flops_per_step": 10**8,
    }])  # fmt: skip
    curves = targets._curves(epochs)
    easy, hard = (
        targets._reached(jobs, pd.Series([target]), curves).iloc[0]
        for target in (max(one, other), min(one, other))
    )
    assert easy["epochs"] <= hard["epochs"]
    assert easy["train_s"] <= hard["train_s"]
    assert hard["reached"] == any(loss <= min(one, other) for loss in losses)
    if hard["reached"]:
        assert hard["train_s"] == hard["gflop"] == hard["epochs"]
