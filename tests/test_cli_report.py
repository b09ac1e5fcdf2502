"""``aebench report``: one page where asked, from what is there, and a word where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_report_records import failure, record, stored

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
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_message_and_leaves_nothing(
    words: list[str], said: str, invoke
) -> None:
    Path("file").touch()
    Path("foreign/photos").mkdir(parents=True)
    stored(Path("runs"), failure())
    before = sorted(Path().rglob("*"))
    code, out, err = invoke("report", *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert sorted(Path().rglob("*")) == before
