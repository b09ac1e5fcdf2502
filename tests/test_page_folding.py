"""What the page folds away: by subject, built when opened, and plain details without scripts."""

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browser import Browser
from test_page import Checked
from test_report_records import failure, record, stored, study

from aebench.page.html import page
from aebench.store import Results

TURN = "const turn = () => new Promise((next) => setTimeout(next, 100));"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The study's models, one that failed, and a name that would end what is folded."""
    return stored(
        tmp_path_factory.mktemp("folded"),
        *study(),
        record("mlp", 128, seed=1, train_noise=0.3),
        failure(reason="</noscript><script>alert(1)</script>"),
    )


@pytest.fixture(scope="module")
def html(results: Results, blank: Callable[[], AbstractContextManager[None]]) -> str:
    with blank():
        return page(results)


def test_every_subject_has_a_message_and_sections(html: str) -> None:
    subjects = re.findall(
        r'<section id="([\w-]+)" class="subject".*?class="message">(.*?)</span>', html, re.S
    )
    assert [name for name, _ in subjects] == [
        "quality", "time", "learning", "coding", "images", "records", "words",
    ]  # fmt: skip
    assert all(re.fullmatch(r"\S.*\.", message) for _, message in subjects)
    said = dict(subjects)
    assert said["quality"].startswith("MSE of 5.2")
    assert "(conv-128 depth 2) to 0.117 (mlp-1) on MNIST" in said["quality"]
    assert "aebench check" in said["time"]
    assert said["learning"].startswith("MNIST: of the models trained on clean images, 9 of 9")
    assert said["coding"].startswith("No finished job left a code")
    assert said["records"] == "14 jobs left a record: 13 finished, 1 failed."


@pytest.mark.usefixtures("undrawn")
def test_where_the_study_was_not_run_its_findings_are_folded(tmp_path: Path) -> None:
    text = page(stored(tmp_path, record("mine", 4, dataset="digits")))
    assert text.index('id="best"') < text.index('id="study"') < text.index('id="findings"')
    assert text.count('id="findings"') == 1


