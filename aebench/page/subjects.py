"""Everything that the page folds away, by subject: which sections belong together, and what of them
stands in a sentence while they are folded.

A section without data says so in a sentence of its own; a subject of such sections says no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aebench.analysis import frames, words
from aebench.language import say
from aebench.page import (
    codes,
    definitions,
    learning_curves,
    noise,
    pictures,
    rates,
    reconstruction,
    records,
    search,
    stopwatch,
    targets,
    timing,
    trained,
)
from aebench.page.images import Images
from aebench.page.parts import Section
from aebench.store import Results


@dataclass(frozen=True)
class Subject:
    """Sections that are folded together, under a heading and a message that is always seen."""

    id: str
    title: str
    message: str
    sections: tuple[Section, ...]


def subjects(
    given: Results, whole: Results, results: Results, images: Images, study: Sequence[Section]
) -> list[Subject]:
    """All but words and sources. `given` are the results as stored, `whole` ordered and marked.

    `results` are the same without searches; `images` are those that the page has already, and
    `study` sections on the study where the page does not begin with them.
    """
    return [
        _subject(
            "quality",
            say("Errors"),
            *reconstruction.sections(results),
            trained.section(results),
            message=_errors(results),
        ),
        _subject(
            "time",
            say("Time"),
            timing.section(results),
            stopwatch.section(results),
            timing.phases_section(results),
            targets.section(results),
        ),
        _learning(learning_curves.section(results), noise.section(results)),
        _subject("coding", say("Codes and rates"), codes.section(results), rates.section(results)),
        _subject("images", say("Pictures"), pictures.section(results, images)),
        *([_subject("study", say("The study's findings"), *study)] if study else []),
        _subject(
            "records", say("Records"), search.section(given), *records.sections(whole, results)
        ),
    ]


def words_used(leading: Sequence[Section], folded: Sequence[Subject], results: Results) -> Subject:
    """What words and columns of all the sections mean, and the sources."""
    every = [*leading, *(section for subject in folded for section in subject.sections)]
    return _subject(
        "words",
        say("Words and sources"),
        definitions.section(every),
        definitions.sources(results),
        message=say("What every column holds, and where data and methods come from."),
    )


def _subject(id: str, title: str, *sections: Section | None, message: str = "") -> Subject:
    there = tuple(section for section in sections if section is not None)
    said = message or next((section.message for section in there if section.message), "")
    if all(section.empty for section in there):
        said = " ".join(text for section in there for text in section.intro)
    return Subject(id, title, said, there)


def _learning(curves: Section, noise: Section) -> Subject:
    """What models do with noise says more of them than that there are curves."""
    said = noise.message or curves.message
    return _subject("learning", say("Curves and noise"), curves, noise, message=said)


def _errors(results: Results) -> str:
    """The span of errors on each data set."""
    spans = []
    for (dataset,), rows in frames.by_dataset(frames.summary(results.jobs)):
        ends = rows.sort_values("mse").iloc[[0, -1][: len(rows)]]
        span = words.span(
            f"{words.number(row['mse'])} ({words.model_of(row)})" for _, row in ends.iterrows()
        )
        spans.append(say("{span} on {dataset}", span=span, dataset=words.dataset(dataset)))
    return say("MSE of {spans}.", spans=words.listed(spans)) if spans else ""
