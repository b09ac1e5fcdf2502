"""What may lie in a results folder and is no record of ours: named, left out, never waited for."""

from __future__ import annotations

import os
import random
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_store import TABLES, as_of_old, counts, key, keys, packs, record, singles

from aebench import schema
from aebench.store import Store

Spoil = Callable[[Path, bytes], object]  # given the place, and what a whole file of it would hold
OURS = {b"aebench_schema": str(schema.VERSION).encode()}


def cut(path: Path, whole: bytes) -> None:
    path.write_bytes(whole[: len(whole) // 2])


def rotten(path: Path, whole: bytes) -> None:
    """The last byte of the first column is another; length and footer are right."""
    path.write_bytes(whole)
    with pq.ParquetFile(path) as file:
        chunk = file.metadata.row_group(0).column(0)
    at = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 1
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])


def changed(change: Callable[[pa.Table], pa.Table]) -> Spoil:
    def write(path: Path, whole: bytes) -> None:
        table = change(pq.read_table(pa.BufferReader(whole)))
        pq.write_table(table.replace_schema_metadata(OURS), path)

    return write


def with_column(table: pa.Table, name: str, values: list[object], kind: pa.DataType) -> pa.Table:
    at = table.column_names.index(name)
    return table.set_column(at, name, pa.array(values * table.num_rows, kind))


def foreign(path: Path, whole: bytes) -> None:
    pq.write_table(pa.table({"key": ["x"], "status": ["ok"]}), path)


def no_text(table: pa.Table) -> pa.Table:
    """Bytes that are no UTF-8 where a text belongs: in the first column, which is one."""
    bad = pa.array([b"\xff\xfe"] * table.num_rows, pa.binary()).view(pa.string())
    return table.set_column(0, table.column_names[0], bad)


def unix_socket(path: Path, _: bytes) -> None:
    made = socket.socket(socket.AF_UNIX)
    before = Path.cwd()
    os.chdir(path.parent)  # for the length of such a name is limited
    try:
        made.bind(path.name)
    finally:
        os.chdir(before)
        made.close()


ANYWHERE: dict[str, Spoil] = {
    "cut in half": cut,
    "empty": lambda path, _: path.write_bytes(b""),
    "text": lambda path, _: path.write_text("key,status\n"),
    "zeros": lambda path, whole: path.write_bytes(bytes(len(whole))),
    "rotten": rotten,
    "another's": foreign,
    "no version": lambda path, whole: pq.write_table(
        pq.read_table(pa.BufferReader(whole)).replace_schema_metadata({b"aebench_schema": b"x"}),
        path,
    ),
    "a folder": lambda path, _: path.mkdir(),
    "a pipe": lambda path, _: os.mkfifo(path),
    "a socket": unix_socket,
    "a device": lambda path, _: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path, _: path.symlink_to(path.name),
    "a link to nowhere": lambda path, _: path.symlink_to("missing"),
    "no UTF-8": changed(no_text),
    "a column twice": changed(lambda t: t.append_column(t.column_names[0], t.column(0))),
}
PART: dict[str, Spoil] = ANYWHERE | {
    "a text for a number": changed(lambda t: with_column(t, "mse", ["0.5"], pa.string())),
    "a fraction for a whole": changed(lambda t: with_column(t, "latent", [4.0], pa.float64())),
    "a number for rows": changed(lambda t: with_column(t, "epochs_rows", [1], pa.int64())),
    "no key": changed(lambda t: with_column(t, "key", [None], pa.string())),
    "an empty key": changed(lambda t: with_column(t, "key", [""], pa.string())),
    "another's key": changed(lambda t: with_column(t, "key", [key(5)], pa.string())),
    "two records": changed(lambda t: pa.concat_tables([t, t])),
    "no record": changed(lambda t: t.slice(0, 0)),
}
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@posix
@pytest.mark.parametrize("spoil", PART.values(), ids=PART.keys())
def test_a_spoilt_part_is_named_and_kept_and_its_job_can_be_stored(
    results: Store, spoil: Spoil
) -> None:
    path = results.write(record(1))
    whole = path.read_bytes()
    path.unlink()
    results.write(record(2))
    spoil(path, whole)
    (said,) = results.read().problems
    assert said.path == path
    assert results.survey().problems == [said]
    assert results.statuses() == {key(2): "ok"}
    assert results.ending(key(1)) is None
    path.rename(results.parts / f"{key(1)}.parquet")  # where older versions put the record
    results.write(record(1, status="killed", reason="the worker died"))
    results.compact()
    found = results.read()
    assert len(found.problems) == 1
    assert keys(found) == [key(1), key(2)]
    assert singles(results) == [results.parts / f"{key(1)}.parquet"]


# Each way for a table of every kind (jobs, what packs hold, shared rows), and a few for all.
SPOILT = [
    pytest.param(table, spoil, id=f"{table}, {name}")
    for table in TABLES
    for name, spoil in ANYWHERE.items()
    if table in ("jobs", "epochs", "baselines") or name in ("cut in half", "rotten", "another's")
]


