"""What a rule reads and what it answers: evidence, claims about ratios, and judgements.

Five answers are told apart. Fewer than `LEAST` runs have no interval and decide nothing: where
they lie on the claim's side the finding is `consistent`, where they do not it is `undecided`,
since the study's own figure is one draw too and a single other draw refutes it no more than it
confirms it. Only from `LEAST` seeds on can a finding be `replicated` or `not replicated`. Without
any run of what the claim is about, it is `not tested`. The three that do not decide say what would.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Concatenate, Literal, ParamSpec

import pandas as pd

from aebench.analysis import fitness, frames, words
from aebench.analysis.statistics import ALPHA, LEAST, Estimate, interval, paired
from aebench.language import numeral, plural, say
from aebench.store import Results

Verdict = Literal["replicated", "consistent", "not replicated", "undecided", "not tested"]


@dataclass(frozen=True)
class Evidence:
    """The rows that count: errors under the study's protocol, comparable times, curves, probes.

    Times may be of fewer epochs than the study's, for one takes as long as the next. Those that
    `aebench check` rejects are no evidence, and stand in `rejected`. Each probe carries
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
        marked = results.jobs if "doubt" in results.jobs else fitness.marked(results).jobs
        timed = frames.timed(frames.counting(results.jobs, whatever="epochs"))
        unfit = timed["key"].isin(marked.loc[marked["doubt"].ne(""), "key"])
        return cls(
            jobs=jobs,
            times=timed[~unfit],
            rejected=timed[unfit],
            epochs=results.epochs[results.epochs["key"].isin(jobs["key"])],
            probes=frames.probed(jobs, results.probes),
        )


@dataclass(frozen=True)
class Need:
    """What a finding takes: runs `of` so many models, of each of which so many are there.

    `how` says on what these have to be run, where that matters; `noun` what is counted.
    """

    of: Mapping[str, int]
    noun: str = "seed"
    how: str = ""

    def __call__(self, n: int, *, about: bool = False) -> str:
        """In words what is lacking for `n` of each; `about` where that is an estimate."""
        lacking: dict[tuple[int, bool], list[str]] = {}
        for name, there in self.of.items():
            if there < n:
                lacking.setdefault((n - there, there > 0), []).append(name)
        parts = [
            say(
                "{runs} of {models}",
                runs=_some(self.noun, count, more=more),
                models=words.listed(names),
            )
            for (count, more), names in lacking.items()
        ]
        parts = [say("about {runs}", runs=part) for part in parts] if about else parts
        return words.listed(parts) + (self.how if parts else "")


MOST = 1_000  # seeds: what would take more is not counted out


