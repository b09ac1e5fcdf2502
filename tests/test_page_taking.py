"""Taking the report along: the citation, and the files that a script makes of the page."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from test_report_records import failure, record, stored, study

from aebench.analysis import findings, frames
from aebench.errors import RequestError
from aebench.page import printing, records, taking
from aebench.page.html import page
from aebench.store import Results

FORMULA = '=HYPERLINK("evil"), two\nlines'


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two families with charts, and a failure whose reason a spreadsheet would run."""
    records = (
        record(family, k, dataset="digits", epochs=2, seconds=k)
        for family in ("mlp", "conv-bottleneck")
        for k in (4, 16)
    )
    folder = tmp_path_factory.mktemp("taking")
    return stored(folder, *records, failure(dataset="digits", reason=FORMULA))


@pytest.fixture(scope="module")
def report(results: Results) -> str:
    return page(results)


def test_the_citation_tells_version_commits_dates_and_that_there_is_no_doi(tmp_path: Path) -> None:
    commits = [
        record("mlp", k, row={"commit": f"c0ffee{k}", "started_at": f"2026-11-{k:02d}T10:00:00"})
        for k in range(1, 7)
    ]
    program, mine = taking.citation(stored(tmp_path, *reversed(commits))).split("\n\n")
    assert program.startswith("@software{aebench,\n  author = {{The aebench authors}},\n")
    assert re.search(r"^  version = \{\d+\.\d+", program, re.M)
    assert mine.splitlines() == [
        "@misc{aebench-results,",
        "  title = {Autoencoders on MNIST: records of 6 jobs},",
        "  howpublished = {aebench 0.1.0, commits c0ffee1, c0ffee2, c0ffee3, c0ffee4 and 2 more},",
        "  year = {2026},",
        "  note = {Trained 2026-11-01 to 2026-11-06; no DOI}",
        "}",
    ]


def test_names_in_a_citation_are_text(tmp_path: Path) -> None:
    row = {"dataset": "50 % {a}_\\b\n", "commit": "", "started_at": None}
    text = taking.citation(stored(tmp_path, record("mlp", 4, row=row)))
    assert r"50 \% \{a\}\_\textbackslash{}b" in text
    assert "commit" not in text
    assert "  note = {no DOI}" in text
    assert "year" not in text
    assert taking.citation(stored(tmp_path / "none")).count("@") == 1


def test_every_finding_is_a_row_with_its_whole_numbers(tmp_path: Path) -> None:
    judged = findings.evaluate(frames.ordered(stored(tmp_path, *study(3))))
    heads, *rows = taking.findings(judged)
    assert len(rows) == len(judged)
    first = dict(zip(heads, rows[0], strict=True))
    assert first["finding"] == "mlp-512"
    assert first["ours"] == judged[0].ours
    assert (first["low"], first["high"]) == (judged[0].low, judged[0].high)
    assert first["of"] == "study error"
    assert {row[heads.index("low")] for row in rows} >= {None}


def test_the_page_names_the_files_and_holds_no_copy_of_the_jobs(report: str) -> None:
    assert "<code>jobs.parquet</code> (5 rows),\n<code>epochs.parquet</code> (8 rows)," in report
    assert '<a href="#taking">' in report
    assert "data:text/csv" not in report
    held = re.search(r'<script type="application/json" id="findings-rows">(.*?)</script>', report)
    assert held is not None
    rows = json.loads(held[1])
    assert len(rows) == 31
    assert rows[0][0] == "finding"
    assert "<" not in held[1]


def test_without_scripts_there_is_no_button(report: str) -> None:
    body = re.sub(r"<(script|style)\b.*?</\1>", "", report, flags=re.S)
    assert "<button" not in body
    assert '<p class="taking-csv" hidden></p>' in body


PROBE = """<script>
  document.documentElement.dataset.theme = "dark";
  const files = {};
  window.Blob = function (parts, { type }) { this.text = parts.join(""); this.type = type; };
  let last;
  URL.createObjectURL = (blob) => { last = blob; return "#"; };
  HTMLAnchorElement.prototype.click = function () {
    files[this.download] = [last.type, last.text];
  };
  for (const folded of document.querySelectorAll(".subject > details")) {
    folded.open = true;
    folded.dispatchEvent(new Event("toggle")); // which a browser sends a moment later
  }
  document.getElementById("later").dispatchEvent(new CustomEvent("built", { bubbles: true }));
  for (const button of document.querySelectorAll(".saves button, .taking-csv button")) {
    button.click();
  }
  document.querySelector("#jobs-table caption button").click();
  const out = document.createElement("pre");
  out.id = "out";
  out.textContent = JSON.stringify({ files, theme: document.documentElement.dataset.theme,
    names: [...document.querySelectorAll(".saves button")].map((b) => b.ariaLabel) });
  document.body.append(out);
</script></body>"""
# A chart whose data are folded and not built yet, in a part that is built after the page.
LATER = """<section id="later"><h2>Lazy <a href="#later">#</a></h2><figure><h3>Built / me</h3>
<div class="plot"><svg viewBox="0 0 10 5" role="img" aria-label="later" class="mine"><g
 fill="var(--series-1)"><rect width="5" height="5" opacity=".5"/></g></svg></div></figure>
<details><summary>Data</summary><noscript>
<table><caption>One</caption><thead><tr><th>a</th><th class="n">b</th></tr></thead>
<tbody><tr><td>-x<small>below</small></td><td data-v="0.12345">0.123</td></tr>
<tr><td>3.0</td><td data-v="3.0">3</td></tr></tbody></table>
<table><caption>Two</caption><thead><tr><th>a</th><th>c</th></tr></thead>
<tbody><tr><td>say "é"</td><td>1,234</td></tr><tr><td>–</td><td></td></tr></tbody></table>
</noscript></details></section>"""


