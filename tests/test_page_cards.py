"""The cards of findings: what each shows closed and opened, and how one gets to it."""

import dataclasses
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from browser import Browser, Page
from test_report_records import record, stored, study

from aebench.analysis import expected, findings, frames
from aebench.analysis.outcomes import Outcomes
from aebench.page import html, markdown, pictures, replication_plot, verdicts
from aebench.page.cards import Reading, cards
from aebench.page.images import BUDGET, FINDINGS, PANEL, Images
from aebench.page.pictures import Album
from aebench.store import Results, read

STUDY = Path(__file__).parents[1] / "results" / "reference-study"


def made(results: Results, images: Images | None = None) -> dict[str, Reading]:
    """Every finding as it is shown, by its id."""
    album = Album(frames.ordered(results), images or Images())
    found = cards(findings.evaluate(results), album)
    return {reading.id: reading for card in found for reading in card.readings}


def facts(reading: Reading) -> dict[str, str]:
    return dict(reading.facts)


@pytest.fixture(scope="module")
def page(
    tmp_path_factory: pytest.TempPathFactory, blank: Callable[[], AbstractContextManager[None]]
) -> str:
    """The report of a study of one seed, with the charts of its other sections left empty."""
    with blank():
        return html.page(stored(tmp_path_factory.mktemp("study"), *study(1)))


def test_a_card_says_what_came_out_and_why(tmp_path: Path) -> None:
    records = [record("mlp", 512, 0.605 + s / 1000, seed=s) for s in range(3)]
    shown = made(stored(tmp_path, *records, record("mlp", 1, 4.0), record("conv", 2, 1.0)))
    first = shown["mlp-512"]
    assert (first.answer, first.study, first.ours) == ("✔ replicated", "0.605", "0.606")
    assert first.under == ("0.604 to 0.608",)
    assert first.look == "replicated"
    assert list(facts(first)) == ["Rule", "Rests on", "In numbers", "Reference results"]
    assert facts(first)["Rule"].startswith("Replicated where the figure is typical of our runs")
    assert facts(first)["Rests on"] == "3 seeds"
    assert facts(first)["In numbers"].startswith("1.00 times the study's figure")
    assert facts(first)["Reference results"].startswith("as expected: 0.60")
    other = shown["mlp-1"]
    assert other.answer == "? undecided"
    assert facts(other)["It would take"] == "2 more seeds of mnist mlp-1"
    assert facts(other)["Reference results"].startswith("differs: 9.")
    assert other.under == ()
    assert not shown["conv-16"].tested
    assert "Reference results" not in facts(shown["conv-16"])


def test_where_runs_lie_apart_no_mean_is_shown(tmp_path: Path, invoke) -> None:
    """Two seeds are dead and one has learned: 0.793 and 2.43e-5 to 25,923 are figures of none."""
    records = [
        record("conv", 64, error, seed=seed, depth=2)
        for seed, error in enumerate((8.88, 0.00633, 8.88))
    ]
    results = stored(tmp_path / "apart", *records)
    judged = findings.evaluate(results)
    (one,) = (outcome for outcome in judged if outcome.finding.id == "deep-64")
    assert (one.figure, one.interval) == ("0.00633 to 8.88", "from run to run")
    card = made(results)["deep-64"]
    assert (card.ours, card.under) == (one.figure, (one.interval,))
    there = expected.reference()["deep-64"].figure
    assert there in facts(card)["Reference results"]
    drawn = replication_plot.plot(judged)
    assert drawn is not None
    (row,) = drawn.rows
    assert [cell.text for cell in row.before] == ["0.037", one.figure]
    (line,) = (li for li in markdown.document(results, "p").text.splitlines() if "deep-64)" in li)
    assert f"| 0.037 | {one.figure} | {one.interval} |" in line
    asked = ["findings", str(tmp_path / "apart"), "--only", "deep-64"]
    table = " ".join(invoke(*asked)[1].split())
    assert f"│ 0.037 │ {one.figure} │ {one.interval} │ as expected: {there} │" in table
    table = " ".join(invoke(*asked, "--against", str(tmp_path / "apart"))[1].split())
    assert table.count(f"│ {one.figure} │ {one.interval} │") == 2


def test_a_ratio_says_of_what_it_is(tmp_path: Path) -> None:
    shown = made(stored(tmp_path, *study(1)))
    assert shown["conv-beats-mlp"].under == ("error ratio, mlp / conv",)
    assert facts(shown["conv-beats-mlp"])["Rule"].endswith("Paired test.")


