"""How a job ended, asked of a store by its key."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_store import at, key, record

from aebench.store import Store, files


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def test_a_job_s_ending_is_that_of_its_record_that_counts(results: Store) -> None:
    assert results.ending(key(1)) is None
    path = results.write(record(1, status="failed", started_at=at(5)))
    results.write(record(2))
    for _ in range(2):
        row = results.ending(key(1))
        assert row is not None
        assert (row["status"], row["started_at"]) == ("failed", at(5))
        assert results.ending(key(3)) is None
        results.compact()
    results.write(record(1, status="killed", started_at=at(6)))
    assert (results.ending(key(1)) or {})["status"] == "killed"
    results.write(record(1, status="ok", started_at=at(2)))
    assert (results.ending(key(1)) or {})["status"] == "ok"
    other = Store(results.path.parent / "other")
    path = other.write(record(1))
    path.write_bytes(path.read_bytes()[:99])
    assert other.ending(key(1)) is None


def test_how_jobs_ended_is_read_once_for_all_that_ask(
    results: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run of n jobs would read n times as many records."""
    for n in range(1, 9):
        results.write(record(n))
    results.compact()
    read, opened = files.read_records, []
    monkeypatch.setattr(
        files, "read_records", lambda path, *rest, **how: opened.append(path.name) or read(
            path, *rest, **how
        ),
    )  # fmt: skip
    (pack,) = results.parts.glob("pack-*")
    assert [(results.ending(key(n)) or {}).get("status") for n in range(1, 10)] == ["ok"] * 8 + [
        None
    ]
    assert opened == [pack.name]
    # Another process writes, and folds: what it has put there is seen.
    beside = Store(results.path)
    beside.write(record(9, status="failed"))
    assert (results.ending(key(9)) or {})["status"] == "failed"
    beside.compact()
    assert (results.ending(key(9)) or {})["status"] == "failed"
    assert (results.ending(key(1)) or {})["status"] == "ok"
    for path in results.parts.glob("pack-*"):
        path.unlink()
    (results.path / "jobs.parquet").unlink()
    assert results.ending(key(1)) is None
