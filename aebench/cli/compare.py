"""``aebench compare``: two folders of results, before and after, one machine and another.

Or, with ``--run``, two values of one axis of a grid, run now, in turn.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aebench.cli import axes, complete, folders, formats, text
from aebench.cli.formats import Format
from aebench.cli.options import Data, FormatOption, default
from aebench.errors import RequestError
from aebench.executors import RunOptions

if TYPE_CHECKING:
    from aebench.analysis.comparison import Change
    from aebench.store import Results

_HEADS = ["metric", "job", "A", "B", "B / A", "corrected 95 %", "runs", "verdict"]
_LEAST = ("runs", "A", "B", "corrected 95 %")  # left out first, where a terminal is narrow
_RUN = "Run both here"
EPILOG = """
Examples:

  aebench compare results/before results/after --fail-if "train_s > 5%"

  aebench compare results/eager results/graph --across engine

  aebench compare results/laptop results/server --across machine,threads

  aebench compare --run quick --engine eager,native: run both in turn here, then compare
"""


def compare(
    a: Annotated[
        Path | None,
        typer.Argument(help="Results folder to compare with.", autocompletion=complete.results),
    ] = None,
    b: Annotated[
        Path | None,
        typer.Argument(help="Results folder to compare.", autocompletion=complete.results),
    ] = None,
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
    run: Annotated[
        str | None,
        typer.Option(
            metavar="GRID",
            help="Run this grid with two values of one axis, in turn, and compare these: a preset"
            " or a TOML file.",
            rich_help_panel=_RUN,
            autocompletion=complete.grid,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(help="As eager,native.", rich_help_panel=_RUN, autocompletion=complete.engine),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="As fp32,bf16.", rich_help_panel=_RUN, autocompletion=complete.precision),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="As cpu,cuda.", rich_help_panel=_RUN, autocompletion=complete.device),
    ] = None,
    repeats: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Of each job on each side, each in a process of its own.",
            rich_help_panel=_RUN,
        ),
    ] = 6,
    results: Annotated[
        Path | None,
        typer.Option(
            help=f"Folder of what is run. {default('results/compare-GRID-A-B')}",
            rich_help_panel=_RUN,
            autocompletion=complete.results,
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Compare two folders of results, job by job: times and errors as ratios with intervals."""
    from aebench.analysis import comparison

    limits = [comparison.limit(given) for given in fail_if or ()]
    declared = text.items("--across", across) if across else []
    given = {"engine": engine, "precision": precision, "device": device}
    if run is not None:
        if a is not None or declared:
            raise RequestError(
                "compare --run measures both sides itself: leave out the folders and --across"
            )
        first, second, declared, before, after = _run(run, given, repeats, results, data)
    elif a is None or b is None:
        raise RequestError(
            "name two results folders to compare; or let both be run here, in turn: aebench compare"
            " --run quick --engine eager,native"
        )
    elif any(given.values()) or results is not None:
        raise RequestError("--engine, --precision, --device and --results belong to compare --run")
    else:
        first, second = str(a), str(b)
        (_, before), (_, after) = folders.read(a), folders.read(b)
    metrics = list(dict.fromkeys(["train_s", "mse", *(limit.metric for limit in limits)]))
    compared = comparison.compare(before, after, declared, metrics)
    broken = comparison.exceeded(compared, limits)
    rows = [_cells(change) for change in compared.changes]
    if form is Format.json:
        sides = {"a": first, "b": second, "across": declared}
        formats.write_json(sides | dataclasses.asdict(compared) | {"failed": broken})
    elif form is Format.table:
        text.stdout().print(
            text.table(
                f"A: {first}; B: {second}",
                _HEADS,
                rows,
                left=2,
                sentences=["verdict"],
                least=_LEAST,
            )
        )
    else:
        formats.write(form, _HEADS, rows)
    for note in [*compared.notes, *(compared.lost if not limits else ())]:
        text.stderr().print(f"note: {note}")
    for sentence in broken:
        text.error(f"failed: {sentence}")
    if broken:
        raise typer.Exit(1)


def _run(
    grid: str, given: dict[str, str | None], repeats: int, shown: Path | None, data: Path | None
) -> tuple[str, str, list[str], Results, Results]:
    """Both sides of a grid, run: their names, in what they differ, and the results of each."""
    from aebench.cli import in_turn

    data = None if data is None else folders.current() / data
    pairs = in_turn.sides(grid, given, repeats, data)
    cuda = next((w for w in (given["device"] or "").split(",") if w.startswith("cuda")), "cuda")
    options = RunOptions(cuda=cuda, data=data, command=axes.command(None, [], data))
    stored, folder = in_turn.run(pairs, grid, shown, options)
    text.stderr().print(f"results: {folder}", soft_wrap=True)
    first, second = (f"{pairs.across[0]} {name}" for name in pairs.names)
    return first, second, list(pairs.across), pairs.of(stored, 0), pairs.of(stored, 1)


def _cells(change: Change) -> list[str]:
    between = "-" if change.low is None else f"{change.low:.4g} to {change.high:.4g}"
    figures = [text.number(change.a), text.number(change.b), f"{change.ratio:.4g}", between]
    return [change.metric, change.job, *figures, str(change.n), change.verdict]
