"""``aebench run``: from options to jobs, from jobs to a filled store, and what came of them.

Exit code 0 means that every job asked for has a readable record, cannot exist, or was left out by
the budget: at the end the keys that were asked for are held against the records that can be read.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import shlex
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from aebench import selection
from aebench.cli import axes, cluster, folders, text
from aebench.cli.execute import execute, to_do
from aebench.cli.plan import by_other_engines, print_plan, unkept
from aebench.cli.run_options import AXIS_NAMES, OPTIONS
from aebench.cli.within import told_after, told_before, within
from aebench.errors import RequestError, printable
from aebench.estimate import Estimator
from aebench.executors import RunOptions
from aebench.grid import Grid, load_grid
from aebench.job import Job
from aebench.plugins import load_plugins

if TYPE_CHECKING:
    import pandas as pd

    from aebench.store import Store
    from aebench.store.files import Problem

_NAMED = 5  # jobs that are named one by one
_LISTED = 500  # rows of a table that somebody may still look through

EPILOG = """
Examples:

aebench run: the quick grid, five systems of the study

aebench run --grid full --plan: what would run, how big, about how long

aebench run --architecture mlp,conv --latent 4,32 --dataset digits --seeds 3

aebench run --grid study --epochs 2 --results results/trial --workers 2

aebench run --grid study --budget 1h: what fits, first what decides most findings

aebench run --grid study --only depth=2 --only latent=128: these jobs of it

aebench run --grid full --shard 1/4: a quarter of it, for one of four machines

aebench run --grid full --device cuda --on ray=10.0.0.1:6379: on a Ray cluster, a GPU a job

aebench run --grid full --device cuda --on slurm: as an array job of Slurm, a GPU a task

