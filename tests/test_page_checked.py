"""The page before machines that check pages: vnu for its HTML, axe-core for its readers.

In a real browser, wide and narrow, in both themes, as it loads and with everything opened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import NARROW, WIDE, Browser, Page
from checkers import COLOURS, validated, violations
from test_page_names import hostile

from aebench.store import read

RESULTS = Path(__file__).parent.parent / "results"
# Drawing takes most of the time, and is done once for all of these.
pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.timeout(900)]
KINDS = ("study", "best", "quick", "hostile")

BROKEN = """<!doctype html><title>broken</title><p style="color: #eee; colour: red">pale
<img src="data:,">"""

# One after the other, for parts may be built as they are opened, and have parts of their own.
OPEN_ALL = """
for (let folded; (folded = document.querySelector("details:not([open])")); ) {
  await new Promise((opened) => {
    folded.addEventListener("toggle", opened, {once: true});
    folded.open = true;
  });
}
await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)));
"""


@pytest.fixture
def report(rendered: Callable[..., Path]) -> Callable[[str], Path]:
    """The page of a kind of results."""

    def of(kind: str) -> Path:
        committed = RESULTS / f"reference-{kind}"
        return rendered(kind, hostile if kind == "hostile" else lambda _: read(committed))

    return of


def test_html_is_valid(report: Callable[[str], Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text(BROKEN, encoding="utf-8")
    said = validated([broken, *map(report, KINDS)])
    of_broken = [line for line in said if line.startswith("broken.html:")]
    assert len(of_broken) >= 2  # vnu does judge: an error of HTML, and one of CSS
    assert said == of_broken


@pytest.mark.browser
def test_axe_judges(browser: Browser) -> None:
    with browser.open(BROKEN) as page:
        found = {line.split(",")[0] for line in violations(page)}
        assert {"image-alt", "color-contrast", "html-has-lang", "region"} <= found
        assert [line.split(",")[0] for line in violations(page, COLOURS)] == ["color-contrast"]


@pytest.mark.browser
@pytest.mark.parametrize("kind", KINDS)
def test_everyone_can_read_it(kind: str, report: Callable[[str], Path], browser: Browser) -> None:
    with browser.open(report(kind)) as page:
        page.look(calm=True)
        found = {f"loaded, {look}": told for look, told in looked_at(page)}
        page.run(OPEN_ALL)
        found |= {f"opened, {look}": told for look, told in looked_at(page)}
        assert {look: told for look, told in found.items() if told} == {}
        assert page.complaints == []


def looked_at(page: Page) -> Iterator[tuple[str, list[str]]]:
    """What axe finds at each size and in each theme.

    Only colours depend on the theme, and finding their contrast takes most of the time.
    """
    for size, dark, rules in (
        (WIDE, False, ()), (WIDE, True, COLOURS), (NARROW, False, COLOURS), (NARROW, True, ())
    ):  # fmt: skip
        page.look(size=size, dark=dark)
        yield f"{size[0]} px, {'dark' if dark else 'light'}", violations(page, rules)
