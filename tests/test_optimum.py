"""How many times PCA's error models have, and of which models that is told."""

import pytest
from test_report_records import failure, record, stored

from aebench.analysis import frames, optimum
from aebench.store import Record, Results


def ordered(folder, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def beside(pca: float, mean: float = 0.06) -> dict:
    return {"pca_mse": pca, "mean_mse": mean}


def test_distance_to_the_optimum_counts_only_real_bottlenecks(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *(record("mlp", 16, 78 * 0.02, seed=s, row=beside(0.01, 0.015)) for s in range(3)),
        record("mlp", 522, row=beside(0.0006)),  # two thirds of the image, and 1 %
        record("mlp", 523, row=beside(0.0006)),  # more than two thirds
        record("mlp", 500, row=beside(0.000599)),  # PCA is all but exact
        record("mlp", 700),
        record("conv", 16),
        failure(),
    )
    rows = optimum.to_optimum(results)
    assert sorted(rows["latent"]) == [16, 522]
    (row,) = rows[rows["latent"] == 16].to_dict("records")
    assert (row["ratio"], row["n_seeds"]) == (pytest.approx(2.0), 3)
    assert row["low"] == pytest.approx(2.0) == row["high"]
    assert row["mse"] == pytest.approx(0.02)


def test_codes_are_the_best_of_each_family_by_validation_error(tmp_path) -> None:
    small, large = {"bottleneck": 8, "compression": 98.0} | beside(0.01), beside(0.00001)
    results = ordered(
        tmp_path,
        record("mlp", 8, 1.56, losses=(0.3,), epochs=1, row=small),
        record("mlp", 8, 0.78, losses=(0.4,), epochs=1, depth=2, row=small),
        *(record("conv", 1, 3.12, seed=s, row=small) for s in range(3)),
        record("mlp", 512, row=large),
        record("mlp", 800),
    )
    rows = optimum.codes(results)
    told = [(r["family"], r["bottleneck"], r["depth"]) for r in rows.to_dict("records")]
    assert told == [("mlp", 8, 1), ("conv", 8, 1), ("mlp", 512, 1)]
    mlp, conv, wide = rows.to_dict("records")
    assert (mlp["mse"], mlp["ratio"], mlp["n_seeds"]) == (
        pytest.approx(0.02), pytest.approx(2.0), 1,
    )  # fmt: skip
    assert (conv["mse_low"], conv["low"]) == (pytest.approx(0.04), pytest.approx(4.0))
    assert wide["ratio"] != wide["ratio"]  # no number
    assert wide["settings"] == "study"
