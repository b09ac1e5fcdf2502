"""The store: nothing written is lost or repeated, whatever is cut off, torn or foreign."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aebench import schema, store
from aebench.errors import RequestError
from aebench.job import Job
from aebench.store import Record, Results, Store

TABLES = ("jobs", "epochs", "samples", "baselines", "probes")


def record(n: int, *, seed: int = 0, epochs: int = 2, **row: Any) -> Record:
    """The record of job number `n`, with all five tables."""
    key = f"{n:016x}"
    return Record(
        job={"key": key, "status": "ok", "reason": "", "latent": n, "mse": n / 8} | row,
        epochs=[
            {"key": key, "epoch": e, "train_mse": 1 / e, "val_mse": 2 / e, "train_s": 0.5}
            for e in range(1, epochs + 1)
        ],
        samples=[
            {"key": key, "kind": "reconstruction", "images": 1, "input_png": b"\x89", "mse": 0.1}
        ],
        baselines=[
            {"dataset": "digits", "seed": seed, "components": k, "mse": 1 / (k + 1)}
            for k in range(3)
        ],
        probes=[{"key": key, "kind": "denoising", "input": "test images", "amplitude": 0.3}],
    )


def counts(found: Results) -> tuple[int, ...]:
    return tuple(len(getattr(found, table)) for table in TABLES)


def keys(found: Results) -> list[str]:
    return sorted(found.jobs["key"])


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def test_round_trip_of_all_five_tables_before_and_after_folding(results: Store) -> None:
    one = record(1, concurrent=False, peak_device_bytes=None)
    results.write(one)
    results.write(record(2))  # shares the curve of baselines
    for _ in range(2):
        found = results.read()
        assert found.problems == []
        assert counts(found) == (2, 4, 2, 3, 2)
        row = found.jobs[found.jobs["key"] == one.job["key"]].iloc[0]
        assert {name: row[name] for name in one.job if name != "peak_device_bytes"} == {
            name: value for name, value in one.job.items() if name != "peak_device_bytes"
        }
        assert pd.isna(row["peak_device_bytes"])
        epochs = found.epochs[found.epochs["key"] == one.job["key"]]
        assert epochs["val_mse"].tolist() == [2.0, 1.0]
        assert found.samples["input_png"].tolist() == [b"\x89"] * 2
        assert found.baselines["mse"].tolist() == [1, 1 / 2, 1 / 3]
        for table in TABLES:
            columns = getattr(schema, table.upper())
            assert list(getattr(found, table)) == [column.name for column in columns]
        results.compact()
    assert not list(results.parts.iterdir())


def test_public_read_is_the_same(results: Store) -> None:
    results.write(record(1))
    assert store.read(str(results.path)).jobs.equals(results.read().jobs)


@pytest.mark.parametrize("folded", [False, True])
def test_a_later_record_replaces_the_earlier_one_whole(results: Store, folded: bool) -> None:
    results.write(record(1, epochs=5))
    results.write(record(2))
    if folded:
        results.compact()
    results.write(record(1, epochs=3, mse=7.0))
    for _ in range(2):
        found = results.read()
        assert counts(found) == (2, 5, 2, 3, 2)
        assert found.jobs.set_index("key").loc[f"{1:016x}", "mse"] == 7.0
        results.compact()


def test_a_failed_retry_does_not_keep_the_curves_of_the_success_before(results: Store) -> None:
    results.write(record(1))
    results.write(record(2))
    results.compact()
    results.write(Record(job={"key": f"{1:016x}", "status": "killed", "reason": "why"}))
    for _ in range(2):
        found = results.read()
        assert counts(found) == (2, 2, 1, 3, 1)
        assert set(found.epochs["key"]) == {f"{2:016x}"}
        results.compact()


def test_curves_of_another_seed_stay(results: Store) -> None:
    results.write(record(1, seed=0))
    results.compact()
    results.write(record(2, seed=1))
    results.compact()
    assert sorted(results.read().baselines["seed"]) == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize("cut", range(10))
def test_a_fold_cut_off_anywhere_loses_and_repeats_nothing(
    results: Store, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    for n in range(3):
        results.write(record(n))
    results.compact()
    for n in range(2, 6):  # one of them again
        results.write(record(n, mse=9.0))
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
        # Five tables take their places, then four parts are removed: nine steps.
        patch.setattr(os, "replace", cut_off(os.replace))
        patch.setattr(Path, "unlink", cut_off(Path.unlink))
        if cut < 9:
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
    real = Store._merged

    def slow(self: Store, name: str, *rest: Any) -> Any:
        if name == "jobs":  # the parts have been read, and a worker finishes a retry
            Store(self.path).write(record(1, status="ok"))
        return real(self, name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_merged", slow)
        results.compact()
    assert results.statuses() == {f"{1:016x}": "ok", f"{2:016x}": "ok"}
    assert results.has_part(f"{1:016x}")
    assert not results.has_part(f"{2:016x}")


def write_foreign(path: Path) -> None:
    pq.write_table(pa.table({"key": ["x"]}), path)


def write_newer(path: Path) -> None:
    table = pa.table({"key": ["x"]})
    version = {b"aebench_schema": str(schema.VERSION + 1)}
    pq.write_table(table.replace_schema_metadata(version), path)


def write_torn(path: Path) -> None:
    scratch = Store(path.parent / "scratch")
    path.write_bytes(scratch.write(record(9)).read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (write_foreign, "not written by aebench"),
        (write_newer, f"newer aebench (schema {schema.VERSION + 1}"),
        (write_torn, "unreadable"),
        (lambda path: path.write_bytes(b""), "unreadable"),
        (lambda path: path.mkdir(), "unreadable"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_kept(
    results: Store, spoil: Any, says: str
) -> None:
    results.write(record(1))
    bad = results.parts / "ffffffffffffffff.parquet"
    spoil(bad)
    for _ in range(2):
        found = results.read()
        assert keys(found) == [f"{1:016x}"]
        assert len(found.problems) == 1
        assert says in found.problems[0]
        assert str(bad) in found.problems[0]
        results.compact()
    assert bad.exists()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("spoil", [write_foreign, write_newer, write_torn])
def test_a_table_that_cannot_be_read_is_never_overwritten(
    results: Store, table: str, spoil: Any
) -> None:
    results.write(record(1))
    results.compact()
    path = results.path / f"{table}.parquet"
    spoil(path)
    content = path.read_bytes()
    results.write(record(2))
    results.compact()
    assert path.read_bytes() == content
    assert results.has_part(f"{2:016x}")
    assert f"{2:016x}" in results.statuses()
    assert any(str(path) in problem for problem in results.read().problems)


@pytest.mark.parametrize("folded", [False, True])
def test_a_store_of_before_the_table_of_probes_reads_and_folds(
    results: Store, monkeypatch: pytest.MonkeyPatch, folded: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store, "_TABLES", {n: t for n, t in store._TABLES.items() if n != "probes"})
        patch.setattr(store, "_NESTED", TABLES[1:4])
        patch.setattr(store, "_PART", pa.schema([f for f in store._PART if "probes" not in f.name]))
        results.write(record(1))
        if folded:  # as the older version folds: its `Results` has no probes, and is not made
            results.compact()
    results.write(record(2))
    for _ in range(2):
        found = results.read()
        assert found.problems == []
        assert counts(found) == (2, 4, 2, 3, 1)
        assert found.probes["key"].tolist() == [f"{2:016x}"]
        results.compact()


def test_what_a_killed_writer_left_is_no_record(results: Store) -> None:
    whole = results.write(record(1))
    (results.parts / ".cut.parquet").write_bytes(whole.read_bytes()[:50])
    found = results.read()
    assert (counts(found)[0], found.problems) == (1, [])


@pytest.mark.parametrize("begin", [Store.prepare, Store.compact])
def test_half_written_files_go_when_nobody_can_be_writing_them(results: Store, begin: Any) -> None:
    results.write(record(1))
    folders = (results.path, results.parts)
    old, young = ([f / f".{age}.parquet" for f in folders] for age in ("old", "young"))
    others = [results.parts / ".mine", results.path / "notes.parquet"]
    for path in (*old, *young, *others):
        path.write_bytes(b"PAR1")
    two_days_ago = time.time() - 48 * 3600
    for path in (*old, *others, results.parts / f"{1:016x}.parquet"):
        os.utime(path, (two_days_ago, two_days_ago))
    begin(results)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in (*young, *others))
    assert keys(results.read()) == [f"{1:016x}"]


def test_a_write_that_fails_leaves_the_record_before(
    results: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    results.write(record(1))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RequestError, match="No space left"):
            results.write(record(1, mse=7.0))
    assert results.read().jobs["mse"].tolist() == [1 / 8]
    assert [p.name for p in results.parts.iterdir()] == [f"{1:016x}.parquet"]


@pytest.mark.parametrize("folded", [False, True])
def test_a_record_of_before_a_column_was_added_reads_as_null(
    results: Store, monkeypatch: pytest.MonkeyPatch, folded: bool
) -> None:
    with monkeypatch.context() as patch:
        old = {
            name: pa.schema([field for field in table if field.name != "mse"])
            for name, table in store._TABLES.items()
        }
        jobs = [*old["jobs"]]
        lists = [pa.field(f"{n}_rows", pa.list_(pa.struct(list(old[n])))) for n in TABLES[1:]]
        patch.setattr(store, "_TABLES", old)
        patch.setattr(store, "_PART", pa.schema(jobs + lists))
        bare = record(1)
        for row in (bare.job, *bare.samples, *bare.baselines):
            row.pop("mse")
        results.write(bare)
        if folded:
            results.compact()
    results.write(record(2, seed=1))
    for _ in range(2):
        found = results.read()
        assert found.problems == []
        assert counts(found) == (2, 4, 2, 6, 2)
        by_key = found.jobs.set_index("key")
        assert pd.isna(by_key.loc[f"{1:016x}", "mse"])
        assert by_key.loc[f"{2:016x}", "mse"] == 2 / 8
        assert found.samples["mse"].isna().sum() == 1
        assert found.baselines["mse"].isna().sum() == 3
        results.compact()


def write_many(path: Path, first: int, count: int) -> None:
    target = Store(path)
    for n in range(first, first + count):
        target.write(record(n, epochs=1))
        if n % 10 == 0:
            target.compact()


def test_two_processes_may_write_and_fold_at_once(results: Store) -> None:
    context = multiprocessing.get_context("spawn")
    both = [
        context.Process(target=write_many, args=(results.path, first, 60)) for first in (0, 1000)
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
    for process in both:
        process.join()
        assert process.exitcode == 0
    results.compact()
    found = results.read()
    assert counts(found) == (120, 120, 120, 3, 120)
    assert found.problems == []


def test_folding_waits_until_parts_are_many(
    results: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_COMPACT_AT", 3)
    for n in range(2):
        results.write(record(n))
    results.compact(force=False)
    assert len(list(results.parts.iterdir())) == 2
    results.write(record(2))
    results.compact(force=False)
    assert not list(results.parts.iterdir())


def test_thousands_of_rows(results: Store) -> None:
    for n in range(300):  # more parts than a run leaves unfolded
        results.write(record(n, epochs=20))
    for _ in range(2):
        assert counts(results.read()) == (300, 6000, 300, 3, 300)
        results.compact()
    assert not list(results.parts.iterdir())


def test_missing_and_empty_folders(results: Store) -> None:
    assert results.statuses() == {}
    results.compact()
    with pytest.raises(RequestError, match="run `aebench run --results"):
        results.read()
    results.path.mkdir()
    (results.path / "notes.txt").write_text("somebody else's folder")
    assert results.statuses() == {}
    with pytest.raises(RequestError, match="no results at"):
        results.read()
    results.parts.mkdir()  # as a run leaves it that was stopped before its first record
    assert results.statuses() == {}
    assert counts(results.read()) == (0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "bad",
    [
        Record(job={"status": "ok"}),
        Record(job={"key": ""}),
        Record(job={"key": "a", "colour": 1}),
        Record(job={"key": "a"}, epochs=[{"key": "a", "colour": 1}]),
        Record(job={"key": "a"}, baselines=[{"colour": 1}]),
    ],
)
def test_no_record_is_stored_in_part(results: Store, bad: Record) -> None:
    with pytest.raises(ValueError, match="not a record"):
        results.write(bad)
    assert not results.path.exists()


def test_others_may_read_what_is_stored(results: Store) -> None:
    path = results.write(record(1))
    assert path.stat().st_mode & 0o044 == 0o044


def test_schema_is_whole() -> None:
    for name in TABLES:
        columns = getattr(schema, name.upper())
        assert len({c.name for c in columns}) == len(columns)
        assert all(c.about and c.about == c.about.strip() for c in columns)
        assert {c.kind for c in columns} <= {"string", "int64", "float64", "bool", "binary"}
    about = {column.name: column.about for column in schema.JOBS}
    assert all(status in about["status"] for status in schema.STATUSES)


def test_a_real_starting_row_fits_the_schema(results: Store) -> None:
    from aebench.records import Circumstances, ended_without_record

    ended = ended_without_record(Job("mlp", "digits", 2), Circumstances(), "killed", "why", 1.5)
    results.write(ended)
    row = results.read().jobs.iloc[0]
    assert (row["status"], row["reason"], row["total_s"]) == ("killed", "why", 1.5)
    assert (row["architecture"], row["latent"], row["learning_rate"]) == ("mlp", 2, 1e-4)
