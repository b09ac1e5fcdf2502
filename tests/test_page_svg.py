"""How charts are drawn: labels that do not cover each other, settings that stay apart."""

from itertools import pairwise

import pytest

from aebench.page.svg import spread


def test_labels_are_pushed_apart_but_stay_in_order() -> None:
    assert spread([1, 50, 100], 10) == [1, 50, 100]
    assert spread([10, 10, 10], 10) == pytest.approx([0, 10, 20])
    assert spread([], 10) == []
    moved = spread([0, 4, 9, 60, 61], 10)
    assert all(b - a >= 10 - 1e-9 for a, b in pairwise(moved))
