"""README as its records have it: the generated blocks, made of the committed records.

Blocks of README between ``<!-- generated: NAME -->`` and ``<!-- end -->`` are made here.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from unittest import mock

import pandas as pd

from aebench.analysis import fitness, frames, optimum, published, searches, words
from aebench.analysis.fights import BOTTLENECK
from aebench.analysis.outcomes import VERDICTS, headline, tally
from aebench.analysis.statistics import LEAST
from aebench.cli import text
from aebench.engines import ENGINES
from aebench.grid import load_grid
from aebench.page import answers, best_sentences
from aebench.store import Results
from bench import measured
from bench.committed import NAMES, Reference

_BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.S)
_VERBS = {  # of one finding, and of several
    "replicated": ("replicates", "replicate"),
    "consistent": ("is consistent, from too few seeds", "are consistent, from too few seeds"),
    "not replicated": ("does not replicate", "do not replicate"),
    "undecided": ("is undecided", "are undecided"),
    "not tested": ("was not tested", "were not tested"),
}
_WIDTH = 98  # characters of a line of README


def quick_output(quick: Reference) -> str:
    """What the quick grid prints off a terminal: a line a job, then the table."""
    from aebench.cli.progress import watch
    from aebench.cli.show import jobs_table
    from aebench.estimate import Estimator
    from aebench.executors import Ending
    from aebench.job import FIELDS, Job

    rows = quick.results.jobs.sort_values("position").to_dict("records")
    jobs = [Job(**{name: _plain(row[name]) for name in FIELDS}) for row in rows]
    out = io.StringIO()
    plain = {"COLUMNS": "200", "NO_COLOR": "1"}
    with mock.patch.dict(os.environ, plain), contextlib.redirect_stdout(out):
        for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            os.environ.pop(name, None)
        console = text.stdout()
        with watch(jobs, Estimator(), console) as listener:
            for job, row in zip(jobs, rows, strict=True):
                figures = (float(row[name]) for name in ("study_error", "mse", "train_s"))
                listener.ended(0, job, Ending(row["status"], row["reason"], *figures))
        console.print(jobs_table(quick.results.jobs, "results/quick"))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    last = ["results: results/quick", "report: reports/quick.html"]
    return "\n".join(["```text", *lines, *last, "```"])


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def quick_time(quick: Reference) -> str:
    """How long the first command trained."""
    jobs = quick.results.jobs
    device, cores = jobs["cpu_name"].iloc[0], int(jobs["cores"].iloc[0])
    took = text.duration(quick.took_s())
    return (
        f"From the first job's start to the last one's record it took {took} on {cores} cores of "
        f"an {_short(device)}."
    )


def _short(device: str) -> str:
    return re.sub(r"\(R\)| Processor", "", device).strip()


def meaning(study: Reference) -> str:
    """What the study's figures are worth, in a sentence."""
    rows = study.to_optimum
    mlps = rows[(rows["settings"] == "study") & (rows["architecture"] == "mlp")]
    most = words.number(mlps["ratio"].max())
    return (
        "Then it asks what those findings are worth. The study's numbers do replicate, and do not "
        "mean what they seem to mean: its MLPs are so under-trained that PCA with the same code is "
        f"up to {most} times better, its convolutional “latent size” counts whole channels and "
        "mostly compresses nothing, and its stopwatch timed the data loader along with the models."
    )


def conv_1(study: Reference) -> str:
    """Why a single run of conv-1 is not to be quoted."""
    jobs = frames.counting(study.results.jobs)
    rows = jobs[
        (jobs["dataset"] == "mnist") & (jobs["architecture"] == "conv") & (jobs["latent"] == 1)
    ]
    errors = frames.per_seed(rows, "study_error")
    (outcome,) = (o for o in study.outcomes if o.finding.id == "conv-1")
    return (
        f"`conv-1` deserves a warning: {words.counted(len(errors), 'draw')} of its "
        f"{words.count(rows['parameters'].median())} weights ended at "
        f"{words.between(errors.min(), errors.max())}, half of them above "
        f"{words.number(errors.median())}, and the study's single one at {outcome.finding.source}. "
        "Run `aebench run --architecture conv --latent 1 --seeds 8` before you quote it."
    )


