"""Which pictures of models the page keeps for whoever looks closer.

Reconstructions of the best models first, then what the best denoisers make of noise, as long as
the page has room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import names, ranking, words
from aebench.language import numeral
from aebench.page.images import PANEL, Images
from aebench.schema import DENOISING, RECONSTRUCTION, amplitude_of
from aebench.store import Results

Film = dict[str, Any]


class Films:
    """The strips of the models `ids`, which come best first, among the `images` of a page."""

    def __init__(self, results: Results, ids: Sequence[str], images: Images) -> None:
        self._images = images
        self._films: dict[str, dict[str, Film]] = {model: {} for model in ids}
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
        """What is kept of a model: films ``plain`` and ``noise``, by the ids of their strips."""
        return self._films.get(model, {})

    def _claim(self, name: str, row: Mapping[Any, Any]) -> None:
        pngs = {"in": row["input_png"], "out": row["output_png"]}
        if name == "noise" and row["dataset"] in self._clean.index:
            pngs["clean"] = self._clean[row["dataset"]]
        strips = {part: (png, int(row["images"])) for part, png in pngs.items()}
        cost = self._images.cost(*strips.values())
        if cost and self._images.size + cost > PANEL:
            return
        made = {part: self._images.film(*strip) for part, strip in strips.items()}
        film: Film = {part: strip.id for part, strip in made.items()}
        film |= {"images": made["out"].images, "seed": int(row["seed"])}
        if name == "noise":
            film["amplitude"] = numeral(row["amplitude"], "g")
            film["mse"] = words.number(row["mse"])
        self._films[row["model"]][name] = film


def _samples(results: Results) -> pd.DataFrame:
    """Samples with inputs, of the most typical job of each model, in the order of the jobs."""
    good = ranking.typical(results.jobs)
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
