"""Small charts in a few elements of SVG: dots on an axis, and curves.

Places along an axis are percentages of the width, so that a chart fits a phone and its words keep
their size. Numbers in, text out; nothing is computed here but where things stand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from aebench.analysis import words
from aebench.analysis.exhibits import Curves, Dots, Line
from aebench.language import say

_EDGE = 5.0  # percent left free at both ends, for the words of a tick
_APART = 11.0  # percent that ticks are apart at least
_ENOUGH = 5  # ticks
_ROUND = (1, 2, 5, 3, 4, 7, 1.5, 2.5, 6, 8)  # first digits of ticks, the roundest first
_ROW, _NAME = 14, 18  # pixels: a line of dots, and the words above it


def dots(chart: Dots, axis: str) -> str:
    """Lines of dots on a logarithmic axis; the study's own figures are upright strokes."""
    place, low, high = _logarithmic(chart)
    top = 4
    drawn: list[str] = []
    for line in chart.lines:
        if line.label:
            told = words.headed(words.short(line.label, 60), words.number(line.mean))
            text = f'<text class="name" y="{top + 12}">{escape(told)}</text>'
            drawn.append(_naming(line.model, text))
            top += _NAME
        middle = top + _ROW / 2
        drawn.append(f'<line class="rail" x2="100%" y1="{middle:g}" y2="{middle:g}"/>')
        look = "dot" if line.trained else "dot bar"
        drawn += [
            f'<circle class="{look}" cx="{place(value)}" cy="{middle:g}" r="4.5"/>'
            for value in line.values
        ]
        if line.study:
            drawn.append(_upright("study", place(line.study), top, top + _ROW))
        top += _ROW + 4
    behind = []
    if chart.margin:
        left, right = (float(place(end)[:-1]) for end in chart.margin)
        behind.append(
            f'<rect class="margin" x="{left:g}%" width="{right - left:.2f}%" height="{top}"/>'
        )
    if chart.mark:
        kind = "study" if chart.margin and chart.mark == 1 else "mark"
        behind.append(_upright(kind, place(chart.mark), 0, top))
    first = [*([chart.mark] if chart.mark else []), *(chart.margin or ())]
    ticks = [
        f'<text class="tick" x="{place(value)}" y="{top + 14}">{words.tick(value)}</text>'
        for value in _ticks(first, low, high, place)
    ]
    label = words.headed(axis, words.clauses(_told(line) for line in chart.lines))
    return _svg(label, top + 18, [*behind, *drawn, *ticks])


def curves(chart: Curves) -> str:
    """Curves from 0 at the bottom to 1 at the top, over the epochs; training ones are dashed."""
    high = 150
    models = list(dict.fromkeys(curve.model for curve in chart.curves))
    last = max(len(curve.points) for curve in chart.curves)
    lines = [
        f'<polyline class="curve-{models.index(curve.model)} {escape(curve.phase)}" '
        f'vector-effect="non-scaling-stroke" points="{_points(curve.points, last)}"/>'
        for curve in chart.curves
    ]
    mark = high * (1 - chart.mark)
    level = f'y1="{mark:g}" y2="{mark:g}"'
    names = [
        _naming(
            model.identity,
            f'<text class="curve-{i} end" x="98%" y="{high - 12 - 20 * (len(models) - 1 - i)}">'
            f"{escape(words.short(model.label))}</text>",
        )
        for i, model in enumerate(models)
    ]
    first, end = (say("epoch {epoch}", epoch=n) for n in (1, last))
    drawn = [
        f'<line class="rail" x2="100%" y1="{high}" y2="{high}"/>',
        f'<line class="mark" x2="100%" {level}/>',
        f'<svg aria-hidden="true" height="{high}" viewBox="0 0 100 100" '
        f'preserveAspectRatio="none">{"".join(lines)}</svg>',
        *names,
        f'<text class="tick start" y="{high + 15}">{first}</text>',
        f'<text class="tick end" x="100%" y="{high + 15}">{end}</text>',
    ]
    label = words.headed(chart.axis, words.listed([model.label for model in models]))
    return _svg(label, high + 19, drawn)


def _naming(model: str, text: str) -> str:
    """A text that names a model, so that it opens it; `model` is its identity."""
    return f'<g data-model="{model}">{text}</g>' if model else text


def _svg(label: str, height: int, drawn: Iterable[str]) -> str:
    head = f'<svg class="spark" role="img" aria-label="{escape(label)}" height="{height}">'
    return head + "".join(drawn) + "</svg>"


def _upright(kind: str, at: str, top: float, end: float) -> str:
    return f'<line class="{kind}" x1="{at}" x2="{at}" y1="{top:g}" y2="{end:g}"/>'


def _told(line: Line) -> str:
    """A line of dots in words."""
    low, high = min(line.values), max(line.values)
    one = len(line.values) == 1
    found = (
        words.number(low)
        if one
        else say("{n} from {span}", n=len(line.values), span=words.between(low, high))
    )
    study = say(", the study's {figure}", figure=words.number(line.study)) if line.study else ""
    return f"{line.label} {found}{study}".strip()


class _Scale:
    """Where a value stands on a logarithmic axis, in percent."""

    def __init__(self, low: float, high: float) -> None:
        self._low, self._span = math.log(low), math.log(high) - math.log(low)

    def __call__(self, value: float) -> str:
        share = (math.log(value) - self._low) / self._span
        return f"{_EDGE + (100 - 2 * _EDGE) * share:.2f}%"


def _logarithmic(chart: Dots) -> tuple[_Scale, float, float]:
    """The axis on which all of it is seen, at least a factor of 1.5 long, and its ends."""
    seen = [value for line in chart.lines for value in (*line.values, line.study) if value]
    seen += [*(chart.margin or ()), *([chart.mark] if chart.mark else [])]
    low, high = min(seen), max(seen)
    wider = math.sqrt(max(1.0, 1.5 / (high / low)))
    low, high = low / wider, high * wider
    return _Scale(low, high), low, high


def _ticks(first: Sequence[float], low: float, high: float, place: _Scale) -> list[float]:
    """What matters, and round values between the ends until there are enough; none too near."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    kept: list[float] = []
    for values in (first, *([float(f"{digit}e{d}") for d in decades] for digit in _ROUND)):
        if len(kept) >= _ENOUGH:
            break
        for value in values:
            at = float(place(value)[:-1])
            near = any(abs(at - float(place(other)[:-1])) < _APART for other in kept)
            if low <= value <= high and not near:
                kept.append(value)
    return sorted(kept)


def _points(points: Sequence[float], last: int) -> str:
    step = 100 / max(last - 1, 1)
    return " ".join(f"{i * step:.1f},{100 - 100 * y:.1f}" for i, y in enumerate(points))
