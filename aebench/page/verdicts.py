"""The findings of the study, judged: the section, its tables, and the tally at the page's head."""

from __future__ import annotations

from collections.abc import Sequence

from aebench.analysis import words
from aebench.analysis.evidence import Verdict
from aebench.analysis.findings import PAIRED_TEST, Outcome
from aebench.analysis.statistics import LEAST
from aebench.page.parts import Cell, Section, Table, table

SYMBOLS: dict[Verdict, str] = {
    "replicated": "✔",
    "consistent": "≈",
    "not replicated": "✘",
    "undecided": "?",
    "not tested": "○",
}


def section(outcomes: Sequence[Outcome]) -> Section:
    """Every finding, and on demand the rules that judge them."""
    return Section(
        id="findings",
        title="Findings",
        intro=(
            "Each row is one claim of the study and what the stored records say to it. Only "
            "finished jobs under the study's own protocol count. “Replicated” and “not "
            f"replicated” take {LEAST} seeds or more. “Consistent” means that the few there are "
            "lie where the claim has them, which one seed may do by chance; “undecided”, that "
            "there is too little data or that it points both ways; “not tested”, that nothing of "
            "it was run. None is a weaker form of another.",
        ),
        tables=(findings(outcomes),),
        folded=(rules(outcomes),),
    )


def findings(outcomes: Sequence[Outcome]) -> Table:
    """Every finding with the verdict, the study's figure and ours."""
    heads = """
        finding | the claim, in the study's order
        verdict | one of five: see the words above the table
        study .source | the figures as the study prints them
        ours # .ours | geometric mean over seeds, 95 % interval where there are three or more
        seeds ## | seeds, or pairs of runs, that the verdict rests on
        note .note
    """
    rows = [
        (
            Cell(o.finding.claim, o.finding.id, "claim", (o.finding.id,)),
            Cell(f"{SYMBOLS[o.verdict]} {o.answer}", look="verdict " + o.verdict.replace(" ", "-")),
            o.finding.source,
            Cell(words.number(o.ours), o.ours, small=_under(o)),
            o.n_seeds,
            o.note[:1].upper() + o.note[1:],
        )
        for o in outcomes
    ]
    return table("Findings of the study, judged", heads, rows, id="findings-table")


def _under(outcome: Outcome) -> tuple[str, ...]:
    if outcome.ours is None:
        return ()
    interval = () if outcome.low is None else (words.between(outcome.low, outcome.high),)
    return (*interval, outcome.finding.measure)


def rules(outcomes: Sequence[Outcome]) -> Table:
    """How each finding is judged, and the data it takes; findings with one rule share a row."""
    shared: dict[tuple[str, str], list[str]] = {}
    for o in outcomes:
        shared.setdefault((o.finding.rule, o.finding.minimum), []).append(o.finding.id)
    rows = [(", ".join(ids), rule, minimum) for (rule, minimum), ids in shared.items()]
    rows.append(("paired test", PAIRED_TEST, f"{LEAST} pairs"))
    caption = "The rules, fixed before any record was seen"
    return table(caption, "finding\nrule\nminimum data", rows, id="rules")
