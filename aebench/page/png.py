"""A chart as a PNG, for documents that hold no SVG: what `svg` draws, in the page's light colours.

The colours are read from the page's style sheet, where they are decided.
"""

from __future__ import annotations

import io
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

_STYLE_SHEET = Path(__file__).parent / "look" / "base.css"
_DOTS = 144  # an inch: twice what a screen shows, so that it is sharp on paper too
_COLOURED = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


def drawn(figure: Figure, variables: Mapping[str, str]) -> bytes:
    """The figure as a PNG; `variables` is the CSS colour that stands for each placeholder.

    The figure is spoilt for anything else: its placeholders are replaced.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    light = {placeholder: resolved(css) for placeholder, css in variables.items()}
    for artist in figure.findobj():
        _paint(artist, light)
        if isinstance(artist, Text):
            _rim(artist, resolved("var(--paper)"))
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    paper = resolved("var(--paper)")
    figure.savefig(buffer, format="png", dpi=_DOTS, facecolor=paper, metadata={"Software": None})
    return buffer.getvalue()


@cache
def light_theme() -> dict[str, str]:
    """The colours of the page's light theme, by the names of their CSS variables."""
    css = _STYLE_SHEET.read_text(encoding="utf-8")
    block = css[css.index(":root {") : css.index("}")]
    return dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6})", block))


def resolved(css: str) -> str:
    """A colour of the page as the light theme has it: ``var(--grid)``, ``currentColor``."""
    name = css.removeprefix("var(").removesuffix(")")
    return light_theme()["--ink" if name == "currentColor" else name]


def _paint(artist: Artist, light: Mapping[str, str]) -> None:
    """Replace the placeholders among an artist's colours, whatever kinds of colour it has."""
    from matplotlib.colors import to_hex

    def real(colour: Any) -> Any:
        """A colour, or an array of a row for each; what is no placeholder stays."""
        if isinstance(colour, str) or getattr(colour, "ndim", 1) == 1:
            found = light.get(to_hex(colour)) if _is_colour(colour) else None
            return colour if found is None else _as_opaque(found, colour)
        return [real(row) for row in colour]

    for name in _COLOURED:
        get, put = getattr(artist, f"get_{name}", None), getattr(artist, f"set_{name}", None)
        if get is not None and put is not None:
            put(real(get()))


def _is_colour(value: Any) -> bool:
    from matplotlib.colors import is_color_like

    return bool(is_color_like(value))


def _as_opaque(found: str, before: Any) -> Any:
    """The colour `found`, as opaque as that which it replaces."""
    from matplotlib.colors import to_rgba

    return to_rgba(found, to_rgba(before)[3])


def _rim(text: Any, paper: str) -> None:
    """Keep a label readable where a line passes behind it, as the page's style sheet does."""
    from matplotlib.patheffects import withStroke

    text.set_path_effects([withStroke(linewidth=3, foreground=paper)])
