"""What the page says of the records themselves."""

from pathlib import Path

import pytest
from test_report_records import failure, record, stored

from aebench.analysis import frames
from aebench.page import records as page_records
from aebench.page.html import page
from aebench.store import Store, read
from bench.test_tables import multiply, seeded


def test_coverage_counts_every_ending(tmp_path: Path) -> None:
    results = stored(
        tmp_path, record("mlp", 4), record("mlp", 4, seed=1), failure("mlp", 4, seed=2),
        failure("mlp", 8, status="timed_out"), record("conv", 8),
    )  # fmt: skip
    table = page_records.coverage(frames.ordered(results).jobs, "caption")
    cells = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert cells == {"mlp": ["✔ 2 ok, ✘ 1 failed", "✘ 1 timed_out"], "conv": ["none", "✔ 1 ok"]}


def test_many_jobs_are_counted_and_only_those_that_failed_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [record("mlp", 4, seed=s, epochs=1) for s in range(3)]
    made += [failure("mlp", 8, seed=s) for s in range(3)]
    results = frames.ordered(stored(tmp_path, *made))
    jobs = {s.id: s for s in page_records.sections(results, results)}["jobs"]
    assert len(jobs.tables[0].rows) == 6
    monkeypatch.setattr(page_records, "MOST", 2)
    jobs = {s.id: s for s in page_records.sections(results, results)}["jobs"]
    status = [column.name for column in jobs.tables[0].columns].index("status")
    assert [row[status].text for row in jobs.tables[0].rows] == ["failed"] * 2
    assert "6 jobs are too many to list here." in jobs.intro[0]
    assert "jobs.parquet" in jobs.intro[0]
    assert "Below are the first 2 of 3 jobs that did not finish." in jobs.intro[0]
    assert jobs.message == "6 jobs left a record: 3 finished, 3 failed."


@pytest.mark.slow
def test_the_page_of_ten_thousand_jobs_can_still_be_mailed(tmp_path: Path) -> None:
    stored(tmp_path / "one", record("mlp", 4, dataset="digits", epochs=2))
    Store(tmp_path / "one").compact()
    many = read(multiply(tmp_path / "one", seeded(10_000), tmp_path / "many"))
    assert len(many.jobs) == 10_000
    text = page(many)
    assert len(text.encode()) < 1_000_000  # three times that is too much to mail
    assert "10,000 jobs are too many to list here" in text
