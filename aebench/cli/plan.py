"""``aebench run --plan``: the jobs of a grid, what they amount to, and about how long they take."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from itertools import groupby

from aebench.cli import text
from aebench.errors import printable
from aebench.estimate import Estimator
from aebench.grid import Grid, size, steps
from aebench.job import Job

# Left out first, where a terminal is narrow.
_LEAST = ("parameters", "GFLOP/step", "bottleneck", "steps", "done")


def print_plan(
    grid: Grid,
    there: Mapping[str, str],
    todo: Sequence[Job],
    estimator: Estimator,
    workers: int,
) -> None:
    """Print one line per system, seeds and repeats counted together, and the estimated time.

    `there` maps the keys of stored jobs to their status; `todo` are the jobs that would run.
    """

    def system(job: Job) -> Job:
        return dataclasses.replace(job, seed=0, repeat=0)

    def order(job: Job) -> tuple[object, ...]:
        fields = (job.dataset, job.architecture, job.depth, job.latent, job.engine, job.precision)
        return (*fields, system(job).key)

    rows = []
    for one, members in groupby(sorted(grid.jobs, key=order), key=system):
        jobs = list(members)
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
    known = [job for job in run if estimator.job(job) is not None]
    total = estimator.total(known, workers)
    about = text.between(total.low_s, total.high_s) if known else "no time"
    beside = f", {workers} at a time" if workers > 1 else ""
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
