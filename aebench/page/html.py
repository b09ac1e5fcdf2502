"""Puts the report together: sections of text, tables and charts into one HTML file.

Decides what is shown in which order and what each section says; a section without data says
that in a sentence. Numbers are made elsewhere, looks are in the style sheet.
"""

from __future__ import annotations

import base64
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pandas as pd

import aebench
from aebench.analysis import findings, fitness, frames, words
from aebench.analysis.statistics import LEAST
from aebench.page import beyond, compact, figures, headline, pictures, probes, tables, timing
from aebench.page.parts import Chart, Section
from aebench.store import Results

_HERE = Path(__file__).parent
_CSV_LIMIT = 350_000  # bytes; more would make the page too heavy to mail


def page(results: Results) -> str:
    """The whole report as HTML text; the same results give the same text."""
    import jinja2

    results = fitness.marked(frames.ordered(results))
    outcomes = findings.evaluate(results)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    sections: list[Section | None] = [
        _findings(outcomes),
        *_errors(results),
        *beyond.sections(results),
        *timing.sections(results),
        _curves(results),
        probes.section(results),
        _pictures(results),
        _coverage(results),
        _jobs(results),
        _problems(results),
    ]
    sections += [_definitions(sections), _citations(results)]
    present, charts = _compact([section for section in sections if section is not None])
    return environment.get_template("template.html.j2").render(
        summary=headline.sentences(results, outcomes),
        tally=headline.tally(outcomes),
        machines=tables.machines(results.jobs) if len(results.jobs) else None,
        sections=present,
        definitions=charts.definitions,
        download=_download(results.jobs),
        n_jobs=len(results.jobs),
        style=(_HERE / "style.css").read_text(encoding="utf-8") + charts.css,
        script=(_HERE / "script.js").read_text(encoding="utf-8"),
        version=aebench.__version__,
    )


def _compact(sections: list[Section]) -> tuple[list[Section], compact.Charts]:
    """The sections with their charts made small, and what the charts share."""
    charts = compact.compact([chart.svg for section in sections for chart in section.charts])
    small = iter(charts.svgs)
    return [
        replace(s, charts=tuple(replace(chart, svg=next(small)) for chart in s.charts))
        for s in sections
    ], charts


def write(text: str, output: Path) -> Path:
    """Write `text` to `output` whole or not at all; into it, where it is a device or a pipe."""
    if output.exists() and not output.is_file():
        output.write_text(text, "utf-8")
        return output
    output.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".", suffix=".html", dir=output.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.chmod(name, 0o644)  # mkstemp makes files that only their owner may read
        os.replace(name, output)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return output


def _findings(outcomes: list[findings.Outcome]) -> Section:
    return Section(
        id="findings",
        title="Findings",
        intro=(
            "Each row is one claim of the study and what the stored records say to it. Only "
            "finished jobs under the study's own protocol count. “Replicated” and “not "
            f"replicated” take {LEAST} seeds or more. “Consistent” means that the few there are "
            "lie where the claim has them, which one seed may do by chance; “undecided”, that "
            "there is too little data or that it points both ways; “not tested”, that nothing of "
            "it was run. None is a weaker form of another.",
        ),
        tables=(tables.findings(outcomes),),
        folded=(tables.rules(outcomes),),
    )


def _drawn(
    groups: list[tuple[tuple[str, ...], pd.DataFrame]],
) -> tuple[list[tuple[tuple[str, ...], pd.DataFrame]], str]:
    """The groups of settings that get a chart, and a sentence on the others, or nothing.

    See `frames.worth_drawing`.
    """
    chosen = frames.worth_drawing(groups)
    rest = len(groups) - len(chosen)
    if not rest:
        return groups, ""
    few = f"{words.counted(rest, 'further group')} of settings with fewer models"
    return chosen, f"{few} not drawn; all jobs are in the last table."


def _errors(results: Results) -> list[Section]:
    summary, seeds = frames.summary(results.jobs), frames.seeds(results.jobs)
    if not len(summary):
        nothing = "No finished job has an error to show."
        return [Section("errors", "Error against latent size", (nothing,))]
    latent, bottleneck = [], []
    groups, rest = _drawn(frames.by_dataset(summary, "settings"))
    for place, ((dataset, settings), rows) in enumerate(groups, start=1):
        title = words.titled(dataset, settings)
        points = seeds[(seeds["dataset"] == dataset) & (seeds["settings"] == settings)]
        curve = frames.baseline_curve(results, dataset)
        name = f"{place}-{words.slug(dataset)}"
        latent.append(
            Chart(
                title,
                figures.error_by_latent(
                    rows, points, curve, f"latent-{name}", f"MSE against latent size, {title}"
                ),
                "Lower is better. Each line is one architecture; bars are 95 % intervals over "
                "seeds, where there are three or more, and small dots single seeds. A latent size "
                "counts numbers for an MLP but whole channels for a convolutional model, so "
                "points above each other are not codes of the same size: the next chart is fair "
                "in that.",
                (tables.errors(rows, f"errors-{name}", f"{title}: error of every model"),),
            )
        )
        bottleneck.append(
            Chart(
                title,
                figures.error_by_bottleneck(
                    rows, points, curve, f"bottleneck-{name}", f"MSE against bottleneck, {title}"
                ),
                "Lower and further left is better. The dotted curve is PCA, the best any linear "
                "code of that size can do: a model above it has not learned what linear algebra "
                "gives exactly. Right of the dashed line the code holds at least as many numbers "
                "as the image, so nothing is compressed and copying would be perfect.",
                (
                    tables.errors(rows, f"codes-{name}", f"{title}: error of every code"),
                    tables.baselines(curve, f"baselines-{name}", f"{title}: exact baselines"),
                ),
            )
        )
    return [
        Section(
            "errors",
            "Error against latent size",
            ("MSE per pixel over the whole test set, pixels in [0, 1].", rest),
            tuple(latent),
        ),
        Section(
            "bottleneck",
            "Error against bottleneck: the fair comparison",
            (
                "The same errors against the numbers per image that really pass through the code, "
                "measured by running the encoder.",
                beyond.compression_in_words(summary),
            ),
            tuple(bottleneck),
        ),
    ]


