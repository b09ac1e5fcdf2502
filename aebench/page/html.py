"""Puts the page together: what the reader came for, then everything else by subject, in one file.

What is folded is told in `subjects`; numbers are made in `analysis`, looks are in the style sheet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import aebench
from aebench.analysis import findings, fitness, frames, outcomes, searches
from aebench.disk import write_whole
from aebench.page import (
    best,
    compact,
    first_screen,
    models,
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

_LOOK = Path(__file__).parent / "look"


def page(results: Results) -> str:
    """The whole report as HTML text; the same results give the same text."""
    import jinja2

    svg.import_apart()
    given, whole = results, fitness.marked(frames.ordered(results))
    results = searches.without(whole)  # of a model a search has dozens of settings
    judged = findings.evaluate(results)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_LOOK),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    images = Images()
    told = verdicts.section(judged, pictures.Album(results, images))
    answer = best.section(results)
    studied = outcomes.tested(judged)  # else its findings are not what the reader came for
    leading = [told, answer] if studied else [answer]
    # Images are claimed in the order of their shares in `images`.
    head = first_screen.head(results, judged, images, len(whole.jobs) - len(results.jobs))
    models.claim(results, images)
    folded = subjects.subjects(given, whole, results, images, study=[] if studied else [told])
    folded.append(subjects.words_used(leading, folded, whole))
    leading, folded, charts = _compact(leading, folded)
    text = environment.get_template("page.html.j2").render(
        head=head,
        sections=leading,
        subjects=folded,
        definitions=charts.definitions,
        images=images.definitions,
        taking=taking.taking(whole, judged),
        models=models.block(results, images),
        n_jobs=len(whole.jobs),
        style=_all("css")
        + charts.css
        + _unprinted([*leading, *(s for f in folded for s in f.sections)]),
        script=_all("js"),
        version=aebench.__version__,
    )
    return _outermost(text)


def _all(kind: str) -> str:
    """The text of all files of a kind in `look/`: `base` first, `print` last, which overrules.

    Without indentation and the comments of scripts, which are for whoever changes the files.
    """
    order = {"base": -1, "print": 1}
    files = sorted(_LOOK.glob(f"*.{kind}"), key=lambda file: (order.get(file.stem, 0), file.name))
    lines = [line.strip() for file in files for line in file.read_text("utf-8").splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith("//"))


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
