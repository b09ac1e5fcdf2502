"""Scripts and style sheets of the page, all files of a kind in `look/` as one text, in a language.

Texts in them are marked as in Python: ``say("Copy")``, and numbers for the reader with
``decimal(value)``. Both are done when a page is rendered, so that scripts carry no catalogue.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from aebench.language import ENGLISH, now, say

LOOK = Path(__file__).parent / "look"
SAID = re.compile(r'say\(((?:"(?:[^"\\]|\\.)*"(?:\s*\+\s*)?)+|`[^`]*`)\)')
_NUMBER = re.compile(r"decimal\(([^()]*)\)")
_ORDER = {"base": -1, "print": 1}


def text(kind: str) -> str:
    """The text of all files of a kind: `base` first, `print` last, which overrules.

    Without indentation and the comments of scripts, which are for whoever changes the files.
    """
    files = sorted(LOOK.glob(f"*.{kind}"), key=lambda file: (_ORDER.get(file.stem, 0), file.name))
    lines = [line.strip() for file in files for line in file.read_text("utf-8").splitlines()]
    raw = "\n".join(line for line in lines if line and not line.startswith("//"))
    return _NUMBER.sub(_written, SAID.sub(_said, raw))


def message(literal: str) -> str:
    """The text of a literal of a script, or of several that are added."""
    if literal.startswith("`"):
        return literal[1:-1]
    return "".join(json.loads(piece) for piece in re.findall(r'"(?:[^"\\]|\\.)*"', literal))


def _said(marked: re.Match[str]) -> str:
    literal = marked[1]
    if now() == ENGLISH:
        return literal
    told = say(message(literal))
    return f"`{told}`" if literal.startswith("`") else json.dumps(told, ensure_ascii=False)


def _written(marked: re.Match[str]) -> str:
    if now() == ENGLISH:
        return marked[1]
    look = f'v.toLocaleString("{now()}", {{ maximumSignificantDigits: 6 }})'
    return f'((v) => (typeof v === "number" ? {look} : v))({marked[1]})'
