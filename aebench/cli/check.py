"""``aebench check``: whether results are fit to compare, and if not, which rows and what helps."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aebench.cli import folders, formats, text
from aebench.cli.formats import Answer
from aebench.cli.options import Results
from aebench.errors import RequestError, printable

if TYPE_CHECKING:
    from aebench.analysis.fitness import Doubt

_SHOWN = 10  # rows named for each doubt; --format json names them all


def check(
    results: Results = None,
    form: Annotated[Answer, typer.Option("--format", help="json names every row.")] = Answer.text,
) -> None:
    """Check whether times are fit to compare: exit code 0 if they are, 1 if not or without any.

    Kept weights are looked at as well; those without a record, or damaged, are named.
    """
    from aebench.analysis import fitness, frames
    from aebench.store import kept

    folder, stored = folders.read(results)
    if not len(stored.jobs):
        raise RequestError(f"there is no job in {folder}, so there is no time to check")
    finished = int(stored.jobs["status"].eq("ok").sum())
    timed = len(frames.timed(stored.jobs))
    sums = stored.jobs["weights_sha256"].fillna("")
    text.warn(kept.problems(folder, dict(zip(stored.jobs["key"], sums, strict=True))))
    doubts = fitness.check(stored)
    fit = fitness.fit(stored, doubts)
    if form is Answer.json:
        answer = {"results": str(folder), "jobs": finished, "times": timed, "fit": fit}
        formats.write_json(answer | {"doubts": [_plain(doubt) for doubt in doubts]})
    else:
        _print(folder, finished, timed, doubts)
    if not fit:
        raise typer.Exit(1)


def _plain(doubt: Doubt) -> dict[str, object]:
    kind = doubt.kind
    named = {name: getattr(kind, name) for name in ("grade", "what", "why", "remedy")}
    return {"kind": kind.name} | named | {"rows": [asdict(case) for case in doubt.cases]}


def _print(folder: Path, finished: int, timed: int, doubts: list[Doubt]) -> None:
    """Every doubt, then the answer for the times that no run has left out itself."""
    out = text.stdout()
    for doubt in doubts:
        kind, cases = doubt.kind, doubt.cases
        look = "yellow" if kind.grade == "unfit" else "dim"
        head = f"[{look}]{kind.grade}[/{look}] [bold]{kind.name}[/bold] ({len(cases)})"
        out.print(head, markup=True)
        for line in (kind.what, kind.why, kind.remedy):
            out.print(f"  {line}")
        for case in cases[:_SHOWN]:
            out.print(f"    {printable(case.job)} [{case.key}]: {printable(case.detail)}")
        if len(cases) > _SHOWN:
            out.print(f"    and {len(cases) - _SHOWN} more; --format json names them all")
        out.print()
    unfit = [doubt for doubt in doubts if doubt.kind.grade == "unfit"]
    keys = {key for doubt in unfit for case in doubt.cases for key in case.keys}
    names = ", ".join(doubt.kind.name for doubt in unfit)
    verdict = f"{len(keys)} of them not fit to compare: {names}" if unfit else "fit to compare"
    times = f"{text.count(timed, 'time')}, {verdict}" if timed else "no time to compare"
    out.print(f"{folder}: {text.count(finished, 'finished job')}, {times}", soft_wrap=True)
