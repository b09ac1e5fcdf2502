"""Which stored jobs are a search's candidates, and how these did on its rungs, by validation error.

A job belongs to a search if `aebench tune` trained it, which its column `command` says. There are
dozens of settings of every model among them, so that they are shown apart.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis.names import shown, texts
from aebench.protocols import SETTINGS, TrainingSettings, told
from aebench.store import Results

_COMMAND = "aebench tune "
_KEYED = ("epochs", "samples", "probes")
_NAMED = ("epochs", "batch_size", "learning_rate", "schedule", "order")
# What makes a candidate, whatever its epochs.
_CANDIDATE = [*(name for name in SETTINGS if name != "epochs"), "depth", "options"]


@dataclass(frozen=True)
class Search:
    """One model's candidates: a row of `candidates` each, with its `val_mse`, by rung and error.

    `winner` is the label of the row that has the least error on the last rung, `path` those of the
    same candidate on every rung, in turn. `failed` counts candidates without an error.
    """

    dataset: str
    architecture: str
    latent: int
    candidates: pd.DataFrame
    winner: Hashable
    path: Sequence[Hashable]
    failed: int

    @property
    def rungs(self) -> list[int]:
        """The epochs of every rung."""
        return sorted({int(epochs) for epochs in self.candidates["epochs"]})


def searched(jobs: pd.DataFrame) -> pd.Series[bool]:
    """The rows that are a search's candidates."""
    return texts(jobs, "command").str.startswith(_COMMAND)


def without(results: Results) -> Results:
    """The results without those of searches, for what compares models."""
    found = searched(results.jobs)
    if not found.any():
        return results
    jobs = results.jobs[~found].reset_index(drop=True)
    mine = {n: getattr(results, n) for n in _KEYED}
    kept = {n: f[f["key"].isin(jobs["key"])].reset_index(drop=True) for n, f in mine.items()}
    return dataclasses.replace(results, jobs=jobs, **kept)


def searches(jobs: pd.DataFrame) -> list[Search]:
    """The searches in `jobs`, by data set, family and latent, in their order.

    Left out are those where nothing ended ok. `jobs` are as they are stored: forms of a model are
    not told apart by its name yet, as in `frames.ordered`.
    """
    rows = shown(jobs[searched(jobs)])
    rows["val_mse"] = rows["val_mse"].astype("float64").where(rows["status"].eq("ok"))
    rows["options"] = texts(rows, "options")
    made = []
    by = ["dataset", "architecture", "latent"]
    for (dataset, architecture, latent), group in rows.groupby(by):
        fit = group[np.isfinite(group["val_mse"]) & (group["val_mse"] > 0)]
        if not len(fit):
            continue
        candidates = fit.sort_values(["epochs", "val_mse", "key"], ascending=[False, True, True])
        best = candidates.iloc[0]
        same = (candidates[_CANDIDATE] == best[_CANDIDATE]).all(axis="columns")
        path = candidates[same].sort_values("epochs").drop_duplicates("epochs")
        labels = list(path.index)
        failed = len(group) - len(fit)
        name = (str(dataset), str(architecture), int(str(latent)))
        made.append(Search(*name, candidates, candidates.index[0], labels, failed))
    return made


def further(row: pd.Series[Any]) -> str:
    """What of a row's settings is not usual and has no column of its own: ``optimizer=adamw``."""
    settings = TrainingSettings(**{name: row[name] for name in SETTINGS})
    rest = {name: value for name, value in told(settings).items() if name not in _NAMED}
    return ", ".join(f"{name}={value}" for name, value in rest.items())
