"""How soon a training reaches an error that stands outside it: three targets, from stored curves.

Decides when a target is reached, which runs have seconds for it, and which systems meet in a
performance profile. How a profile is made is in `profiles`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aebench.analysis import fitness, frames, profiles, words
from aebench.analysis.findings import FINDINGS
from aebench.analysis.names import texts
from aebench.analysis.statistics import median
from aebench.language import later, numeral, say
from aebench.store import Results

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEAN, PCA, STUDY = later("mean image"), "PCA", later("study")
TARGETS = (MEAN, PCA, STUDY)
STUDY_BATCHES = 10_000 // 128  # the study sums over so many batches: 78, the last partial one apart
# What of a run is the same for all of its targets.
_RUN = ["key", "dataset", "settings", *frames.MODEL, "seed", "repeat", "schedule", *frames.ALIKE]
COLUMNS = [
    *_RUN, "target", "task", "target_mse", "reached", "epochs", "gflop", "train_s",
]  # fmt: skip


def runs(results: Results) -> pd.DataFrame:
    """The jobs of ordered `results` of which is known what they reached.

    One that ended well has its curve. One that diverged never got further than the curve it left,
    if any. What any other ending kept a job from is unknown.
    """
    jobs = results.jobs
    with_curve = jobs["status"].eq("ok") & jobs["key"].isin(results.epochs["key"])
    return jobs[with_curve | jobs["status"].eq("diverged")]


def to_targets(results: Results) -> pd.DataFrame:
    """One row a job and target that it has: when its validation MSE first is at or below this.

    Targets are the error of the mean image, that of PCA at the same bottleneck (of a real one, see
    `frames.beside_pca`), and the figure that the study prints for the model. They are test errors,
    MSE per pixel; the curve is of the validation images, the only ones looked at after every epoch.

    Columns: those of the job that tell run and conditions, `target` (one of `TARGETS`), `task`
    (data set, latent size and target in words), `target_mse`, `reached`, and what it took, to the
    end of the epoch that is the first there: `epochs`, `gflop` (1e9 operations of training),
    `train_s` (seconds of training). All three are infinite where the target is never reached.
    `train_s` is NaN for a run whose times may not be compared, whether it gets there or not: those
    that never do would else count alone, and slow their system down.
    """
    results = frames.ordered(results)
    if "doubt" not in results.jobs:
        results = fitness.marked(results)
    jobs, curves = runs(results), _curves(results.epochs)
    made = [pd.DataFrame(columns=COLUMNS)]
    for target, errors, names in _targets(jobs, results.baselines):
        mine = jobs[(errors > 0) & np.isfinite(errors)]
        if not len(mine):
            continue
        rows = mine[_RUN].assign(target=target, target_mse=errors[mine.index])
        latents = zip(mine["dataset"], mine["latent"], names[mine.index], strict=True)
        rows["task"] = [
            say(
                "{dataset}, latent {k}, {name}",
                dataset=words.dataset(d),
                k=numeral(k, ","),
                name=name,
            )
            for d, k, name in latents
        ]
        made.append(rows.join(_reached(mine, rows["target_mse"], curves))[COLUMNS])
    if len(made) == 1:
        return made[0]
    # By job, and for each in the order of `TARGETS`.
    return pd.concat(made[1:]).sort_index(kind="stable").reset_index(drop=True)


def _targets(
    jobs: pd.DataFrame, baselines: pd.DataFrame
) -> list[tuple[str, pd.Series[float], pd.Series[str]]]:
    """Each target with its MSE for every job, NaN where it has none, and what it is called."""
    means = _baseline(jobs, "mean_mse", pd.Series(0, index=jobs.index), baselines)
    size = jobs["bottleneck"].astype("float64").fillna(-1).astype("int64")
    pca = _baseline(jobs, "pca_mse", size, baselines)
    enough = frames.beside_pca(jobs.assign(pca_mse=pca, mean_mse=means))
    figures = {
        (f.model.dataset, f.model.architecture, f.model.latent, f.model.depth): f.source
        for f in FINDINGS
        if f.model
    }
    models = zip(*(jobs[c] for c in ("dataset", "architecture", "latent", "depth")), strict=True)
    printed = pd.Series([figures.get(model, "") for model in models], jobs.index, dtype="object")
    printed[texts(jobs, "code").ne("") | texts(jobs, "pixels").ne("")] = ""
    study = pd.to_numeric(printed).astype("float64") / STUDY_BATCHES
    return [
        (MEAN, means, pd.Series(say(MEAN), index=jobs.index, dtype="object")),
        (PCA, pca.where(enough), "PCA-" + size.astype("str")),
        (STUDY, study, say("the study's ") + printed.map(numeral).astype("str")),
    ]


def _baseline(
    jobs: pd.DataFrame, column: str, components: pd.Series[int], baselines: pd.DataFrame
) -> pd.Series[float]:
    """A baseline's error for every job.

    A job that diverged never came to its own; it has the median over the splits of its data.
    """
    known = baselines[baselines["mse"] > 0].groupby(["dataset", "components"])["mse"].median()
    at = pd.MultiIndex.from_arrays([jobs["dataset"], components])
    others = pd.Series(known.reindex(at).to_numpy(dtype="float64"), index=jobs.index)
    return jobs[column].astype("float64").fillna(others)


@dataclass(frozen=True)
class _Curve:
    """Numbers of the epochs, validation MSE after each, seconds of training until then."""

    epochs: NDArray[np.float64]
    val_mse: NDArray[np.float64]
    spent_s: NDArray[np.float64]


_EMPTY = _Curve(*(np.empty(0) for _ in range(3)))


def _curves(epochs: pd.DataFrame) -> dict[str, _Curve]:
    """The curve of every job by its key, from ordered epochs; seconds are NaN from a gap on."""
    if not len(epochs):
        return {}
    keys = epochs["key"].to_numpy(dtype="object")
    starts = [0, *(np.flatnonzero(keys[1:] != keys[:-1]) + 1)]
    parts = (
        np.split(epochs[name].to_numpy(dtype="float64"), starts[1:])
        for name in ("epoch", "val_mse", "train_s")
    )
    found = {}
    for start, number, error, seconds in zip(starts, *parts, strict=True):
        # A sum that lacks an epoch is no time.
        whole = np.logical_and.accumulate(number == np.arange(1, len(number) + 1))
        found[str(keys[start])] = _Curve(number, error, np.where(whole, seconds.cumsum(), np.nan))
    return found


def _reached(
    jobs: pd.DataFrame, targets: pd.Series[float], curves: dict[str, _Curve]
) -> pd.DataFrame:
    """Whether each job reaches its target, and what it takes; the columns of `to_targets`."""
    steps = jobs["steps"].astype("float64") / jobs["epochs"]
    steps = steps.fillna(jobs["train_images"].astype("float64") // jobs["batch_size"])
    gflop = jobs["flops_per_step"].astype("float64") * steps / 1e9
    gflop = gflop.where((gflop > 0) & (gflop < np.inf))
    fit = jobs["key"].isin(frames.accepted(frames.timed(jobs))["key"])
    # The clock of one that diverged is not needed to know that it never gets there.
    alone = jobs["status"].eq("diverged") & jobs["concurrent"].eq(False)
    made = []
    keys = zip(jobs["key"], targets, gflop, fit, fit | alone, strict=True)
    for key, target, per_epoch, comparable, counted in keys:
        curve = curves.get(key, _EMPTY)
        there = np.flatnonzero((curve.val_mse > 0) & (curve.val_mse <= target))
        if len(there):
            epoch, seconds = curve.epochs[there[0]], curve.spent_s[there[0]]
            known = comparable and 0 < seconds < np.inf
            made.append((True, epoch, per_epoch * epoch, seconds if known else np.nan))
        else:
            made.append((False, np.inf, np.inf, np.inf if counted else np.nan))
    columns = ["reached", "epochs", "gflop", "train_s"]
    return pd.DataFrame(made, index=jobs.index, columns=columns)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `to_targets` folded over seeds and repeats: one a model, conditions and target.

    `n` runs of which `reached` got there; `target_mse`, `epochs` and `gflop` are medians over
    them, `train_s` over the `timed` ones, with `low` and `high` where there are six. A median is
    infinite where half of the runs or more never get there, and NaN where nothing is known.
    """
    by = ["dataset", "settings", *frames.MODEL, *frames.ALIKE, "target"]
    made = []
    for identity, group in rows.groupby(by, sort=False, dropna=False):
        seconds = group["train_s"].dropna().to_list()
        time = median(seconds) if seconds else None
        made.append(
            dict(zip(by, identity, strict=True))
            | {"n": len(group), "reached": int(group["reached"].sum())}
            | {name: group[name].median() for name in ("target_mse", "epochs", "gflop")}
            | {"timed": len(seconds), "train_s": time.centre if time else np.nan}
            | {"low": time.low if time else None, "high": time.high if time else None}
        )
    figures = ["n", "reached", "target_mse", "epochs", "gflop", "timed", "train_s", "low", "high"]
    return pd.DataFrame(made, columns=[*by, *figures])


