"""The store: nothing written is lost or repeated, whatever is cut off, torn or foreign."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aebench import schema, store
from aebench.errors import RequestError
from aebench.job import Job
from aebench.store import Record, Results, Store, layout

TABLES = ("jobs", "epochs", "samples", "baselines", "probes", "rates", "codes")


def record(n: int, *, seed: int = 0, epochs: int = 2, **row: Any) -> Record:
    """The record of job number `n`, with all seven tables."""
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
        rates=[
            {"key": key, "dataset": "digits", "seed": seed, "codec": "model", "bits": 2, "mse": n},
            *(
                {"dataset": "digits", "seed": seed, "codec": "jpeg", "quality": q, "mse": 1 / q}
                for q in (50, 90)
            ),
        ],
        codes=[{"key": key, "kind": "grid", "place": 0, "first": n / 2, "second": -n}],
    )


def counts(found: Results) -> tuple[int, ...]:
    return tuple(len(getattr(found, table)) for table in TABLES)


def keys(found: Results) -> list[str]:
    return sorted(found.jobs["key"])


def singles(results: Store) -> list[Path]:
    """Files of one record each."""
    return sorted(p for p in results.parts.iterdir() if not p.name.startswith("pack-"))


def packs(results: Store) -> list[Path]:
    return sorted(results.parts.glob("pack-*"))


def as_of_old(results: Store) -> Store:
    """Fold, and leave what older versions left: the tables alone."""
    results.compact()
    for path in results.parts.iterdir():
        path.unlink()
    return results


def key(n: int) -> str:
    return f"{n:016x}"


def at(minute: int) -> str:
    """A time to start a job at."""
    return f"2026-01-01T10:{minute:02}:00.000+00:00"


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def test_round_trip_of_all_seven_tables_before_and_after_folding(results: Store) -> None:
    one = record(1, concurrent=False, peak_device_bytes=None)
    results.write(one)
    results.write(record(2))  # shares the curve of baselines
    for _ in range(2):
        found = results.read()
        assert found.problems == []
        assert counts(found) == (2, 4, 2, 3, 2, 4, 2)
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
    assert not singles(results)
    assert len(packs(results)) == 1
    for table in TABLES:  # and other tools find the same
        beside = pq.read_table(results.path / f"{table}.parquet").to_pandas()
        pd.testing.assert_frame_equal(beside, getattr(found, table), check_like=True)


def test_public_read_is_the_same(results: Store) -> None:
    results.write(record(1))
    assert store.read(str(results.path)).jobs.equals(results.read().jobs)


@pytest.mark.parametrize("folded", [False, True])
def test_a_later_record_replaces_the_earlier_one_whole(results: Store, folded: bool) -> None:
    results.write(record(1, epochs=5, started_at=at(1)))
    results.write(record(2))
    if folded:
        results.compact()
    results.write(record(1, epochs=3, mse=7.0, started_at=at(2)))
    for _ in range(2):
        found = results.read()
        assert counts(found) == (2, 5, 2, 3, 2, 4, 2)
        assert found.jobs.set_index("key").loc[f"{1:016x}", "mse"] == 7.0
        results.compact()


@pytest.mark.parametrize("where", ["part", "pack", "table"])
def test_a_finished_record_is_never_replaced_by_a_failure(results: Store, where: str) -> None:
    good = results.write(record(1, started_at=at(1)))
    if where != "part":
        results.compact()
        (good,) = packs(results)
    if where == "table":
        as_of_old(results)
        good = results.path / "jobs.parquet"
    killed = Record(job={"key": key(1), "status": "killed", "reason": "", "started_at": at(2)})
    assert results.write(killed) == good
    assert not [path for path in singles(results) if path != good]
    for _ in range(2):
        assert results.statuses() == {key(1): "ok"}
        assert counts(results.read()) == (1, 2, 1, 3, 1, 3, 1)
        results.compact()


def test_a_success_replaces_a_failure_whole_whenever_it_started(results: Store) -> None:
    failure = record(1, epochs=5, status="failed", started_at=at(2))
    results.write(failure)
    results.compact()
    results.write(record(1, epochs=1, started_at=at(1)))
    for _ in range(2):
        found = results.read()
        assert found.jobs["status"].tolist() == ["ok"]
        assert counts(found) == (1, 1, 1, 3, 1, 3, 1)
        results.compact()
    assert len(packs(results)) == 1


def test_of_two_failures_the_later_counts(results: Store) -> None:
    for minute, status in ((2, "timed_out"), (1, "killed")):
        results.write(record(1, status=status, started_at=at(minute)))
    for _ in range(2):
        assert results.statuses() == {key(1): "timed_out"}
        results.compact()


def test_curves_of_another_seed_stay(results: Store) -> None:
    results.write(record(1, seed=0))
    results.compact()
    results.write(record(2, seed=1))
    results.compact()
    assert sorted(results.read().baselines["seed"]) == [0, 0, 0, 1, 1, 1]


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
        assert says in str(found.problems[0])
        assert str(bad) in str(found.problems[0])
        results.compact()
    assert bad.exists()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("spoil", [write_foreign, write_torn])
def test_a_table_that_cannot_be_read_is_set_aside_and_nothing_is_lost(
    results: Store, table: str, spoil: Any
) -> None:
    results.write(record(1))
    results.compact()
    path = results.path / f"{table}.parquet"
    spoil(path)
    content = path.read_bytes()
    results.write(record(2))
    (said,) = results.read().problems
    assert said.path == path
    assert results.survey().problems == [said]
    assert results.statuses() == {key(1): "ok", key(2): "ok"}

    (told,) = results.compact()
    aside = path.with_name(f"{path.name}.aside-1")
    assert told.path == path
    assert aside.name in str(told)
    assert aside.read_bytes() == content
    for _ in range(2):
        found = results.read()
        assert found.problems == []
        assert counts(found) == (2, 4, 2, 3, 2, 4, 2)
        assert not singles(results)
        assert results.compact() == []
    spoil(path)  # and once more: what lies aside is not written over
    assert len(results.compact()) == 1
    assert aside.read_bytes() == content


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_a_newer_aebench_stays_where_it_is(results: Store, table: str) -> None:
    results.write(record(1))
    results.compact()
    path = results.path / f"{table}.parquet"
    write_newer(path)
    content = path.read_bytes()
    results.write(record(2))
    results.compact()
    assert path.read_bytes() == content
    assert not singles(results)
    assert results.statuses() == {key(1): "ok", key(2): "ok"}
    assert any(str(path) in str(problem) for problem in results.read().problems)


def test_what_an_old_folder_holds_beside_a_torn_table_of_jobs_is_set_aside_with_it(
    results: Store,
) -> None:
    results.write(record(1))
    as_of_old(results)
    kept = {n: (results.path / f"{n}.parquet").read_bytes() for n in TABLES}
    write_torn(results.path / "jobs.parquet")
    results.write(record(2))
    told = results.compact()
    assert len(told) == 6
    for name in ("epochs", "samples", "probes", "rates", "codes"):
        assert (results.path / f"{name}.parquet.aside-1").read_bytes() == kept[name]
    assert keys(results.read()) == [key(2)]


def without(path: Path, *columns: str) -> None:
    """Write a file again as a version would that did not know some of its columns."""
    table = pq.read_table(path)
    said = {b"aebench_schema": b"2"}
    for name in table.column_names:
        column = table.column(name)
        if name in columns:
            table = table.drop_columns(name)
        elif pa.types.is_list(column.type):
            lists = column.combine_chunks()
            rows = pa.Table.from_struct_array(lists.values)
            rows = rows.drop_columns([c for c in columns if c in rows.column_names])
            made = pa.ListArray.from_arrays(lists.offsets, rows.to_struct_array().combine_chunks())
            table = table.set_column(table.column_names.index(name), name, made)
    pq.write_table(table.replace_schema_metadata(said), path)


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(
    ("table", "left"), [("probes", (1, 4, 2)), ("rates", (2, 3, 2)), ("codes", (2, 4, 1))]
)
def test_a_store_of_before_a_table_reads_and_folds(
    results: Store, table: str, left: tuple[int, ...], folded: bool
) -> None:
    path = results.write(record(1))
    if folded:
        as_of_old(results)
        (results.path / f"{table}.parquet").unlink()
    else:
        without(path, f"{table}_rows")
        path = path.rename(results.parts / f"{key(1)}.parquet")  # as it was named then
    results.write(record(2))
    for _ in range(2):
        found = results.read()
        assert found.problems == []
        assert counts(found) == (2, 4, 2, 3, *left)
        assert getattr(found, table)["key"].dropna().tolist() == [key(2)]
        results.compact()
    assert not singles(results)


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
    for path in (*old, *others, *singles(results)[-1:]):
        os.utime(path, (two_days_ago, two_days_ago))
    begin(results)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in (*young, *others))
    assert keys(results.read()) == [f"{1:016x}"]


def test_a_write_that_fails_leaves_the_record_before(
    results: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = results.write(record(1))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RequestError, match="No space left"):
            results.write(record(1, mse=7.0))
    assert results.read().jobs["mse"].tolist() == [1 / 8]
    assert [*results.parts.iterdir()] == [path]


@pytest.mark.parametrize("folded", [False, True])
def test_a_record_of_before_a_column_was_added_reads_as_null(results: Store, folded: bool) -> None:
    path = results.write(record(1))
    if folded:
        as_of_old(results)
        for table in ("jobs", "samples", "baselines"):
            without(results.path / f"{table}.parquet", "mse")
    else:
        without(path, "mse")
    results.write(record(2, seed=1))
    for _ in range(2):
        found = results.read()
        assert found.problems == []
        assert counts(found) == (2, 4, 2, 6, 2, 6, 2)
        by_key = found.jobs.set_index("key")
        assert pd.isna(by_key.loc[f"{1:016x}", "mse"])
        assert by_key.loc[f"{2:016x}", "mse"] == 2 / 8
        assert found.samples["mse"].isna().sum() == 1
        assert found.baselines["mse"].isna().sum() == 3
        results.compact()


def test_other_widths_of_a_type_are_read_and_other_types_are_not() -> None:
    wanted = pa.schema({"n": pa.int64(), "x": pa.float64(), "s": pa.string(), "b": pa.binary()})
    narrow = pa.schema({"n": pa.int8(), "x": pa.float32(), "s": pa.large_string(),
                        "b": pa.large_binary()})  # fmt: skip
    row = {"n": [1], "x": [0.5], "s": ["a"], "b": [b"a"]}
    assert layout.conformed(pa.table(row, narrow), wanted) == pa.table(row, wanted)
    coded = pa.table({"s": pa.array(["a"]).dictionary_encode(), "n": pa.nulls(1)})
    assert layout.conformed(coded, pa.schema({"s": pa.string(), "n": pa.int64()})).to_pydict() == {
        "s": ["a"], "n": [None],
    }  # fmt: skip
    for name, values in (("n", ["1"]), ("x", [1]), ("s", [b"a"]), ("b", ["a"])):
        with pytest.raises(layout.Misfit, match=f"column {name} holds"):
            layout.conformed(pa.table({name: values}), wanted)


def test_rows_find_their_record_in_whatever_order_they_stand() -> None:
    def rows(order: list[int]) -> layout.Rows:
        tables = {name: table.empty_table() for name, table in layout.TABLES.items()}
        tables["jobs"] = layout.conformed(pa.table({"key": ["a", "b", "c"]}), layout.TABLES["jobs"])
        epochs = pa.table({"key": [["a", "c"][n] for n in order], "epoch": order})
        tables["epochs"] = layout.conformed(epochs, layout.TABLES["epochs"])
        owner = {name: np.zeros(0, np.int64) for name in layout.NESTED}
        return layout.Rows(tables, owner | {"epochs": np.array([2 * n for n in order])})

    lists = [layout.nested(rows(order))["epochs_rows"].to_pylist() for order in ([0, 1], [1, 0])]
    assert [[row["key"] for row in each] for each in lists[0]] == [["a"], [], ["c"]]
    assert lists[0] == lists[1]


@pytest.mark.slow
def test_thousands_of_rows(results: Store) -> None:
    for n in range(210):  # more parts than a run leaves unfolded
        results.write(record(n, epochs=20))
    for _ in range(2):
        assert counts(results.read()) == (210, 4200, 210, 3, 210, 212, 210)
        results.compact(force=False)
    assert len(packs(results)) == 1
    assert not singles(results)


def test_missing_and_empty_folders(results: Store) -> None:
    assert results.statuses() == {}
    assert results.compact() == []
    with pytest.raises(RequestError, match="run `aebench run --results"):
        results.read()
    results.path.mkdir()
    (results.path / "notes.txt").write_text("somebody else's folder")
    assert results.statuses() == {}
    with pytest.raises(RequestError, match="no results at"):
        results.read()
    results.parts.mkdir()  # as a run leaves it that was stopped before its first record
    assert results.statuses() == {}
    assert counts(results.read()) == (0, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "bad",
    [
        Record(job={"status": "ok"}),
        Record(job={"key": ""}),
        Record(job={"key": "../jobs"}),
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
    endings = {"ok", "failed", "out_of_memory", "timed_out", "diverged", "killed", "skipped"}
    assert endings <= set(re.findall(r"\w+", about["status"]))


def test_a_real_starting_row_fits_the_schema(results: Store) -> None:
    from aebench.records import Circumstances, ended_without_record

    ended = ended_without_record(Job("mlp", "digits", 2), Circumstances(), "killed", "why", 1.5)
    results.write(ended)
    row = results.read().jobs.iloc[0]
    assert (row["status"], row["reason"], row["total_s"]) == ("killed", "why", 1.5)
    assert (row["architecture"], row["latent"], row["learning_rate"]) == ("mlp", 2, 1e-4)
