"""Puts the page together: what the reader came for, then everything else by subject, in one file.

What is folded is told in `subjects`; numbers are made in `analysis`, looks are in the style sheet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

import aebench
from aebench.analysis import findings, fitness, frames, outcomes, searches
from aebench.analysis.outcomes import Outcome
from aebench.disk import write_whole
from aebench.language import ENGLISH, now, say, use
from aebench.page import (
    answers,
    assets,
    best,
    compact,
    first_screen,
    models,
    parts,
    pictures,
    subjects,
    svg,
    taking,
    verdicts,
)
from aebench.page.images import Images
from aebench.page.parts import Section
from aebench.page.subjects import Subject
from aebench.store import Results

if TYPE_CHECKING:
    import jinja2


def page(results: Results) -> str:
    """The whole report as HTML text; the same results give the same text."""
    svg.import_apart()
    given, whole = results, fitness.marked(frames.ordered(results))
    results = searches.without(whole)  # of a model a search has dozens of settings
    judged = findings.evaluate(results)
    images = Images()
    told = verdicts.section(judged, pictures.Album(results, images))
    known = answers.answers(results)
    answer = best.section(results, known)
    studied = outcomes.tested(judged)  # else its findings are not what the reader came for
    leading = [told, answer] if studied else [answer]
    # Images are claimed in the order of their shares in `images`.
    searched = len(whole.jobs) - len(results.jobs)
    head = first_screen.head(results, judged, known, images, searched)
    models.claim(results, images)
    folded = subjects.subjects(given, whole, results, images, study=[] if studied else [told])
    folded.append(subjects.words_used(leading, folded, whole))
    leading, folded, charts = _compact(leading, folded)
    template = templates().get_template("page.html.j2")
    sections = [*leading, *(section for subject in folded for section in subject.sections)]
    text = template.render(
        head=head,
        sections=leading,
        subjects=folded,
        definitions=charts.definitions,
        images=images.definitions,
        taking=_taking(given, whole, judged),
        models=models.block(results, images),
        n_jobs=len(whole.jobs),
        style=assets.text("css") + charts.css + _unprinted(sections),
        script=assets.text("js"),
        version=aebench.__version__,
    )
    return _outermost(text)


def _unprinted(sections: Iterable[Section]) -> str:
    """The rule that leaves columns out on paper that are for screens only."""
    cells = [
        f"#{table.id} tr > :nth-child({place})"
        for section in sections
        for table in section.all_tables()
        for place, column in enumerate(table.columns, 1)
        if table.id and column.look == "screen"
    ]
    return f"@media print {{ {', '.join(cells)} {{ display: none; }} }}\n" if cells else ""


def templates() -> jinja2.Environment:
    """The templates of the page, which say their texts in the language in use."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(assets.LOOK),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {"say": _markup, "seen": parts.seen, "language": now()}
    return environment


def _markup(text: str, **values: Any) -> Markup:
    """A text of the templates, which may hold markup, with `values`, which may not."""
    said = Markup(say(text))
    return said.format(**values) if values else said


def _taking(given: Results, whole: Results, judged: Sequence[Outcome]) -> taking.Taking:
    """What a reader takes along, which is for programs and so in no language but ours."""
    if now() != ENGLISH:
        with use(ENGLISH):
            judged = findings.evaluate(searches.without(fitness.marked(frames.ordered(given))))
    return taking.taking(whole, judged)


def _compact(
    leading: list[Section], folded: list[Subject]
) -> tuple[list[Section], list[Subject], compact.Charts]:
    """Sections and subjects with their charts made small, and what the charts share."""
    sections = [*leading, *(s for subject in folded for s in subject.sections)]
    charts = compact.compact([chart.svg for section in sections for chart in section.charts])
    small = iter(charts.svgs)

    def made(section: Section) -> Section:
        return replace(section, charts=tuple(replace(c, svg=next(small)) for c in section.charts))

    leading = [made(section) for section in leading]
    return (
        leading,
        [replace(subject, sections=tuple(map(made, subject.sections))) for subject in folded],
        charts,
    )


def _outermost(text: str) -> str:
    """The page without the `noscript` that stand in another, which HTML does not allow.

    Nothing but the templates can write one: whatever comes from results is escaped.
    """
    depth = 0

    def kept(tag: re.Match[str]) -> str:
        nonlocal depth
        opens = not tag[0].startswith("</")
        depth -= not opens
        outermost = depth == 0
        depth += opens
        return tag[0] if outermost else ""

    return re.sub("</?noscript>\n?", kept, text)


def write(content: str | bytes, output: Path) -> Path:
    """Write `content` to `output` whole or not at all; into it, where it is a device or a pipe."""
    content = content.encode() if isinstance(content, str) else content
    if output.exists() and not output.is_file():
        output.write_bytes(content)
        return output
    write_whole(output, content)
    return output
