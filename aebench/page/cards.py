"""The findings as cards: one a claim of the study, with all its readings.

Closed a card says what came out; opened, in what it can be looked at and by which rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aebench.analysis import exhibits, words
from aebench.analysis.evidence import Verdict
from aebench.analysis.outcomes import Outcome, claims
from aebench.language import numeral, say
from aebench.page import sparks
from aebench.page.parts import Strips
from aebench.page.pictures import Album

SYMBOLS: dict[Verdict, str] = {
    "replicated": "✔",
    "consistent": "≈",
    "not replicated": "✘",
    "undecided": "?",
    "not tested": "○",
}


@dataclass(frozen=True)
class Spark:
    """A small chart and how to read it."""

    svg: str
    reading: str


@dataclass(frozen=True)
class Reading:
    """One finding as its card shows it: what came out, what it is looked at in, and `facts`.

    `how` tells it from the other readings of its claim, where there are any.
    """

    id: str
    claim: str
    how: str
    verdict: Verdict
    answer: str
    study: str
    ours: str
    under: tuple[str, ...]
    sparks: tuple[Spark, ...]
    strips: Strips | None
    facts: tuple[tuple[str, str], ...]

    @property
    def tested(self) -> bool:
        """Whether there is a figure of ours."""
        return self.ours != words.NONE

    @property
    def look(self) -> str:
        """The class of its verdict."""
        return self.verdict.replace(" ", "-")


@dataclass(frozen=True)
class Card:
    """One claim of the study: as it is taken first, and then in its other readings."""

    readings: tuple[Reading, ...]

    @property
    def first(self) -> Reading:
        """The reading that the card stands for."""
        return self.readings[0]

    @property
    def group(self) -> str:
        """The verdict under which it is found."""
        return named(self.first.verdict)

    @property
    def rank(self) -> int:
        """Where this group stands among the others."""
        return list(SYMBOLS).index(self.first.verdict)


def named(verdict: Verdict) -> str:
    """A verdict in a word, with its symbol."""
    return f"{SYMBOLS[verdict]} {say(verdict)}"


def cards(outcomes: Sequence[Outcome], album: Album) -> tuple[Card, ...]:
    """A card for each claim, in the order of the study."""
    return tuple(
        Card(tuple(_reading(outcome, album, len(claim) > 1) for outcome in claim))
        for claim in claims(outcomes)
    )


def _reading(outcome: Outcome, album: Album, several: bool) -> Reading:
    finding, exhibit = outcome.finding, outcome.exhibit
    return Reading(
        finding.id,
        finding.claim,
        finding.how if several else "",
        outcome.verdict,
        f"{SYMBOLS[outcome.verdict]} {outcome.answer}",
        outcome.study,
        outcome.figure,
        tuple(_under(outcome)),
        tuple(_sparks(outcome, exhibit)),
        _strips(outcome, exhibit, album),
        tuple(_facts(outcome)),
    )


def _under(outcome: Outcome) -> Iterator[str]:
    """What stands below our figure: its interval, and of what it is, if not the study error."""
    if outcome.ours is None:
        return
    if outcome.interval != words.NONE:
        yield outcome.interval
    if outcome.finding.model is None:
        yield outcome.finding.measure


def _strips(outcome: Outcome, exhibit: exhibits.Exhibit, album: Album) -> Strips | None:
    if exhibit.pictures is None or outcome.evidence is None:
        return None
    return album.strips(exhibit.pictures, outcome.evidence)


def _sparks(outcome: Outcome, exhibit: exhibits.Exhibit) -> Iterator[Spark]:
    if exhibit.curves:
        share = words.in_percent(numeral(100 * exhibit.curves.mark, "g"))
        yield Spark(
            sparks.curves(exhibit.curves),
            say(
                "{axis}, from first to last epoch: training dashed, "
                "validation solid. The line across is {share}.",
                axis=_capital(exhibit.curves.axis),
                share=share,
            ),
        )
    if exhibit.dots:
        axis = exhibit.dots.axis or outcome.finding.measure
        yield Spark(sparks.dots(exhibit.dots, axis), _how_to_read(exhibit.dots, axis, outcome))


def _how_to_read(dots: exhibits.Dots, axis: str, outcome: Outcome) -> str:
    pairs = outcome.finding.counts == "pair"
    dot = say("a dot is one pair of runs") if pairs else say("a dot is one seed")
    said = [say("{axis}, on a logarithmic axis", axis=_capital(axis)), dot]
    if not all(line.trained for line in dots.lines):
        said.append(say("a hollow one an answer that takes no model"))
    if any(line.study for line in dots.lines):
        said.append(say("strokes are the study's figures"))
    if dots.mark:
        said.append(say("the line is {mark_is}", mark_is=dots.mark_is))
    if dots.margin:
        low, high = dots.margin
        said.append(
            say(
                "shaded is {low} to {high}, which counts as equal",
                low=numeral(low, "g"),
                high=numeral(high, "g"),
            )
        )
    return words.clauses(said) + "."


def _facts(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """What stands beside the charts of an opened card."""
    finding, beside = outcome.finding, outcome.expected
    yield say("Rule"), finding.brief or finding.rule
    if outcome.n_seeds:
        yield say("Rests on"), words.seeds(outcome.n_seeds, finding.counts)
    yield say("In numbers"), _capital(outcome.note)
    if outcome.needs:
        yield say("It would take"), outcome.needs
    if beside and beside.there and beside.answer in ("as expected", "differs"):
        than = words.seeds(beside.there.n_seeds, beside.there.counts)
        figure = f"{beside.there.figure}, {than}"
        yield say("Reference results"), words.headed(say(beside.answer), figure)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