@pytest.fixture(scope="module")
def taken(report: str, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What Chromium saves when every button is pressed, in a page that is dark."""
    try:
        browser = printing.browser()
    except RequestError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("browser")
    file = folder / "report.html"
    # After its own scripts, as they are told of the part that is built later.
    later = json.dumps(LATER).replace("</", "<\\/")
    build = f'document.querySelector("main").insertAdjacentHTML("beforeend", {later});'
    text = report.replace("</body>", f"<script>{build}</script>{PROBE}")
    file.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-background-networking", f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr", "--dump-dom", file.as_uri(),
        ],
        capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert "CONSOLE" not in done.stderr
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.S)
    assert found is not None
    return json.loads(html.unescape(found[1]))


def rows(taken: dict, name: str) -> list[list[str]]:
    kind, text = taken["files"][name]
    assert kind == "text/csv;charset=utf-8"
    assert text.endswith("\r\n")
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.browser
def test_the_jobs_are_saved_with_their_numbers_and_no_formula(
    taken: dict, results: Results
) -> None:
    heads, *jobs = rows(taken, "jobs.csv")
    assert heads == [column.name for column in records._JOBS]
    assert len(jobs) == len(results.jobs)
    made = [dict(zip(heads, job, strict=True)) for job in jobs]
    by_key = {job["key"]: job for job in made}
    for job in results.jobs.to_dict("records"):
        mine = by_key[job["key"]]
        assert mine["architecture"] == job["architecture"]
        if job["status"] == "ok":
            assert float(mine["mse"]) == pytest.approx(job["mse"], rel=1e-5)
            assert float(mine["parameters"]) == job["parameters"]
        else:
            assert mine["mse"] == ""
            assert mine["reason"].startswith('\'=HYPERLINK("evil"), two')
    assert rows(taken, "all-jobs.csv") == [heads, *jobs]


@pytest.mark.browser
def test_the_findings_are_saved_whole(taken: dict, results: Results) -> None:
    heads, *saved = rows(taken, "findings.csv")
    assert heads[:4] == ["finding", "claim", "verdict", "study"]
    assert len(saved) == 30


@pytest.mark.browser
def test_the_data_of_a_chart_are_one_file_also_before_they_are_built(taken: dict) -> None:
    assert rows(taken, "later-built-me.csv") == [
        ["table", "a", "a, below", "b", "c"],
        ["One", "'-x", "below", "0.12345", ""],
        ["One", "3.0", "", "3", ""],
        ["Two", 'say "é"', "", "", "1,234"],
        ["Two", "", "", "", ""],
    ]


@pytest.mark.browser
def test_every_chart_is_saved_as_a_drawing_that_stands_alone(taken: dict) -> None:
    drawings = {name: text for name, (kind, text) in taken["files"].items() if "svg" in kind}
    assert len(drawings) > 3
    assert any("<use" in text for text in drawings.values())
    assert any("clip-path" in text for text in drawings.values())
    for text in drawings.values():
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert float(root.attrib["width"]) > 0
        ids = {element.get("id") for element in root.iter()}
        for element in root.iter():
            assert not {"class", "style"} & element.attrib.keys()
            for name, value in element.attrib.items():
                if name == "aria-label":
                    continue
                assert "var(" not in value
                assert "currentcolor" not in value.lower()
                for reference in re.findall(r"url\(#(.*?)\)", value):
                    assert reference in ids
                if name.endswith("href"):
                    assert value[1:] in ids
    assert taken["theme"] == "dark"  # and as the reader had it afterwards
    later = drawings["later-built-me.svg"]
    assert 'fill="rgb(179, 71, 0)"' in later  # of the light theme
    assert 'opacity="0.5"' in later
    assert (
        '<rect x="0" y="0" width="10" height="5" stroke="none" fill="rgb(255, 255, 255)"' in later
    )


@pytest.mark.browser
def test_every_button_says_what_it_saves(taken: dict) -> None:
    assert "Save the chart “Built / me”, Lazy, as SVG" in taken["names"]
    assert "Save the data of “Built / me”, Lazy, as CSV" in taken["names"]
    assert len(taken["names"]) == len(set(taken["names"]))
