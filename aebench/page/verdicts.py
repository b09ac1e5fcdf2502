"""The findings of the study, judged: the section with its cards, and what to know in more words.

Every figure in words is that of the cards: a geometric mean over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.evidence import Verdict
from aebench.analysis.findings import PAIRED_TEST
from aebench.analysis.outcomes import Outcome, headline, tally, tested
from aebench.analysis.statistics import LEAST
from aebench.page import cards, records
from aebench.page.parts import Section, Table, table
from aebench.page.pictures import Album
from aebench.store import Results


def section(outcomes: Sequence[Outcome], album: Album) -> Section:
    """Every finding as a card, and on demand the rules that judge them in full."""
    return Section(
        id="findings",
        title="Findings",
        intro=(
            "A card for each claim of the study, with its figure and ours: the study error, where "
            "nothing else is said. Opened, it shows what that rests on: every seed, pictures or "
            "curves, and the rule. Only finished jobs under the study's own protocol count.",
        ),
        cards=cards.cards(outcomes, album),
        folded=(meanings(), rules(outcomes)),
    )


_MEANINGS: dict[Verdict, str] = {
    "replicated": f"The rule is met, by {LEAST} seeds or more. A figure that the study prints is "
    "one run of theirs: “as a single run” some of ours give it while their mean is another.",
    "consistent": f"Fewer than {LEAST} seeds lie where the claim has them, which one seed may do "
    "by chance.",
    "not replicated": f"The opposite of what the rule asks, by {LEAST} seeds or more.",
    "undecided": "There is too little data, or it points both ways.",
    "not tested": "Nothing of it was run.",
}


def meanings() -> Table:
    """What each verdict means; none is a weaker form of another."""
    rows = [(cards.GROUPS[verdict], meaning) for verdict, meaning in _MEANINGS.items()]
    return table("What the verdicts mean", "verdict\nmeaning .note", rows, id="verdicts")


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
    said = [_verdicts(outcomes), *headline(outcomes), records.endings(results.jobs)]
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
        f"{words.number(factors[i])} ({words.model_on(squeezed.loc[i])})"
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