def _curves(results: Results) -> Section:
    curves = frames.curves(results)
    charts = []
    groups, rest = _drawn(frames.by_dataset(curves, "settings"))
    for i, ((dataset, settings), rows) in enumerate(groups, 1):
        title = words.titled(dataset, settings)
        charts.append(
            Chart(
                title,
                figures.learning_curves(rows, f"curves-{i}", f"Learning curves, {title}"),
                "Numbers at the line ends are latent sizes; where there are several seeds, a "
                "point is their geometric mean. The training loss is the mean over an epoch's "
                "steps while the weights still moved, so it lies above the validation loss as long "
                "as a model learns fast; that is no sign of better generalization.",
                (tables.curves(rows, f"curve-table-{i}", f"{title}: points of the curves"),),
            )
        )
    intro = rest if charts else "No finished job left a learning curve."
    return Section("curves", "Learning curves", (intro,), tuple(charts))


def _pictures(results: Results) -> Section:
    found, omitted = pictures.groups(results)
    intro = [
        "Images and what one seed of each model, its first, makes of them. The errors beside them "
        "are that seed's alone; the tables have the mean over all seeds."
    ]
    if not found:
        intro = ["No finished job left pictures."]
    if omitted:
        intro.append(f"{words.counted(omitted, 'strip')} left out to keep this file small.")
    return Section("pictures", "Pictures", tuple(intro), pictures=tuple(found))


def _coverage(results: Results) -> Section | None:
    if not len(results.jobs):
        return None
    found = [
        tables.coverage(rows, f"coverage-{i}", words.dataset(dataset))
        for i, ((dataset,), rows) in enumerate(frames.by_dataset(results.jobs), start=1)
    ]
    intro = "Jobs with a record, by model and how they ended. Hatched cells have no record at all."
    return Section("coverage", "Coverage", (intro,), tables=tuple(found))


def _jobs(results: Results) -> Section:
    if not len(results.jobs):
        return Section("jobs", "All jobs", ("There is no job in these results.",))
    intro = "Failed jobs are rows too, with their reason."
    return Section("jobs", "All jobs", (intro,), tables=(tables.jobs(results.jobs),), filtered=True)


def _problems(results: Results) -> Section | None:
    if not results.problems:
        return None
    # The folder is the reader's business, not part of a file that is mailed around.
    lines = []
    for problem in results.problems:
        path, separator, rest = problem.partition(": ")
        lines.append(Path(path).name + separator + rest)
    intro = "These files were left out when the results were read."
    return Section("problems", "Files that could not be read", (intro,), lists=tuple(lines))


def _definitions(sections: list[Section | None]) -> Section:
    present = [section for section in sections if section is not None]
    shown = [
        t for s in present for t in (*(t for c in s.charts for t in c.tables), *s.tables, *s.folded)
    ]
    return Section(
        "definitions",
        "Words and columns",
        (
            "Study error is the study's own figure: the sum over the full test batches of 128 of "
            "each batch's mean squared error, 78 batches for 10,000 images, so about 78 times the "
            "MSE. MSE is per pixel over the whole test set, pixels in [0, 1].",
            "Bottleneck counts the numbers per image that pass through the code; compression is "
            "the image's numbers over the bottleneck, and nothing is compressed at 1 or below.",
            "Intervals are 95 % intervals of Student's t on the logarithm, over seeds for errors "
            "and over runs for times. Seeds are repeated for errors, repeats for times. Errors "
            "depend on the job only; times also on machine and software, and are compared only "
            "where all of that is alike and nothing else ran.",
        ),
        folded=(tables.definitions(shown),),
    )


def _citations(results: Results) -> Section:
    known = [
        words.CITATIONS[d] for d in sorted(set(results.jobs["dataset"])) if d in words.CITATIONS
    ]
    return Section("sources", "Sources", lists=(*words.METHODS, *known))


def _download(jobs: pd.DataFrame) -> str | None:
    """All columns of the jobs as CSV in a data URI; None where there are none or too many."""
    if not len(jobs):
        return None
    text = jobs.drop(columns=["settings", "doubt"]).to_csv(index=False, lineterminator="\n")
    if len(text) > _CSV_LIMIT:
        return None
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(text.encode()).decode()
