"""What the tables of results are reduced to before anything is shown or judged.

Decides which rows speak for an error, which for a time, and how repetitions and seeds are
folded. Knows nothing of findings, HTML or charts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aebench import schema
from aebench.analysis import names, processes, words
from aebench.analysis.names import quick, settings, shown, texts, told_apart
from aebench.analysis.statistics import interval, log_mean
from aebench.language import later, say
from aebench.store import Results

# Times are compared only between rows that agree in all of these.
ALIKE = ["device_name", "machine_id", "device", "engine", "precision", "threads", "torch"]
# A fixed piece of work that takes so much more or less time than usual marks a row as noisy.
NOISE_LIMIT = {"cpu": 0.08, "cuda": 0.03}
MODEL = ["architecture", "depth", "latent"]
# Towards full size PCA's error vanishes, and a ratio to it says nothing. Models are set beside it
# whose code is at most two thirds of the image, and only while PCA has at least a hundredth of the
# error of the mean image: of MNIST, whose border is empty, 512 numbers tell all but everything.
_ALL_BUT_EXACT = 0.01
_JOB_ORDER = [
    "dataset", "settings", "architecture", "depth", "latent", "engine", "precision", "device",
    "seed", "repeat", "key",
]  # fmt: skip
_ORDER = {
    "epochs": ["key", "epoch"], "samples": ["key", "kind"],
    "baselines": ["dataset", "seed", "components"],
    "probes": ["key", "kind", "input", "amplitude"],
    "rates": ["dataset", "seed", "codec", "bottleneck", "bits", "quality", "key"],
    "codes": ["key", "kind", "place"],
}  # fmt: skip
_STUDY_ORDER = {
    "dataset": ["mnist", "cifar10"], "architecture": ["mlp", "conv"], "settings": ["study"],
}  # fmt: skip
PHASES = [f"{phase}_s" for phase in schema.PHASES]


@dataclass(frozen=True)
class Model:
    """One model on one dataset, as a finding names it."""

    dataset: str
    architecture: str
    latent: int
    depth: int = 1

    @property
    def label(self) -> str:
        """mlp-512, conv-128 depth 2."""
        return words.model(self.architecture, self.latent, self.depth)

    @property
    def name(self) -> str:
        """mnist mlp-512, cifar10 conv-128 depth 2."""
        return f"{self.dataset} {self.label}"

    @property
    def identity(self) -> str:
        """Its name in addresses, as the study trains it; see `names.identity`."""
        return names.identity({"settings": "study", **vars(self)})

    def rows(self, jobs: pd.DataFrame) -> pd.DataFrame:
        """The rows of this model."""
        return matching(jobs, vars(self))


def matching(rows: pd.DataFrame, values: Mapping[Any, Any]) -> pd.DataFrame:
    """The rows that have these values in the columns of these names."""
    return rows[np.logical_and.reduce([rows[name] == value for name, value in values.items()])]


def ordered(results: Results) -> Results:
    """The same results in an order that depends on their content only.

    Every grouping after this keeps the order of appearance, so it is decided here alone. Texts
    come out fit to be shown, whatever a plugin or a folder is called, and what is alike in name
    only has names that differ (see `told_apart`). What is ordered already comes back as it is.
    """
    if "settings" in results.jobs:
        return results
    jobs = told_apart(shown(results.jobs))
    jobs["settings"] = settings(jobs)
    others = {
        name: quick(shown(getattr(results, name))).sort_values(by, ignore_index=True)
        for name, by in _ORDER.items()
    }
    return Results(
        jobs=quick(jobs).sort_values(_JOB_ORDER, key=_study_first, ignore_index=True),
        **others,
        problems=sorted(results.problems, key=str),
    )


def _study_first(column: pd.Series[Any]) -> pd.Series[Any]:
    """Sort what the study has in its own order, before anything else."""
    first = _STUDY_ORDER.get(str(column.name), [])
    return column.replace({name: str(rank) for rank, name in enumerate(first)}) if first else column


def family(rows: pd.DataFrame) -> pd.Series[str]:
    """The family of each row: its architecture without the options or code that tell it apart."""
    return rows["architecture"].astype("str").str.split(" (", n=1, regex=False).str[0]


def compressing(rows: pd.DataFrame) -> pd.Series[bool]:
    """Rows whose code has fewer numbers than the image."""
    return rows["bottleneck"].astype("float64") < rows["input_size"].astype("float64")


def beside_pca(rows: pd.DataFrame) -> pd.Series[bool]:
    """Rows whose error may be told as a multiple of PCA's: a real bottleneck, by both measures."""
    pca, mean = (rows[name].astype("float64") for name in ("pca_mse", "mean_mse"))
    enough = rows["compression"].astype("float64") >= schema.COMPRESSES
    return enough & (pca >= _ALL_BUT_EXACT * mean) & (pca > 0)


