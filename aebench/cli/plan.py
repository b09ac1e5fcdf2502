"""``aebench run --plan``: the jobs of a grid, what they amount to, and about how long they take."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from itertools import groupby

from aebench.cli import text
from aebench.estimate import Estimator
from aebench.grid import Grid, size, steps
from aebench.job import Job


def print_plan(grid: Grid, there: Mapping[str, str], estimator: Estimator, workers: int) -> None:
    """Print one line per system, seeds and repeats counted together, and the estimated time."""

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
                text.duration(estimator.job_s(one)),
            ]
        )
    heads = ["system", "jobs", "done", "parameters", "bottleneck", "GFLOP/step", "steps", "each"]
    out = text.stdout()
    out.print(text.table(f"{grid.name}: {len(grid.jobs)} jobs", heads, rows))
    for reason in dict.fromkeys(grid.impossible.values()):
        out.print(f"impossible: {reason}")
    todo = [j for j in grid.jobs if there.get(j.key) != "ok" and j not in grid.impossible]
    known = [s for job in todo if (s := estimator.job_s(job)) is not None]
    about = text.duration(estimator.total_s(todo, workers)) if known else "-"
    beside = f", {workers} at a time" if workers > 1 else ""
    unsized = len(todo) - len(known)
    out.print(
        f"to do: {len(todo)} jobs, about {about}{beside} ({estimator.basis})"
        + (f"; without {unsized} jobs whose size is unknown before they are built" * bool(unsized))
    )
