"""The kinds of rule by which a finding is judged: a printed error, an order, times, a pace.

Each is a function from the stored evidence to a `Judgement`. Rules are fixed here, before any
record is seen; what they are applied to is listed in `findings`.
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
    Verdict,
    nothing,
    ratios,
    rule,
    together,
)
from aebench.analysis.frames import Model
from aebench.analysis.statistics import LEAST, MARGIN, interval

NEAR = 0.10  # how near a run must come to the study's figure to be counted beside it


@rule
def printed_error(
    evidence: Evidence, model: Model, printed: float, otherwise: Model | None = None
) -> Judgement:
    """The study error of `model` is equivalent to the figure that the study prints.

    `otherwise` is another reading of what the study says about its model: the note tells its error,
    and it decides nothing.
    """
    rows = model.rows(evidence.jobs)
    values = frames.per_seed(rows, "study_error").to_list()
    if not values:
        return nothing(f"no finished job of {model.name} under the study's protocol")
    shown = interval(values)
    # Two one-sided tests at 5 % are the same as a 90 % interval inside the margin.
    decisive = interval(values, 0.90)
    low = (decisive.centre if decisive.low is None else decisive.low) / printed
    high = (decisive.centre if decisive.high is None else decisive.high) / printed
    verdict: Verdict = "undecided"
    few = shown.n < LEAST
    if MARGIN[0] <= low and high <= MARGIN[1]:
        verdict = "consistent" if few else "replicated"
    elif not few and (high < MARGIN[0] or low > MARGIN[1]):
        verdict = "not replicated"
    notes = [f"{words.seeds(len(values))}: no interval"] if few else []
    if few and verdict == "undecided":
        notes.append(f"outside the margin, which takes {LEAST} seeds to tell from chance")
    notes.append(f"{words.number(shown.centre / printed)} times the study's figure")
    notes += _single_run(values, printed)
    notes.append(_beside_baselines(rows))
    if otherwise:
        notes.append(_read_otherwise(evidence, otherwise, printed))
    size = len(rows), len(values)
    return Judgement("; ".join(notes), *size, shown.centre, shown.low, shown.high, verdict)


@rule
def lower(evidence: Evidence, better: Model, worse: Model, factor: float = 1.0) -> Judgement:
    """The error of `worse` is more than `factor` times that of `better`, paired by seed."""
    return _steps(evidence, [better, worse], factor)


@rule
def rising(evidence: Evidence, models: Sequence[Model]) -> Judgement:
    """The error rises from each model to the next: every step is tested, all must hold."""
    return _steps(evidence, models, 1.0)


def _steps(evidence: Evidence, models: Sequence[Model], factor: float) -> Judgement:
    rows = {m: m.rows(evidence.jobs) for m in models}
    errors = {m: frames.per_seed(r, "study_error") for m, r in rows.items()}
    n_jobs = sum(map(len, rows.values()))
    ours = ", ".join(
        f"{m.label} on {words.dataset(m.dataset)}: "
        f"{words.number(frames.mean(e))} ({words.seeds(len(e))})"
        for m, e in errors.items()
        if len(e)
    )
    ours = f"study error of {ours}" if ours else "no finished jobs"
    pairs = [ratios(errors[b], errors[a]) for a, b in pairwise(models)]
    if not all(pairs):
        lacking = words.listed(m.name for m, e in errors.items() if not len(e))
        needs = f"needs {lacking}" if lacking else "no seed is common to both"
        return nothing(f"{ours}; {needs}", n_jobs)
    return together([Claim(pair, factor, "above") for pair in pairs], n_jobs, ours)


@rule
def times(
    evidence: Evidence, slow: Model, fast: Model, bound: float, side: Literal["above", "below"]
) -> Judgement:
    """The time of `slow` over that of `fast` lies above, or below, `bound`.

    The time is `train_s` + `eval_s`, because the study timed training, validation and test
    together. It had a GPU and torch's own data loader: only engine `reference` on a CUDA device
    repeats that, and the ratio differs with engine and device, so other rows are told in the
    note but decide nothing. Runs are paired by seed and repeat, within rows otherwise alike.
    """
    chosen: tuple[list[float], str] | None = None
    others: list[str] = []
    for group in frames.alike(evidence.times):
        first = group.iloc[0]
        pairs = _paired_times(slow, fast, group)
        other: tuple[list[float], str] | None = (pairs, words.conditions(first))
        if not pairs:
            continue
        decides = first["engine"] == "reference" and first["device"] == "cuda"
        if decides and (chosen is None or len(pairs) > len(chosen[0])):
            chosen, other = other, chosen
        if other is not None:
            ratio = interval(other[0])
            runs = words.counted(ratio.n, "pair")
            others.append(f"{words.number(ratio.centre)} on {other[1]} ({runs})")
    notes = [f"elsewhere {words.listed(others)}"] if others else []
    both = pd.concat([model.rows(evidence.rejected) for model in (slow, fast)])
    unfit = int((both["engine"].eq("reference") & both["device"].eq("cuda")).sum())
    if unfit:
        notes.append(f"{words.counted(unfit, 'time')} left out that aebench check rejects")
    if chosen is None:
        missing = "no comparable times of both models from engine reference on a CUDA device"
        return nothing("; ".join([missing, *notes]), unfit)
    pairs, conditions = chosen
    note = "; ".join([f"engine reference, {conditions}", *notes])
    return together([Claim(pairs, bound, side)], 2 * len(pairs), note, "pair")


def _paired_times(slow: Model, fast: Model, group: pd.DataFrame) -> list[float]:
    def runs(model: Model) -> pd.Series[float]:
        rows = model.rows(group)
        seconds = rows["train_s"].astype("float64") + rows["eval_s"].astype("float64")
        return seconds.groupby([rows["seed"], rows["repeat"]]).median()

    return ratios(runs(slow), runs(fast))


@rule
def same_pace(evidence: Evidence, one: Model, other: Model, share: float = 0.9) -> Judgement:
    """Both models need equally many epochs for `share` of their fall, in training and validation.

    The study compared the shapes of curves drawn on linear axes, each scaled to itself: what one
    sees there is when a curve has done most of its way down. So each curve is scaled to its own
    fall, from the first epoch to the last, and the epoch is read where 90 % of it is done. Levels
    drop out, on purpose: that conv ends lower is another finding. Equal means within the margin.
    """
    rows = {m: m.rows(evidence.jobs) for m in (one, other)}
    n_jobs = sum(map(len, rows.values()))
    claims: list[Claim] = []
    notes: list[str] = []
    for column, phase in (("train_mse", "training"), ("val_mse", "validation")):
        paces = {m: _paces(r, evidence.epochs, column, share) for m, r in rows.items()}
        lacking = [m.name for m, pace in paces.items() if not len(pace)]
        if lacking:
            return nothing(f"no learning curve that falls from {words.listed(lacking)}", n_jobs)
        relative = ratios(paces[other], paces[one])
        claims += [Claim(relative, MARGIN[0], "above"), Claim(relative, MARGIN[1], "below")]
        notes.append(
            f"{phase}: {words.number(frames.mean(paces[one]), 2)} epochs of {one.label}, "
            f"{words.number(frames.mean(paces[other]), 2)} of {other.label}"
        )
    if not all(claim.ratios for claim in claims):
        return nothing("; ".join([*notes, "no seed is common to both"]), n_jobs)
    return together(claims, n_jobs, "; ".join(notes))


def _paces(rows: pd.DataFrame, epochs: pd.DataFrame, column: str, share: float) -> pd.Series[float]:
    """Epochs each seed needs for `share` of its curve's fall."""
    curves = epochs[epochs["key"].isin(rows["key"])].sort_values("epoch").groupby("key")[column]
    paces = {key: pace_of(losses.to_list(), share) for key, losses in curves}
    return frames.per_seed(rows.assign(pace=rows["key"].map(paces).astype("float64")), "pace")


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
    where = ""
    if spread > 0:
        distance = (np.log(printed) - float(np.mean(logs))) / spread
        side = "above" if distance > 0 else "below"
        where = f", {words.number(abs(distance), 2)} standard deviations {side} our mean"
    near = sum(abs(value / printed - 1) <= NEAR for value in values)
    return [
        f"our runs go from {words.number(min(values))} to {words.number(max(values))}; the study's"
        f" single run lies at {words.number(printed)}{where}, with {near} of {len(values)} of ours"
        f" within {100 * NEAR:.0f} % of it"
    ]


