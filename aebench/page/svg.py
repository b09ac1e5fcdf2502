"""How charts are drawn and become inline SVG: style, colours, labels.

Colours are drawn as placeholders and replaced by CSS variables with a fallback, so that a chart
follows the page into dark mode. Output depends on the data alone, byte for byte: on no backend,
no environment and no matplotlibrc. Names are drawn as they are, whatever they would mean to TeX.
"""

from __future__ import annotations

import importlib.util
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from xml.etree import ElementTree

from aebench.analysis import words
from aebench.language import ENGLISH, now, numeral
from aebench.page import png

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import LayoutEngine

# Placeholders: colours that nobody draws with, told apart by their last digits.
INK, GRID, PAPER, MUTED = "#010101", "#010102", "#010103", "#010104"
SERIES = tuple(f"#0101{i:02x}" for i in range(16, 24))
WIDTH = 8.6  # inches; at 72 points an inch about the width of the page's text
_MODEL = "model-"  # begins the id of what names a model, until it is in the page
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))

_CSS = {INK: "currentColor", GRID: "var(--grid)", PAPER: "var(--paper)", MUTED: "var(--muted)"}
_CSS |= {colour: f"var(--series-{i})" for i, colour in enumerate(SERIES)}

_STYLE: Any = {
    "text.usetex": False,
    "text.parse_math": False,
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


def colour(i: int) -> str:
    """The colour of the i-th line, from the first again where there are more."""
    return SERIES[i % len(SERIES)]


def marker(i: int) -> str:
    """The marker of the i-th line, likewise."""
    return MARKERS[i % len(MARKERS)]


_LEADER = {"arrowstyle": "-", "linewidth": 0.7, "shrinkA": 1, "shrinkB": 4, "relpos": (0, 0.5)}


@dataclass(frozen=True)
class Label:
    """Text to stand right of the point (x, y) of a chart, in data coordinates.

    `model` is the `names.identity` of the model that it names, if it names one.
    """

    x: float
    y: float
    text: str
    colour: str
    model: str = ""


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches in the report's style, apart from pyplot's global state."""
    import_apart()
    import matplotlib
    import seaborn
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(seaborn.axes_style("ticks") | _STYLE)
        # The reader's browser has the glyph; here it is only measured.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure


def import_apart() -> None:
    """Import matplotlib, unless that was done, so that nothing of the user's can stop it.

    As it is imported it reads MPLBACKEND, and refuses one whose package is not installed, and a
    matplotlibrc, which it must be able to decode. Here it finds its own instead.
    """
    if "matplotlib" in sys.modules:
        return
    package = importlib.util.find_spec("matplotlib")
    assert package is not None
    assert package.origin is not None
    own = Path(package.origin).with_name("mpl-data") / "matplotlibrc"
    with mock.patch.dict(os.environ, MPLBACKEND="svg", MATPLOTLIBRC=str(own)):
        import matplotlib  # noqa: F401


_KEPT: ContextVar[dict[str, bytes] | None] = ContextVar("pictures of charts", default=None)


@contextmanager
def kept() -> Iterator[dict[str, bytes]]:
    """Keep every chart that is drawn meanwhile as a PNG too, under the text of its ``<svg>``."""
    pictures: dict[str, bytes] = {}
    token = _KEPT.set(pictures)
    try:
        yield pictures
    finally:
        _KEPT.reset(token)


def lay_out(figure: Figure) -> LayoutEngine:
    """Give all axes their places, for what measures the figure; by the engine that is returned.

    Drawing does that as well, but draws, too.
    """
    layout = figure.get_layout_engine()
    assert layout is not None
    with warnings.catch_warnings():  # that there are none, of a figure without axes
        warnings.filterwarnings("ignore", message="There are no gridspecs with layoutgrids")
        layout.execute(figure)
    return layout


def inline(figure: Figure, label: str) -> str:
    """The figure as an ``<svg>`` element that `label` describes; its ids are its own alone."""
    _localize(figure)
    buffer = io.StringIO()
    layout = lay_out(figure)
    figure.set_layout_engine("none")  # else it is drawn twice, once to lay it out again
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    figure.set_layout_engine(layout)
    root = ElementTree.fromstring(buffer.getvalue())
    for element in root.iter():
        element.tag = _bare(element.tag)
        # Texts stay as they are: a name may look like a colour.
        element.attrib = {_bare(name): _themed(value) for name, value in element.attrib.items()}
        if element.get("id", "").startswith(_MODEL):
            element.set("data-model", element.attrib.pop("id").removeprefix(_MODEL))
    for parent in list(root.iter()):
        # Their own style sheets would style the whole page.
        parent[:] = [child for child in parent if child.tag not in ("metadata", "style")]
        if parent.get("id", "").startswith("axes_"):
            # Letters among lines stand before their halo in `base.css`; those of axes need none.
            for label_text in parent.iterfind("./g/text"):
                label_text.set("paint-order", "stroke")
    root.attrib = {"role": "img", "aria-label": label, **root.attrib}
    text = ElementTree.tostring(root, encoding="unicode").strip()
    pictures = _KEPT.get()
    if pictures is not None:
        pictures[text] = png.drawn(figure, _CSS)
    return text


def _localize(figure: Figure) -> None:
    """Write the numbers beside axes as the language does, where matplotlib would write them."""
    if now() == ENGLISH:
        return
    from matplotlib.ticker import ScalarFormatter

    class Localized(ScalarFormatter):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return numeral(super().__call__(x, pos))

    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if type(axis.get_major_formatter()) is ScalarFormatter:
                axis.set_major_formatter(Localized())


def _bare(name: str) -> str:
    return name.rpartition("}")[2]


def _themed(value: str) -> str:
    for placeholder, css in _CSS.items():
        value = value.replace(placeholder, css)
    return value


def legend(figure: Figure, handles: Sequence[Artist], names: Sequence[str], **look: Any) -> None:
    """A legend above the figure; matplotlib's own leaves out names that begin with a line."""
    numbered = [str(i) for i in range(len(names))]
    made = figure.legend(handles, numbered, loc="outside upper left", fontsize=9.5, **look)
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set_text(words.short(name))


def label_ends(ends: Sequence[tuple[Axes, Sequence[Label]]], *, gap: float = 13.0) -> None:
    """Write labels right of their points, pushed apart so that none covers another.

    Where one had to move they stand in a column, with a thin line to each. Call it once for a
    figure, when the limits of its axes are final. `gap` is the least distance in points.
    """
    figure: Any = ends[0][0].figure
    lay_out(figure)
    scale = 72 / figure.dpi
    heights = [
        [(axes.transData.transform((label.x, label.y))[1] * scale, label) for label in labels]
        for axes, labels in ends
    ]
    for (axes, _), each in zip(ends, heights, strict=True):
        placed = sorted(each, key=lambda item: (item[0], item[1].text))
        apart = spread([height for height, _ in placed], gap)
        moves = [abs(at - height) for (height, _), at in zip(placed, apart, strict=True)]
        moved = max(moves, default=0) > gap / 4
        for (height, label), shifted in zip(placed, apart, strict=True):
            axes.annotate(
                words.short(label.text), (label.x, label.y),
                xytext=(22 if moved else 9, shifted - height),
                textcoords="offset points", va="center", color=label.colour,
                annotation_clip=False, fontsize=10,
                gid=_MODEL + label.model if label.model else None,
                arrowprops=_LEADER | {"color": label.colour} if moved else None,
            )  # fmt: skip


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
