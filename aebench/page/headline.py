"""What stands at the head of the page: how many findings came out which way, and what else counts.

Every figure here is that of the tables below: a geometric mean over seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from aebench.analysis import findings, frames, words
from aebench.analysis.evidence import Verdict
from aebench.analysis.findings import Outcome
from aebench.analysis.statistics import LEAST
from aebench.store import Results


def sentences(results: Results, outcomes: Sequence[Outcome]) -> list[str]:
    """What to know before reading on; `results` are ordered and marked."""
    said = [_verdicts(outcomes), _jobs(results.jobs)]
    models = frames.summary(frames.counting(results.jobs))
    said += [_worse_than_the_mean(models), _beside_pca(models), _times(results.jobs)]
    return [sentence for sentence in said if sentence]


def _verdicts(outcomes: Sequence[Outcome]) -> str:
    n = findings.tally(outcomes)

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
    return f"Of the study's {len(outcomes)} findings {words.listed(parts)}."


def _jobs(jobs: pd.DataFrame) -> str:
    if not len(jobs):
        return "There is no job in these results."
    statuses = jobs["status"].value_counts().sort_index()
    bad = [
        f"{count} {str(status).replace('_', ' ')}"
        for status, count in statuses.items()
        if status != "ok"
    ]
    ends = f"{int(statuses.get('ok', 0))} finished" + (f", {words.listed(bad)}" if bad else "")
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
    enough = models["compression"] >= frames.COMPARED_WITH_PCA
    squeezed = models[enough & (models["pca_mse"] > 0)]
    factors = (squeezed["mse"] / squeezed["pca_mse"]).dropna().sort_values()
    if not len(factors):
        return ""
    ends = [
        f"{words.number(factors[i], 2)} ({words.model_on(squeezed.loc[i])})"
        for i in dict.fromkeys([factors.index[0], factors.index[-1]])
    ]
    return (
        "Where the code is at most two thirds of the image, models trained under the study's "
        f"protocol have {' to '.join(ends)} times the error of PCA with a code of the same size."
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
