"""The findings of the study, judged: the section with its tables, and the head of the page.

Every figure at the head is that of the tables below: a geometric mean over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.evidence import Verdict
from aebench.analysis.findings import PAIRED_TEST
from aebench.analysis.outcomes import Outcome, headline, tally, tested
from aebench.analysis.statistics import LEAST
from aebench.page.parts import Cell, Section, Table, table
from aebench.store import Results

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
            "it was run. None is a weaker form of another. A figure that the study prints is one "
            "run of theirs: it may be “replicated as a single run”, which some of ours give while "
            "their mean is another. A claim that can be taken in two ways, or timed on two kinds "
            "of device, has a row for each.",
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
            o.why[:1].upper() + o.why[1:],
        )
        for o in outcomes
    ]
    return table("Findings of the study, judged", heads, rows, id="findings-table")


def _under(outcome: Outcome) -> tuple[str, ...]:
    if outcome.ours is None:
        return ()
    interval = () if outcome.low is None else (words.between(outcome.low, outcome.high),)
    beside, there = outcome.expected, outcome.expected and outcome.expected.there
    expected: tuple[str, ...] = ()
    if beside and there and beside.answer in ("as expected", "differs"):
        than = words.seeds(there.n_seeds, there.counts)
        expected = (f"{beside.answer}: reference {words.number(there.ours)}, {than}",)
    return (*interval, outcome.finding.measure, *expected)


def rules(outcomes: Sequence[Outcome]) -> Table:
    """How each finding is judged, and the data it takes; findings with one rule share a row."""
    shared: dict[tuple[str, str], list[str]] = {}
    for o in outcomes:
        shared.setdefault((o.finding.rule, o.finding.minimum), []).append(o.finding.id)
    rows = [(", ".join(ids), rule, minimum) for (rule, minimum), ids in shared.items()]
    rows.append(("paired test", PAIRED_TEST, f"{LEAST} pairs"))
    caption = "The rules, fixed before any record was seen"
    return table(caption, "finding\nrule\nminimum data", rows, id="rules")


def sentences(results: Results, outcomes: Sequence[Outcome]) -> list[str]:
    """What to know before reading on; `results` are ordered and marked."""
    said = [_verdicts(outcomes), *headline(outcomes), _jobs(results.jobs)]
    models = frames.summary(frames.counting(results.jobs))
    said += [_worse_than_the_mean(models), _beside_pca(models), _times(results.jobs)]
    return [sentence for sentence in said if sentence]


def _verdicts(outcomes: Sequence[Outcome]) -> str:
    n = tally(outcomes)
    claims = sum(not outcome.finding.reading_of for outcome in outcomes)
    if not tested(outcomes):
        return f"None of the study's {claims} findings was tested: its models were not run here."

    def verb(verdict: Verdict, one: str, many: str) -> str:
        return f"{n[verdict]} {one if n[verdict] == 1 else many}"

    few = f"consistent with fewer than {LEAST} seeds"
    parts = [
        verb("replicated", "replicates", "replicate"),
        verb("consistent", f"is {few}", f"are {few}"),
        verb("not replicated", "does not replicate", "do not replicate"),
        verb("undecided", "is undecided", "are undecided"),
        verb("not tested", "was not tested", "were not tested"),
    ]
    return (
        f"The study's {claims} findings are judged in {len(outcomes)} rows, one for each way to "
        f"read them and each device: {words.listed(parts)}."
    )


def _jobs(jobs: pd.DataFrame) -> str:
    if not len(jobs):
        return "There is no job in these results."
    counts = jobs["status"].str.replace("_", " ").value_counts().sort_index()
    bad = [f"{count} {status}" for status, count in counts.items() if status != "ok"]
    ends = f"{counts.get('ok', 0)} finished" + (f", {words.listed(bad)}" if bad else "")
    return f"{words.counted(len(jobs), 'job')} left a record: {ends}."


def _worse_than_the_mean(models: pd.DataFrame) -> str:
    beaten = models[models["mse"] > models["mean_mse"]]
    if not len(beaten):
        return ""
    named = [words.model_on(row) for row in beaten.to_dict("records")]
    who = words.listed(named) if len(named) <= 3 else f"{len(named)} of {len(models)} models"
    verb = "does" if len(named) == 1 else "do"
    return (
        f"Under the study's protocol {who} {verb} worse than the mean image, which needs no code "
        "at all."
    )


def _beside_pca(models: pd.DataFrame) -> str:
    squeezed = models[frames.beside_pca(models)]
    factors = (squeezed["mse"] / squeezed["pca_mse"]).dropna().sort_values()
    if not len(factors):
        return ""
    ends = [
        f"{words.number(factors[i], 2)} ({words.model_on(squeezed.loc[i])})"
        for i in dict.fromkeys([factors.index[0], factors.index[-1]])
    ]
    return (
        "Where the bottleneck is a real one, models trained under the study's protocol have "
        f"{' to '.join(ends)} times the error of PCA with a code of the same size."
    )


def _times(jobs: pd.DataFrame) -> str:
    timed = frames.timed(jobs)
    unfit = len(timed) - len(frames.accepted(timed))
    if not unfit:
        return ""
    return (
        f"Of {words.counted(len(timed), 'time')} taken with the machine to itself aebench check "
        f"rejects {unfit}: marked ✘, and in no ratio."
    )
