"""The panel of a model, in a real browser: it opens, compares, steps, closes, and shows text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browser import NARROW, Browser, Page
from checkers import violations
from test_report_records import record, stored

from aebench.page.html import page as rendered_page

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=alert(1)>"
PANEL = "const panel = document.querySelector('dialog.panel');"
TITLE = f"{PANEL} return panel.open && panel.querySelector('h2').textContent"
MAPS = f"""{PANEL}
for (let i = 0; i < 500 && !panel.querySelector('.panel-legend'); i++)
  await new Promise((done) => setTimeout(done, 10));
"""
BUILT = """for (const part of document.querySelectorAll("details.fold")) part.open = true;
while (!document.querySelector("#jobs-table button.model"))
  await new Promise((done) => setTimeout(done, 10));
"""
IDENTITY = """return [...document.querySelectorAll('#jobs-table button.model')]
  .find((button) => button.textContent === arguments[0]).dataset.model"""


@pytest.fixture(scope="module")
def file(
    tmp_path_factory: pytest.TempPathFactory, blank: Callable[[], AbstractContextManager[None]]
) -> Path:
    """Three models of MNIST, one of them with a name that is markup, and one in colour."""
    folder = tmp_path_factory.mktemp("panel")
    results = stored(
        folder,
        *(record("mlp", 4, seed=s) for s in (0, 1)),
        record("conv", 4),
        record("mlp", 9, row={"architecture": EVIL}),
        record("conv", 4, dataset="cifar10"),
    )
    with blank():
        (folder / "report.html").write_text(rendered_page(results), encoding="utf-8")
    return folder / "report.html"


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    """The report, of which nothing may complain."""
    with browser.open(file) as shown:
        shown.look(calm=True)
        shown.run(BUILT)
        yield shown
        assert shown.complaints == []


def opened(page: Page, name: str = "mlp-4") -> str:
    """Open a model of the jobs table by keyboard, once its maps are drawn; gives its identity."""
    model: str = page.run(IDENTITY, name)
    page.run(f"document.querySelector(`#jobs-table [data-model='{model}']`).focus()")
    page.press("Enter")
    page.run(MAPS)
    return model


def test_enter_opens_the_panel_and_escape_gives_the_focus_back(page: Page) -> None:
    model = opened(page)
    assert page.run(TITLE) == "mlp-4"
    assert page.run(f"""{PANEL}
        const rows = [...panel.querySelectorAll("tr")].map((row) => row.textContent);
        const count = (what) => panel.querySelectorAll(what).length;
        return [location.hash, document.activeElement === panel.querySelector("h2"),
          count("img"), count("canvas"), count("polyline"), rows.includes("seeds2")];
    """) == [f"#model-{model}", True, 5, 1, 2, True]
    page.press("Escape")
    assert page.run(TITLE) is False
    page.wait('location.hash === ""')  # a dialog says that it is closed a moment after it is
    assert page.run("return document.activeElement.dataset.model") == model


def test_a_second_model_stands_beside_the_first(page: Page) -> None:
    opened(page)
    choices = page.run(f"""{PANEL}
        const choice = panel.querySelector("select");
        choice.value = choice.options[1].value;
        choice.dispatchEvent(new Event("change"));
        return [...choice.options].map((option) => option.text);
    """)
    assert choices == ["no other model", "conv-4", f"{EVIL}-9"]
    assert page.run(TITLE) == "mlp-4 beside conv-4"
    *pixels, curves, address = page.run(f"""{MAPS}
        const pixel = (canvas) => [...canvas.getContext("2d").getImageData(10, 10, 1, 1).data];
        return [...[...panel.querySelectorAll("canvas")].map(pixel),
          panel.querySelectorAll("polyline").length, location.hash];
    """)
    # Both outputs are the same shade, 24/255 too bright; the colour is full at 0.1.
    first, second, between = pixels
    assert first == second == pytest.approx([0xB3, 0x47, 0x00, 255 * 0.941], abs=2)
    assert between[3] == 0
    assert curves == 4
    assert len(address.split("-")) == 3


def test_arrows_step_from_model_to_model(page: Page) -> None:
    opened(page, "conv-4")
    titles = []
    for key in ("ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.press(key)
        titles.append(page.run(TITLE))
    assert titles == [f"{EVIL}-9", "conv-4", "mlp-4", "mlp-4"]
    disabled = "return document.querySelector('[aria-label=\"Previous model\"]').disabled"
    assert page.run(disabled) is True


def test_an_address_opens_and_leaving_it_closes(page: Page) -> None:
    model = page.run(IDENTITY, "conv-4")
    page.run("location.hash = arguments[0]", f"#model-{model}")
    assert page.run(TITLE) == "conv-4"
    page.reload()
    until = time.monotonic() + 60
    while page.run(f"{PANEL} return panel?.open ?? false") is False and time.monotonic() < until:
        time.sleep(0.05)
    assert page.run(TITLE) == "conv-4"
    page.run("location.hash = '#jobs'; await new Promise((done) => setTimeout(done, 50))")
    assert page.run(TITLE) is False


def test_names_stay_text(page: Page) -> None:
    opened(page, f"{EVIL}-9")
    assert page.run(TITLE) == f"{EVIL}-9"
    assert page.run("return document.querySelectorAll(\"img:not([src^='data:'])\").length") == 0


def test_what_is_built_later_and_what_is_drawn_open_too(page: Page) -> None:
    model = page.run(IDENTITY, "conv-4")
    found = page.run(
        """
        document.body.insertAdjacentHTML("beforeend",
          `<p id="late"><i data-model="${arguments[0]}">c</i><i data-model="0000">?</i>
          <svg role="img" aria-label="a chart"><g data-model="${arguments[0]}"><text y="20">4</text>
          </g></svg></p>`);
        const late = document.getElementById("late");
        late.dispatchEvent(new CustomEvent("built", { bubbles: true }));
        const mark = late.querySelector("g");
        mark.focus();
        return [late.querySelectorAll("button").length, mark.getAttribute("aria-label"),
          mark.closest("svg").getAttribute("role")];
        """,
        model,
    )
    assert found == [1, "Look closer at 4", "group"]
    page.press("Enter")
    assert page.run(TITLE) == "conv-4"


def test_pictures_in_colour_have_two_maps(page: Page) -> None:
    page.run("[...document.querySelectorAll('#jobs-table button.model')].at(-1).click()")
    found = f"""{MAPS}
        return [...panel.querySelectorAll(".panel-map p")].map((p) => p.textContent)"""
    assert page.run(found) == ["error of brightness", "error of colour"]


@pytest.mark.slow
def test_everyone_can_read_it(page: Page) -> None:
    opened(page)
    for size, dark in ((NARROW, True), ((1280, 800), False)):
        page.look(size=size, dark=dark)
        assert violations(page) == []
        assert page.run("return document.documentElement.scrollWidth <= innerWidth")
