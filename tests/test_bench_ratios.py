"""Ratios of the timing suites, and their intervals."""

import json
import math
from types import SimpleNamespace

import pytest

from bench import ratios


def test_median_interval_of_six_is_least_to_most_and_covers_97_percent():
    found = ratios.median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert (found.centre, found.low, found.high, found.n) == (3.5, 1.0, 6.0, 6)
    assert found.coverage == pytest.approx(1 - 2 / 2**6)


@pytest.mark.parametrize(("n", "k"), [(2, 1), (5, 1), (8, 1), (9, 2), (20, 6), (50, 18)])
def test_median_interval_takes_the_ranks_of_the_sign_test(n, k):
    from scipy import stats

    values = [float(i) for i in range(1, n + 1)]
    found = ratios.median_interval(values[::-1])
    assert (found.low, found.high) == (k, n + 1 - k)
    assert found.coverage == pytest.approx(1 - 2 * stats.binom.cdf(k - 1, n, 0.5))
    narrower = 1 - 2 * stats.binom.cdf(k, n, 0.5)
    assert narrower < 0.95  # no narrower pair of ranks would do


def test_one_value_promises_nothing():
    found = ratios.median_interval([2.0])
    assert (found.centre, found.low, found.high, found.coverage) == (2.0, 2.0, 2.0, 0.0)


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [math.nan], [math.inf], [-1.0]])
def test_impossible_times_are_refused(values):
    with pytest.raises(ValueError, match="positive finite"):
        ratios.median_interval(values)


def test_ratio_says_how_many_times_faster_ours_is():
    assert ratios.sandwiched([4.0, 4.0, 9.0], [2.0, 3.0]) == [2.0, 2.0]


def test_steady_drift_of_the_machine_cancels():
    slowdown = [1.1**i for i in range(9)]  # what every run takes longer than the first
    against = [3 * s for s in slowdown[::2]]
    ours = slowdown[1::2]
    assert ratios.sandwiched(against, ours) == pytest.approx([3.0] * 4)


def test_rounds_without_two_neighbours_are_refused():
    with pytest.raises(ValueError, match="2 rounds need 3 neighbours"):
        ratios.sandwiched([1.0, 1.0], [1.0, 1.0])


class Pedantic:
    """pytest-benchmark's fixture on a fake clock: every call moves it by what the call says."""

    def __init__(self):
        self.now, self.extra_info, self.stats = 0.0, {}, None

    def pedantic(self, target, setup, rounds, warmup_rounds):
        data = []
        for _ in range(warmup_rounds + rounds):
            setup()
            began = self.now
            target()
            data.append(self.now - began)
        self.stats = SimpleNamespace(stats=SimpleNamespace(data=data[warmup_rounds:]))


def test_side_by_side_compares_time_per_unit_and_leaves_warm_up_out(monkeypatch):
    from bench import conftest

    benchmark = Pedantic()
    monkeypatch.setattr(conftest.time, "perf_counter", lambda: benchmark.now)
    stash = {conftest.ROWS: []}
    side_by_side = conftest.SideBySide(benchmark, SimpleNamespace(stash=stash))
    side_by_side.rounds = 4
    calls = []

    def spend(name, first_s, later_s):
        def run():
            calls.append(name)
            benchmark.now += first_s if calls.count(name) == 1 else later_s

        return run

    row = side_by_side(
        ("suite", "case", "ours", "theirs"),
        spend("ours", 100.0, 2.0),
        spend("theirs", 500.0, 1.0),
        unit="jobs",
        units=40,
        against_units=10,
    )
    assert calls == ["theirs", "ours"] * 5 + ["theirs"]
    assert row.ratio.centre == pytest.approx(2.0)  # 0.1 s a job against 0.05 s
    assert row.ratio.low == row.ratio.high == row.ratio.centre
    assert row.rate == pytest.approx(20.0)
    assert stash[conftest.ROWS] == [row]
    assert benchmark.extra_info["ratios"] == pytest.approx([2.0] * 4)
    json.dumps(benchmark.extra_info)  # it goes into the saved file
    side_by_side.note(row, "odd")
    text = "\n".join(conftest.summary(stash[conftest.ROWS]))
    assert "suite case ours: odd" in text
    assert "2.00..2.00" in text
    assert "20 jobs" in text


def test_differing_losses_are_found():
    from bench.test_training import losses_apart

    ours, against = SimpleNamespace(losses=[1.0, 2.1]), SimpleNamespace(losses=[1.0, 2.0, 3.0])
    assert losses_apart(ours, against) == pytest.approx(0.05)
