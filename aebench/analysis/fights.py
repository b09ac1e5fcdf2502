"""Families of models set side by side: at the same bottleneck, and at equal cost.

A family is an architecture with all its options, depths and settings. Of each family the model of
least validation error is taken, never that of least test error; then the errors of the two are
compared. At equal bottleneck that is the best with exactly so many numbers in the code; of every
other cost, the best that takes at most so much. Only measured models count, and nothing is
interpolated. A model has one figure, its mean over all its seeds, the same as in every table;
whole models are compared, not a choice anew for each seed.

Everything here goes from frames to frames; `budgets` sums fights up, and sentences are made of
that in the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import frames, processes, words
from aebench.analysis.statistics import ALPHA, Interval, holm, paired, unpaired
from aebench.language import say, sense
from aebench.store import Results

POINTS = 5  # budgets at which families are set side by side, where a cost is spent epoch by epoch
FIRST = "mlp"  # the family that every other is set beside


@dataclass(frozen=True)
class Cost:
    """Something that a model costs: name in a sentence, on an axis, and which error it buys.

    `of` computes it from columns of `jobs`: such a cost is the same at every epoch and buys the
    final test error. One without is spent epoch by epoch and buys the validation error after each.
    `exact` costs are compared where they are equal, others as limits. `id` is its name in links.
    """

    id: str
    name: str
    title: str
    unit: str
    error: str
    of: Callable[[pd.DataFrame], pd.Series[float]] | None = None
    write: Callable[[Any], str] = words.number
    exact: bool = False

    @property
    def said(self) -> str:
        """Its name in the language in use, as in "at equal parameters"."""
        return sense("cost", self.name)


def _column(name: str) -> Callable[[pd.DataFrame], pd.Series[float]]:
    return lambda jobs: jobs[name].astype("float64")


def _mflop_an_image(jobs: pd.DataFrame) -> pd.Series[float]:
    # A step of twice the images takes twice the arithmetic, and is no dearer a model.
    return jobs["flops_per_step"].astype("float64") / jobs["batch_size"].astype("float64") / 1e6


BOTTLENECK = Cost(
    "bottleneck", "bottleneck", "bottleneck, numbers per image", "numbers", "test MSE",
    _column("bottleneck"), words.count, exact=True,
)  # fmt: skip
PARAMETERS = Cost(
    "parameters", "parameters", "parameters", "parameters", "test MSE", _column("parameters"),
    words.count,
)  # fmt: skip
STEP = Cost(
    "step", "arithmetic of a step", "arithmetic of a training step, MFLOP per image",
    "MFLOP per image", "test MSE", _mflop_an_image,
)  # fmt: skip
TRAINING = Cost(
    "training", "training arithmetic", "training arithmetic, TFLOP", "TFLOP", "validation MSE"
)
TIME = Cost("time", "training time", "training time, s", "s", "validation MSE")
LIMITS = (PARAMETERS, STEP, TRAINING, TIME)
COSTS = (BOTTLENECK, *LIMITS)

_MODEL = ["family", "settings", *frames.MODEL]
_FIGURES = ["cost", "error", "choice"]


def spent(results: Results, cost: Cost) -> pd.DataFrame:
    """What each model of each seed reached for how much of `cost`.

    Of models that compress only: of a code no smaller than the image copying would be perfect.
    Columns: dataset, family, settings, architecture, depth, latent, bottleneck, seed, epoch (0
    where the cost does not grow with it), `cost`, `error`, which `cost` says the kind of, and
    `choice`, the validation error. `where` holds, for times, the machine, engine and so on that
    they were taken with; times are compared within it only, and none that `aebench check` rejects.
    """
    jobs = frames.done(results.jobs)
    jobs = jobs[frames.compressing(jobs)]
    jobs = jobs.assign(family=frames.family(jobs), where="")
    if cost.of is not None:
        rows = jobs.assign(epoch=0, cost=cost.of(jobs), error=jobs["mse"], choice=jobs["val_mse"])
    else:
        if cost is TIME:
            jobs = frames.accepted(frames.timed(jobs))
            jobs = jobs.assign(where=_conditions(jobs))
        rows = _by_epoch(jobs, results.epochs, cost)
    figures = rows[_FIGURES].astype("float64")
    rows[_FIGURES] = figures
    rows = rows[((figures > 0) & (figures < np.inf)).all(axis="columns")]
    by = ["dataset", *_MODEL, "bottleneck", "seed", "epoch", "where"]
    return pd.DataFrame(rows.groupby(by, sort=False)[_FIGURES].median().reset_index())


def _conditions(jobs: pd.DataFrame) -> pd.Series[str]:
    """Under which conditions the time of each row was taken, in words."""
    found = pd.Series("", index=jobs.index, dtype="str")
    for _, rows in jobs.groupby(frames.ALIKE, dropna=False, sort=False):
        found.loc[rows.index] = words.conditions(rows.iloc[0])
    return found


def _by_epoch(jobs: pd.DataFrame, epochs: pd.DataFrame, cost: Cost) -> pd.DataFrame:
    rows = jobs.merge(epochs, on="key", suffixes=("_job", ""))
    if cost is TIME:
        rows["cost"] = rows.groupby("key", sort=False)["train_s"].cumsum()
    else:
        step = rows["flops_per_step"].astype("float64") * rows["steps"] / rows["epochs"]
        rows["cost"] = rows["epoch"] * step / 1e12
    return rows.assign(error=rows["val_mse"], choice=rows["val_mse"])


def comparable(points: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The points of the conditions with the most families, then models, and what these are."""
    if not len(points):
        return points, ""
    counts = points.groupby("where", sort=False).agg(
        families=("family", "nunique"), n=("cost", "size")
    )
    where = str(counts.sort_values(["families", "n"], ascending=False, kind="stable").index[0])
    return points[points["where"] == where], where


