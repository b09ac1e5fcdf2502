"""The report in another language: every text is said, numbers are its own, the rest is neutral."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from browser import Browser
from test_report_records import GPU, failure, record, stored, study
from texts import CATALOGUES, updated, written

import aebench
from aebench import language, protocols, schema
from aebench.analysis import findings, names, published, words
from aebench.datasets import catalogue
from aebench.errors import RequestError
from aebench.language import say
from aebench.language.spacing import spaced
from aebench.page import assets, records, render
from aebench.page.html import page
from aebench.page.parts import Cell, number
from aebench.store import Results

OTHERS = [name for name in language.LANGUAGES if name != language.ENGLISH]
_PLACES = re.compile(r"\$?\{[^}]*\}|</?\w+>")
# The same in both languages, beside what the catalogue itself leaves as it is.
_SAME = re.compile(
    r"(✘ )?(mlp|conv|PCA)[\w.-]*( \(.*\))?|[\d\s./:×%-]*|[\d.,]+ × PCA|CPU|MSE [\d.,]*"
    r"|latent \d+|ms|.*\barXiv:.*|aebench (run|tune).*|MSE( / PCA)?|china\.jpg|digits|[✔✘] \d+ ok"
)


class Texts(HTMLParser):
    """What a reader of a page sees or hears, without code; `name` attributes are no text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._code: list[str] = []
        self.feed(html.replace("<noscript>", "").replace("</noscript>", ""))

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        if tag in ("script", "style", "code", "pre"):
            self._code.append(tag)
        self.found += [v for k, v in attrs if k in ("title", "aria-label", "alt") and v]

    def handle_endtag(self, tag: str) -> None:
        if self._code and tag == self._code[-1]:
            self._code.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not self._code:
            self.found.append(data.strip())


def everything(folder: Path) -> Results:
    """Records of which nearly every section has something to say."""
    timed: dict[str, Any] = {"engine": "reference", "device": "cuda", "machine": GPU}
    return stored(
        folder,
        *study(),
        *(record("mlp", 512, seed=seed, seconds=3.0 + seed) for seed in (1, 2)),
        *(record("mlp", k, seed=s, protocol="tuned") for k in (1, 128) for s in range(3)),
        *(record("mlp", 16, seed=seed, row={"command": "aebench tune x"}) for seed in range(2)),
        *(record(a, k, seconds=9.0, **timed) for a, k in (("mlp", 512), ("conv", 128))),
        failure(),
        failure(latent=32, status="out_of_memory"),
    )


