"""Which pictures of models the page keeps for whoever looks closer, and how few of them.

Strips are cut to their first images and kept once each, within a budget: reconstructions of the
best models first, then what the best denoisers make of noise.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import names, words
from aebench.language import numeral
from aebench.schema import DENOISING, RECONSTRUCTION, amplitude_of
from aebench.store import Results

BUDGET = 100_000  # characters of base64: the page stays small enough to mail
_IMAGES = 8  # of a strip
_NUMBERS = 13_000  # of a strip: four images of 32 x 32 in colour, but never less than three

Film = dict[str, Any]


class Films:
    """The strips of the models `ids`, which come best first; `pngs` has each picture once."""

    def __init__(self, results: Results, ids: Sequence[str]) -> None:
        self.pngs: list[tuple[str, int, int, int]] = []
        """Base64, width, height and number of images of every strip."""
        self._places: dict[bytes, int] = {}
        self._cuts: dict[bytes, tuple[bytes, int, int, int]] = {}  # inputs are those of many
        self._films: dict[str, dict[str, Film]] = {model: {} for model in ids}
        self._left = BUDGET
        samples = _samples(results)
        plain = samples["kind"] == RECONSTRUCTION
        self._clean = samples[plain].drop_duplicates("dataset").set_index("dataset")["input_png"]
        place = {model: i for i, model in enumerate(ids)}
        shown = samples[samples["model"].isin(ids)]
        for row in shown[plain].sort_values("model", key=lambda m: m.map(place)).to_dict("records"):
            self._claim("plain", row)
        for row in _least_noise(shown).to_dict("records"):
            self._claim("noise", row)

    def of(self, model: str) -> dict[str, Film]:
        """What is kept of a model: films ``plain`` and ``noise``, places of strips in `pngs`."""
        return self._films.get(model, {})

    def _claim(self, name: str, row: Mapping[Any, Any]) -> None:
        strips = {"in": row["input_png"], "out": row["output_png"]}
        if name == "noise" and row["dataset"] in self._clean.index:
            strips["clean"] = self._clean[row["dataset"]]
        for png in strips.values():
            if png not in self._cuts:
                self._cuts[png] = _cut(png, int(row["images"]))
        cut = {part: self._cuts[png] for part, png in strips.items()}
        new = {strip for strip in cut.values() if strip[0] not in self._places}
        cost = sum(4 * -(-len(png) // 3) for png, *_ in new)
        if cost > self._left:
            return
        self._left -= cost
        film: Film = {part: self._place(*strip) for part, strip in cut.items()}
        film["seed"] = int(row["seed"])
        if name == "noise":
            film["amplitude"] = numeral(row["amplitude"], "g")
            film["mse"] = words.number(row["mse"])
        self._films[row["model"]][name] = film

    def _place(self, png: bytes, width: int, height: int, images: int) -> int:
        if png not in self._places:
            self._places[png] = len(self.pngs)
            self.pngs.append((base64.b64encode(png).decode(), width, height, images))
        return self._places[png]


def _samples(results: Results) -> pd.DataFrame:
    """Samples with inputs, of the first finished job of each model, in the order of the jobs."""
    good = results.jobs[results.jobs["status"] == "ok"]
    samples = results.samples.dropna(subset=["input_png", "output_png"])
    # This way round the merge keeps the order of the jobs.
    merged = good[[*names.IDENTITY, "key", "seed"]].merge(samples, on="key")
    merged = merged.drop_duplicates([*names.IDENTITY, "kind"])
    return merged.assign(model=[names.identity(row) for row in merged.to_dict("records")])


def _least_noise(samples: pd.DataFrame) -> pd.DataFrame:
    """The samples with the least noise, which may still be removed; of a data set best first."""
    rows = samples[samples["kind"].str.startswith(DENOISING)]
    amplitude = pd.Series([amplitude_of(str(kind)) or np.nan for kind in rows["kind"]], rows.index)
    rows = rows.assign(amplitude=amplitude.astype("float64"))[amplitude == amplitude.min()]
    place = rows.groupby("dataset")["mse"].rank(method="first")
    return rows.assign(place=place).sort_values("place", kind="stable")


def _cut(png: bytes, images: int) -> tuple[bytes, int, int, int]:
    """The first images of a strip of so many, with its width, height and their number."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as strip:
        numbers = max(1, strip.width * strip.height * len(strip.getbands()) // images)
        kept = min(images, _IMAGES, max(3, _NUMBERS // numbers))
        width = strip.width // images * kept
        if kept == images:
            return png, strip.width, strip.height, images
        made = io.BytesIO()
        strip.crop((0, 0, width, strip.height)).save(made, "PNG", optimize=True)
        return made.getvalue(), width, strip.height, kept
