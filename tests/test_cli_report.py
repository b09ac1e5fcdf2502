"""``aebench report``: a page or a document, where asked, and a word where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_page_printing import PRINTS, browser
from test_report_records import failure, record, stored

from aebench.page import printing

pytestmark = pytest.mark.usefixtures("undrawn")


def test_the_page_lies_where_asked_and_the_place_is_said(invoke) -> None:
    stored(Path("runs"), record("mlp", 4, dataset="digits"))
    code, out, err = invoke("report", "runs", "--output", "deep/er/page.html")
    assert (code, out, err) == (0, "", "report: deep/er/page.html\n")
    assert Path("deep/er/page.html").read_text("utf-8").lstrip().startswith("<!DOCTYPE html>")


def test_without_arguments_the_newest_results_are_rendered(invoke) -> None:
    stored(Path("results/older"), record("mlp", 4, dataset="digits"))
    stored(Path("results/newer"), failure(reason="the newer one"))
    code, _, err = invoke("report")
    assert code == 0
    assert err == ("results: results/newer, the newest of yours\nreport: reports/newer.html\n")
    assert "the newer one" in Path("reports/newer.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no results of yours yet below results/"),
        (["missing"], "no results at missing"),
        (["foreign"], "no results at foreign"),
        (["runs", "--output", "."], "is a folder; name a file"),
        (["runs", "--output", "file/page.html"], "cannot write file/page.html"),
        (["runs", "--output", "file/page.md"], "cannot write file/page.md"),
        (["runs", "--output", "file/page.pdf"], "cannot write file/page.pdf"),
        (["runs", "--format", "word"], "Invalid value for '--format'"),
        (["runs", "--format", "pdf"], "install Chromium, Chrome or Edge"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_message_and_leaves_nothing(
    words: list[str], said: str, invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("programs").mkdir()
    monkeypatch.setattr(printing, "PLACES", ())
    monkeypatch.setenv("PATH", str(Path("programs").resolve()))
    monkeypatch.delenv(printing.VARIABLE, raising=False)
    if "file/page.pdf" in words:
        browser(Path("programs"))
    Path("file").touch()
    Path("foreign/photos").mkdir(parents=True)
    stored(Path("runs"), failure())
    before = sorted(Path().rglob("*"))
    code, out, err = invoke("report", *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert sorted(Path().rglob("*")) == before


@pytest.fixture
def stored_runs(invoke, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Results in the folder of the test, and a browser that prints a page as it is."""
    stored(Path("runs"), record("mlp", 4, dataset="digits"))
    monkeypatch.setenv(printing.VARIABLE, str(browser(Path("programs")).resolve()))
    return Path("runs")


@pytest.mark.parametrize(
    ("words", "name", "begins"),
    [
        (["--format", "html"], "reports/runs.html", b"<!DOCTYPE html>"),
        (["--format", "pdf"], "reports/runs.pdf", b"%PDF-1.4 <!DOCTYPE html>"),
        (["--format", "markdown"], "reports/runs.md", b"# Best autoencoders on digits"),
        (["-o", "a.pdf"], "a.pdf", b"%PDF-1.4 <!DOCTYPE html>"),
        (["-o", "a.MD"], "a.MD", b"# Best autoencoders on digits"),
        (["-o", "a.txt"], "a.txt", b"<!DOCTYPE html>"),
        (["-o", "a.pdf", "--format", "markdown"], "a.pdf", b"# Best autoencoders on digits"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_format_is_the_one_asked_for_or_that_of_the_name(
    words: list[str], name: str, begins: bytes, stored_runs: Path, invoke
) -> None:
    assert invoke("report", "runs", *words) == (0, "", f"report: {name}\n")
    assert Path(name).read_bytes().lstrip().startswith(begins)


def test_a_pdf_that_fails_leaves_the_one_before(stored_runs: Path, invoke) -> None:
    Path("a.pdf").write_text("the one before")
    browser(Path("programs"), PRINTS.replace("%%EOF", ""))
    code, out, err = invoke("report", "runs", "-o", "a.pdf")
    assert (code, out) == (2, "")
    assert "made no PDF" in err
    assert "print it from there" in " ".join(err.split())
    assert Path("a.pdf").read_text() == "the one before"
    assert sorted(p.name for p in Path().iterdir()) == ["a.pdf", "programs", "runs"]


def test_pictures_of_markdown_lie_beside_it(stored_runs: Path, invoke) -> None:
    assert invoke("report", "runs", "--format", "markdown", "-o", "lab/a.md")[0] == 0
    names = sorted(p.name for p in Path("lab/a-files").iterdir())
    assert names
    text = Path("lab/a.md").read_text("utf-8")
    assert all(f"](a-files/{name})" in text for name in names)