@posix
@pytest.mark.parametrize(("table", "spoil"), SPOILT)
def test_a_spoilt_table_is_set_aside_and_made_anew(
    results: Store, table: str, spoil: Spoil
) -> None:
    results.write(record(1))
    results.compact()
    path = results.path / f"{table}.parquet"
    whole = path.read_bytes()
    path.unlink()
    spoil(path, whole)
    found = results.read()
    assert keys(found) == [key(1)]
    assert counts(found) == (1, 2, 1, 3, 1, 3, 1)
    if spoil in (rotten, ANYWHERE["no UTF-8"]) and table in (
        "epochs",
        "samples",
        "probes",
        "rates",
        "codes",
    ):
        return  # whose rows are not read where packs hold them
    assert [str(path) in str(said) for said in found.problems] == [True]
    assert results.statuses() == {key(1): "ok"}
    (told,) = results.compact()
    assert f"set aside as {path.name}.aside-1" in str(told)
    assert os.path.lexists(path.with_name(f"{path.name}.aside-1"))
    assert results.read().problems == []
    assert pq.read_table(path).num_rows > 0


@posix
@pytest.mark.parametrize("name", ["a text for a number", "rotten"])
def test_old_tables_of_which_one_is_spoilt_keep_the_others(results: Store, name: str) -> None:
    results.write(record(1))
    as_of_old(results)
    path = results.path / "epochs.parquet"
    whole = path.read_bytes()
    if name == "rotten":
        rotten(path, whole)
    else:
        changed(lambda t: with_column(t, "val_mse", ["much"], pa.string()))(path, whole)
    found = results.read()
    assert counts(found) == (1, 0, 1, 3, 1, 3, 1)
    assert [str(path) in str(said) for said in found.problems] == [True]
    results.write(record(2))
    assert len(results.compact()) == 1
    assert counts(results.read()) == (2, 2, 2, 3, 2, 4, 2)


def test_copies_under_other_names_are_no_second_record(results: Store) -> None:
    part = results.write(record(1))
    copies = [part.with_name(f"{part.stem} (copy).parquet"), part.with_name("mine.parquet")]
    copies.append(part.with_name(f"{key(1)} (copy).parquet"))
    for copy in copies:
        copy.write_bytes(part.read_bytes())
    results.write(record(2))
    for _ in range(2):
        found = results.read()
        assert counts(found) == (2, 4, 2, 3, 2, 4, 2)
        assert len(found.problems) == 3
        assert all(any(str(copy) in str(said) for said in found.problems) for copy in copies)
        results.compact()
    assert all(copy.exists() for copy in copies)
    (pack,) = packs(results)
    pack.with_name(f"{pack.stem} (copy).parquet").write_bytes(pack.read_bytes())
    assert counts(results.read()) == (2, 4, 2, 3, 2, 4, 2)
    assert len(results.read().problems) == 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: pa.concat_tables([t, t]), "2 of its jobs are there a second time"),
        (
            lambda t: pa.concat_tables([t, with_column(t.slice(0, 1), "key", [None], pa.string())]),
            "1 of its jobs have no key",
        ),
    ],
)
def test_rows_of_a_table_that_name_no_job_or_one_twice_are_left_out(
    results: Store, change: Callable[[pa.Table], pa.Table], said: str
) -> None:
    for n in (1, 2):
        results.write(record(n))
    as_of_old(results)
    for table in TABLES if "second" in said else ("jobs",):
        path = results.path / f"{table}.parquet"
        changed(change)(path, path.read_bytes())
    found = results.read()
    assert counts(found) == (2, 4, 2, 3, 2, 4, 2)
    assert [said in str(problem) for problem in found.problems] == [True]
    assert len(results.compact()) == 1
    assert counts(results.read()) == (2, 4, 2, 3, 2, 4, 2)
    assert results.read().problems == []


def test_a_picture_that_has_rotted_takes_no_job_with_it(results: Store) -> None:
    """A pack of which one column is spoilt still says what the jobs were.

    A picture does not compress: another bit in it is another picture, which only a checksum tells.
    """
    picture = random.Random(0).randbytes(5000)
    for n in range(3):
        one = record(n)
        results.write(replace(one, samples=[{**one.samples[0], "input_png": picture}]))
    results.compact()
    (pack,) = packs(results)
    whole = bytearray(pack.read_bytes())
    with pq.ParquetFile(pack) as file:
        group = file.metadata.row_group(0)
        columns = [group.column(i) for i in range(group.num_columns)]
    (chunk,) = [c for c in columns if c.path_in_schema.endswith("input_png")]
    begins = chunk.dictionary_page_offset or chunk.data_page_offset
    whole[begins + chunk.total_compressed_size // 2] ^= 255
    pack.write_bytes(whole)
    assert len(results.statuses()) == 3
    results.write(record(3))
    for _ in range(2):
        found = results.read()
        assert len(found.jobs) == 4
        assert [str(pack) in str(said) for said in found.problems] == [True]
        results.compact()
    assert pack.read_bytes() == whole


@pytest.mark.parametrize("place", ["jobs.parquet", "parts/0123456789abcdef.parquet"])
def test_a_folder_of_nothing_but_a_spoilt_file_takes_records(results: Store, place: str) -> None:
    results.prepare()
    (results.path / place).write_bytes(b"junk")
    results.compact()
    results.write(record(2))
    results.compact()
    assert results.statuses() == {key(2): "ok"}
