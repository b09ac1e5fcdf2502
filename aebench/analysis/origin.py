"""Where records come from: the days on which they began, the grid, and the command lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

import pandas as pd

from aebench.analysis.names import texts

_GRID = re.compile(r"(?:^|\s)--grid[ =](?:\"([^\"]+)\"|'([^']+)'|(\S+))")


@dataclass(frozen=True)
class Origin:
    """First and last day, None where no record tells; the grid, empty where they are not of one.

    `commands` are the distinct command lines, of most jobs first.
    """

    first: date | None
    last: date | None
    grid: str
    commands: tuple[str, ...]


def origin(jobs: pd.DataFrame) -> Origin:
    """What `jobs` say of where they come from."""
    days = [day for day in map(_day, texts(jobs, "started_at")) if day is not None]
    told = texts(jobs, "command")
    counts = told[told != ""].value_counts(sort=False)
    commands = sorted(counts.index, key=lambda command: (-counts[command], command))
    grids = set(map(grid_of, commands))
    grid = grids.pop() if len(grids) == 1 else ""
    return Origin(min(days, default=None), max(days, default=None), grid, tuple(commands))


def grid_of(command: str) -> str:
    """The name of the grid that a command line asks for, without folder and ending, or nothing."""
    found = _GRID.search(command)
    if found is None:
        return ""
    path = found[1] or found[2] or found[3]
    return re.split(r"[/\\]", path)[-1].removesuffix(".toml")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:  # a damaged record may hold anything
        return None
