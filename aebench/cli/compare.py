"""``aebench compare``: two folders of results, before and after, one machine and another."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aebench.cli import complete, folders, formats, text
from aebench.cli.formats import Format
from aebench.cli.options import FormatOption

if TYPE_CHECKING:
    from aebench.analysis.comparison import Change

_HEADS = ["metric", "job", "A", "B", "B / A", "corrected 95 %", "runs", "verdict"]
_LEAST = ("runs", "A", "B", "corrected 95 %")  # left out first, where a terminal is narrow
EPILOG = """
Examples:

  aebench compare results/before results/after --fail-if "train_s > 5%"

  aebench compare results/eager results/graph --across engine

  aebench compare results/laptop results/server --across machine,threads
"""


def compare(
    a: Annotated[
        Path,
        typer.Argument(help="Results folder to compare with.", autocompletion=complete.results),
    ],
    b: Annotated[
        Path, typer.Argument(help="Results folder to compare.", autocompletion=complete.results)
    ],
    across: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="What may differ: engine, device, precision, threads, torch, machine, code,"
            " options.",
            autocompletion=complete.across,
        ),
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(metavar="LIMIT", help='Exit with 1 if so: "train_s > 5%", "mse > 1%".'),
    ] = None,
    form: FormatOption = Format.table,
) -> None:
    """Compare two folders of results, job by job: times and errors as ratios with intervals."""
    from aebench.analysis import comparison

    limits = [comparison.limit(given) for given in fail_if or ()]
    (_, before), (_, after) = folders.read(a), folders.read(b)
    declared = text.items("--across", across) if across else []
    metrics = list(dict.fromkeys(["train_s", "mse", *(limit.metric for limit in limits)]))
    compared = comparison.compare(before, after, declared, metrics)
    broken = comparison.exceeded(compared, limits)
    rows = [_cells(change) for change in compared.changes]
    if form is Format.json:
        sides = {"a": str(a), "b": str(b), "across": declared}
        formats.write_json(sides | dataclasses.asdict(compared) | {"failed": broken})
    elif form is Format.table:
        text.stdout().print(
            text.table(f"A: {a}; B: {b}", _HEADS, rows, left=2, sentences=["verdict"], least=_LEAST)
        )
    else:
        formats.write(form, _HEADS, rows)
    for note in [*compared.notes, *(compared.lost if not limits else ())]:
        text.stderr().print(f"note: {note}")
    for sentence in broken:
        text.error(f"failed: {sentence}")
    if broken:
        raise typer.Exit(1)


def _cells(change: Change) -> list[str]:
    between = "-" if change.low is None else f"{change.low:.4g} to {change.high:.4g}"
    figures = [text.number(change.a), text.number(change.b), f"{change.ratio:.4g}", between]
    return [change.metric, change.job, *figures, str(change.n), change.verdict]
