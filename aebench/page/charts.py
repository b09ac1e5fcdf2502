"""What several charts have in common: colours of families, log axes, panels, bars of seconds.

Each chart is drawn in the module of its section, from figures that come computed: nothing is
estimated while drawing. Colour tells the architecture or the latent size, marker and dash again.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.frames import Groups
from aebench.language import later, say
from aebench.page.svg import INK, PAPER, SERIES, WIDTH, Label, canvas, inline, label_ends, legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.ticker import Locator
    from numpy.typing import NDArray


_PLAIN = 1e-5  # an axis that goes further down is labelled in powers of ten
_CHARTS, _EACH, _FEW = 3, 2, 2  # charts of a section, and of a data set; models too few for one


def worth_drawing(groups: Groups) -> Groups:
    """Those of `groups` with the most models, few of a data set, in their order.

    A chart of one or two models says nothing that the table does not, unless there is none with
    more; further settings of a data set repeat what the first say; and a search has dozens: the
    file would be too heavy to mail.
    """
    models = {i: len(rows.drop_duplicates(frames.MODEL)) for i, (_, rows) in enumerate(groups)}
    few = max(models.values(), default=0) <= _FEW
    drawn: Counter[str] = Counter()
    chosen: list[int] = []
    for i in sorted(models, key=lambda i: (-models[i], i)):
        dataset = groups[i][0][0]
        if (few or models[i] > _FEW) and drawn[dataset] < _EACH and len(chosen) < _CHARTS:
            drawn[dataset] += 1
            chosen.append(i)
    return [groups[i] for i in sorted(chosen)]


def drawn(groups: Groups) -> tuple[Groups, str]:
    """The groups of settings that get a chart, and a sentence on the others, or nothing."""
    chosen = worth_drawing(groups)
    rest = len(groups) - len(chosen)
    if not rest:
        return groups, ""
    few = say("{groups} of settings with fewer models", groups=words.counted(rest, "further group"))
    return chosen, say("{few} not drawn; all jobs are listed under Records.", few=few)


def series_colours(architectures: Iterable[str]) -> dict[str, int]:
    """Which of `SERIES` each family has; the study's two keep theirs whatever else is shown."""
    fixed = ["mlp", "conv"]
    return {name: i for i, name in enumerate([*fixed, *sorted(set(architectures) - set(fixed))])}


def plain_log(axis: Axis, locator: Locator, write: Callable[[Any], str] | None = None) -> None:
    """Label a log axis where `locator` says, and nowhere between; all ticks in one way."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    def tick(value: float, _: object) -> str:
        if write is not None:
            return write(value)
        return words.tick(value, powers=min(axis.get_view_interval()) < _PLAIN)

    axis.set_major_locator(locator)
    axis.set_major_formatter(FuncFormatter(tick))
    axis.set_minor_formatter(NullFormatter())


def readable_log(axes: Axes) -> None:
    """Label the log axis of y in plain numbers, with 1-2-5 steps where it spans few decades."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axes.get_ylim()
    steps = (1.0, 2.0, 5.0) if math.log10(high / low) < 2.5 else (1.0,)
    plain_log(axes.yaxis, LogLocator(subs=steps, numticks=20))
    axes.yaxis.set_minor_locator(NullLocator())  # they have no length, but take time to lay out


def small_multiples(
    frame: pd.DataFrame,
    draw: Callable[[Axes, pd.DataFrame], list[Label]],
    keys: Mapping[str, Mapping[str, Any]],
    label: str,
    *,
    head: float,
    axes_labels: tuple[str, str],
    ncols: int,
) -> str:
    """A panel for each architecture of `frame`, all with the same axes.

    `draw` draws one and returns the labels of its lines' ends. `keys` are the entries of the
    legend with the look of their lines, and `head` the inches above the panels.
    """
    from matplotlib.lines import Line2D

    panels = list(frame.groupby("architecture", sort=False))
    across = min(2, len(panels))  # wide enough for names at the ends of lines
    down = -(-len(panels) // across)
    with canvas(WIDTH, head + 3.0 * down) as figure:
        grid = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        every = list(grid.flat)
        ends: list[tuple[Axes, Sequence[Label]]] = []
        for axes, (architecture, panel) in zip(every, panels, strict=False):
            axes.set_title(words.short(str(architecture)))
            axes.set_yscale("log")
            ends.append((axes, draw(axes, panel)))
        for axes in every[len(panels) :]:
            axes.set_visible(False)
        for axes in every[max(0, len(panels) - across) : len(panels)]:
            axes.tick_params(labelbottom=True)
        readable_log(every[0])
        figure.supxlabel(axes_labels[0], fontsize=10.5)
        figure.supylabel(axes_labels[1], fontsize=10.5)
        lines = [Line2D([], [], **{"color": INK, **look}) for look in keys.values()]
        legend(figure, lines, list(keys), ncols=ncols)
        label_ends(ends)
        return inline(figure, label)


def lines_of(rows: pd.DataFrame) -> dict[tuple[Any, Any], int]:
    """The number of each latent size and depth, which decides how its line looks."""
    return {
        pair: i
        for i, pair in enumerate(sorted(set(zip(rows["latent"], rows["depth"], strict=True))))
    }


def end_name(latent: Any, depth: Any) -> str:
    """What stands at the end of a line in the panel of its architecture: 128, 128 depth 2."""
    return words.count(latent) + (f" {words.deeper(depth)}" if depth > 1 else "")


REJECTED = later("; ✘ and hollow: rejected by aebench check")


@dataclass(frozen=True)
class Bars:
    """One bar a row: its lengths, where each begins, how far below its row it lies, its look."""

    name: str
    lengths: NDArray[np.float64]
    starts: NDArray[np.float64]
    colour: int
    hatch: str
    shift: float = 0.0


def seconds_by_model(
    rows: pd.DataFrame, layers: Sequence[Bars], label: str, *, height: float, thick: float,
    xlabel: str, **look: Any,
) -> str:  # fmt: skip
    """Horizontal bars of seconds, a row a model; hollow where `doubt` says why it is rejected."""
    from matplotlib.patches import Patch

    rejected = rows["doubt"].ne("").to_list()
    names = [words.short(words.model_of(row)) for _, row in rows.iterrows()]
    rank = np.arange(len(rows))
    with canvas(WIDTH, height) as figure:
        axes = figure.subplots()
        handles = []
        for layer in layers:
            bars = axes.barh(
                rank + layer.shift, layer.lengths, left=layer.starts, height=thick,
                color=SERIES[layer.colour], edgecolor=PAPER, linewidth=0.8, hatch=layer.hatch,
            )  # fmt: skip
            handles.append(
                Patch(facecolor=SERIES[layer.colour], edgecolor=PAPER, hatch=layer.hatch)
            )
            for bar, hollow in zip(bars, rejected, strict=True):
                if hollow:
                    bar.set(facecolor="none", edgecolor=SERIES[layer.colour])
        marked = [f"✘ {name}" if bad else name for name, bad in zip(names, rejected, strict=True)]
        axes.set_yticks(rank, marked)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set(xlabel=xlabel + (say(REJECTED) if any(rejected) else ""))
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        legend(figure, handles, [layer.name for layer in layers], handlelength=1.2, **look)
        return inline(figure, label)
