"""What a finding can be looked at in: its seeds on an axis, learning curves, kinds of pictures.

Chosen for each finding in `findings`, beside its rule, and made of the rows that the rule reads.
How it is drawn is for the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from aebench.analysis import frames, picture_rules, words
from aebench.analysis.evidence import Evidence
from aebench.analysis.frames import Model
from aebench.analysis.statistics import MARGIN
from aebench.language import numeral, say
from aebench.schema import RECONSTRUCTION, STRANGERS, noisy_kind


@dataclass(frozen=True)
class Line:
    """One line of dots: a value for each seed or pair of runs, and the study's, if it has one.

    `trained` tells whether they are those of a model, and not of an answer that takes none;
    `model` is the `identity` of the model that the label names, if it names one.
    """

    label: str
    values: tuple[float, ...]
    study: float | None = None
    trained: bool = True
    model: str = ""

    @property
    def mean(self) -> float:
        """The one figure for them."""
        return frames.mean(self.values)


@dataclass(frozen=True)
class Dots:
    """Lines of dots on one logarithmic axis.

    `mark` is a value that they are held against and `mark_is` what it is; between the two ends of
    `margin` they count as equal to it. Without an `axis` it is that of the finding's measure.
    """

    lines: tuple[Line, ...]
    axis: str = ""
    mark: float | None = None
    mark_is: str = ""
    margin: tuple[float, float] | None = None


@dataclass(frozen=True)
class Curve:
    """What a loss of `model` does over the epochs, in a `phase`: training or validation."""

    model: Model
    phase: str
    points: tuple[float, ...]


@dataclass(frozen=True)
class Curves:
    """Curves with what they show from 0 to 1, and a `mark` on this axis."""

    curves: tuple[Curve, ...]
    axis: str
    mark: float


@dataclass(frozen=True)
class Pictures:
    """Samples of a kind that `models` left; `lost` asks for what their outputs lack as well.

    `images` is how many of them are enough to see it.
    """

    kind: str
    models: tuple[Model, ...]
    images: int = 8
    lost: bool = False


@dataclass(frozen=True)
class Exhibit:
    """All that a finding is looked at in."""

    dots: Dots | None = None
    curves: Curves | None = None
    pictures: Pictures | None = None


Shows = Callable[[Evidence, Sequence[float]], Exhibit]  # of evidence and the values behind `ours`


def values_alone(_: Evidence, values: Sequence[float]) -> Exhibit:
    """The values behind our figure, and nothing beside them."""
    return Exhibit(_dots([Line("", tuple(values))]))


def ratio(mark: float, mark_is: str) -> Shows:
    """The values behind our figure, beside `mark`."""

    def made(_: Evidence, values: Sequence[float]) -> Exhibit:
        return Exhibit(_dots([Line("", tuple(values))], mark=mark, mark_is=say(mark_is)))

    return made


def figure(model: Model, printed: float) -> Shows:
    """Our runs over the figure `printed`, and the pictures of which the study says so."""

    def made(_: Evidence, values: Sequence[float]) -> Exhibit:
        dots = _dots(
            [Line(model.label, tuple(v / printed for v in values), model=model.identity)],
            axis=say("study error, ours over the study's"),
            mark=1.0,
            mark_is=say("the study's figure, {printed}", printed=numeral(printed, "g")),
            margin=MARGIN,
        )
        return Exhibit(dots, pictures=Pictures(RECONSTRUCTION, (model,)))

    return made


def errors(printed: dict[Model, float | None], *, lost: bool = False) -> Shows:
    """The study error of every seed of each model, beside what the study prints, and pictures."""

    def made(evidence: Evidence, _: Sequence[float]) -> Exhibit:
        lines = [
            Line(
                _named(model, printed),
                _values(model.rows(evidence.jobs), "study_error"),
                study,
                model=model.identity,
            )
            for model, study in printed.items()
        ]
        return Exhibit(
            _dots(lines, axis=say("study error")),
            pictures=Pictures(RECONSTRUCTION, tuple(printed), lost=lost),
        )

    return made


def pace(one: Model, other: Model, share: float = 0.9) -> Shows:
    """The learning curves of both models, each scaled to its own fall, and the ratio judged."""

    def made(evidence: Evidence, values: Sequence[float]) -> Exhibit:
        curves = [
            Curve(model, phase, points)
            for model in (one, other)
            for phase, column in (("training", "train_mse"), ("validation", "val_mse"))
            if (points := _falls(evidence, model, column))
        ]
        axis = say("share of its fall that a loss has done")
        return Exhibit(
            _dots([Line("", tuple(values))], mark=1.0, mark_is=say("the same pace"), margin=MARGIN),
            Curves(tuple(curves), axis, share) if curves else None,
        )

    return made


def denoising(model: Model, amplitude: float, others: Sequence[Model] = ()) -> Shows:
    """The error of `model` on noisy images beside its bars and other models; their pictures."""

    def made(evidence: Evidence, _: Sequence[float]) -> Exhibit:
        seen = (model, *others)
        rows = {m: picture_rules.given_noise(evidence, m, amplitude) for m in seen}
        lines = [Line(m.label, _values(rows[m], "mse"), model=m.identity) for m in seen]
        bars = ((say("noisy images"), "input_mse"), (say("mean image"), "mean_mse"))
        lines += [_bar(name, rows[model], column) for name, column in bars]
        return Exhibit(
            _dots(lines, axis=say("MSE against the clean images")),
            pictures=Pictures(noisy_kind(amplitude), seen),
        )

    return made


def stranger(model: Model, photograph: str) -> Shows:
    """The error of `model` on a photograph, on its own test images and of a flat picture."""

    def made(evidence: Evidence, _: Sequence[float]) -> Exhibit:
        rows = picture_rules.given_stranger(evidence, model, photograph)
        lines = [
            Line(
                words.on(model.label, photograph),
                _values(rows, "mse"),
                model=model.identity,
            ),
            Line(
                say("{label} on its own test images", label=model.label), _values(rows, "mse_job")
            ),
            _bar(say("a flat picture of the photograph's mean grey"), rows, "flat_mse"),
        ]
        return Exhibit(_dots(lines, axis="MSE"), pictures=Pictures(STRANGERS, (model,), images=2))

    return made


def colours(model: Model) -> Shows:
    """What `model` leaves unexplained of shapes and of colours; photographs and what they lose."""

    def made(evidence: Evidence, _: Sequence[float]) -> Exhibit:
        rows = model.rows(evidence.jobs)
        lines = [
            Line(name, tuple(picture_rules.unexplained(rows, part).to_list()))
            for name, part in ((say("luma: shapes"), "luma"), (say("chroma: colours"), "chroma"))
        ]
        dots = _dots(
            lines,
            axis=say("unexplained share of the variance"),
            mark=picture_rules.HALF,
            mark_is=say("half"),
        )
        return Exhibit(dots, pictures=Pictures(RECONSTRUCTION, (model,), lost=True))

    return made


def _dots(
    lines: Sequence[Line],
    axis: str = "",
    mark: float | None = None,
    mark_is: str = "",
    margin: tuple[float, float] | None = None,
) -> Dots | None:
    """Those of `lines` that have a dot; None where none has."""
    full = tuple(line for line in lines if line.values)
    return Dots(full, axis, mark, mark_is, margin) if full else None


def _named(model: Model, among: dict[Model, float | None]) -> str:
    """A model's label, with its dataset where there are several."""
    several = len({each.dataset for each in among}) > 1
    return words.on(model.label, words.dataset(model.dataset)) if several else model.label


