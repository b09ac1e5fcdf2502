"""The section of searches: who is drawn where, who wins, and that no other section has them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_report_records import record, stored

from aebench.analysis import frames, searches
from aebench.page import search as page_search
from aebench.page import svg
from aebench.page.html import page
from aebench.store import Record, Results

TUNED = {"command": "aebench tune --grid mine.toml --budget 1h"}


def candidate(rate: float, epochs: int, val_mse: float | None, **fields: object) -> Record:
    row = TUNED | {"val_mse": val_mse} | ({} if val_mse else {"status": "diverged"})
    return record("mlp", 8, row=row, learning_rate=rate, epochs=epochs, **fields)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return stored(
        tmp_path,
        candidate(1e-3, 1, 0.05), candidate(3e-3, 1, 0.04), candidate(1e-2, 1, 0.03),
        candidate(3e-2, 1, None), candidate(3e-3, 3, 0.02), candidate(1e-2, 3, 0.025),
        candidate(2e-3, 1, 0.01, depth=2, options="hidden=9", optimizer="adamw"),
        record("mlp", 8), record("conv", 4),
    )  # fmt: skip


def test_a_search_is_of_one_model_and_its_winner_is_the_best_of_the_last_rung(
    results: Results,
) -> None:
    (found,) = searches.searches(results.jobs)
    assert (found.dataset, found.architecture, found.latent) == ("mnist", "mlp", 8)
    assert (found.rungs, found.failed, len(found.candidates)) == ([1, 3], 1, 6)
    rows = found.candidates
    assert rows.loc[found.winner, "val_mse"] == 0.02
    assert [rows.loc[label, "val_mse"] for label in found.path] == [0.04, 0.02]


def test_every_candidate_is_drawn_by_its_rung_and_the_winner_has_a_ring(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(svg, "inline", lambda figure, *_: drawn.append(figure) or "")
    section = page_search.section(results)
    assert section is not None
    joined, first, last, ring = drawn[0].axes[0].lines
    assert list(joined.get_ydata()) == [0.04, 0.02]
    assert set(zip(first.get_xdata(), first.get_ydata(), strict=True)) == {
        (1e-3, 0.05), (3e-3, 0.04), (1e-2, 0.03), (2e-3, 0.01)
    }  # fmt: skip
    assert sorted(last.get_ydata()) == [0.02, 0.025]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (3e-3, 0.02)
    assert first.get_marker() != last.get_marker()
    assert "1 candidate without an error not shown." in section.intro
    (table,) = section.charts[0].tables
    assert table.caption == "MNIST mlp-8: the 10 best of 6 candidates"
    texts = [[cell.text for cell in row] for row in table.rows]
    assert texts[0][2] == "3"
    assert float(texts[0][-1]) == 0.02
    (other,) = (row for row in texts if row[1] == "hidden=9")
    assert (other[0], other[-2]) == ("2", "optimizer=adamw")


def test_of_too_many_searches_the_first_are_drawn_and_the_others_have_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(svg, "inline", lambda figure, *_: drawn.append(figure) or "")
    monkeypatch.setattr(page_search, "_PANELS", 1)
    row = TUNED | {"val_mse": 0.1}
    more = [record("conv", 8, row=row, epochs=1, dataset=d) for d in ("mnist", "cifar10")]
    section = page_search.section(stored(tmp_path, candidate(1e-3, 1, 0.05), *more))
    assert section is not None
    assert [axes.get_title("left") for axes in drawn[0].axes] == ["CIFAR-10 conv-8"]
    assert "2 further searches not drawn." in section.intro
    assert len(section.charts[0].tables) == 3


# What counts all jobs: in a page without candidates, and in the same with seven.
COUNTS = {
    "<span>2 jobs</span>": "<span>2 jobs and 7 candidates of searches</span>",
    'message">2 jobs left a record: 2 finished.': (
        'message">9 jobs left a record: 8 finished, 1 diverged.'
    ),
    '<td class="n">2</td><td class="started">': '<td class="n">9</td><td class="started">',
    "<code>jobs.parquet</code> (2 rows)": "<code>jobs.parquet</code> (9 rows)",
    "<code>epochs.parquet</code> (30 rows)": "<code>epochs.parquet</code> (41 rows)",
    "<code>samples.parquet</code> (8 rows)": "<code>samples.parquet</code> (36 rows)",
    "<code>probes.parquet</code> (10 rows)": "<code>probes.parquet</code> (45 rows)",
    "records of 2 jobs": "records of 9 jobs",
    "<p>Failed jobs are rows too, with their reason.</p>": (
        "<p>Failed jobs are rows too, with their reason.</p>\n"
        "<p>6 candidates of searches finished and are not listed here. All their rows are in "
        "jobs.parquet of the results folder: pandas.read_parquet(&#34;jobs.parquet&#34;).</p>"
    ),
    "from 2 stored records": "from 9 stored records",
}


def apart(text: str) -> tuple[str, dict[str, set[str]]]:
    """A page without the section of searches and the rows of two tables; and these rows."""
    text = re.sub(r'<section id="search".*?</section>', "", text, flags=re.S)
    rows = {}
    for name in ("jobs", "definitions"):
        table = re.search(rf'<table id="{name}-table">.*?<tbody>(.*?)</tbody>', text, re.S)
        assert table is not None
        rows[name] = set(table[1].splitlines())
        text = text.replace(table[1], "")
    return text, rows


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_candidates_appear_in_this_section_only_but_for_those_that_failed(
    tmp_path: Path, results: Results
) -> None:
    html = page(results)
    plain = page(stored(tmp_path / "plain", record("mlp", 8), record("conv", 4)))
    assert 'id="search"' in html
    assert 'id="search"' not in plain
    with_them, more = apart(html)
    without, rows = apart(plain)
    # More rows of two tables, and some counts; everything else is the same to the letter.
    assert {name: len(more[name] - rows[name]) for name in rows} == {"jobs": 1, "definitions": 1}
    assert all(rows[name] < more[name] for name in rows)
    for before, after in COUNTS.items():
        assert without.count(before) == 1, before
        without = without.replace(before, after)
    assert with_them.splitlines() == without.splitlines()
    (failed,) = more["jobs"] - rows["jobs"]
    assert "learning_rate=0.03" in failed
    assert page(results) == html


def test_without_searches_nothing_is_taken_away(tmp_path: Path) -> None:
    results = frames.ordered(stored(tmp_path, record("mlp", 8)))
    assert searches.without(results) is results
    assert page_search.section(results) is None


@pytest.mark.usefixtures("undrawn")
def test_a_folder_of_nothing_but_a_search_has_a_page(tmp_path: Path) -> None:
    html = page(stored(tmp_path, candidate(1e-3, 1, 0.05), candidate(3e-3, 1, None)))
    assert 'id="search"' in html
    assert "the 10 best of 1 candidates" in html
