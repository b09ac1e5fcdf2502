"""Names beside the points of a chart, where they cover neither a line nor another name.

A name without room is left out where the chart or the table beside it has it elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from aebench.analysis import words
from aebench.page.svg import Label, lay_out

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_STEP = 2.0  # points between the places at which a line is looked at
_CLEAR, _MARK = 1.5, 4.5  # points around a name that stay free of lines, and of marks
# Where a name may stand, from the best place on: points right and up, and its corner there.
_PLACES = [
    (dx * far, dy * far, ha, va)
    for far in (1.0, 1.8)
    for dx, dy, ha, va in (
        (8, 0, "left", "center"), (0, 8, "center", "bottom"), (0, -8, "center", "top"),
        (6, 6, "left", "bottom"), (6, -6, "left", "top"), (-8, 0, "right", "center"),
        (-6, 6, "right", "bottom"), (-6, -6, "right", "top"),
    )
]  # fmt: skip


def place(
    axes: Axes, labels: Sequence[Label], lines: Iterable[NDArray[np.float64]], *,
    size: float = 9, always: bool = False,
) -> None:  # fmt: skip
    """Write each label beside its point, the first of `labels` first; the limits are final.

    `lines` are the corners of all that is drawn, an array of (x, y) each; a mark alone is a line
    of one row. The points of `labels` have marks. `always` writes a name where there is no room,
    too, for a line that nothing else names.
    """
    figure: Any = axes.figure
    lay_out(figure)
    scale = 72 / figure.dpi

    def points(corners: Any) -> NDArray[np.float64]:
        shown: NDArray[np.float64] = np.asarray(axes.transData.transform(corners)) * scale
        return shown

    corners = [points(line) for line in lines]
    taken = np.concatenate([_along(line) for line in corners])
    marks = [line for line in corners if len(line) == 1]
    marks += [points([(label.x, label.y)]) for label in labels]
    marked = np.concatenate(marks) if marks else taken[:0]
    whole = axes.get_window_extent()
    room = np.array([whole.x0, whole.y0, whole.x1, whole.y1]) * scale
    boxes: list[NDArray[np.float64]] = []
    for label in labels:
        text = axes.annotate(
            words.short(label.text), (label.x, label.y), textcoords="offset points",
            xytext=(0, 0), color=label.colour, fontsize=size,
        )  # fmt: skip
        text.set_in_layout(False)
        extent = text.get_window_extent()
        width, height = extent.width * scale, extent.height * scale
        x, y = points((label.x, label.y))
        for dx, dy, ha, va in _PLACES:
            left = x + dx - {"left": 0.0, "center": width / 2, "right": width}[ha]
            low = y + dy - {"bottom": 0.0, "center": height / 2, "top": height}[va]
            box = np.array([left, low, left + width, low + height])
            free = (
                _inside(box, room)
                and not _hit(box, taken, _CLEAR)
                and not _hit(box, marked, _MARK)
                and not any(_overlap(box, other) for other in boxes)
            )
            if free:
                text.set(position=(dx, dy), ha=ha, va=va)
                boxes.append(box)
                break
        else:
            if always:
                text.set(position=_PLACES[0][:2], va="center")
            else:
                text.remove()


def drawn(axes: Axes) -> list[NDArray[np.float64]]:
    """The corners of all lines, marks and bars that are drawn in the coordinates of the data."""
    found: list[NDArray[np.float64]] = []
    for line in axes.get_lines():
        corners = np.asarray(line.get_xydata(), dtype=np.float64)
        if line.get_transform() == axes.transData and len(corners):
            apart = line.get_linestyle() == "None"
            found += [corners[i : i + 1] for i in range(len(corners))] if apart else [corners]
    for many in axes.collections:
        if hasattr(many, "get_segments"):
            found += [np.asarray(bar, dtype=np.float64) for bar in many.get_segments()]
    return found


def _along(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points along a line through `corners`, close enough that no name fits between two."""
    pieces = [corners]
    for start, end in pairwise(corners):
        n = int(np.hypot(*(end - start)) / _STEP) + 2 if np.isfinite([start, end]).all() else 2
        pieces.append(start + (end - start) * np.linspace(0, 1, n)[:, None])
    return np.concatenate(pieces)


def _inside(box: NDArray[np.float64], room: NDArray[np.float64]) -> bool:
    return bool((box[:2] >= room[:2]).all() and (box[2:] <= room[2:]).all())


def _hit(box: NDArray[np.float64], taken: NDArray[np.float64], clear: float) -> bool:
    return bool(((taken > box[:2] - clear) & (taken < box[2:] + clear)).all(axis=1).any())


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return bool((one[:2] < other[2:]).all() and (other[:2] < one[2:]).all())
