"""The report as Markdown, for a README or a lab report: what was found, findings, best models.

A choice of what the page shows, made of the same sections, tables and charts; pictures are PNGs.
It is written for GitHub and for pandoc: pipe tables and no HTML. Names are other people's words,
and nothing in them is taken for markup.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

import aebench
from aebench.analysis import findings, fitness, frames, optimum, outcomes, searches, words
from aebench.analysis.outcomes import Outcome
from aebench.errors import printable
from aebench.language import say
from aebench.page import answers, best, first_screen, pictures, svg, taking, verdicts
from aebench.page.cards import SYMBOLS
from aebench.page.images import Images
from aebench.page.parts import Cell, Chart, Section, Strip, Strips, Table, table
from aebench.store import Results

_LONGEST = 10_000  # characters of a paragraph; a cell has 300
_STRIPS = 9  # strips of pictures, the originals among them
_ENLARGED = 2  # times: a digit of 28 pixels is small beside text


@dataclass(frozen=True)
class Document:
    """Markdown, and the pictures that it shows by their names in the folder beside it."""

    text: str
    pictures: dict[str, bytes]


def document(results: Results, folder: str) -> Document:
    """The report of `results` whose pictures will lie in the folder named `folder` beside it.

    The same results give the same text and pictures.
    """
    results = searches.without(fitness.marked(frames.ordered(results)))
    judged = findings.evaluate(results)
    made = _Pages(quote(folder))
    told = verdicts.sentences(results, judged)
    studied = outcomes.tested(judged)
    known = answers.answers(results)
    found = first_screen.found(results, judged, known)
    made.add(f"# {cell(first_screen.title(results, studied))}", paragraph(found))
    made.add(_tally(judged) if studied else "", paragraph(" ".join(told)))
    if studied:
        made.add(f"## {say('Findings of the study')}", pipes(_findings(judged)))
    made.best(results, known)
    images = Images()
    made.strips(pictures.section(results, images).strips, images)
    made.add(*_made_how(results))
    return Document("\n\n".join(filter(None, made.blocks)) + "\n", made.pictures)


def _tally(judged: Sequence[Outcome]) -> str:
    counts = outcomes.tally(judged).items()
    return " · ".join(f"{SYMBOLS[verdict]} {n} {say(verdict)}" for verdict, n in counts)


def _made_how(results: Results) -> Iterator[str]:
    """The commands that trained the jobs, and how to cite them."""
    yield f"## {say('How this was made')}"
    yield say(
        "Rendered by aebench {version} from {jobs} stored records.",
        version=aebench.__version__,
        jobs=len(results.jobs),
    )
    commands = list(dict.fromkeys(c for c in results.jobs["command"] if not words.missing(c)))
    if commands:
        yield code(commands)
    yield code(taking.citation(results).splitlines(), "bibtex")


@dataclass
class _Pages:
    """The blocks of a document as they are made, and its pictures."""

    folder: str
    blocks: list[str] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)

    def add(self, *blocks: str) -> None:
        self.blocks += blocks

    def picture(self, name: str, alt: str, content: bytes) -> str:
        """Keep a picture; the link that shows it."""
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:50].strip("-")
        file = f"{len(self.pictures) + 1:02d}-{plain or 'picture'}.png"
        self.pictures[file] = content
        return f"![{cell(alt)}]({self.folder}/{file})"

    def best(self, results: Results, known: Sequence[answers.Answer]) -> None:
        """The question beyond the study: its words, its first chart, the best models."""
        with svg.kept() as drawn:
            section = best.section(results, known)
        self.section(section)
        for chart in section.charts[:1]:
            self.chart(chart, drawn)
        for t in [*section.tables, *_models(results)]:
            if t.rows:
                self.add(f"**{cell(t.caption)}**", pipes(t))
        said = section.chooser.answers if section.chooser else ()
        self.add("\n".join(f"- {cell(item, _LONGEST)}" for item in said))

    def section(self, section: Section) -> None:
        self.add(f"## {cell(section.title)}", *map(paragraph, section.intro))

    def chart(self, chart: Chart, drawn: dict[str, bytes]) -> None:
        """A chart with its title and the sentence that says how to read it."""
        self.add(f"### {cell(chart.title)}")
        self.add(self.picture(chart.title, chart.title, drawn[chart.svg]))
        self.add(paragraph(chart.reading))

    def strips(self, groups: Sequence[Strips], images: Images) -> None:
        """The first group of pictures, which is of what the models made of test images."""
        for group in groups[:1]:
            rows = [
                [
                    cell(strip.caption),
                    cell(strip.detail),
                    self.picture(strip.caption, strip.caption, _enlarged(images.png(strip.film))),
                ]
                for strip in _some(group.strips)
            ]
            lines = _lines([say("model"), say("error"), say("pictures")], ["---"] * 3, rows)
            title = say("{title}: pictures", title=cell(group.title))
            self.add(f"## {title}", lines, paragraph(group.note))


def _some(strips: Sequence[Strip]) -> Sequence[Strip]:
    """The originals, and of what models made of them as many as there is room for, spread out."""
    step = -(-(len(strips) - 1) // (_STRIPS - 1)) or 1
    return [strips[0], *strips[1:][::step]]


def _enlarged(png: bytes) -> bytes:
    """The same PNG, every pixel larger and as sharp."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        size = (image.width * _ENLARGED, image.height * _ENLARGED)
        large = image.resize(size, Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    large.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _models(results: Results) -> Iterator[Table]:
    """For each data set the best model of every family at each bottleneck."""
    heads = """
        model
        bottleneck ##
        settings
        seeds ##
        MSE #
        95 % interval
        MSE / PCA #
    """
    every = optimum.codes(results)
    for dataset in dict.fromkeys(results.jobs["dataset"]):
        codes = every[every["dataset"] == dataset]
        rows = [
            (
                words.model_of(row),
                *(row[name] for name in ("bottleneck", "settings", "n_seeds", "mse")),
                (row["mse_low"], row["mse_high"]),
                row["ratio"],
            )
            for _, row in codes.iterrows()
        ]
        caption = say(
            "{dataset}: the best model of each family at each bottleneck",
            dataset=words.dataset(dataset),
        )
        yield table(caption, heads, rows)


def _findings(judged: Sequence[Outcome]) -> Table:
    heads = """
        finding
        verdict
        study
        ours #
        95 % interval
        of
        seeds ##
    """
    return table(say("Findings of the study, judged"), heads, (
        (
            Cell(o.finding.claim, small=(o.finding.id,)),  # a claim is judged on each device
            f"{SYMBOLS[o.verdict]} {o.answer}",
            o.study,
            Cell(o.figure, o.ours),
            o.interval,
            None if o.ours is None else o.finding.measure,
            o.n_seeds,
        )
        for o in judged
    ))  # fmt: skip


def pipes(t: Table) -> str:
    """A table of a page as a pipe table; what stands small in a cell follows in brackets."""
    heads = [cell(column.head) for column in t.columns]
    rules = ["---:" if column.show else "---" for column in t.columns]
    rows = [[_shown(c) for c in row] for row in t.rows]
    return _lines(heads, rules, rows)


def _lines(heads: Sequence[str], rules: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [heads, rules, *rows])


def _shown(c: Cell) -> str:
    small = f" ({words.clauses(c.small)})" if c.small else ""
    return cell(c.text + small)


def cell(text: str, most: int = 300) -> str:
    """A text of whatever origin in one line that Markdown shows as it is, also in a pipe table."""
    text = printable(text, most)
    text = re.sub(r"([\\`*\[\]|$~])", r"\\\1", text)
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)  # within a word it is none
    text = re.sub(r"<(?=[A-Za-z/!?])", r"\\<", text)
    return re.sub(r"&(?=#?\w+;)", r"\\&", text)


def paragraph(text: str) -> str:
    """A text that begins a line: no heading, quotation or list comes of it."""
    text = cell(text.strip(), _LONGEST)
    text = re.sub(r"^(?=[#>+=-])", r"\\", text)
    return re.sub(r"^(\d+)(?=[.)])", r"\1\\", text)


def code(lines: Iterable[str], language: str = "") -> str:
    """Lines as they are, between fences that none of them can end."""
    shown = [printable(line, _LONGEST) for line in lines]
    longest = max((len(run) for line in shown for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence + language, *shown, fence])
