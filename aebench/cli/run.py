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
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aebench.cli import axes, cluster, complete, folders, text
from aebench.cli.execute import execute, to_do
from aebench.cli.options import DATA_FOLDER, default
from aebench.cli.plan import by_other_engines, print_plan, unkept
from aebench.cli.within import told_after, told_before, within
from aebench.engines import ENGINES, PRECISIONS
from aebench.errors import RequestError, printable
from aebench.estimate import Estimator
from aebench.executors import RunOptions
from aebench.grid import PRESETS, Grid, load_grid
from aebench.job import OPTIONS as JOB_OPTIONS
from aebench.job import Job
from aebench.plugins import load_plugins
from aebench.protocols import NAMES as PROTOCOLS
from aebench.protocols import OPTIMIZERS, ORDERS, SCHEDULES

if TYPE_CHECKING:
    import pandas as pd

    from aebench.store import Store
    from aebench.store.files import Problem

_NAMED = 5  # jobs that are named one by one
_GRID, _AXES, _HOW, _WHERE = "Which jobs", "Axes (lists: 1,16,128; ranges: 0..4)", "How", "Where"
_PROTOCOLS = default("the protocol's")

EPILOG = """
Examples:

aebench run: the quick grid, five systems of the study

aebench run --grid full --plan: what would run, how big, about how long

aebench run --architecture mlp,conv --latent 4,32 --dataset digits --seeds 3

aebench run --grid study --epochs 2 --results results/trial --workers 2

aebench run --grid study --budget 1h: what fits, first what decides most findings

aebench run --grid full --shard 1/4: a quarter of it, for one of four machines

aebench run --grid full --device cuda --on ray=10.0.0.1:6379: on a Ray cluster, a GPU a job

aebench run --architecture conv --latent 16 --keep-weights --checkpoint 10m: keep the model
"""


def _option(
    panel: str, name: str, about: str, values: Any = str, usual: Any = None, **how: Any
) -> inspect.Parameter:
    """One option: its panel of the help, its name, its help, the type and default of its value."""
    words = f"--{name.replace('_', '-')}"
    option = typer.Option(words, help=about, rich_help_panel=panel, **how)
    kind = values if usual is not None else values | None
    where = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, where, default=usual, annotation=Annotated[kind, option])


