"""Errors that are the user's to mend.

Anything that derives from `RequestError` is shown as one message without a traceback, and the
command ends with exit code 2. Everything else is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RequestError(ValueError):
    """What was asked for cannot be done as asked; the message says what to do instead."""


def unknown(kind: str, given: str, valid: Iterable[str]) -> str:
    """Say that `given` is no valid `kind`, with the nearest valid name or all of them."""
    names = sorted(valid)
    near = get_close_matches(str(given), names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from: {', '.join(names)}"
    return f"unknown {kind} {given!r}; {hint}"


def printable(text: str, most: int = 300) -> str:
    """`text` on one line of at most `most` characters, what cannot be shown as escapes: \\x1b.

    Control characters, line ends, lone surrogates and marks of direction would steer a terminal
    or break a page; a longer text is cut, and ends in an ellipsis.
    """
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text[:most]
    )
    return shown if len(text) <= most and len(shown) <= most else shown[: most - 1] + "…"
