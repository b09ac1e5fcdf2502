"""The report as Markdown: what it holds, its pictures, and names that would be markup there."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from PIL import Image
from test_report_records import failure, record, stored, study

from aebench.page import Form, markdown, png, render, svg
from aebench.page.images import Film
from aebench.page.markdown import cell, code, document, paragraph, pipes
from aebench.page.parts import Cell, Strip, table


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> markdown.Document:
    """The study's models with three seeds, and one on digits."""
    folder = tmp_path_factory.mktemp("study")
    return document(stored(folder, *study(3), record("mlp", 4, dataset="digits")), "my files")


def cells(line: str) -> list[str]:
    """The cells of a line of a pipe table."""
    return [text.strip() for text in re.split(r"(?<!\\)\|", line)[1:-1]]


def test_it_says_what_was_found_and_every_finding(made: markdown.Document) -> None:
    title, found = made.text.split("\n\n")[:2]
    assert title.startswith("# What replicates on MNIST")
    assert found.startswith("21 of the study's findings replicate and none is contradicted; ")
    assert "21 replicate, 0 are consistent with fewer than 3 seeds" in made.text
    assert "\n✔ 21 replicated · ≈ 0 consistent · ✘ 0 not replicated · ? " in made.text
    body = made.text[made.text.index("## Findings") : made.text.index("## Which is better?")]
    heads, rules, *rows = [cells(line) for line in body.splitlines() if line.startswith("|")]
    assert heads == ["finding", "verdict", "study", "ours", "95 % interval", "of", "seeds"]
    assert rules[3:] == ["---:", "---", "---", "---:"]
    assert len(rows) == 30
    assert len({row[0] for row in rows}) == 30
    first = rows[0]
    assert first[0].endswith("with an error of 0.605. (mlp-512)")
    assert first[1:4] == ["✔ replicated", "0.605", "0.606"]


def test_it_has_the_best_models_and_a_chart_of_them(made: markdown.Document) -> None:
    body = made.text[made.text.index("## Which is better?") :]
    assert "**MNIST: the best model of each family at each bottleneck**" in body
    assert "\n- On MNIST at equal " in body
    rows = [cells(line) for line in body.splitlines() if line.startswith("| mlp-")]
    assert ["mlp-512", "512", "study", "3"] in [row[:4] for row in rows]
    assert "families at equal bottleneck" not in body  # the page has it
    assert "\nLower is better; points above each other" in body
    assert "![MNIST, equal bottleneck](my%20files/01-mnist-equal-bottleneck" in body


def test_every_picture_that_is_shown_is_there_and_no_other(made: markdown.Document) -> None:
    shown = re.findall(r"!\[[^\]]*\]\(my%20files/([^)]+)\)", made.text)
    assert sorted(shown) == sorted(made.pictures)
    assert len(shown) > 4
    assert all(re.fullmatch(r"\d\d-[a-z0-9-]+\.png", name) for name in shown)
    sizes = [Image.open(io.BytesIO(content)).size for content in made.pictures.values()]
    assert sizes[0][0] > 800  # the chart
    assert {height for _, height in sizes[1:]} == {56}  # digits, twice their size


def test_pictures_are_the_originals_and_models_from_all_of_the_group(
    made: markdown.Document,
) -> None:
    body = made.text[made.text.index("## MNIST: pictures") :]
    rows = [cells(line) for line in body.splitlines() if "png" in line]
    assert rows[0][:2] == ["original", ""]
    assert 5 <= len(rows) <= 9
    assert {row[0].partition("-")[0] for row in rows[1:]} == {"mlp", "conv"}
    assert all(row[1].startswith("MSE ") for row in rows[1:])


def test_it_ends_with_how_it_was_made_and_how_to_cite_it(made: markdown.Document) -> None:
    end = made.text[made.text.index("## How this was made") :]
    assert "from 37 stored records." in end
    assert "```bibtex\n@software{aebench,\n" in end
    assert "records of 37 jobs" in end
    assert made.text.endswith("\n}\n```\n")


@pytest.mark.parametrize(
    ("n", "shown"), [(1, [0]), (3, [0, 1, 2]), (9, [*range(9)]), (20, [0, 1, 4, 7, 10, 13, 16, 19])]
)
def test_of_many_pictures_some_from_all_of_them_are_shown(n: int, shown: list[int]) -> None:
    strips = [Strip(str(i), "", Film("", 8, 1, 1)) for i in range(n)]
    assert [int(strip.caption) for strip in markdown._some(strips)] == shown


