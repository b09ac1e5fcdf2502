"""Whoever trains the study's systems again gets the errors of the committed records."""

from __future__ import annotations

import random

import pandas as pd
import pytest

from aebench.job import FIELDS, Job
from aebench.records import Circumstances
from aebench.store import read
from aebench.worker import run_job
from bench.committed import ROOT


@pytest.fixture(scope="module")
def published() -> pd.DataFrame:
    return read(ROOT / "results" / "reference-study").jobs


@pytest.mark.compiler
@pytest.mark.network
@pytest.mark.parametrize(
    ("architecture", "latent"),
    [
        ("mlp", 1),
        pytest.param("mlp", 128, marks=pytest.mark.slow),
        pytest.param("conv", 1, marks=pytest.mark.slow),
    ],
)
def test_a_training_drawn_from_the_study_comes_out_as_published(
    published: pd.DataFrame, architecture: str, latent: int
) -> None:
    """Of twenty seeds one, in float32, on whatever processor: kernels differ in rounding alone."""
    rows = published[(published["architecture"] == architecture) & (published["latent"] == latent)]
    assert len(rows) == 20
    row = random.Random(7).choice(rows.sort_values("seed").to_dict("records"))
    ours = run_job(Job(**{name: row[name] for name in FIELDS}), Circumstances()).job
    assert ours["status"] == "ok", ours["reason"]
    for error in ("study_error", "mse", "train_mse", "val_mse"):
        assert ours[error] == pytest.approx(row[error], rel=1e-5), error
    others = rows[rows["seed"] != row["seed"]]
    assert not (others["mse"] / row["mse"]).sub(1).abs().lt(1e-5).any()  # a seed has its own error