_FROM_1 = {"values": int, "min": 1, "metavar": "N"}
_OPTIONS = (
    _option(_GRID, "grid", f"{', '.join(PRESETS)}, or a TOML file. {default('quick')}",
        autocompletion=complete.grid),
    _option(_GRID, "shard", "Only part I of N.", metavar="I/N"),
    _option(_GRID, "plan", "Show the jobs and their cost; run nothing.", bool, False),
    _option(_GRID, "retry_failed", "Run again what did not end ok.", bool, False),
    _option(_GRID, "retrain", "With --keep-weights: run again what is there without weights.",
        bool, False),
    _option(_GRID, "plugin", "Python file with architectures of your own.", list[Path],
        metavar="FILE.py", autocompletion=complete.plugin),
    _option(_AXES, "architecture",
        "Families of autoencoders: mlp, conv, ...; see `aebench list architectures`.",
        autocompletion=complete.architecture),
    _option(_AXES, "dataset", "mnist, digits, ..., torchvision:SVHN, or a folder or file of"
        f" images. {default('mnist')}",
        autocompletion=complete.dataset),
    _option(_AXES, "latent", "Code width (mlp) or channels (conv)."),
    _option(_AXES, "depth", f"Encoder layers. {default('1')}"),
    _option(_AXES, "model", "given, or tuned: depth and options that the protocol's search found"
        f" best. {default('given')}", autocompletion=complete.model),
    _option(_AXES, "option", "Option of the architecture, once for each: width=16,32; see `aebench"
        " list options`.", list[str], metavar="NAME=LIST", autocompletion=complete.option),
    _option(_AXES, "seeds", f"How many: 0 to N-1. {default('1')}", **_FROM_1),
    _option(_AXES, "repeats", f"How often, for times; 6 or more to publish. {default('1')}",
        **_FROM_1),
    _option(_AXES, "protocol", f"Training settings: {', '.join(PROTOCOLS)}, or a TOML file by"
        f" `aebench tune`. {default('study')}", autocompletion=complete.protocol),
    _option(_AXES, "epochs", f"Passes over the training images. {_PROTOCOLS}"),
    _option(_AXES, "batch_size", f"Images per training step. {_PROTOCOLS}"),
    _option(_AXES, "learning_rate", f"The optimizer's step size. {_PROTOCOLS}"),
    _option(_AXES, "schedule", f"Learning rate: {', '.join(SCHEDULES)}. {_PROTOCOLS}",
        autocompletion=complete.schedule),
    _option(_AXES, "order", f"Training images: {', '.join(ORDERS)}. {_PROTOCOLS}",
        autocompletion=complete.order),
    _option(_AXES, "optimizer", f"{', '.join(OPTIMIZERS)}. {_PROTOCOLS}",
        autocompletion=complete.optimizer),
    _option(_AXES, "momentum", f"Of sgd and rmsprop. {_PROTOCOLS}"),
    _option(_AXES, "weight_decay", f"Pull of the weights towards 0. {_PROTOCOLS}"),
    _option(_AXES, "warmup", f"Share of the steps in which the learning rate rises. {_PROTOCOLS}"),
    _option(_AXES, "clip_gradient", f"Largest norm of a step's gradients; 0: any. {_PROTOCOLS}"),
    _option(_AXES, "train_noise",
        f"Amplitude of Gaussian noise on training inputs. {default('0')}"),
    _option(_AXES, "engine",
        f"{', '.join(ENGINES)}, or auto: the fastest known. {default('auto')}",
        autocompletion=complete.engine),
    _option(_AXES, "precision", f"{', '.join(PRECISIONS)}. {default('fp32')}",
        autocompletion=complete.precision),
    _option(_HOW, "device", f"auto, cpu, cuda, cuda:1, ... {default('auto')}",
        autocompletion=complete.device),
    _option(_HOW, "workers", "Jobs at a time; on a cluster as many as it has room for. Times of"
        f" more than 1 on one machine cannot be compared. {default('1')}", **_FROM_1),
    _option(_HOW, "on", "Run on the nodes of a Ray cluster: of one that runs here, of one started"
        f" here if none does, or of the one at ADDRESS. {default('this machine')}",
        metavar="ray[=ADDRESS]"),
    _option(_HOW, "cpus_per_job", "Cores of a node that a job on a cluster holds."
        f" {default('all')}", **_FROM_1),
    _option(_HOW, "gpus_per_job", "GPUs of a node that a job on a cluster holds."
        f" {default('1 with --device cuda')}", **_FROM_1),
    _option(_HOW, "repeats_in_process", "Repeats in the process of the jobs before them, not"
        " each in one of its own: sooner done, but intervals leave out what differs between those.",
        bool, False),
    _option(_HOW, "budget", "Start no job that would end after this long: 10m, 90s, 2h; first those"
        f" that decide findings soonest. {default('no limit')}", metavar="TIME"),
    _option(_HOW, "timeout", f"Stop a job after this long. {default('never')}", float, min=0.001,
        metavar="SECONDS"),
    _option(_HOW, "checkpoint", "Store jobs in training this often, at the end of an epoch: 10m,"
        f" 90s, 1h. {default('never')}", metavar="TIME"),
    _option(_WHERE, "keep_weights", "Store trained models in RESULTS/weights, for `aebench apply`.",
        bool, False),
    _option(_WHERE, "results", f"Folder. {default('results/GRID')}", Path,
        autocompletion=complete.results),
    _option(_WHERE, "data", f"Folder of the data cache. {default(DATA_FOLDER)}", Path,
        autocompletion=complete.folders),
    _option(_WHERE, "report", "Render the report at the end.", bool, False),
)  # fmt: skip
_AXIS_NAMES = [o.name for o in _OPTIONS if o.name in (*JOB_OPTIONS, "model", "seeds", "repeats")]


