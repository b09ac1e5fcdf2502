"""Words for a terminal, shared by the commands: consoles, messages, numbers and durations.

stdout is for results, stderr for what is said about them; how much is said there is set once, by
`say`. Whatever is printed here is somebody's words, and cannot steer the terminal: see
`printable`.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from rich.console import Console

from aebench.cli.tables import Table
from aebench.errors import RequestError, printable

RESULTS = Path("results")
REPORTS = Path("reports")
PIPE_COLUMNS = 200
"""Columns of a table where no terminal is; the variable COLUMNS says otherwise."""

_QUIET, _USUAL, _VERBOSE = -1, 0, 1
_said = {"level": _USUAL}


def say(quiet: bool = False, verbose: bool = False) -> None:
    """Set how much is said on stderr: only what went wrong, the usual, or decisions as well.

    Raises:
        RequestError: both were asked for, together or one after the other.
    """
    level = _QUIET if quiet else _VERBOSE if verbose else _USUAL
    if (quiet and verbose) or _said["level"] * level < 0:
        raise RequestError("-q and -v were both given; one says less, the other more: choose one")
    _said["level"] = level


@contextlib.contextmanager
def quietly(quiet: bool = True) -> Iterator[None]:
    """Say only what went wrong inside, or the usual, whatever was set before."""
    before = _said["level"]
    _said["level"] = _QUIET if quiet else _USUAL
    try:
        yield
    finally:
        _said["level"] = before


def verbose() -> bool:
    """Whether the user wants to know what is decided, and why."""
    return _said["level"] == _VERBOSE


class _Console(Console):
    """A console that takes brackets and colons in names and reasons for what they are.

    When nobody reads its output any more it falls silent and the command goes on, so that what
    it does and its exit code do not depend on a ``| head``.
    """

    def __init__(self, file: IO[str], columns_elsewhere: int | None, quiet: bool = False) -> None:
        """Print to `file`, `columns_elsewhere` wide where that is no terminal."""
        super().__init__(file=file, highlight=False, markup=False, emoji=False, quiet=quiet)
        if columns_elsewhere is not None:
            # Not by `is_terminal`: FORCE_COLOR makes rich take a pipe for one of 80 columns.
            self.width = _columns(file) or columns_elsewhere

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as rich does, controls in texts as escapes, and what is too wide uncut."""
        plain = [_lines(o) if isinstance(o, str) else o for o in objects]
        super().print(*plain, **{"crop": False} | how)

    def on_broken_pipe(self) -> None:
        """Called by rich, which would end the process here."""
        silence(self.file)


def _columns(file: IO[str]) -> int | None:
    """The width of the terminal that `file` is, or what COLUMNS says; None for other files."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(file.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _lines(words: str) -> str:
    return "\n".join(printable(line, most=len(line) * 10) for line in words.split("\n"))


def stdout() -> Console:
    """Console for results."""
    return _Console(sys.stdout, PIPE_COLUMNS)


def stderr() -> Console:
    """Console for progress and notes, which a user can do without; no line is broken in a pipe."""
    return _messages(quiet=_said["level"] == _QUIET)


def _messages(quiet: bool = False) -> Console:
    return _Console(sys.stderr, None if is_live(sys.stderr) else 1000, quiet)


def is_live(file: IO[str]) -> bool:
    """Whether somebody sits before `file`, whatever FORCE_COLOR makes rich believe."""
    try:
        return file.isatty()
    except ValueError:  # closed
        return False


def silence(file: IO[str]) -> None:
    """Lead `file` nowhere, its reader having gone; else Python complains once more at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


def fail(message: str) -> None:
    """Say on stderr what went wrong, however quiet the user wants it."""
    _messages().print(f"aebench: {message}", soft_wrap=True)


def error(message: str, style: str = "red") -> None:
    """Say on stderr what of a run went wrong, however quiet the user wants it."""
    _messages().print(message, style=style, soft_wrap=True)


def warn(problems: Iterable[object]) -> None:
    """Say on stderr what a user must know of the results, such as files that were left out."""
    for problem in problems:
        _messages().print(f"warning: {problem}", style="yellow", soft_wrap=True)


def detail(message: str) -> None:
    """Say on stderr what was decided and why, to those who asked for it by --verbose."""
    if verbose():
        stderr().print(message, soft_wrap=True)


def items(option: str, given: str) -> list[str]:
    """``"a, b"`` as its items, of which none may be empty.

    Raises:
        RequestError: one is; the message names `option`, such as ``--latent``.
    """
    words = [word.strip() for word in given.split(",")]
    if not all(words):
        raise RequestError(f"{option} {given!r}: an item of the list is empty")
    return words


def table(
    title: str,
    heads: list[str],
    rows: Iterable[list[str]],
    left: int = 1,
    sentences: Iterable[str] = (),
    least: Iterable[str] = (),
    caption: str = "",
) -> Table:
    """A table that fits its terminal; see `tables.Table`."""
    plain = tuple(tuple(row) for row in rows)
    return Table(title, tuple(heads), plain, left, tuple(sentences), tuple(least), caption)


def count(number: int, what: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def number(value: float | None, digits: int = 4) -> str:
    """`digits` significant digits, or a dash for a number that does not exist."""
    if value is None or value != value:
        return "-"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def duration(seconds: float | None) -> str:
    """A duration as a person says it: 0.82 s, 41 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def between(low_s: float, high_s: float) -> str:
    """A guess at a duration as a range of rounded ones: ``40 s to 2 min``."""
    low, high = _rounded(low_s), _rounded(high_s)
    return low if low == high else f"{low} to {high}"


def _rounded(seconds: float) -> str:
    """A duration of which no more is said than is known: 40 s, 2 min, 1 h 10 min, 30 h."""
    if seconds < 95:
        return f"{float(f'{seconds:.2g}'):g} s"
    if seconds < 3570:
        return f"{round(seconds / 60)} min"
    if seconds < 9.9 * 3600:
        tens = round(seconds / 600)
        return f"{tens // 6} h {tens % 6 * 10} min" if tens % 6 else f"{tens // 6} h"
    return f"{float(f'{seconds / 3600:.2g}'):,g} h"
