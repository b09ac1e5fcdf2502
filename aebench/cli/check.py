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
    from aebench.analysis import fitness
    from aebench.store import kept

    folder, stored = folders.read(results)
    if not len(stored.jobs):
        raise RequestError(f"there is no job in {folder}, so there is no time to check")
    finished = int(stored.jobs["status"].eq("ok").sum())
    timed = bool((stored.jobs["train_s"].astype("float64") > 0).any())
    sums = stored.jobs["weights_sha256"].fillna("")
    text.warn(kept.problems(folder, dict(zip(stored.jobs["key"], sums, strict=True))))
    doubts = fitness.check(stored)
    fit = timed and fitness.fit(doubts)
    if form is Answer.json:
        answer = {"results": str(folder), "jobs": finished, "fit": fit}
        formats.write_json(answer | {"doubts": [_plain(doubt) for doubt in doubts]})
    else:
        _print(folder, finished, doubts, fit if timed else None)
    if not fit:
        raise typer.Exit(1)


def _plain(doubt: Doubt) -> dict[str, object]:
    kind = doubt.kind
    named = {name: getattr(kind, name) for name in ("unfit", "what", "why", "remedy")}
    return {"kind": kind.name} | named | {"rows": [asdict(case) for case in doubt.cases]}


def _print(folder: Path, finished: int, doubts: list[Doubt], fit: bool | None) -> None:
    """Every doubt, then the answer; `fit` is None where there is no time to judge."""
    out = text.stdout()
    for doubt in doubts:
        kind, cases = doubt.kind, doubt.cases
        grade = "[yellow]unfit[/yellow]" if kind.unfit else "[dim]note[/dim]"
        out.print(f"{grade} [bold]{kind.name}[/bold] ({len(cases)})", markup=True)
        for line in (kind.what, kind.why, kind.remedy):
            out.print(f"  {line}")
        for case in cases[:_SHOWN]:
            out.print(f"    {printable(case.job)} [{case.key}]: {printable(case.detail)}")
        if len(cases) > _SHOWN:
            out.print(f"    and {len(cases) - _SHOWN} more; --format json names them all")
        out.print()
    raised = [doubt.kind.name for doubt in doubts if doubt.kind.unfit]
    verdict = "fit to compare" if fit else f"not fit to compare: {', '.join(raised)}"
    if fit is None:
        verdict = "none with a training time: nothing to compare"
    out.print(f"{folder}: {finished} finished jobs, {verdict}", soft_wrap=True)
