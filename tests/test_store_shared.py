"""A results folder of several users and processes, and of a system that refuses."""

from __future__ import annotations

import codecs
import contextlib
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st
from test_store import TABLES, at, counts, key, keys, record, singles

from aebench import store
from aebench.errors import RequestError
from aebench.store import Record, Store, merging

ANN, BOB, GROUP = 65001, 65002, 65010
root_only = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can become other users"
)


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user may enter, which those of pytest are not."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o777)
    yield made
    shutil.rmtree(made)


@contextlib.contextmanager
def user(number: int, umask: int) -> Iterator[None]:
    """Be another user, of our group, for files and folders."""
    codecs.lookup("ascii")  # loaded on first use, from where the other user may not look
    before = os.umask(umask)
    os.setegid(GROUP)
    os.seteuid(number)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.umask(before)


def run_of(one: Store, n: int) -> None:
    """What a run does with a folder."""
    one.prepare()
    one.compact()
    one.write(record(n, seed=n))
    one.write(record(n + 1, status="failed"))
    one.compact()


@root_only
def test_two_users_of_a_group_share_a_folder(shared: Path) -> None:
    one = Store(shared / "results")
    with user(ANN, 0o002):
        run_of(one, 1)
    with user(BOB, 0o002):
        run_of(one, 5)
    assert (one.path / ".lock").stat().st_mode & 0o777 == 0o664
    with user(ANN, 0o002):
        run_of(one, 9)
        assert keys(one.read()) == [key(n) for n in (1, 2, 5, 6, 9, 10)]
    assert not singles(one)
    assert (one.path / "jobs.parquet").stat().st_uid == ANN


@root_only
@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_another_users_lock_and_parts_are_no_obstacle(shared: Path, mode: int) -> None:
    one = Store(shared / "results")
    with user(ANN, 0o022):
        run_of(one, 1)
        one.write(record(3))
        for folder in (one.path, one.parts):
            folder.chmod(mode)
    with user(BOB, 0o022):
        one.prepare()
        one.write(record(5))
        told = one.compact()
        # In a sticky folder nobody replaces Ann's tables but Ann.
        assert ["codes.parquet: cannot be made anew" in str(said) for said in told] == (
            [True] if mode == 0o1777 else []
        )
        assert keys(one.read()) == [key(n) for n in (1, 2, 3, 5)]
    with user(ANN, 0o022):
        assert one.compact() == []
        assert keys(one.read()) == [key(n) for n in (1, 2, 3, 5)]


@root_only
def test_a_folder_of_another_user_is_one_sentence(shared: Path) -> None:
    one = Store(shared / "results")
    with user(ANN, 0o022):
        run_of(one, 1)
    with user(BOB, 0o022):
        assert len(one.read().jobs) == 2
        with pytest.raises(RequestError, match=r"cannot write results to .*Permission denied"):
            one.prepare()
        with pytest.raises(RequestError, match=r"cannot write a record to .*Permission denied"):
            one.write(record(3))
        assert one.compact() == []  # for there is nothing to do
    with user(ANN, 0o077):
        secret = Store(shared / "secret")
        run_of(secret, 1)
        assert (secret.path / "jobs.parquet").stat().st_mode & 0o777 == 0o600
    with user(BOB, 0o022), pytest.raises(RequestError):
        secret.read()
    one.parts.chmod(0o700)
    with user(BOB, 0o022):
        found = one.read()
        assert len(found.jobs) == 2  # as the tables have them
        assert [str(one.parts) in str(said) for said in found.problems] == [True]


@root_only
def test_a_folder_that_turns_read_only_loses_nothing(shared: Path) -> None:
    one = Store(shared / "results")
    with user(ANN, 0o022):
        one.write(record(1))
        one.parts.chmod(0o555)
        for act in (lambda: one.write(record(2)), one.compact):
            with pytest.raises(RequestError, match="cannot write a record"):
                act()
        assert keys(one.read()) == [key(1)]


@pytest.mark.parametrize(
    ("module", "name"),
    [(os, "fsync"), (os, "replace"), (Path, "open"), (Path, "mkdir"), (Path, "unlink")],
)
def test_whatever_the_system_refuses_is_one_sentence(
    results: Store, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
    for n in (1, 2):
        results.write(record(n))

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, name, refuse)
        for act in (results.compact, lambda: results.write(record(3))):
            if name == "unlink" and act is not results.compact:
                continue
            with pytest.raises(RequestError, match="No space left on device"):
                act()
    assert keys(results.read()) == [key(1), key(2)]
    assert not list(results.path.rglob(".*.parquet"))


