"""Which family is better, in sentences: at the same bottleneck, beside PCA and others, at cost.

There is one sentence for a data set and a cost. It names both families, and says no more than the
records decide: a tie, a side that is missing and too few seeds are told as such, and where the
outcome changes with the budget the sentence says where. How it looks is `best`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import pandas as pd

from aebench.analysis import budgets, fights, frames, optimum, published, words
from aebench.analysis.budgets import Range
from aebench.analysis.fights import BOTTLENECK, COSTS, FIRST, Cost, Fight
from aebench.analysis.optimum import Precisions
from aebench.language import later, say
from aebench.store import Results

_LISTED = 4  # bottlenecks that a sentence names one by one
_FEW = later("too few seeds")
_SEVERAL = 2  # outcomes in turn that a cell of the overview has room for


@dataclass(frozen=True)
class Answer:
    """What is known of one data set: the best codes, and for each cost its fights and points.

    `protocol` is the one that these are of, empty where of each family the best counts whatever
    it was trained under. `where` are the conditions of its times, `pca` the curve of its exact
    baselines. Trainings that differ in their `precisions` alone count as one: over five seeds those
    in bf16 had errors within 0.3 % of those in fp32 (bench/RESULTS.md).
    """

    dataset: str
    codes: pd.DataFrame
    fights: dict[str, list[Fight]]
    points: dict[str, pd.DataFrame]
    where: str
    pca: pd.DataFrame
    precisions: Precisions
    protocol: str = ""

    @property
    def name(self) -> str:
        """The data set as people write it."""
        return words.dataset(self.dataset)

    @property
    def families(self) -> list[str]:
        """Those with a code smaller than the image."""
        return list(dict.fromkeys(self.codes["family"]))


def answers(results: Results) -> list[Answer]:
    """One for each data set with a code smaller than the image; `results` are ordered."""
    jobs = frames.done(results.jobs)
    jobs = jobs.assign(settings=frames.settings(jobs, without="precision"))
    results = replace(results, jobs=jobs)
    every = optimum.codes(results)
    spent = {cost: fights.spent(results, cost) for cost in COSTS}
    made = []
    for (dataset,), own in frames.by_dataset(jobs):
        kept = optimum.precisions(own[frames.compressing(own)])
        codes = every[every["dataset"] == dataset]
        met, points, where = {}, {}, ""
        for cost, rows in spent.items():
            mine, conditions = fights.comparable(rows[rows["dataset"] == dataset])
            met[cost.name], points[cost.name] = fights.fights(mine, cost), mine
            where = where or conditions
        curve = frames.baseline_curve(results, dataset)
        made.append(Answer(dataset, codes, met, points, where, curve, kept))
    return made


def by_protocol(results: Results) -> list[Answer]:
    """The same of the jobs under each protocol alone, where a data set was trained under several.

    Only those in which families meet.
    """
    jobs = frames.done(results.jobs)
    jobs = jobs[frames.compressing(jobs)]
    kinds = jobs.groupby("dataset")["protocol"].nunique()
    jobs = jobs[jobs["dataset"].isin(kinds[kinds > 1].index)]
    made = []
    for protocol in dict.fromkeys(jobs["protocol"]):
        mine = replace(results, jobs=jobs[jobs["protocol"] == protocol])
        made += [replace(answer, protocol=str(protocol)) for answer in answers(mine)]
    return [
        answer for answer in made if any(f.ratio for met in answer.fights.values() for f in met)
    ]


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
    decided = [found for found in pair if found.ahead]
    if not decided:
        tested = [found for found in pair if not found.few]
        return say(
            "neither {one} nor {other} is clearly better: {figures}",
            one=one,
            other=other,
            figures=_open(tested[-1], cost),
        )
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
    figures = []
    for found in decided:
        several = len(found.fights) > 1
        at = say("at {budget}, ", budget=cost.write(found.shown.budget)) if several else ""
        figures.append(at + _figures(found, cost))
    return words.headed(", ".join(told), words.listed(figures))


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


def matched(answer: Answer) -> list[tuple[published.Figure, pd.Series | None]]:
    """Each published figure with our best model, on validation, at about that bottleneck."""
    made: list[tuple[published.Figure, pd.Series | None]] = []
    for figure in published.of(answer.dataset):
        size = published.near(figure, answer.codes["bottleneck"])
        mine = answer.codes[answer.codes["bottleneck"] == size].sort_values("choice")
        made.append((figure, mine.iloc[0] if len(mine) else None))
    return made
