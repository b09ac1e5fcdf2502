"""The kinds of rule by which a finding is judged: an order of errors, times, a pace.

Each is a function from the stored evidence to a `Judgement`; that for a printed figure is in
`figures`, those for pictures are in `picture_rules`. Rules are fixed here, before any record is
seen; what they are applied to is listed in `findings`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import pandas as pd

from aebench.analysis import frames, processes, words
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
from aebench.analysis.statistics import MARGIN, interval
from aebench.language import later, say


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
        say(
            "{label} on {dataset}: {error} ({seeds})",
            label=m.label,
            dataset=words.dataset(m.dataset),
            error=words.number(frames.mean(e)),
            seeds=words.seeds(len(e)),
        )
        for m, e in errors.items()
        if len(e)
    )
    ours = say("study error of {ours}", ours=ours) if ours else say("no finished jobs")
    pairs = [ratios(errors[b], errors[a]) for a, b in pairwise(models)]
    need = Need({m.name: len(e) for m, e in errors.items()})
    if not all(pairs):
        lacking = words.listed(m.name for m, e in errors.items() if not len(e))
        needs = (
            say("needs {lacking}", lacking=lacking) if lacking else say("no seed is common to both")
        )
        return nothing(words.clauses([ours, needs]), need, n_jobs)
    return together([Claim(pair, factor, "above") for pair in pairs], n_jobs, ours, need)


@rule
def times(
    evidence: Evidence,
    slow: Model,
    fast: Model,
    bound: float,
    side: Literal["above", "below"],
    device: str,
) -> Judgement:
    """The time of `slow` over that of `fast` on a kind of device lies above, or below, `bound`.

    The time is `train_s` + `eval_s`, because the study timed training, validation and test
    together. It used torch's own data loader, which only engine `reference` repeats, and the ratio
    differs with the engine: rows of others are told in the note but decide nothing. Runs are
    paired by seed and repeat, within rows otherwise alike and of as many epochs, and pairs in the
    same processes are one; of several such groups the one with the most pairs decides, or of those
    the one of most epochs, whatever it says. An epoch takes as long as the next (in the records of
    the quick grid the first takes 0.997 to 1.003 times the median of the others), so the ratio does
    not need the study's 15; but the one test at the end weighs more in fewer.
    """
    chosen: tuple[list[float], str] | None = None
    others: list[str] = []
    timed = pd.concat([model.rows(evidence.times) for model in (slow, fast)])
    groups = frames.alike(timed, "epochs")
    for group in sorted(groups, key=lambda rows: -rows["epochs"].iloc[0]):
        first = group.iloc[0]
        pairs = _paired_times(slow, fast, group)
        epochs = words.counted(int(first["epochs"]), "epoch")
        told = f"{words.conditions(first)}, {epochs}"
        other: tuple[list[float], str] | None = (pairs, told)
        if not pairs:
            continue
        decides = first["engine"] == "reference" and first["device"] == device
        if decides and (chosen is None or len(pairs) > len(chosen[0])):
            chosen, other = other, chosen
        if other is not None:
            ratio = interval(other[0])
            runs = words.counted(ratio.n, "pair")
            others.append(
                say(
                    "{ratio} on {where} ({runs})",
                    ratio=words.number(ratio.centre),
                    where=other[1],
                    runs=runs,
                )
            )
    notes = [say("elsewhere {others}", others=words.listed(others))] if others else []
    both = pd.concat([model.rows(evidence.rejected) for model in (slow, fast)])
    unfit = int((both["engine"].eq("reference") & both["device"].eq(device)).sum())
    if unfit:
        notes.append(
            say("{times} left out that aebench check rejects", times=words.counted(unfit, "time"))
        )
    where = say(_DEVICES[device])
    how = say(" by engine reference on {where}, with nothing else on the machine", where=where)
    # Pairs are counted, so each model lacks as many runs as the other.
    need = Need(
        {words.listed([slow.name, fast.name]): len(chosen[0]) if chosen else 0}, "pair", how
    )
    if chosen is None:
        waits = device == "cuda" and not evidence.jobs["device"].eq("cuda").any()
        missing = say("waits for a GPU: ") if waits else ""
        missing += say(
            "no comparable times of both models from engine reference on {where}", where=where
        )
        return nothing(words.clauses([missing, *notes]), need, unfit)
    pairs, conditions = chosen
    note = words.clauses([say("engine reference, {conditions}", conditions=conditions), *notes])
    return together([Claim(pairs, bound, side)], 2 * len(pairs), note, need)


_DEVICES = later({"cuda": "a CUDA device", "cpu": "a CPU"})


def _paired_times(slow: Model, fast: Model, group: pd.DataFrame) -> list[float]:
    def runs(model: Model) -> pd.DataFrame:
        rows = model.rows(group)
        seconds = rows["train_s"].astype("float64") + rows["eval_s"].astype("float64")
        timed = rows[["seed", "repeat"]].assign(s=seconds, process=processes.unit(rows))
        return timed.groupby(["seed", "repeat"]).agg({"s": "median", "process": "first"})

    ends = ("_slow", "_fast")
    pairs = runs(slow).merge(runs(fast), on=["seed", "repeat"], suffixes=ends)
    medians = (
        pairs.assign(ratio=pairs["s_slow"] / pairs["s_fast"])
        .groupby(["process_slow", "process_fast"], sort=False)["ratio"]
        .median()
    )
    return [float(ratio) for ratio in medians if 0 < ratio < math.inf]


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
    need = Need({m.name: r["seed"].nunique() for m, r in rows.items()})
    claims: list[Claim] = []
    notes: list[str] = []
    for column, phase in (("train_mse", say("training")), ("val_mse", say("validation"))):
        paces = {m: _paces(r, evidence.epochs, column, share) for m, r in rows.items()}
        lacking = [m.name for m, pace in paces.items() if not len(pace)]
        if lacking:
            return nothing(
                say("no learning curve that falls from {lacking}", lacking=words.listed(lacking)),
                need,
                n_jobs,
            )
        relative = ratios(paces[other], paces[one])
        claims += [Claim(relative, MARGIN[0], "above"), Claim(relative, MARGIN[1], "below")]
        notes.append(
            say(
                "{phase}: {epochs} epochs of {label}, {epochs_2} of {label_2}",
                phase=phase,
                epochs=words.number(frames.mean(paces[one])),
                label=one.label,
                epochs_2=words.number(frames.mean(paces[other])),
                label_2=other.label,
            )
        )
    if not all(claim.ratios for claim in claims):
        return nothing(words.clauses([*notes, say("no seed is common to both")]), need, n_jobs)
    return together(claims, n_jobs, words.clauses(notes), need)


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
