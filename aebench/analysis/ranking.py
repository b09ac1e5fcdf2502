"""Which model is best: on the main data set, with codes of one size, and in one list with PCA.

A code that is no smaller than the image could be a copy, so such models are in no ranking. Errors
are those of the test images, as in every table; which families differ for certain is asked of
`fights`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from aebench.analysis import fights, frames, optimum
from aebench.analysis.frames import Model
from aebench.analysis.names import IDENTITY, texts
from aebench.analysis.statistics import ALPHA
from aebench.store import Results

_FIRST = "mnist"  # the data set that everybody knows, and the study's
MOST = 8  # models in a list that a reader takes in at a glance
EXACT_ROWS = 3  # sizes of PCA beside them


@dataclass(frozen=True)
class Best:
    """The best model of each family with `bottleneck` numbers in its code, by test error.

    `rows` are some of `codes`, which are as `optimum.codes` has them. `p` is that of equal errors
    of the first two, None where nothing tests it.
    """

    dataset: str
    bottleneck: float
    rows: pd.DataFrame
    codes: pd.DataFrame
    p: float | None

    @property
    def clear(self) -> bool:
        """Whether the first is better than the second for certain."""
        return self.p is not None and self.p < ALPHA


def typical(jobs: pd.DataFrame) -> pd.DataFrame:
    """Finished rows, of each model those first whose error is nearest to the mean over its seeds.

    Models stay in their order, and of seeds that are as near the first comes first: of each model
    the first row is no lucky draw, and no unlucky one.
    """
    rows = frames.done(jobs)
    model = rows.groupby(IDENTITY, sort=False).ngroup()
    logs = rows["mse"].astype("float64").map(math.log)
    off = (logs - logs.groupby(model).transform("mean")).abs().round(9)
    order = pd.DataFrame({"model": model, "off": off, "seed": rows["seed"]})
    return rows.loc[order.sort_values(["model", "off", "seed"], kind="stable").index]


def main_dataset(jobs: pd.DataFrame) -> str | None:
    """MNIST where something finished on it, else the data set with the most models."""
    models = frames.done(jobs).drop_duplicates(["dataset", "settings", *frames.MODEL])
    counts = models["dataset"].value_counts(sort=False)
    if not len(counts):
        return None
    return _FIRST if _FIRST in counts.index else str(counts.idxmax())


def on(results: Results, dataset: str) -> Results:
    """The same results with the jobs of one data set only."""
    jobs = results.jobs[results.jobs["dataset"] == dataset].reset_index(drop=True)
    return replace(results, jobs=jobs)


def best(results: Results) -> Best | None:
    """What is best at the main bottleneck; None where no code is smaller than the image.

    `results` are of one data set. The main bottleneck is the one at which the most families meet,
    the largest of several, among the real ones if there are any: see `frames.beside_pca`.
    """
    codes = optimum.codes(results)
    if not len(codes):
        return None
    real = codes[codes["ratio"].notna()]
    known = real if len(real) else codes
    families = known.groupby("bottleneck")["family"].nunique()
    size = float(families[families == families.max()].index.max())
    rows = known[known["bottleneck"] == size].sort_values("mse", kind="stable", ignore_index=True)
    return Best(str(rows["dataset"].iloc[0]), size, rows, codes, _p(results, size, rows))


def _p(results: Results, size: float, rows: pd.DataFrame) -> float | None:
    if len(rows) < 2:
        return None
    points = fights.spent(results, fights.BOTTLENECK)
    first = {*rows["family"].head(2)}
    met = fights.fights(points, fights.BOTTLENECK)
    return next((f.p for f in met if {*f.families} == first and f.budget == size), None)


def ranked(results: Results) -> tuple[pd.DataFrame, int]:
    """The best models by test error with exact baselines among them, and how many more there are.

    `results` are of one data set. Columns: those of `frames.summary`, `kind` (model, plugin, pca
    or mean), `ratio` (how many times PCA's error, where that says something) and `values`, the
    error of each seed. A model counts if its code is smaller than the image; if none is, all do.
    """
    jobs = frames.done(results.jobs)
    smaller = jobs[frames.compressing(jobs)]
    jobs = smaller if len(smaller) else jobs
    by = ["settings", *frames.MODEL]
    seeds = frames.seeds(jobs)
    values = seeds["mse"].groupby([seeds[name] for name in by], sort=False).agg(list)
    means = values.map(frames.mean).sort_values(kind="stable")
    # There may be thousands of models, and a summary of each takes its time.
    shown = _of(jobs, means.head(MOST).index.to_frame(index=False))
    shown = shown.sort_values("mse", kind="stable", ignore_index=True)
    shown["values"] = pd.Series(
        [values[tuple(row)] for row in shown[by].itertuples(index=False)], dtype="object"
    )
    own = {*jobs.loc[texts(jobs, "code") != "", "architecture"]}
    shown["kind"] = np.where(shown["architecture"].isin(own), "plugin", "model")
    beside = frames.beside_pca(shown)
    shown["ratio"] = (shown["mse"] / shown["pca_mse"]).where(beside)
    rows = pd.concat([shown, _exact(shown)], ignore_index=True)
    return rows.sort_values("mse", kind="stable", ignore_index=True), len(means) - len(shown)


def _of(jobs: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """The rows of `frames.summary` of these models alone, which have settings and `MODEL`."""
    return frames.summary(models[["settings", *frames.MODEL]].merge(jobs))


def _exact(models: pd.DataFrame) -> pd.DataFrame:
    """PCA at the bottlenecks of `models`, those of the first ones, and the mean image."""
    pca = (
        models.groupby("bottleneck", sort=False)["pca_mse"].agg(frames.mean).reset_index(name="mse")
    )
    pca = pca[pca["mse"] > 0].head(EXACT_ROWS).assign(kind="pca")
    mean = {"kind": "mean", "bottleneck": 0.0, "mse": frames.mean(models["mean_mse"])}
    made = pd.concat([pca, pd.DataFrame([mean])], ignore_index=True)
    made = made[made["mse"] > 0]
    values = pd.Series([[mse] for mse in made["mse"]], dtype="object", index=made.index)
    return made.assign(dataset=models["dataset"].iloc[0], values=values)


def pictured(results: Results, best: Best | None, study: list[Model]) -> pd.DataFrame:
    """The models whose pictures tell what was found; rows of `frames.summary`.

    Best first, and those whose code is no smaller than the image, so that it may be a copy, last.
    `results` are of one data set. They are the models of the `study` under its protocol, in its
    order, and the best model at the main bottleneck. Where none of the study's was run they are
    the best of each family, at the main bottleneck first; where no code is smaller than the image,
    those of least error.
    """
    jobs, by = frames.done(results.jobs), ["settings", *frames.MODEL]
    named = pd.DataFrame([(m.architecture, m.depth, m.latent) for m in study], columns=frames.MODEL)
    told = _of(frames.counting(jobs), named.drop_duplicates().assign(settings="study"))
    if best is not None:
        away = best.codes["bottleneck"] != best.bottleneck
        first = best.codes.assign(away=away).sort_values(["away", "bottleneck", "mse"])
        rest = _of(jobs, best.rows.head(1) if len(told) else first.head(MOST))
    else:
        rest = told if len(told) else ranked(results)[0].dropna(subset=by)
    chosen = pd.concat([told.head(MOST - 1), rest]).drop_duplicates(by)
    copies = ~frames.compressing(chosen)
    return chosen.assign(copies=copies).sort_values(
        ["copies", "mse"], kind="stable", ignore_index=True
    )
