"""What tables are reduced to: which rows count, and one figure a model."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest
from test_report_records import MEAN_MSE, record, stored

from aebench.analysis import commands, fitness, frames, names, words
from aebench.store import Record


def test_one_statistic_for_one_model_throughout(tmp_path: Path) -> None:
    # Geometric mean 0.04, median 0.0356, arithmetic mean 0.0536: told apart in every place.
    errors = (0.015, 0.0356, 0.12)
    assert words.number(0.04) == words.number((errors[0] * errors[1] * errors[2]) ** (1 / 3))
    records = [
        record("mlp", 8, 78 * e, seed=s, losses=(1.0, e), epochs=2, row={"modified": ""})
        for s, e in enumerate(errors)
    ]
    results = fitness.marked(frames.ordered(stored(tmp_path, *records)))
    (model,) = frames.summary(results.jobs).to_dict("records")
    assert model["mse"] == pytest.approx(0.04, rel=0.01)
    assert (model["n_seeds"], model["study_error"]) == (3, pytest.approx(78 * 0.04, rel=0.01))
    last = frames.curves(results).iloc[-1]
    assert last["val_mse"] == pytest.approx(0.04, rel=0.01)
    assert last["train_mse"] == pytest.approx(1.15 * 0.04, rel=0.01)


def test_systems_of_one_name_and_different_code_stay_apart(tmp_path: Path) -> None:
    results = stored(tmp_path, *(record("mine", 4, 1.0 + s, seed=s) for s in range(3)))

    def named(**columns) -> list[str]:
        jobs = results.jobs.sort_values("seed").assign(**columns)
        summary = frames.summary(frames.ordered(dataclasses.replace(results, jobs=jobs)).jobs)
        return sorted(f"{r['architecture']}: {r['n_seeds']}" for _, r in summary.iterrows())

    assert named() == ["mine: 3"]
    assert named(code=["abcdef01"] * 3) == ["mine: 3"]
    assert named(code=["abcdef01", "abcdef01", "12345678"]) == [
        "mine (code 123456): 1", "mine (code abcdef): 2",
    ]  # fmt: skip
    assert named(code=[None, "", "12345678"]) == ["mine (code 123456): 1", "mine: 2"]


def test_options_make_another_system_that_says_nothing_of_the_study(tmp_path: Path) -> None:
    with_kernel = record("conv", 16, depth=2, options="kernel=5", row={"code": "3fa2c1d2e3f4"})
    plain = record("conv", 16, depth=2)
    results = frames.ordered(stored(tmp_path, with_kernel, plain))
    assert list(frames.summary(results.jobs)["architecture"]) == ["conv", "conv (kernel=5)"]
    assert list(frames.counting(results.jobs)["key"]) == [plain.job["key"]]
    own = results.jobs.assign(code="")
    assert list(frames.counting(own)["key"]) == [plain.job["key"]]
    assert frames.ordered(results) is results


def test_settings_tell_the_optimizer(tmp_path: Path) -> None:
    results = stored(tmp_path, record("mlp", 4, optimizer="sgd", momentum=0.9))
    assert list(names.settings(results.jobs)) == ["study with optimizer=sgd, momentum=0.9"]


def test_data_of_one_name_and_different_pixels_stay_apart(tmp_path: Path) -> None:
    records = [
        record("mlp", 4, seed=s, row={"data_sha256": sha})
        for s, sha in enumerate(["aa" * 32, "bb" * 32, None])
    ]
    summary = frames.summary(frames.ordered(stored(tmp_path, *records)).jobs)
    assert sorted(summary["dataset"]) == ["mnist", "mnist (pixels aaaaaa)", "mnist (pixels bbbbbb)"]


def test_repeats_do_not_count_as_seeds(tmp_path: Path) -> None:
    records = [record("mlp", 4, 1.0, seed=s, repeat=r) for s in (0, 1) for r in (0, 1, 2)]
    row = frames.summary(frames.ordered(stored(tmp_path, *records)).jobs).iloc[0]
    assert (row["n_jobs"], row["n_seeds"]) == (6, 2)


def test_changed_settings_stay_apart(tmp_path: Path) -> None:
    records = [record("mlp", 4), record("mlp", 4, epochs=2), record("mlp", 4, precision="bf16")]
    summary = frames.summary(frames.ordered(stored(tmp_path, *records)).jobs)
    assert list(summary["settings"]) == ["study", "study with bf16", "study with epochs=2"]


def test_a_protocol_that_was_chosen_anew_is_another_setting(tmp_path: Path) -> None:
    """As after a new search: no job departs from the `tuned` of its day."""

    def tuned(latent: int, seed: int, modified: str = "", **fields: float) -> Record:
        own = {"protocol": "tuned", "seed": seed, "row": {"modified": modified}}
        return record("mlp", latent, **own, **fields)

    records = [
        tuned(4, 0, learning_rate=0.01), tuned(4, 1, learning_rate=0.003, warmup=0.1),
        tuned(4, 0, "train_noise=0.3", train_noise=0.3, learning_rate=0.01),
        tuned(4, 1, "train_noise=0.3", train_noise=0.3, learning_rate=0.003, warmup=0.1),
        tuned(8, 0, learning_rate=0.01),
    ]  # fmt: skip
    jobs = frames.ordered(stored(tmp_path, *records)).jobs
    differ = ("learning_rate=0.003, warmup=0.1", "learning_rate=0.01, warmup=0.0")
    assert set(jobs.loc[jobs["latent"] == 4, "settings"]) == {
        *(f"tuned with {changes}" for changes in differ),
        *(f"tuned with train_noise=0.3, {changes}" for changes in differ),
    }
    assert set(jobs.loc[jobs["latent"] == 8, "settings"]) == {"tuned"}
    (first,) = (rows for key, rows in jobs.groupby("settings") if key.endswith(f"h {differ[1]}"))
    assert "--protocol tuned --learning-rate 0.01 --warmup 0.0" in commands.repeating(first)
    four = jobs[(jobs["latent"] == 4) & (jobs["modified"] == "")]
    assert set(names.settings(four, without="learning_rate")) == {
        "tuned with warmup=0.0",
        "tuned with warmup=0.1",
    }


def test_errors_of_near_float32_are_those_of_float32() -> None:
    near = ("fp32", "tf32", "bf16x3")
    jobs = pd.DataFrame({"protocol": "study", "modified": "", "precision": [*near, "bf16"]})
    assert list(names.settings(jobs)) == ["study"] * 3 + ["study with bf16"]
    assert list(names.settings(jobs, without="precision")) == ["study"] * 4
    beyond = jobs.assign(protocol="tuned", modified="epochs=2")
    assert list(names.settings(beyond)) == ["tuned with epochs=2"] * 4


def test_baselines_fall_back_on_the_jobs(tmp_path: Path) -> None:
    bare = dataclasses.replace(record("mlp", 4), baselines=())
    curve = frames.baseline_curve(stored(tmp_path, bare), "mnist")
    assert curve.to_dict("records") == [{"components": 0, "mse": MEAN_MSE["mnist"]}]


def test_a_family_is_named_without_options_and_code() -> None:
    names = ["mlp", "mlp (code=linear, hidden=64)", "mine (code 1a2b3c)", "conv-bottleneck"]
    rows = pd.DataFrame({"architecture": names})
    assert frames.family(rows).to_list() == ["mlp", "mlp", "mine", "conv-bottleneck"]
    assert frames.family(rows[:0]).to_list() == []


def test_codes_no_smaller_than_the_image_compress_nothing() -> None:
    rows = pd.DataFrame({"bottleneck": [783, 784, 785], "input_size": 784})
    assert frames.compressing(rows).to_list() == [True, False, False]


def test_ratios_to_pca_take_a_code_of_two_thirds_and_a_hundredth_of_the_mean_images_error() -> None:
    told = pd.DataFrame(
        [(1.5, 0.01), (1.49, 0.01), (1.5, 0.0099), (20.0, 0.5), (20.0, 0.0), (1.5, None)],
        columns=["compression", "pca_mse"],
    ).assign(mean_mse=1.0)
    assert frames.beside_pca(told).to_list() == [True, False, False, True, False, False]
    nothing = pd.DataFrame({"compression": [20.0], "pca_mse": [0.0], "mean_mse": [0.0]})
    assert frames.beside_pca(nothing).to_list() == [False]
