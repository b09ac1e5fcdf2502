"""What ``aebench run`` does with its jobs: run what is missing, and say what came of all of them.

Exit code 0 means that every job asked for has a readable record, or cannot exist: at the end the
keys that were asked for are held against the records that can be read.
"""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aebench.cli import text
from aebench.cli.data import fetch_visibly
from aebench.errors import RequestError, printable
from aebench.estimate import Estimator
from aebench.grid import Grid
from aebench.job import Job

if TYPE_CHECKING:
    import pandas as pd

    from aebench.cli.run import RunOptions
    from aebench.store import Store

_NAMED = 5  # jobs that are named one by one


def execute(
    grid: Grid,
    todo: Sequence[Job],
    store: Store,
    shown: Path,
    estimator: Estimator,
    options: RunOptions,
) -> bool:
    """Run what is to do, with progress; False if the user stopped it."""
    from aebench.cli.progress import watch
    from aebench.datasets import cache_directory
    from aebench.executors import local
    from aebench.records import Circumstances, ended_without_record

    if todo:
        store.prepare()
    console = text.stderr()
    there = len(grid.jobs) - len(todo)
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
    if options.workers > 1 and len(possible) > 1:
        console.print(
            f"{options.workers} jobs share this machine: errors are exact, but their times cannot"
            " be compared and stay out of the time tables. Use --workers 1 for times."
        )
    text.detail(f"data cache: {options.data or cache_directory()}")
    for name in sorted({job.dataset for job in possible}):
        fetch_visibly(name, options.data, console)
    text.warn(store.compact())
    how = local.Options(
        cuda=options.device if options.device.startswith("cuda") else "cuda",
        workers=options.workers,
        timeout_s=options.timeout_s,
        data=options.data,
        command=options.command,
        plugins=options.plugins,
    )
    with watch(possible, estimator, console) as listener:
        return local.run(possible, store, how, listener)


def conclude(grid: Grid, store: Store, shown: Path, finished: bool, report: bool) -> None:
    """Print what came out, where it lies and how to go on; exit with the code that fits."""
    from aebench.cli.show import jobs_table

    console = text.stderr()
    jobs, problems = _readable(grid, store)
    text.warn(problems)
    if len(jobs):
        text.stdout().print(jobs_table(jobs, str(shown)))
    console.print(f"results: {shown}", soft_wrap=True)
    if report and finished and (jobs["status"] == "ok").any():
        from aebench.cli.report import render_visibly

        render_visibly(store.path, None, console)
    found = set(jobs["key"])
    missing = [job for job in grid.jobs if job.key not in found]
    if not finished:
        again = shlex.join(["aebench", *sys.argv[1:]])
        stopped = f"stopped with {len(missing)} jobs to go; to continue: {again}"
        text.error(stopped, style="")  # in one line: a command broken in two is another
        raise typer.Exit(130)
    if missing:
        named = ", ".join(printable(job.name) for job in missing[:_NAMED])
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        why = " (the warnings above say which files cannot be read)" if problems else ""
        text.error(
            f"{len(missing)} of {len(grid.jobs)} jobs have no readable record in {shown}{why}:"
            f" {named}{more}; the same command again runs what is missing"
        )
    counts = Counter(jobs["status"])
    skipped = counts.pop("skipped", 0)
    bad = counts.total() - counts.pop("ok", 0)
    if skipped:
        reasons = dict.fromkeys(jobs.loc[jobs["status"] == "skipped", "reason"].astype(str))
        said = f"{skipped} of {len(grid.jobs)} jobs cannot exist: {printable('; '.join(reasons))}"
        if skipped == len(grid.jobs):
            raise RequestError(f"{said}; nothing to run")
        console.print(f"{said}; they count as done", soft_wrap=True)
    if bad:
        words = ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
        text.error(
            f"{bad} of {len(grid.jobs)} jobs did not end ok ({words});"
            " the same command with --retry-failed runs them again"
        )
    if missing or bad:
        raise typer.Exit(1)


def _readable(grid: Grid, store: Store) -> tuple[pd.DataFrame, list[str]]:
    """The rows of the grid's jobs that can be read now, and what could not be."""
    import pandas as pd

    from aebench import schema

    try:
        found = store.read()
    except RequestError as error:  # the folder has gone since
        return pd.DataFrame(columns=[c.name for c in schema.JOBS]), [str(error)]
    keys = {job.key for job in grid.jobs}
    return found.jobs[found.jobs["key"].isin(keys)], found.problems
