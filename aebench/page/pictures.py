"""The section of pictures: strips of what models were given and what they made of it.

One seed of each model is shown, and no more than the page can carry; what is left out is told.
"""

from __future__ import annotations

import base64
from dataclasses import replace

import pandas as pd

from aebench.analysis import frames, names, words
from aebench.analysis.frames import by_dataset
from aebench.page.parts import Section, Strip, Strips
from aebench.schema import RECONSTRUCTION, STRANGERS, amplitude_of
from aebench.store import Results

BUDGET = 60_000  # characters of base64: the page stays small, and its panel has more of them


def section(results: Results) -> Section:
    """All strips, by dataset and what was fed in."""
    shown, omitted = groups(results)
    intro = [
        "Images and what one seed of each model, its first, makes of them. The errors beside them "
        "are that seed's alone; the tables have the mean over all seeds."
    ]
    if not shown:
        intro = ["No finished job left pictures."]
    if omitted:
        intro.append(f"{words.counted(omitted, 'strip')} left out to keep this file small.")
    return Section("pictures", "Pictures", tuple(intro), strips=tuple(shown))


def groups(results: Results) -> tuple[list[Strips], int]:
    """All groups of strips, and the number of strips left out for want of room.

    Reconstructions of test images come first, and so do their claims to the room.
    """
    chosen = _chosen(results)
    plain = chosen["kind"] == RECONSTRUCTION
    clean = {dataset: rows.iloc[0] for (dataset,), rows in by_dataset(chosen[plain])}
    made: list[Strips] = []
    left, omitted = BUDGET, 0
    for (dataset, kind, settings), rows in [
        *by_dataset(chosen[plain], "kind", "settings"),
        *by_dataset(chosen[~plain], "kind", "settings"),
    ]:
        title, given, note = _in_words(kind)
        strips: list[Strip] = []
        if given == "noisy" and dataset in clean:
            strips.append(_strip(clean[dataset], "input_png", "clean"))
            left -= len(strips[0].uri)
        shown: bytes | None = None
        alone = len(strips)
        for _, row in rows.iterrows():
            new = [] if row["input_png"] == shown else [_strip(row, "input_png", given)]
            error = row["mse_job"] if kind == RECONSTRUCTION else row["mse"]
            detail = f"MSE {words.number(error)}"
            made_by = replace(
                _strip(row, "output_png", words.model_of(row), detail), model=names.identity(row)
            )
            new.append(made_by)
            cost = sum(len(strip.uri) for strip in new)
            if cost > left:
                omitted += 1
                continue
            left -= cost
            shown = row["input_png"]
            strips += new
        if len(strips) > alone:
            made.append(Strips(words.titled(dataset, settings) + title, tuple(strips), note))
    return made, omitted


def _in_words(kind: str) -> tuple[str, str, str]:
    """What is added to a group's title, what its inputs are called, and how to read it."""
    if kind == RECONSTRUCTION:
        note = "Each row is made from the originals above it; MSE is over the whole test set."
        return "", "original", note
    amplitude = amplitude_of(kind)
    if amplitude is not None:
        return (
            f": noise of amplitude {amplitude:g}",
            "noisy",
            "Each row is made from the noisy images above it, which are clipped to [0, 1] for "
            "display only. MSE is against the clean images, over those shown.",
        )
    if kind == STRANGERS:
        return (
            ": strangers",
            "original",
            "scikit-learn's china.jpg and flower.jpg, then test images of other data sets "
            "where they were in the cache, all at this data set's size. MSE is over the "
            "images shown.",
        )
    return f": {kind}", "original", "MSE is over the images shown."


def _chosen(results: Results) -> pd.DataFrame:
    """Samples with their jobs, only the first job of each model."""
    model = ["dataset", "settings", *frames.MODEL]
    good = results.jobs[results.jobs["status"] == "ok"]
    # This way round the merge keeps the order of the jobs.
    samples = results.samples.dropna(subset=["input_png", "output_png"])
    merged = good[[*model, "key", "mse"]].merge(samples, on="key", suffixes=("_job", ""))
    return merged.drop_duplicates([*model, "kind"])


def _strip(row: pd.Series, column: str, caption: str, detail: str = "") -> Strip:
    png: bytes = row[column]
    # Width and height stand in the header of every PNG, at fixed places.
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    uri = "data:image/png;base64," + base64.b64encode(png).decode()
    return Strip(caption, detail, uri, int(row["images"]), width, height)
