"""The error figures that the study prints beside our runs of the same models, as ratios.

What they come to is judged in `figures`; this only sets each run over the printed figure, so that
all of them can stand on one axis.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aebench.analysis.frames import Model
from aebench.analysis.outcomes import Outcome


@dataclass(frozen=True)
class Replication:
    """A model of the study: the error printed of it, and each of our runs over that.

    `centre` is the geometric mean of `ratios`, one for each seed.
    """

    model: Model
    outcome: Outcome
    printed: float
    ratios: tuple[float, ...]
    centre: float


def replications(outcomes: Iterable[Outcome]) -> list[Replication]:
    """Every figure that the study prints of a model that was run, in the study's order."""
    made = []
    for outcome in outcomes:
        model = outcome.finding.model
        if model is None or outcome.ours is None or not outcome.values:
            continue
        printed = float(outcome.finding.source)
        ratios = tuple(value / printed for value in outcome.values)
        made.append(Replication(model, outcome, printed, ratios, outcome.ours / printed))
    return made


def not_run(outcomes: Sequence[Outcome]) -> list[Model]:
    """The models of which the study prints a figure and none of our runs gives one."""
    models = [o.finding.model for o in outcomes if o.finding.model is not None]
    seen = [replication.model for replication in replications(outcomes)]
    return [model for model in models if model not in seen]
