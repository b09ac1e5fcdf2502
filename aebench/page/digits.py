"""The same test images as each model gives them back, best to worst, beside the originals.

Which models are shown is decided in `analysis.ranking`, and of each the seed in `ranking.typical`:
no lucky draw, and no unlucky one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from aebench.analysis import frames, ranking, words
from aebench.language import say
from aebench.page import images
from aebench.page.images import Images
from aebench.page.ranking_plot import common, named
from aebench.schema import RECONSTRUCTION
from aebench.store import Results


@dataclass(frozen=True)
class Film:
    """One strip: whose it is, what stands small below, its error and code, and its images."""

    name: str
    small: str
    mse: str
    numbers: str
    strip: images.Film
    look: str = ""

    @property
    def alt(self) -> str:
        """What it says to those who do not see it."""
        shown = words.counted(self.strip.images, "image")
        return words.headed(self.name, shown + (f", MSE {self.mse}" if self.mse else ""))


@dataclass(frozen=True)
class Digits:
    """All strips, the originals first."""

    title: str
    reading: str
    films: tuple[Film, ...]


def digits(results: Results, chosen: pd.DataFrame, held: Images) -> Digits | None:
    """Strips of the models `chosen`, rows of `frames.summary` of one data set, in their order.

    Only those that were given the same images, and no more than the page can carry, which has
    `held` already. None where there are no pictures.
    """
    found = _strips(results, chosen)
    if not len(found):
        return None
    originals = found["input_png"].mode().iloc[0]
    mine = found[found["input_png"] == originals].drop_duplicates("rank")
    first = mine.iloc[0]
    size = words.counted(int(first["input_size"]), "number")
    films = [_film(held, originals, first, say("original"), "", "", size, "original")]
    for row in mine.to_dict("records"):
        if held.size + held.cost((row["output_png"], row["images"])) > images.HEAD:
            break
        name, told = named(row, common(mine))
        numbers = words.counted(round(row["bottleneck"]), "number")
        look = "copies" if row["copies"] else ""
        error = words.number(row["mse"])
        png = row["output_png"]
        films.append(_film(held, png, row, name, ", ".join(told), error, numbers, look))
    return Digits(
        say("{dataset}, best to worst", dataset=words.short(words.dataset(str(first["dataset"])))),
        say(
            "The same test images, from the numbers in each model's code. MSE is the mean over "
            "seeds, and the seed nearest to it is pictured."
        ),
        tuple(films),
    )


def _strips(results: Results, chosen: pd.DataFrame) -> pd.DataFrame:
    """Every stored strip of `chosen` with the model's rank, the most typical of each first."""
    by = ["settings", *frames.MODEL]
    models = chosen.assign(rank=range(len(chosen)))
    seeds = ranking.typical(results.jobs)[["key", *by]]
    samples = results.samples[results.samples["kind"] == RECONSTRUCTION]
    samples = samples.dropna(subset=["input_png", "output_png"])[
        ["key", "images", "input_png", "output_png"]
    ]
    return models.merge(seeds, on=by).merge(samples, on="key")


def _film(
    held: Images, png: bytes, row: Any, name: str, small: str, mse: str, numbers: str, look: str
) -> Film:
    return Film(name, small, mse, numbers, held.film(png, int(row["images"])), look)
