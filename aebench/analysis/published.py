"""What others have published: errors of autoencoders that ours may be set beside.

The figures lie in `published.toml`, as their sources print them; here they become MSE per pixel.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aebench.language import say

_NEAR = 1.1  # a code of 32 numbers is set beside one of 30, with both numbers told


@dataclass(frozen=True)
class Figure:
    """One published error: `printed` in its source, whose PCA is `pca` where it prints one.

    `measured` tells on which images, `note` how the figure was found; `checked` is False for one
    that is recalled and was not found again.
    """

    dataset: str
    bottleneck: int
    printed: float
    divisor: float
    converted: str
    label: str
    model: str
    measured: str
    citation: str
    year: int
    checked: bool
    note: str
    pca: float | None = None

    @property
    def mse(self) -> float:
        """Mean squared error per pixel, pixels in [0, 1]."""
        return self.printed / self.divisor

    @property
    def name(self) -> str:
        """Its source, and whether it was found there: Moor 2020, as recalled, not checked."""
        if self.checked:
            return self.label
        return say("{label}, as recalled, not checked", label=self.label)


@cache
def figures() -> tuple[Figure, ...]:
    """Every published figure."""
    text = Path(__file__).with_name("published.toml").read_text("utf-8")
    return tuple(
        Figure(**{name: value for name, value in source.items() if name != "figures"}, **figure)
        for source in tomllib.loads(text)["source"]
        for figure in source["figures"]
    )


def of(dataset: str) -> list[Figure]:
    """The figures of one data set, by rising bottleneck."""
    mine = [figure for figure in figures() if figure.dataset == dataset]
    return sorted(mine, key=lambda figure: figure.bottleneck)


def near(figure: Figure, bottlenecks: Iterable[float]) -> float | None:
    """Which of `bottlenecks` is the figure's own or nearest to it, within a tenth; None if none."""
    apart = {b: max(b / figure.bottleneck, figure.bottleneck / b) for b in bottlenecks}
    nearest = min(apart, key=lambda b: apart[b], default=None)
    return nearest if nearest is not None and apart[nearest] <= _NEAR else None
