"""Which family is better, in sentences: at the same bottleneck, beside PCA and others, at cost.

There is one sentence for a data set and a cost. It names both families, and says no more than the
records decide: a tie, a side that is missing and too few seeds are told as such, and where the
outcome changes with the budget the sentence says where. What is known is made in `answers`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

from aebench.analysis import budgets, words
from aebench.analysis.budgets import Range
from aebench.analysis.fights import BOTTLENECK, FIRST, Cost, Fight
from aebench.language import later, say
from aebench.page.answers import Answer, matched

_LISTED = 4  # bottlenecks that a sentence names one by one
_FEW = later("too few seeds")
_SEVERAL = 2  # outcomes in turn that a cell of the overview has room for
_NAMED = 4  # outcomes that a headline tells


def headline(known: Sequence[Answer]) -> str:
    """Who is better at equal bottleneck on each data set, without figures, to begin a page with.

    Empty where nothing is decided on any; data sets on which nothing is are left out.
    """
    told = [
        say("on {dataset} {outcomes}", dataset=words.short(answer.name), outcomes=outcomes)
        for answer in known
        for pair in _by_outcome(answer.fights[BOTTLENECK.name])
        if (outcomes := ", ".join(_outcomes(pair, BOTTLENECK)))
    ]
    if not told:
        return ""
    more = [say("and more below")] if len(told) > _NAMED else []
    said = words.clauses([*told[:_NAMED], *more])
    return say("at equal {cost} {said}", cost=BOTTLENECK.said, said=said)


def sentences(answer: Answer) -> list[str]:
    """What the records of one data set say at equal bottleneck, beside PCA and beside others."""
    trained = say(
        "Trained under {settings}.",
        settings=words.listed(map(words.under, dict.fromkeys(answer.codes["settings"]))),
    )
    first = sentence(answer, BOTTLENECK)
    rounded = [answer.precisions.told] if answer.precisions.told else []
    return [first, *_beside_pca(answer.codes), *_beside_others(answer), trained, *rounded]


def sentence(answer: Answer, cost: Cost) -> str:
    """Which family is better at equal `cost`, or why nobody can tell."""
    start = say("On {dataset}", dataset=answer.name) + (
        say(" under protocol {protocol}", protocol=answer.protocol) if answer.protocol else ""
    )
    if len(answer.families) < 2:
        only = words.listed(answer.families) or say("no family")
        return say("{start} only {only} has codes smaller than the image.", start=start, only=only)
    told = _told(answer.fights[cost.name], cost)
    if told:
        said = words.clauses(told)
        return say("{start} at equal {cost} {said}.", start=start, cost=cost.said, said=said)
    if FIRST not in answer.families:
        have = words.listed(answer.families)
        return say(
            "{start} there is no {first} to set beside {have}.", start=start, first=FIRST, have=have
        )
    if not cost.exact:
        return say("{start} nothing can be compared at equal {cost}.", start=start, cost=cost.said)
    sizes = [
        say(
            "{family} has {sizes}",
            family=family,
            sizes=words.listed(words.count(b) for b in rows["bottleneck"]),
        )
        for family, rows in answer.codes.groupby("family", sort=False)
    ]
    return say(
        "{start} {first} shares no bottleneck with another: {sizes}.",
        start=start,
        first=FIRST,
        sizes=words.listed(sizes),
    )


def brief(answer: Answer, cost: Cost) -> list[str]:
    """The outcomes of that sentence in a few words: for each pair of families, or for all."""
    pairs = _by_outcome(answer.fights[cost.name])
    if len(pairs) > 1 and all(found.few for pair in pairs for found in pair):
        return [say(_FEW)]
    return [_brief(pair) for pair in pairs]


def _by_outcome(met: Sequence[Fight]) -> list[list[Range]]:
    """The ranges of each pair: pairs of which something is decided first, too few seeds last."""
    pairs = budgets.ranges(met)
    return sorted(
        pairs, key=lambda pair: (all(not r.ahead for r in pair), all(r.few for r in pair))
    )


def _brief(pair: Sequence[Range]) -> str:
    one, other = pair[0].families
    ahead = [found.ahead for found in pair if found.ahead]
    if not ahead:
        few = all(found.few for found in pair)
        outcome = say(_FEW) if few else say("undecided")
        return words.headed(say("{one} or {other}", one=one, other=other), outcome)
    if len(set(ahead)) == 1:
        loser = other if ahead[0] == one else one
        return say("{ahead} over {loser}", ahead=ahead[0], loser=loser) + (
            "" if len(ahead) == len(pair) else say(", in part")
        )
    if len(ahead) > _SEVERAL:
        return say("{one} or {other}, by budget", one=one, other=other)
    return say(", then ").join(ahead)


def _told(met: Sequence[Fight], cost: Cost) -> list[str]:
    """A clause for each pair of families; what too few seeds leave open comes last, in one."""
    said, few = [], []
    for pair in _by_outcome(met):
        if all(found.few for found in pair):
            few.append(_open(pair[-1], cost))
        else:
            said.append(_decided(pair, cost))
    return said + (
        [say("fewer than three seeds decide nothing: {few}", few=words.listed(few))] if few else []
    )


def _decided(pair: Sequence[Range], cost: Cost) -> str:
    """Who is better where, with the figures of each such range; or that neither is."""
    one, other = pair[0].families
    told = _outcomes(pair, cost)
    if not told:
        tested = [found for found in pair if not found.few]
        return say(
            "neither {one} nor {other} is clearly better: {figures}",
            one=one,
            other=other,
            figures=_open(tested[-1], cost),
        )
    figures = []
    for found in (found for found in pair if found.ahead):
        several = len(found.fights) > 1
        at = say("at {budget}, ", budget=cost.write(found.shown.budget)) if several else ""
        figures.append(at + _figures(found, cost))
    return words.headed(", ".join(told), words.listed(figures))


def _outcomes(pair: Sequence[Range], cost: Cost) -> list[str]:
    """Who is better where, and that elsewhere nothing is decided; empty where nothing is at all."""
    one, other = pair[0].families
    decided = [found for found in pair if found.ahead]
    if not decided:
        return []
    loser = other if decided[0].ahead == one else one
    told = [
        say(
            "{ahead} is better than {loser} {where}",
            ahead=decided[0].ahead,
            loser=loser,
            where=_where(decided[0], cost),
        )
    ]
    for before, found in pairwise(decided):
        there = before.until == found.fights[0].budget and found.until is None
        where = (
            say("from there on") if there and cost.of and not cost.exact else _where(found, cost)
        )
        told.append(f"{found.ahead} {where}")
    if len(decided) < len(pair):
        told.append(say("elsewhere nothing is decided"))
    return told


def _open(found: Range, cost: Cost) -> str:
    """The figures of a range in which nothing is decided, with their budget."""
    at = say("at") if cost.exact else say("with at most")
    return f"{at} {cost.write(found.shown.budget)} {say(cost.unit)} {_figures(found, cost)}"


def _figures(found: Range, cost: Cost) -> str:
    """The two models that stand for a range, and how many times the one's error the other has."""
    ratio, p = found.ratio, found.shown.p
    sides = [side for side in found.shown.sides if side is not None]
    above, below = sides[::-1] if found.ahead == found.families[0] else sides
    said = say(
        "{name} has {ratio} times the {error} of {other}",
        name=above.name,
        ratio=words.number(ratio.centre),
        error=say(cost.error),
        other=below.name,
    )
    if ratio.low is None or ratio.high is None or p is None:
        return said
    # An interval is of one comparison, a verdict of all of them.
    clear = not found.ahead and not ratio.low <= 1 <= ratio.high
    more = say(", adjusted {p}", p=words.at_most(p)) if clear else ""
    return say(
        "{said} (95 % interval {interval}{more})",
        said=said,
        interval=words.between(ratio.low, ratio.high),
        more=more,
    )


