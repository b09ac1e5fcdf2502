"""What a rule reads and what it answers: evidence, claims about ratios, and judgements.

Five answers are told apart. Fewer than `LEAST` runs have no interval and decide nothing: where
they lie on the claim's side the finding is `consistent`, where they do not it is `undecided`,
since the study's own figure is one draw too and a single other draw refutes it no more than it
confirms it. Only from `LEAST` seeds on can a finding be `replicated` or `not replicated`. Without
any run of what the claim is about, it is `not tested`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from aebench.analysis import fitness, frames
from aebench.analysis.statistics import LEAST, Interval, interval, p_above, p_below
from aebench.store import Results

Verdict = Literal["replicated", "consistent", "not replicated", "undecided", "not tested"]


@dataclass(frozen=True)
class Evidence:
    """The rows that count: errors under the study's protocol, comparable times, curves, probes.

    Times that `aebench check` rejects are no evidence, and stand in `rejected`. Each probe carries
    its job's dataset, architecture, latent, depth, seed and own test error, `mse_job`.
    """

    jobs: pd.DataFrame
    times: pd.DataFrame
    epochs: pd.DataFrame
    probes: pd.DataFrame
    rejected: pd.DataFrame

    @classmethod
    def of(cls, results: Results) -> Evidence:
        """Choose the rows of `results` that may speak about the study."""
        jobs = frames.counting(results.jobs)
        rejected = fitness.rejected(fitness.check(results))
        return cls(
            jobs=jobs,
            times=frames.timed(jobs[~jobs["key"].isin(rejected)]),
            rejected=frames.timed(jobs[jobs["key"].isin(rejected)]),
            epochs=results.epochs[results.epochs["key"].isin(jobs["key"])],
            probes=frames.probed(jobs, results.probes),
        )


@dataclass(frozen=True)
class Judgement:
    """What a rule made of the evidence.

    `verdict` is None where it depends on `p_for` and `p_against`, the p-values of the tests that
    support and contradict the claim: those are corrected over all findings together. `n_seeds`
    are seeds, or for times pairs of runs.
    """

    ours: float | None
    low: float | None
    high: float | None
    n_jobs: int
    n_seeds: int
    note: str
    verdict: Verdict | None
    p_for: float = 1.0
    p_against: float = 1.0


Rule = Callable[[Evidence], Judgement]


@dataclass(frozen=True)
class Claim:
    """A ratio that must lie above, or below, `bound`: one value for each seed."""

    ratios: Sequence[float]
    bound: float
    side: Literal["above", "below"]

    @property
    def p_for(self) -> float:
        """p-value of the test that supports it."""
        return (p_above if self.side == "above" else p_below)(self.ratios, self.bound)

    @property
    def p_against(self) -> float:
        """p-value of the test that contradicts it."""
        return (p_below if self.side == "above" else p_above)(self.ratios, self.bound)

    @property
    def margin(self) -> float:
        """How clearly it holds: the ratio to its bound, above 1 where it does."""
        relative = interval(self.ratios).centre / self.bound
        return relative if self.side == "above" else 1 / relative


def together(claims: Sequence[Claim], n_jobs: int, note: str) -> Judgement:
    """All `claims` must hold; shown is the one that holds least clearly.

    So the worst p-value supports them. Any one may fail, so against them speaks the best,
    multiplied by their number.
    """
    seeds = min(len(claim.ratios) for claim in claims)
    if not seeds:
        return nothing(f"{note}; no seed has all the figures that it takes", n_jobs)
    shown = interval(min(claims, key=lambda claim: claim.margin).ratios)
    if seeds < LEAST:
        return too_few(shown.centre, n_jobs, seeds, note, all(claim.margin > 1 for claim in claims))
    return tested(
        shown,
        (n_jobs, seeds),
        note,
        p_for=max(claim.p_for for claim in claims),
        p_against=min(1.0, len(claims) * min(claim.p_against for claim in claims)),
    )


def ratios(above: pd.Series[float], below: pd.Series[float]) -> list[float]:
    """Those of `above` over those of `below` with the same index, where both are positive."""
    found = above.astype("float64") / below.astype("float64")
    return [float(ratio) for ratio in found if 0 < ratio < math.inf]


def number_of_seeds(n: int, noun: str = "seed") -> str:
    """One seed, 2 seeds."""
    return f"one {noun}" if n == 1 else f"{n} {noun}s"


def too_few(
    ours: float, n_jobs: int, seeds: int, note: str, holds: bool, noun: str = "seed"
) -> Judgement:
    """Fewer than `LEAST` seeds, or pairs of runs: at most consistent, and never refuted."""
    note = f"{note}; {number_of_seeds(seeds, noun)}, the paired test needs {LEAST}"
    verdict: Verdict = "consistent" if holds else "undecided"
    return Judgement(ours, None, None, n_jobs, seeds, note, verdict)


def nothing(note: str, n_jobs: int = 0) -> Judgement:
    """No figure; `note` says what is lacking. Not tested, or undecided where `n_jobs` are there."""
    verdict: Verdict = "undecided" if n_jobs else "not tested"
    return Judgement(None, None, None, n_jobs, 0, note, verdict)


def tested(
    shown: Interval, size: tuple[int, int], note: str, *, p_for: float, p_against: float
) -> Judgement:
    """A judgement that waits for the correction over all findings."""
    return Judgement(
        shown.centre, shown.low, shown.high, *size, note, None, p_for=p_for, p_against=p_against
    )