def test_readings_of_a_claim_share_its_card(tmp_path: Path) -> None:
    results = frames.ordered(stored(tmp_path, *study(1)))
    found = cards(findings.evaluate(results), Album(results, Images()))
    assert len(found) == 23
    (deep,) = (card for card in found if card.first.id == "deep-128")
    assert [(r.id, r.how) for r in deep.readings] == [
        ("deep-128", "as printed"), ("deep-128-relu", "with ReLU between its layers"),
    ]  # fmt: skip
    assert found[0].first.how == ""
    assert (found[0].group, found[0].rank) == ("≈ consistent", 1)


@pytest.mark.slow
def test_what_a_finding_is_looked_at_in_stands_in_its_card(tmp_path: Path) -> None:
    shown = made(stored(tmp_path, *study(2)))
    assert ["polyline" in s.svg for s in shown["same-convergence"].sparks] == [True, False]
    assert "shaded is 0.8 to 1.25" in shown["mlp-512"].sparks[0].reading
    assert "the line is the study's figure, 0.605" in shown["mlp-512"].sparks[0].reading
    assert "strokes are the study's figures" in shown["conv-beats-mlp"].sparks[0].reading
    assert "a hollow one an answer that takes no model" in shown["denoise-0.3"].sparks[0].reading
    assert shown["deep-slower"].sparks == ()
    assert shown["deep-slower"].strips is None
    strips = shown["out-of-distribution"].strips
    assert strips is not None
    assert [strip.film.images for strip in strips.strips] == [2, 2]


# On what is published


@pytest.fixture(scope="module")
def whole() -> tuple[Outcomes, Album, Images]:
    results, images = frames.ordered(read(STUDY)), Images()
    return findings.evaluate(results), Album(results, images), images


def test_every_finding_that_cites_pictures_has_them(whole: tuple[Outcomes, Album, Images]) -> None:
    outcomes, album, images = whole
    shown = {r.id: r for card in cards(outcomes, album) for r in card.readings}
    cited = [o.finding.id for o in outcomes if o.finding.source == "pictures"]
    assert len(cited) == 5
    for id in [*cited, "mlp-128", "mlp-1", "conv-1", "colour-conv"]:
        strips = shown[id].strips
        assert strips is not None, id
        assert len(strips.strips) > 1, id
        for strip in strips.strips:
            assert f'<image id="{strip.film.id}"' in images.definitions
    captions = {id: [s.caption for s in shown[id].strips.strips] for id in cited}
    assert captions["denoise-0.3"][:3] == ["clean", "noisy", "conv-64 depth 2"]
    assert "conv-relu-64 depth 2" in captions["denoise-0.3"]  # which does remove the noise
    assert captions["colour-mlp"] == ["original", "mlp-shared-512", "what is lost"]
    assert captions["out-of-distribution"] == ["original", "mlp-512"]
    uris = re.findall(r'href="(data:[^"]+)"', images.definitions)
    assert len(uris) == len(set(uris)) > 15
    assert images.size <= FINDINGS
    # What they use up, the section of pictures has left: its share, and strips that are new.
    before = len(uris)
    pictures.groups(frames.ordered(read(STUDY)), images)
    assert FINDINGS < images.size <= BUDGET
    assert BUDGET - PANEL > 0
    assert images.definitions.count("<image") > before + 3


# In a page


HOSTILE = "<script>alert(1)</script> $\\frac{$ \x1b[31m \u202eevil " + "long" * 80


def test_whatever_a_record_says_a_card_shows_it_as_text(tmp_path: Path) -> None:
    results = stored(tmp_path, record("mlp", 512))
    outcomes = findings.evaluate(results)
    hostile = Outcomes(
        dataclasses.replace(o, note=HOSTILE, needs=HOSTILE, as_what=HOSTILE) for o in outcomes
    )
    album = Album(frames.ordered(results), Images())
    section = verdicts.section(hostile, album)
    text = html.templates().get_template("findings.html.j2").render(s=section)
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 60


