"""What of a grid is to do, and the doing of it, watched: for the command line and for Python.

What came of it is for these to tell.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aebench.cli import text
from aebench.cli.plan import chosen, without_weights
from aebench.errors import printable
from aebench.estimate import Estimator
from aebench.executors import RunOptions
from aebench.grid import Grid
from aebench.job import Job

if TYPE_CHECKING:
    from aebench.executors import Listener
    from aebench.store import Store, Survey

    Run = Callable[[Sequence[Job], Store, RunOptions, Listener], bool | None]


def to_do(grid: Grid, known: Survey, options: RunOptions, retry_failed: bool) -> list[Job]:
    """The jobs of `grid` that a run has to train, in order, given what its folder holds."""
    there = known.statuses
    todo = {j for j in grid.jobs if j.key not in there or (retry_failed and there[j.key] != "ok")}
    if options.keep_weights:
        bare = [j for j in grid.jobs if there.get(j.key) == "ok" and j.key not in known.weights]
        if bare:
            text.stderr().print(without_weights(len(bare), options.retrain), soft_wrap=True)
        todo.update(bare if options.retrain else ())
    return [job for job in grid.jobs if job in todo]


def execute(
    grid: Grid,
    todo: Sequence[Job],
    store: Store,
    shown: Path,
    estimator: Estimator,
    options: RunOptions,
) -> bool | None:
    """Run what is to do, with progress; False if the user stopped it, None if it goes on alone."""
    from aebench.cli.progress import fetch_visibly, watch
    from aebench.datasets import cache_directory
    from aebench.executors import local, on_ray, on_slurm
    from aebench.records import Circumstances, ended_without_record
    from aebench.store import kept

    if todo:
        store.prepare()
    console = text.stderr()
    there = len(grid.jobs) - len(todo)
    if going := kept.keys(store.path, kept.CHECKPOINTS) & {job.key for job in todo}:
        console.print(f"{text.count(len(going), 'job')} to go on with from checkpoints.")
    if there:
        console.print(f"{there} of {len(grid.jobs)} jobs are in {shown} already.")
    possible = [job for job in todo if job not in grid.impossible]
    for job in (job for job in todo if job in grid.impossible):
        reason = grid.impossible[job]
        console.print(f"skipped {printable(job.name)}: {reason}", soft_wrap=True)
        where = Circumstances(command=options.command)
        store.write(ended_without_record(job, where, "skipped", reason, total_s=0.0))
    if not possible:
        text.warn(store.compact())
        return True
    if not options.on and (options.workers or 1) > 1 and len(possible) > 1:
        console.print(
            f"{options.workers} jobs share this machine: errors are exact, but their times cannot"
            " be compared and stay out of the time tables. Use --workers 1 for times."
        )
    console.print(chosen(possible), soft_wrap=True)
    text.detail(f"data cache: {cache_directory(options.data)}")
    for name in sorted({job.dataset for job in possible}):
        fetch_visibly(name, options.data, console)
    text.warn(store.compact())
    with watch(possible, estimator, console) as listener:
        how = dataclasses.replace(options, repeated=grid.repeated)
        executors: dict[str, Run] = {"": local.run, "ray": on_ray.run, "slurm": on_slurm.run}
        return executors[options.on.partition("=")[0]](possible, store, how, listener)
