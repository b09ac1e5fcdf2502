"""What a table is made of: cells with their text and, where that does not sort, their value.

No HTML here, and nothing of what a table is about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aebench import schema
from aebench.analysis import words

ABOUT = {column.name: column.about for column in schema.JOBS}


@dataclass(frozen=True)
class Cell:
    """What one cell shows; `value` sorts it, `kind` names its look, `small` stands below."""

    text: str
    value: float | str | None = None
    kind: str = ""
    small: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column: its head, what it holds, and whether it holds numbers."""

    name: str
    about: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A caption, columns and rows; the first `heads` cells of a row are its headings."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    heads: int = 1


Show = Callable[[Any], str]


def value(number: Any, show: Show = words.number, kind: str = "") -> Cell:
    """A number as `show` writes it."""
    return Cell(show(number), None if words.missing(number) else float(number), kind)


def plain(value: Any, kind: str = "") -> Cell:
    """A text, or a dash where there is none."""
    return Cell(shown(value), kind=kind)


def shown(value: Any) -> str:
    """A text, or a dash where there is none."""
    return words.NONE if words.missing(value) else str(value)


def whole(number: Any) -> Cell:
    """A whole number."""
    return value(number, words.count)


def span(low: float | None, high: float | None) -> Cell:
    """An interval, or a dash where there is none."""
    return Cell(words.between(low, high), None if words.missing(low) else low, "range")


def columns(text: str) -> tuple[Column, ...]:
    """Read ``name|about`` lines; a name that ends in ``#`` heads a column of numbers."""
    found = []
    for row in text.strip().splitlines():
        name, _, about = (part.strip() for part in row.partition("|"))
        plain = name.rstrip("# ")
        found.append(Column(plain, about or ABOUT.get(plain, ""), name.endswith("#")))
    return tuple(found)


def percent(share: Any) -> str:
    """A share of one in percent."""
    return words.NONE if words.missing(share) else f"{100 * float(share):.1f} %"
