"""Errors that are the user's to mend.

Anything that derives from `RequestError` is shown as one message without a traceback, and the
command ends with exit code 2. Everything else is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import unicodedata
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


def printable(given: object, most: int = 300) -> str:
    """`given` in one line for a person: what would steer a terminal as escapes, cut at `most`.

    File names, reasons and names of architectures are other people's words: an ESC in them must
    not reach a terminal, nor a line end a table, nor half a character a page. Spaces of all
    widths stay, as French sets them before a colon.
    """
    shown = "".join(
        c
        if c.isprintable() or unicodedata.category(c) == "Zs"
        else c.encode("unicode_escape").decode()
        for c in str(given)[: most + 1]
    )
    return shown if len(shown) <= most else shown[: max(0, most - 3)] + "..."
