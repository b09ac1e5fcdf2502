"""``aebench findings``: the study's findings judged on stored results, for people and pipes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aebench.cli import complete, folders, formats, text
from aebench.cli.formats import Format
from aebench.cli.options import FormatOption, Results, default
from aebench.errors import RequestError, unknown

if TYPE_CHECKING:
    from aebench.analysis.expected import Expectation, Known
    from aebench.analysis.outcomes import Outcome

EPILOG = """
Examples:

  aebench findings results/quick --only mlp-512,conv-1

  aebench findings results/mine --against results/reference-study
"""

_OBJECTS = (
    "finding",
    "evaluate",
    "model",
    "shows",
    "brief",
    "how",
    "evidence",
)  # which are no text and no number


def findings(
    results: Results = None,
    only: Annotated[
        str | None,
        typer.Option(
            help=f"Findings by id: mlp-512,conv-16. {default('all')}",
            autocompletion=complete.finding,
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Compare with a results folder, or what --format json wrote; exit with 1 where"
            f" something differs. {default('the reference results, beside the verdicts')}",
            autocompletion=complete.outcomes,
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
    if against is not None:
        from aebench.analysis import expected

        known = [outcome.known for outcome in outcomes]
        _answer(expected.compared(known, _there(against)), f"{folder} against {against}", form)
    elif form is Format.table:
        _print(outcomes, str(folder))
    else:
        _write(form, [_fields(outcome) for outcome in outcomes])


def _there(path: Path) -> dict[str, Known]:
    """The outcomes to compare with: of a results folder, or in a file."""
    from aebench.analysis import expected
    from aebench.analysis.findings import evaluate

    if path.is_file() and path.suffix != ".parquet":
        return expected.read(path)
    return {outcome.finding.id: outcome.known for outcome in evaluate(folders.read(path)[1])}


def _write(form: Format, rows: list[dict[str, Any]]) -> None:
    formats.write(form, list(rows[0]), [list(row.values()) for row in rows])


def _print(outcomes: list[Outcome], title: str) -> None:
    from aebench.analysis import words
    from aebench.analysis.outcomes import headline, tally

    rows = [
        [
            *(o.finding.id, o.answer, o.finding.source, o.figure),
            *(o.interval, _beside(o), o.finding.measure),
            *(str(o.n_seeds), str(o.n_jobs)),
        ]
        for o in outcomes
    ]
    heads = ["finding", "verdict", "study", "ours", "95 % interval", "reference", "of"]
    heads += ["seeds", "jobs"]
    title = f"{title}: {len(rows)} findings"
    sentences = ["study", "of", "reference"]
    least = ["jobs", "of", "seeds", "95 % interval", "study"]
    out = text.stdout()
    out.print(text.table(title, heads, rows, left=3, sentences=sentences, least=least))
    for o in outcomes:
        if o.n_jobs or o.needs:
            out.print(f"{o.finding.id}: {o.why}", soft_wrap=True)
    for sentence in headline(outcomes):
        out.print(sentence, soft_wrap=True)
    counts = [f"{count} {verdict}" for verdict, count in tally(outcomes).items()]
    out.print(f"of {len(outcomes)} findings: {words.listed(counts)}", soft_wrap=True)


def _beside(outcome: Outcome) -> str:
    """How it compares with the reference results, where both have a figure."""
    beside = outcome.expected
    if beside is None or beside.there is None or beside.here.ours is None:
        return "–"
    figure = "" if beside.there.ours is None else f": {beside.there.figure}"
    return beside.answer + figure


def _fields(outcome: Outcome) -> dict[str, Any]:
    """One flat row: what the finding says, how it is judged, and what came out."""
    row = {**vars(outcome.finding), **vars(outcome), "answer": outcome.answer}
    row |= {
        "values": list(outcome.values),
        "expected": outcome.expected and outcome.expected.answer,
    }
    return {name: value for name, value in row.items() if name not in _OBJECTS}


def _answer(expectations: list[Expectation], title: str, form: Format) -> None:
    """Print what came out here beside what came out there; exit with 1 where something differs."""
    if form is Format.table:
        _print_expectations(expectations, title)
    else:
        _write(form, [_flat(expectation) for expectation in expectations])
    if any(expectation.answer == "differs" for expectation in expectations):
        raise typer.Exit(1)


def _flat(expectation: Expectation) -> dict[str, Any]:
    row: dict[str, Any] = {"finding": expectation.id, "answer": expectation.answer}
    for side, known in (("here", expectation.here), ("there", expectation.there)):
        plain = {} if known is None else asdict(known)
        names = ("verdict", "ours", "low", "high", "n_seeds")
        row |= {f"{name}_{side}": plain.get(name) for name in names}
    return row | {"overlap": expectation.overlap, "why": expectation.why}


def _print_expectations(expectations: list[Expectation], title: str) -> None:
    from aebench.analysis import expected, words

    def cells(known: Known | None) -> list[str]:
        if known is None:
            return ["–"] * 3
        return [known.verdict, known.figure, known.interval]

    heads = ["finding", "answer", "verdict", "ours", "95 % interval", "there", "figure there"]
    heads += ["interval there", "why"]
    rows = [[e.id, e.answer, *cells(e.here), *cells(e.there), e.why] for e in expectations]
    least = ["interval there", "95 % interval", "there", "verdict"]
    out = text.stdout()
    out.print(text.table(title, heads, rows, left=3, sentences=["why"], least=least))
    answers = [expectation.answer for expectation in expectations]
    counts = [f"{answers.count(answer)} {answer}" for answer in expected.ANSWERS]
    out.print(f"of {len(answers)} findings: {words.listed(counts)}", soft_wrap=True)
