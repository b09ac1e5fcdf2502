"""How tables are printed for pipes: every value of json and csv exact, markdown for people."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum

from aebench.errors import printable


class Format(StrEnum):
    """How a table is printed."""

    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"


class Answer(StrEnum):
    """How what is no table is printed."""

    text = "text"
    json = "json"


def markdown(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A GitHub table; a bar inside a cell is escaped, None is an empty cell."""

    def line(cells: Sequence[object]) -> str:
        words = ("" if c is None else printable(c, most=10_000) for c in cells)
        return "| " + " | ".join(w.replace("|", r"\|") for w in words) + " |\n"

    return line(heads) + line(["---"] * len(heads)) + "".join(line(row) for row in rows)


def write_json(content: object) -> None:
    """Print `content` as JSON; a number that is none is a defect of ours."""
    sys.stdout.write(json.dumps(content, indent=2, allow_nan=False) + "\n")


def write(form: Format, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows of plain values as csv, json or markdown."""
    if form is Format.csv:
        csv.writer(sys.stdout, lineterminator="\n").writerows([heads, *rows])
    elif form is Format.json:
        write_json([dict(zip(heads, row, strict=True)) for row in rows])
    else:
        sys.stdout.write(markdown(heads, rows))
