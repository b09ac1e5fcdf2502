"""The kinds of rule by which a finding is judged: a figure, an order, a ratio of times, a pace.

Each maker returns a function from the stored evidence to a `Judgement`. Rules are fixed here,
before any record is seen; what they are applied to is listed in `findings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.evidence import (
    Claim,
    Evidence,
    Judgement,
    Rule,
    Verdict,
    nothing,
    number_of_seeds,
    ratios,
    tested,
    together,
    too_few,
)
from aebench.analysis.frames import Model
from aebench.analysis.statistics import LEAST, MARGIN, Interval, interval, p_above, p_below

NEAR = 0.10  # how near a run must come to the study's figure to be counted beside it


def figure(model: Model, printed: float, otherwise: Model | None = None) -> Rule:
    """The study error of `model` is equivalent to the figure that the study prints.

    `otherwise` is another reading of what the study says about its model: the note tells its error,
    and it decides nothing.
    """

    def judge(evidence: Evidence) -> Judgement:
        rows = model.rows(evidence.jobs)
        values = frames.per_seed(rows, "study_error").to_list()
        if not values:
            return nothing(f"no finished job of {model.name} under the study's protocol")
        shown = interval(values)
        # Two one-sided tests at 5 % are the same as a 90 % interval inside the margin.
        decisive = interval(values, 0.90)
        low = decisive.centre if decisive.low is None else decisive.low
        high = decisive.centre if decisive.high is None else decisive.high
        low, high = low / printed, high / printed
        verdict: Verdict = "undecided"
        few = shown.n < LEAST
        if MARGIN[0] <= low and high <= MARGIN[1]:
            verdict = "consistent" if few else "replicated"
        elif not few and (high < MARGIN[0] or low > MARGIN[1]):
            verdict = "not replicated"
        notes = [f"{number_of_seeds(len(values))}: no interval"] if few else []
        if few and verdict == "undecided":
            notes.append(f"outside the margin, which takes {LEAST} seeds to tell from chance")
        notes.append(f"{words.number(shown.centre / printed)} times the study's figure")
        notes += _single_run(values, printed)
        notes += _beside(rows)
        if otherwise:
            notes += _read_otherwise(evidence, otherwise, printed)
        return Judgement(
            *(shown.centre, shown.low, shown.high, len(rows), len(values)),
            note="; ".join(notes),
            verdict=verdict,
        )

    return judge


def lower(better: Model, worse: Model, factor: float = 1.0) -> Rule:
    """The error of `worse` is more than `factor` times that of `better`, paired by seed."""

    def judge(evidence: Evidence) -> Judgement:
        return _steps(evidence, [better, worse], factor)

    return judge


def rising(models: Sequence[Model]) -> Rule:
    """The error rises from each model to the next: every step is tested, all must hold."""

    def judge(evidence: Evidence) -> Judgement:
        return _steps(evidence, models, 1.0)

    return judge


def _steps(evidence: Evidence, models: Sequence[Model], factor: float) -> Judgement:
    errors = {m: frames.per_seed(m.rows(evidence.jobs), "study_error") for m in models}
    n_jobs = sum(len(m.rows(evidence.jobs)) for m in models)
    ours = ", ".join(
        f"{words.model(m.architecture, m.latent, m.depth)} on {words.dataset(m.dataset)}: "
        f"{words.number(frames.mean(e))} ({number_of_seeds(len(e))})"
        for m, e in errors.items()
        if len(e)
    )
    ours = f"study error of {ours}" if ours else "no finished jobs"
    pairs = [ratios(errors[b], errors[a]) for a, b in pairwise(models)]
    seeds = min(map(len, pairs))
    if not seeds:
        lacking = words.listed(m.name for m, e in errors.items() if not len(e))
        needs = f"needs {lacking}" if lacking else "no seed is common to both"
        return nothing(f"{ours}; {needs}", n_jobs)
    return together([Claim(pair, factor, "above") for pair in pairs], n_jobs, ours)


def times(slow: Model, fast: Model, bound: float, claim: Literal["above", "below"]) -> Rule:
    """The time of `slow` over that of `fast` lies above, or below, `bound`.

    The time is `train_s` + `eval_s`, because the study timed training, validation and test
    together. It had a GPU and torch's own data loader: only engine `reference` on a CUDA device
    repeats that, and the ratio differs with engine and device, so other rows are told in the
    note but decide nothing. Runs are paired by seed and repeat, within rows otherwise alike.
    """

    def judge(evidence: Evidence) -> Judgement:
        chosen: tuple[Interval, list[float], str] | None = None
        others: list[str] = []
        for group in frames.alike(evidence.times):
            pairs = _paired_times(slow, fast, group)
            if not pairs:
                continue
            first = group.iloc[0]
            found = (interval(pairs), pairs, words.conditions(first))
            decides = first["engine"] == "reference" and first["device"] == "cuda"
            if decides and (chosen is None or found[0].n > chosen[0].n):
                chosen, found = found, chosen
            if found is not None:
                runs = words.counted(found[0].n, "pair")
                others.append(f"{words.number(found[0].centre)} on {found[2]} ({runs})")
        notes = [f"elsewhere {words.listed(others)}"] if others else []
        both = pd.concat([model.rows(evidence.rejected) for model in (slow, fast)])
        unfit = int((both["engine"].eq("reference") & both["device"].eq("cuda")).sum())
        if unfit:
            notes.append(f"{words.counted(unfit, 'time')} left out that aebench check rejects")
        if chosen is None:
            missing = "no comparable times of both models from engine reference on a CUDA device"
            return nothing("; ".join([missing, *notes]), unfit)
        ratio, pairs, where = chosen
        notes.insert(0, f"engine reference, {where}")
        size = (2 * ratio.n, ratio.n)
        if ratio.n < LEAST:
            holds = ratio.centre > bound if claim == "above" else ratio.centre < bound
            return too_few(ratio.centre, *size, "; ".join(notes), holds, "pair")
        tests = {"above": p_above(pairs, bound), "below": p_below(pairs, bound)}
        against = tests["below" if claim == "above" else "above"]
        return tested(ratio, size, "; ".join(notes), p_for=tests[claim], p_against=against)

    return judge


def _paired_times(slow: Model, fast: Model, group: pd.DataFrame) -> list[float]:
    def runs(model: Model) -> pd.Series[float]:
        rows = model.rows(group)
        seconds = rows["train_s"].astype("float64") + rows["eval_s"].astype("float64")
        return seconds.groupby([rows["seed"], rows["repeat"]]).median()

    return ratios(runs(slow), runs(fast))


def same_pace(one: Model, other: Model, share: float = 0.9) -> Rule:
    """Both models need equally many epochs for `share` of their fall, in training and validation.

    The study compared the shapes of curves drawn on linear axes, each scaled to itself: what one
    sees there is when a curve has done most of its way down. So each curve is scaled to its own
    fall, from the first epoch to the last, and the epoch is read where 90 % of it is done. Levels
    drop out, on purpose: that conv ends lower is another finding. Equal means within the margin.
    """

    def judge(evidence: Evidence) -> Judgement:
        rows = {m: m.rows(evidence.jobs) for m in (one, other)}
        n_jobs = sum(len(r) for r in rows.values())
        found: dict[str, list[float]] = {}
        notes: list[str] = []
        for column, word in (("train_mse", "training"), ("val_mse", "validation")):
            paces = [_paces(r, evidence.epochs, column, share) for r in rows.values()]
            if any(not len(p) for p in paces):
                lacking = words.listed(
                    m.name for m, p in zip(rows, paces, strict=True) if not len(p)
                )
                return nothing(f"no learning curve that falls from {lacking}", n_jobs)
            found[column] = ratios(paces[1], paces[0])
            notes.append(
                f"{word}: {words.number(frames.mean(paces[0]), 2)} epochs of "
                f"{words.model(one.architecture, one.latent)}, "
                f"{words.number(frames.mean(paces[1]), 2)} of "
                f"{words.model(other.architecture, other.latent)}"
            )
        seeds = min(len(r) for r in found.values())
        if not seeds:
            return nothing("; ".join([*notes, "no seed is common to both"]), n_jobs)
        # Shown is the curve that lies farther from equality.
        shown = max((interval(r) for r in found.values()), key=lambda i: abs(np.log(i.centre)))
        low, high = MARGIN
        if seeds < LEAST:
            near = all(low <= interval(r).centre <= high for r in found.values())
            return too_few(shown.centre, n_jobs, seeds, "; ".join(notes), near)
        outside = [p for r in found.values() for p in (p_below(r, low), p_above(r, high))]
        return tested(
            shown,
            (n_jobs, seeds),
            "; ".join(notes),
            p_for=max(p for r in found.values() for p in (p_above(r, low), p_below(r, high))),
            p_against=min(1.0, len(outside) * min(outside)),
        )

    return judge


def _paces(rows: pd.DataFrame, epochs: pd.DataFrame, column: str, share: float) -> pd.Series[float]:
    """Epochs each seed needs for `share` of its curve's fall."""
    paces = {}
    for key, curve in epochs[epochs["key"].isin(rows["key"])].groupby("key"):
        pace = pace_of(curve.sort_values("epoch")[column].to_list(), share)
        if pace is not None:
            paces[key] = pace
    found = rows.assign(pace=rows["key"].map(paces).astype("float64"))
    return frames.per_seed(found, "pace")


