"""``aebench compare``: two folders of results, before and after, one machine and another."""

from __future__ import annotations

import dataclasses
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aebench.cli import text

if TYPE_CHECKING:
    from aebench.report.comparison import Change, Comparison

_HEADS = ["metric", "job", "A", "B", "B / A", "corrected 95 %", "runs", "verdict"]
EPILOG = """
Examples:

  aebench compare results/before results/after --fail-if "train_s > 5%"

  aebench compare results/eager results/graph --across engine

  aebench compare results/laptop results/server --across machine,threads
"""


class Format(StrEnum):
    """How changes are printed."""

    table = "table"
    json = "json"
    markdown = "markdown"


def compare(
    a: Annotated[Path, typer.Argument(help="Results folder to compare with.")],
    b: Annotated[Path, typer.Argument(help="Results folder to compare.")],
    across: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="What may differ: engine, device, precision, threads, torch, machine, code.",
        ),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(metavar="LIMIT", help='Exit with 1 if so: "train_s > 5%", "mse > 1%".'),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.table,
) -> None:
    """Compare two folders of results, job by job: times and errors as ratios with intervals."""
    from aebench.report import comparison
    from aebench.store import Store

    limits = [comparison.limit(given) for given in fail_if or ()]
    read = [Store(folder).read() for folder in (a, b)]
    for problem in [problem for results in read for problem in results.problems]:
        text.stderr().print(f"warning: {problem}", style="yellow")
    declared = [name.strip() for name in across.split(",")] if across else []
    metrics = list(dict.fromkeys(["train_s", "mse", *(limit.metric for limit in limits)]))
    found = comparison.compare(read[0], read[1], declared, metrics)
    broken = comparison.exceeded(found, limits)
    if form is Format.json:
        plain = {"a": str(a), "b": str(b), "across": declared} | dataclasses.asdict(found)
        json.dump(plain | {"failed": broken}, sys.stdout, indent=2)
        sys.stdout.write("\n")
    elif form is Format.markdown:
        _markdown(found)
    else:
        rows = [_cells(change) for change in found.changes]
        made = text.table(f"A: {a}; B: {b}", _HEADS, rows, left=2)
        made.columns[-1].justify = "left"
        text.stdout().print(made)
    for note in found.notes:
        text.stderr().print(f"note: {note}")
    for sentence in found.lost if not limits else ():
        text.stderr().print(f"note: {sentence}")
    for sentence in broken:
        text.stderr().print(f"failed: {sentence}", style="red")
    if broken:
        raise typer.Exit(1)


def _markdown(found: Comparison) -> None:
    import pandas as pd

    from aebench.cli.show import markdown

    rows = [_cells(change) for change in found.changes]
    sys.stdout.write(markdown(pd.DataFrame(rows, columns=_HEADS)))


def _cells(change: Change) -> list[str]:
    between = "-" if change.low is None else f"{change.low:.4g} to {change.high:.4g}"
    figures = [text.number(change.a), text.number(change.b), f"{change.ratio:.4g}", between]
    return [change.metric, change.job, *figures, str(change.n), change.verdict]
