"""The section on codes: what can be read off them, and maps of those that have two numbers."""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aebench.analysis import codes, frames, words
from aebench.analysis.codes import Accuracy, Map
from aebench.language import later, numeral, plural, say
from aebench.page import svg
from aebench.page.charts import drawn, plain_log, series_colours
from aebench.page.parts import Cell, Chart, Section, Table, model, table
from aebench.store import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 1_000  # of a map; more would make the page too heavy to mail
_PAIRS = 6  # of a map and a grid on the whole page, for the same reason
_MIDDLE = (1, 99)  # percentiles of the codes that a map reaches to


def section(results: Results) -> Section:
    """Accuracies for each data set and settings with models enough, then maps of each data set."""
    title = say("What is in the code? Labels read off it by a linear probe")
    rows = codes.probed(results.jobs)
    groups, rest = drawn(frames.by_dataset(rows, "settings"))
    charts, said = [], []
    for (dataset, settings), mine in groups:
        name, found = words.titled(dataset, settings), codes.accuracies(mine)
        charts.append(
            Chart(
                name,
                chart(
                    found,
                    codes.pca_line(mine),
                    say("Accuracy against bottleneck, {name}", name=name),
                ),
                say(_READING),
                (
                    _table(
                        found,
                        say("{name}: test accuracy of a linear probe on the codes", name=name),
                    ),
                ),
            )
        )
        said.append(words.headed(name, _in_words(found)))
    said += [
        say("{count} not probed or not drawn: {why}.", count=words.counted(count, "job"), why=why)
        for why, count in codes.unread(results.jobs).items()
    ]
    maps, left_out = _maps(results)
    intro = [say(_INTRO), *([rest] if rest else []), *([left_out] if left_out else [])]
    if not charts and not maps:
        intro = [say("No finished job left a code that was probed or mapped.")]
    told = "".join(said[: len(charts)][:1])
    made = (*charts, *maps)
    return Section("codes", title, tuple(intro), made, lists=tuple(said), message=told)


_INTRO = later(
    "Logistic regression is fitted to the standardized codes of the first 10,000 training images "
    "(all, where there are fewer) and judged on the whole test set: how much of what tells classes "
    "apart stands in the code so plainly that a linear function finds it. No model saw a label. "
    "Only codes of at most two thirds of the image's numbers and at most 1,024 are probed."
)
_READING = later(
    "Higher is better. PCA's code of the same size is probed alike, so a line above it has put "
    "classes where a line can part them, which a small reconstruction error does not ask for. "
    "Standardizing gives every number the same weight: PCA's last components are mostly noise, "
    "and where they are many the probe fits it. Bars are 95 % intervals over seeds, from three on."
)
_MAP_READING = later(
    "Left, codes of test images, coloured by label, with each label at the median of its codes; "
    "the axes leave out one code in a hundred on each side. Right, what the decoder makes of a "
    "grid of codes between the 2nd and 98th percentile of the training codes, in the same place "
    "and direction; its frame is dashed on the left. Of each family the job with the least "
    "validation error is shown."
)


def _in_words(found: Sequence[Accuracy]) -> str:
    """Which code the most is read off, beside PCA's, and how many models do better than that."""
    best = max(found, key=lambda each: each.own.centre)
    above = [each for each in found if each.ratio.centre > 1]
    known = [each for each in found if each.ratio.low is not None]
    sure = sum(each.ratio.low > 1 for each in known if each.ratio.low is not None)
    text = plural(
        len(above),
        "most is read off {model}, {best}; off PCA's {numbers} {pca}. {n} of {models} gives more "
        "than PCA's code of the same size",
        "most is read off {model}, {best}; off PCA's {numbers} {pca}. {n} of {models} give more "
        "than PCA's code of the same size",
        model=best.model,
        best=_share(best),
        numbers=_numbers(best.bottleneck),
        pca=words.percent(best.pca),
        models=words.counted(len(found), "model"),
    )
    if known:
        text += say(
            "; with three seeds or more, {sure} of {known} beyond chance",
            sure=sure,
            known=len(known),
        )
    return text + "."


def _share(each: Accuracy) -> str:
    text, seeds = words.percent(each.own.centre), words.seeds(each.own.n)
    reach = _interval(each).text
    return (
        f"{text} ({seeds})"
        if reach == words.NONE
        else say("{share} ({reach} over {seeds})", share=text, reach=reach, seeds=seeds)
    )