def pace_of(losses: Sequence[float], share: float) -> float | None:
    """Epoch, counted from 1, at which `share` of the fall from first to last loss is done.

    None where nothing falls. Between two epochs the curve is taken as straight.
    """
    if len(losses) < 2 or not losses[-1] < losses[0]:
        return None
    goal = losses[0] - share * (losses[0] - losses[-1])
    for epoch, (before, after) in enumerate(pairwise(losses), start=1):
        if after <= goal:
            return epoch + (before - goal) / (before - after)
    return None


def _single_run(values: Sequence[float], printed: float) -> list[str]:
    """How a single run that gave `printed` lies in our distribution over seeds."""
    if len(values) < LEAST:
        return []
    logs = np.log(values)
    spread = float(np.std(logs, ddof=1))
    place = ""
    if spread > 0:
        distance = (np.log(printed) - float(np.mean(logs))) / spread
        side = "above" if distance > 0 else "below"
        place = f", {words.number(abs(distance), 2)} standard deviations {side} our mean"
    near = sum(abs(value / printed - 1) <= NEAR for value in values)
    return [
        f"our runs go from {words.number(min(values))} to {words.number(max(values))}; the study's"
        f" single run lies at {words.number(printed)}{place}, with {near} of {len(values)} of ours"
        f" within {100 * NEAR:.0f} % of it"
    ]


