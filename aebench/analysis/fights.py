"""What is compared beyond the study: families of models at equal cost, and models to optima.

Everything here goes from frames to frames; sentences are made of it in the page.
"At equal cost" means the best that a family reaches with at most so much: only measured models
count, and nothing is interpolated. A model has one figure, its mean over all its seeds, the same
as in every table; whole models are compared, not a choice anew for each seed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.statistics import Interval, interval, unpaired
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
    write: Callable[[Any], str] = words.number


COSTS = (
    Cost("bottleneck", "bottleneck, numbers per image", "numbers", "test MSE", words.count),
    Cost("parameters", "parameters", "parameters", "test MSE", words.count),
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
    by = [*frames.MODEL, "epoch"]
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
    met = [_fight(points, mlp, other, budget * (1 + 1e-9), family) for budget in budgets]
    return [fight for fight in met if fight is not None]


def _fight(
    points: pd.DataFrame, mlp: pd.DataFrame, other: pd.DataFrame, budget: float, family: str
) -> Fight | None:
    a, b = best(mlp, budget), best(other, budget)
    if a is None or b is None:
        return None
    left, right = _seeds(points, a), _seeds(points, b)
    if left.index.equals(right.index):
        ratio = interval((left / right).to_list())
    else:
        ratio = unpaired(left.to_list(), right.to_list()).interval()
    one, two = (
        Side(words.model_of(row), row["error"], len(errors))
        for row, errors in ((a, left), (b, right))
    )
    return Fight(budget, family, one, two, ratio)


def _seeds(points: pd.DataFrame, model: pd.Series) -> pd.Series[float]:
    """Errors of the model of a row of `models`, by seed."""
    mine = frames.matching(points, model[[*frames.MODEL, "epoch"]].to_dict())
    errors: pd.Series[float] = mine[mine["error"] > 0].groupby("seed")["error"].median()
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


@dataclass(frozen=True)
class Stopwatch:
    """Engine `reference` beside another under otherwise equal `conditions`, these in words.

    `models` has architecture, depth, latent, reference_s, loading_s, engine_s and their ratio
    `gain`; medians over the `n` runs that both engines have (paired by seed and repeat) and that
    `aebench check` passes. Where it passes none of a model, `doubt` says why, and there is no gain.
    """

    conditions: str
    engine: str
    models: pd.DataFrame


def stopwatch(results: Results) -> list[Stopwatch]:
    """Every engine that ran jobs which engine `reference` ran as well."""
    same = ["dataset", "settings", *(c for c in frames.ALIKE if c != "engine")]
    seen = []
    timed = frames.timed(results.jobs)
    if "doubt" not in timed:
        timed = timed.assign(doubt="")
    for _, group in timed.groupby(same, dropna=False, sort=False):
        slow = group[group["engine"] == "reference"]
        for engine in sorted(set(group["engine"]) - {"reference"}):
            fast = group[group["engine"] == engine]
            pairs = slow.merge(fast, on=[*frames.MODEL, "seed", "repeat"], suffixes=("", "_fast"))
            if not len(pairs):
                continue
            rows = [
                dict(zip(frames.MODEL, model, strict=True)) | _stopped(runs)
                for model, runs in pairs.groupby(frames.MODEL, sort=False)
            ]
            first = group.iloc[0].copy()
            first["engine"] = f"reference and {engine}"
            title = words.titled(str(first["dataset"]), str(first["settings"]))
            conditions = f"{title}: {words.conditions(first)}"
            seen.append(Stopwatch(conditions, engine, pd.DataFrame(rows)))
    return seen


def _stopped(pairs: pd.DataFrame) -> dict[str, Any]:
    """What the stopwatch says of one model, from its runs."""
    fit = pairs[pairs["doubt"].eq("") & pairs["doubt_fast"].eq("")]
    chosen = fit if len(fit) else pairs
    slow, fast = (chosen[c].astype("float64") for c in ("train_s", "train_s_fast"))
    return {
        "n": len(chosen),
        "reference_s": slow.median(),
        "loading_s": chosen["loading_s"].astype("float64").median(),
        "engine_s": fast.median(),
        "gain": (slow / fast).median() if len(fit) else np.nan,
        "doubt": "" if len(fit) else frames.reasons([*pairs["doubt"], *pairs["doubt_fast"]]),
    }
