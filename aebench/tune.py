"""Chooses the settings of the protocol `tuned` from the records of a search, on validation error.

For each family of architectures: a *candidate* is one set of training settings, a *model* is one
autoencoder on one dataset with one seed. A candidate's ratio for a model is its `val_mse` over the
lowest `val_mse` that any candidate reached with that model; its ratio is the median over models.
The lowest ratio is chosen. A job that did not end ok has an infinite ratio; a candidate that was
not run with every model of the family cannot be chosen. Equal ratios go to what costs or assumes
less: fewer epochs, then a constant schedule, the fixed order, the larger batch, the smaller
learning rate. Only the columns in `COLUMNS` are read, and no test error is among them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import statistics
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from aebench.disk import write_whole
from aebench.errors import RequestError
from aebench.job import Job
from aebench.protocols import ORDERS, SCHEDULES, TUNED, TrainingSettings, told

if TYPE_CHECKING:
    import pandas as pd

SETTINGS = tuple(f.name for f in dataclasses.fields(TrainingSettings))
_MODEL = (
    *("architecture", "dataset", "latent", "depth", "options", "seed", "train_noise"),
    *("engine", "precision", "device"),
)
COLUMNS = ("key", "status", "val_mse", "aebench", "commit", "started_at", *SETTINGS, *_MODEL)

_HEAD = """\
# Settings of the protocol `tuned`: one table a family of architectures, with the search that chose
# them. Written by `aebench tune` from validation errors alone; aebench/tune.py has the rule.
# `keys_sha256` is the hash of the sorted keys of the search's jobs, joined by line ends.
"""


@dataclass(frozen=True)
class Candidate:
    """One set of settings: its median `ratio`, and `val_mse` by the name of each model.

    A failed job's error is infinite; a model that the candidate was not run with is absent.
    """

    settings: TrainingSettings
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


@dataclass(frozen=True)
class Choice:
    """What a search says of one family: candidates, best first, and where they come from.

    `candidates` were run with every model of the family, `incomplete` were not. `search` holds
    grid, keys_sha256, jobs, aebench, commit and started_at, the date of the newest job.
    """

    architecture: str
    candidates: Sequence[Candidate]
    incomplete: Sequence[Candidate]
    search: Mapping[str, str | int]

    @property
    def at_edge(self) -> bool:
        """Whether the chosen learning rate is the least or the greatest of several tried."""
        rates = {c.settings.learning_rate for c in (*self.candidates, *self.incomplete)}
        best = self.candidates[0].settings.learning_rate
        return len(rates) > 1 and best in (min(rates), max(rates))


def choose(jobs: pd.DataFrame, grid: str) -> tuple[list[Choice], dict[str, str]]:
    """Choose settings for every family in `jobs`; where that is impossible, say why by family.

    `grid` is the name of the search. The columns read are those in `COLUMNS`.
    """
    rows = jobs.loc[:, list(COLUMNS)].to_dict("records")
    choices: list[Choice] = []
    refused: dict[str, str] = {}
    for family in sorted({str(row["architecture"]) for row in rows}):
        mine = [{str(k): v for k, v in r.items()} for r in rows if r["architecture"] == family]
        candidates, incomplete = _candidates(mine)
        if len(candidates) < 2:
            refused[family] = (
                f"{len(candidates)} candidates were run with every model; a choice needs two"
            )
        elif math.isinf(candidates[0].ratio):
            refused[family] = "no candidate ended ok with at least half of the models"
        else:
            choices.append(Choice(family, candidates, incomplete, _provenance(mine, grid)))
    return choices, refused


def _candidates(rows: Iterable[Mapping[str, Any]]) -> tuple[list[Candidate], list[Candidate]]:
    runs: dict[TrainingSettings, dict[str, list[float]]] = {}
    for row in rows:
        settings = TrainingSettings(**{name: _plain(row[name]) for name in SETTINGS})
        val_mse = float(row["val_mse"]) if row["status"] == "ok" else math.inf
        val_mse = val_mse if math.isfinite(val_mse) else math.inf
        runs.setdefault(settings, {}).setdefault(_model_name(row), []).append(val_mse)
    # Repeats and re-runs of one job have one result, up to what device and engine make of rounding.
    errors = {
        settings: {model: statistics.median(models[model]) for model in sorted(models)}
        for settings, models in runs.items()
    }
    best: dict[str, float] = {}
    for models in errors.values():
        best |= {model: min(e, best.get(model, math.inf)) for model, e in models.items()}
    candidates = []
    for settings, models in errors.items():
        ratio = statistics.median(_ratio(e, best[model]) for model, e in models.items())
        candidates.append(Candidate(settings, ratio, models))
    candidates.sort(key=_rank)
    complete = [c for c in candidates if c.val_mse.keys() == best.keys()]
    return complete, [c for c in candidates if c.val_mse.keys() != best.keys()]


def _ratio(val_mse: float, best: float) -> float:
    return val_mse / best if math.isfinite(val_mse) else math.inf


def _rank(candidate: Candidate) -> tuple[float, ...]:
    s = candidate.settings
    return (
        candidate.ratio,
        s.epochs,
        SCHEDULES.index(s.schedule),
        ORDERS.index(s.order),
        -s.batch_size,
        s.learning_rate,
    )


def _plain(value: Any) -> Any:
    """A numpy number as Python's own."""
    return value.item() if hasattr(value, "item") else value


def _model_name(row: Mapping[str, Any]) -> str:
    job = Job(**{name: _plain(row[name]) for name in _MODEL})
    # By whatever engine, a job ends with the same error within rounding.
    return job.name_by(Job.engine) + (f" on {job.device}" if job.device != "cpu" else "")


def _provenance(rows: Sequence[Mapping[str, Any]], grid: str) -> dict[str, str | int]:
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


def write(choices: Iterable[Choice], path: Path) -> None:
    """Write the chosen settings to `path`, keeping its tables of families that are not chosen anew.

    Raises:
        RequestError: the file there is not TOML, or it cannot be written, or is aebench's own.
    """
    if path.resolve() == TUNED.resolve():
        raise RequestError(
            f"{path} is aebench's own: what --protocol tuned means is the same for everybody;"
            " write another file, and use it as --protocol FILE.toml"
        )
    try:
        tables = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise RequestError(f"{path} is there and cannot be read as TOML: {error}") from None
    for choice in choices:
        best, second = choice.candidates[:2]
        tables[choice.architecture] = {
            **told(best.settings),
            "ratio": best.ratio,
            **choice.search,
            "val_mse": best.val_mse,
            "runner_up": {
                **told(second.settings),
                "ratio": second.ratio,
                "val_mse": second.val_mse,
            },
        }
    text = f"{_HEAD}\n{tomli_w.dumps(dict(sorted(tables.items())))}"
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror or error}") from error
