"""Strips of original and reconstructed images, as data URIs, in the order of the models.

One seed of each model is shown, and no more than the page can carry; what is left out is told.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pandas as pd

from aebench.report import words
from aebench.report.frames import by_dataset
from aebench.store import Results

BUDGET = 450_000  # bytes of PNG: the page stays small enough to mail


@dataclass(frozen=True)
class Strip:
    """One strip of images: what it shows, its error where it has one, its address and size."""

    caption: str
    detail: str
    uri: str
    images: int
    width: int
    height: int


@dataclass(frozen=True)
class Group:
    """Strips of one dataset and kind of input: the originals first, then what models made."""

    title: str
    strips: tuple[Strip, ...]


def groups(results: Results) -> tuple[list[Group], int]:
    """All groups of strips, and the number of models left out for want of room."""
    chosen = _chosen(results)
    found: list[Group] = []
    left, omitted = BUDGET, 0
    for (dataset, settings, kind), rows in by_dataset(chosen, "settings", "kind"):
        strips: list[Strip] = []
        shown: bytes | None = None
        for _, row in rows.iterrows():
            name = words.model(row["architecture"], row["latent"], row["depth"])
            new = [] if row["input_png"] == shown else [_strip(row, "input_png", "original", "")]
            detail = f"MSE {words.number(row['mse_job'])}"
            new.append(_strip(row, "output_png", name, detail))
            cost = sum(len(strip.uri) for strip in new)
            if cost > left:
                omitted += 1
                continue
            left -= cost
            shown = row["input_png"]
            strips += new
        title = words.titled(dataset, settings)
        title += "" if kind == "reconstruction" else f": {kind}"
        if strips:
            found.append(Group(title, tuple(strips)))
    return found, omitted


def _chosen(results: Results) -> pd.DataFrame:
    """Samples with their jobs, only the first job of each model."""
    model = ["dataset", "settings", "architecture", "depth", "latent"]
    good = results.jobs[results.jobs["status"] == "ok"]
    jobs = good[[*model, "seed", "key", "mse"]]
    # This way round the merge keeps the order of the jobs.
    samples = results.samples.dropna(subset=["input_png", "output_png"])
    merged = jobs.merge(samples, on="key", suffixes=("_job", ""))
    return merged.drop_duplicates([*model, "kind"])


def _strip(row: pd.Series, column: str, caption: str, detail: str) -> Strip:
    png: bytes = row[column]
    # Width and height stand in the header of every PNG, at fixed places.
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    uri = "data:image/png;base64," + base64.b64encode(png).decode()
    return Strip(caption, detail, uri, int(row["images"]), width, height)
