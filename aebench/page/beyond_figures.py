"""Charts of what goes beyond the study, each one function from a frame to inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aebench.analysis import words
from aebench.analysis.fights import Cost, front, models
from aebench.page.figures import REJECTED, WIDTH, colours, marked, readable_log
from aebench.page.svg import (
    DASHES,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    SERIES,
    canvas,
    inline,
    legend,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist


def fronts(panels: Sequence[tuple[Cost, pd.DataFrame]], name: str, label: str) -> str:
    """A panel for each cost: all models at every epoch, each family's Pareto front as a line."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    families = sorted({a for _, points in panels for a in points["architecture"]})
    look = colours(families)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with canvas(WIDTH, 0.5 + 3.3 * rows) as figure:
        grid = figure.subplots(rows, columns, squeeze=False)
        drawn: dict[str, Artist] = {}
        for axes, (cost, points) in zip(grid.flat, panels, strict=False):
            axes.set(xscale="log", yscale="log", xlabel=cost.title, ylabel=cost.error)
            for family in families:
                mine = points[points["architecture"] == family]
                if not len(mine):
                    continue
                i = look[family]
                colour, marker = SERIES[i % len(SERIES)], MARKERS[(2 * i) % len(MARKERS)]
                middle = models(mine)
                axes.scatter(
                    middle["cost"], middle["error"], s=9, color=colour, alpha=0.35, linewidth=0
                )
                edge = front(middle)
                (drawn[family],) = axes.plot(
                    edge["cost"], edge["error"], color=colour, marker=marker, markersize=6,
                    markeredgecolor=PAPER, markeredgewidth=0.6, drawstyle="steps-post",
                )  # fmt: skip
            plain = FuncFormatter(lambda value, _: words.tick(value))
            axes.xaxis.set_major_locator(LogLocator(numticks=4))
            axes.xaxis.set_major_formatter(plain)
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.margins(0.06)
            axes.autoscale_view()
            readable_log(axes)
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        legend(figure, list(drawn.values()), list(drawn), ncols=6)
        return inline(figure, name, label)


def to_optimum(rows: pd.DataFrame, name: str, label: str) -> str:
    """How many times PCA's error each model has: a row a model, a mark for each settings."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    names = [words.model(r["architecture"], r["latent"], r["depth"]) for _, r in rows.iterrows()]
    rows = rows.assign(model=names)
    order = list(dict.fromkeys(names))
    settings = list(dict.fromkeys(rows["settings"]))
    ncols = 4 if max(map(len, settings)) < 25 else 2
    height = 1.1 + 0.32 * len(order) + 0.22 * math.ceil(len(settings) / ncols)
    with canvas(WIDTH, height) as figure:
        axes = figure.subplots()
        axes.set(xscale="log", xlabel="times the error of PCA with the same bottleneck (log scale)")
        axes.set_ylim(len(order) - 0.4, -0.6)
        reach = rows[["ratio", "low", "high"]].to_numpy(dtype=float)  # no interval is NaN
        left, right = min(1.0, float(np.nanmin(reach))), max(1.0, float(np.nanmax(reach)))
        axes.set_xlim(0.7 * left, 1.4 * right)
        for place, model in enumerate(order):
            mine = rows[rows["model"] == model]
            axes.plot(
                [mine["ratio"].min(), mine["ratio"].max()], [place, place], color=MUTED, linewidth=1
            )
        bars: list[Any] = []
        for i, setting in enumerate(settings):
            mine = rows[rows["settings"] == setting]
            places = [order.index(model) for model in mine["model"]]
            low = (mine["ratio"] - mine["low"].astype("float64")).fillna(0).clip(lower=0)
            high = (mine["high"].astype("float64") - mine["ratio"]).fillna(0).clip(lower=0)
            bars.append(axes.errorbar(
                mine["ratio"], places, xerr=np.vstack([low, high]), linestyle="none",
                marker=MARKERS[i % len(MARKERS)], color=SERIES[i % len(SERIES)], markersize=7,
                markeredgecolor=PAPER, capsize=2,
            ))  # fmt: skip
        axes.axvline(1, color=INK, linewidth=1.2, linestyle=DASHES[1])
        axes.set_yticks(range(len(order)), [words.short(model) for model in order])
        steps = (1.0, 2.0, 5.0) if right < 1000 * left else (1.0,)
        axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.tick(value)))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(False, axis="y")
        legend(figure, bars, settings, ncols=ncols)
        return inline(figure, name, label)


def stopwatch(rows: pd.DataFrame, engine: str, name: str, label: str) -> str:
    """Training seconds of each model: the study's loop, with its waiting apart, and `engine`.

    Bars of times that `aebench check` rejects are hollow.
    """
    from matplotlib.patches import Patch

    models = [words.model(r["architecture"], r["latent"], r["depth"]) for _, r in rows.iterrows()]
    doubted = rows["doubt"].ne("").to_list()
    places = np.arange(len(rows))
    with canvas(WIDTH, 1.2 + 0.5 * len(rows)) as figure:
        axes = figure.subplots()
        loading = rows["loading_s"].fillna(0).to_numpy(dtype=float)
        rest = rows["reference_s"].to_numpy(dtype=float) - loading
        nothing = np.zeros(len(rows))
        bars = [
            (places - 0.2, loading, nothing, 5, "//", "reference: waiting for the data loader"),
            (places - 0.2, rest, loading, 0, "", "reference: the rest of the loop"),
            (places + 0.2, rows["engine_s"].to_numpy(dtype=float), nothing, 1, "\\\\", engine),
        ]
        handles = []
        for where, length, left, colour, hatch, _ in bars:
            drawn = axes.barh(
                where, length, left=left, height=0.36, color=SERIES[colour],
                edgecolor=PAPER, linewidth=0.8, hatch=hatch,
            )  # fmt: skip
            handles.append(Patch(facecolor=SERIES[colour], edgecolor=PAPER, hatch=hatch))
            for bar, hollow in zip(drawn, doubted, strict=True):
                if hollow:
                    bar.set(facecolor="none", edgecolor=SERIES[colour])
        axes.set_yticks(places, marked([words.short(model) for model in models], doubted))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set(xlabel="train_s, seconds (median)" + (REJECTED if any(doubted) else ""))
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        legend(figure, handles, [text for *_, text in bars], ncols=3, handlelength=1.2)
        return inline(figure, name, label)