def models(points: pd.DataFrame) -> pd.DataFrame:
    """Each model at each epoch once: errors are geometric means over its seeds, cost the median.

    The median is one of equal costs itself, where a mean would be so within rounding only.
    """
    by = [*_MODEL, "bottleneck", "epoch"]
    groups = points.groupby(by, sort=False)
    means = groups[["error", "choice"]].agg(frames.mean)
    return pd.DataFrame(means.assign(cost=groups["cost"].median()).reset_index())


def best(models: pd.DataFrame, budget: float, *, exact: bool = False) -> pd.Series | None:
    """The model of least validation error that costs at most, or exactly, `budget`."""
    met = models[models["cost"] == budget] if exact else models[models["cost"] <= budget]
    chosen = met.sort_values(["choice", "cost"], kind="stable")
    return chosen.iloc[0] if len(chosen) else None


def front(rows: pd.DataFrame, error: str = "error") -> pd.DataFrame:
    """Rows that none beats in both cost and `error`, by rising cost: the Pareto front."""
    rows = rows.sort_values(["cost", error], ignore_index=True)
    lowest = rows[error].cummin()
    return rows[(rows[error] <= lowest) & (lowest < lowest.shift(fill_value=np.inf))]


@dataclass(frozen=True)
class Side:
    """One side of a fight: a model, its settings, its error as a mean over `seeds`, its code."""

    model: str
    settings: str
    error: float
    seeds: int
    bottleneck: float

    @property
    def name(self) -> str:
        """The model without its options: mlp-128 depth 2."""
        return words.plain(self.model)


@dataclass(frozen=True)
class Fight:
    """The best of two families at one budget, and the first's error over the other's.

    A side is None where its family has no model with that bottleneck; then there is no `ratio`.
    It is paired by seed where both have the same seeds, else Welch's; either way it is the ratio
    of the two errors shown. `p` is the two-sided p-value of "the ratio is 1", adjusted by Holm's
    method for all fights at this cost on the data set; None below three seeds.
    """

    budget: float
    families: tuple[str, str]
    sides: tuple[Side | None, Side | None]
    ratio: Interval | None = None
    p: float | None = None

    @property
    def ahead(self) -> str:
        """Family of the lesser error; empty where nothing is decided."""
        if self.ratio is None or self.p is None or self.p >= ALPHA:
            return ""
        return self.families[0] if self.ratio.centre < 1 else self.families[1]

    @property
    def verdict(self) -> str:
        """Family of the lesser error, or that it is undecided, or that there is but one side."""
        return self.ahead or (say("undecided") if self.ratio else say("one side only"))


