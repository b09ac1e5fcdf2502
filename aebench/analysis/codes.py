"""What can be read off codes: accuracies over seeds beside PCA's, and the maps worth drawing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from aebench import schema
from aebench.analysis import frames, names, words
from aebench.analysis.statistics import Interval, interval
from aebench.store import Results

COLUMNS = ["code_accuracy", "pca_code_accuracy"]
_SURE = 0.9999


def probed(jobs: pd.DataFrame) -> pd.DataFrame:
    """Finished jobs whose code was probed, and PCA's of the same size beside it."""
    rows = frames.done(jobs)
    rows = rows.assign(**{name: rows[name].astype("float64") for name in COLUMNS})
    return rows[(rows[COLUMNS] > 0).all(axis="columns")]


def share(values: Iterable[float]) -> Interval:
    """Mean of shares of 1 with an interval that stays between 0 and 1.

    Student's t as for all figures, on the logarithm of the odds a / (1 - a); a share of 1 stands
    there as `_SURE`.
    """
    kept = [min(value, _SURE) for value in values]
    odds = interval([value / (1 - value) for value in kept])
    low, high = (None if end is None else end / (1 + end) for end in (odds.low, odds.high))
    return Interval(odds.centre / (1 + odds.centre), low, high, odds.n)


@dataclass(frozen=True)
class Accuracy:
    """How well labels are read off the codes of one model; `ratio` is to PCA's, seed by seed.

    `identity` is the model's by `names.identity`.
    """

    model: str
    identity: str
    line: str
    bottleneck: int
    own: Interval
    pca: float
    ratio: Interval


def accuracies(rows: pd.DataFrame) -> list[Accuracy]:
    """One for each model among `probed` jobs of one data set and settings, by bottleneck."""
    found = []
    for _, group in rows.groupby(frames.MODEL, sort=False):
        by_seed = group.groupby("seed")[COLUMNS].median()
        own, pca = (by_seed[name] for name in COLUMNS)
        first = group.iloc[0]
        found.append(
            Accuracy(
                model=words.model_of(first),
                identity=names.identity(first),
                line=words.line(str(first["architecture"]), first["depth"]),
                bottleneck=int(first["bottleneck"]),
                own=share(own),
                pca=share(pca).centre,
                ratio=interval((own / pca).to_list()),
            )
        )
    return sorted(found, key=lambda each: (each.line, each.bottleneck, each.model))


def pca_line(rows: pd.DataFrame) -> pd.Series[float]:
    """PCA's accuracy by bottleneck, over the seeds of `probed` jobs of one data set."""
    by_seed = rows.groupby(["bottleneck", "seed"])["pca_code_accuracy"].median()
    return by_seed.groupby("bottleneck").agg(lambda seeds: share(seeds).centre)


def unread(jobs: pd.DataFrame) -> pd.Series[int]:
    """Why the codes of finished models that compress were not probed, and of how many jobs."""
    rows = frames.done(jobs)
    small = rows["compression"].astype("float64") >= schema.COMPRESSES
    notes = rows.loc[small & rows["code_accuracy"].isna(), "code_note"].fillna("")
    return notes[notes != ""].value_counts(sort=False)


@dataclass(frozen=True)
class Map:
    """Codes of two numbers: `job` is a row of jobs, `images` and `grid` are rows of `codes`.

    `grid` has the codes that `png` shows decoded; both may be empty.
    """

    job: pd.Series
    images: pd.DataFrame
    grid: pd.DataFrame
    png: bytes


def maps(results: Results) -> dict[str, list[Map]]:
    """For each data set the maps of its families: of each the job with the least validation error.

    Whatever its settings, depth and seed.
    """
    jobs = frames.done(results.jobs)
    mapped = jobs[jobs["key"].isin(results.codes["key"])]
    mapped = mapped.assign(val_mse=mapped["val_mse"].astype("float64"))
    best = mapped.sort_values("val_mse", kind="stable", na_position="last")
    best = best.drop_duplicates(["dataset", "architecture"])
    grids = results.samples[results.samples["kind"] == schema.DECODED_GRID]
    pngs = grids.dropna(subset=["output_png"]).set_index("key")["output_png"]
    found: dict[str, list[Map]] = {}
    for _, job in mapped.loc[mapped.index.isin(best.index)].iterrows():
        points = results.codes[results.codes["key"] == job["key"]]
        images, grid = (
            points[points["kind"] == kind] for kind in (schema.CODE_OF_IMAGE, schema.CODE_OF_GRID)
        )
        png = pngs.get(job["key"], b"")
        found.setdefault(str(job["dataset"]), []).append(Map(job, images, grid, png))
    return found
