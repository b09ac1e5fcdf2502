"""What is known of which family is better: of each data set, the best codes and all comparisons.

`best_sentences` puts it into words, `best_charts` draws it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from aebench.analysis import fights, frames, names, optimum, published, words
from aebench.analysis.fights import COSTS, Fight
from aebench.analysis.optimum import Precisions
from aebench.store import Results


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
    jobs = jobs.assign(settings=names.settings(jobs, without="precision"))
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


def matched(answer: Answer) -> list[tuple[published.Figure, pd.Series | None]]:
    """Each published figure with our best model, on validation, at about that bottleneck."""
    made: list[tuple[published.Figure, pd.Series | None]] = []
    for figure in published.of(answer.dataset):
        size = published.near(figure, answer.codes["bottleneck"])
        mine = answer.codes[answer.codes["bottleneck"] == size].sort_values("choice")
        made.append((figure, mine.iloc[0] if len(mine) else None))
    return made
