"""Whatever became of the files of a results folder: the rest is shown, and the loss is named."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzzing import World, bounded, fuzzed, world
from hypothesis import example, given
from hypothesis import strategies as st
from test_report_records import failure

from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Store
from aebench.worker import run_job

FOLDER = "results/mine"
COMMANDS = [
    ["show", FOLDER],
    ["show", FOLDER, "--format", "csv"],
    ["show", FOLDER, "--format", "json"],
    ["show", FOLDER, "--format", "markdown"],
    ["show"],
    ["findings", FOLDER],
    ["findings", FOLDER, "--format", "json"],
    ["check", FOLDER],
    ["check", FOLDER, "--format", "json"],
    ["compare", FOLDER, FOLDER],
    ["compare", "results/whole", FOLDER, "--fail-if", "mse > 1%"],
    ["tune", FOLDER, "--output", "tuned.toml"],
    ["run", "--plan", "--architecture", "mlp", "--dataset", "digits", "--latent", "2",
     "--results", FOLDER],
]  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Real results: two models of the digits and a failure, in tables; a third one as a part."""
    with pytest.MonkeyPatch.context() as patch, world(tmp_path_factory.mktemp("r"), patch) as made:
        store = Store(made.template / "results" / "mine")
        where = Circumstances(data=made.base / "data")
        for latent in (2, 4):
            job = Job.create(architecture="mlp", dataset="digits", latent=latent, epochs=1)
            store.write(run_job(job, where))
        store.write(failure(dataset="digits"))
        store.compact(force=True)
        job = Job.create(architecture="conv", dataset="digits", latent=2, epochs=1)
        store.write(run_job(job, where))
        shutil.copytree(store.path, made.template / "results" / "whole")
        yield made


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.parquet") if not p.name.startswith("."))


# Each of these spoils a file; `place` in [0, 1] says where, `other` is another file of the folder.


def cut(path: Path, place: float, other: Path) -> None:
    path.write_bytes(path.read_bytes()[: int(place * path.stat().st_size)])


def flip(path: Path, place: float, other: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(int(place * len(data)), min(len(data), int(place * len(data)) + 8)):
        data[at] ^= 0xFF
    path.write_bytes(bytes(data))


def noise(path: Path, place: float, other: Path) -> None:
    path.write_bytes(bytes(int(place * 255) ^ i & 255 for i in range(2000)))


def lengthen(path: Path, place: float, other: Path) -> None:
    path.write_bytes(path.read_bytes() + b"PAR1" * 3)


def swap(path: Path, place: float, other: Path) -> None:
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)


def copy(path: Path, place: float, other: Path) -> None:
    shutil.copy(path, path.with_name(f"{path.stem} (copy).parquet"))


def become_folder(path: Path, place: float, other: Path) -> None:
    path.unlink()
    path.mkdir()