def _interval(each: Accuracy) -> Cell:
    low, high = each.own.low, each.own.high
    if low is None or high is None:
        return Cell(words.NONE, look="range")
    return Cell(
        words.span([numeral(100 * low, ".1f"), words.percent(high)]),
        low,
        "range",
    )


def _numbers(count: int) -> str:
    return words.counted(count, "number")


def _table(found: Sequence[Accuracy], caption: str) -> Table:
    heads = """
        model
        bottleneck ##
        seeds ##
        accuracy #% | test set, mean over seeds (of the log odds)
        95 % interval | Student's t on the logarithm of the odds, over seeds; none below three
        PCA #% | of PCA's code of as many numbers, fitted and judged on the same images
        accuracy / PCA # | above 1: the model's code says more
        its 95 % interval | paired by seed
    """
    return table(caption, heads, (
        (
            *(Cell(each.model, model=each.identity), each.bottleneck, each.own.n, each.own.centre),
            *(_interval(each), each.pca),
            *(each.ratio.centre, (each.ratio.low, each.ratio.high)),
        )
        for each in found
    ))  # fmt: skip


def chart(found: Sequence[Accuracy], pca: pd.Series[float], label: str) -> str:
    """Accuracy against the size of the code, a line a family, and PCA's."""
    from matplotlib.ticker import LogLocator

    lines = list(dict.fromkeys(each.line for each in found))
    colours = series_colours(lines)
    with svg.canvas(svg.WIDTH, 4.2) as figure:
        axes = figure.subplots()
        axes.set_xscale("log", base=2)
        axes.set(
            xlabel=say("bottleneck, numbers (log scale)"),
            ylabel=say("test accuracy of the probe, %"),
        )
        handles: list[Any] = []
        for line in lines:
            mine = [each for each in found if each.line == line]
            i = colours[line]
            own = 100 * np.array([each.own.centre for each in mine])
            ends = 100 * np.array([[e.own.low or e.own.centre, e.own.high or e.own.centre]
                                   for e in mine])  # fmt: skip
            handles.append(axes.errorbar(
                [each.bottleneck for each in mine], own,
                yerr=np.abs(ends.T - own), color=svg.colour(i), marker=svg.marker(i),
                markeredgecolor=svg.PAPER, markeredgewidth=0.6, capsize=2,
            ))  # fmt: skip
        (line_of_pca,) = axes.plot(
            pca.index, 100 * pca, color=svg.INK, linestyle=svg.DASHES[1], linewidth=1.3,
            marker=".", markersize=5,
        )  # fmt: skip
        plain_log(axes.xaxis, LogLocator(base=2, numticks=12), lambda value: numeral(value, "g"))
        axes.set_xlim(pca.index.min() / 1.25, pca.index.max() * 1.25)
        svg.legend(figure, [*handles, line_of_pca], [*lines, "PCA"], ncols=4)
        return svg.inline(figure, label)


# Maps of codes of two numbers


def _maps(results: Results) -> tuple[list[Chart], str]:
    """A chart for each data set with a pair for each family, and what is left out."""
    charts, left, omitted = [], _PAIRS, 0
    for dataset, pairs in codes.maps(results).items():
        shown = pairs[:left]
        left, omitted = left - len(shown), omitted + len(pairs) - len(shown)
        if shown:
            name = say("{dataset}: codes of two numbers", dataset=words.dataset(dataset))
            heads = "model\nsettings\nseed ##\nval_mse #\ncode_accuracy #%\npca_code_accuracy #%"
            data = table(name, heads, (
                (model(pair.job), *(pair.job[n] for n in _TOLD)) for pair in shown
            ))  # fmt: skip
            charts.append(Chart(name, map_chart(shown, name), say(_MAP_READING), (data,)))
    more = (
        say("{what} left out to keep this file small.", what=words.counted(omitted, "map"))
        if omitted
        else ""
    )
    return charts, more


_TOLD = ("settings", "seed", "val_mse", "code_accuracy", "pca_code_accuracy")