@pytest.mark.usefixtures("undrawn")
def test_where_the_study_was_not_run_there_is_no_table_of_its_findings(tmp_path: Path) -> None:
    text = document(stored(tmp_path, record("mlp", 4, dataset="digits")), "files").text
    assert "None of the study's 23 findings was tested" in text
    assert "## Findings" not in text
    assert "✔ 0" not in text


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("records", [[], [failure(reason="a | b")]])
def test_it_is_made_of_whatever_is_there(tmp_path: Path, records: list) -> None:
    made = document(stored(tmp_path, *records), "files")
    assert made.text.startswith("# Best autoencoders")
    assert not made.pictures
    assert "nan" not in made.text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("a | b", r"a \| b"),
        ("a\nb", r"a\\nb"),
        ("`rm`", r"\`rm\`"),
        ("<script>", r"\<script>"),
        ("p < 0.05", "p < 0.05"),
        ("**x** _y_ train_s", r"\*\*x\*\* \_y\_ train_s"),
        ("[a](b) ![c](d)", r"\[a\](b) !\[c\](d)"),
        (r"$\frac{$", r"\$\\frac{\$"),
        ("&lt; AT&T", r"\&lt; AT&T"),
        ("\u202eevil", r"\\u202eevil"),
        ("~~no~~", r"\~\~no\~\~"),
        ("x" * 400, "x" * 297 + "..."),
        ("4.1 × 10⁻⁵ – é", "4.1 × 10⁻⁵ – é"),
    ],
)
def test_a_name_is_text(given: str, text: str) -> None:
    assert cell(given) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("# one", r"\# one"),
        ("> two", r"\> two"),
        ("- three", r"\- three"),
        ("4. four", r"4\. four"),
        ("---", r"\---"),
        ("x" * 400, "x" * 400),
    ],
)
def test_a_paragraph_is_nothing_else(given: str, text: str) -> None:
    assert paragraph(given) == text


def test_a_table_keeps_its_rows_and_columns() -> None:
    t = table("c", "a | about\nb #", [("x|y", 1234.5), (Cell("m", small=("one", "two")), None)])
    assert pipes(t).splitlines() == [
        "| a | b |",
        "| --- | ---: |",
        r"| x\|y | 1,234 |",
        "| m (one; two) | – |",
    ]


def test_nothing_ends_a_block_of_code() -> None:
    assert code(["a", "```", "\x1b"]).splitlines() == ["````", "a", "```", r"\x1b", "````"]


def drawn(text: str = "label") -> bytes:
    """A chart in colours of the page as a PNG."""
    with svg.kept() as pictures, svg.canvas(4, 3) as figure:
        axes = figure.subplots()
        axes.bar([1], [2], color=svg.colour(0), edgecolor=svg.PAPER)
        axes.scatter([2, 3], [1, 1], s=400, color=svg.colour(1))
        axes.plot([1, 3], [3, 3], color=svg.INK, linewidth=6, marker="o", markersize=20,
                  markerfacecolor=svg.colour(2))  # fmt: skip
        axes.text(2, 2, text, color=svg.MUTED)
        svg.inline(figure, "chart")
    (content,) = pictures.values()
    return content


def test_a_picture_has_the_pages_light_colours_and_none_that_stand_for_them() -> None:
    image = Image.open(io.BytesIO(drawn())).convert("RGB")
    found = {f"#{r:02x}{g:02x}{b:02x}" for _, (r, g, b) in image.getcolors(1_000_000)}
    light = png.light_theme()
    wanted = ("--paper", "--ink", "--series-0", "--series-1", "--series-2")
    assert {light[name] for name in wanted} <= found
    assert not svg._CSS.keys() & found
    assert light["--series-0"] == "#0068a8"


def test_pictures_are_kept_only_when_asked_for_and_are_always_the_same() -> None:
    assert drawn() == drawn()
    assert drawn("名前 $x_{$")  # glyphs that the font lacks are no error
    with svg.canvas(1, 1) as figure, svg.kept() as pictures:
        pass
    svg.inline(figure, "later")
    assert pictures == {}


@pytest.mark.slow
def test_the_file_and_its_pictures_lie_beside_each_other(tmp_path: Path) -> None:
    records = [record(family, k, dataset="digits") for family in ("mlp", "conv-bottleneck")
               for k in (4, 16)]  # fmt: skip
    results = stored(tmp_path / "runs", *records)
    output = render(results, tmp_path / "new" / "lab 1.md", Form.markdown)
    text = output.read_text("utf-8")
    shown = re.findall(r"\]\(lab%201-files/([^)]+)\)", text)
    assert sorted(shown) == sorted(p.name for p in (tmp_path / "new" / "lab 1-files").iterdir())
    again = render(results, tmp_path / "again" / "lab 1.md", "markdown")
    for name in shown:
        files = [folder.parent / "lab 1-files" / name for folder in (output, again)]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert again.read_text("utf-8") == text
