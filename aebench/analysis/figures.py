"""The rule for a figure that the study prints: is it typical of our runs, may it be one of them?

The study's figure is one run of theirs. So a model may replicate it in two ways: by having that
error, or by giving it now and then, as a model with two outcomes does. Fixed before any record is
seen; what it is applied to is listed in `findings`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.evidence import (
    Evidence,
    Judgement,
    Need,
    Verdict,
    at_about,
    nothing,
    projected,
    rule,
)
from aebench.analysis.frames import Model
from aebench.analysis.statistics import (
    ALPHA,
    LEAST,
    MARGIN,
    Estimate,
    as_alone,
    interval,
    paired,
    predicts,
    wilson,
)
from aebench.language import numeral, say

NEAR = 1.1  # a run within this factor of the study's figure gives that figure
OFTEN = 0.10  # the share of runs from which on a model is said to give a figure
# Seeds from which the exact test can reject at all: the most alone of n + 1 has p = 1 / (n + 1).
EXACT = round(1 / ALPHA) - 1
# The t prediction interval trusts in logarithms that are normal, which those of a model with two
# outcomes are not: it has to be far surer.
PREDICTION = 0.99

FIGURE_RULE = (
    "Two questions. Is the figure typical: yes where the 90 % interval of our geometric mean over "
    "the study's figure (two one-sided t-tests on its logarithm) lies within 0.8 to 1.25, the "
    "customary margin of bioequivalence, and so do at least half of the runs; no where it lies "
    "wholly outside, or most runs do. Is it a plausible single draw: yes where more than one run "
    "in ten gives it, to a factor of 1.1, by the lower end of Wilson's 95 % interval; no where at "
    "most one in ten does and one of two tests tells it from our runs. One is exact, at 5 %: the "
    "figure's rank among all n + 1, counted from the one with the fewest others within a factor "
    f"of 1.1, over n + 1; it can reject from {EXACT} seeds on. The other is the 99 % prediction "
    f"interval for one more run (t, on the logarithm). From {EXACT} seeds on a figure between our "
    "runs is plausible, too, where more than one run in twenty is as alone (Wilson). Yes to either "
    "question is replicated, “as a single run” where not to the first; no to both is not "
    "replicated; else undecided. With one seed or two, a mean within the margin is consistent, one "
    "outside undecided."
)

BRIEF_RULE = (
    "Replicated where the figure is typical of our runs, with their mean within 0.8 to 1.25 of it, "
    "or a plausible single one of them; not replicated where it is neither."
)


@dataclass(frozen=True)
class Runs:
    """What our runs say to a figure, in numbers that may be those of more runs of the same kind.

    `ratio` is of our geometric mean to the figure; `inside`, `near` and `alone` are shares of the
    runs: within the margin, within `NEAR`, and with as few neighbours as the figure. `among` tells
    whether the figure is between our runs or near one.
    """

    ratio: Estimate
    inside: float
    near: float
    alone: float
    among: bool

    @classmethod
    def of(cls, values: Sequence[float], printed: float) -> Runs:
        """Set `values` beside the figure `printed`; raises as `statistics.paired` does."""
        relative, n = [value / printed for value in values], len(values)
        near, alone = as_alone(values, printed, NEAR)
        inside = sum(MARGIN[0] <= each <= MARGIN[1] for each in relative)
        among = near > 0 or min(values) < printed < max(values)
        return cls(paired(relative), inside / n, near / n, alone / n, among)

    @property
    def n(self) -> int:
        """How many runs."""
        return self.ratio.n

    @property
    def typical(self) -> bool | None:
        """Whether the model has this error; None where its runs do not tell.

        Measured: where the mean lies on the margin's edge, yes in 5 % of samples of 3, 5 or 20
        log-normal runs.
        """
        low, high = _ends(self.ratio)
        if low >= MARGIN[0] and high <= MARGIN[1]:
            return self.inside >= 0.5
        apart = high < MARGIN[0] or low > MARGIN[1]
        return False if apart else None

    @property
    def drawn(self) -> bool | None:
        """Whether a run of the model may give the figure; None where its runs do not tell."""
        if wilson(self.near * self.n, self.n)[0] > OFTEN:
            return True
        many_alone = wilson(self.alone * self.n, self.n)[0] > ALPHA
        if self.n >= EXACT and self.among and many_alone:
            return True
        return False if self.told and self.near <= OFTEN else None

    @property
    def told(self) -> bool:
        """Whether a test tells the figure from one more run of the model."""
        exact = (self.alone * self.n + 1) / (self.n + 1)
        return exact <= ALPHA or not predicts(self.ratio, 1.0, PREDICTION)

    @property
    def verdict(self) -> Verdict:
        """See `FIGURE_RULE`."""
        if self.n < LEAST:
            inside = MARGIN[0] <= math.exp(self.ratio.log) <= MARGIN[1]
            return "consistent" if inside else "undecided"
        typical, drawn = self.typical, self.drawn
        if typical or drawn:
            return "replicated"
        return "not replicated" if typical is False and drawn is False else "undecided"

    def needed(self) -> int | None:
        """The least number of runs at which runs like these decide; None where beyond counting."""
        for n in projected(self.n):
            # Further runs away from the figure are taken to have neighbours of their own.
            alone = self.alone if self.among else self.alone * self.n / n
            if replace(self, ratio=self.ratio.of(n), alone=alone).verdict != "undecided":
                return n
        return None


def _ends(ratio: Estimate) -> tuple[float, float]:
    # Two one-sided tests at 5 % are the same as a 90 % interval inside the margin.
    found = ratio.interval(1 - 2 * ALPHA)
    return (found.low or found.centre), (found.high or found.centre)


@rule
def printed_error(evidence: Evidence, model: Model, printed: float) -> Judgement:
    """The study error of `model` is the figure that the study prints: see `FIGURE_RULE`.

    With more and more seeds every figure is decided, but for one exactly on a bound. Measured with
    3, 5 and 20 seeds that are log-normal (spread 5, 20, 60 %), skewed (by an exponential), or of
    two outcomes like conv-1's (half near 3.5, half from 8 to 11):

    ==============================  =========  ======  ============
    not replicated, though a draw   3 seeds    5       20
    ==============================  =========  ======  ============
    log-normal, at most             1 %        1 %     3 %
    skewed                          3 %        3 %     4 %
    two outcomes                    10 %       3 %     1 %
    replicated, though a draw       2 to 97 %          90 to 100 %
    replicated, though no draw and
    the mean on the margin or off   5 %        5 %     5 %
    ==============================  =========  ======  ============
    """
    rows = model.rows(evidence.jobs)
    values = frames.per_seed(rows, "study_error").to_list()
    need = Need({model.name: len(values)})
    if not values:
        return nothing(
            say("no finished job of {name} under the study's protocol", name=model.name), need
        )
    shown, runs = interval(values), Runs.of(values, printed)
    few, verdict = runs.n < LEAST, runs.verdict
    notes = [say("{seeds}: no interval", seeds=words.seeds(runs.n))] if few else []
    if few and verdict == "undecided":
        notes.append(
            say("outside the margin, which takes {least} seeds to tell from chance", least=LEAST)
        )
    notes.append(
        say("{ratio} times the study's figure", ratio=words.number(shown.centre / printed))
    )
    notes += [] if few else [_single_run(values, printed, runs)]
    notes.append(_beside_baselines(rows))
    as_what = say("as a single run") if verdict == "replicated" and not runs.typical else ""
    open_, needs = verdict in ("consistent", "undecided"), ""
    if open_:
        needs = need(LEAST) if few else at_about(need, runs.needed())
    return Judgement(
        *(words.clauses(notes), len(rows), runs.n, shown.centre, shown.low, shown.high, verdict),
        *(as_what, needs, values),
    )


def _single_run(values: Sequence[float], printed: float, runs: Runs) -> str:
    """How a single run that gave `printed` lies in our distribution over seeds."""
    n, near, alone = runs.n, round(runs.near * runs.n), round(runs.alone * runs.n)
    low, high = wilson(near, n)
    rank = 1 + sum(value < printed for value in values)
    two_sided = min(1.0, 2 * min(rank, n + 2 - rank) / (n + 1))
    said = {True: say("yes"), False: say("no"), None: say("not told yet")}
    return say(
        "typical: {typical}; a plausible single draw: {drawn}; our runs go "
        "from {least} to {most}; the study's single run "
        "lies at {printed}, rank {rank} of {all} by size (two-sided p = "
        "{two_sided}) and {alone} of {all} by fewest neighbours (p = "
        "{p}), with {near} of {n} of ours within a factor of "
        "{factor} of it (Wilson: {low} to {high})",
        typical=said[runs.typical],
        drawn=said[runs.drawn],
        least=words.number(min(values)),
        most=words.number(max(values)),
        printed=words.number(printed),
        rank=rank,
        all=n + 1,
        two_sided=words.number(two_sided),
        alone=alone + 1,
        p=words.number((alone + 1) / (n + 1)),
        near=near,
        n=n,
        factor=numeral(NEAR),
        low=words.percent(low),
        high=words.percent(high),
    )


def _beside_baselines(rows: pd.DataFrame) -> str:
    """What exact baselines give at the same size: the study's figures have no such scale."""
    mse, mean, pca = (
        frames.mean(frames.per_seed(rows, name)) for name in ("mse", "mean_mse", "pca_mse")
    )
    code, image = (rows[name].astype("float64").median() for name in ("bottleneck", "input_size"))
    notes = [say("MSE {mse}", mse=words.number(mse))]
    if not words.missing(mean):
        better = say(", better than this model") if mean < mse else ""
        notes.append(
            say("the mean image alone has {mean}{better}", mean=words.number(mean), better=better)
        )
    if code >= image:
        notes.append(
            say(
                "{code} numbers in the code of a {image}-number image: nothing is compressed",
                code=words.count(code),
                image=words.count(image),
            )
        )
    elif not words.missing(pca):
        notes.append(say("PCA of the same size has {pca}", pca=words.number(pca)))
    return ", ".join(notes)
