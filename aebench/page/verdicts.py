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
from aebench.language import later, plural, say
from aebench.page import cards, records
from aebench.page.parts import Section, Table, table
from aebench.page.pictures import Album
from aebench.store import Results

_NAMED = 3  # models that a sentence names


def section(outcomes: Sequence[Outcome], album: Album) -> Section:
    """Every finding as a card, and on demand the rules that judge them in full."""
    return Section(
        id="findings",
        title=say("Findings"),
        intro=(
            say(
                "A card for each claim of the study, with its figure and ours: the study error, "
                "where nothing else is said. Opened, it shows what that rests on: every seed, "
                "pictures or "
                "curves, and the rule. Only finished jobs under the study's own protocol count."
            ),
        ),
        cards=cards.cards(outcomes, album),
        folded=(meanings(), rules(outcomes)),
    )


_MEANINGS: dict[Verdict, str] = later({
    "replicated": "The rule is met, by {least} seeds or more. A figure that the study prints is "
    "one run of theirs: “as a single run” some of ours give it while their mean is another.",
    "consistent": "Fewer than {least} seeds lie where the claim has them, which one seed may do "
    "by chance.",
    "not replicated": "The opposite of what the rule asks, by {least} seeds or more.",
    "undecided": "There is too little data, or it points both ways.",
    "not tested": "Nothing of it was run.",
})  # fmt: skip


def meanings() -> Table:
    """What each verdict means; none is a weaker form of another."""
    rows = [(cards.named(v), say(text, least=LEAST)) for v, text in _MEANINGS.items()]
    return table(say("What the verdicts mean"), "verdict\nmeaning .note", rows, id="verdicts")


def rules(outcomes: Sequence[Outcome]) -> Table:
    """How each finding is judged, and the data it takes; findings with one rule share a row."""
    shared: dict[tuple[str, str], list[str]] = {}
    for o in outcomes:
        shared.setdefault((o.finding.rule, o.finding.minimum), []).append(o.finding.id)
    rows = [(", ".join(ids), rule, minimum) for (rule, minimum), ids in shared.items()]
    rows.append((say("paired test"), say(PAIRED_TEST), say("{least} pairs", least=LEAST)))
    caption = say("The rules, fixed before any record was seen")
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
        return say(
            "None of the study's {claims} findings was tested: its models were not run here.",
            claims=claims,
        )

    parts = [
        plural(n["replicated"], "{n} replicates", "{n} replicate"),
        plural(
            n["consistent"],
            "{n} is consistent with fewer than {least} seeds",
            "{n} are consistent with fewer than {least} seeds",
            least=LEAST,
        ),
        plural(n["not replicated"], "{n} does not replicate", "{n} do not replicate"),
        plural(n["undecided"], "{n} is undecided", "{n} are undecided"),
        plural(n["not tested"], "{n} was not tested", "{n} were not tested"),
    ]
    return say(
        "The study's {claims} findings are judged in {outcomes} rows, one for each way to "
        "read them and each device: {parts}.",
        claims=claims,
        outcomes=len(outcomes),
        parts=words.listed(parts),
    )


def _worse_than_the_mean(models: pd.DataFrame) -> str:
    beaten = models[models["mse"] > models["mean_mse"]]
    if not len(beaten):
        return ""
    named = [words.model_on(row) for row in beaten.to_dict("records")]
    who = words.listed(named)
    if len(named) > _NAMED:
        who = say("{n} of {models} models", n=len(named), models=len(models))
    return plural(
        len(named),
        "Under the study's protocol {who} does worse than the mean image, which needs no code "
        "at all.",
        "Under the study's protocol {who} do worse than the mean image, which needs no code "
        "at all.",
        who=who,
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
    return say(
        "Where the bottleneck is a real one, models trained under the study's protocol have "
        "{ends} times the error of PCA with a code of the same size.",
        ends=words.span(ends),
    )


def _times(jobs: pd.DataFrame) -> str:
    timed = frames.timed(jobs)
    unfit = len(timed) - len(frames.accepted(timed))
    if not unfit:
        return ""
    return say(
        "Of {timed} taken with the machine to itself aebench check "
        "rejects {unfit}: marked ✘, and in no ratio.",
        timed=words.counted(len(timed), "time"),
        unfit=unfit,
    )
