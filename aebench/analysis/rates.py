"""Codes as compression, over seeds: bytes per image against error, beside PCA and picture files.

A learned code stands for what it takes and loses on average over its seeds; the best of them are
a Pareto front. The format of a picture file is measured at a few qualities: between two of them
its error is read off the straight line in logarithms, and beyond them nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import fights, frames, words
from aebench.analysis.statistics import Interval, interval
from aebench.store import Results

PCA = "PCA"
FORMATS = {"jpeg": "JPEG", "webp": "WebP", "png": "PNG"}
_CODE = ["dataset", "codec", "family", "settings", *frames.MODEL, "bits"]
_TEXTS = ["dataset", "codec", "family", "settings", "architecture"]
_FIGURES = ["bytes_per_image", "mse", "ssim", "fixed_bytes_per_image", "decoder_bytes"]


def codes(results: Results) -> pd.DataFrame:
    """One row for each model's code, and PCA's, at each number of bits: means over seeds.

    `cost` is bytes per image, `error` the MSE, as `fights.front` wants them; `name` says whose
    code it is, `by_seed` maps each seed to its bytes and its MSE. `family` is the architecture,
    whatever its options, or PCA.
    """
    rates = results.rates[_sound(results.rates["mse"]) & _sound(results.rates["bytes_per_image"])]
    jobs = frames.done(results.jobs)[["key", "dataset", "settings", *frames.MODEL]]
    # The name of a data set is the job's, which tells apart what is called alike.
    own = jobs.merge(rates[rates["codec"] == "model"].drop(columns="dataset"), on="key")
    own = own.assign(family=[name.partition(" (")[0] for name in own["architecture"]])
    pca = rates[rates["codec"] == "pca"]
    pca = pca.assign(
        family=PCA, settings="", architecture=PCA, depth=1, latent=pca["bottleneck"].astype("int64")
    )
    columns = [*_CODE, "seed", *_FIGURES]
    every = [frame[columns].astype(dict.fromkeys(_TEXTS, "object")) for frame in (own, pca)]
    return _over_seeds(pd.concat(every))


def _over_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    made = []
    for identity, group in rows.groupby(_CODE, sort=False):
        per_seed = {name: frames.per_seed(group, name) for name in _FIGURES}
        costs, errors = per_seed["bytes_per_image"], per_seed["mse"]
        code = dict(zip(_CODE, identity, strict=True))
        made.append(
            code
            | {"name": words.model_of(code), "n_seeds": len(errors)}
            | {"cost": frames.mean(costs), "error": frames.mean(errors)}
            | {"ssim": float(per_seed["ssim"].mean())}
            | {name: float(per_seed[name].median()) for name in _FIGURES[3:]}
            | {"by_seed": {seed: (costs[seed], errors[seed]) for seed in errors.index}}
        )
    more = ["name", "n_seeds", "cost", "error", "ssim", *_FIGURES[3:], "by_seed"]
    return pd.DataFrame(made, columns=[*_CODE, *more])


def files(results: Results) -> pd.DataFrame:
    """One row for each format of picture files and quality: `cost`, `error` and `ssim`.

    They do not depend on a seed; should two versions of a codec have made them, the median.
    Without loss `quality` is missing and `error` is 0.
    """
    rates = results.rates
    rows = rates[rates["codec"].isin(list(FORMATS))]
    by = ["dataset", "codec", "quality"]
    if not len(rows):
        return pd.DataFrame(columns=[*by, "cost", "error", "ssim"])
    rows = rows.rename(columns={"bytes_per_image": "cost", "mse": "error"})
    medians = rows.groupby(by, dropna=False)[["cost", "error", "ssim"]].median()
    return pd.DataFrame(medians.reset_index())


def front(rows: pd.DataFrame) -> pd.DataFrame:
    """The codes of which none takes fewer bytes and loses less, by rising bytes."""
    return fights.front(rows)


@dataclass(frozen=True)
class Meeting:
    """The best learned code of at most `budget` bytes beside files of so many.

    `ratio` is the code's MSE over the files': the mean over its seeds, with an interval of three
    or more; a seed that takes more than the budget is set beside files of its own bytes.
    """

    budget: float
    name: str
    bits: int
    cost: float
    error: float
    ratio: Interval

    @property
    def ahead(self) -> str:
        """Who loses less: code, file, or neither where the interval holds 1; the mean without."""
        low, high = self.ratio.low, self.ratio.high
        if low is None or high is None:
            low = high = self.ratio.centre
        return "code" if high < 1 else "file" if low > 1 else "neither"


@dataclass(frozen=True)
class Against:
    """The best learned codes of a data set beside one format.

    `smallest` and `its_error` are the bytes and MSE of the format's smallest files; `cheapest` is
    the learned code that loses no more than those in the fewest bytes, or None. `meetings` are at
    the bytes of every code and of every file, where files are measured and lose something;
    `lossless` is the bytes with which they lose nothing, or None.
    """

    format: str
    smallest: float
    its_error: float
    lossless: float | None
    cheapest: Mapping[Any, Any] | None
    meetings: Sequence[Meeting]


def against(best: pd.DataFrame, measured: pd.DataFrame, name: str) -> Against | None:
    """Set the front `best` beside the format `name` among `measured`; None without its figures."""
    mine = measured[measured["codec"] == name].sort_values("cost")
    whole = mine[mine["error"] == 0]["cost"]
    lossy = fights.front(mine[mine["error"] > 0])
    if not len(lossy):
        return None
    lossless = float(whole.min()) if len(whole) else None
    first, last = float(lossy["cost"].iloc[0]), float(lossy["cost"].iloc[-1])
    its_error = float(lossy["error"].iloc[0])
    enough = best[best["error"] <= its_error]

    def equal(cost: float) -> float:
        logs = np.log(lossy["cost"].to_numpy(float)), np.log(lossy["error"].to_numpy(float))
        return float(np.exp(np.interp(math.log(cost), *logs)))

    meetings = []
    for budget in sorted({*best["cost"], *lossy["cost"]}):
        affordable = best[best["cost"] <= budget]
        if not len(affordable) or not first <= budget <= last or budget >= (lossless or math.inf):
            continue
        code = affordable.to_dict("records")[-1]
        seeds = [error / equal(max(cost, budget)) for cost, error in code["by_seed"].values()]
        figures = (str(code["name"]), int(code["bits"]), float(code["cost"]), float(code["error"]))
        meetings.append(Meeting(float(budget), *figures, interval(seeds)))
    cheapest = enough.to_dict("records")[0] if len(enough) else None
    return Against(name, first, its_error, lossless, cheapest, meetings)


def _sound(column: pd.Series[Any]) -> pd.Series[bool]:
    values = column.astype("float64")
    return (values > 0) & np.isfinite(values)
