"""``aebench run --plan``: the jobs of a grid, what they amount to, and about how long they take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from aebench import engines
from aebench.cli import text
from aebench.errors import printable
from aebench.estimate import Estimator
from aebench.executors import RunOptions
from aebench.grid import Grid, size, steps, system
from aebench.job import Job

if TYPE_CHECKING:
    import pandas as pd

# Left out first, where a terminal is narrow.
_LEAST = ("parameters", "GFLOP/step", "bottleneck", "steps", "done")


def print_plan(
    grid: Grid,
    there: Mapping[str, str],
    todo: Sequence[Job],
    estimator: Estimator,
    options: RunOptions,
    started: Collection[Job] = (),
) -> None:
    """Print one line per system, seeds and repeats counted together, and the estimated time.

    `there` maps the keys of stored jobs to their status; `todo` are the jobs that would run, those
    of `started` in processes of their own, as `options` say.
    """

    systems: dict[tuple[object, ...], list[Job]] = {}
    for job in grid.jobs:
        systems.setdefault(system(job), []).append(job)

    def order(jobs: list[Job]) -> tuple[object, ...]:
        job = jobs[0].again(seed=0, repeat=0)
        fields = (job.dataset, job.architecture, job.depth, job.latent, job.engine, job.precision)
        return (*fields, job.key)

    rows = []
    for jobs in sorted(systems.values(), key=order):
        one = jobs[0].again(seed=0, repeat=0)
        done = sum(there.get(job.key) == "ok" for job in jobs)
        name = one.name + (f" ({one.modified})" if one.modified else "")
        if jobs[0] in grid.impossible:
            cells = [*"----", "impossible"]
        else:
            model, guess = size(one), estimator.job(one)
            cells = [
                f"{model.parameters:,}" if model else "?",
                f"{model.bottleneck:,}" if model else "?",
                text.number(model.flops * one.batch_size / 1e9, 3) if model else "?",
                f"{steps(one):,}",
                text.between(guess.low_s, guess.high_s) if guess else "-",
            ]
        rows.append([name, str(len(jobs)), str(done), *cells])
    heads = ["system", "jobs", "done", "parameters", "bottleneck", "GFLOP/step", "steps", "each"]
    out = text.stdout()
    title = f"{grid.name}: {text.count(len(grid.jobs), 'job')}"
    out.print(text.table(title, heads, rows, least=_LEAST))
    for reason in dict.fromkeys(grid.impossible.values()):
        out.print(f"impossible: {printable(reason)}")
    run = [job for job in todo if job not in grid.impossible]
    if run:
        out.print(chosen(run))
    for sentence in by_other_engines(run, there):
        out.print(sentence)
    known = [job for job in run if estimator.job(job) is not None]
    total = estimator.total(known, options.abreast(len(run)), started)
    about = text.between(total.low_s, total.high_s) if known else "no time"
    at_once = options.at_once(len(run))
    beside = f", {at_once} at a time" if at_once > 1 else ""
    jobs_to_do = text.count(len(run), "job")
    unsized = len(run) - len(known)
    out.print(
        f"to do: {jobs_to_do}, about {about}{beside} ({printable(estimator.basis)})"
        + (
            f"; without {text.count(unsized, 'job')} whose size is unknown before they are built"
            * bool(unsized)
        )
    )
    left = set(todo)
    ended = [j for j in grid.jobs if there.get(j.key, "ok") not in ("ok", "skipped")]
    if failed := [job for job in ended if job not in left]:
        out.print(
            f"{text.count(len(failed), 'job')} did not end ok; --retry-failed runs them again"
        )


def chosen(jobs: Iterable[Job]) -> str:
    """Which engines run `jobs`, how many each, and why: ``engines: native 2 jobs (auto: ...)``."""
    counts = Counter((job.engine, job.engine_choice) for job in jobs)
    told = (
        f"{engine} {text.count(n, 'job')} ({printable(why.replace('given', 'as given', 1))})"
        for (engine, why), n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    )
    return f"engines: {', '.join(told)}"


def by_other_engines(todo: Iterable[Job], there: Mapping[str, str]) -> list[str]:
    """What to tell of jobs to do, their engine chosen by `auto`, that others have trained already.

    `there` maps the keys of stored jobs to their status.
    """
    if "ok" not in there.values():
        return []
    counts = Counter(
        engine
        for job in todo
        if job.by_auto
        for engine in engines.ENGINES
        if engine != job.engine and there.get(job.key_by(engine)) == "ok"
    )
    return [
        f"{n} of these jobs {'is' if n == 1 else 'are'} here already, trained by {engine} with the"
        f" same errors within rounding: --engine {engine} keeps to those, and without it they are"
        " trained again"
        for engine, n in counts.most_common()
    ]


def without_weights(finished: int, retrain: bool) -> str:
    """What to tell of finished jobs without weights, where these are asked for."""
    what = "not trained again, so they stay without; --retrain trains them"
    if retrain:
        what = "trained again to keep their weights, and the later record counts"
    return f"{text.count(finished, 'finished job')} without kept weights: {what}"


def unkept(jobs: pd.DataFrame) -> list[str]:
    """What to tell of finished jobs whose weights or checkpoints could not be stored or used."""
    notes = jobs.loc[jobs["status"] == "ok", "keeping_note"].fillna("")
    return [
        f"{text.count(number, 'job')}: {printable(note)}"
        for note, number in Counter(note for note in notes if note).most_common()
    ]
