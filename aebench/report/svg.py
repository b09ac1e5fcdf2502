"""How charts are drawn and become inline SVG: style, colours, labels, unique ids.

Colours are drawn as placeholders and replaced by CSS variables with a fallback, so that a chart
follows the page into dark mode. Output depends on the data alone, byte for byte.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Placeholders: colours that nobody draws with, told apart by their last digits.
INK, GRID, PAPER, MUTED = "#010101", "#010102", "#010103", "#010104"
SERIES = tuple(f"#0101{i:02x}" for i in range(16, 24))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))

_CSS = {INK: "currentColor", GRID: "var(--grid)", PAPER: "var(--paper)", MUTED: "var(--muted)"}
_CSS |= {colour: f"var(--series-{i})" for i, colour in enumerate(SERIES)}

_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "aebench",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.labelsize": 10.5,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.minor.visible": False,
    "ytick.minor.size": 0,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class Label:
    """Text to stand right of the point (x, y) of a chart, in data coordinates."""

    x: float
    y: float
    text: str
    colour: str


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches in the report's style, apart from pyplot's global state."""
    import matplotlib
    import seaborn
    from matplotlib.figure import Figure

    with matplotlib.rc_context(seaborn.axes_style("ticks") | _STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def inline(figure: Figure, name: str, label: str) -> str:
    """The figure as an ``<svg>`` element; `name` makes its ids unique, `label` describes it."""
    from html import escape

    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :].strip()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r"\s*<style[^>]*>.*?</style>", "", text, flags=re.S)  # it styles the whole page
    # Every chart numbers its parts from one, and a page has one name space for ids.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    for placeholder, css in _CSS.items():
        text = text.replace(placeholder, css)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


def label_ends(axes: Axes, labels: Sequence[Label], *, gap: float = 13.0) -> None:
    """Write labels right of their points, pushed apart so that none covers another.

    Call it when the limits of the axes are final. `gap` is the least distance in points.
    """
    figure = axes.figure
    figure.canvas.draw()  # the layout decides the size, and so the distances
    scale = 72 / figure.dpi
    placed = sorted(
        ((axes.transData.transform((lab.x, lab.y))[1] * scale, lab) for lab in labels),
        key=lambda item: (item[0], item[1].text),
    )
    wanted = [height for height, _ in placed]
    heights = spread(wanted, gap)
    for (height, label), shifted in zip(placed, heights, strict=True):
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(9, shifted - height),
            textcoords="offset points",
            va="center",
            color=label.colour,
            annotation_clip=False,
            fontsize=10,
        )


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Move sorted positions apart to at least `gap`, each group staying centred on its own."""
    groups: list[list[float]] = []  # [sum of wanted centres, members]
    for position in wanted:
        groups.append([position, 1])
        while len(groups) > 1 and _first(groups[-1], gap) - _last(groups[-2], gap) < gap:
            total, members = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += members
    return [_first(group, gap) + i * gap for group in groups for i in range(int(group[1]))]


def _first(group: Sequence[float], gap: float) -> float:
    return group[0] / group[1] - (group[1] - 1) / 2 * gap


def _last(group: Sequence[float], gap: float) -> float:
    return group[0] / group[1] + (group[1] - 1) / 2 * gap
