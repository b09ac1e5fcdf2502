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
from functools import wraps
from typing import Concatenate, Literal, ParamSpec

import pandas as pd

from aebench.analysis import fitness, frames, words
from aebench.analysis.statistics import LEAST, interval, p_above, p_below
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
        unfit = jobs["key"].isin(fitness.rejected(fitness.check(results)))
        return cls(
            jobs=jobs,
            times=frames.timed(jobs[~unfit]),
            rejected=frames.timed(jobs[unfit]),
            epochs=results.epochs[results.epochs["key"].isin(jobs["key"])],
            probes=frames.probed(jobs, results.probes),
        )


@dataclass(frozen=True)
class Judgement:
    """What a rule made of the evidence; by default, that nothing was tested.

    `verdict` is None where it depends on `p_for` and `p_against`, the p-values of the tests that
    support and contradict the claim: those are corrected over all findings together. `n_seeds`
    are seeds, or for times pairs of runs.
    """

    note: str
    n_jobs: int = 0
    n_seeds: int = 0
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: Verdict | None = None
    p_for: float = 1.0
    p_against: float = 1.0


Rule = Callable[[Evidence], Judgement]
_Options = ParamSpec("_Options")


def rule(judge: Callable[Concatenate[Evidence, _Options], Judgement]) -> Callable[_Options, Rule]:
    """Turn a function of evidence and of what it is applied to into a maker of rules."""

    @wraps(judge)
    def make(*args: _Options.args, **options: _Options.kwargs) -> Rule:
        return lambda evidence: judge(evidence, *args, **options)

    return make


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


def together(claims: Sequence[Claim], n_jobs: int, note: str, noun: str = "seed") -> Judgement:
    """All `claims` must hold; shown is the one that holds least clearly.

    So the worst p-value supports them. Any one may fail, so against them speaks the best,
    multiplied by their number. Fewer than `LEAST` seeds, or pairs of runs, are at most consistent
    and never refute.
    """
    n = min(len(claim.ratios) for claim in claims)
    if not n:
        return nothing(f"{note}; no seed has all the figures that it takes", n_jobs)
    shown = interval(min(claims, key=lambda claim: claim.margin).ratios)
    if n < LEAST:
        note = f"{note}; {words.seeds(n, noun)}, the paired test needs {LEAST}"
        holds = all(claim.margin > 1 for claim in claims)
        verdict: Verdict = "consistent" if holds else "undecided"
        return Judgement(note, n_jobs, n, shown.centre, verdict=verdict)
    return Judgement(
        *(note, n_jobs, n, shown.centre, shown.low, shown.high),
        p_for=max(claim.p_for for claim in claims),
        p_against=min(1.0, len(claims) * min(claim.p_against for claim in claims)),
    )


def ratios(above: pd.Series[float], below: pd.Series[float]) -> list[float]:
    """Those of `above` over those of `below` with the same index, where both are positive."""
    values = above.astype("float64") / below.astype("float64")
    return [float(ratio) for ratio in values if 0 < ratio < math.inf]


def nothing(note: str, n_jobs: int = 0) -> Judgement:
    """No figure; `note` says what is lacking. Not tested, or undecided where `n_jobs` are there."""
    return Judgement(note, n_jobs, verdict="undecided" if n_jobs else "not tested")
