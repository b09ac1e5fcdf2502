"""Which family is better, in sentences: at the same bottleneck, beside PCA and others, at cost.

Every sentence names both families, and says no more than the records decide: a tie, a side that
is missing and too few seeds are told as such. How it looks is `best`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import pandas as pd

from aebench.analysis import fights, frames, optimum, published, words
from aebench.analysis.fights import BOTTLENECK, LIMITS, Cost, Fight
from aebench.store import Results


@dataclass(frozen=True)
class Answer:
    """What is known of one data set: the best codes, and for each cost its fights and points.

    `where` are the conditions of its times, `pca` the curve of its exact baselines.
    """

    dataset: str
    codes: pd.DataFrame
    fights: dict[str, list[Fight]]
    points: dict[str, pd.DataFrame]
    where: str
    pca: pd.DataFrame

    @property
    def name(self) -> str:
        """The data set as people write it."""
        return words.dataset(self.dataset)


def answers(results: Results) -> list[Answer]:
    """One for each data set with a code smaller than the image; `results` are ordered."""
    every = optimum.codes(results)
    spent = {cost: fights.spent(results, cost) for cost in (BOTTLENECK, *LIMITS)}
    made = []
    for (dataset,), _ in frames.by_dataset(frames.done(results.jobs)):
        codes = every[every["dataset"] == dataset]
        met, points, where = {}, {}, ""
        for cost, rows in spent.items():
            mine, conditions = fights.comparable(rows[rows["dataset"] == dataset])
            met[cost.name], points[cost.name] = fights.fights(mine, cost), mine
            where = where or conditions
        curve = frames.baseline_curve(results, dataset)
        made.append(Answer(dataset, codes, met, points, where, curve))
    return made


def sentences(answer: Answer) -> list[str]:
    """What the records of one data set say at equal bottleneck, beside PCA and beside others."""
    said = _told(answer.fights[BOTTLENECK.name], BOTTLENECK)
    families = list(dict.fromkeys(answer.codes["family"]))
    if said:
        first = [f"On {answer.name} {'; '.join(said)}.", *_one_sided(answer.codes)]
    elif len(families) == 1:
        first = [f"On {answer.name} only {families[0]} has codes smaller than the image."]
    else:
        have = [
            f"{family} has {words.listed(words.count(b) for b in rows['bottleneck'])}"
            for family, rows in answer.codes.groupby("family", sort=False)
        ]
        first = [f"On {answer.name} mlp shares no bottleneck with another: {words.listed(have)}."]
    trained = f"Trained under {words.listed(dict.fromkeys(answer.codes['settings']))}."
    return [*first, *_beside_pca(answer.codes), *_beside_others(answer), trained]


def costs(answer: Answer, cost: Cost) -> str:
    """What the records of one data set say at equal `cost`; empty where nothing can be compared."""
    said = _told(answer.fights[cost.name], cost)
    return f"{answer.name}, equal {cost.name} ({cost.error}): {'; '.join(said)}." if said else ""


def _told(met: Sequence[Fight], cost: Cost) -> list[str]:
    """A clause for each run of budgets, of one pair of families, with the same outcome.

    What too few seeds leave open comes last, in one clause.
    """
    said: list[str] = []
    few: list[str] = []
    for _, pair in groupby([f for f in met if f.ratio], key=lambda fight: fight.families):
        every = list(pair)
        for (_, undrawn), same in groupby(every, key=lambda f: (f.ahead, f.p is None)):
            run = list(same)
            where = _where(run, every, cost)
            if undrawn:
                few.append(_open(run, where))
            else:
                said.append(_decided(run, where, cost))
    if few:
        said.append(f"fewer than three seeds decide nothing: {words.listed(few)}")
    return said


def _decided(run: Sequence[Fight], where: str, cost: Cost) -> str:
    one, other = run[0].families
    if not run[0].ahead:
        return f"neither is clearly better {where}: {_open(run, '')}"
    by = [1 / ratio for ratio in _ratios(run)] if run[0].ahead == one else _ratios(run)
    lost = other if run[0].ahead == one else one
    largest = max(fight.p for fight in run if fight.p is not None)
    factor = f"by a factor of {_span(by)} ({words.at_most(largest)})"
    models = [side.model for side in run[-1].sides if side is not None]
    which = "" if cost.exact else f", there {' against '.join(models)}"  # whose codes may differ
    return f"{run[0].ahead} is better than {lost} {where}{which}, {factor}"


def _open(run: Sequence[Fight], where: str) -> str:
    one, other = run[0].families
    return f"{one} has {_span(_ratios(run))} times the error of {other} {where}".rstrip()


def _ratios(run: Sequence[Fight]) -> list[float]:
    return [fight.ratio.centre for fight in run if fight.ratio is not None]


def _factor(ratio: float) -> str:
    return words.number(ratio, 3 if 0.9 < ratio < 1.1 else 2)


def _span(ratios: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys([_factor(min(ratios)), _factor(max(ratios))]))


def _where(run: Sequence[Fight], every: Sequence[Fight], cost: Cost) -> str:
    """At which budgets, in words: a run is all of them, or the first, the last, or some between."""

    def amount(fight: Fight) -> str:
        written = cost.write(fight.budget)
        return f"bottleneck {written}" if cost.exact else f"{written} {cost.unit}"

    low, high = amount(run[0]), amount(run[-1])
    kind = "bottleneck" if cost.exact else "budget"
    if len(run) == 1 or low == high:
        return f"at {low}"
    between = f"{cost.write(run[0].budget)} to " + high.removeprefix("bottleneck ")
    if len(run) == len(every):
        return f"at every {kind} from {between}"
    if run[0] is every[0]:
        return f"up to {high}"
    return f"from {low} on" if run[-1] is every[-1] else f"from {kind} {between}"


def _one_sided(codes: pd.DataFrame) -> list[str]:
    alone = codes.groupby("bottleneck").filter(lambda rows: rows["family"].nunique() == 1)
    have = [
        f"{family} has a model at bottleneck{'s' if len(rows) > 1 else ''} "
        f"{words.listed(words.count(b) for b in rows)}"
        for family, rows in alone.groupby("family", sort=False)["bottleneck"]
    ]
    return [f"Only {words.listed(have)}."] if have else []


def _beside_pca(codes: pd.DataFrame) -> list[str]:
    """How many times PCA's error each family has, and where PCA is better than all of them."""
    known = codes[codes["ratio"].notna()]
    said = []
    for family, rows in known.groupby("family", sort=False):
        ends = rows.sort_values("ratio").iloc[[0, -1][: len(rows)]]
        each = [
            f"{_factor(r)} (at {words.count(b)})" for r, b in ends[["ratio", "bottleneck"]].values
        ]
        said.append(f"that of {family} {' to '.join(each)} times")
    lost = known.assign(lost=known["low"].astype("float64") > 1).groupby("bottleneck")["lost"].all()
    worse = words.listed(words.count(b) for b in lost[lost].index)
    if not said:
        return []
    said[0] = said[0].removeprefix("that of ").replace(" ", " is ", 1)
    said[0] += " that of PCA with as many components"
    more = f"; PCA is better at {worse}" if worse else ""
    return [f"The error of {', '.join(said)}{more}."]


def _beside_others(answer: Answer) -> list[str]:
    said = []
    for figure, ours in matched(answer):
        if ours is not None:
            times, size = _factor(ours["mse"] / figure.mse), words.count(figure.bottleneck)
            said.append(f"{words.model_of(ours)} has {times} times that at {size} ({figure.name})")
    return [f"Of published errors {words.listed(said)}."] if said else []


def matched(answer: Answer) -> list[tuple[published.Figure, pd.Series | None]]:
    """Each published figure with our best model, on validation, at about that bottleneck."""
    made: list[tuple[published.Figure, pd.Series | None]] = []
    for figure in published.of(answer.dataset):
        size = published.near(figure, answer.codes["bottleneck"])
        mine = answer.codes[answer.codes["bottleneck"] == size].sort_values("choice")
        made.append((figure, mine.iloc[0] if len(mine) else None))
    return made
