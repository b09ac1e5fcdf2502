"""``aebench findings``: the study's findings judged on stored results, for people and pipes."""

from __future__ import annotations

import dataclasses
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aebench.cli import text
from aebench.errors import RequestError, unknown

if TYPE_CHECKING:
    from aebench.report.findings import Outcome


class Format(StrEnum):
    """How findings are printed."""

    table = "table"
    json = "json"
    markdown = "markdown"


def findings(
    results: Annotated[
        Path | None, typer.Argument(help="Results folder. [default: the newest below results/]")
    ] = None,
    only: Annotated[
        str | None, typer.Option(help="Findings by id: mlp-512,conv-16. [default: all]")
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="json and markdown carry rule and minimum data too.")
    ] = Format.table,
) -> None:
    """Judge the study's findings; exit code 0 whatever the verdicts, since a verdict is a result.

    Corrections for many comparisons count every finding that has data, shown or not.
    """
    from aebench.report.findings import FINDINGS, evaluate

    ids = [finding.id for finding in FINDINGS]
    wanted = ids if only is None else [word.strip() for word in only.split(",")]
    for id in wanted:
        if id not in ids:
            raise RequestError(unknown("finding", id, ids))
    folder, found = text.read(results)
    outcomes = [outcome for outcome in evaluate(found) if outcome.finding.id in wanted]
    if form is Format.json:
        sys.stdout.write(json.dumps([_fields(o) for o in outcomes], indent=2) + "\n")
    elif form is Format.markdown:
        import pandas as pd

        from aebench.cli.show import markdown

        sys.stdout.write(markdown(pd.DataFrame([_fields(o) for o in outcomes])))
    else:
        _print(outcomes, str(folder))


def _print(outcomes: list[Outcome], title: str) -> None:
    from aebench.report import words
    from aebench.report.findings import tally

    rows = [
        [
            o.finding.id,
            o.answer,
            o.finding.source,
            words.number(o.ours),
            words.between(o.low, o.high),
            o.finding.measure,
            str(o.n_seeds),
            str(o.n_jobs),
        ]
        for o in outcomes
    ]
    heads = ["finding", "verdict", "study", "ours", "95 % interval", "of", "seeds", "jobs"]
    table = text.table(f"{title}: {len(rows)} findings", heads, rows, left=3)
    table.columns[5].justify = "left"
    out = text.stdout()
    out.print(table)
    for o in outcomes:
        if o.n_jobs:
            out.print(f"{o.finding.id}: {o.note}", soft_wrap=True)
    counts = [f"{count} {verdict}" for verdict, count in tally(outcomes).items()]
    out.print(f"of {len(outcomes)} findings: {words.listed(counts)}", soft_wrap=True)


def _fields(outcome: Outcome) -> dict[str, Any]:
    """One flat row: what the finding says, how it is judged, and what came out."""
    finding = {
        f.name: getattr(outcome.finding, f.name)
        for f in dataclasses.fields(outcome.finding)
        if f.name != "evaluate"
    }
    verdict = {
        f.name: getattr(outcome, f.name) for f in dataclasses.fields(outcome) if f.name != "finding"
    }
    return finding | verdict | {"answer": outcome.answer}
