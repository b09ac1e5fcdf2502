"""Strips of what models were given and what they made of it, as data URIs, model after model.

One seed of each model is shown, and no more than the page can carry; what is left out is told.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import pandas as pd

from aebench.analysis import words
from aebench.analysis.frames import by_dataset
from aebench.store import Results

BUDGET = 300_000  # characters of base64: the page stays small enough to mail
RECONSTRUCTION = "reconstruction"


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
    """Strips of one dataset and kind of input: the originals first, then what models made.

    `note` says how to read them and what the errors are over.
    """

    title: str
    strips: tuple[Strip, ...]
    note: str


def groups(results: Results) -> tuple[list[Group], int]:
    """All groups of strips, and the number of strips left out for want of room.

    Reconstructions of test images come first, and so do their claims to the room.
    """
    chosen = _chosen(results)
    plain = chosen["kind"] == RECONSTRUCTION
    clean = {dataset: rows.iloc[0] for (dataset,), rows in by_dataset(chosen[plain])}
    found: list[Group] = []
    left, omitted = BUDGET, 0
    for (dataset, kind, settings), rows in [
        *by_dataset(chosen[plain], "kind", "settings"),
        *by_dataset(chosen[~plain], "kind", "settings"),
    ]:
        title, given, note = _said(kind)
        strips: list[Strip] = []
        if given == "noisy" and dataset in clean:
            strips.append(_strip(clean[dataset], "input_png", "clean", ""))
            left -= len(strips[0].uri)
        shown: bytes | None = None
        alone = len(strips)
        for _, row in rows.iterrows():
            name = words.model(row["architecture"], row["latent"], row["depth"])
            new = [] if row["input_png"] == shown else [_strip(row, "input_png", given, "")]
            error = row["mse_job"] if kind == RECONSTRUCTION else row["mse"]
            new.append(_strip(row, "output_png", name, f"MSE {words.number(error)}"))
            cost = sum(len(strip.uri) for strip in new)
            if cost > left:
                omitted += 1
                continue
            left -= cost
            shown = row["input_png"]
            strips += new
        if len(strips) > alone:
            found.append(Group(words.titled(dataset, settings) + title, tuple(strips), note))
    return found, omitted


def _said(kind: str) -> tuple[str, str, str]:
    """What is added to a group's title, what its inputs are called, and how to read it."""
    if kind == RECONSTRUCTION:
        note = "Each row is made from the originals above it; MSE is over the whole test set."
        return "", "original", note
    if kind.startswith("denoising "):
        amplitude = kind.removeprefix("denoising ")
        return (
            f": noise of amplitude {amplitude}",
            "noisy",
            (
                "Each row is made from the noisy images above it, which are clipped to [0, 1] for "
                "display only. MSE is against the clean images, over those shown."
            ),
        )
    if kind == "out-of-distribution":
        return (
            ": strangers",
            "original",
            (
                "scikit-learn's china.jpg and flower.jpg, then test images of other data sets "
                "where they were in the cache, all at this data set's size. MSE is over the "
                "images shown."
            ),
        )
    return f": {kind}", "original", "MSE is over the images shown."


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
