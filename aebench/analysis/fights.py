"""What is compared beyond the study: families of models at equal cost, and models to optima.

Everything here goes from frames to frames; which sentence is made of it is decided in `beyond`.
"At equal cost" means the best that a family reaches with at most so much: only measured models
count, and nothing is interpolated. A model has one figure, its mean over all its seeds, the same
as in every table; whole models are compared, not a choice anew for each seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.statistics import Interval, interval, ratio_interval
from aebench.store import Results

POINTS = 5  # budgets at which families are set side by side


@dataclass(frozen=True)
class Cost:
    """Something that a model costs: column of `spent`, name on an axis, and which error it buys.

    Bottleneck and parameters are the same at every epoch and buy the final test error. FLOPs and
    time are spent epoch by epoch; what they buy is the validation error after each epoch.
    """

    column: str
    title: str
    unit: str
    error: str
    whole: bool = False


COSTS = (
    Cost("bottleneck", "bottleneck, numbers per image", "numbers", "test MSE", whole=True),
    Cost("parameters", "parameters", "parameters", "test MSE", whole=True),
    Cost("tflop", "training arithmetic, TFLOP", "TFLOP", "validation MSE"),
    Cost("spent_s", "training time, s", "s", "validation MSE"),
)


def spent(results: Results, cost: Cost) -> pd.DataFrame:
    """What each model of each seed reached for how much of `cost`: columns cost and error.

    Beside them dataset, settings, architecture, depth, latent, seed, epoch (0 where the cost does
    not grow with it) and `where`: for times, the machine, engine and so on that they were taken
    with; times are compared within it only, and none that `aebench check` rejects.
    """
    jobs = frames.done(results.jobs)
    identity = ["dataset", "settings", *frames.MODEL, "seed"]
    if cost.column in ("bottleneck", "parameters"):
        rows = jobs.groupby([*identity, cost.column], sort=False)["mse"].median().reset_index()
        rows = rows.rename(columns={cost.column: "cost", "mse": "error"})
        return rows.assign(where="", epoch=0)
    if cost.column == "spent_s":
        jobs = frames.accepted(frames.timed(jobs))
    merged = jobs.merge(results.epochs, on="key", suffixes=("_job", ""))
    if not len(merged):
        return pd.DataFrame(columns=[*identity, "epoch", "cost", "error", "where"])
    if cost.column == "spent_s":
        merged["cost"] = merged.groupby("key", sort=False)["train_s"].cumsum()
        merged["where"] = [words.conditions(row) for _, row in merged.iterrows()]
    else:
        step = merged["flops_per_step"].astype("float64") * merged["steps"] / merged["epochs"]
        merged["cost"] = merged["epoch"] * step / 1e12
        merged["where"] = ""
    merged["error"] = merged["val_mse"].astype("float64")
    by = [*identity, "epoch", "where"]
    return pd.DataFrame(merged.groupby(by, sort=False)[["cost", "error"]].median().reset_index())


def models(points: pd.DataFrame) -> pd.DataFrame:
    """Each model at each epoch once: cost and error are geometric means over its seeds."""
    by = ["architecture", *(name for name in frames.MODEL if name != "architecture"), "epoch"]
    known = points[(points["error"] > 0) & np.isfinite(points["error"]) & (points["cost"] > 0)]
    means = known.groupby(by, sort=False)[["cost", "error"]].agg(frames.mean)
    return pd.DataFrame(means.reset_index())


def best(points: pd.DataFrame, budget: float) -> pd.Series | None:
    """The point of least error among those that cost at most `budget`."""
    affordable = points[points["cost"] <= budget]
    return affordable.sort_values("error").iloc[0] if len(affordable) else None


def front(points: pd.DataFrame) -> pd.DataFrame:
    """Points of which none is both cheaper and better: the Pareto front, by rising cost."""
    rows = points.sort_values(["cost", "error"], ignore_index=True)
    lowest = rows["error"].cummin()
    return rows[(rows["error"] <= lowest) & (lowest < lowest.shift(fill_value=np.inf))]


@dataclass(frozen=True)
class Side:
    """One side of a fight: a model's name, its error as a mean over `seeds`."""

    model: str
    error: float
    seeds: int


@dataclass(frozen=True)
class Fight:
    """One budget: the best MLP beside the best model of another family, and their ratio.

    `ratio` is the MLP's error over the other's. Paired by seed where both have the same seeds,
    else Welch's; either way it is the ratio of the two errors shown.
    """

    budget: float
    family: str
    mlp: Side
    other: Side
    ratio: Interval

    @property
    def ahead(self) -> str:
        """Family of the lesser error; empty where the interval leaves it open."""
        low, high = self.ratio.low, self.ratio.high
        if low is not None and high is not None and low <= 1 <= high:
            return ""
        return self.family if self.ratio.centre > 1 else "mlp" if self.ratio.centre < 1 else ""


def fights(points: pd.DataFrame, family: str) -> list[Fight]:
    """The MLP against `family` at budgets that both can meet; `points` are alike in conditions."""
    mlp, other = (models(points[points["architecture"] == name]) for name in ("mlp", family))
    if not len(mlp) or not len(other):
        return []
    low = max(mlp["cost"].min(), other["cost"].min())
    high = max(mlp["cost"].max(), other["cost"].max())
    budgets = sorted({float(b) for b in np.geomspace(low, high, POINTS)}) if low > 0 else []
    return [
        fight
        for b in budgets
        if (fight := _fight(points, mlp, other, b * (1 + 1e-9), family)) is not None
    ]


