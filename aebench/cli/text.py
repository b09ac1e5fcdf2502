"""Words and tables for a terminal, shared by the commands."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from aebench.errors import RequestError

if TYPE_CHECKING:
    from aebench.store import Results

RESULTS = Path("results")
REPORTS = Path("reports")


def stdout() -> Console:
    """Console for results. Off a terminal, tables are as wide as they need to be."""
    console = Console(file=sys.stdout, highlight=False)
    return console if console.is_terminal else Console(file=sys.stdout, highlight=False, width=200)


def stderr() -> Console:
    """Console for progress and messages; off a terminal it never breaks a line."""
    console = Console(file=sys.stderr, highlight=False)
    return console if console.is_terminal else Console(file=sys.stderr, highlight=False, width=1000)


def warn(problems: Iterable[str]) -> None:
    """Say on stderr which files of a results folder could not be read."""
    for problem in problems:
        stderr().print(f"warning: {problem}", style="yellow", markup=False)


def read(folder: Path | None) -> tuple[Path, Results]:
    """The results folder that is meant, the newest where none is named, and what is in it.

    Raises:
        RequestError: there are no results.
    """
    from aebench.store import Store

    folder = folder or newest_results()
    found = Store(folder).read()
    warn(found.problems)
    return folder, found


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> Table:
    """A rich table whose first `left` columns are texts and whose others are numbers."""
    made = Table(title=title, title_justify="left", header_style="bold")
    for i, head in enumerate(heads):
        made.add_column(head, justify="left" if i < left else "right", overflow="fold")
    for row in rows:
        made.add_row(*row)
    return made


def number(value: float | None, digits: int = 4) -> str:
    """`digits` significant digits, or a dash for a number that does not exist."""
    if value is None or value != value:
        return "-"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def duration(seconds: float | None) -> str:
    """A duration as a person says it: 0.82 s, 41 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None or seconds != seconds:
        return "-"
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def newest_results() -> Path:
    """The results folder that was written to last, for commands given none.

    Raises:
        RequestError: there is none below ``results/``.
    """
    found = sorted(RESULTS.glob("*/jobs.parquet"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise RequestError(
            "no results yet below results/: run `aebench run` first, or name a results folder"
        )
    return found[-1].parent
