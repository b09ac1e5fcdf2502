"""Which candidate is the best, by validation error alone; and the choice where no space is given.

A *candidate* is one set of training settings with a depth and options, a *model* is one
autoencoder on one data set with one seed. A candidate's ratio for a model is its `val_mse` over the
lowest `val_mse` that any candidate reached there; its ratio is the median over models. The lowest
ratio is chosen. A job that did not end ok has an infinite ratio; a candidate that was not run with
every model cannot be chosen. Equal ratios go to what costs or assumes less: fewer epochs, then a
constant schedule, the fixed order, the larger batch, the smaller learning rate. Only the columns in
`COLUMNS` are read, and no test error is among them.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aebench.job import Job
from aebench.protocols import ORDERS, SCHEDULES, SETTINGS, TrainingSettings, told

if TYPE_CHECKING:
    import pandas as pd

_SEARCHED = ("architecture", "dataset", "depth", "options")  # a choice from plain records each
_MODEL = (
    *("architecture", "dataset", "latent", "depth", "options", "seed", "train_noise"),
    *("engine", "precision", "device", "code", "pixels"),
)
COLUMNS = ("key", "status", "val_mse", "aebench", "commit", "started_at", *SETTINGS, *_MODEL)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """One set of settings and a model's form: its median `ratio`, and `val_mse` by model's name.

    A failed job's error is infinite; a model that the candidate was not run with is absent.
    """

    settings: TrainingSettings
    depth: int
    options: str
    ratio: float
    val_mse: Mapping[str, float]

    @property
    def name(self) -> str:
        """The settings in words: ``learning_rate 0.003, cosine, shuffled, 15 epochs of 128``."""
        s = self.settings
        named = ("learning_rate", "schedule", "order", "epochs", "batch_size")
        more = [f", {name}={value}" for name, value in told(s).items() if name not in named]
        return (
            f"learning_rate {s.learning_rate:g}, {s.schedule}, {s.order},"
            f" {s.epochs} epochs of {s.batch_size}{''.join(more)}"
        )

    @property
    def model(self) -> str:
        """Depth and options in words."""
        return f"depth {self.depth}" + (f" ({self.options})" if self.options else "")


@dataclass(frozen=True)
class Choice:
    """What a search says: candidates, best first, and where they come from.

    The first of `candidates` is the chosen one. `others` are not eligible: they were not run with
    every model of the search, or with fewer epochs than its last rung. `search` holds grid,
    keys_sha256, jobs, aebench, commit and started_at, the date of the newest job. `at_edge` names
    the fields whose chosen value lies at an end of what was tried.
    """

    architecture: str
    dataset: str
    latent: tuple[int, ...]
    candidates: Sequence[Candidate]
    others: Sequence[Candidate]
    search: Mapping[str, str | int]
    at_edge: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For people: ``mnist mlp-16,32``."""
        return f"{self.dataset} {self.architecture}-{','.join(map(str, self.latent))}"