def _fight(
    points: pd.DataFrame, mlp: pd.DataFrame, other: pd.DataFrame, budget: float, family: str
) -> Fight | None:
    a, b = best(mlp, budget), best(other, budget)
    if a is None or b is None:
        return None
    left, right = _seeds(points, a), _seeds(points, b)
    if list(left.index) == list(right.index):
        ratio = interval((left / right).to_list())
    else:
        ratio = ratio_interval(left.to_list(), right.to_list())
    one, two = (
        Side(words.model(row["architecture"], row["latent"], row["depth"]), row["error"], len(seen))
        for row, seen in ((a, left), (b, right))
    )
    return Fight(budget, family, one, two, ratio)


def _seeds(points: pd.DataFrame, model: pd.Series) -> pd.Series[float]:
    """Errors of the model of a row of `models`, by seed."""
    mine = points[
        (points["architecture"] == model["architecture"])
        & (points["depth"] == model["depth"])
        & (points["latent"] == model["latent"])
        & (points["epoch"] == model["epoch"])
        & (points["error"] > 0)
    ]
    errors: pd.Series[float] = mine.groupby("seed")["error"].median()
    return errors


def to_optimum(results: Results) -> pd.DataFrame:
    """Test MSE over PCA's at the same bottleneck, for models that compress enough; a row each.

    Columns: dataset, settings, architecture, depth, latent, n_seeds, mse, pca_mse, mean_mse, and
    ratio, low, high: how many times the error of the linear optimum.
    """
    rows = []
    jobs = frames.done(results.jobs)
    enough = jobs["compression"].astype("float64") >= frames.COMPARED_WITH_PCA
    squeezed = jobs[enough & (jobs["pca_mse"].astype("float64") > 0)]
    by = ["dataset", "settings", *frames.MODEL]
    for identity, group in squeezed.groupby(by, sort=False):
        seeds = group.groupby("seed")[["mse", "pca_mse", "mean_mse"]].median()
        ratio = interval((seeds["mse"] / seeds["pca_mse"]).to_list())
        rows.append(
            dict(zip(by, identity, strict=True))
            | {"n_seeds": ratio.n, "ratio": ratio.centre, "low": ratio.low, "high": ratio.high}
            | {name: interval(seeds[name].to_list()).centre for name in ("mse", "pca_mse")}
            | {"mean_mse": frames.mean(seeds["mean_mse"])}
        )
    columns = [*by, "n_seeds", "ratio", "low", "high", "mse", "pca_mse", "mean_mse"]
    return pd.DataFrame(rows, columns=columns)


def stopwatch(results: Results) -> list[tuple[str, str, pd.DataFrame]]:
    """Engine `reference` beside each other engine under otherwise equal conditions.

    One entry for each: dataset and conditions in words, the other engine's name, and a frame with
    architecture, depth, latent, reference_s, loading_s, engine_s and their ratio `gain`; medians
    over the runs that both engines have (paired by seed and repeat) and that `aebench check`
    passes. Where it passes none of a model, `doubt` says why, and there is no gain.
    """
    same = ["dataset", "settings", *(c for c in frames.ALIKE if c != "engine")]
    found = []
    timed = frames.timed(results.jobs)
    if "doubt" not in timed:
        timed = timed.assign(doubt="")
    for _, group in timed.groupby(same, dropna=False, sort=False):
        slow = group[group["engine"] == "reference"]
        for engine in sorted(set(group["engine"]) - {"reference"}):
            fast = group[group["engine"] == engine]
            pair = slow.merge(fast, on=[*frames.MODEL, "seed", "repeat"], suffixes=("", "_fast"))
            if not len(pair):
                continue
            pair = pair.assign(
                gain=pair["train_s"].astype("float64") / pair["train_s_fast"].astype("float64"),
                loading_s=pair["loading_s"].astype("float64"),
                doubt=[_both(a, b) for a, b in zip(pair["doubt"], pair["doubt_fast"], strict=True)],
            )
            rows = [
                _stopped(dict(zip(frames.MODEL, model, strict=True)), runs)
                for model, runs in pair.groupby(frames.MODEL, sort=False)
            ]
            first = group.iloc[0].copy()
            first["engine"] = f"reference and {engine}"
            title = words.titled(str(first["dataset"]), str(first["settings"]))
            found.append((f"{title}: {words.conditions(first)}", engine, pd.DataFrame(rows)))
    return found


def _both(*doubts: str) -> str:
    return ", ".join(sorted({name for text in doubts if text for name in text.split(", ")}))


def _stopped(model: dict[str, Any], runs: pd.DataFrame) -> dict[str, Any]:
    """One row of the stopwatch's frame, from the runs of one model."""
    fit = runs[runs["doubt"].eq("")]
    chosen = fit if len(fit) else runs
    return model | {
        "n": len(chosen),
        "reference_s": chosen["train_s"].median(),
        "loading_s": chosen["loading_s"].median(),
        "engine_s": chosen["train_s_fast"].median(),
        "gain": fit["gain"].median(),
        "doubt": "" if len(fit) else _both(*runs["doubt"]),
    }