@dataclass(frozen=True)
class Contest:
    """Systems that all ran the same tasks, and for each what these cost it.

    `cost` is ``train_s`` or ``gflop``. `ratios` has a row a system, named, and a column a task:
    its median cost over that of the cheapest system, infinite where the target is not reached.
    `left_out` counts the systems that did not run all of these tasks. `conditions` are those of
    the times, in words; empty for arithmetic, which does not depend on them.
    """

    cost: str
    conditions: str
    ratios: pd.DataFrame
    left_out: int


_FAMILY = ["architecture", "depth"]


def contests(rows: pd.DataFrame) -> list[Contest]:
    """What systems can be compared in, from rows of `to_targets`: seconds first, then arithmetic.

    A task is a data set, a latent size and a target. For times a system is a family of models (all
    latent sizes of an architecture and depth) trained by an engine in a precision under settings,
    and systems meet only on the same machine, device, threads and torch. For arithmetic it is a
    family under settings, for neither engine nor machine changes the number of operations.
    """
    same = [name for name in frames.ALIKE if name not in ("engine", "precision")]
    found = []
    for _, group in rows.dropna(subset="train_s").groupby(same, dropna=False, sort=True):
        systems = [*_FAMILY, "settings", "engine", "precision"]
        found += _contest(group, "train_s", systems, words.conditions(_common(group)))
    return found + _contest(rows.dropna(subset="gflop"), "gflop", [*_FAMILY, "settings"], "")