def _values(rows: pd.DataFrame, column: str) -> tuple[float, ...]:
    """One positive figure for each seed, in the order of seeds."""
    return tuple(v for v in frames.per_seed(rows, column).astype("float64").to_list() if v > 0)


def _bar(label: str, rows: pd.DataFrame, column: str) -> Line:
    """What an answer without a model has: the same for all seeds, or nearly so."""
    values = _values(rows, column)
    return Line(label, (frames.mean(values),) if values else (), trained=False)


def _falls(evidence: Evidence, model: Model, column: str) -> tuple[float, ...]:
    """The share of its fall that a curve has done after each epoch, on average over the seeds."""
    keys = model.rows(evidence.jobs)["key"]
    rows = evidence.epochs[evidence.epochs["key"].isin(keys)].sort_values("epoch")
    done = dict(_shares(rows, column))
    return tuple(pd.DataFrame(done).mean(axis="columns").to_list()) if done else ()


def _shares(rows: pd.DataFrame, column: str) -> Iterator[tuple[str, list[float]]]:
    by_key = {str(key): curve.to_list() for key, curve in rows.groupby("key")[column]}
    usual = max(map(len, by_key.values()), default=0)
    for key, losses in by_key.items():
        if len(losses) == usual > 1 and losses[-1] < losses[0]:
            yield key, [(losses[0] - loss) / (losses[0] - losses[-1]) for loss in losses]
