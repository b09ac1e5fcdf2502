"""Spaces: what a search may try, the points in them, and the jobs of a point.

What is sampled, and what comes of it, is for `sampling` and `halving`; files are for `reading`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aebench import architectures
from aebench.errors import RequestError
from aebench.grid import make_job, why_impossible
from aebench.job import FRACTIONS, LEAST, MOST, Job
from aebench.protocols import SETTINGS, STUDY

OPTION = "options."
FIELDS = tuple(name for name in SETTINGS if name != "epochs")
"""What of the training settings a point of a space holds; epochs are the rungs' matter."""
_MOST_MODELS = 2_000  # combinations whose size is asked before anything runs


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`; on a log scale where these are at least ten times apart."""

    low: float
    high: float
    whole: bool = False

    @property
    def log(self) -> bool:
        """Whether the scale is logarithmic."""
        return self.low > 0 and self.high / self.low >= 10

    def __contains__(self, value: object) -> bool:
        """Whether a number lies in the range."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high  # type: ignore[operator]

    def share(self, value: float) -> float:
        """How far `value` lies from `low` towards `high`, as a share of the way."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Choices:
    """One of several values."""

    values: tuple[Any, ...]

    def __contains__(self, value: object) -> bool:
        """Whether it is one of the values."""
        return value in self.values


Dimension = Range | Choices
Dimensions = Mapping[str, Dimension]


@dataclass(frozen=True)
class Point:
    """One candidate, whatever its epochs: `fields` of the training settings, and a model."""

    fields: tuple[tuple[str, Any], ...]
    depth: int
    options: str


@dataclass(frozen=True)
class Search:
    """One search: for each of `latent` a model, and for all of them one winner.

    `epochs` are the rungs: of the candidates on one, one in `keep` goes on to the next. `dims` are
    the dimensions of the space, by the name of a field, of an option (``options.hidden``), or
    `model`; a field that is no dimension has the study's value, an option its default.
    """

    dataset: str
    architecture: str
    latent: tuple[int, ...]
    epochs: tuple[int, ...]
    keep: int
    candidates: int
    dims: Dimensions = field(hash=False)
    seed: int = 0

    @property
    def name(self) -> str:
        """For people: ``mnist mlp-16,32``."""
        return f"{self.dataset} {self.architecture}-{','.join(map(str, self.latent))}"

    def point(self, values: Mapping[str, Any]) -> Point:
        """The point at `values`, by dimension.

        Raises:
            RequestError: the options cannot go together.
        """
        given = dict(values)
        given |= given.pop("model", {})
        options = {n.removeprefix(OPTION): v for n, v in given.items() if n.startswith(OPTION)}
        return Point(
            tuple((name, given.get(name, getattr(STUDY, name))) for name in FIELDS),
            given.get("depth", Job.depth),
            architectures.canonical(self.architecture, options),
        )

    def values(self, point: Point, dims: Dimensions) -> dict[str, Any] | None:
        """Where in `dims` a point lies, by dimension; None where it is not one of theirs."""
        family = architectures.get(self.architecture)
        try:
            given = family.values(point.options)
        except RequestError:  # a model of another version of the code
            return None
        actual = dict(point.fields) | {"depth": point.depth}
        usual = {name: getattr(STUDY, name) for name in FIELDS} | {"depth": Job.depth}
        for name, option in family.options.items():
            usual[OPTION + name] = option.default
            actual[OPTION + name] = given.get(name, option.default)
        models = dims.get("model", Choices(({},)))
        for model in models.values if isinstance(models, Choices) else ():
            expected = usual | model
            free = {name: actual[name] for name in dims if name != "model"}
            if all(value in dims[name] for name, value in free.items()) and all(
                actual[name] == value for name, value in expected.items() if name not in free
            ):
                return free | ({"model": model} if "model" in dims else {})
        return None

    def job(self, point: Point, latent: int, epochs: int, how: Mapping[str, Any]) -> Job:
        """The job of a point; `how` holds engine, precision and device.

        Raises:
            RequestError: there can be none.
        """
        where = {"dataset": self.dataset, "architecture": self.architecture, "latent": latent}
        model = {"depth": point.depth, "options": point.options, "seed": self.seed}
        return make_job({**where, **model, **dict(point.fields), "epochs": epochs, **how}, {})

    def impossible(self, dims: Dimensions, how: Mapping[str, Any]) -> str:
        """Why a model within `dims` cannot be trained, for the first that cannot; else empty."""
        of_model = {n: d for n, d in dims.items() if n in ("model", "depth") or OPTION in n}
        extremes = [ends(dim) for dim in of_model.values()]
        for combination in itertools.islice(itertools.product(*extremes), _MOST_MODELS):
            values = dict(zip(of_model, combination, strict=True))
            for latent in self.latent:
                named = f"latent {latent}"
                try:
                    point = self.point(values)
                    named += f", depth {point.depth}"
                    named += f" ({point.options})" if point.options else ""
                    why = why_impossible(self.job(point, latent, self.epochs[0], how))
                except RequestError as error:
                    why = str(error)
                if why:
                    return f"{named}: {why}"
        return ""


def ends(dim: Dimension) -> tuple[Any, ...]:
    """The values of a list, or both ends of a range."""
    return dim.values if isinstance(dim, Choices) else (dim.low, dim.high)


def points(dims: Dimensions) -> float:
    """How many points there are within `dims`."""
    counts = (
        len(d.values) if isinstance(d, Choices) else d.high - d.low + 1 if d.whole else math.inf
        for d in dims.values()
    )
    return math.prod(counts)


def bounds(name: str) -> tuple[float, float]:
    """The least and the largest value that a field or option may have, if any."""
    if name in FRACTIONS:
        return 0.0, FRACTIONS[name][1]
    return float(LEAST.get(name, -math.inf)), float(MOST.get(name, math.inf))