def few(folder: Path) -> Results:
    """Some models, of which the charts can be drawn."""
    models = (("mlp", 2), ("mlp", 64), ("conv", 1), ("conv", 16))
    return stored(folder, *(record(a, k) for a, k in models))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """Both stores in every language: `few` with its charts, `everything` without."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    made: dict[str, dict[str, str]] = {"few": {}, "everything": {}}
    for name, results in (("few", few), ("everything", everything)):
        read = results(tmp_path_factory.mktemp(name))
        with pytest.MonkeyPatch.context() as patch:
            if name == "everything":
                patch.setattr(Figure, "savefig", lambda self, file, **_: file.write("<svg />"))
                patch.setattr(FigureCanvasSVG, "draw", lambda self: None)
            for spoken in language.LANGUAGES:
                with language.use(spoken):
                    made[name][spoken] = page(read)
        texts = read.jobs.select_dtypes(["object", "str"])
        made[name]["values"] = "\n".join(str(value) for value in texts.to_numpy().ravel())
    return made


def _messages(name: str) -> Iterator[Message]:
    with (CATALOGUES / f"{name}.po").open("rb") as file:
        read: Catalog = read_po(file, locale=name)
    return (message for message in read if message.id)


def _forms(texts: str | tuple[str, ...] | list[str] | None) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts or ())


@pytest.mark.parametrize("name", OTHERS)
def test_a_catalogue_has_the_texts_of_the_sources_and_no_others(name: str) -> None:
    path = CATALOGUES / f"{name}.po"
    assert written(updated(path), path) == path.read_bytes(), "run: python tests/texts.py"


@pytest.mark.parametrize("name", OTHERS)
def test_every_text_is_said_with_the_same_values_and_markup(name: str) -> None:
    for message in _messages(name):
        english, said = _forms(message.id), _forms(message.string)
        assert said, english
        assert all(said), english
        assert not message.fuzzy, english
        places = [sorted(_PLACES.findall(text)) for text in english]
        for form in said:
            assert sorted(_PLACES.findall(form)) in places, (english, form)
            # What is written before or behind other text begins and ends alike.
            assert form.endswith(" ") == english[-1].endswith(" "), (english, form)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("store", ["few", "everything"])
def test_nothing_of_english_is_left(
    name: str, store: str, pages: dict[str, dict[str, str]]
) -> None:
    shown = {" ".join(text.split()) for text in Texts(pages[store]["en"]).found}
    catalogued = {form for message in _messages(name) for form in _forms(message.string)}
    kept = catalogued | _named() | set(pages[store]["values"].split("\n"))
    left = {
        text
        for text in (" ".join(each.split()) for each in Texts(pages[store][name]).found)
        if text in shown and re.search("[A-Za-z]{2}", text) and text not in kept
        if not all(part in kept or _SAME.fullmatch(part) for part in text.split(", "))
    }
    assert left == set()


def _named() -> set[str]:
    """Names that are in no language: of findings, data sets and protocols, columns of records."""
    columns = {column.name for column in (*schema.JOBS, *records._JOBS)}
    known = {finding.id for finding in findings.FINDINGS} | set(protocols.NAMES)
    known |= {words.dataset(name) for name in catalogue.names()}
    known |= {catalogue.info(name).citation for name in catalogue.names()}
    return columns.union(known, *({f.label, f.citation} for f in published.figures()))


@pytest.mark.slow
@pytest.mark.parametrize("store", ["few", "everything"])
def test_french_has_decimal_commas(store: str, pages: dict[str, dict[str, str]]) -> None:
    # But in versions, in names that have a point, and in the number of an article.
    named = r"(torch|pilote) [\d.+a-z]+|\baebench [\d.]+|denoise-0\.\d|arXiv:[\d.]+|0\.1\.4"
    named += r"|\w+=[\w.]+|^[\d.]+\.[\d.]+(\+\w+)?$"
    texts = (re.sub(named, "", text) for text in Texts(pages[store]["fr"]).found)
    assert [text for text in texts if re.search(r"\d\.\d", text)] == []


@pytest.mark.slow
def test_a_page_in_french_says_so_and_is_the_same_each_time(tmp_path: Path, undrawn: None) -> None:
    results = stored(tmp_path / "runs", record("mlp", 4), record("conv", 4))
    first = render(results, tmp_path / "a.html", language="fr").read_bytes()
    assert b'<html lang="fr">' in first
    assert render(results, tmp_path / "b.html", language="fr").read_bytes() == first
    assert b'<html lang="en">' in render(results, tmp_path / "c.html").read_bytes()


@pytest.mark.slow
def test_what_programs_read_is_in_no_language(pages: dict[str, dict[str, str]]) -> None:
    def parts(text: str) -> list[str]:
        held = re.findall(r'id="findings-rows">(.*?)</script>', text, re.S)
        cited = re.findall(r'<pre id="citation">(.*?)</pre>', text, re.S)
        heads = re.findall(r'<table id="jobs-table">.*?</thead>', text, re.S)
        links = sorted(re.findall(r' id="([\w-]+)"', text))
        return [*held, *cited, *re.findall(r"<th [^>]*>([^<]*)", "".join(heads)), *links]

    every = pages["everything"]
    assert parts(every["fr"]) == parts(every["en"])


def test_numbers_are_written_as_the_language_has_them() -> None:
    with language.use("fr"):
        assert words.number(0.0605) == "0,0605"
        assert words.number(12345.6) == "12\N{NARROW NO-BREAK SPACE}346"
        assert words.number(1e-7) == "1,00 × 10⁻⁷"
        assert words.count(10816) == "10\N{NARROW NO-BREAK SPACE}816"
        assert words.percent(0.711) == "71,1\N{NARROW NO-BREAK SPACE}%"
        assert words.tick(0.185) == "0,185"
        assert words.at_most(0.0113) == "p ≤ 0,012"
        assert words.counted(1, "job") == "1 tâche"
        assert words.counted(2, "job") == "2 tâches"
        assert words.counted(0, "job") == "0 tâche"  # none is no plural in French
        assert number(12345.6).sorts_as == "12345.6"
        assert Cell("1,234", 1.234).sorts_as == "1.234"
    assert words.number(12345.6) == "12,346"


def test_spaces_that_french_sets_do_not_break() -> None:
    narrow, whole = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"
    said = "Pourquoi ? « 12 % de 10 000 » : oui ; non !"
    assert spaced(said, "fr") == (
        f"Pourquoi{narrow}? «{whole}12{narrow}% de 10{narrow}000{whole}»{whole}: oui{narrow}; "
        f"non{narrow}!"
    )
    assert spaced(said, "en") == said


def test_a_text_of_ones_own_stays_as_it_is() -> None:
    with language.use("fr"):
        assert say("A finding of {whose}", whose="mine") == "A finding of mine"
        assert say("Findings") == "Constats"
    assert say("Findings") == "Findings"


def test_scripts_are_given_their_texts_when_the_page_is_made() -> None:
    english = assets.text("js")
    assert "say(" not in english
    assert "decimal(" not in english
    with language.use("fr"):
        french = assets.text("js")
    assert '"Thème sombre"' in french
    assert '"Dark theme"' not in french


def test_models_are_named_in_links_alike_in_every_language() -> None:
    row: dict[str, Any] = {"dataset": "mnist", "settings": "study with epochs=2"}
    row |= {"architecture": "mlp", "depth": 2, "latent": 4}
    with language.use("fr"):
        french = names.identity(row)
        assert words.model_of(row) == "mlp-4 profondeur 2"
        assert words.under(row["settings"]) == "study avec epochs=2"
    assert names.identity(row) == french


def test_an_unknown_language_is_a_wrong_request(
    invoke: Callable[..., tuple[int, str, str]], undrawn: None
) -> None:
    stored(Path("runs"), record("mlp", 4))
    code, out, err = invoke("report", "runs", "--language", "kl")
    assert (code, out) == (2, "")
    assert "unknown language 'kl'; choose from: en, fr" in err
    assert not Path("reports").exists()
    code, _, err = invoke("report", "runs", "--language", "fr", "--format", "markdown")
    assert code == 0
    assert "Meilleurs autoencodeurs sur MNIST" in Path("reports/runs.md").read_text("utf-8")


@pytest.mark.slow
def test_a_script_asks_for_a_language(tmp_path: Path, undrawn: None) -> None:
    results = stored(tmp_path, record("mlp", 4))
    assert '<html lang="fr">' in aebench.report(results, language="fr").html
    with pytest.raises(RequestError, match="unknown language"):
        aebench.report(results, language="klingon")


@pytest.mark.slow
@pytest.mark.browser
def test_the_panel_opens_with_french_words(browser: Browser, tmp_path: Path, undrawn: None) -> None:
    results = stored(tmp_path / "runs", record("mlp", 4), record("mlp", 9))
    file = render(results, tmp_path / "page.html", language="fr")
    with browser.open(file) as shown:
        shown.run("""
            for (const part of document.querySelectorAll("details.fold")) part.open = true;
            while (!document.querySelector("#jobs-table button.model"))
              await new Promise((done) => setTimeout(done, 10));
            document.querySelector("#jobs-table button.model").click();
        """)
        told = shown.run("return document.querySelector('dialog.panel').textContent")
        assert "Comparer avec" in told
        assert "Courbe d'apprentissage" in told
        assert re.search(r"perte de validation|\d,\d", told)
        assert shown.run("return document.querySelector('.theme').textContent") in (
            "Thème clair", "Thème sombre",
        )  # fmt: skip
        assert shown.complaints == []
