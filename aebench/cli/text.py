"""Words and tables for a terminal, shared by the commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from aebench.errors import RequestError

if TYPE_CHECKING:
    from aebench.store import Results

RESULTS = Path("results")
REPORTS = Path("reports")


class _Console(Console):
    """A console that takes brackets and colons in names and reasons for what they are.

    When nobody reads its output any more it falls silent and the command goes on, so that what
    it does and its exit code do not depend on a ``| head``.
    """

    def __init__(self, file: IO[str], width_elsewhere: int) -> None:
        """Print to `file`, `width_elsewhere` columns wide where that is no terminal."""
        super().__init__(file=file, highlight=False, markup=False, emoji=False)
        if not self.is_terminal:
            self.width = width_elsewhere

    def on_broken_pipe(self) -> None:
        """Called by rich, which would end the process here."""
        silence(self.file)


def stdout() -> Console:
    """Console for results. Off a terminal, tables are as wide as they need to be."""
    return _Console(sys.stdout, 200)


def stderr() -> Console:
    """Console for progress and messages; off a terminal it never breaks a line."""
    return _Console(sys.stderr, 1000)


def silence(file: IO[str]) -> None:
    """Lead `file` nowhere, its reader having gone; else Python complains once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


def warn(problems: Iterable[str]) -> None:
    """Say on stderr which files of a results folder could not be read."""
    for problem in problems:
        stderr().print(f"warning: {problem}", style="yellow")


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
    found = [
        *((path, path.parent) for path in RESULTS.glob("*/jobs.parquet")),
        # All that a run leaves whose own process was killed.
        *((path, path.parents[1]) for path in RESULTS.glob("*/parts/[!.]*.parquet")),
    ]
    if not found:
        raise RequestError(
            "no results yet below results/: run `aebench run` first, or name a results folder"
        )
    return max(found, key=lambda each: each[0].stat().st_mtime)[1]
