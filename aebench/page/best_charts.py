"""The charts of which family is better: error against what is held equal, one for each cost.

Families are told apart by marker and dash as well as by colour, and points carry the names of
their models.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aebench.analysis import fights, frames, published, words
from aebench.analysis.fights import Cost
from aebench.language import say
from aebench.page import svg
from aebench.page.answers import Answer
from aebench.page.charts import plain_log, readable_log, series_colours
from aebench.page.labels import place
from aebench.page.svg import Label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from numpy.typing import NDArray

_WIDTH, _HEIGHT = 5.6, 3.8  # inches: words stay legible on a phone, to whose width it shrinks
_DASHES = ("solid", (0, (5, 2)), (0, (9, 2)), (0, (9, 2, 2, 2)))
_NARROW = 6.0  # a span of a log axis, as a factor, that powers of ten leave without labels


class _Drawing:
    """What is being drawn: axes, entries of the legend, names to be placed, and what they avoid.

    `dots` are points that names may cover.
    """

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        # Of models that are all alike matplotlib would make an axis without length, and warn.
        axes.autoscale(False)
        self.dots: list[NDArray[np.float64]] = []
        self.keys: dict[str, Any] = {}
        self.labels: list[Label] = []
        self.lines: list[NDArray[np.float64]] = []

    def line(self, key: str, x: Any, y: Any, **look: Any) -> None:
        """A line that names keep away from, with its entry in the legend."""
        (self.keys[key],) = self.axes.plot(x, y, **look)
        corners = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
        if look.get("drawstyle") == "steps-post" and len(corners) > 1:
            between = np.column_stack([corners[1:, 0], corners[:-1, 1]])
            corners = np.stack([corners, np.vstack([between, corners[-1:]])], axis=1).reshape(-1, 2)
        self.lines.append(corners)

    def set_limits(self) -> None:
        """Show all that is drawn, with room around it."""
        every = np.concatenate([*self.lines, *self.dots])
        low, high = every.min(axis=0), every.max(axis=0)
        room = np.maximum((high / low) ** 0.08, 1.15)
        (left, bottom), (right, top) = low / room, high * room
        # On the right, where most names stand, a little more.
        self.axes.set(xlim=(left, right * room[0]), ylim=(bottom, top))


def chart(answer: Answer, cost: Cost, families: Sequence[str], label: str) -> str:
    """One data set at one cost; `families` are all of the page, whose colours stay theirs."""
    looks = series_colours(families)
    with svg.canvas(_WIDTH, _HEIGHT) as figure:
        axes = figure.subplots()
        axes.set(
            xscale="log",
            yscale="log",
            xlabel=say(cost.title),
            ylabel=say("{error} (log scale)", error=say(cost.error)),
        )
        drawing = _Drawing(axes)
        if cost.exact:
            _codes(drawing, answer, looks)
        else:
            _fronts(drawing, answer.points[cost.name], cost, looks)
        drawing.set_limits()
        _readable(axes, cost)
        svg.legend(figure, list(drawing.keys.values()), list(drawing.keys), ncols=3)
        place(axes, drawing.labels, drawing.lines)
        return svg.inline(figure, label)


def _look(family: str, looks: dict[str, int]) -> dict[str, Any]:
    i = looks[family]
    return {
        "color": svg.colour(i), "marker": svg.marker(2 * i), "linestyle": _DASHES[i % len(_DASHES)],
        "markersize": 6.5, "markeredgecolor": svg.PAPER, "markeredgewidth": 0.6,
    }  # fmt: skip


def _named(drawing: _Drawing, rows: pd.DataFrame, x: str, y: str, colour: str) -> None:
    """Ask for the names of these models beside their points, the one furthest right first."""
    for row in reversed(rows.to_dict("records")):
        name = words.plain(words.model_of(row))
        drawing.labels.append(Label(float(row[x]), float(row[y]), name, colour))


def _codes(drawing: _Drawing, answer: Answer, looks: dict[str, int]) -> None:
    """Every family's best error against bottleneck, with PCA, the mean image and others'."""
    axes, codes, others = drawing.axes, answer.codes, published.of(answer.dataset)
    for family, rows in codes.groupby("family", sort=False):
        look = _look(str(family), looks)
        drawing.line(str(family), rows["bottleneck"].astype("float64"), rows["mse"], **look)
        known = rows.dropna(subset=["mse_low", "mse_high"])
        for size, low, high in known[["bottleneck", "mse_low", "mse_high"]].to_numpy(dtype=float):
            axes.plot([size, size], [low, high], color=look["color"], linewidth=1.2)
            drawing.lines.append(np.array([[size, low], [size, high]]))
        _named(drawing, rows, "bottleneck", "mse", look["color"])
    low = min([*codes["bottleneck"], *(f.bottleneck for f in others)])
    high = max([*codes["bottleneck"], *(f.bottleneck for f in others)])
    floor = min([*codes["mse"], *(f.mse for f in others)])
    pca = answer.pca[(answer.pca["components"] >= 1) & (answer.pca["mse"] > floor / 3)]
    pca = pca[(pca["components"] >= low / 1.5) & (pca["components"] <= 1.5 * high)]
    if len(pca):
        drawing.line(
            "PCA", pca["components"], pca["mse"], color=svg.INK, linewidth=1.2,
            linestyle=svg.DASHES[2],
        )  # fmt: skip
    mean = frames.mean(codes["mean_mse"])
    if mean == mean:
        drawing.keys[say("mean image")] = axes.axhline(
            mean, color=svg.MUTED, linewidth=1, linestyle=svg.DASHES[3]
        )
        drawing.lines.append(np.array([[low, mean], [high, mean]], dtype=float))
    for figure in others:
        drawing.line(
            say("published") if figure.checked else say("published, not checked"),
            [figure.bottleneck], [figure.mse], color=svg.INK, linestyle="none", marker="*",
            markersize=10, markerfacecolor=svg.INK if figure.checked else "none",
            markeredgewidth=0.8,
        )  # fmt: skip
    # What a star is nothing else on the chart tells: its name comes before those of models.
    drawing.labels[:0] = [Label(f.bottleneck, f.mse, f.label, svg.INK) for f in others]


def _fronts(drawing: _Drawing, points: pd.DataFrame, cost: Cost, looks: dict[str, int]) -> None:
    """Each family's Pareto front; of a cost that is the same at every epoch all models as well."""
    for family in sorted(set(points["family"]), key=lambda name: (name != fights.FIRST, name)):
        mine = points[points["family"] == family]
        look, models = _look(family, looks), fights.models(mine)
        if cost.of is not None:
            drawing.axes.scatter(
                models["cost"], models["error"], s=9, color=look["color"], alpha=0.4, linewidth=0
            )
            drawing.dots.append(models[["cost", "error"]].to_numpy(dtype=float))
        edge = fights.front(models, "choice").reset_index(drop=True)
        # Of a model that is ahead for several epochs the last one has the mark and the name.
        model = edge[["settings", *frames.MODEL]].astype("str").agg("|".join, axis="columns")
        last = edge[model.ne(model.shift(-1))]
        drawing.line(
            family, edge["cost"], edge["error"], drawstyle="steps-post",
            markevery=last.index.to_list(), **look,
        )  # fmt: skip
        _named(drawing, last, "cost", "error", look["color"])


def _readable(axes: Axes, cost: Cost) -> None:
    """Plain numbers beside both axes, however little they span."""
    from matplotlib.ticker import LogLocator, NullLocator

    if cost.exact:
        axes.set_xscale("log", base=2)
        plain_log(axes.xaxis, LogLocator(base=2, numticks=7), words.count)
    else:
        write = words.count if cost.write is words.count else words.tick
        if not _narrow(axes.xaxis, axes.get_xlim(), write):
            plain_log(axes.xaxis, LogLocator(numticks=5), write)
    if not _narrow(axes.yaxis, axes.get_ylim(), words.tick):
        readable_log(axes)
    axes.xaxis.set_minor_locator(NullLocator())


def _narrow(axis: Axis, limits: tuple[float, float], write: Any) -> bool:
    """Label an axis of a small span at round numbers; False where it spans more."""
    from matplotlib.ticker import FixedLocator, MaxNLocator

    low, high = limits
    if high > _NARROW * low:
        return False
    every = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    plain_log(axis, FixedLocator([t for t in every if low <= t <= high]), write)
    return True
