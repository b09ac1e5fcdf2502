"""Rows of dots on one log axis, as HTML tables: a row a model, a dot a seed, all text as text.

Such a table has as many columns as the page has room for and scales without being cut: what is
drawn stands in per cent of its cell. Which numbers are drawn is decided elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aebench.analysis import words
from aebench.language import say
from aebench.page.parts import Cell

_TICKS = 3  # labels that a narrow axis has room for
_EDGE = 3.0  # per cent of the cell left free at either end, so that no dot is cut
_HALF = 50.0  # per cent of the cell, which the number beside an arrow may fill


@dataclass(frozen=True)
class Axis:
    """A log axis from `low` to `high`; a `band` is shaded and a line is at `one`, if given."""

    low: float
    high: float
    ticks: tuple[float, ...]
    band: tuple[float, float] | None = None
    one: float | None = None

    def at(self, value: float) -> float:
        """Where `value` lies, in per cent of the width; outside of the axis it is at its end."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return _EDGE + (100 - 2 * _EDGE) * min(1.0, max(0.0, share))

    def drawn(self) -> str:
        """The labels of the ticks."""
        labels = (
            f'<text x="{self.at(tick):.2f}%" y="1em" text-anchor="middle">{words.tick(tick)}</text>'
            for tick in self.ticks
        )
        return _svg("ticks", labels)


@dataclass(frozen=True)
class Row:
    """One row: its name, what stands small below, cells before and behind the dots, their look.

    `dots` is drawn, `told` says the same in numbers, and `style` is CSS for all of the row's dots.
    """

    name: str
    small: tuple[str, ...]
    before: tuple[Cell, ...]
    dots: str
    told: str
    behind: Cell
    look: str = ""
    style: str = ""


@dataclass(frozen=True)
class DotTable:
    """A picture of numbers: title, how to read it, heads of the columns and rows.

    `heads` are those of the names, of `before`, of the dots and of `behind`; `ticks` is drawn.
    """

    id: str
    title: str
    reading: str
    heads: tuple[str, ...]
    ticks: str
    rows: tuple[Row, ...]


def fitting(values: Sequence[float]) -> Axis:
    """An axis that has room for all of `values`, labelled at a few round numbers."""
    low, high = min(values) / 1.15, max(values) * 1.15
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for steps in ((1, 2, 5), (1, 3), (1,)):
        round_ = [step * 10.0**e for e in range(first, last + 1) for step in steps]
        ticks = [tick for tick in round_ if low <= tick <= high]
        if len(ticks) <= _TICKS:
            break
    every = -(-len(ticks) // _TICKS) if ticks else 1
    return Axis(low, high, tuple(ticks[::every]))


def told(values: Sequence[float]) -> str:
    """The dots of a row in numbers, for whoever does not see them."""
    return say(", ").join(words.number(value) for value in values)


def drawn(values: Sequence[float], axis: Axis, mark: str = "") -> str:
    """A dot for each of `values`; an arrow with the outermost where some lie outside of `axis`.

    Its number is left out where a dot lies in the same half, over which it would be written.
    `mark` is the class of the dots, as exact figures look otherwise than measured ones.
    """
    parts = []
    if axis.band is not None:
        start, end = map(axis.at, axis.band)
        parts.append(
            f'<rect class="band" x="{start:.2f}%" width="{end - start:.2f}%" height="100%"/>'
        )
    if axis.one is not None:
        x = f"{axis.at(axis.one):.2f}%"
        parts.append(f'<line class="one" x1="{x}" x2="{x}" y2="100%"/>')
    inside = [value for value in values if axis.low <= value <= axis.high]
    look = f' class="{mark}"' if mark else ""
    parts += [f'<circle{look} cx="{axis.at(v):.2f}%" cy="50%" r="4"/>' for v in sorted(inside)]
    below, above = [v for v in values if v < axis.low], [v for v in values if v > axis.high]
    if below:
        free = all(axis.at(value) >= _HALF for value in inside)
        parts.append(_arrow(min(below) if free else None, 0, "M9-5 0 0 9 5z", 13, "start"))
    if above:
        free = all(axis.at(value) <= _HALF for value in inside)
        parts.append(_arrow(max(above) if free else None, 100, "M-9-5 0 0-9 5z", -13, "end"))
    return _svg("dots", parts)


def _arrow(value: float | None, x: int, path: str, dx: int, anchor: str) -> str:
    arrow = f'<path d="{path}"/>'
    if value is not None:
        number = words.number(value)
        arrow += f'<text x="{dx}" y=".35em" text-anchor="{anchor}">{number} ×</text>'
    return f'<svg x="{x}%" y="50%" overflow="visible" aria-hidden="true">{arrow}</svg>'


def _svg(look: str, parts: Iterable[str]) -> str:
    return f'<svg class="{look}" aria-hidden="true">{"".join(parts)}</svg>'
