"""``aebench findings``: the study's findings judged on stored results, for people and pipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from aebench.cli import complete, folders, formats, text
from aebench.cli.formats import Format
from aebench.cli.options import FormatOption, Results, default
from aebench.errors import RequestError, unknown

if TYPE_CHECKING:
    from aebench.analysis.findings import Outcome

_OBJECTS = ("finding", "evaluate", "model")  # which are no text and no number


def findings(
    results: Results = None,
    only: Annotated[
        str | None,
        typer.Option(
            help=f"Findings by id: mlp-512,conv-16. {default('all')}",
            autocompletion=complete.finding,
        ),
    ] = None,
    form: FormatOption = Format.table,
) -> None:
    """Judge the study's findings; exit code 0 whatever the verdicts, since a verdict is a result.

    csv, json and markdown carry rule and minimum data too. Corrections for many comparisons count
    every finding that has data, shown or not.
    """
    from aebench.analysis.findings import FINDINGS, evaluate

    ids = [finding.id for finding in FINDINGS]
    wanted = ids if only is None else text.items("--only", only)
    for id in wanted:
        if id not in ids:
            raise RequestError(unknown("finding", id, ids))
    folder, stored = folders.read(results)
    outcomes = [outcome for outcome in evaluate(stored) if outcome.finding.id in wanted]
    if form is Format.table:
        _print(outcomes, str(folder))
    else:
        plain = [_fields(outcome) for outcome in outcomes]
        formats.write(form, list(plain[0]), [list(row.values()) for row in plain])


def _print(outcomes: list[Outcome], title: str) -> None:
    from aebench.analysis import words
    from aebench.analysis.findings import tally

    rows = [
        [
            *(o.finding.id, o.answer, o.finding.source, words.number(o.ours)),
            *(words.between(o.low, o.high), o.finding.measure, str(o.n_seeds), str(o.n_jobs)),
        ]
        for o in outcomes
    ]
    heads = ["finding", "verdict", "study", "ours", "95 % interval", "of", "seeds", "jobs"]
    title = f"{title}: {len(rows)} findings"
    sentences, least = ["study", "of"], ["jobs", "of", "seeds", "95 % interval", "study"]
    out = text.stdout()
    out.print(text.table(title, heads, rows, left=3, sentences=sentences, least=least))
    for o in outcomes:
        if o.n_jobs:
            out.print(f"{o.finding.id}: {o.note}", soft_wrap=True)
    counts = [f"{count} {verdict}" for verdict, count in tally(outcomes).items()]
    out.print(f"of {len(outcomes)} findings: {words.listed(counts)}", soft_wrap=True)


def _fields(outcome: Outcome) -> dict[str, Any]:
    """One flat row: what the finding says, how it is judged, and what came out."""
    row = {**vars(outcome.finding), **vars(outcome), "answer": outcome.answer}
    return {name: value for name, value in row.items() if name not in _OBJECTS}
