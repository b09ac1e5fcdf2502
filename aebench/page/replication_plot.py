"""The replication plot: each figure of the study as a line, our seeds beside it, the verdict.

Drawn as replication projects draw it (a forest plot): ratios on a log axis, with the margin shaded
within which two figures count as the same. The ratios come from `analysis.replication`.
"""

from __future__ import annotations

from collections.abc import Sequence

from aebench.analysis import words
from aebench.analysis.frames import Model
from aebench.analysis.outcomes import Outcome
from aebench.analysis.replication import Replication, not_run, replications
from aebench.analysis.statistics import LEAST, MARGIN
from aebench.language import later, numeral, say
from aebench.page import cards, dots
from aebench.page.parts import Cell

# The same in every report, so that two can be held side by side; what lies outside is an arrow.
AXIS = dots.Axis(0.25, 4.0, (0.25, 0.5, 1.0, 2.0, 4.0), band=MARGIN, one=1.0)


_HEADS = later(("model", "study", "ours", "ours / study", "verdict"))


def plot(outcomes: Sequence[Outcome]) -> dots.DotTable | None:
    """One row for each figure that the study prints of a model; None where none of them was run."""
    found = replications(outcomes)
    if not found:
        return None
    low, high = MARGIN
    reading = say(
        "A dot is one of our seeds: its study error over the figure that the study prints, on a "
        "log scale. The line is the study; shaded is {low} to {high}, which counts as the "
        "same.",
        low=numeral(low, "g"),
        high=numeral(high, "g"),
    )
    lacking = not_run(outcomes)
    if lacking:
        reading += say(" Not run: {models}.", models=words.listed(map(_named, lacking)))
    return dots.DotTable(
        "replication",
        say("The study's error figures, and ours"),
        reading,
        tuple(map(say, _HEADS)),
        AXIS.drawn(),
        tuple(map(_row, found)),
    )


def _named(model: Model) -> str:
    """The model's name, and its data set where that is not the one that most figures are of."""
    more = (
        ""
        if model.dataset == "mnist"
        else say(" on {dataset}", dataset=words.dataset(model.dataset))
    )
    return model.label + more


def _row(found: Replication) -> dots.Row:
    outcome, model = found.outcome, found.model
    look = outcome.verdict.replace(" ", "-")
    told = [] if model.dataset == "mnist" else [words.dataset(model.dataset)]
    told += [words.deeper(model.depth)] if model.depth > 1 else []
    few = words.seeds(outcome.n_seeds) if outcome.n_seeds < LEAST else ""
    return dots.Row(
        words.model(model.architecture, model.latent),
        (", ".join(told),),
        (Cell(outcome.study, found.printed), Cell(outcome.figure, outcome.ours)),
        dots.drawn(found.ratios, AXIS),
        dots.told(found.ratios),
        Cell(
            cards.named(outcome.verdict),
            look=f"verdict {look}",
            small=tuple(filter(None, [outcome.as_what or few])),
        ),
        look,
    )