REAL_BOTTLENECK = later(
    "a code of at most two thirds of the image, and so small that PCA with as many components "
    "still has at least 1 % of the error of the mean image"
)

Groups = list[tuple[tuple[str, ...], pd.DataFrame]]


def by_dataset(frame: pd.DataFrame, *more: str) -> Groups:
    """Split by dataset and further columns, in order of appearance."""
    groups = frame.groupby(["dataset", *more], sort=False)
    return [(tuple(str(part) for part in identity), group) for identity, group in groups]


def done(jobs: pd.DataFrame) -> pd.DataFrame:
    """Rows that have an error to show: status ok, and a positive figure."""
    errors = jobs["mse"].astype("float64")
    return jobs[jobs["status"].eq("ok") & (errors > 0) & np.isfinite(errors)]


def counting(jobs: pd.DataFrame, *, whatever: str = "") -> pd.DataFrame:
    """Rows that may speak about the study: finished, its models, its protocol, but `whatever`."""
    rows = done(jobs)
    plain = (settings(rows, without=whatever) == "study") & (texts(rows, "code") == "")
    plain &= texts(rows, "options") == ""
    return rows[plain & (rows["study_error"].astype("float64") > 0)]


def probed(jobs: pd.DataFrame, probes: pd.DataFrame, *more: str) -> pd.DataFrame:
    """Probes of `jobs` with an error to show, beside columns of their job; its mse is `mse_job`."""
    job = ["key", "dataset", *MODEL, "seed", "bottleneck", "input_size", "pca_mse", "mse", *more]
    rows = jobs[job].merge(probes, on="key", suffixes=("_job", ""))
    errors = rows["mse"].astype("float64")
    return rows[np.isfinite(errors) & (errors > 0)]


def timed(jobs: pd.DataFrame) -> pd.DataFrame:
    """Rows whose times may be compared: finished, alone on the machine, in one go, with a time.

    Jobs trained as one model have none, and one run otherwise than its engine's name says is
    no time of that engine.
    """
    known = has_time(jobs) & jobs["resumed"].fillna("").eq("")
    as_named = jobs["engine_note"].fillna("").eq("")
    return jobs[jobs["status"].eq("ok") & jobs["concurrent"].eq(False) & known & as_named]


def has_time(jobs: pd.DataFrame) -> pd.Series[bool]:
    """Rows with a training time: positive and finite, whatever a damaged record may hold."""
    seconds = jobs["train_s"].astype("float64")
    return (seconds > 0) & (seconds < math.inf)


