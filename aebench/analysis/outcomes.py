"""A finding and what came of it: verdict, figure, interval, why, and what would decide it.

The findings themselves are listed in `findings`, which judges them; how an outcome compares with
another is for `expected`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

import pandas as pd

from aebench.analysis import exhibits, words
from aebench.analysis.evidence import Evidence, Rule, Verdict
from aebench.analysis.expected import Expectation, Known
from aebench.analysis.frames import Model
from aebench.analysis.statistics import LEAST
from aebench.language import later, numeral, say
from aebench.store import shown

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Finding:
    """One claim of the study and how stored records decide on it.

    `source` holds the figures as the study prints them, `measure` says what our figure is,
    `rule` and `minimum` say in plain words what decides and how much data it takes. `counts` is
    what `n_seeds` of its outcome counts. `reading_of` is the id of the finding of which this is
    another reading: another way to take what the study says, or another device. Where `source` is
    the study error of one model, this is `model`. `how` tells it from the other readings,
    `shows` says what it is looked at in, and `brief` is the rule in a sentence, where `rule` is
    longer.
    """

    id: str
    claim: str
    source: str
    measure: str
    rule: str
    evaluate: Rule
    minimum: str = f"{LEAST} seeds of each model"
    counts: str = "seed"
    reading_of: str = ""
    model: Model | None = None
    shows: exhibits.Shows = exhibits.values_alone
    brief: str = ""
    how: str = ""

    @property
    def said(self) -> Finding:
        """The same in the language in use; the study's figures stay as it prints them."""
        return replace(
            self,
            claim=say(self.claim),
            measure=say(self.measure),
            rule=say(self.rule),
            minimum=say(self.minimum),
            brief=say(self.brief),
            how=say(self.how),
        )


@dataclass(frozen=True)
class Outcome:
    """A finding with its verdict; `ours` with a 95 % interval where three seeds allow one.

    `as_what` qualifies the verdict, `needs` says what would decide where it does not decide, and
    `values` are the figures behind `ours`, one for each seed or pair of runs. `expected` sets it
    beside the reference results. `evidence` is what it was judged on.
    """

    finding: Finding
    verdict: Verdict
    ours: float | None
    low: float | None
    high: float | None
    n_jobs: int
    n_seeds: int
    note: str
    as_what: str = ""
    needs: str = ""
    values: tuple[float, ...] = ()
    expected: Expectation | None = None
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    @property
    def known(self) -> Known:
        """What of it is compared with other outcomes."""
        figures = (self.ours, self.low, self.high, self.n_seeds, self.finding.counts)
        return Known(self.finding.id, self.verdict, *figures, self.values)

    @property
    def answer(self) -> str:
        """The verdict in words: a consistent one says from how little, a qualified one as what."""
        if self.verdict == "consistent":
            return say("consistent, {runs}", runs=words.seeds(self.n_seeds, self.finding.counts))
        return ", ".join(filter(None, [say(self.verdict), self.as_what]))

    @property
    def study(self) -> str:
        """The study's figures, or what it shows instead."""
        source = self.finding.source
        return numeral(source) if re.fullmatch(r"[\d.]+", source) else say(source)

    @property
    def why(self) -> str:
        """Why it came out so and, where it is not decided, what would decide it."""
        return self.note + (say("; it would take {needs}", needs=self.needs) if self.needs else "")

    @property
    def figure(self) -> str:
        """`ours` in words, see `Known`."""
        return self.known.figure

    @property
    def interval(self) -> str:
        """What stands beside the figure; a dash where nothing can."""
        return self.known.interval

    @property
    def exhibit(self) -> exhibits.Exhibit:
        """What it is looked at in, made when asked for."""
        if self.evidence is None:
            return exhibits.Exhibit()
        return self.finding.shows(self.evidence, self.values)


