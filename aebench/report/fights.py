"""What is compared beyond the study: families of models at equal cost, and models to optima.

Everything here goes from frames to frames; which sentence is made of it is decided in `beyond`.
"At equal cost" means the best that a family reaches with at most so much: only measured models
count, nothing is interpolated, and the comparison is paired by seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from aebench.report import frames, words
from aebench.report.statistics import Interval, interval
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
    error: str


COSTS = (
    Cost("bottleneck", "bottleneck, numbers per image", "test MSE"),
    Cost("parameters", "parameters", "test MSE"),
    Cost("tflop", "training arithmetic, TFLOP", "validation MSE"),
    Cost("spent_s", "training time, s", "validation MSE"),
)


def spent(results: Results, cost: Cost) -> pd.DataFrame:
    """What each model of each seed reached for how much of `cost`: columns cost and error.

    Beside them dataset, settings, architecture, depth, latent, seed, epoch (0 where the cost does
    not grow with it) and `where`: for times, the machine, engine and so on that they were taken
    with; times are compared within it only.
    """
    jobs = frames.done(results.jobs)
    identity = ["dataset", "settings", *frames.MODEL, "seed"]
    if cost.column in ("bottleneck", "parameters"):
        rows = jobs.groupby([*identity, cost.column], sort=False)["mse"].median().reset_index()
        rows = rows.rename(columns={cost.column: "cost", "mse": "error"})
        return rows.assign(where="", epoch=0)
    if cost.column == "spent_s":
        jobs = frames.timed(jobs)
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
class Fight:
    """One budget: the best model of a family beside the best MLP, and the ratio MLP / family."""

    budget: float
    family: str
    mlp: str
    mlp_error: float
    other: str
    other_error: float
    ratio: Interval


def fights(points: pd.DataFrame, family: str) -> list[Fight]:
    """The MLP against `family` at budgets that both can meet; `points` are alike in conditions."""
    mlp, other = points[points["architecture"] == "mlp"], points[points["architecture"] == family]
    if not len(mlp) or not len(other):
        return []
    low = max(mlp["cost"].min(), other["cost"].min())
    high = max(mlp["cost"].max(), other["cost"].max())
    budgets = sorted({float(b) for b in np.geomspace(low, high, POINTS)}) if low > 0 else []
    return [
        fight for b in budgets if (fight := _fight(mlp, other, b * (1 + 1e-9), family)) is not None
    ]


def _fight(mlp: pd.DataFrame, other: pd.DataFrame, budget: float, family: str) -> Fight | None:
    ratios, left, right = [], [], []
    for seed in sorted(set(mlp["seed"]) & set(other["seed"])):
        a, b = (best(side[side["seed"] == seed], budget) for side in (mlp, other))
        if a is None or b is None:
            continue
        ratios.append(float(a["error"] / b["error"]))
        left.append(a)
        right.append(b)
    if not ratios:
        return None
    return Fight(
        budget,
        family,
        _named(left),
        interval([float(a["error"]) for a in left]).centre,
        _named(right),
        interval([float(b["error"]) for b in right]).centre,
        interval(ratios),
    )


def _named(rows: list[pd.Series]) -> str:
    """The model that was best for most seeds."""
    names = [words.model(r["architecture"], r["latent"], r["depth"]) for r in rows]
    return max(sorted(set(names)), key=names.count)


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
            | {"mean_mse": float(seeds["mean_mse"].median())}
        )
    columns = [*by, "n_seeds", "ratio", "low", "high", "mse", "pca_mse", "mean_mse"]
    return pd.DataFrame(rows, columns=columns)


def stopwatch(results: Results) -> list[tuple[str, str, pd.DataFrame]]:
    """Engine `reference` beside each other engine under otherwise equal conditions.

    One entry for each: dataset and conditions in words, the other engine's name, and a frame with
    architecture, depth, latent, reference_s, loading_s, engine_s and their ratio `gain`; medians
    over the runs that both engines have (paired by seed and repeat).
    """
    same = ["dataset", "settings", *(c for c in frames.ALIKE if c != "engine")]
    found = []
    timed = frames.timed(results.jobs)
    for _, group in timed.groupby(same, dropna=False, sort=False):
        slow = group[group["engine"] == "reference"]
        for engine in sorted(set(group["engine"]) - {"reference"}):
            fast = group[group["engine"] == engine]
            pair = slow.merge(fast, on=[*frames.MODEL, "seed", "repeat"], suffixes=("", "_fast"))
            if not len(pair):
                continue
            pair = pair.assign(gain=pair["train_s"] / pair["train_s_fast"])
            pair["loading_s"] = pair["loading_s"].astype("float64")
            rows = (
                pair.groupby(frames.MODEL, sort=False)
                .agg(
                    n=("gain", "size"),
                    reference_s=("train_s", "median"),
                    loading_s=("loading_s", "median"),
                    engine_s=("train_s_fast", "median"),
                    gain=("gain", "median"),
                )
                .reset_index()
            )
            first = group.iloc[0].copy()
            first["engine"] = f"reference and {engine}"
            title = words.titled(str(first["dataset"]), str(first["settings"]))
            found.append((f"{title}: {words.conditions(first)}", engine, pd.DataFrame(rows)))
    return found