def study_paragraph(study: Reference) -> str:
    """How the study's records came about, and how many findings came out which way."""
    jobs = study.results.jobs
    keys = set(jobs["key"])
    makes = sorted({f"an {_short(str(name))}" for name in jobs["cpu_name"]})
    planned = load_grid("study").jobs
    # By whatever engine, where the grid leaves that to the machine.
    there = sum(
        not keys.isdisjoint(map(job.key_by, ENGINES if job.by_auto else [job.engine]))
        for job in planned
    )
    n = tally(study.outcomes)
    said = words.listed(
        f"{n[verdict]} {_VERBS[verdict][n[verdict] != 1]}" for verdict in VERDICTS if n[verdict]
    )
    claims = sum(not outcome.finding.reading_of for outcome in study.outcomes)
    far = "all of" if there == len(planned) else f"so far {there} of"
    return (
        "`aebench run --grid study` trains the study in full, every model for its 15 epochs, times "
        "the models whose times it compares, and goes on where it stopped: "
        f"{far} its {words.count(len(planned))} trainings "
        "are in [the records](results/reference-study), trained in parts, in "
        f"{text.duration(float(jobs['total_s'].sum()))} of jobs on {words.listed(makes)}; this is "
        f"[their report](reports/reference-study.html). {_fit(study.results)} The study's "
        f"{claims} findings are judged in {len(study.outcomes)} rows, one for each way to read "
        f"them and each device: {said}."
    )


def _fit(results: Results) -> str:
    """How many times may be compared: of jobs that ran alone some may be noisy all the same."""
    fit = int(fitness.marked(results).jobs["doubt"].eq("").sum())
    why = "`aebench check` says why others are not"
    if not fit:
        return f"None of their times is fit to compare ({why})."
    are = "times are" if fit > 1 else "time is"
    return f"Of these, {fit} {are} fit to compare ({why}), and only such times are compared."


