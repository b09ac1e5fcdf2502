"""How far models are from the linear optimum, which is PCA with a code of the same size.

A ratio to PCA's error is told of a real bottleneck only, as `frames.beside_pca` has it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from aebench.analysis import fights, frames, names, words
from aebench.analysis.statistics import interval
from aebench.language import plural, say
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


class Precisions(NamedTuple):
    """What was trained in which precisions: `several` trainings in more than one of them.

    The errors of one training are at most a share `apart` from one another, 0.01 is one percent.
    """

    names: tuple[str, ...]
    several: int = 0
    apart: float = 0.0

    @property
    def told(self) -> str:
        """A sentence on them; empty where everything was trained in fp32."""
        names = words.listed(self.names)
        if self.names in ((), ("fp32",)):
            return ""
        if not self.several:
            return say("Trained in {names}.", names=names)
        told = plural(
            self.several,
            "{count} training was done in several, with errors within {share} of each other",
            "{count} trainings were done in several, with errors within {share} of each other",
            count=words.count(self.several),
            share=words.in_percent(words.number(100 * self.apart)),
        )
        return say("Trained in {names}; {told}.", names=names, told=told)


def precisions(jobs: pd.DataFrame) -> Precisions:
    """Those of `jobs`, which are finished; alike in all else, they are one training."""
    pooled = names.settings(jobs, without="precision")
    jobs = jobs.assign(settings=pooled, mse=jobs["mse"].astype("float64"))
    errors = jobs.groupby(["dataset", "settings", *frames.MODEL, "seed", "precision"])["mse"]
    sides = errors.median().unstack("precision").dropna(thresh=2)
    apart = (sides.max(axis="columns") / sides.min(axis="columns") - 1).max()
    known = tuple(sorted(set(jobs["precision"])))
    return Precisions(known, len(sides), float(apart) if len(sides) else 0.0)


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