def _read_otherwise(evidence: Evidence, model: Model, printed: float) -> list[str]:
    values = frames.per_seed(model.rows(evidence.jobs), "study_error").to_list()
    if not values:
        return [f"the other reading, {model.name}, was not run"]
    centre = interval(values).centre
    return [
        f"the other reading, {model.name}, has {words.number(centre)}"
        f" ({number_of_seeds(len(values))}), {words.number(centre / printed)} times the figure"
    ]


def _beside(rows: pd.DataFrame) -> list[str]:
    """What exact baselines give at the same size: the study's figures have no such scale."""
    middle = {n: frames.mean(frames.per_seed(rows, n)) for n in ("mse", "mean_mse", "pca_mse")}
    code, image = (rows[n].astype("float64").median() for n in ("bottleneck", "input_size"))
    notes = [f"MSE {words.number(middle['mse'])}"]
    if not words.missing(middle["mean_mse"]):
        worse = ", better than this model" if middle["mean_mse"] < middle["mse"] else ""
        notes.append(f"the mean image alone has {words.number(middle['mean_mse'])}{worse}")
    if code >= image:
        notes.append(
            f"{words.count(code)} numbers in the code of a {words.count(image)}-number image: "
            "nothing is compressed"
        )
    elif not words.missing(middle["pca_mse"]):
        notes.append(f"PCA of the same size has {words.number(middle['pca_mse'])}")
    return [", ".join(notes)]
