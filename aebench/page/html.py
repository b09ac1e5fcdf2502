"""Puts the page together: the sections in the order in which they argue, in one HTML file.

A section without data says so in a sentence. Numbers are made in `analysis`, looks are in the
style sheet.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import aebench
from aebench.analysis import findings, fitness, frames, outcomes, searches
from aebench.disk import write_whole
from aebench.page import (
    best,
    codes,
    compact,
    definitions,
    first_screen,
    learning_curves,
    models,
    noise,
    pictures,
    rates,
    reconstruction,
    records,
    search,
    stopwatch,
    taking,
    targets,
    timing,
    trained,
    verdicts,
)
from aebench.page.images import Images
from aebench.page.parts import Section
from aebench.store import Results

_LOOK = Path(__file__).parent / "look"


def page(results: Results) -> str:
    """The whole report as HTML text; the same results give the same text."""
    import jinja2

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
    told = [verdicts.section(judged, pictures.Album(results, images))]
    answer = [best.section(results)]
    studied = outcomes.tested(judged)  # else its findings are not what the reader came for
    every = [
        *(told if studied else answer),
        *reconstruction.sections(results),
        *(answer if studied else []),
        trained.section(results),
        targets.section(results),
        rates.section(results),
        stopwatch.section(results),
        timing.section(results),
        timing.phases_section(results),
        learning_curves.section(results),
        noise.section(results),
        codes.section(results),
        pictures.section(results, images),
        *([] if studied else told),
        search.section(given),
        *records.sections(whole, results),
    ]
    sections = [section for section in every if section is not None]
    sections += [definitions.section(sections), definitions.sources(whole)]
    sections, charts = _compact(sections)
    return environment.get_template("page.html.j2").render(
        head=first_screen.head(results, judged, len(whole.jobs) - len(results.jobs)),
        sections=sections,
        definitions=charts.definitions,
        images=images.definitions,
        taking=taking.taking(whole, judged),
        models=models.block(results),
        n_jobs=len(whole.jobs),
        style=_all("css") + charts.css,
        script=_all("js"),
        version=aebench.__version__,
    )


def _all(kind: str) -> str:
    """The text of all files of a kind in `look/`, `base` first, then by name."""
    files = sorted(_LOOK.glob(f"*.{kind}"), key=lambda file: (file.stem != "base", file.name))
    return "\n".join(file.read_text(encoding="utf-8").strip() for file in files)


def _compact(sections: list[Section]) -> tuple[list[Section], compact.Charts]:
    """The sections with their charts made small, and what the charts share."""
    charts = compact.compact([chart.svg for section in sections for chart in section.charts])
    small = iter(charts.svgs)
    return [
        replace(s, charts=tuple(replace(chart, svg=next(small)) for chart in s.charts))
        for s in sections
    ], charts


def write(content: str | bytes, output: Path) -> Path:
    """Write `content` to `output` whole or not at all; into it, where it is a device or a pipe."""
    content = content.encode() if isinstance(content, str) else content
    if output.exists() and not output.is_file():
        output.write_bytes(content)
        return output
    write_whole(output, content)
    return output