def choose(jobs: pd.DataFrame, grid: str) -> tuple[list[Choice], dict[str, str]]:
    """Choose settings for every family, data set, depth and options; else say why, by their name.

    `grid` is the name of the search. The columns read are those in `COLUMNS`.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in plain_rows(jobs, COLUMNS):
        groups.setdefault(tuple(row[name] for name in _SEARCHED), []).append(row)
    choices: list[Choice] = []
    refused: dict[str, str] = {}
    for (family, dataset, depth, options), rows in sorted(groups.items(), key=_by_name):
        runs: dict[tuple[TrainingSettings, int, str], dict[str, list[float]]] = {}
        for row in rows:
            settings = TrainingSettings(**{name: row[name] for name in SETTINGS})
            models = runs.setdefault((settings, depth, options), {})
            models.setdefault(model_name(row), []).append(val_mse(row))
        # Repeats have one result, up to what device and engine make of rounding.
        errors = {
            run: {model: statistics.median(models[model]) for model in sorted(models)}
            for run, models in runs.items()
        }
        whole = {model for models in errors.values() for model in models}
        ranked = rank(errors)
        complete = [c for c in ranked if c.val_mse.keys() == whole]
        others = [c for c in ranked if c.val_mse.keys() != whole]
        name = f"{family} on {dataset}"
        name += f" depth {depth}" * (depth > 1) + f" ({options})" * bool(options)
        if len(complete) < 2:
            refused[name] = f"candidates run with every model: {len(complete)}; a choice needs two"
        elif math.isinf(complete[0].ratio):
            refused[name] = "no candidate ended ok with at least half of the models"
        else:
            latents = tuple(sorted({int(row["latent"]) for row in rows}))
            search = provenance(rows, grid)
            edge = ("learning_rate",) if _rate_at_edge(ranked, complete[0]) else ()
            choices.append(Choice(family, dataset, latents, complete, others, search, edge))
    return choices, refused


def _by_name(group: tuple[tuple[Any, ...], list[Row]]) -> list[str]:
    return [str(part) for part in group[0]]


def _rate_at_edge(tried: Sequence[Candidate], best: Candidate) -> bool:
    """Whether the chosen learning rate is the least or the greatest of several tried."""
    rates = {c.settings.learning_rate for c in tried}
    return len(rates) > 1 and best.settings.learning_rate in (min(rates), max(rates))


def rank(
    errors: Mapping[tuple[TrainingSettings, int, str], Mapping[str, float]],
) -> list[Candidate]:
    """The candidates, best first: settings, depth and options to validation errors by model."""
    best: dict[str, float] = {}
    for models in errors.values():
        best |= {model: min(e, best.get(model, math.inf)) for model, e in models.items()}
    candidates = []
    for (settings, depth, options), models in errors.items():
        ratios = (e / best[model] if math.isfinite(e) else math.inf for model, e in models.items())
        candidates.append(Candidate(settings, depth, options, statistics.median(ratios), models))
    return sorted(candidates, key=order)


def order(candidate: Candidate) -> tuple[float | str, ...]:
    """What candidates are sorted by, the best first."""
    s = candidate.settings
    return (
        candidate.ratio,
        s.epochs,
        SCHEDULES.index(s.schedule),
        ORDERS.index(s.order),
        -s.batch_size,
        s.learning_rate,
        candidate.depth,
        candidate.options,
    )


def plain_rows(jobs: pd.DataFrame, columns: Sequence[str]) -> list[Row]:
    """These columns of a table as rows, numpy's numbers as Python's own."""
    return [
        {str(k): v.item() if hasattr(v, "item") else v for k, v in row.items()}
        for row in jobs.loc[:, list(columns)].to_dict("records")
    ]


def val_mse(row: Row) -> float:
    """The validation error of a row; infinite where its job did not end ok."""
    error = float(row["val_mse"]) if row["status"] == "ok" else math.inf
    return error if math.isfinite(error) else math.inf


def model_name(row: Row) -> str:
    """A job's model in words: ``digits mlp-4 depth 2 seed 1``."""
    job = Job(**{name: row[name] for name in _MODEL})
    # By whatever engine, a job ends with the same error within rounding.
    return job.name_by(Job.engine) + (f" on {job.device}" if job.device != "cpu" else "")


def provenance(rows: Sequence[Row], grid: str) -> dict[str, str | int]:
    """Where a choice comes from, as an entry tells it."""

    def several(column: str) -> str:
        return ", ".join(sorted({str(row[column]) for row in rows if row[column]}))

    return {
        "grid": grid,
        "keys_sha256": keys_sha256(str(row["key"]) for row in rows),
        "jobs": len(rows),
        "aebench": several("aebench"),
        "commit": several("commit"),
        "started_at": max(str(row["started_at"]) for row in rows),
    }


def keys_sha256(keys: Iterable[str]) -> str:
    """The hash that names a set of jobs: sha256 of their sorted keys, joined by line ends."""
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()