def accepted(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows whose times nothing speaks against: those without a `doubt` (see `fitness.marked`)."""
    return rows[rows["doubt"].eq("")] if "doubt" in rows else rows


def mean(values: Iterable[float]) -> float:
    """The one figure for a model: the geometric mean of its seeds' figures, NaN without any.

    Zero where one of them is zero, as PCA's error is at full size.
    """
    known = [float(value) for value in values if value == value and value is not None]
    if not known or min(known) < 0:
        return math.nan
    return 0.0 if 0 in known else math.exp(log_mean(known))


def noise(jobs: pd.DataFrame) -> pd.Series[float]:
    """How far off each row's noise probes are, as a share: the worse of the two, 0.1 is longer.

    Measured against the median of all rows with the same machine, device, precision, threads and
    torch, known only once all have run. NaN where nothing was probed.
    """
    off = pd.Series(np.nan, index=jobs.index, dtype="float64")
    for _, rows in jobs.groupby([name for name in ALIKE if name != "engine"], dropna=False):
        probes = rows[["noise_before_s", "noise_after_s"]].astype("float64")
        probes = probes.where((probes > 0) & (probes < math.inf))
        share = probes / probes.melt()["value"].dropna().median() - 1
        before, after = share["noise_before_s"].fillna(0.0), share["noise_after_s"]
        worse = before.where(before.abs() >= after.abs().fillna(0.0), after)
        off.loc[rows.index] = worse.where(probes.notna().any(axis="columns"))
    return off


def noisy(jobs: pd.DataFrame) -> pd.Series[bool]:
    """Rows measured while the machine was in another state than usual; not probed is not noisy."""
    # On no rows at all, map leaves a column of texts.
    return noise(jobs).abs() > jobs["device"].map(NOISE_LIMIT).astype("float64")


def alike(jobs: pd.DataFrame, *more: str) -> list[pd.DataFrame]:
    """Split timed rows into groups that agree in `more` and within which times may be compared."""
    return [group for _, group in jobs.groupby([*ALIKE, *more], dropna=False, sort=True)]


def per_seed(rows: pd.DataFrame, column: str) -> pd.Series[float]:
    """One figure for each seed: the median over engines and repetitions, which should agree."""
    return rows.groupby("seed")[column].median().dropna()


def seeds(jobs: pd.DataFrame) -> pd.DataFrame:
    """One row for each dataset, settings, model and seed: median mse and study_error."""
    by = ["dataset", "settings", *MODEL, "bottleneck", "seed"]
    columns = ["mse", "study_error"]
    frame = done(jobs).groupby(by, as_index=False, dropna=False)[columns].median()
    return frame.sort_values(by, ignore_index=True)


def summary(jobs: pd.DataFrame) -> pd.DataFrame:
    """One row for each dataset, settings and model: its error over seeds, with an interval."""
    by = ["dataset", "settings", *MODEL]
    sizes = ["parameters", "bottleneck", "input_size", "compression"]
    means = ["pca_mse", "mean_mse"]
    rows = []
    for identity, group in done(jobs).groupby(by, sort=False):
        errors = interval(per_seed(group, "mse").to_list())
        study = group[group["study_error"].astype("float64") > 0]
        rows.append(
            dict(zip(by, identity, strict=True))
            | {"n_jobs": len(group), "n_seeds": errors.n}
            | {"mse": errors.centre, "low": errors.low, "high": errors.high}
            | {"study_error": mean(per_seed(study, "study_error"))}
            | {name: group[name].astype("float64").median() for name in sizes}
            | {name: mean(per_seed(group, name)) for name in means}
        )
    figures = ["n_jobs", "n_seeds", "mse", "low", "high", "study_error"]
    return pd.DataFrame(rows, columns=[*by, *figures, *sizes, *means])


def baseline_curve(results: Results, dataset: str) -> pd.DataFrame:
    """Exact baselines of a dataset, over splits: components (0 is the mean image) and mse."""
    rows = results.baselines[results.baselines["dataset"] == dataset]
    medians = rows[rows["mse"] > 0].groupby("components")["mse"].median()
    curve = pd.DataFrame({"components": medians.index, "mse": medians.to_numpy()})
    if not (curve["components"] == 0).any():
        jobs = done(results.jobs)
        means = jobs.loc[jobs["dataset"] == dataset, "mean_mse"].astype("float64").dropna()
        if len(means):
            first = pd.DataFrame({"components": [0], "mse": [means.median()]})
            curve = pd.concat([first, curve]) if len(curve) else first
    return curve.sort_values("components", ignore_index=True)


def curves(results: Results) -> pd.DataFrame:
    """Learning curves: for each dataset, settings, model and epoch the mean over seeds."""
    columns = ["key", "dataset", "settings", *MODEL, "seed"]
    jobs = done(results.jobs)[columns]
    by = ["dataset", "settings", *MODEL, "epoch"]
    losses = ["train_mse", "val_mse"]
    merged = jobs.merge(results.epochs, on="key")  # this way round it keeps the order of the jobs
    merged[losses] = merged[losses].astype("float64")
    seeds = merged.groupby([*by, "seed"], sort=False)[losses].median()
    return pd.DataFrame(seeds.groupby(by, sort=False)[losses].agg(mean).reset_index())


def unequal_kernels(group: pd.DataFrame) -> bool:
    """Whether torch's own layers computed some rows of a group, and faster kernels others."""
    torch = {"torch" in re.split(r"[ =+]", kernels) for kernels in group["kernels"].dropna()}
    return len(torch) > 1


def reasons(doubts: Iterable[str]) -> str:
    """The kinds of doubt in texts of the column `doubt`, each once."""
    return ", ".join(sorted({kind for doubt in doubts if doubt for kind in doubt.split(", ")}))


def times(group: pd.DataFrame) -> pd.DataFrame:
    """One row for each model of a group of alike rows: medians, extremes and spread.

    Those of `train_s` are over processes, each with the median of its runs; `runs` are these.
    Made of the runs that `aebench check` passes, with the number of the others in `left_out` and
    why in `left_out_for`. Where it passes none, made of all, with why it rejects them in `doubt`.
    """
    rows = []
    for identity, every in group.groupby(MODEL, sort=False):
        runs = accepted(every)
        unfit = every.drop(runs.index)
        why = reasons(unfit.get("doubt", ()))
        said = {"doubt": "", "left_out": len(unfit), "left_out_for": why}
        if not len(runs):
            runs, said = every, {"doubt": why, "left_out": 0, "left_out_for": ""}
        seconds = processes.per_process(runs, "train_s")
        low, middle, high = seconds.min(), seconds.median(), seconds.max()
        rates = {n: runs[n].astype("float64").median() for n in ("images_per_s", "gflops")}
        phases = {n: runs[n].astype("float64").median() for n in [*PHASES, "total_s"]}
        rows.append(
            dict(zip(MODEL, identity, strict=True))
            | {"n": len(seconds), "runs": seconds.to_list(), "low": low, "high": high}
            | {"spread": (high - low) / middle if len(seconds) > 1 else None}
            | {"kernels": say(" or ").join(sorted(set(runs["kernels"].dropna()))) or None}
            | said
            | rates
            | phases
        )
    return pd.DataFrame(rows)