def _contest(rows: pd.DataFrame, cost: str, system: list[str], conditions: str) -> list[Contest]:
    if not len(rows):
        return []
    medians = rows.groupby([*system, "task"], sort=False)[cost].median()
    # In order of appearance, which unstack would not keep.
    every = pd.MultiIndex.from_frame(rows[system].drop_duplicates())
    costs = medians.unstack("task").reindex(index=every, columns=rows["task"].unique())
    met = profiles.common(costs)
    if met is None:
        return []
    left_out = len(costs) - len(met)
    ratios = profiles.ratios(met)
    ratios.index = pd.Index(_names(met.index.to_frame(index=False)))
    return [Contest(cost, conditions, ratios, left_out)]


def _names(systems: pd.DataFrame) -> list[str]:
    """Each system by its family, and by what else differs among them."""
    told = [c for c in systems if c not in _FAMILY and systems[c].nunique() > 1]
    return [
        ", ".join(
            [words.line(row["architecture"], row["depth"]), *(words.under(row[c]) for c in told)]
        )
        for row in systems.to_dict("records")
    ]


def _common(group: pd.DataFrame) -> dict[str, Any]:
    """The conditions that all rows of a group share; what differs among them is left out."""
    first = group.iloc[0]
    return {c: first[c] if group[c].nunique(dropna=False) == 1 else None for c in frames.ALIKE}