def test_what_is_closed_is_small_and_complete_without_scripts(page: str) -> None:
    text = page[page.index('class="cards"') :]
    text = text[: text.index("</section>")]
    assert 'class="order"' not in text  # the switch is made by the script that it takes
    for finding in findings.FINDINGS:
        assert text.count(f'id="finding-{finding.id}"') == 1
        assert f'href="#finding-{finding.id}"' in text
    assert 'viewBox="0 0 224 28" style="--n: 8"><use href="#png-' in text
    assert re.search(r'<use href="#png-\d+"/><use class="less" href="#png-\d+"/></svg>', text)
    closed = "".join(re.findall(r"<summary>(.*?)</summary>", text, re.S))
    assert len(re.findall(r"<\w", closed)) < 400


OPENED = "return [...document.querySelectorAll('.card details[open]')].map(d => d.parentNode.id)"
ORDER = "return [...document.querySelector('.cards').children].map(c => c.id || c.textContent)"
PRESSED = "return [...document.querySelectorAll('.order button')].map(b => b.ariaPressed)"
TOP = "return document.querySelector(':target').getBoundingClientRect().top"
# At the next frame whatever a key or a link sets going has gone.
SETTLED = "await new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn)))"


def reload(shown: Page, address: str) -> None:
    """Load the page anew with a fragment behind its address."""
    shown.run("location.hash = arguments[0]", address)
    shown.reload()


@pytest.mark.browser
def test_a_link_opens_its_card(page: str, browser: Browser) -> None:
    with browser.open(page) as shown:
        assert shown.run(OPENED) == []
        reload(shown, "#finding-deep-64-relu")
        assert shown.run(OPENED) == ["finding-deep-64"]
        assert 0 <= shown.run(TOP) < 800
        shown.run("document.querySelector('#finding-mlp-1 .card-link').focus()")
        shown.press("Enter")
        shown.run(SETTLED)
        assert shown.run("return location.hash") == "#finding-mlp-1"
        assert shown.run(OPENED) == ["finding-mlp-1", "finding-deep-64"]
        assert 0 <= shown.run(TOP) < 800
        # Closed since, it opens again, though the address stays what it is.
        shown.run("document.querySelector('#finding-mlp-1 details').open = false")
        shown.run("document.querySelector('#finding-mlp-1 .card-link').focus()")
        shown.press("Enter")
        shown.run(SETTLED)
        assert shown.run(OPENED) == ["finding-mlp-1", "finding-deep-64"]
        assert shown.complaints == []


@pytest.mark.browser
def test_keys_set_cards_by_verdict(page: str, browser: Browser) -> None:
    with browser.open(page) as shown:
        studied = shown.run(ORDER)
        assert studied[:2] == ["finding-mlp-512", "finding-mlp-128"]
        shown.run("document.querySelector('.order button').focus()")
        shown.press("Tab")
        shown.press(" ")
        assert shown.run(PRESSED) == ["false", "true"]
        judged = shown.run(ORDER)
        assert judged[:2] == ["≈ consistent: 21", "finding-mlp-512"]
        assert judged[-3:] == ["○ not tested: 2", "finding-conv-not-slower", "finding-deep-slower"]
        assert sorted(each for each in judged if "finding" in each) == sorted(studied)
        shown.run("document.querySelector('.order button').focus()")
        shown.press("Enter")
        assert (shown.run(ORDER), shown.run(PRESSED)) == (studied, ["true", "false"])
        assert shown.complaints == []


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.usefixtures("undrawn")
def test_cards_that_are_folded_away_can_be_set_by_verdict_too(
    tmp_path: Path, browser: Browser
) -> None:
    results = stored(tmp_path, record("mlp", 4, dataset="digits"))
    with browser.open(html.page(results)) as shown:
        assert shown.run("return document.querySelectorAll('.cards, .order').length") == 0
        shown.run("document.querySelector('#study > details').open = true")
        shown.wait("document.querySelector('.order')")
        assert shown.run("return document.querySelectorAll('.order').length") == 1
        assert shown.run(ORDER)[0] == "finding-mlp-512"
        shown.run("document.querySelectorAll('.order button')[1].click()")
        assert shown.run(ORDER)[:2] == ["○ not tested: 23", "finding-mlp-512"]
        assert shown.complaints == []


@pytest.mark.browser
def test_without_scripts_no_switch_is_seen(page: str, browser: Browser) -> None:
    with browser.open(page, scripts=False) as shown:
        assert shown.run("return document.querySelectorAll('.order').length") == 0
        assert shown.run(ORDER)[0] == "finding-mlp-512"
        shown.run("document.querySelector('#finding-mlp-512 summary').focus()")
        shown.press("Enter")
        assert shown.run(OPENED) == ["finding-mlp-512"]