def map_chart(pairs: Sequence[Map], label: str) -> str:
    """A row for each of `pairs`: its codes by label, and its grid decoded."""
    labels = sorted({int(n) for pair in pairs for n in pair.images["label"].dropna().unique()})
    height = 4.5 * len(pairs) + 0.3
    with svg.canvas(svg.WIDTH, height) as figure:
        # Titles of square axes may reach over the layout's edge.
        figure.set_layout_engine("constrained", rect=(0, 0, 1, 1 - 0.3 / height))
        every = figure.subplots(len(pairs), 2, squeeze=False)
        for pair, (left, right) in zip(pairs, every, strict=True):
            _scatter(left, pair, labels)
            detail = say(
                "seed {seed}, val_mse {val_mse}",
                seed=pair.job["seed"],
                val_mse=words.number(pair.job["val_mse"]),
            )
            left.set_title(words.short(words.model_of(pair.job)))
            right.set_title(detail, fontweight="normal")
            _grid(left, right, pair)
            for axes in (left, right):
                axes.set(xlabel=say("first number"), ylabel=say("second number"))
                axes.set_box_aspect(1)
                axes.grid(False)
        return _lighter(svg.inline(figure, label))


def _lighter(chart: str) -> str:
    """A chart whose pictures are WebP, a fifth of the PNGs that matplotlib writes."""
    return re.sub(r"data:image/png;base64,([^\"]+)", lambda png: _webp(png[1]), chart)


def _webp(png: str) -> str:
    from PIL import Image

    made = io.BytesIO()
    with Image.open(io.BytesIO(base64.b64decode(png))) as picture:
        picture.convert("RGB").save(made, "WEBP", quality=70, method=6)
    return "data:image/webp;base64," + base64.b64encode(made.getvalue()).decode()


def _scatter(axes: Axes, pair: Map, labels: Sequence[int]) -> None:
    """Codes by label. Points are strokes of no length, in one path: the smallest that SVG has."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    points = pair.images.head(_POINTS)
    codes_shown = points[["first", "second"]].to_numpy("float64")
    low, high = np.nanpercentile(codes_shown, _MIDDLE, axis=0)
    room = np.where(high > low, 0.06 * (high - low), 1.0)
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])
    inside = ((codes_shown >= low - room) & (codes_shown <= high + room)).all(axis=1)
    for i, label in enumerate(labels or [None]):
        mine = points["label"].eq(label).to_numpy() if label is not None else True
        at = codes_shown[inside & mine]
        if not len(at):
            continue
        path = Path(np.repeat(at, 2, axis=0), [Path.MOVETO, Path.LINETO] * len(at))
        path.should_simplify = False
        colour = svg.MUTED if label is None else svg.colour(i)
        cap = "projecting" if i >= len(svg.SERIES) else "round"
        axes.add_patch(PathPatch(
            path, fill=False, edgecolor=colour, linewidth=3, capstyle=cap, alpha=0.75,
        ))  # fmt: skip
        if label is not None:
            _name(
                axes, (float(np.median(at[:, 0])), float(np.median(at[:, 1]))), str(label), colour
            )


def _name(axes: Axes, at: tuple[float, float], text: str, colour: str) -> None:
    box = {"boxstyle": "round,pad=0.15", "facecolor": svg.PAPER, "edgecolor": colour, "alpha": 0.85}
    axes.annotate(
        text, at, ha="center", va="center", fontsize=10.5, fontweight="bold", color=colour, bbox=box
    )


def _grid(left: Axes, right: Axes, pair: Map) -> None:
    """The decoded grid in the place of its codes, and its frame among the codes."""
    from matplotlib.patches import Rectangle
    from PIL import Image

    codes_shown = pair.grid[["first", "second"]].to_numpy("float64")
    if not len(codes_shown) or not pair.png:
        right.set_visible(False)
        return
    low, high = codes_shown.min(axis=0), codes_shown.max(axis=0)
    # Each picture stands around its code, half a step beyond the outermost.
    step = (high - low) / max(1, math.isqrt(len(codes_shown)) - 1)
    edges = low[0] - step[0] / 2, high[0] + step[0] / 2, low[1] - step[1] / 2, high[1] + step[1] / 2
    with Image.open(io.BytesIO(pair.png)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    if edges[0] < edges[1] and edges[2] < edges[3]:
        right.imshow(pixels, extent=edges, aspect="auto", interpolation="none")
    left.add_patch(Rectangle(
        low, *(high - low), fill=False, edgecolor=svg.INK, linewidth=0.8, linestyle=svg.DASHES[1],
    ))  # fmt: skip