def run(**given: Any) -> None:
    """Train a grid of autoencoders; what is there already is not run again."""
    if given["timeout"] is not None and not math.isfinite(given["timeout"]):
        raise RequestError(f"--timeout takes a number of seconds, not {given['timeout']:g}")
    if given["retrain"] and not given["keep_weights"]:
        raise RequestError("--retrain is of use with --keep-weights only: give both")
    budget_s = axes.seconds("--budget", given["budget"]) if given["budget"] else None
    cluster.check(given)
    # Folders and files are made absolute: code of the user's may change folder.
    here = folders.current()
    plugins = tuple(str(here / path) for path in given["plugin"] or ())
    data = None if given["data"] is None else here / given["data"]
    load_plugins(plugins)
    os.chdir(here)
    asked = axes.axes({name: given[name] for name in _AXIS_NAMES}, here=not given["on"])
    if given["option"]:
        asked["options"] = axes.options(given["option"])
    device = given["device"] or "auto"
    options = RunOptions(
        cuda=device if device.startswith("cuda") else "cuda",
        workers=given["workers"] or (None if given["on"] else 1),
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
    )
    grid = _grid(given["grid"], asked, given["shard"], data)
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
    estimator = Estimator.from_store(store)
    text.detail(f"results: {store.path}, {len(there)} records there; times: {estimator.basis}")
    todo = to_do(grid, known, options, given["retry_failed"])
    plan, workers = None, options.workers or 1
    if budget_s is not None:
        if any(job not in grid.impossible for job in todo):
            plan = within(grid, todo, known, store.path.name, options, budget_s)
            todo = list(plan.todo)
        else:
            text.stderr().print("nothing is left to do, so nothing of the budget is used")
    if given["plan"]:
        started = () if options.repeats_in_process else grid.repeated
        print_plan(grid, there, todo, estimator, workers, started)
        for sentence in told_before(plan, workers) if plan else ():
            text.stdout().print(sentence, soft_wrap=True)
        return
    text.warn(by_other_engines([job for job in todo if job not in grid.impossible], there))
    admission = plan.admission(store, workers) if plan else None
    options = dataclasses.replace(options, may_start=admission)
    finished = execute(grid, todo, store, shown, estimator, options)
    os.chdir(here)
    asked_for = (given["report"], given["keep_weights"])
    left_out = admission.refused if admission else []
    if plan and finished:
        again = shlex.join(["aebench", *sys.argv[1:]])
        text.warn(told_after(plan, left_out, store.survey().statuses, again))
    _conclude(grid, store, shown, finished, *asked_for, known.problems, left_out)


run.__signature__ = inspect.Signature(_OPTIONS)  # type: ignore[attr-defined]


def _grid(
    source: str | None, asked: Mapping[str, Any], shard: str | None, data: Path | None
) -> Grid:
    """The jobs asked for, and what to know of them said."""
    defaults: dict[str, Any] = {"device": axes.device("auto")}
    if not source and set(asked) & {"architecture", "latent"}:
        defaults["dataset"] = "mnist"
    else:
        source = source or "quick"
    grid = load_grid(source, asked, defaults, data)
    text.warn(grid.notes)
    if shard:
        grid = grid.shard(*axes.part(shard))
    for job in {(j.architecture, j.depth, j.engine, j.device): j for j in grid.jobs}.values():
        text.detail(
            f"{job.architecture} of depth {job.depth}: engine {job.engine} on {job.device}"
            f" ({printable(job.engine_choice)})"
        )
    return grid


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
    if len(jobs):
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
