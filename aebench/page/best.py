"""The section that answers which family is better: one chart, chosen by data set, settings, cost.

Sentences are made in `best_sentences`, charts in `best_charts`; a section without data says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from aebench.analysis import fights, frames, words
from aebench.analysis.fights import BOTTLENECK, COSTS, Cost, Fight
from aebench.language import later, numeral, plural, say
from aebench.page.answers import Answer, by_protocol, matched
from aebench.page.best_charts import chart
from aebench.page.best_sentences import brief, sentence, sentences
from aebench.page.parts import ABOUT, Cell, Chart, Chooser, Column, Section, Table, columns, table
from aebench.store import Results

_TITLE = later("Which is better? The best of each family at equal cost")
_ANY = later("whatever is best")
_LOWER = later("Lower is better; points above each other have codes of the same size.")
_FRONT = later(
    "Lower and further left is better: the best counts that takes at most so much, with whatever "
    "code. A line joins the models that no other of the family beats in both cost and validation "
    "error."
)
_FEW = 2  # models below which a chart says nothing that a sentence does not


def section(results: Results, known: Sequence[Answer]) -> Section:
    """One chart for each data set, protocol and cost at which families meet, and all in brief.

    `known` is what `answers` found in `results`.
    """
    every = [*known, *by_protocol(results)]
    views = [(answer, cost) for answer in every for cost in COSTS if _worth(answer, cost)]
    if not views:
        return Section(
            "best", say(_TITLE), (say("This takes an MLP and another family on one data set."),)
        )
    families = list(dict.fromkeys(family for answer in every for family in answer.families))
    alone = [sentence(answer, BOTTLENECK) for answer in known if len(answer.families) < 2]
    intro = (
        say(
            "Of each family the model of least validation error enters, whatever its depth and "
            "options. What is held equal decides: choose it here."
        ),
        *alone,
    )
    return Section(
        "best",
        say(_TITLE),
        intro,
        tuple(_chart(answer, cost, families) for answer, cost in views),
        (_overview(known),) if any(brief(a, c) for a in known for c in COSTS) else (),
        chooser=_chooser(views, tuple(_how(results))),
    )


def _worth(answer: Answer, cost: Cost) -> bool:
    """Whether families meet at this cost, or stand beside PCA with several codes."""
    if cost.exact and not answer.protocol:
        return len(answer.codes) >= _FEW
    return any(fight.ratio for fight in answer.fights[cost.name])


def _chooser(views: Sequence[tuple[Answer, Cost]], notes: Sequence[str]) -> Chooser:
    names = list(dict.fromkeys(answer.name for answer, _ in views))
    protocols = list(dict.fromkeys(answer.protocol for answer, _ in views))
    costs = [cost for cost in COSTS if any(cost is shown for _, shown in views)]
    questions = (
        (say("Data set"), tuple(names)),
        (say("Trained under"), tuple(_under(p) for p in protocols)),
        (say("Held equal"), tuple(cost.said for cost in costs)),
    )
    choices = [
        (names.index(answer.name), protocols.index(answer.protocol), costs.index(cost))
        for answer, cost in views
    ]
    ids = [_link(answer.dataset, answer.protocol or "any", cost.id) for answer, cost in views]
    unique = [f"{id}-{i}" if ids.count(id) > 1 else id for i, id in enumerate(ids)]
    said = [sentence(answer, cost) for answer, cost in views]
    return Chooser(questions, tuple(choices), tuple(unique), tuple(said), tuple(notes))


def _under(protocol: str) -> str:
    return say("protocol {protocol}", protocol=protocol) if protocol else say(_ANY)


def _link(*parts: str) -> str:
    """A name for links: names of data sets and protocols may hold anything."""
    return "-".join(["best", *(re.sub(r"[^a-z0-9]+", "-", part.lower())[:40] for part in parts)])


def _chart(answer: Answer, cost: Cost, families: Sequence[str]) -> Chart:
    title = answer.name + (
        say(", protocol {protocol}", protocol=answer.protocol) if answer.protocol else ""
    )
    title += say(", equal {cost}", cost=cost.said)
    tables = [_table(answer.fights[cost.name], cost, title)]
    if cost.exact and not answer.protocol:
        tables.append(_published(answer))
    drawn = chart(
        answer,
        cost,
        families,
        say(
            "{error} against {cost}, {title}",
            error=say(cost.error),
            cost=say(cost.title),
            title=title,
        ),
    )
    shown = tuple(made for made in tables if made.rows)
    return Chart(title, drawn, " ".join(_reading(answer, cost)), shown)


def _reading(answer: Answer, cost: Cost) -> list[str]:
    """What to know of a chart beside its answer."""
    if cost.exact:
        return [say(_LOWER), *sentences(answer)[1:]]
    of = say(" Times are of {where}.", where=answer.where) if cost is fights.TIME else ""
    dots = "" if cost.of is None else say(" Small dots are its other models.")
    return [say(_FRONT) + dots + of]


def _overview(known: Sequence[Answer]) -> Table:
    """Who is better on each data set at each cost, in few words."""
    costs = [cost for cost in COSTS if any(brief(answer, cost) for answer in known)]
    heads = [
        *columns("data set"),
        *(Column(say("equal {cost}", cost=cost.said)) for cost in costs),
    ]
    rows = [
        (answer.name, *(_cell(brief(answer, cost)) for cost in costs))
        for answer in known
        if len(answer.families) > 1
    ]
    return table(say("Which is better, in brief"), heads, rows)


def _cell(said: Sequence[str]) -> Cell:
    """One line for each pair of families."""
    return Cell(said[0], small=tuple(said[1:])) if said else Cell(words.NONE)


def _how(results: Results) -> Iterator[str]:
    """How it is compared, for those who ask."""
    yield (
        say(
            "A verdict takes three seeds, and p below 0.05: two-sided t-tests on the logarithm of "
            "the ratio, paired by seed where both have the same, adjusted by Holm's method for all "
            "of a "
            "data set at one cost. Intervals are of 95 %, and not adjusted."
        )
    )
    yield (
        say(
            "At equal bottleneck bars are intervals over seeds, where there are three or more. The "
            "dotted curve is PCA, computed exactly. Stars are errors that others have published, "
            "hollow where recalled and not checked; the table tells how they were measured. "
            "Ratios to PCA are told of a real bottleneck only: {real_bottleneck}.",
            real_bottleneck=say(frames.REAL_BOTTLENECK),
        )
    )
    yield (
        say(
            "Parameters and arithmetic of a step buy the test error. Training arithmetic and time "
            "are spent epoch by epoch, and buy the validation error after it at each of {points} "
            "budgets.",
            points=fights.POINTS,
        )
    )
    jobs = frames.done(results.jobs)
    copies = frames.family(jobs[~frames.compressing(jobs)])
    if len(copies):
        yield (
            say(
                "Left out are {copies} where the code is no smaller than "
                "the image: of it copying would be perfect.",
                copies=words.listed(dict.fromkeys(copies)),
            )
        )
    timed = frames.timed(results.jobs)
    unfit = len(timed) - len(frames.accepted(timed))
    if unfit:
        times = words.counted(unfit, "time")
        yield plural(
            unfit,
            "{times} that aebench check rejects is not among them.",
            "{times} that aebench check rejects are not among them.",
            times=times,
        )


def _table(met: Sequence[Fight], cost: Cost, caption: str) -> Table:
    budget = cost.said if cost.exact else say("at most, {cost}", cost=say(cost.title))
    measure = say("{error}, geometric mean over seeds", error=say(cost.error))
    heads = """
        best mlp
        its error #
        best of the other family
        error #
        mlp / other # | above 1: the MLP has the greater error
        95 % interval | on the logarithm, paired by seed where both have the same seeds
        p # | two-sided, of equal errors, adjusted by Holm's method; none below three seeds
        better | the family of lesser error, if p is below 0.05
        seeds | of the MLP and of the other
    """
    about = ABOUT.get(cost.name, "") if cost.exact else ""
    told_of = [Column(budget, about, words.number)]
    told_of += [replace(c, about=c.about or measure * (c.show is not None)) for c in columns(heads)]
    rows = []
    for f in met:
        told: list[Any] = [Cell(cost.write(f.budget), f.budget)]
        for side, family in zip(f.sides, f.families, strict=True):
            if side is None:
                told += [say("no {family}", family=family), None]
            else:
                size = words.count(side.bottleneck)
                code = () if cost.exact else (say("code of {size} numbers", size=size),)
                settings = words.under(side.settings)
                under = code + (() if settings == "study" else (settings,))
                told += [Cell(side.model, side.model, small=under), side.error]
        seeds = words.listed("0" if s is None else str(s.seeds) for s in f.sides)
        low, high = (f.ratio.low, f.ratio.high) if f.ratio else (None, None)
        told += [f.ratio and f.ratio.centre, (low, high), f.p, f.verdict, seeds]
        rows.append(told)
    return table(caption, told_of, rows, rounded=True)


def _published(answer: Answer) -> Table:
    heads = """
        source
        bottleneck ##
        MSE # | per pixel, pixels in [0, 1]
        as printed # | in the source
        which is | how it was converted
        model
        measured | on which images
        our best | of least validation error at this bottleneck, or one within a tenth
        ours / published #
        note .note
    """
    return table(say("{dataset}: published errors", dataset=answer.name), heads, (
        (
            figure.name, figure.bottleneck, figure.mse,
            Cell(numeral(figure.printed, "g"), figure.printed), say(figure.converted),
            say(figure.model), say(figure.measured), None if ours is None else words.model_of(ours),
            None if ours is None else ours["mse"] / figure.mse, say(figure.note),
        )
        for figure, ours in matched(answer)
    ))  # fmt: skip