def test_no_fold_stands_unfolded_within_another(html: str) -> None:
    Checked(html)
    tags = re.findall(r"</?noscript>", html)
    assert tags[::2] == ["<noscript>"] * (len(tags) // 2)
    assert tags[1::2] == ["</noscript>"] * (len(tags) // 2)
    # Neither the name of a model nor a reason can end what is folded.
    assert "&lt;/noscript&gt;&lt;script&gt;alert(1)" in html
    closed = re.sub(r"<noscript>.*?</noscript>", "", html, flags=re.S)
    assert '<table id="jobs-table"' not in closed
    assert '<section id="curves"' not in closed
    assert "<script>alert" not in html


def test_every_heading_can_be_linked_to(html: str) -> None:
    checked = Checked(html)
    links = [attrs for tag, attrs in checked.tags if attrs.get("class") == "permalink"]
    subjects = html[html.index('class="subjects"') : html.index('id="taking"')]
    assert len(re.findall("<h[234]", subjects)) == subjects.count('class="permalink"') > 20
    assert len({link["href"] for link in links}) == len(links)
    assert all(link["href"][1:] in checked.ids for link in links)
    assert all(link["aria-label"].startswith("Link to ") for link in links)


@pytest.mark.browser
def test_folded_parts_are_built_when_opened(html: str, browser: Browser) -> None:
    with browser.open(html) as shown:
        found = shown.run(
            TURN
            + """
            const heard = [], count = () => document.querySelectorAll("*").length;
            document.addEventListener("built", (e) => heard.push(e.target.closest("[id]").id));
            const before = count(), missing = document.getElementById("curves");
            const summary = document.querySelector("#learning summary");
            for (let i = 0; i < 3; i++) { summary.click(); await turn(); }
            return [before < 2500, missing, count() > before + 500, heard.join(),
              document.querySelectorAll("#probes thead button").length > 0,
              document.querySelectorAll("#learning noscript, #learning section").length];
            """
        )
        assert shown.complaints == []
    assert found == [True, None, True, "learning", True, 2]


@pytest.mark.browser
@pytest.mark.parametrize("id", ["jobs", "words", "curves-chart-1"])
@pytest.mark.parametrize("how", ["a link", "an address"])
def test_an_address_opens_what_it_leads_into(
    html: str, browser: Browser, id: str, how: str
) -> None:
    with browser.open(html) as shown:
        shown.look(calm=True)  # without smooth scrolling, which takes its time
        shown.run(f"location.hash = '{id}'")
        if how == "an address":
            shown.reload()
        for _ in range(100):
            found = shown.run(
                f"const id = '{id}';"
                + """
                const target = document.getElementById(id);
                const subject = target?.closest(".subject");
                const open = [...document.querySelectorAll(".subject > details[open]")];
                const top = Math.round(target?.getBoundingClientRect().top ?? -1);
                const bar = document.querySelector("nav")?.getBoundingClientRect().bottom;
                return [open.length, subject?.contains(open[0]),
                  top >= bar - 1 && top < innerHeight,
                  document.querySelector("nav [aria-current]")?.hash === "#" + subject?.id];
                """
            )
            if found == [1, True, True, True]:
                break
            time.sleep(0.1)
        assert found == [1, True, True, True]
        assert shown.complaints == []


@pytest.mark.browser
def test_all_subjects_open_and_fold_at_once(html: str, browser: Browser) -> None:
    with browser.open(html) as shown:
        found = shown.run(
            TURN
            + """
            const button = document.querySelector(".all-subjects button");
            const open = () => document.querySelectorAll(".subject > details[open]").length;
            const said = [button.textContent];
            button.click(); await turn(); said.push(open(), button.textContent);
            button.click(); await turn(); said.push(open());
            return said;
            """
        )
    assert found == ["Open all subjects", 7, "Fold all subjects", 0]


@pytest.mark.browser
def test_without_scripts_folds_are_plain_details(html: str, browser: Browser) -> None:
    with browser.open(html, scripts=False) as shown:
        found = shown.run("""
          const curves = document.querySelector("#learning > details #curves svg");
          const closed = curves.checkVisibility();
          document.querySelector("#learning summary").click();
          return [closed, curves.checkVisibility(), document.querySelectorAll("button").length];
        """)
    assert found == [False, True, 0]


@pytest.mark.browser
def test_the_theme_is_remembered(html: str, browser: Browser) -> None:
    theme = "return document.documentElement.dataset.theme"
    with browser.open(html) as shown:
        chosen = shown.run("document.querySelector('.theme').click();" + theme)
        shown.reload()
        assert shown.complaints == []
        assert (chosen, shown.run(theme)) == ("dark", "dark")
    with browser.open(html) as another:  # of another reader
        assert another.run(theme) is None


@pytest.mark.browser
def test_paper_has_no_folded_part_and_no_bar(html: str, browser: Browser) -> None:
    with browser.open(html) as shown:
        shown.run(TURN + "document.querySelector('#records summary').click(); await turn();")
        shown.look(printed=True)
        found = shown.run("""
          const seen = (what) => [...document.querySelectorAll(what)]
            .filter((element) => element.checkVisibility()).length;
          const heads = [...document.querySelectorAll("#jobs-table thead th")]
            .filter((head) => head.checkVisibility()).map((head) => head.textContent);
          const size = (what) =>
            parseFloat(getComputedStyle(document.querySelector(what)).fontSize);
          return [seen("nav, .theme, .permalink"), seen("#records table") > 0, seen("#curves"),
            seen(".subject .message"), heads.includes("train_s"), heads.includes("key"),
            size("#machines td small") < size("#machines td")];
        """)
    assert found == [0, True, 0, 7, True, False, True]
