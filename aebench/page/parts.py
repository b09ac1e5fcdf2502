"""What a page is made of: sections with charts, tables, pictures and lists."""

from __future__ import annotations

from dataclasses import dataclass, field

from aebench.page import pictures
from aebench.page.cells import Table


@dataclass(frozen=True)
class Chart:
    """A drawn chart with its title, a sentence that says how to read it, and its data."""

    title: str
    svg: str
    reading: str
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Section:
    """A section: introduction, then charts, tables and pictures in this order."""

    id: str
    title: str
    intro: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[pictures.Group, ...] = ()
    lists: tuple[str, ...] = ()
    filtered: bool = False
    folded: tuple[Table, ...] = field(default=())
