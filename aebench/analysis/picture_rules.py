"""Rules for findings that the study rests on pictures: the numbers that stand for looking.

Each bar is an answer that needs no model (the input itself, the mean image, a flat picture, grey
instead of colour), so that a threshold means something on any data set. Like all rules they are
fixed before any record is seen; what they are applied to is listed in `findings`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.evidence import (
    Claim,
    Evidence,
    Judgement,
    Need,
    nothing,
    ratios,
    rule,
    together,
)
from aebench.analysis.frames import Model
from aebench.language import later, numeral, say
from aebench.schema import DENOISING, STRANGERS

# A pixel's typical error (RMSE) more than doubles. It has only to tell a model that fails on
# strangers from one that fails on everything; that nothing is recognizable is the other bar.
STRANGER_FACTOR = 4.0
HALF = 0.5  # more of the variance unexplained than explained, or the other way round


@rule
def denoises(
    evidence: Evidence, model: Model, amplitude: float, others: Sequence[Model] = ()
) -> Judgement:
    """The output for noisy images is nearer to the clean ones than the input and the mean image.

    Both bars are needed: an input may be so noisy that any picture is nearer, and the mean image
    of the training set is the best picture that ignores the input.
    """
    rows = given_noise(evidence, model, amplitude)
    if not len(rows):
        return _no_probe(evidence, model)
    error = frames.per_seed(rows, "mse")
    claims = [
        Claim(ratios(frames.per_seed(rows, bar), error), 1.0, "above")
        for bar in ("input_mse", "mean_mse")
    ]
    note = _denoised(evidence, rows, amplitude, others)
    return together(claims, len(rows), note, _need(rows, model))


@rule
def fails_to_denoise(
    evidence: Evidence, model: Model, amplitude: float, others: Sequence[Model] = ()
) -> Judgement:
    """The output for noisy images is no nearer to the clean ones than the mean image is.

    That is what "it no longer works" can mean without an eye: the picture says less about the
    digit than one that was never shown it. The noisy input is no bar here. At 0.8 its error is
    0.64, and an output that merely stays between 0 and 1 is far nearer, whatever it shows.
    """
    rows = given_noise(evidence, model, amplitude)
    if not len(rows):
        return _no_probe(evidence, model)
    above = ratios(frames.per_seed(rows, "mse"), frames.per_seed(rows, "mean_mse"))
    note = _denoised(evidence, rows, amplitude, others)
    return together([Claim(above, 1.0, "above")], len(rows), note, _need(rows, model))


@rule
def fails_on(evidence: Evidence, model: Model, stranger: str) -> Judgement:
    """`model` cannot reconstruct `stranger`: see `STRANGER_FACTOR`, and a flat picture is as good.

    A flat picture of the stranger's mean grey explains none of its variation, so a model whose
    error is greater has r2 below 0: its output resembles the original in nothing.
    """
    rows = given_stranger(evidence, model, stranger)
    if not len(rows):
        return _no_probe(evidence, model)
    error, own, flat, mean = (
        frames.per_seed(rows, column) for column in ("mse", "mse_job", "flat_mse", "mean_mse")
    )
    note = say(
        "MSE on {stranger} {error}, on its own test images "
        "{own} ({factor} "
        "times); a flat grey picture has {flat}, the mean "
        "training image {mean}",
        stranger=stranger,
        error=words.number(frames.mean(error)),
        own=words.number(frames.mean(own)),
        factor=words.number(frames.mean(error / own)),
        flat=words.number(frames.mean(flat)),
        mean=words.number(frames.mean(mean)),
    )
    claims = [
        Claim(ratios(error, own), STRANGER_FACTOR, "above"),
        Claim(ratios(error, flat), 1.0, "above"),
    ]
    return together(claims, len(rows), note, _need(rows, model))


@rule
def shapes_without_colours(evidence: Evidence, model: Model) -> Judgement:
    """Less than half the luma variation is lost, and more than half the chroma variation.

    Luma is set beside flat pictures of the right brightness, which have no shapes; chroma beside
    pictures all tinted alike, which have no colours (`evaluation.appearance`).
    """
    rows = model.rows(evidence.jobs)
    lost = {part: unexplained(rows, part) for part in later(("luma", "chroma"))}
    if not all(len(shares) for shares in lost.values()):
        return nothing(_no_measure(model, len(rows)), _need(rows.iloc[:0], model))
    note = words.clauses(
        say(
            "{share} % of the variance of {part} is explained",
            share=numeral(100 * (1 - frames.mean(shares)), ".0f"),
            part=say(part),
        )
        for part, shares in lost.items()
    )
    claims = [
        Claim(lost["luma"].to_list(), HALF, "below"),
        Claim(lost["chroma"].to_list(), HALF, "above"),
    ]
    return together(claims, len(rows), note, _need(rows, model))


@rule
def blurrier(evidence: Evidence, blurred: Model, other: Model) -> Judgement:
    """`blurred` has the greater error and the smaller sharpness, paired by seed."""
    rows = {m: _positive(m.rows(evidence.jobs), "sharpness") for m in (blurred, other)}
    n_jobs = sum(map(len, rows.values()))
    lacking = [_no_measure(m, len(m.rows(evidence.jobs))) for m, r in rows.items() if not len(r)]
    need = Need({m.name: r["seed"].nunique() for m, r in rows.items()})
    if lacking:
        return nothing(words.clauses(lacking), need, n_jobs)
    error, sharp = (
        {m: frames.per_seed(r, column) for m, r in rows.items()}
        for column in ("study_error", "sharpness")
    )
    note = words.clauses(
        say(
            "{label}: study error {error}, sharpness {sharp}",
            label=m.label,
            error=words.number(frames.mean(error[m])),
            sharp=words.number(frames.mean(sharp[m])),
        )
        for m in rows
    )
    claims = [
        Claim(ratios(error[blurred], error[other]), 1.0, "above"),
        Claim(ratios(sharp[blurred], sharp[other]), 1.0, "below"),
    ]
    return together(claims, n_jobs, note, need)


def given_noise(evidence: Evidence, model: Model, amplitude: float) -> pd.DataFrame:
    """A row for each job of `model` that was given noise of this amplitude."""
    rows = model.rows(evidence.probes)
    return rows[(rows["kind"] == DENOISING) & (rows["amplitude"] == amplitude)]


def given_stranger(evidence: Evidence, model: Model, stranger: str) -> pd.DataFrame:
    """A row for each job of `model` that was given `stranger`."""
    rows = model.rows(evidence.probes)
    return rows[(rows["kind"] == STRANGERS) & (rows["input"] == stranger)]


def unexplained(rows: pd.DataFrame, part: str) -> pd.Series[float]:
    """The share of the variance of luma, or chroma, that each seed leaves unexplained."""
    seen = _positive(rows, f"{part}_mse", f"{part}_variance")
    share = seen[f"{part}_mse"] / seen[f"{part}_variance"]
    return frames.per_seed(seen.assign(lost=share), "lost")


def _denoised(
    evidence: Evidence, rows: pd.DataFrame, amplitude: float, others: Sequence[Model]
) -> str:
    """The error beside its bars, what clipping alone would do, and what other models make of it."""
    error, noisy, mean, clipped = (
        frames.mean(frames.per_seed(rows, name))
        for name in ("mse", "input_mse", "mean_mse", "clipped_mse")
    )
    note = say(
        "MSE {error}; the noisy images have {noisy}, the mean image {mean}",
        error=words.number(error),
        noisy=words.number(noisy),
        mean=words.number(mean),
    )
    if not words.missing(clipped):
        better = say(", better than this model") if clipped < error else ""
        note += say(
            ", clipping to [0, 1] alone {clipped}{better}",
            clipped=words.number(clipped),
            better=better,
        )
    beside = [
        f"{m.label} {words.number(frames.mean(frames.per_seed(probes, 'mse')))}"
        for m in others
        if len(probes := given_noise(evidence, m, amplitude))
    ]
    return note + (say("; other models: {beside}", beside=words.listed(beside)) if beside else "")


def _positive(rows: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Rows in which all `columns` hold a positive number, as numbers."""
    numbers = rows.assign(**{c: rows[c].astype("float64") for c in columns})
    return numbers[(numbers[list(columns)] > 0).all(axis=1)]


def _no_probe(evidence: Evidence, model: Model) -> Judgement:
    why = _no_measure(model, len(model.rows(evidence.jobs)), say("probes of it"))
    return nothing(why, Need({model.name: 0}))


def _need(rows: pd.DataFrame, model: Model) -> Need:
    return Need({model.name: rows["seed"].nunique()})


def _no_measure(model: Model, n_jobs: int, what: str = "") -> str:
    if n_jobs:
        return say(
            "{name} has records, but of before there were {what}",
            name=model.name,
            what=what or say("measures of its pictures"),
        )
    return say("no finished job of {name} under the study's protocol", name=model.name)