def projected(n: int) -> Iterator[int]:
    """Numbers of seeds above `n` at which it is asked whether so many would decide."""
    after = max(n + 1, LEAST)
    while after <= MOST:
        yield after
        after += max(1, after // 20)


@dataclass(frozen=True)
class Claim:
    """A ratio that must lie above, or below, `bound`: one value for each seed."""

    ratios: Sequence[float]
    bound: float
    side: Literal["above", "below"]

    def p(self, n: int = 0) -> tuple[float, float]:
        """p-values of the tests that support and contradict it; with `n` seeds like these."""
        found = paired(self.ratios)
        found = found.of(n) if n else found
        above, below = found.p_above(self.bound), _inverse(found).p_above(1 / self.bound)
        return (above, below) if self.side == "above" else (below, above)

    @property
    def margin(self) -> float:
        """How clearly it holds: the ratio to its bound, above 1 where it does."""
        relative = interval(self.ratios).centre / self.bound
        return relative if self.side == "above" else 1 / relative


def _inverse(ratio: Estimate) -> Estimate:
    return replace(ratio, log=-ratio.log)


@dataclass(frozen=True)
class Judgement:
    """What a rule made of the evidence; by default, that nothing was tested.

    `verdict` is None where it depends on the p-values of `claims`: those are corrected over all
    findings together. `n_seeds` are seeds, or for times pairs of runs. `as_what` qualifies the
    verdict, `needs` says what would decide where it does not, `values` are the figures behind
    `ours`, one for each seed.
    """

    note: str
    n_jobs: int = 0
    n_seeds: int = 0
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    verdict: Verdict | None = None
    as_what: str = ""
    needs: str = ""
    values: Sequence[float] = ()
    claims: Sequence[Claim] = ()
    need: Need | None = None

    @property
    def p_for(self) -> float:
        """p-value of the tests that support all claims: the worst of them."""
        return self._p(0)[0]

    @property
    def p_against(self) -> float:
        """p-value of the tests that contradict any claim: the best, multiplied by their number."""
        return self._p(0)[1]

    def _p(self, n: int) -> tuple[float, float]:
        support, contradict = zip(*(claim.p(n) for claim in self.claims), strict=True)
        return max(support), min(1.0, len(self.claims) * min(contradict))

    def decided_by(self, n_tests: int) -> str:
        """What would decide, if further runs lie as these do, among so many tests."""
        if self.need is None:
            return ""
        enough = (n for n in projected(self.n_seeds) if n_tests * min(self._p(n)) <= ALPHA)
        return at_about(self.need, next(enough, None))


def at_about(need: Need, n: int | None) -> str:
    """What is lacking for about `n` runs of each model, or that it is more than can be told."""
    if n is None:
        return say("more than {runs}", runs=_some(need.noun, MOST))
    return need(n, about=True)


@dataclass(frozen=True)
class Rule:
    """A rule, applied to what it is about: `models`, with a `device` where times decide."""

    judge: Callable[[Evidence], Judgement]
    models: tuple[frames.Model, ...] = ()
    device: str = ""

    def __call__(self, evidence: Evidence) -> Judgement:
        """Judge the evidence."""
        return self.judge(evidence)


_Options = ParamSpec("_Options")


def rule(judge: Callable[Concatenate[Evidence, _Options], Judgement]) -> Callable[_Options, Rule]:
    """Turn a function of evidence and of what it is applied to into a maker of rules."""

    @wraps(judge)
    def make(*args: _Options.args, **options: _Options.kwargs) -> Rule:
        of = [arg for arg in args if isinstance(arg, frames.Model)]
        if not of:  # else a sequence of models is of those beside it, which decide nothing
            of = [one for arg in args if isinstance(arg, Sequence) for one in arg]
        device = str(options.get("device", ""))
        return Rule(lambda evidence: judge(evidence, *args, **options), tuple(of), device)

    return make


def together(claims: Sequence[Claim], n_jobs: int, note: str, need: Need) -> Judgement:
    """All `claims` must hold; shown is the one that holds least clearly.

    So the worst p-value supports them. Any one may fail, so against them speaks the best,
    multiplied by their number. Fewer than `LEAST` seeds, or pairs of runs, are at most consistent
    and never refute.

    With more and more seeds every claim is decided, but for a mean exactly on a bound. Measured
    for such a mean with 3, 5 and 20 seeds, before Holm's correction: log-normal ratios support or
    contradict the claim in 5 % of samples; skewed ones in up to 18 % on the side away from their
    tail; ones of two outcomes in up to 21 % (3 seeds) and 6 % (5 and 20).
    """
    n = min(len(claim.ratios) for claim in claims)
    if not n:
        return nothing(
            say("{note}; no seed has all the figures that it takes", note=note), need, n_jobs
        )
    values = min(claims, key=lambda claim: claim.margin).ratios
    shown = interval(values)
    if n < LEAST:
        note = say(
            "{note}; {runs}, the paired test needs {least}",
            note=note,
            runs=words.seeds(n, need.noun),
            least=LEAST,
        )
        holds = all(claim.margin > 1 for claim in claims)
        return Judgement(
            *(note, n_jobs, n, shown.centre),
            verdict="consistent" if holds else "undecided",
            needs=need(LEAST) or _common(need, LEAST - n),
            values=values,
        )
    return Judgement(
        *(note, n_jobs, n, shown.centre, shown.low, shown.high),
        values=values,
        claims=claims,
        need=need,
    )


def ratios(above: pd.Series[float], below: pd.Series[float]) -> list[float]:
    """Those of `above` over those of `below` with the same index, where both are positive."""
    values = above.astype("float64") / below.astype("float64")
    return [float(ratio) for ratio in values if 0 < ratio < math.inf]


def nothing(note: str, need: Need, n_jobs: int = 0) -> Judgement:
    """No figure; `note` says what is lacking. Not tested, or undecided where `n_jobs` are there."""
    verdict: Verdict = "undecided" if n_jobs else "not tested"
    return Judgement(note, n_jobs, verdict=verdict, needs=need(LEAST) or _common(need, LEAST))


def _common(need: Need, n: int) -> str:
    runs = _some(need.noun, n, more=n < LEAST)
    return say("{runs} common to {models}", runs=runs, models=words.listed(need.of)) + need.how


def _some(noun: str, n: int, *, more: bool = False) -> str:
    """So many runs of what is counted, or so many more."""
    count = numeral(n, ",")
    if noun == "pair":
        if more:
            return plural(n, "{count} more pair", "{count} more pairs", count=count)
        return plural(n, "{count} pair", "{count} pairs", count=count)
    if more:
        return plural(n, "{count} more seed", "{count} more seeds", count=count)
    return plural(n, "{count} seed", "{count} seeds", count=count)
