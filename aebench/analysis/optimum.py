"""How far models are from the linear optimum, which is PCA with a code of the same size.

A ratio to PCA's error is told of a real bottleneck only, as `frames.beside_pca` has it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import fights, frames
from aebench.analysis.statistics import interval
from aebench.store import Results

_ERRORS = ["mse", "pca_mse", "mean_mse"]


def _beside_optimum(seeds: pd.DataFrame, told: bool) -> dict[str, Any]:
    """Error of one model, given by seed, and how many times PCA's where that is `told`."""
    error = interval(seeds["mse"].to_list())
    known = {
        "n_seeds": error.n, "mse": error.centre, "mse_low": error.low, "mse_high": error.high,
        **{name: frames.mean(seeds[name]) for name in ("pca_mse", "mean_mse")},
        "ratio": np.nan, "low": None, "high": None,
    }  # fmt: skip
    if told:
        ratio = interval((seeds["mse"] / seeds["pca_mse"]).to_list())
        known |= {"ratio": ratio.centre, "low": ratio.low, "high": ratio.high}
    return known


_BESIDE = [
    "n_seeds", "mse", "mse_low", "mse_high", "pca_mse", "mean_mse", "ratio", "low", "high",
]  # fmt: skip


def to_optimum(results: Results) -> pd.DataFrame:
    """Test MSE over PCA's at the same bottleneck, for models with a real one; a row each.

    Columns: dataset, settings, architecture, depth, latent, n_seeds, mse with its interval
    mse_low and mse_high, pca_mse, mean_mse, and ratio, low, high: how many times the error of the
    linear optimum.
    """
    jobs = frames.done(results.jobs)
    by = ["dataset", "settings", *frames.MODEL]
    jobs = jobs[frames.beside_pca(jobs)]
    jobs = jobs.assign(**{name: jobs[name].astype("float64") for name in _ERRORS})
    seeds = jobs.groupby([*by, "seed"], sort=False)[_ERRORS].median().reset_index()
    rows = [
        dict(zip(by, identity, strict=True)) | _beside_optimum(group, True)
        for identity, group in seeds.groupby(by, sort=False)
    ]
    return pd.DataFrame(rows, columns=[*by, *_BESIDE])


def codes(results: Results) -> pd.DataFrame:
    """The best model of each family at each bottleneck smaller than the image; a row each.

    Columns: dataset, family, bottleneck, settings, architecture, depth, latent, choice (its
    validation error), and those of `to_optimum`, whose ratio is NaN where PCA's error says nothing.
    """
    points = fights.spent(results, fights.BOTTLENECK)
    jobs = frames.done(results.jobs)
    by, rows = ["dataset", "family", "bottleneck"], []
    for identity, group in points.groupby(by, sort=False):
        chosen = fights.best(fights.models(group), float("inf"))
        assert chosen is not None
        model = {name: chosen[name] for name in ("settings", *frames.MODEL, "bottleneck")}
        mine = frames.matching(jobs, {"dataset": identity[0], **model})
        told = dict(zip(by, identity, strict=True)) | model | {"choice": chosen["choice"]}
        seeds = mine.groupby("seed")[_ERRORS].median().astype("float64")
        rows.append(told | _beside_optimum(seeds, bool(frames.beside_pca(mine).all())))
    rows.sort(key=lambda row: (row["bottleneck"], row["family"] != fights.FIRST, row["family"]))
    return pd.DataFrame(rows, columns=[*by, "settings", *frames.MODEL, "choice", *_BESIDE])
