"""The same test images as each model gives them back, best to worst, beside the originals.

Which models are shown is decided in `analysis.ranking`. Of each the seed is pictured whose error
is nearest to the mean over seeds, which stands beside it: no lucky draw, and no unlucky one.
"""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from aebench.analysis import frames, words
from aebench.language import say
from aebench.page.ranking_plot import common, named
from aebench.schema import RECONSTRUCTION
from aebench.store import Results

IMAGES = 8  # of a strip that are shown; the rest is cut off by the style sheet
BUDGET = 200_000  # characters of base64


@dataclass(frozen=True)
class Film:
    """One strip: whose it is, what stands small below, its error and code, and its images.

    Of its pixels, `height` from top to bottom, `shown` are to be seen, from the left.
    """

    name: str
    small: str
    mse: str
    numbers: str
    uri: str
    height: int
    shown: int
    alt: str
    look: str = ""


@dataclass(frozen=True)
class Digits:
    """All strips, the originals first."""

    title: str
    reading: str
    films: tuple[Film, ...]


def digits(results: Results, chosen: pd.DataFrame) -> Digits | None:
    """Strips of the models `chosen`, rows of `frames.summary` of one data set, in their order.

    Only those that were given the same images, and no more than the page can carry. None where
    there are no pictures.
    """
    found = _strips(results, chosen)
    if not len(found):
        return None
    originals = found["input_png"].mode().iloc[0]
    mine = found[found["input_png"] == originals]
    nearest = mine.sort_values(["rank", "off", "seed"], kind="stable").drop_duplicates("rank")
    first = nearest.iloc[0]
    films = [
        _film(
            originals,
            first,
            say("original"),
            "",
            "",
            words.counted(int(first["input_size"]), "number"),
            "original",
        )
    ]
    left = BUDGET - len(films[0].uri)
    for row in nearest.to_dict("records"):
        name, told = named(row, common(nearest))
        numbers = words.counted(round(row["bottleneck"]), "number")
        look = "copies" if row["copies"] else ""
        error = words.number(row["mse"])
        film = _film(row["output_png"], row, name, ", ".join(told), error, numbers, look)
        if len(film.uri) > left:
            break
        left -= len(film.uri)
        films.append(film)
    return Digits(
        say("{dataset}, best to worst", dataset=words.short(words.dataset(str(first["dataset"])))),
        say(
            "The same test images, from the numbers in each model's code. MSE is the mean over "
            "seeds, and the seed nearest to it is pictured."
        ),
        tuple(films),
    )


def _strips(results: Results, chosen: pd.DataFrame) -> pd.DataFrame:
    """Every stored strip of `chosen`, with the model's rank and how far off its seed's error is."""
    by = ["settings", *frames.MODEL]
    models = chosen.assign(rank=range(len(chosen)))
    seeds = frames.done(results.jobs)[["key", "seed", "mse", *by]]
    samples = results.samples[results.samples["kind"] == RECONSTRUCTION]
    samples = samples.dropna(subset=["input_png", "output_png"])[
        ["key", "images", "input_png", "output_png"]
    ]
    every = models.merge(seeds, on=by, suffixes=("", "_seed")).merge(samples, on="key")
    off = (every["mse_seed"].astype("float64") / every["mse"].astype("float64")).map(math.log)
    return every.assign(off=off.abs())


def _film(png: bytes, row: Any, name: str, small: str, mse: str, numbers: str, look: str) -> Film:
    # Width and height stand in the header of every PNG, at fixed places.
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    images = max(1, int(row["images"]))
    shown = width * min(images, IMAGES) // images
    uri = "data:image/png;base64," + base64.b64encode(png).decode()
    seen = words.counted(min(images, IMAGES), "image")
    alt = words.headed(name, seen + (f", MSE {mse}" if mse else ""))
    return Film(name, small, mse, numbers, uri, height, shown, alt, look)
