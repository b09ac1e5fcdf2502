"""The section on distance to the linear optimum: how under-trained each model is.

Its figures are in the table of all models, which `reconstruction` makes.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import frames, optimum, words
from aebench.language import plural, say
from aebench.page import svg
from aebench.page.charts import plain_log
from aebench.page.parts import Chart, Section
from aebench.store import Results

_SHOWN = 6  # settings drawn; more cannot be told apart
_FEW = 2  # models below which a chart says nothing that the sentence does not


def section(results: Results) -> Section:
    """A chart for each dataset with several models whose bottleneck is real."""
    rows = optimum.to_optimum(results)
    charts = tuple(
        Chart(
            words.dataset(dataset),
            chart(_most(mine), say("Error over PCA's, {dataset}", dataset=words.dataset(dataset))),
            say(
                "Further left is better: right of the dashed line a model has not learned what PCA "
                "gives exactly, left of it its non-linearity pays. Marks tell the training "
                "settings. "
                "The figures are in the table of all models."
            ),
            (),
        )
        for (dataset,), mine in frames.by_dataset(rows)
        if len(mine) >= _FEW
    )
    intro = [
        say(
            "PCA is the best that any linear code of the same size can do. Only models with a real "
            "bottleneck: {real_bottleneck}.",
            real_bottleneck=say(frames.REAL_BOTTLENECK),
        ),
        *_in_words(_most(rows)),
    ]
    if not len(rows):
        intro = [
            say(
                "This takes a finished model with a real bottleneck: {real_bottleneck}.",
                real_bottleneck=say(frames.REAL_BOTTLENECK),
            )
        ]
    title = say("How under-trained is it? Distance to the linear optimum")
    return Section("trained", title, tuple(intro), charts)


def _most(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the settings with the most models; the table beside the chart has all."""
    return rows[rows["settings"].isin(rows["settings"].value_counts().index[:_SHOWN])]


def _in_words(rows: pd.DataFrame) -> list[str]:
    said = []
    for settings, mine in rows.groupby("settings", sort=False):
        beaten = int((mine["ratio"] < 1).sum())
        worse = mine[mine["mse"] > mine["mean_mse"]]
        ends = mine.sort_values("ratio").iloc[[0, -1][: len(mine)]]
        span = words.span(
            f"{words.number(row['ratio'])} ({words.model_on(row)})" for _, row in ends.iterrows()
        )
        text = plural(
            beaten,
            "Under {settings} the error is {span} times PCA's; {n} of {models} beats it",
            "Under {settings} the error is {span} times PCA's; {n} of {models} beat it",
            settings=words.under(str(settings)),
            span=span,
            models=words.counted(len(mine), "such model"),
        )
        if len(worse):
            names = words.listed(words.model_on(row) for _, row in worse.iterrows())
            text += plural(
                len(worse),
                ", and of these {names} does worse than the mean image",
                ", and of these {names} do worse than the mean image",
                names=names,
            )
        said.append(text + ".")
    return said


def chart(rows: pd.DataFrame, label: str) -> str:
    """How many times PCA's error each model has: a row a model, a mark for each settings."""
    from matplotlib.ticker import LogLocator

    rows = rows.assign(model=[words.model_of(row) for _, row in rows.iterrows()])
    order = list(dict.fromkeys(rows["model"]))
    settings = list(dict.fromkeys(rows["settings"]))
    ncols = 4 if max(map(len, settings)) < 25 else 2
    height = 1.1 + 0.32 * len(order) + 0.22 * math.ceil(len(settings) / ncols)
    with svg.canvas(svg.WIDTH, height) as figure:
        axes = figure.subplots()
        axes.set(
            xscale="log", xlabel=say("times the error of PCA with the same bottleneck (log scale)")
        )
        axes.set_ylim(len(order) - 0.4, -0.6)
        reach = rows[["ratio", "low", "high"]].to_numpy(dtype=float)  # no interval is NaN
        left, right = min(1.0, float(np.nanmin(reach))), max(1.0, float(np.nanmax(reach)))
        axes.set_xlim(0.7 * left, 1.4 * right)
        for i, model in enumerate(order):
            mine = rows[rows["model"] == model]
            axes.plot(
                [mine["ratio"].min(), mine["ratio"].max()], [i, i], color=svg.MUTED, linewidth=1
            )
        bars: list[Any] = []
        for i, setting in enumerate(settings):
            mine = rows[rows["settings"] == setting]
            low = (mine["ratio"] - mine["low"].astype("float64")).fillna(0).clip(lower=0)
            high = (mine["high"].astype("float64") - mine["ratio"]).fillna(0).clip(lower=0)
            bars.append(axes.errorbar(
                mine["ratio"], [order.index(model) for model in mine["model"]],
                xerr=np.vstack([low, high]), linestyle="none", marker=svg.marker(i),
                color=svg.colour(i), markersize=7, markeredgecolor=svg.PAPER, capsize=2,
            ))  # fmt: skip
        axes.axvline(1, color=svg.INK, linewidth=1.2, linestyle=svg.DASHES[1])
        axes.set_yticks(range(len(order)), [words.short(model) for model in order])
        steps = (1.0, 2.0, 5.0) if right < 1000 * left else (1.0,)
        plain_log(axes.xaxis, LogLocator(subs=steps, numticks=20))
        axes.grid(False, axis="y")
        svg.legend(figure, bars, [words.under(name) for name in settings], ncols=ncols)
        return svg.inline(figure, label)
