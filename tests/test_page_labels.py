"""Names of points on a chart: beside them, and on nothing else."""

import itertools
import re

import numpy as np

from aebench.page import svg
from aebench.page.labels import drawn, place
from aebench.page.svg import Label


def boxes(labels, lines):
    """Draw lines and names; what was placed, as text and corners, and the lines in pixels."""
    with svg.canvas(5, 4) as figure:
        axes = figure.subplots()
        axes.set(xlim=(0, 10), ylim=(0, 10))
        for line in lines:
            axes.plot(line[:, 0], line[:, 1])
        place(axes, labels, lines)
        drawn = [axes.transData.transform(line) for line in lines]
        found = [(text.get_text(), text.get_window_extent()) for text in axes.texts]
        frame = axes.get_window_extent()
        return found, drawn, frame, svg.inline(figure, "label")


def crosses(box, line) -> bool:
    for start, end in itertools.pairwise(line):
        for at in np.linspace(0, 1, 500):
            x, y = start + at * (end - start)
            if box.x0 < x < box.x1 and box.y0 < y < box.y1:
                return True
    return False


def test_names_cover_neither_a_line_nor_a_mark_nor_each_other() -> None:
    zigzag = np.array([[1, 1], [3, 8], [5, 2], [7, 9], [9, 5]], dtype=float)
    flat = np.array([[0, 5], [10, 5]], dtype=float)
    labels = [Label(x, y, f"model-{i}", svg.INK) for i, (x, y) in enumerate(zigzag)]
    found, drawn, frame, chart = boxes(labels, [zigzag, flat])
    assert len(found) == len(labels)
    for i, (text, box) in enumerate(found):
        assert not any(crosses(box, line) for line in drawn), text
        assert not any(box.overlaps(other) for _, other in found[i + 1 :]), text
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert f">{text}</text>" in chart
        distance = np.abs([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2] - drawn[0][i])
        assert distance[0] < box.width
        assert distance[1] < 30


def test_a_name_without_room_is_left_out_and_the_first_is_placed_first() -> None:
    crowd = [Label(5, 5, f"a rather long name {i}", svg.INK) for i in range(40)]
    found, *_, chart = boxes(crowd, [np.array([[5.0, 5.0]])])
    assert 1 <= len(found) < 40
    assert found[0][0] == "a rather long name 0"
    assert chart.count("a rather long name") == len(found)


def test_hostile_names_are_text() -> None:
    names = ["<script>", r"$\frac$", "a" * 300]
    labels = [Label(2, 3 * i + 1, name, svg.INK) for i, name in enumerate(names)]
    *_, chart = boxes(labels, [np.array([[2.0, 1.0]])])
    assert "&lt;script&gt;" in chart
    assert r"$\frac$" in chart
    assert re.search("a{20}…a+<", chart)


def test_a_line_that_nothing_else_names_keeps_its_name() -> None:
    crowd = [Label(5, 5, f"line {i}", svg.INK) for i in range(20)]
    with svg.canvas(5, 4) as figure:
        axes = figure.subplots()
        axes.set(xlim=(0, 10), ylim=(0, 10))
        place(axes, crowd, [np.array([[5.0, 5.0]])], always=True)
        assert len(axes.texts) == 20


def test_what_is_drawn_is_found_but_for_what_joins_nothing() -> None:
    with svg.canvas(5, 4) as figure:
        axes = figure.subplots()
        axes.plot([1, 2, 3], [1, 4, 9])
        axes.plot([5, 6], [7, 8], "o")  # marks alone, not a line from one to the other
        axes.errorbar([4], [4], [[1], [2]], fmt="none")
        axes.axhline(3)  # whose coordinates are shares of the width
        found = sorted(corners.tolist() for corners in drawn(axes))
    assert found == [[[1, 1], [2, 4], [3, 9]], [[4, 3], [4, 6]], [[5, 7]], [[6, 8]]]