def _where(found: Range, cost: Cost) -> str:
    """At which budgets, in words."""
    at = [cost.write(fight.budget) for fight in found.fights]
    if cost.exact:
        listed = words.listed(at) if len(at) <= _LISTED else words.span([at[0], at[-1]])
        return say("at {budget} {unit}", budget=listed, unit=say(cost.unit))
    unit = say(cost.unit)
    until = None if found.until is None else cost.write(found.until)
    if cost.of is not None:  # the outcome is known at every budget, not only at those listed
        if until is None:
            return say("from {budget} {unit} on", budget=at[0], unit=unit)
        start = say("below") if found.first else say("from {budget} to below", budget=at[0])
        return f"{start} {until} {unit}"
    if len(at) == 1 or at[0] == at[-1]:
        return say("at {budget} {unit}", budget=at[0], unit=unit)
    if found.whole:
        return say(
            "at {n} budgets from {least} to {most} {unit}",
            n=len(at),
            least=at[0],
            most=at[-1],
            unit=unit,
        )
    if found.first:
        return say("up to {budget} {unit}", budget=at[-1], unit=unit)
    if until is None:
        return say("from {budget} {unit} on", budget=at[0], unit=unit)
    return say("from {least} to {most} {unit}", least=at[0], most=at[-1], unit=unit)


def _beside_pca(codes: pd.DataFrame) -> list[str]:
    """How many times PCA's error each family has, and where PCA is better than all of them."""
    known = codes[codes["ratio"].notna()]
    said: list[str] = []
    for family, rows in known.groupby("family", sort=False):
        ends = rows.sort_values("ratio").iloc[[0, -1][: len(rows)]]
        span = words.span(
            say("{factor} (at {size})", factor=words.number(r), size=words.count(b))
            for r, b in ends[["ratio", "bottleneck"]].values
        )
        if said:
            said.append(say("that of {family} {factor} times", family=family, factor=span))
        else:
            first = say(
                "{family} is {factor} times that of PCA with as many components",
                family=family,
                factor=span,
            )
            said.append(first)
    if not said:
        return []
    # A multiple of the error of an all but exact PCA says nothing; that PCA is better does.
    times = codes["low"].where(
        codes["ratio"].notna(), codes["mse_low"].astype("float64") / codes["pca_mse"]
    )
    lost = (times.astype("float64") > 1).groupby(codes["bottleneck"]).all()
    worse = words.listed(words.count(b) for b in lost[lost].index)
    more = say("; PCA is better at {worse}", worse=worse) if worse else ""
    return [say("The error of {said}{more}.", said=", ".join(said), more=more)]


def _beside_others(answer: Answer) -> list[str]:
    said = []
    for figure, ours in matched(answer):
        if ours is not None:
            times, size = words.number(ours["mse"] / figure.mse), words.count(figure.bottleneck)
            model = words.plain(words.model_of(ours))
            said.append(
                say(
                    "{model} has {times} times that at {size} ({name})",
                    model=model,
                    times=times,
                    size=size,
                    name=figure.name,
                )
            )
    return [say("Of published errors {said}.", said=words.listed(said))] if said else []
