"""The chooser of charts in a real browser: by keyboard, from an address, and without scripts."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browser import Browser
from test_page_best import CLEAR, TWICE, model
from test_report_records import stored

from aebench.page.html import page

pytestmark = pytest.mark.browser

TITLE = "return document.querySelector('.chooser .view h3, .chooser .view h4').textContent.trim()"
VIEWS = "return document.querySelectorAll('.view').length"
CHECKED = """return [...document.querySelectorAll('.chooser input:checked')]
    .map((input) => input.parentElement.textContent.trim())"""
FOLLOWED = """const followed = new Promise((next) => addEventListener('hashchange', next,
    { once: true }));"""
FOCUS = "document.querySelector('.chooser input:checked').focus()"


@pytest.fixture(scope="module")
def report(
    tmp_path_factory: pytest.TempPathFactory, blank: Callable[[], AbstractContextManager[None]]
) -> Path:
    """Two data sets, one of them under two protocols."""
    folder = tmp_path_factory.mktemp("chooser")
    models = [
        *model("mlp", 8, *TWICE), *model("conv", 8, *CLEAR),
        *model("mlp", 8, *CLEAR, protocol="tuned"), *model("conv", 8, *TWICE, protocol="tuned"),
        *model("mlp", 8, *TWICE, dataset="cifar10"), *model("conv", 8, *CLEAR, dataset="cifar10"),
    ]  # fmt: skip
    with blank():
        html = page(stored(folder, *models))
    file = folder / "report.html"
    file.write_text(html, encoding="utf-8")
    return file


def test_it_works_by_keyboard_and_survives_a_reload(browser: Browser, report: Path) -> None:
    with browser.open(report) as shown:
        assert shown.run(TITLE).startswith("MNIST, equal bottleneck")
        assert shown.run(VIEWS) == 1
        assert shown.run("return document.querySelector('.chooser form').hidden") is False
        before = shown.run("return document.querySelectorAll('*').length")
        shown.run(FOCUS)
        for key in ("Tab", "ArrowRight", "ArrowRight", "Tab", "ArrowRight"):
            shown.press(key)
        assert shown.run(TITLE).startswith("MNIST, protocol tuned, equal parameters")
        assert shown.run(CHECKED) == ["MNIST", "protocol tuned", "parameters"]
        answer = shown.run("return document.querySelector('.answer').textContent")
        assert answer.startswith("On MNIST under protocol tuned at equal parameters mlp is better")
        # One at a time: what was shown before is gone, and the page is no larger.
        assert shown.run(VIEWS) == 1
        assert shown.run("return document.querySelectorAll('*').length") < before + 40
        assert shown.run("return location.hash") == "#best-mnist-tuned-parameters"
        # Of the other data set there is no protocol to choose: the nearest chart is shown.
        shown.run(FOCUS)
        shown.press("ArrowRight")
        assert shown.run(CHECKED) == ["CIFAR-10", "whatever is best", "parameters"]
        assert shown.run("return [...document.querySelectorAll('.chooser :disabled')].length") == 2
        assert shown.run("return location.hash") == "#best-cifar10-any-parameters"
        shown.reload()
        assert shown.run(TITLE).startswith("CIFAR-10, equal parameters")
        assert shown.run(CHECKED) == ["CIFAR-10", "whatever is best", "parameters"]
        assert not shown.complaints


def test_an_address_leads_to_its_chart(browser: Browser, report: Path) -> None:
    with browser.open(report) as shown:
        for link, title in (
            ("best-cifar10-any-time", "CIFAR-10, equal training time"),
            ("best-mnist-study-step-chart", "MNIST, protocol study, equal arithmetic of a step"),
            ("jobs", "MNIST, protocol study, equal arithmetic of a step"),
            ("best-mnist-any-bottleneck", "MNIST, equal bottleneck"),
        ):
            shown.run(f"{FOLLOWED} location.hash = arguments[0]; await followed", link)
            assert shown.run(TITLE).startswith(title), link
        assert not shown.complaints


def test_without_scripts_the_first_is_shown_and_the_rest_folded(
    browser: Browser, report: Path
) -> None:
    with browser.open(report, scripts=False) as shown:
        assert shown.run("return document.querySelector('.chooser form').hidden") is True
        seen = """return [...document.querySelectorAll('.view')]
            .filter((view) => view.checkVisibility()).length"""
        assert shown.run(seen) == 1
        assert shown.run(VIEWS) == 20
        shown.run("document.querySelector('.chooser noscript details').open = true")
        assert shown.run(seen) == 20


def test_what_folds_below_a_chart_does_not_lie_on_its_caption(
    browser: Browser, report: Path
) -> None:
    with browser.open(report) as shown:
        gap = shown.run(
            """const below = document.querySelector('.chooser figure + details');
            const caption = document.querySelector('.chooser figcaption');
            return below.getBoundingClientRect().top - caption.getBoundingClientRect().bottom"""
        )
    assert gap >= 0