class Outcomes(list[Outcome]):
    """The outcomes of all findings, in the order of the study."""

    @property
    def table(self) -> pd.DataFrame:
        """A row a finding: verdict, the study's figures, ours, its 95 % interval, of what, why.

        `expected` says how it compares with the reference results.
        """
        rows = [
            {
                "finding": o.finding.id, "verdict": o.answer, "study": o.finding.source,
                "ours": o.ours, "low": o.low, "high": o.high,
                "expected": o.expected.answer if o.expected else "",
                "of": o.finding.measure, "seeds": o.n_seeds, "jobs": o.n_jobs, "why": o.why,
            }
            for o in self
        ]  # fmt: skip
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        return shown.table(self.table)


def tested(outcomes: Iterable[Outcome]) -> bool:
    """Whether anything was run that any of the findings is about."""
    return any(outcome.verdict != "not tested" for outcome in outcomes)


def claims(outcomes: Iterable[Outcome]) -> list[tuple[Outcome, ...]]:
    """The outcomes by claim of the study, in its order; a claim before its other readings."""
    grouped: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        finding = outcome.finding
        grouped.setdefault(finding.reading_of or finding.id, []).append(outcome)
    return [
        tuple(sorted(each, key=lambda o: bool(o.finding.reading_of))) for each in grouped.values()
    ]


def tally(outcomes: Iterable[Outcome]) -> dict[Verdict, int]:
    """How many findings came out each way; the five are never added up."""
    verdicts = [outcome.verdict for outcome in outcomes]
    return {verdict: verdicts.count(verdict) for verdict in VERDICTS}


def headline(outcomes: Sequence[Outcome]) -> list[str]:
    """What can be concluded on the study's deeper decoder, whose printed code has two readings."""
    known = {outcome.finding.id: outcome for outcome in outcomes}
    said = [
        _readings(known[id], known[f"{id}-relu"], latent)
        for latent, id in ((128, "deep-128"), (64, "deep-64"))
        if id in known and f"{id}-relu" in known
    ]
    better = known.get("deep-better")
    if better is not None and better.verdict == "not replicated" and better.ours:
        said.append(
            say(
                "Read as printed, the added layers do not make the reconstruction better: the "
                "error is {ours} times that of depth 1.",
                ours=words.number(1 / better.ours),
            )
        )
    return [sentence for sentence in said if sentence]


_PRINTED = later("the code that the study prints for its deeper decoder, sigmoid in every layer,")


_RELU: dict[Verdict, str] = later({
    "replicated": "with ReLU between its layers it does",
    "consistent": "with ReLU between its layers it comes near",
    "not replicated": "nor can it with ReLU between its layers",
    "undecided": "whether it can with ReLU between its layers is undecided",
    "not tested": "with ReLU between its layers it was not run",
})  # fmt: skip


def _readings(printed: Outcome, relu: Outcome, latent: int) -> str:
    """What the two readings of one figure come to, in a sentence."""
    figure, model = printed.study, say("at latent {latent}", latent=latent)
    if printed.ours is None or printed.verdict == "consistent":
        return ""
    if printed.verdict == "replicated":
        return say(
            "{printed} gives the error that the study prints {model}, {figure}.",
            printed=_capital(say(_PRINTED)),
            model=model,
            figure=figure,
        )
    if printed.verdict == "not replicated":
        other = say(_RELU[relu.verdict])
        if relu.ours is not None:
            other += say(" (ours: {figure})", figure=_figure(relu))
        if relu.verdict == "undecided":
            other += say(": it would take {needs}", needs=relu.needs)
        return say(
            "{printed} cannot have given the error of {figure} that it prints {model} "
            "(ours: {ours}); {other}.",
            printed=_capital(say(_PRINTED)),
            figure=figure,
            model=model,
            ours=_figure(printed),
            other=other,
        )
    return say(
        "Whether {printed} can have given the error of {figure} {model} is {answer} "
        "(ours: {ours}); it would take {needs}.",
        printed=say(_PRINTED),
        figure=figure,
        model=model,
        answer=printed.answer,
        ours=_figure(printed),
        needs=printed.needs,
    )


def _figure(outcome: Outcome) -> str:
    runs = words.seeds(outcome.n_seeds)
    link = " " if outcome.known.apart else ", "
    interval = "" if outcome.interval == words.NONE else link + outcome.interval
    return f"{outcome.figure}{interval}, {runs}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