@pytest.mark.parametrize("kind", ["held", "folder", "pipe", "refused"])
def test_a_lock_that_cannot_be_had_stops_nobody(
    results: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    results.write(record(1))
    lock = results.path / ".lock"
    monkeypatch.setattr(store, "_LOCK_S", 0.1)
    with contextlib.ExitStack() as held:
        if kind == "held":  # by a process that was stopped
            held.enter_context(FileLock(lock))
        elif kind == "folder":
            lock.mkdir()
        elif kind == "pipe":
            os.mkfifo(lock)
        else:  # as by file systems that know no locks

            def refuse(*_: Any, **__: Any) -> None:
                raise NotImplementedError

            monkeypatch.setattr(FileLock, "acquire", refuse)
        results.compact()
    assert not singles(results)
    assert keys(results.read()) == [key(1)]


def write_many(path: Path, first: int, count: int, every: int) -> None:
    store._LOCK_S = 0.0  # whoever finds another at work goes on beside it
    target = Store(path)
    for n in range(first, first + count):
        target.write(record(n, epochs=1))
        if n % every == 0:
            target.compact()


@pytest.mark.slow
def test_two_processes_fold_at_once_without_a_lock_while_a_third_writes(results: Store) -> None:
    context = multiprocessing.get_context("spawn")
    work = [(0, 12, 3), (1000, 12, 4), (2000, 20, 10**6)]
    processes = [
        context.Process(target=write_many, args=(results.path, *each), daemon=True) for each in work
    ]
    for process in processes:
        process.start()
    seen: set[str] = set()
    while any(process.is_alive() for process in processes):
        if seen or results.exists:  # and a fourth reads: what was there once never goes away
            found = results.read()
            assert found.problems == []
            assert found.jobs["key"].is_unique
            assert seen <= set(found.jobs["key"])
            seen = set(found.jobs["key"])
            time.sleep(0.05)  # the writers need the processor
    for process in processes:
        process.join()
        assert process.exitcode == 0
    results.compact()
    assert counts(results.read()) == (44, 44, 44, 3, 44, 46, 44)
    assert not singles(results)


_RECORDS = st.builds(
    lambda n, status, minute, mse, epochs: record(
        n, epochs=epochs, status=status, mse=float(mse), started_at=at(minute) if minute else None
    ),
    st.integers(0, 3),
    st.sampled_from(["ok", "failed", "killed"]),
    st.integers(0, 2),
    st.integers(0, 1),
    st.integers(0, 2),
)
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2), _RECORDS),
        st.tuples(st.just("fold"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("copy"), st.integers(0, 2), st.integers(0, 2)),
        st.tuples(st.just("merge"), st.integers(0, 2), st.integers(0, 2)),
    ),
    max_size=10,
)


def rank(one: Record) -> tuple[Any, ...]:
    """The rule, said once more: how good a record is."""
    return (one.job["status"] == "ok", one.job["started_at"] or "")


@pytest.mark.slow
@settings(max_examples=20, deadline=None, database=None, derandomize=True)
@given(_STEPS)
def test_any_order_of_writing_folding_copying_and_merging_gives_the_best_records(
    steps: list[tuple[Any, ...]],
) -> None:
    """Against a dictionary that keeps, for each folder and key, the best that has come there."""
    with tempfile.TemporaryDirectory() as made, pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_COMPACT_AT", 2)
        patch.setattr(os, "fsync", lambda _: None)
        folders = [Store(Path(made) / name) for name in "abc"]
        best: list[dict[str, tuple[Any, ...]]] = [{}, {}, {}]
        for what, at_, more in steps:
            if what == "write":
                folders[at_].write(more)
                name = more.job["key"]
                best[at_][name] = max(best[at_].get(name, (False, "")), rank(more))
            elif what == "fold":
                folders[at_].compact(force=more)
            elif at_ != more and best[at_]:
                if what == "copy":
                    shutil.copytree(folders[at_].path, folders[more].path, dirs_exist_ok=True)
                else:
                    merging.merge([folders[at_].path], folders[more].path)
                for name, one in best[at_].items():
                    best[more][name] = max(best[more].get(name, (False, "")), one)
        everything = []
        for folder, expected in zip(folders, best, strict=True):
            if not folder.exists:
                assert not expected
                continue
            found = folder.read()
            assert found.problems == []
            rows = found.jobs.set_index("key")
            assert rows.index.is_unique
            started = rows["started_at"].fillna("")
            assert {
                name: (rows["status"][name] == "ok", started[name]) for name in rows.index
            } == expected
            everything.append(folder.path)
        if any(best):
            # And whatever the order, all of them together are the same to the last figure.
            merged = []
            for number, order in enumerate((everything, everything[::-1])):
                target = Store(Path(made) / f"all{number}")
                for path in order:
                    shutil.copytree(path, target.path, dirs_exist_ok=True)
                    target.compact()
                merged.append(target.read())
            for table in TABLES:
                first, second = (
                    getattr(each, table).sort_values(
                        list(getattr(each, table))[:3], ignore_index=True
                    )
                    for each in merged
                )
                assert first.equals(second), table