def _read_otherwise(evidence: Evidence, model: Model, printed: float) -> str:
    values = frames.per_seed(model.rows(evidence.jobs), "study_error").to_list()
    if not values:
        return f"the other reading, {model.name}, was not run"
    centre = interval(values).centre
    return (
        f"the other reading, {model.name}, has {words.number(centre)}"
        f" ({words.seeds(len(values))}), {words.number(centre / printed)} times the figure"
    )


def _beside_baselines(rows: pd.DataFrame) -> str:
    """What exact baselines give at the same size: the study's figures have no such scale."""
    mse, mean, pca = (
        frames.mean(frames.per_seed(rows, name)) for name in ("mse", "mean_mse", "pca_mse")
    )
    code, image = (rows[name].astype("float64").median() for name in ("bottleneck", "input_size"))
    notes = [f"MSE {words.number(mse)}"]
    if not words.missing(mean):
        better = ", better than this model" if mean < mse else ""
        notes.append(f"the mean image alone has {words.number(mean)}{better}")
    if code >= image:
        notes.append(
            f"{words.count(code)} numbers in the code of a {words.count(image)}-number image: "
            "nothing is compressed"
        )
    elif not words.missing(pca):
        notes.append(f"PCA of the same size has {words.number(pca)}")
    return ", ".join(notes)
