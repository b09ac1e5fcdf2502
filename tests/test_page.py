"""The page as a whole: well formed, complete, the same from the same results."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import NARROW, Browser
from test_report_records import failure, record, stored, study

from aebench.analysis import frames
from aebench.errors import RequestError
from aebench.page import cards, render, timing
from aebench.page.html import page
from aebench.store import Results, Store
from aebench.store.layout import TABLES

VOID = {"meta", "link", "img", "input", "br"}


class Checked(HTMLParser):
    """Collects ids, tags and text, and fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found[n] for n in ("href", "xlink:href", "src") if n in found]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def varied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several datasets, engines and machines, failures, a torn file."""
    folder = tmp_path_factory.mktemp("varied")
    gpu = {"device": "cuda", "engine": "reference"}
    stored(
        folder,
        *study(3),
        *(record("mlp", k, dataset="digits", seed=s, epochs=2) for k in (4, 16) for s in (0, 1)),
        *(record("conv", k, dataset="digits", epochs=2) for k in (1, 4)),
        *(record("mlp", 512, repeat=r, seconds=20 + r, **gpu) for r in range(3)),
        *(record("conv", 128, repeat=r, seconds=26 + r, **gpu) for r in range(3)),
        record("mlp", 32, row={"concurrent": True}),
        failure(reason="<script>alert('reason')</script>"),
        failure("mlp", 77, status="out_of_memory", reason="CUDA out of memory"),
    )
    (folder / "parts" / "torn.parquet").write_bytes(b"PAR1 not at all")
    return folder


@pytest.fixture(scope="module")
def html(varied: Path) -> str:
    output = varied / "new" / "report.html"
    assert render(str(varied), output) == output
    assert [p.name for p in output.parent.iterdir()] == ["report.html"]
    assert output.stat().st_size < 1_500_000
    return output.read_text(encoding="utf-8")


def test_page_is_well_formed_and_its_ids_are_unique(html: str) -> None:
    checked = Checked(html)
    assert len(checked.ids) == len(set(checked.ids))
    assert ("html", {"lang": "en"}) in checked.tags
    anchors = [link[1:] for link in checked.links if link.startswith("#")]
    assert set(anchors) <= set(checked.ids)
    for reference in re.findall(r"url\(#([^)]+)\)", html):
        assert reference in checked.ids


def test_page_needs_nothing_from_outside(html: str) -> None:
    checked = Checked(html)
    assert all(link.startswith(("#", "data:")) for link in checked.links)
    policy = next(a["content"] for t, a in checked.tags if a.get("http-equiv"))
    assert policy == (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    )
    assert "@import" not in html
    assert set(re.findall(r"url\(\s*['\"]?(.)", html)) == {"#"}


def test_tables_and_charts_are_accessible(html: str) -> None:
    checked = Checked(html)
    count = [tag for tag, _ in checked.tags].count
    assert count("table") == count("caption") > 10
    assert all("scope" in attrs for tag, attrs in checked.tags if tag == "th")
    assert all(attrs.get("alt") for tag, attrs in checked.tags if tag == "img")
    charts = [attrs for tag, attrs in checked.tags if tag == "svg" and "aria-hidden" not in attrs]
    assert len(charts) > 8
    assert all(c["role"] == "img" and c["aria-label"] for c in charts)
    assert count("figcaption") == count("figure") > 8
    small = [c for c in charts if c.get("class", "").split(" ")[0] in ("spark", "film")]
    assert len(small) > 30
    drawn = [part for part in html.split("<figure")[1:] if 'class="plot"' in part]
    assert len(drawn) == len(charts) - len(small)
    for part in drawn:
        assert "Data of this chart" in part or "in the table of all models." in part


def test_what_is_styled_is_there(html: str) -> None:
    styled = set(re.findall(r"\b(t[dh])\.([\w-]+)", html[: html.index("</style>")]))
    assert len(styled) > 6
    for tag, look in styled - {("td", "kernels")}:  # which stand only where they differ
        assert re.search(rf'<{tag}[^>]* class="[^"]*\b{look}\b', html), look


def test_verdicts_are_words_and_symbols(html: str) -> None:
    assert re.search(r'class="verdict replicated">✔ replicated', html)
    assert re.search(r'class="verdict undecided">\? undecided', html)
    assert (
        "The study&#39;s 23 findings are judged in 30 rows, one for each way to read them and each "
        "device: 21 replicate, 0 are consistent with fewer than 3 seeds, 0 do not replicate, 4 are "
        "undecided and 5 were not tested." in html
    )
    for verdict, count in (("consistent", 0), ("undecided", 4), ("not-tested", 5)):
        assert re.search(rf'<li class="{verdict}"><b>{count}</b>', html)
    # Each of the five has a look of its own.
    looks = re.findall(
        r"^\.(replicated|consistent|not-replicated|undecided|not-tested) (\{.*\})$", html, re.M
    )
    assert len(looks) == len({look for _, look in looks}) == 5
    assert len(set(cards.SYMBOLS.values())) == 5


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_one_seed_is_not_shown_as_replicated(tmp_path: Path) -> None:
    text = page(stored(tmp_path, *study(1)))
    assert 'class="verdict consistent">≈ consistent, one seed<' in text
    assert 'class="verdict replicated"' not in text
    assert '<li class="replicated"><b>0</b>' in text
    assert "0 replicate, 21 are consistent with fewer than 3 seeds" in text


def test_page_tells_failures_gaps_and_problems(html: str) -> None:
    assert "1 failed and 1 out of memory" in html
    assert "CUDA out of memory" in html
    assert "1 finished job is left out" in html
    assert "torn.parquet: unreadable" in html
    assert 'class="missing">none' in html


@pytest.mark.slow
def test_fields_cannot_inject_anything(varied: Path, html: str) -> None:
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(&#39;reason&#39;)&lt;/script&gt;" in html
    evil = '"><script>alert(1)</script>'
    row = {"architecture": evil, "dataset": evil, "device_name": evil, "torch": evil}
    results = stored(varied.parent / "evil", record("mlp", 4, row=row), record("mlp", 5, row=row))
    text = page(results)
    Checked(text)
    assert text.count("<script") == html.count("<script")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_same_results_give_the_same_bytes_in_any_order(varied: Path) -> None:
    results = Store(varied).read()
    shuffled = Results(
        *(getattr(results, name).sample(frac=1, random_state=3) for name in TABLES),
        problems=results.problems[::-1],
    )
    first = page(results)
    assert page(shuffled) == first
    assert str(varied) not in first


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_compacted_results_give_the_same_bytes(tmp_path: Path) -> None:
    records = [record("mlp", 4, dataset="digits"), failure()]
    before = page(stored(tmp_path, *records))
    Store(tmp_path).compact()
    assert page(Store(tmp_path).read()) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="nothing"),
        pytest.param([failure()], id="one failure"),
        pytest.param(
            [record("conv", 1, epochs=1, row={"concurrent": True})], id="one epoch and no times"
        ),
        pytest.param([record("mine", 4, dataset="digits")], id="a plugin has the only job"),
        pytest.param(
            [record("mlp", 4, row={"mean_mse": None, "pca_mse": None, "train_s": None})],
            id="nulls",
        ),
        pytest.param(
            [dataclasses.replace(record("mlp", 4), epochs=(), samples=(), baselines=(), probes=())],
            id="jobs table only",
        ),
        pytest.param(
            [
                *(record("conv", 8, depth=d, epochs=2) for d in (2, 3, 4, 5)),
                *(record("conv", k, epochs=2) for k in range(1, 10)),
            ],
            id="more lines than colours and dashes",
        ),
    ],
)
def test_whatever_is_there_renders(tmp_path: Path, records: list) -> None:
    text = page(stored(tmp_path, *records))
    Checked(text)
    assert text.count('<article class="card"') == 23
    assert not re.search(r"\bnan\b|>None<", text)
    if not any(r.job["status"] == "ok" for r in records):
        assert "<svg" not in text
        assert "No finished job has an error to show." in text


def test_missing_folder_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no results at"):
        render(tmp_path / "nowhere", tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_jobs_table_has_every_job(html: str) -> None:
    body = html[html.index('id="jobs-table"') :]
    assert body[: body.index("</table>")].count("<tr>") == 52


@pytest.mark.browser
def test_page_runs_in_chromium(html: str, browser: Browser) -> None:
    with browser.open(html, size=NARROW) as shown:
        found = shown.run("""
          document.querySelector("#records summary").click();
          await new Promise((next) => setTimeout(next, 100));
          document.querySelector("#jobs-table thead button").click();
          const input = document.querySelector("#jobs input");
          const rows = [...document.querySelectorAll("#jobs-table tbody tr")];
          const found = ["conv failed", "mnist conv-16"].map((words) => {
            input.value = words;
            input.dispatchEvent(new Event("input"));
            return rows.filter((row) => !row.hidden).length;
          });
          document.querySelector(".theme").click();
          return [
            ...found,
            document.documentElement.dataset.theme,
            document.documentElement.scrollWidth <= innerWidth,
            document.querySelector("#jobs-table th").getAttribute("aria-sort"),
          ];
        """)
        assert shown.complaints == []
    # A model is found by the name that it has everywhere else.
    assert found == [1, 3, "dark", True, "ascending"]


def test_time_table_compares_only_what_is_alike(varied: Path) -> None:
    timed = frames.timed(frames.ordered(Store(varied).read()).jobs)
    assert not timed["concurrent"].any()
    groups = [g for _, rows in frames.by_dataset(timed, "settings") for g in frames.alike(rows)]
    assert len(groups) == 4
    for group in groups:
        assert len(group.drop_duplicates(frames.ALIKE)) == 1
    table = timing.times(groups[1], "caption")
    assert [row[0].text for row in table.rows] == ["mlp-512", "conv-128"]
    assert table.rows[0][5].text == "1 (reference)"
    assert table.rows[1][5].value == pytest.approx(27 / 21, rel=0.01)
    assert table.rows[0][4].look == "warn"  # 20, 21, 22 s: a spread of 9.5 %
