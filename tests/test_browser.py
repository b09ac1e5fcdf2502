"""What drives Chromium for other tests sees what a reader sees, and hears what goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import NARROW, WIDE, Browser, BrowserError

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><title>as written</title>
<meta http-equiv="Content-Security-Policy" content="script-src 'unsafe-inline'; img-src data:">
<noscript><p id="plain">without</p></noscript>
<button onclick="document.title = 'pressed'">b</button><input>
<script>document.title = "by script"</script>"""
SEEN = """return [document.title, !!document.getElementById("plain"), innerWidth,
  matchMedia("(prefers-color-scheme: dark)").matches]"""


@pytest.mark.parametrize(
    ("scripts", "seen"),
    [
        pytest.param(True, ["by script", False, 400, True], id="with scripts"),
        pytest.param(False, ["as written", True, 400, True], id="without"),
    ],
)
def test_page_is_opened_as_asked(browser: Browser, scripts: bool, seen: list[object]) -> None:
    with browser.open(PAGE, size=NARROW, dark=True, scripts=scripts) as page:
        assert page.run(SEEN) == seen


def test_looks_change_without_loading_again(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "a page.html"
    file.write_text(PAGE, encoding="utf-8")
    with browser.open(file) as page:
        page.run("document.title = 'kept'")
        assert page.run(SEEN) == ["kept", False, WIDE[0], False]
        page.look(dark=True, calm=True)
        page.look(size=(500, 300), printed=True)
        assert page.run(SEEN) == ["kept", False, 500, True]
        assert page.run(
            "return arguments.map((each) => matchMedia(each).matches)",
            "print",
            "(prefers-reduced-motion: reduce)",
        ) == [True, True]
        picture = page.screenshot(tmp_path / "page.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert [int.from_bytes(picture[at : at + 4]) for at in (16, 20)] == [500, 300]


def test_keys_reach_what_has_the_focus(browser: Browser) -> None:
    with browser.open(PAGE) as page:
        for key in ("Tab", "Enter", "Tab", "a", "B"):
            page.press(key)
        told = "return [document.title, document.querySelector('input').value]"
        assert page.run(told) == ["pressed", "aB"]


def test_errors_are_heard(browser: Browser) -> None:
    broken = PAGE + "<script>missing()</script><img src=http://localhost/x.png alt=x>"
    with browser.open(broken) as page:
        error, policy = sorted(page.complaints, key=lambda told: "Policy" in told)
        assert "missing is not defined" in error
        assert "Content Security Policy" in policy
        with pytest.raises(BrowserError, match="of the test's own"):
            page.run('throw new Error("of the test\'s own")')


def test_a_page_that_is_not_there_is_no_page(browser: Browser, tmp_path: Path) -> None:
    with pytest.raises(BrowserError, match="FILE_NOT_FOUND"), browser.open(tmp_path / "none.html"):
        pass