def become_pipe(path: Path, place: float, other: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def become_its_own_link(path: Path, place: float, other: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def become_dangling_link(path: Path, place: float, other: Path) -> None:
    path.unlink()
    path.symlink_to("no such file")


def become_device(path: Path, place: float, other: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def become_link_to_another(path: Path, place: float, other: Path) -> None:
    path.unlink()
    path.symlink_to(other)


def _table(change: Callable[[pa.Table, int], pa.Table]) -> Callable[[Path, float, Path], None]:
    def spoil(path: Path, place: float, other: Path) -> None:
        table = pq.read_table(path, partitioning=None)
        pq.write_table(change(table, int(place * (table.num_columns - 1))), path)

    spoil.__name__ = change.__name__
    return spoil


def _column(table: pa.Table, index: int, values: list) -> pa.Table:
    return table.set_column(index, table.column_names[index], pa.array(values))


@_table
def lose_column(table: pa.Table, index: int) -> pa.Table:
    return table.remove_column(index)


@_table
def column_of_words(table: pa.Table, index: int) -> pa.Table:
    return _column(table, index, ["words"] * len(table))


@_table
def column_of_numbers(table: pa.Table, index: int) -> pa.Table:
    return _column(table, index, [1.5] * len(table))


@_table
def column_of_nothing(table: pa.Table, index: int) -> pa.Table:
    return _column(table, index, [None] * len(table))


@_table
def column_of_lists(table: pa.Table, index: int) -> pa.Table:
    return _column(table, index, [[1]] * len(table))


@_table
def twice(table: pa.Table, index: int) -> pa.Table:
    return pa.concat_tables([table, table])


@_table
def no_rows(table: pa.Table, index: int) -> pa.Table:
    return table.slice(0, 0)


@_table
def no_columns(table: pa.Table, index: int) -> pa.Table:
    return table.select([])


@_table
def more_columns(table: pa.Table, index: int) -> pa.Table:
    return table.append_column("a column of tomorrow", pa.array([1] * len(table)))


@_table
def columns_of_one_name(table: pa.Table, index: int) -> pa.Table:
    return table.append_column(table.column_names[index], table.column(index))


SPOILERS = [
    cut, flip, noise, lengthen, swap, copy, lose_column, column_of_words, column_of_numbers,
    column_of_nothing, column_of_lists, twice, no_rows, no_columns, more_columns,
    columns_of_one_name,
]  # fmt: skip
if sys.platform != "win32":
    SPOILERS += [
        become_folder, become_pipe, become_its_own_link, become_dangling_link, become_device,
        become_link_to_another,
    ]  # fmt: skip

PIPE = become_pipe if become_pipe in SPOILERS else cut

spoiling = st.tuples(
    st.sampled_from(SPOILERS), st.integers(0, 30), st.integers(1, 30), st.floats(0, 1)
)


def spoil(folder: Path, what: list[tuple]) -> set[Path]:
    """Spoil files of `folder`; gives those touched. A file that another spoiler took is left."""
    touched: set[Path] = set()
    present = files(folder)
    for spoiler, which, step, place in what:
        path, other = present[which % len(present)], present[(which + step) % len(present)]
        if touched & {path, other} or path == other:
            continue
        spoiler(path, place, other)
        touched |= {path, other} if spoiler is swap else {path}
    return touched


def torn(path: Path) -> bool:
    """Whether nobody could read this as Parquet."""
    if not path.is_file():
        return True
    try:
        pq.ParquetFile(path)
    except (pa.ArrowException, OSError, ValueError):
        return True
    return False


def keys(folder: Path) -> set[str]:
    try:
        with bounded(folder):
            return set(Store(folder).read().jobs["key"])
    except ValueError:  # no results at all
        return set()


# One of each kind that once ended in a traceback, a second row, a wait or silence.
JOBS, PART, EPOCHS, BASELINES = 3, 4, 2, 0  # places in the sorted list of files


@pytest.mark.slow
@fuzzed(25)
@given(st.lists(spoiling, min_size=1, max_size=3), st.sampled_from(COMMANDS))
@example([(column_of_words, EPOCHS, 1, 0.6)], ["check", FOLDER])
@example([(column_of_words, PART, 1, 0.3)], ["show", FOLDER])
@example([(column_of_numbers, BASELINES, 1, 0.6)], ["findings", FOLDER])
@example([(column_of_lists, BASELINES, 1, 0.0)], ["show", FOLDER])
@example([(columns_of_one_name, JOBS, 1, 0.3)], ["show", FOLDER])
@example([(columns_of_one_name, EPOCHS, 1, 0.3)], ["show", FOLDER])
@example([(swap, JOBS, 2, 0.5)], ["check", FOLDER])
@example([(PIPE, BASELINES, 1, 0.5)], ["show", FOLDER])
@example([(become_its_own_link, JOBS, 1, 0.5)], ["show", FOLDER])
@example([(become_dangling_link, PART, 1, 0.5)], ["show", FOLDER])
@example([(become_dangling_link, PART, 1, 0.5)], ["show"])
def test_a_spoiled_folder_is_shown_without_what_was_lost(
    here: World, what: list[tuple], command: list[str]
) -> None:
    folder = here.renewed() / FOLDER
    there = keys(folder)
    touched = spoil(folder, what)
    answer = here.answer(*command)
    answer.check()
    other = "the newest of yours" in answer.err and f"{FOLDER}, the newest" not in answer.err
    if answer.code == 2 or other:
        return
    named = [path.name for path in touched if path.name in answer.err]
    for path in files(folder):
        assert path.name in named or not torn(path), f"{path.name} was left out without a word"
    if touched and there - keys(folder):
        assert named, "records are lost, and no file is named"


@pytest.mark.slow
@fuzzed(20)
@given(st.lists(spoiling, min_size=1, max_size=2))
@example([(copy, PART, 1, 0.5)])
@example([(twice, PART, 1, 0.5)])
@example([(twice, JOBS, 1, 0.5)])
@example([(swap, JOBS, 2, 0.5)])
@example([(column_of_nothing, JOBS, 1, 0.0)])
def test_what_was_not_touched_is_there(here: World, what: list[tuple]) -> None:
    """Every record of a file that is whole is read, once, whatever became of the others."""
    folder = here.renewed() / FOLDER
    rest = here.here / "rest"
    shutil.copytree(folder, rest)
    for path in spoil(folder, what):
        (rest / path.relative_to(folder)).unlink()
    try:
        with bounded(folder):
            jobs, statuses = Store(folder).read().jobs, Store(folder).statuses()
    except ValueError:
        assert not keys(rest)
        return
    assert jobs["key"].is_unique
    assert jobs["key"].notna().all()
    assert keys(rest) <= set(jobs["key"])
    assert set(statuses) == set(jobs["key"])


@pytest.mark.slow
@fuzzed(3)
@given(st.lists(spoiling, min_size=1, max_size=2))
def test_a_report_is_made_of_what_is_left(here: World, what: list[tuple]) -> None:
    spoil(here.renewed() / FOLDER, what)
    answer = here.answer("report", FOLDER, "--output", "page.html")
    answer.check()
    if answer.code == 0:
        assert "</html>" in Path("page.html").read_text("utf-8")
    assert not list(here.here.glob(".*")), "a part of a page was left"
