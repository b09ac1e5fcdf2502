"""Which model is best and which are pictured, on the main data set, copies apart."""

from pathlib import Path

import pandas as pd
import pytest
from test_report_records import pca, record, stored, study

from aebench.analysis import findings, frames, ranking
from aebench.store import Record, Results

STUDY = [f.model for f in findings.FINDINGS if f.model is not None]
MNIST = [model for model in STUDY if model.dataset == "mnist"]


def ordered(folder: Path, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def coded(family: str, size: int, mse: float, seeds: int = 3, **fields) -> list[Record]:
    """A model with so many numbers in its code, its error rising by a hundredth with each seed."""
    errors = [mse * (1 + s / 100) for s in range(seeds)]
    return [
        record(family, size, 78 * e, seed=s, row=code(size), **fields) for s, e in enumerate(errors)
    ]


def code(size: int) -> dict:
    """The columns of so many numbers in the code of an MNIST model."""
    return {"bottleneck": size, "compression": 784 / size, "pca_mse": pca(size, 784)}


def names(rows: pd.DataFrame) -> list[str]:
    return [f"{row.architecture}-{int(row.latent)}" for row in rows.itertuples()]


def test_the_typical_seed_is_that_nearest_to_the_mean_or_else_the_first(tmp_path: Path) -> None:
    # The geometric mean of three is 0.756; of two both are as near.
    three = [record("mlp", 4, e, seed=s) for s, e in enumerate((0.3, 0.6, 2.4))]
    two = [record("conv", 4, e, seed=s) for s, e in enumerate((0.1, 0.7))]
    failed = record("mlp", 4, seed=3, row={"status": "failed", "mse": None})
    rows = ranking.typical(ordered(tmp_path, *two, failed, *three).jobs)
    found = list(zip(rows["architecture"], rows["seed"], strict=True))
    assert found == [("mlp", 1), ("mlp", 0), ("mlp", 2), ("conv", 0), ("conv", 1)]


def test_the_main_data_set_is_mnist_or_else_that_of_most_models(tmp_path: Path) -> None:
    others = [record("mlp", 4, dataset="digits"), record("mlp", 4, dataset="cifar10")]
    jobs = ordered(tmp_path, *others, record("mlp", 8, dataset="digits")).jobs
    assert ranking.main_dataset(jobs) == "digits"
    jobs = ordered(tmp_path / "b", *others, record("mlp", 4), record("mlp", 8, dataset="digits"))
    assert ranking.main_dataset(jobs.jobs) == "mnist"
    assert ranking.main_dataset(jobs.jobs.iloc[:0]) is None


def test_best_is_told_where_most_families_meet_and_only_of_a_real_bottleneck(
    tmp_path: Path,
) -> None:
    every = [
        *coded("mlp", 8, 0.02), *coded("conv-bottleneck", 8, 0.01),
        *coded("mlp", 32, 0.004), *coded("conv-bottleneck", 32, 0.006),
        *coded("mlp", 64, 0.001), *coded("conv", 700, 0.0001),
    ]  # fmt: skip
    found = ranking.best(ordered(tmp_path, *every))
    assert found is not None
    assert (found.dataset, found.bottleneck) == ("mnist", 32)
    assert names(found.rows) == ["mlp-32", "conv-bottleneck-32"]
    assert found.clear
    assert found.p == pytest.approx(0, abs=1e-6)


def test_few_seeds_and_near_errors_leave_open_who_is_best(tmp_path: Path) -> None:
    few = [*coded("mlp", 8, 0.02, seeds=1), *coded("conv-bottleneck", 8, 0.01, seeds=1)]
    found = ranking.best(ordered(tmp_path / "few", *few))
    assert found is not None
    assert (found.p, found.clear) == (None, False)
    near = [*coded("mlp", 8, 0.01), *reversed(coded("conv-bottleneck", 8, 0.0101))]
    near[3:] = [
        record("conv-bottleneck", 8, 78 * mse, seed=s, row=code(8))
        for s, mse in enumerate((0.0104, 0.0098, 0.0103))
    ]
    found = ranking.best(ordered(tmp_path / "near", *near))
    assert found is not None
    assert found.p is not None
    assert found.p > 0.05
    assert not found.clear


def test_without_a_smaller_code_none_is_best(tmp_path: Path) -> None:
    results = ordered(tmp_path, record("conv", 16))
    assert ranking.best(results) is None
    rows, more = ranking.ranked(results)  # but it is listed, as there is nothing else
    assert names(rows[rows["kind"] == "model"]) == ["conv-16"]
    assert more == 0


def test_the_ranking_has_exact_baselines_in_their_places(tmp_path: Path) -> None:
    results = ordered(
        tmp_path, *coded("mlp", 8, 0.05), *coded("conv-bottleneck", 8, 0.01),
        *coded("mlp", 1, 0.09), record("conv", 16, 0.001),
    )  # fmt: skip
    rows, more = ranking.ranked(results)
    # PCA of this test has 0.0359 with 8 numbers, 0.0594 with 1; the mean image 0.0674.
    assert list(rows["kind"]) == ["model", "pca", "model", "pca", "mean", "model"]
    assert list(rows["bottleneck"]) == [8, 8, 8, 1, 0, 1]
    assert rows["mse"].is_monotonic_increasing
    assert names(rows.dropna(subset=["architecture"])) == [
        "conv-bottleneck-8", "mlp-8", "mlp-1",
    ]  # fmt: skip
    assert rows["values"].iloc[0] == pytest.approx([0.01, 0.0101, 0.0102])
    assert rows["ratio"].iloc[0] == pytest.approx(0.0101 / rows["mse"].iloc[1], rel=0.01)
    assert more == 0


def test_a_long_ranking_says_how_many_it_leaves_out_and_names_plugins(tmp_path: Path) -> None:
    many = [record("mlp", k, 7.8 / k, row=code(k)) for k in range(1, 12)]
    mine = record("mine", 5, 0.1, row=code(5) | {"code": "ab" * 32})
    rows, more = ranking.ranked(ordered(tmp_path, *many, mine))
    models = rows[rows["kind"].isin(["model", "plugin"])]
    assert len(models) == ranking.MOST
    assert more == 12 - ranking.MOST
    assert names(models)[:3] == ["mine-5", "mlp-11", "mlp-10"]
    assert list(models["kind"])[:2] == ["plugin", "model"]
    assert (rows["kind"] == "pca").sum() == ranking.EXACT_ROWS


def test_pictured_are_the_study_s_models_and_the_best_with_copies_last(tmp_path: Path) -> None:
    results = ordered(tmp_path, *study(1), *coded("mlp", 128, 0.0001, protocol="tuned"))
    mine = ranking.on(results, "mnist")
    rows = ranking.pictured(mine, ranking.best(mine), MNIST)
    assert names(rows) == [
        "mlp-128", "mlp-512", "mlp-128", "conv-1", "mlp-1", "conv-512", "conv-128", "conv-16",
    ]  # fmt: skip
    assert list(rows["copies"]) == [False] * 5 + [True] * 3
    assert list(rows["settings"]) == ["tuned"] + ["study"] * 7
    assert set(rows["depth"]) == {1}


def test_pictured_without_the_study_are_the_best_of_each_family(tmp_path: Path) -> None:
    results = ordered(
        tmp_path, *coded("mlp", 8, 0.05), *coded("conv-bottleneck", 8, 0.01),
        *coded("mlp", 16, 0.005), record("conv", 32, 0.001),
        record("mlp", 8, 78 * 0.06, row=code(8), epochs=2),
    )  # fmt: skip
    rows = ranking.pictured(results, ranking.best(results), MNIST)
    assert names(rows) == ["mlp-16", "conv-bottleneck-8", "mlp-8"]
    assert set(rows["settings"]) == {"study"}  # not the one with two epochs, which did worse


def test_where_nothing_compresses_those_of_least_error_are_pictured(tmp_path: Path) -> None:
    results = ordered(tmp_path, record("conv-relu", 16, 0.2), record("conv-relu", 32, 0.1))
    rows = ranking.pictured(results, ranking.best(results), MNIST)
    assert names(rows) == ["conv-relu-32", "conv-relu-16"]
    assert all(rows["copies"])
