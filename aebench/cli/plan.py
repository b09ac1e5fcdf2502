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
        return (job.dataset, job.architecture, job.depth, job.latent, job.engine, job.precision)

    rows = []
    jobs = sorted(grid.jobs, key=lambda job: (*order(system(job)), system(job).key))
    for one, members in groupby(jobs, key=system):
        group = list(members)
        measured = None if one in grid.impossible else size(one)
        done = sum(there.get(job.key) == "ok" for job in group)
        name = one.name + (f" ({one.modified})" if one.modified else "")
        if group[0] in grid.impossible:
            rows.append([name, str(len(group)), str(done), *"----", "impossible"])
            continue
        rows.append(
            [
                name,
                str(len(group)),
                str(done),
                f"{measured.parameters:,}" if measured else "?",
                f"{measured.bottleneck:,}" if measured else "?",
                text.number(measured.flops * one.batch_size / 1e9, 3) if measured else "?",
                f"{steps(one):,}",
                _each(estimator, one),
            ]
        )
    heads = ["system", "jobs", "done", "parameters", "bottleneck", "GFLOP/step", "steps", "each"]
    out = text.stdout()
    out.print(text.table(f"{grid.name}: {len(grid.jobs)} jobs", heads, rows, least=_LEAST))
    for reason in dict.fromkeys(grid.impossible.values()):
        out.print(f"impossible: {printable(reason)}")
    run = [job for job in todo if job not in grid.impossible]
    known = [job for job in run if estimator.job(job) is not None]
    total = estimator.total(known, workers)
    about = text.between(total.low_s, total.high_s) if known else "no time"
    beside = f", {workers} at a time" if workers > 1 else ""
    unsized = len(run) - len(known)
    out.print(
        f"to do: {len(run)} jobs, about {about}{beside} ({printable(estimator.basis)})"
        + (f"; without {unsized} jobs whose size is unknown before they are built" * bool(unsized))
    )
    left = set(todo)
    ended = [j for j in grid.jobs if there.get(j.key, "ok") not in ("ok", "skipped")]
    if failed := [job for job in ended if job not in left]:
        out.print(f"{len(failed)} jobs did not end ok; --retry-failed runs them again")


def _each(estimator: Estimator, job: Job) -> str:
    guess = estimator.job(job)
    return "-" if guess is None else text.between(guess.low_s, guess.high_s)
