"""The ranking: what was run on the main data set in one list, exact baselines among it.

Which models are in it, and in which order, is decided in `analysis.ranking`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from aebench.analysis import frames, words
from aebench.language import later, say
from aebench.page import dots
from aebench.page.charts import series_colours
from aebench.page.parts import Cell, number

_EXACT = later({"pca": "PCA", "mean": "mean image"})


def plot(rows: pd.DataFrame, more: int) -> dots.DotTable:
    """A row a model or baseline, the least error first; arguments as `ranked` gives them."""
    axis = dots.fitting([value for values in rows["values"] for value in values])
    models = rows[~rows["kind"].isin(_EXACT)]
    colours = series_colours(frames.family(models))
    dataset = words.short(words.dataset(str(rows["dataset"].iloc[0])))
    reading = say(
        "A dot is a seed, its test MSE per pixel (log scale); hollow are exact baselines, which "
        "need no training."
    )
    usual = common(models)
    reading += (
        ""
        if usual == "study"
        else say(" All were trained under {settings}.", settings=words.under(usual))
    )
    if more:
        reading += say(
            " {models} with a greater error left out.", models=words.counted(more, "model")
        )
    return dots.DotTable(
        "ranking",
        say("Ranking on {dataset}, with exact baselines", dataset=dataset),
        reading,
        (say("model"), say("numbers in code"), say("test MSE, each seed"), "MSE"),
        axis.drawn(),
        tuple(_row(row, axis, colours, usual) for row in rows.to_dict("records")),
    )


def _row(row: dict[Any, Any], axis: dots.Axis, colours: dict[str, int], usual: str) -> dots.Row:
    values, size = row["values"], Cell(words.count(row["bottleneck"]), row["bottleneck"])
    numbers = dots.told(values)
    if row["kind"] in _EXACT:
        behind = number(row["mse"])
        drawing = dots.drawn(values, axis, "exact")
        return dots.Row(say(_EXACT[row["kind"]]), (), (size,), drawing, numbers, behind, "baseline")
    name, told = named(row, usual)
    ratio = row["ratio"]
    beside = () if words.missing(ratio) else (f"{words.number(ratio)} × PCA",)
    plugin = [say("from a plugin")] if row["kind"] == "plugin" else []
    small = (*told, *plugin)
    family = str(row["architecture"]).partition(" (")[0]
    style = f"color: var(--series-{colours[family] % 8})"
    behind = number(row["mse"], small=beside)
    drawing = dots.drawn(values, axis)
    return dots.Row(name, (", ".join(small),), (size,), drawing, numbers, behind, style=style)


def common(models: pd.DataFrame) -> str:
    """The settings that all of `models` have, or nothing where they differ."""
    settings = {*models["settings"]}
    return str(settings.pop()) if len(settings) == 1 else "study"


def named(row: Any, usual: str = "study") -> tuple[str, tuple[str, ...]]:
    """The short name of a row's model, and what else tells it apart, settings if not `usual`."""
    name, _, options = words.model(row["architecture"], row["latent"]).partition(" (")
    told = [words.deeper(row["depth"])] if row["depth"] > 1 else []
    told += [options.removesuffix(")")] if options else []
    return name, (*told, *([] if row["settings"] == usual else [words.under(row["settings"])]))
