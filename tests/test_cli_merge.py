"""`aebench merge`, and folders merged by copying: every record once, whoever brought it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest
from test_store import TABLES, as_of_old, at, counts, key, record

from aebench.job import Job
from aebench.store import Record, Store, read


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below `folder`, with its time and bytes."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def two(tmp_path: Path) -> tuple[Store, Store]:
    """Two folders of two machines that share three jobs; the second folder is folded."""
    a, b = Store(tmp_path / "a"), Store(tmp_path / "b")
    for n in range(4):
        a.write(record(n, started_at=at(n), machine_id="one"))
    b.write(record(0, status="failed", started_at=at(30), machine_id="two"))
    b.write(record(1, mse=9.0, started_at=at(30), machine_id="two"))
    b.write(record(2, started_at=at(2), machine_id="one"))  # the very same
    b.write(record(5, started_at=at(5), machine_id="two"))
    b.compact()
    return a, b


def test_merge_says_who_brought_what_and_what_was_settled(two, invoke) -> None:
    before = [content(store.path) for store in two]
    code, out, err = invoke("merge", "a", "b", "--into", "c", "--format", "json")
    assert code == 0
    told = json.loads(out)
    assert told == {
        "into": "c",
        "records": 5,
        "from": [
            {"folder": "a", "records": 4, "counted": 2},
            {"folder": "b", "records": 4, "counted": 3},
        ],
        "settled": {
            "ok before another ending": 1,
            "the later start": 1,
            "the same record": 1,
        },
        "problems": [],
    }
    assert "1 record gave way to another of the same job: the later start" in err
    jobs = read("c").jobs.set_index("key")
    # A machine's times stay that machine's.
    assert dict(jobs["machine_id"]) == {
        key(0): "one", key(1): "two", key(2): "one", key(3): "one", key(5): "two",
    }  # fmt: skip
    assert jobs.loc[key(1), "mse"] == 9.0
    assert [content(store.path) for store in two] == before


def test_a_merge_is_printed_in_every_form(two, invoke) -> None:
    assert "c: 5 records" in invoke("merge", "a", "b", "--into", "c")[1]
    csv = invoke("merge", "a", "b", "--into", "d", "--format", "csv")[1]
    assert csv.splitlines() == ["folder,records,counted", "a,4,2", "b,4,3"]
    markdown = invoke("merge", "a", "b", "--into", "e", "--format", "markdown")[1]
    assert "| b | 4 | 3 |" in markdown


def test_merging_in_another_order_or_twice_gives_the_same(two, invoke) -> None:
    for words in (["a", "b", "--into", "c"], ["b", "a", "--into", "d"], ["a", "b", "--into", "d"]):
        assert invoke("merge", *words)[0] == 0
    first, second = (
        read(folder).jobs.sort_values("key", ignore_index=True) for folder in ("c", "d")
    )
    assert first.equals(second)
    assert counts(read("c")) == counts(read("d")) == (5, 10, 5, 3, 5, 7, 5)


def test_a_folder_that_holds_results_already_keeps_them(two, invoke) -> None:
    c = Store("c")
    c.write(record(7))
    c.write(record(3, mse=7.0, started_at=at(50)))
    code, out, _ = invoke("merge", "a", "--into", "c")
    assert code == 0
    assert "c: 5 records" in out
    assert c.read().jobs.set_index("key").loc[key(3), "mse"] == 7.0
    assert len(c.statuses()) == 5


def test_published_tables_without_parts_are_merged_too(two, invoke) -> None:
    for store in two:
        as_of_old(store)
    assert invoke("merge", "a", "b", "--into", "c")[0] == 0
    assert counts(read("c")) == (5, 10, 5, 3, 5, 7, 5)


def test_what_cannot_be_read_is_named_and_the_rest_merged(two, invoke) -> None:
    a, _ = two
    (torn, *_) = sorted(a.parts.glob(f"{key(3)}*"))
    torn.write_bytes(torn.read_bytes()[:-9])
    code, out, err = invoke("merge", "a", "b", "--into", "c")
    assert code == 1
    assert torn.name in err
    assert "c: 4 records" in out
    assert set(read("c").jobs["key"]) == {key(n) for n in (0, 1, 2, 5)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "--into", "a"], "is or lies in a"),
        (["a", "b", "--into", "b/inside"], "is or lies in b"),
        (["a", "--into", "link"], "is or lies in a"),
        (["a", "missing", "--into", "c"], "no results at missing"),
        (["a", "foreign", "--into", "c"], "no results at foreign"),
        (["begun", "--into", "c"], "no record can be read in begun"),
        (["a", "--into", ""], "empty"),
        (["", "--into", "c"], "empty"),
        (["a", "--into", "file"], "cannot write results to file"),
        (["a"], "--into"),
        (["--into", "c"], "Missing argument"),
    ],
)
def test_a_wrong_request_ends_with_2_and_makes_nothing(two, words, said, invoke) -> None:
    Path("foreign").mkdir()
    Path("begun/parts").mkdir(parents=True)
    Path("link").symlink_to("a")
    Path("file").touch()
    before = sorted(Path().rglob("*"))
    code, out, err = invoke("merge", *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("folded", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_folders_copied_together_lose_nothing(
    tmp_path: Path, two, folded: tuple[int, ...], order: tuple[int, int]
) -> None:
    for place in folded:
        two[place].compact()
    both = Store(tmp_path / "both")
    for place in order:
        shutil.copytree(two[place].path, both.path, dirs_exist_ok=True)
    for _ in range(2):  # as copied, and after the next fold
        found = both.read()
        assert found.problems == []
        assert counts(found) == (5, 10, 5, 3, 5, 7, 5)
        jobs = found.jobs.set_index("key")
        assert jobs.loc[key(0), "status"] == "ok"
        assert jobs.loc[key(1), "mse"] == 9.0
        both.compact()
    for table in TABLES:  # and the tables are of both now
        assert (both.path / f"{table}.parquet").exists()


def test_folders_with_more_records_than_are_left_unfolded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aebench import store

    monkeypatch.setattr(store, "_COMPACT_AT", 4)
    both = Store(tmp_path / "both")
    for m in range(2):
        one = Store(tmp_path / f"m{m}")
        for n in range(10):
            one.write(record(n + 10 * m, epochs=1))
            one.compact(force=False)
        one.compact()
        shutil.copytree(one.path, both.path, dirs_exist_ok=True)
    assert counts(both.read()) == (20, 20, 20, 3, 20, 22, 20)
    both.compact()
    assert counts(both.read()) == (20, 20, 20, 3, 20, 22, 20)


@pytest.mark.parametrize("old", [False, True])
def test_a_torn_table_is_named_and_set_aside_by_the_same_command(
    tmp_path: Path, invoke, monkeypatch: pytest.MonkeyPatch, old: bool
) -> None:
    from aebench.executors import local

    trained: list[Job] = []

    def train(jobs: Sequence[Job], store: Store, *_: object) -> bool:
        for job in jobs:
            store.write(Record({"key": job.key, "status": "ok", "reason": ""} | asdict(job)))
        trained.extend(jobs)
        print("now they are trained", file=sys.stderr)
        return True

    monkeypatch.setattr(local, "run", train)
    words = ["run", "--dataset", "digits", "--architecture", "mlp", "--latent", "2..5"]
    words += ["--results", "runs"]
    assert invoke(*words)[0] == 0
    assert len(trained) == 4
    one = Store("runs")
    one.compact()
    if old:
        as_of_old(one)
    torn = tmp_path / "runs" / "jobs.parquet"
    half = torn.read_bytes()[: torn.stat().st_size // 2]
    torn.write_bytes(half)

    code, _, err = invoke(*words)
    assert code == 0
    assert "Traceback" not in err
    before, trains, _ = err.partition("now they are trained")
    assert "runs/jobs.parquet: unreadable" in before
    assert "set aside as jobs.parquet.aside-1" in before
    assert bool(trains) == old  # only where nothing else held the records
    assert len(trained) == (8 if old else 4)
    assert torn.with_name("jobs.parquet.aside-1").read_bytes() == half

    code, _, err = invoke(*words)
    assert code == 0
    assert "unreadable" not in err
    assert "4 of 4 jobs are in runs already" in err
