"""What the tables of results are reduced to before anything is shown or judged.

Decides which rows speak for an error, which for a time, and how repetitions and seeds are
folded. Knows nothing of findings, HTML or charts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import words
from aebench.analysis.names import codes, shown, told_apart
from aebench.analysis.statistics import interval
from aebench.errors import printable
from aebench.store import Results

# Times are compared only between rows that agree in all of these.
ALIKE = ["device_name", "machine_id", "device", "engine", "precision", "threads", "torch"]
# A fixed piece of work that takes so much more or less time than usual marks a row as noisy.
NOISE_LIMIT = {"cpu": 0.08, "cuda": 0.03}
_CHARTS, _FEW = 4, 2  # groups of settings that a section draws; models too few for a chart
MODEL = ["architecture", "depth", "latent"]
# Towards full size PCA's error vanishes, and a ratio to it says nothing: from this compression on
# models are set beside it, which is a code of at most two thirds of the image.
COMPARED_WITH_PCA = 1.5
_JOB_ORDER = [
    "dataset", "settings", "architecture", "depth", "latent", "engine", "precision", "device",
    "seed", "repeat", "key",
]  # fmt: skip
PHASES = [
    "data_s", "build_s", "compile_s", "warmup_s", "train_s", "eval_s", "baseline_s", "samples_s",
    "probe_s",
]  # fmt: skip


@dataclass(frozen=True)
class Model:
    """One model on one dataset, as a finding names it."""

    dataset: str
    architecture: str
    latent: int
    depth: int = 1

    @property
    def name(self) -> str:
        """mnist mlp-512, cifar10 conv-128 depth 2."""
        return f"{self.dataset} {words.model(self.architecture, self.latent, self.depth)}"

    def rows(self, jobs: pd.DataFrame) -> pd.DataFrame:
        """The rows of this model."""
        return jobs[
            (jobs["dataset"] == self.dataset)
            & (jobs["architecture"] == self.architecture)
            & (jobs["latent"] == self.latent)
            & (jobs["depth"] == self.depth)
        ]


def ordered(results: Results) -> Results:
    """The same results in an order that depends on their content only.

    Every grouping after this keeps the order of appearance, so it is decided here alone. Texts
    come out fit to be shown, whatever a plugin or a folder is called, and what is alike in name
    only has names that differ (see `told_apart`).
    """
    jobs = told_apart(shown(results.jobs))
    jobs["settings"] = settings(jobs)
    return Results(
        jobs=jobs.sort_values(_JOB_ORDER, key=_study_first, ignore_index=True),
        epochs=results.epochs.sort_values(["key", "epoch"], ignore_index=True),
        samples=shown(results.samples).sort_values(["key", "kind"], ignore_index=True),
        baselines=shown(results.baselines).sort_values(
            ["dataset", "seed", "components"], ignore_index=True
        ),
        probes=shown(results.probes).sort_values(
            ["key", "kind", "input", "amplitude"], ignore_index=True
        ),
        problems=sorted(printable(problem) for problem in results.problems),
    )


def _study_first(column: pd.Series[Any]) -> pd.Series[Any]:
    """Sort what the study has in its own order, before anything else."""
    order = {
        "dataset": ["mnist", "cifar10"],
        "architecture": ["mlp", "conv"],
        "settings": ["study"],
    }
    places = {name: str(place) for place, name in enumerate(order.get(str(column.name), []))}
    return column.replace(places) if places else column


def settings(jobs: pd.DataFrame) -> pd.Series[str]:
    """What an error depends on besides model, dataset and seed: ``study``, ``study with epochs=2``.

    Engine and device do not belong here, nor does tf32 beside fp32: torch's own defaults, which
    the study used, mix the two. bf16 rounds to three digits and is another experiment.
    """
    texts = []
    for protocol, modified, precision in zip(
        jobs["protocol"], jobs["modified"], jobs["precision"], strict=True
    ):
        changes = ["unknown changes"] if modified is None or modified != modified else [modified]
        changes += [precision] if precision not in ("fp32", "tf32") else []
        changed = ", ".join(str(change) for change in changes if change)
        texts.append(f"{protocol} with {changed}" if changed else str(protocol))
    return pd.Series(texts, index=jobs.index, dtype="str")


def by_dataset(frame: pd.DataFrame, *more: str) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """Split by dataset and further columns, in order of appearance."""
    groups = frame.groupby(["dataset", *more], sort=False)
    return [(tuple(str(part) for part in identity), group) for identity, group in groups]


def worth_drawing(
    groups: list[tuple[tuple[str, ...], pd.DataFrame]],
) -> list[tuple[tuple[str, ...], pd.DataFrame]]:
    """Those of `groups` with the most models, at most `_CHARTS`, in their order.

    A chart of one or two models says nothing that the table does not, unless there is none with
    more; and a search has dozens of settings: the file would be too heavy to mail.
    """
    models = {i: len(rows.drop_duplicates(MODEL)) for i, (_, rows) in enumerate(groups)}
    most = sorted(models, key=lambda i: (-models[i], i))[:_CHARTS]
    few = max(models.values(), default=0) <= _FEW
    return [groups[i] for i in models if i in most and (few or models[i] > _FEW)]


def done(jobs: pd.DataFrame) -> pd.DataFrame:
    """Rows that have an error to show: status ok, and a positive figure."""
    good = jobs["status"].eq("ok") & (jobs["mse"].astype("float64") > 0)
    return jobs[good & np.isfinite(jobs["mse"].astype("float64"))]


def counting(jobs: pd.DataFrame) -> pd.DataFrame:
    """Rows that may speak about the study: finished, its own models, its protocol unchanged."""
    rows = done(jobs)
    plain = (settings(rows) == "study") & (codes(rows) == "")
    return rows[plain & (rows["study_error"].astype("float64") > 0)]


def probed(jobs: pd.DataFrame, probes: pd.DataFrame, *more: str) -> pd.DataFrame:
    """Probes of `jobs` with an error to show, beside columns of their job; its mse is `mse_job`."""
    columns = [
        "key",
        "dataset",
        *MODEL,
        "seed",
        "bottleneck",
        "input_size",
        "pca_mse",
        "mse",
        *more,
    ]
    found = jobs[columns].merge(probes, on="key", suffixes=("_job", ""))
    errors = found["mse"].astype("float64")
    return found[np.isfinite(errors) & (errors > 0)]


def timed(jobs: pd.DataFrame) -> pd.DataFrame:
    """Rows whose times may be compared: finished, alone on the machine, with a time.

    Jobs trained as one model have none, and one run otherwise than its engine's name says is
    no time of that engine.
    """
    known = has_time(jobs)
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
    return 0.0 if 0 in known else interval(known).centre


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


def alike(jobs: pd.DataFrame) -> list[pd.DataFrame]:
    """Split timed rows into groups within which times may be compared."""
    return [group for _, group in jobs.groupby(ALIKE, dropna=False, sort=True)]


def per_seed(rows: pd.DataFrame, column: str) -> pd.Series[float]:
    """One figure for each seed: the median over engines and repetitions, which should agree."""
    return rows.groupby("seed")[column].median().dropna()


def seeds(jobs: pd.DataFrame) -> pd.DataFrame:
    """One row for each dataset, settings, model and seed: median mse and study_error."""
    by = ["dataset", "settings", *MODEL, "bottleneck", "seed"]
    columns = ["mse", "study_error"]
    frame = done(jobs).groupby(by, as_index=False, dropna=False)[columns].median()
    return frame.sort_values(by, ignore_index=True)


_SUMMARY = [
    "dataset", "settings", *MODEL, "n_jobs", "n_seeds", "mse", "low", "high", "study_error",
    "parameters", "bottleneck", "input_size", "compression", "pca_mse", "mean_mse",
]  # fmt: skip


def summary(jobs: pd.DataFrame) -> pd.DataFrame:
    """One row for each dataset, settings and model: its error over seeds, with an interval."""
    rows = []
    for identity, group in done(jobs).groupby(["dataset", "settings", *MODEL], sort=False):
        errors = interval(per_seed(group, "mse").to_list())
        study = group[group["study_error"].astype("float64") > 0]
        rows.append(
            dict(zip(["dataset", "settings", *MODEL], identity, strict=True))
            | {"n_jobs": len(group), "n_seeds": errors.n}
            | {"mse": errors.centre, "low": errors.low, "high": errors.high}
            | {
                "study_error": interval(per_seed(study, "study_error").to_list()).centre
                if len(study)
                else None
            }
            | {
                name: group[name].astype("float64").median()
                for name in ("parameters", "bottleneck", "input_size", "compression")
            }
            | {name: mean(per_seed(group, name)) for name in ("pca_mse", "mean_mse")}
        )
    return pd.DataFrame(rows, columns=_SUMMARY)


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


def times(group: pd.DataFrame) -> pd.DataFrame:
    """One row for each model of a group of alike rows: medians, extremes and spread.

    Made of the runs that `aebench check` passes, with the number of the others in `left_out` and
    why in `left_out_for`. Where it passes none, made of all, with why it rejects them in `doubt`.
    """
    rows = []
    for identity, every in group.groupby(MODEL, sort=False):
        runs = accepted(every)
        rejected = every.drop(runs.index)
        why = sorted({d for text in rejected.get("doubt", ()) for d in text.split(", ")})
        doubt = "" if len(runs) else ", ".join(why)
        left = {"left_out": len(rejected), "left_out_for": ", ".join(why)}
        if not len(runs):
            runs, left = every, {"left_out": 0, "left_out_for": ""}
        seconds = runs["train_s"].astype("float64")
        low, middle, high = seconds.min(), seconds.median(), seconds.max()
        rows.append(
            dict(zip(MODEL, identity, strict=True))
            | {"n": len(runs), "runs": seconds.to_list(), "train_s": middle, "doubt": doubt}
            | {"low": low, "high": high}
            | left
            | {"kernels": " or ".join(sorted(set(runs["kernels"].dropna()))) or None}
            | {"spread": (high - low) / middle if len(runs) > 1 else None}
            | {
                name: runs[name].astype("float64").median()
                for name in ("total_s", "images_per_s", "gflops")
            }
            | {f"phase_{name}": runs[name].astype("float64").median() for name in PHASES}
        )
    return pd.DataFrame(rows)
