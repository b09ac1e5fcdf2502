"""A short campaign of kills; `nox -s kills` plays a hundred rounds. See `kills.py`."""

from __future__ import annotations

import sys

import pytest
from kills import disturbed, resumed, round_of, undisturbed

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills process groups")


@pytest.fixture(scope="module")
def expected():
    return undisturbed()


@pytest.mark.slow
def test_a_run_killed_again_and_again_goes_on_as_if_nothing_had_been(expected) -> None:
    with round_of("short") as around:
        for whom in ("group", "starting worker", "keeper", "folding group"):
            disturbed(around, 1, whom)
            assert around.failures == []
        assert around.killed
        resumed(around, 1, expected)
        assert around.failures == []
