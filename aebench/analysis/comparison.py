"""Two folders of results side by side: what became slower, faster, better or worse, by how much.

Decides which rows belong together, when two folders must not be compared at all, and what a ratio
with its interval amounts to. Reads stored records only; printing is the command line's business.

Times of a job in different processes are independent, so Welch's test compares them; those in one
process count as one. Errors depend on the seed and
hardly on anything else, so they are compared seed by seed. All intervals of one metric are
corrected together (Bonferroni), so that in 19 of 20 comparisons of like with like none of them
excludes 1; unlike Holm's method, this makes interval and verdict say the same. No test can tell
a change of the code from one of the machine between the two runs: the noise probes can, so
`compare` holds them against each other and says so.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from aebench.analysis import fitness, frames, processes, words
from aebench.analysis.statistics import ALPHA, LEAST, Estimate, Interval, paired, pooled, unpaired
from aebench.errors import RequestError, unknown
from aebench.job import FIELDS, Job
from aebench.store import Results

TIMES = ("train_s", "cold_s", "total_s")
ERRORS = ("mse", "study_error", "val_mse")
ACROSS = ("engine", "device", "precision", "threads", "torch", "machine", "code", "options")
OVERALL = "overall"
SAME = 0.001  # ratios closer to 1 than this are rounding, whatever their interval

Verdict = Literal[
    "same", "no difference found", "slower", "faster", "worse", "better", "too few runs"
]

# Rows of A and of B for each job, by its name.
Pairs = Mapping[str, tuple[pd.DataFrame, pd.DataFrame]]
_GROWN = ("slower", "worse", "too few runs")
_MACHINE = ("machine_id", "device_name")
# What stays of a machine when its devices are compared.
_HOST = ("cpu_name", "cpu_details", "cores", "system")


@dataclass(frozen=True)
class Limit:
    """What must not grow by more than so much: ``train_s > 5%``."""

    metric: str
    factor: float
    text: str


@dataclass(frozen=True)
class Change:
    """One figure of one job, or of all of them, in B over that in A, with its corrected interval.

    `a` and `b` are geometric means, None for all jobs together; `n` is the smaller number of
    processes (times) or of seeds (errors).
    """

    metric: str
    job: str
    a: float | None
    b: float | None
    ratio: float
    low: float | None
    high: float | None
    n: int
    verdict: Verdict


@dataclass(frozen=True)
class Comparison:
    """All changes, each metric's overall one last, and what else to know, in sentences.

    `lost` names jobs that ended ok in A and did not in B.
    """

    changes: tuple[Change, ...]
    notes: tuple[str, ...]
    lost: tuple[str, ...]


def limit(given: str) -> Limit:
    """Read a limit.

    Raises:
        RequestError: it is not of the form ``METRIC > PERCENT%``, or there is no such metric.
    """
    parts = re.fullmatch(r"\s*(\w+)\s*>\s*(\d+(?:\.\d+)?)\s*%\s*", given)
    if not parts:
        raise RequestError(f"--fail-if takes a limit like 'train_s > 5%', not {given!r}")
    if parts[1] not in TIMES + ERRORS:
        raise RequestError(f"--fail-if: {unknown('metric', parts[1], TIMES + ERRORS)}")
    return Limit(parts[1], 1 + float(parts[2]) / 100, " ".join(given.split()))


def compare(
    a: Results,
    b: Results,
    across: Collection[str] = (),
    metrics: Sequence[str] = ("train_s", "mse"),
) -> Comparison:
    """Compare `b` with `a`, job by job; `across` names what may differ between them.

    Raises:
        RequestError: an unknown name, no common job, or rows that differ in what `across` does
            not name.
    """
    for name in across:
        if name not in ACROSS:
            raise RequestError(f"--across: {unknown('condition', name, ACROSS)}")
    identity = [name for name in FIELDS if name not in ("seed", "repeat", *across)]
    before, after = (_filled(results) for results in (a, b))
    ours, theirs = (dict(list(frames.done(rows).groupby(identity))) for rows in (before, after))
    failed = dict(list(after[after["status"].ne("ok")].groupby(identity)))
    common = [key for key in ours if key in theirs]
    if not common:
        raise RequestError(
            "the two have no finished job in common; jobs are matched on "
            f"{words.listed(identity)}: name with --across what is to differ"
        )
    pairs: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {}
    for key in common:
        one, other = ours[key], theirs[key]
        name = _name(one, across)
        # Settings of one protocol may have changed between two runs in one folder.
        pairs[name if name not in pairs else f"{name} [{one.iloc[0]['key']}]"] = (one, other)
    _refuse_unlike(pairs, across)
    notes = [
        f"only in {side}: {words.counted(len(missing), 'job')}, left out ({words.listed(missing)})"
        for side, own, other in (("A", ours, theirs), ("B", theirs, ours))
        if (missing := [_name(own[key], across) for key in own if key not in other])
    ]
    notes += _doubts(pairs)
    if not {"engine", "device"} & set(across):  # each of which has kernels of its own
        notes += _other_kernels(pairs)
    changes = [change for metric in metrics for change in _changes(metric, pairs)]
    compared = {change.metric for change in changes}
    notes += [f"no {m} to compare on both sides" for m in metrics if m not in compared]
    lost = [
        f"{_name(ours[key], across)} did not end ok in B"
        f" ({failed[key].iloc[0]['status']}: {failed[key].iloc[0]['reason']})"
        for key in ours
        if key not in theirs and key in failed
    ]
    return Comparison(tuple(changes), tuple(notes), tuple(lost))


def _filled(results: Results) -> pd.DataFrame:
    """Fields a record is too old to have hold what was done then: their default.

    `unfit` says why `aebench check` rejects a row's time. That runs of one job spread is no reason
    here, since the interval has it in; nor that others ran elsewhere: like is set beside like.
    """
    doubts = fitness.rejected(results)
    unfit = [
        ", ".join(d for d in doubts.get(key, ()) if d not in ("spread", "mixed"))
        for key in results.jobs["key"]
    ]
    jobs = results.jobs.assign(unfit=unfit)
    defaults = {f.name: f.default for f in dataclasses.fields(Job) if jobs[f.name].isna().any()}
    known = {n: value for n, value in defaults.items() if value is not dataclasses.MISSING}
    return jobs.fillna(known) if known else jobs


def exceeded(comparison: Comparison, limits: Sequence[Limit]) -> list[str]:
    """One sentence for every change that breaks a limit: larger than it, and surely no chance.

    An error without an interval counts by its figure alone, because errors repeat exactly. A
    job that no longer ends ok breaks any limit.

    Raises:
        RequestError: too few runs to say whether a time has grown, or none at all.
    """
    broken = list(comparison.lost) if limits else []
    for limit in limits:
        changes = [c for c in comparison.changes if c.metric == limit.metric]
        if not changes:
            raise RequestError(
                f"--fail-if {limit.text!r} cannot be decided: no job has a {limit.metric} to"
                " compare on both sides"
            )
        for change in changes:
            if change.verdict == "too few runs" and limit.metric in TIMES:
                raise RequestError(
                    f"--fail-if {limit.text!r} cannot be decided: {change.job} has"
                    f" {words.counted(change.n, 'process', 'processes')} on one side and it takes"
                    f" {LEAST}; run both with --repeats 6"
                )
            if change.ratio > limit.factor and change.verdict in _GROWN:
                grown = f"{100 * (change.ratio - 1):.3g} %"
                broken.append(f"{change.metric} of {change.job} grew by {grown}: {limit.text}")
    return broken


def _name(rows: pd.DataFrame, across: Collection[str]) -> str:
    return words.job(rows.iloc[0], without={"seed", "repeat", *across})


def _refuse_unlike(pairs: Pairs, across: Collection[str]) -> None:
    """Refuse to compare what differs in more than was declared.

    Raises:
        RequestError: it does; the message names each difference once, with its option.
    """
    # torch says the precision of CPU and GPU in the same words; across both it is a field. And a
    # machine's id covers its GPU, so across devices only its other parts can agree.
    machine = _HOST if "device" in across else _MACHINE
    alike = {"precision_read": "precision", "threads": "threads", "torch": "torch"}
    alike |= dict.fromkeys(machine, "machine")
    declared = {name: name for name in across if name != "machine"}
    declared |= dict.fromkeys(_MACHINE, "machine") if "machine" in across else {}
    reasons: list[str] = []
    for name, sides in pairs.items():
        pixels = [set(rows["data_sha256"].dropna()) - {""} for rows in sides]
        if all(pixels) and len(pixels[0] | pixels[1]) > 1:
            reasons.append(
                f"{name} was given other pixels (data_sha256): errors cannot be compared"
            )
        for column, option in alike.items():
            a, b = (_values(rows, column) for rows in sides)
            if option not in across and (a != b or len(a) > 1):
                reasons.append(
                    f"{column} is {words.listed(a)} in A and {words.listed(b)} in B;"
                    f" if that is what you compare, say --across {option}"
                )
        for column, option in declared.items():
            for side, rows in zip("AB", sides, strict=True):
                values = _values(rows, column)
                if len(values) > 1:
                    reasons.append(
                        f"{side} itself holds {name} with {column} {words.listed(values)};"
                        f" across {option}, each side must have one"
                    )
    if reasons:
        each = (f"  {reason}" for reason in dict.fromkeys(reasons))
        raise RequestError("\n".join(["not comparable:", *each]))


def _values(rows: pd.DataFrame, column: str) -> list[str]:
    return sorted({str(value) for value in rows[column]})


def _doubts(pairs: Pairs) -> Iterator[str]:
    sides = [pd.concat(rows) for rows in zip(*pairs.values(), strict=True)]
    for number, (side, rows) in enumerate(zip("AB", sides, strict=True)):
        shared = len(rows) - len(frames.timed(rows))
        if shared:
            yield f"{words.counted(shared, 'run')} of {side} shared the machine: no times of it"
        of_jobs = [frames.timed(job[number]) for job in pairs.values()]
        if together := sum(len(alone) - processes.count(alone) for alone in of_jobs):
            yield (
                f"{words.counted(together, 'run')} of {side} shared a process with another of the"
                " same job, and count as one with it"
            )
        unfit = frames.timed(rows).query("unfit != ''")
        if len(unfit):
            why = words.listed(frames.reasons(unfit["unfit"]).split(", "))
            yield (
                f"aebench check rejects {words.counted(len(unfit), 'time')} of {side} ({why}): a"
                " difference may be the machine's"
            )
    probes = [
        _positive(rows[["noise_before_s", "noise_after_s"]].melt()["value"]) for rows in sides
    ]
    alike = sides[0].iloc[0][frames.ALIKE].equals(sides[1].iloc[0][frames.ALIKE])
    if alike and len(probes[0]) and len(probes[1]):
        shift = float(probes[1].median()) / float(probes[0].median()) - 1
        if abs(shift) > frames.NOISE_LIMIT[str(sides[0].iloc[0]["device"])]:
            pace = "slower" if shift > 0 else "faster"
            yield (
                f"the machine itself was {100 * abs(shift):.0f} % {pace} in B: a fixed piece of"
                " work took so much more or less time, so changes of that size may be the machine's"
            )


def _other_kernels(pairs: Pairs) -> Iterator[str]:
    """Where the layers were computed otherwise in B than in A, which jobs that concerns.

    No reason to refuse: what a change of aebench's kernels gains is seen in no other way.
    """
    jobs: dict[tuple[str, str], list[str]] = {}
    for name, sides in pairs.items():
        a, b = (words.listed(sorted(set(rows["kernels"].fillna("not recorded")))) for rows in sides)
        if a != b or any(rows["kernels"].nunique(dropna=False) > 1 for rows in sides):
            jobs.setdefault((a, b), []).append(name)
    for (a, b), names in jobs.items():
        yield (
            f"kernels of {words.listed(names)}: {a} in A, {b} in B; a change of time is theirs too,"
            " not of the model or the machine alone"
        )


def _changes(metric: str, pairs: Pairs) -> Iterator[Change]:
    means: dict[str, tuple[float | None, float | None]] = {}
    estimates: dict[str, Estimate] = {}
    for name, sides in pairs.items():
        if metric in TIMES:
            a, b = (_positive(processes.per_process(frames.timed(r), metric)) for r in sides)
        else:
            a, b = (_positive(frames.per_seed(rows, metric)) for rows in sides)
            seeds = a.index.intersection(b.index)
            a, b = a[seeds], b[seeds]
        if len(a) and len(b):
            means[name] = frames.mean(a), frames.mean(b)
            estimates[name] = (
                unpaired(b.to_list(), a.to_list()) if metric in TIMES else paired((b / a).to_list())
            )
    if len(estimates) > 1:
        estimates[OVERALL] = pooled(list(estimates.values()))
        means[OVERALL] = None, None
    for name, estimate in estimates.items():
        ratio = estimate.interval(1 - ALPHA / len(estimates))
        verdict = _verdict(metric, estimate, ratio)
        a_mean, b_mean = means[name]
        yield Change(
            metric, name, a_mean, b_mean, ratio.centre, ratio.low, ratio.high, ratio.n, verdict
        )


def _verdict(metric: str, estimate: Estimate, ratio: Interval) -> Verdict:
    low, high = ratio.low, ratio.high
    if low is None or high is None:
        # Without an interval only equal figures can be told apart from different ones.
        return "same" if estimate.log == 0 and estimate.error == 0 else "too few runs"
    if low > 1 - SAME and high < 1 + SAME:
        return "same"
    if low > 1:
        return "slower" if metric in TIMES else "worse"
    if high < 1:
        return "faster" if metric in TIMES else "better"
    return "no difference found"


def _positive(column: Any) -> pd.Series[float]:
    figures: pd.Series[float] = column.astype("float64")
    return figures[(figures > 0) & (figures < math.inf)]
