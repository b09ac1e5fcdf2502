"""The campaign of comparisons of a thing with itself: who runs when, and what is counted."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from test_report_records import CPU

from aebench import architectures
from aebench.job import Job
from aebench.plugins import load_plugins
from aebench.records import Circumstances, starting_row
from aebench.store import Record, Store, read
from bench import aa


@pytest.fixture(autouse=True, scope="module")
def plugin() -> None:
    load_plugins([str(aa.PLUGIN)])


def timed(job: Job, train_s: float) -> Record:
    return Record(job=starting_row(job, Circumstances()) | CPU | {
        "status": "ok", "reason": "", "mse": 0.1, "train_s": train_s,
        "process_id": f"1-{job.key}", "precision_read": "highest",
    })  # fmt: skip


def test_every_side_is_as_often_first_as_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aa, "SLOWED_EVERY", 1)
    planned = aa.plan(2, 6, 1)
    side = {job.key: name for (_, name), jobs in planned.items() for job in jobs}
    order = [side[job.key] for job in aa.in_turn(planned)]
    assert len(order) == len(side) == 2 * 6 * 3
    blocks = [tuple(order[i : i + 3]) for i in range(0, len(order), 3)]
    assert all(set(block) == set(aa.SIDES) for block in blocks)
    for place in range(3):
        assert Counter(block[place] for block in blocks) == dict.fromkeys(aa.SIDES, 4)


def test_a_third_of_the_comparisons_has_a_slowed_side() -> None:
    """The others are of two sides, in turns, too; and the parts are spread over all of them."""
    planned = aa.plan(100, 6, 1)
    slowed = [number for number, side in planned if side == "slowed"]
    assert len(slowed) == 34
    assert {after - before for before, after in itertools.pairwise(slowed)} == {3}
    side = {job.key: name for (_, name), jobs in planned.items() for job in jobs}
    order = [(job.key, side[job.key]) for job in aa.in_turn(planned)]
    assert len(order) == len(side) == 1404
    (two, *_) = (number for number in range(100) if number not in slowed)
    keys = {job.key for name in ("plain", "same") for job in planned[two, name]}
    blocks = [name for key, name in order if key in keys]
    assert Counter(blocks[::2]) == Counter(blocks[1::2]) == {"plain": 3, "same": 3}


@pytest.mark.slow
def test_comparisons_without_a_slowed_side_are_counted_once(tmp_path: Path) -> None:
    planned, store = aa.plan(3, 4, 1), Store(tmp_path)
    for jobs in planned.values():
        for place, job in enumerate(jobs):
            store.write(timed(job, 1 + place / 1000))
    whole, same, slow, *together = aa.judged(read(store.path), planned)
    assert whole == "3 comparisons of 4 processes a side"
    assert same.startswith("same: 0 of 3 find")
    assert slow.startswith("slowed: 0 of 1 find")
    two, same_of_two, three, same_of_three = together  # one has a slowed side, none is of four
    assert two == "taken 2 at a time, 8 processes a side"
    assert same_of_two.startswith("same: 0 of 1 find")
    assert three == "taken 3 at a time, 12 processes a side"
    assert same_of_three.startswith("same: 0 of 1 find")


@pytest.mark.slow
def test_what_finds_a_difference_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two comparisons: in the first only the slowed side differs, in the second both do."""
    monkeypatch.setattr(aa, "SLOWED_EVERY", 1)
    planned, store = aa.plan(3, 4, 1), Store(tmp_path)
    factors = {(0, "slowed"): 1.05, (1, "same"): 0.9, (1, "slowed"): 1.06}
    for (number, side), jobs in planned.items():
        for place, job in enumerate(jobs[: 3 if number == 2 else 4]):  # the third is unfinished
            seconds = factors.get((number, side), 1.0) * (1 + place / 1000)
            store.write(timed(job, seconds))
    whole, same, slow, *together = aa.judged(read(store.path), planned)
    assert whole == "2 comparisons of 4 processes a side"
    assert same.startswith("same: 1 of 2 find a difference")
    assert slow.startswith("slowed: 2 of 2 find a difference")
    assert "mean ratio 1.05" in slow
    two, same_of_two, slow_of_two = together
    assert two == "taken 2 at a time, 8 processes a side"
    assert same_of_two.startswith("same: 1 of 1 find a difference")
    assert "mean ratio 0.9487" in same_of_two  # of 1 and 0.9, each four times
    assert slow_of_two.startswith("slowed: 1 of 1 find a difference")
    assert "mean ratio 1.0550" in slow_of_two


def test_what_was_measured_in_parts_says_when_and_on_what(tmp_path: Path) -> None:
    store = Store(tmp_path)
    days = ["2026-11-29T23:59:00", "2026-11-30T00:01:00", "2026-11-30T00:02:00"]
    versions, loads = ["0123abc", None, "0123abc"], [0.5, 1.26, None]
    jobs = aa.plan(1, 3, 1)[0, "plain"]
    for job, day, commit, load in zip(jobs, days, versions, loads, strict=True):
        said = {"started_at": day, "commit": commit, "load_1m": load, "python": "3.12.1"}
        store.write(Record(job=timed(job, 1.0).job | said | {"aebench": "0.1.0"}))
    assert aa.taken_on(read(store.path).jobs) == (
        "2026-11-29 and 2026-11-30, Intel Xeon Platinum 8275CL, 2 CPU cores, 2 threads,"
        " torch 2.11.0, Python 3.12.1, aebench 0.1.0 and 0123abc, load average 1.3 at most"
    )


def test_a_step_waits_its_share_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    now = SimpleNamespace(s=5.0)

    def look() -> float:
        now.s += 0.0001
        return now.s

    build = architectures.get("slowed").build
    monkeypatch.setitem(build.__globals__, "time", SimpleNamespace(perf_counter=look))
    model = build((1, 2, 2), 1, 1, slowdown=0.5)
    images = torch.rand(1, 1, 2, 2)

    def taken() -> float:
        before = now.s
        model(images)
        return now.s - before

    assert taken() < 0.001  # nothing is known of the first step
    now.s += 0.04
    assert taken() == pytest.approx(0.02, abs=0.002)
    now.s += 0.06
    assert taken() == pytest.approx(0.03, abs=0.002)  # of the step alone, not of its wait
    model.eval()
    now.s += 0.02
    assert taken() == 0.0
    model.train()  # the next epoch: its first step waits as the last one did
    assert taken() == pytest.approx(0.03, abs=0.002)
    now.s += 0.04
    assert taken() == pytest.approx(0.02, abs=0.002)
    plain = build((1, 2, 2), 1, 1)
    assert plain(images).shape == images.shape
    now.s += 0.04
    before = now.s
    plain(images)
    assert now.s - before < 0.001