def fights(points: pd.DataFrame, cost: Cost) -> list[Fight]:
    """`FIRST` against every other family; `points` are of one data set, alike in conditions.

    At equal bottleneck at every one that either has, else at budgets that both can meet: where the
    cost is the same at every epoch at each from which on another model is one family's best, so
    that nothing changes between them; else at some, evenly apart.
    """
    every = {str(family): models(rows) for family, rows in points.groupby("family", sort=True)}
    first = every.pop(FIRST, None)
    if first is None:
        return []
    return _adjusted([
        _fight(points, (first, other), budget, (FIRST, family), cost)
        for family, other in every.items()
        for budget in _budgets(first, other, cost)
    ])  # fmt: skip


def _budgets(first: pd.DataFrame, other: pd.DataFrame, cost: Cost) -> list[float]:
    if cost.exact:
        return sorted({*first["cost"], *other["cost"]})
    low = max(first["cost"].min(), other["cost"].min())
    if cost.of is not None:
        better = {*front(first, "choice")["cost"], *front(other, "choice")["cost"]}
        return sorted({low, *(budget for budget in better if budget > low)})
    high = max(first["cost"].max(), other["cost"].max())
    # A hair more, so that rounding leaves no model out that costs just so much.
    evenly = np.geomspace(low, high, POINTS if low < high else 1)
    return [float(budget) * (1 + 1e-9) for budget in evenly]


def _fight(
    points: pd.DataFrame, sides: Sequence[pd.DataFrame], budget: float, names: tuple[str, str],
    cost: Cost,
) -> Fight:  # fmt: skip
    chosen = [best(side, budget, exact=cost.exact) for side in sides]
    errors = [None if row is None else _seeds(points, row) for row in chosen]
    made = [
        None if row is None or seeds is None else Side(
            words.model_of(row), str(row["settings"]), float(row["error"]), len(seeds),
            float(row["bottleneck"]),
        )
        for row, seeds in zip(chosen, errors, strict=True)
    ]  # fmt: skip
    fight = Fight(budget, names, (made[0], made[1]))
    if errors[0] is None or errors[1] is None:
        return fight
    if errors[0].index.equals(errors[1].index):
        found = paired((errors[0] / errors[1]).to_list())
    else:
        found = unpaired(errors[0].to_list(), errors[1].to_list())
    return replace(fight, ratio=found.interval(), p=found.p_equal())


def _adjusted(found: list[Fight]) -> list[Fight]:
    """The same fights with p-values for all of them; two models that meet twice are one test."""
    tests = {repr((f.families, f.sides)): f.p for f in found if f.p is not None}
    adjusted = holm(tests)
    return [replace(f, p=adjusted.get(repr((f.families, f.sides)))) for f in found]


def _seeds(points: pd.DataFrame, model: pd.Series) -> pd.Series[float]:
    """Errors of the model of a row of `models`, by seed."""
    mine = frames.matching(points, model[[*_MODEL, "bottleneck", "epoch"]].to_dict())
    errors: pd.Series[float] = mine.groupby("seed")["error"].median()
    return errors


@dataclass(frozen=True)
class Stopwatch:
    """Engine `reference` beside another under otherwise equal `conditions`, these in words.

    `models` has architecture, depth, latent, reference_s, loading_s, engine_s and their ratio
    `gain`; medians over the `n` pairs of processes in which both engines have runs (paired by seed
    and repeat) that `aebench check` passes. Where it passes none of a model, `doubt` says why, and
    there is no gain.
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
    timed = timed.assign(process=processes.unit(timed))
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
            first["engine"] = words.listed(["reference", engine])
            title = words.titled(str(first["dataset"]), str(first["settings"]))
            conditions = words.headed(title, words.conditions(first))
            seen.append(Stopwatch(conditions, engine, pd.DataFrame(rows)))
    return seen


def _stopped(pairs: pd.DataFrame) -> dict[str, Any]:
    """What the stopwatch says of one model, from its runs."""
    fit = pairs[pairs["doubt"].eq("") & pairs["doubt_fast"].eq("")]
    chosen = fit if len(fit) else pairs
    seconds = chosen[["train_s", "loading_s", "train_s_fast"]].astype("float64")
    seconds["gain"] = seconds["train_s"] / seconds["train_s_fast"]
    each = seconds.groupby([chosen["process"], chosen["process_fast"]]).median()
    middle = each.median()
    return {
        "n": len(each),
        "reference_s": middle["train_s"],
        "loading_s": middle["loading_s"],
        "engine_s": middle["train_s_fast"],
        "gain": middle["gain"] if len(fit) else np.nan,
        "doubt": "" if len(fit) else frames.reasons([*pairs["doubt"], *pairs["doubt_fast"]]),
    }