def findings_table(study: Reference) -> str:
    """Every finding that has a figure, and the names of the others."""
    lines = [
        "| finding | verdict | the study | ours, with 95 % interval from three seeds on | of |",
        "|---|---|---|---|---|",
    ]
    for o in study.outcomes:
        if o.ours is None:
            continue
        interval = "" if o.interval == words.NONE else f" ({o.interval})"
        cells = [
            f"`{o.finding.id}`", o.answer, o.finding.source,
            o.figure + interval, o.finding.measure,
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    rest = {
        verdict: [
            f"`{o.finding.id}`" for o in study.outcomes if o.ours is None and o.verdict == verdict
        ]
        for verdict in VERDICTS
    }
    without = [f"{verdict}: {words.listed(ids)}" for verdict, ids in rest.items() if ids]
    return "\n".join(lines) + (
        "\n\n" + wrapped("Without a figure, " + "; ".join(without) + ".") if without else ""
    )


def trained_properly(study: Reference, best: Reference) -> str:
    """The study's MLP beside PCA; then what `best` says of models under `tuned`, how far it is."""
    tuned = best.results.jobs[best.results.jobs["protocol"] == "tuned"]
    chosen = searches.without(replace(best.results, jobs=tuned))
    jobs, known = chosen.jobs, answers.answers(chosen)
    short = int(jobs["settings_from"].str.contains("at_edge [^,]*epochs", regex=True).sum())
    said = (
        f"Under the study's protocol mlp-128 has {study.beside_pca('mlp', 128, 'study')} times the "
        "error of PCA with the same 128 numbers. "
        "What follows is of models and settings that a search on validation error chose "
        f"(`--protocol tuned --model tuned`): {words.counted(len(jobs), 'training')} of "
        f"{_spread(jobs, 'epochs')} epochs{_rounded(jobs)}: "
        f"[report](reports/reference-{best.name}.html), [records](results/reference-{best.name}). "
        "`conv-bottleneck` are convolutions down to "
        "exactly as many numbers as the MLP has in its code. The test MSE at equal bottleneck, a "
        f"geometric mean over {words.count(LEAST)} seeds or more where not said otherwise; bold is "
        "what is better with p below 0.05, adjusted for all of a data set:"
    )
    met = [
        wrapped(f"- {best_sentences.sentence(answer, BOTTLENECK)}", indent="  ")
        for answer in known
        if len(answer.families) > 1
    ]
    parts = [wrapped(said), tuned_table(known), "\n".join(met)]
    if short:
        part = "all of them" if short == len(jobs) else f"{short} of them"
        parts.append(
            wrapped(
                "More epochs would still have paid when the budget of the search ended: of "
                f"{part} the errors are what was reached so far. Where there is time, or a GPU "
                "(`--device cuda`), `aebench tune --grid search --budget 24h --out more.toml` goes "
                "on to 54 and 162 epochs where these pay, and `aebench run --grid best --protocol "
                "more.toml` trains the answer anew with what it found, five seeds each."
            )
        )
    return "\n\n".join(parts)


def _rounded(jobs: pd.DataFrame) -> str:
    """In which precisions, and how far errors are then apart; nothing where all is in fp32."""
    told = optimum.precisions(frames.done(jobs)).told
    return f" ({told[0].lower()}{told[1:-1]})" if told else ""


def tuned_table(known: Sequence[answers.Answer]) -> str:
    """The error of each family with each code, beside PCA and the least that others published."""
    families = list(dict.fromkeys(family for answer in known for family in answer.families))
    heads = ["images", "numbers in the code", *(f"`{f}`" for f in families), "PCA", "published"]
    rows = [heads, ["---", *["---:"] * (len(heads) - 2), "---"]]
    for answer in known:
        better = {fight.budget: fight.verdict for fight in answer.fights[BOTTLENECK.name]}
        for size, codes in answer.codes.sort_values("choice").groupby("bottleneck"):
            best = {row["family"]: row for row in codes[::-1].to_dict("records")}
            errors = [
                _error(best[family], bold=better.get(size) == family) if family in best else "–"
                for family in families
            ]
            figures = [
                (figure.mse, f"{words.number(figure.mse)} ({figure.name}{_at(figure, size)})")
                for figure, ours in answers.matched(answer)
                if ours is not None and ours["bottleneck"] == size
            ]
            pca = words.number(codes["pca_mse"].iloc[0])
            rows.append(
                [answer.name, words.count(size), *errors, pca, min(figures, default=(0, "–"))[1]]
            )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _error(row: dict[Any, Any], *, bold: bool) -> str:
    error = words.number(row["mse"])
    few = f" ({words.seeds(row['n_seeds'])})" if row["n_seeds"] < LEAST else ""
    return (f"**{error}**" if bold else error) + few


def _at(figure: published.Figure, size: int) -> str:
    return "" if figure.bottleneck == size else f", at {words.count(figure.bottleneck)}"


def _spread(jobs: pd.DataFrame, column: str) -> str:
    """The least and the greatest of a column, or the only one."""
    least, most = int(jobs[column].min()), int(jobs[column].max())
    return f"{least}" if least == most else f"{least} to {most}"


def deeper(study: Reference) -> str:
    """What can be concluded on the study's deeper decoder."""
    return " ".join(headline(study.outcomes)) or "The deeper decoder is not decided in it."


def repeats(said: str) -> str:
    """How many processes find a difference that is there, or is not; of what `bench.aa` wrote."""
    device, cores = re.findall(r"^[\d-]+, (.*?), (\d+) CPU cores", said, re.M)[0]
    sides = re.findall(r"(\d+) processes a side$", said, re.M)
    shares = {
        side: re.findall(rf"^{side}: (\d+) of (\d+) find", said, re.M)
        for side in ("same", "slowed")
    }
    found = [
        f"{yes} of {of} by {processes}"
        for processes, (yes, of) in zip(sides, shares["slowed"], strict=True)
    ]
    false, of_all = shares["same"][0]
    return (
        f"How many repeats are enough? On {cores} cores of an {_short(device)}, {false} of {of_all}"
        f" comparisons of a small training with itself, {sides[0]} processes a side, found a"
        f" difference that is not there; a slowdown of 5 % was found in"
        f" {words.listed(found)} processes a side ([how](bench/README.md))."
    )


def wrapped(paragraph: str, indent: str = "") -> str:
    """A paragraph in lines of README's width, all but the first after `indent`."""
    return textwrap.fill(
        paragraph, _WIDTH, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def blocks() -> dict[str, str]:
    """Each generated block of README by its name."""
    quick, study, best = map(Reference, NAMES)
    aa = measured.content(measured.RESULTS.read_text("utf-8"), "aa-cpu")
    made: dict[str, Callable[[], str]] = {
        "meaning": lambda: wrapped(meaning(study)),
        "quick-time": lambda: wrapped(quick_time(quick)),
        "quick-output": lambda: quick_output(quick),
        "conv-1": lambda: wrapped(conv_1(study)),
        "study": lambda: wrapped(study_paragraph(study)),
        "findings": lambda: findings_table(study),
        "deeper": lambda: wrapped(deeper(study)),
        "trained-properly": lambda: trained_properly(study, best),
        "repeats": lambda: wrapped(repeats(aa)),
    }
    return {name: make() for name, make in made.items()}


def filled(readme: str, made: dict[str, str]) -> str:
    """README with its blocks as they should be.

    Raises:
        ValueError: a block of README that nothing makes, or one made that has no place there.
    """
    places = [found[2] for found in _BLOCK.finditer(readme)]
    if sorted(places) != sorted(made):
        raise ValueError(f"README has the blocks {places}, made are {list(made)}")
    return _BLOCK.sub(lambda found: f"{found[1]}{made[found[2]]}\n{found[3]}", readme)
