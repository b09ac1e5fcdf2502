"""Folding many parts into few packs: nothing is lost, and not too much is read or written."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from test_store import TABLES, at, counts, key, keys, packs, record, singles

from aebench import store
from aebench.store import Store, files


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.mark.parametrize("cut", range(14))
def test_a_fold_cut_off_anywhere_loses_and_repeats_nothing(
    results: Store, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    for n in range(3):
        results.write(record(n))
    results.compact()
    for n in range(2, 6):  # one of them again
        results.write(record(n, mse=9.0, started_at=at(n)))
    before = results.read()

    class PowerCut(BaseException):
        """Nothing that the store could catch by accident."""

    calls = 0

    def cut_off(real: Any) -> Any:
        def step(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > cut:
                raise PowerCut
            return real(*args, **kwargs)

        return step

    with monkeypatch.context() as patch:
        # A pack takes its place, four parts and an older pack are removed, then seven tables
        # take theirs: thirteen steps.
        patch.setattr(os, "replace", cut_off(os.replace))
        patch.setattr(Path, "unlink", cut_off(Path.unlink))
        if cut < 13:
            with pytest.raises(PowerCut):
                results.compact()
        else:
            results.compact()

    for _ in range(2):  # as it was left, and after the next fold
        after = results.read()
        assert after.problems == []
        for table in TABLES:
            columns = list(getattr(before, table))
            left, right = (
                getattr(r, table).sort_values(columns[:3]).reset_index(drop=True)
                for r in (before, after)
            )
            pd.testing.assert_frame_equal(left, right)
        results.compact()


def test_a_part_written_again_during_a_fold_stays(
    results: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.write(record(1, status="failed"))
    results.write(record(2))
    real = store.gather

    def slow(*given: Any, **how: Any) -> Any:
        read = real(*given, **how)  # and a worker finishes a retry
        Store(results.path).write(record(1, status="ok"))
        return read

    with monkeypatch.context() as patch:
        patch.setattr(store, "gather", slow)
        results.compact()
    assert results.statuses() == {key(1): "ok", key(2): "ok"}
    assert [path.name.split("-")[0] for path in singles(results)] == [key(1)]


def test_the_same_record_stored_again_during_a_fold_stays(
    results: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is known by what it is, not by its name, which another one may have got."""
    path = results.write(record(1))
    real = store.gather

    def slow(*given: Any, **how: Any) -> Any:
        read = real(*given, **how)
        path.unlink()  # by a fold of another process, which then lost the race
        Store(results.path).write(record(1))
        return read

    with monkeypatch.context() as patch:
        patch.setattr(store, "gather", slow)
        results.compact()
    assert singles(results) == [path]
    assert keys(results.read()) == [key(1)]


def write_many(path: Path, first: int, count: int) -> None:
    target = Store(path)
    for n in range(first, first + count):
        target.write(record(n, epochs=1))
        if n % 10 == 0:
            target.compact()


@pytest.mark.slow
def test_two_processes_may_write_and_fold_at_once(results: Store) -> None:
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=write_many, args=(results.path, first, 40)) for first in (0, 1000)
    ]
    for process in both:
        process.start()
    seen = 0
    while any(process.is_alive() for process in both):
        if seen or results.exists:  # and a third reads: what was there once never goes away
            found = results.read()
            assert found.problems == []
            assert len(set(found.jobs["key"])) == len(found.jobs) >= seen
            seen = len(found.jobs)
            time.sleep(0.05)  # the writers need the processor
    for process in both:
        process.join()
        assert process.exitcode == 0
    results.compact()
    found = results.read()
    assert counts(found) == (80, 80, 80, 3, 80, 82, 80)
    assert found.problems == []


def test_folding_waits_until_parts_are_many(
    results: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_COMPACT_AT", 3)
    for n in range(2):
        results.write(record(n))
    results.compact(force=False)
    assert len(singles(results)) == 2
    results.write(record(2))
    results.compact(force=False)
    assert not singles(results)
    assert keys(results.read()) == [key(n) for n in range(3)]


def test_parts_that_cannot_be_read_are_not_read_again_after_every_job(
    results: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_COMPACT_AT", 3)
    for n in range(4):
        path = results.write(record(n))
        path.write_bytes(path.read_bytes()[:99])
    results.compact(force=False)
    read, opened = files.read_records, []
    monkeypatch.setattr(
        files, "read_records", lambda path, *rest, **how: opened.append(path) or read(
            path, *rest, **how
        ),
    )  # fmt: skip
    monkeypatch.setattr("aebench.store.contents.read_records", files.read_records)
    for n in range(4, 7):
        assert not opened
        assert len(singles(results)) == n
        results.write(record(n))
        results.compact(force=False)
    assert opened
    assert len(singles(results)) == 4


@pytest.mark.slow
def test_packs_stay_few_and_a_large_one_is_not_written_again_for_a_few(
    results: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_COMPACT_AT", 4)
    written = 0
    real = store.files.write_records

    def counted(folder: Path, stem: str, records: pa.Table) -> Path:
        nonlocal written
        written += records.num_rows * (stem == "pack-")
        return real(folder, stem, records)

    monkeypatch.setattr(store.files, "write_records", counted)
    for n in range(64):
        results.write(record(n, epochs=1))
        results.compact(force=False)
    assert counts(results.read()) == (64, 64, 64, 3, 64, 66, 64)
    assert len(packs(results)) <= 4
    assert written <= 64 * 5  # each some log2(64 / 4) times, and not 64 / 4 times