aebench run --architecture conv --latent 16 --keep-weights --checkpoint 10m: keep the model
"""


def run(**given: Any) -> None:
    """Train a grid of autoencoders; what is there already is not run again."""
    if given["timeout"] is not None and not math.isfinite(given["timeout"]):
        raise RequestError(f"--timeout takes a number of seconds, not {given['timeout']:g}")
    if given["retrain"] and not given["keep_weights"]:
        raise RequestError("--retrain is of use with --keep-weights only: give both")
    budget_s = axes.seconds("--budget", given["budget"]) if given["budget"] else None
    on = cluster.check(given)
    # Folders and files are made absolute: code of the user's may change folder.
    here = folders.current()
    plugins = tuple(str(here / path) for path in given["plugin"] or ())
    data = None if given["data"] is None else here / given["data"]
    load_plugins(plugins)
    os.chdir(here)
    elsewhere = bool(on or given["print_sbatch"])
    asked = axes.axes({name: given[name] for name in AXIS_NAMES}, here=not elsewhere)
    if given["option"]:
        asked["options"] = axes.named_lists("--option", given["option"])
    of_task = cluster.asked(given)
    device = given["device"] or "auto"
    options = RunOptions(
        cuda=device if device.startswith("cuda") else "cuda",
        workers=given["workers"] or (None if elsewhere else 1),
        timeout_s=given["timeout"],
        data=data,
        command=axes.command(given["dataset"], asked.get("dataset", []), data),
        plugins=plugins,
        keep_weights=given["keep_weights"],
        retrain=given["retrain"],
        checkpoint_s=given["checkpoint"] and axes.seconds("--checkpoint", given["checkpoint"]),
        repeats_in_process=given["repeats_in_process"],
        on=given["on"] or "",
        cpus_per_job=given["cpus_per_job"],
        gpus_per_job=given["gpus_per_job"],
        wait=given["wait"],
    )
    shard = None if given["print_sbatch"] else given["shard"]
    some = axes.only(given["only"] or ())
    grid = _grid(given["grid"], asked, some, shard, data, cuda=bool(of_task.get("gpus")))
    os.chdir(here)
    if not grid.jobs:  # by hash, a small grid leaves some parts empty: nothing is wrong
        part = f"part {given['shard']} of {grid.name}"
        text.stderr().print(f"{part} has no jobs; nothing to do")
        return
    from aebench.store import Store

    shown = given["results"] or text.RESULTS / grid.name
    store = Store(here / shown)
    folders.check_utf8(store.path)
    known = store.survey()
    text.warn(known.problems)  # before hours are spent on what they may hold
    there = known.statuses
    todo = to_do(grid, known, options, given["retry_failed"])
    estimator = Estimator.from_survey(known, options.threads_of_each(len(todo)))
    text.detail(f"results: {store.path}, {len(there)} records there; times: {estimator.basis}")
    plan = None
    if budget_s is not None:
        if any(job not in grid.impossible for job in todo):
            plan = within(grid, todo, known, store.path.name, options, budget_s)
            todo = list(plan.todo)
        else:
            text.stderr().print("nothing is left to do, so nothing of the budget is used")
    if given["plan"]:
        started = () if options.repeats_in_process else grid.repeated
        print_plan(grid, there, todo, estimator, options, started)
        for sentence in told_before(plan, options) if plan else ():
            text.stdout().print(sentence, soft_wrap=True)
        return
    possible = [job for job in todo if job not in grid.impossible]
    if given["print_sbatch"]:
        if not possible:
            raise RequestError("nothing is left to do, so there is no script to print")
        allocation = cluster.allocation(of_task, grid.jobs)
        sys.stdout.write(cluster.script(allocation, len(possible), options.workers, here))
        return
    if on == "slurm":
        options = dataclasses.replace(options, allocation=cluster.allocation(of_task, grid.jobs))
    text.warn(by_other_engines(possible, there))
    admission = plan.admission(store, options) if plan else None
    options = dataclasses.replace(options, may_start=admission)
    finished = execute(grid, todo, store, shown, estimator, options)
    os.chdir(here)
    if finished is None:
        _goes_on(store, shown)
        raise typer.Exit(130 if given["wait"] else 0)
    asked_for = (given["report"], given["keep_weights"])
    left_out = admission.refused if admission else []
    if plan and finished:
        again = shlex.join(["aebench", *sys.argv[1:]])
        text.warn(told_after(plan, left_out, store.survey().statuses, again))
    _conclude(grid, store, shown, finished, *asked_for, known.problems, left_out)


run.__signature__ = inspect.Signature(OPTIONS)  # type: ignore[attr-defined]


def _grid(
    source: str | None,
    asked: Mapping[str, Any],
    some: Mapping[str, Any],
    shard: str | None,
    data: Path | None,
    *,
    cuda: bool,
) -> Grid:
    """The jobs asked for, and what to know of them said; on `cuda` where nothing is asked of it.

    `asked` replaces axes of the grid, and `some` leaves of its jobs those that have these values.
    """
    defaults: dict[str, Any] = {"device": "cuda" if cuda else axes.device("auto")}
    if not source and set(asked) & {"architecture", "latent"}:
        defaults["dataset"] = "mnist"
    else:
        source = source or "quick"
    grid = load_grid(source, asked, defaults, data)
    text.warn(grid.notes)
    if some:
        grid = grid.of(selection.only(grid.jobs, some, grid.name))
    if shard:
        grid = grid.shard(*axes.part(shard))
    for job in {(j.architecture, j.depth, j.engine, j.device): j for j in grid.jobs}.values():
        text.detail(
            f"{job.architecture} of depth {job.depth}: engine {job.engine} on {job.device}"
            f" ({printable(job.engine_choice)})"
        )
    return grid


def _goes_on(store: Store, shown: Path) -> None:
    """Say which array job now runs without this command, and how to follow and to end it."""
    from aebench.executors import on_slurm

    made = on_slurm.submissions(store.path)[-1]
    jobs, tasks = text.count(len(made.keys), "job"), text.count(len(made.tasks), "task")
    text.stdout().print(f"array job {made.number} of Slurm: {jobs} in {tasks}", soft_wrap=True)
    where = shlex.quote(str(shown))
    hint = f"how far it is: aebench status {where}; to end it: scancel {made.number}"
    text.stderr().print(hint, soft_wrap=True)


def _conclude(
    grid: Grid,
    store: Store,
    shown: Path,
    finished: bool,
    report: bool,
    keep_weights: bool,
    told: Sequence[Problem],
    left_out: Collection[Job],
) -> None:
    """Print what came out, where it lies and how to go on; exit with the code that fits."""
    from aebench.cli.show import jobs_table

    console = text.stderr()
    jobs, problems = _readable(grid, store)
    text.warn(problem for problem in problems if problem not in told)
    if len(jobs) > _LISTED:
        many = f"{shown}: {text.count(len(jobs), 'job')}, too many to list here"
        text.stdout().print(f"{many}; aebench show {shlex.quote(str(shown))}", soft_wrap=True)
    elif len(jobs):
        text.stdout().print(jobs_table(jobs, str(shown)))
    console.print(f"results: {shown}", soft_wrap=True)
    if report and finished and (jobs["status"] == "ok").any():
        from aebench.cli.report import render_visibly

        render_visibly(store.path, None, console)
    text.warn(unkept(jobs))
    bare = keep_weights and jobs["keeping_note"].fillna("").str.contains("weights not kept").any()
    there = set(jobs["key"])
    spared = set(left_out)
    missing = [job for job in grid.jobs if job.key not in there and job not in spared]
    if not finished:
        again = shlex.join(["aebench", *sys.argv[1:]])
        stopped = f"stopped with {text.count(len(missing), 'job')} to go; to continue: {again}"
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
    if missing or bad or bare:
        raise typer.Exit(1)


def _readable(grid: Grid, store: Store) -> tuple[pd.DataFrame, list[Problem] | list[RequestError]]:
    """The rows of the grid's jobs that can be read now, and what could not be."""
    import pandas as pd

    from aebench import schema

    try:
        results = store.read()
    except RequestError as error:  # the folder has gone since
        return pd.DataFrame(columns=[c.name for c in schema.JOBS]), [error]
    keys = {job.key for job in grid.jobs}
    return results.jobs[results.jobs["key"].isin(keys)], results.problems
