"""``aebench run``: from options to jobs, from jobs to a filled store."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from aebench.cli import axes, complete, folders, running, text
from aebench.cli.options import default
from aebench.cli.plan import print_plan
from aebench.engines import ENGINES, PRECISIONS
from aebench.errors import RequestError
from aebench.estimate import Estimator
from aebench.grid import PRESETS, Grid, load_grid
from aebench.plugins import load_plugins
from aebench.protocols import NAMES as PROTOCOLS
from aebench.protocols import ORDERS, SCHEDULES

_GRID, _AXES, _HOW, _WHERE = "Which jobs", "Axes (lists: 1,16,128; ranges: 0..4)", "How", "Where"
_PROTOCOLS = default("the protocol's")

EPILOG = """
Examples:

aebench run: the quick grid, five systems of the study

aebench run --grid full --plan: what would run, how big, about how long

aebench run --architecture mlp,conv --latent 4,32 --dataset digits --seeds 3

aebench run --grid study --epochs 2 --results results/trial --workers 2

aebench run --grid full --shard 1/4: a quarter of it, for one of four machines
"""


@dataclass(frozen=True)
class RunOptions:
    """What was asked for. Folders and files are absolute: code of the user's may change folder.

    `axes` holds the axes that were given; `shown` is the results folder as people read it.
    """

    grid: str | None
    axes: Mapping[str, Any]
    shard: str | None
    plugins: tuple[str, ...]
    device: str
    retry_failed: bool
    workers: int
    timeout_s: float | None
    results: Path | None
    shown: Path | None
    data: Path | None
    report: bool
    command: str


def run(
    grid: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(PRESETS)}, or a TOML file. {default('quick')}",
            rich_help_panel=_GRID,
            autocompletion=complete.grid,
        ),
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only part I of N.", rich_help_panel=_GRID)
    ] = None,
    plan: Annotated[
        bool,
        typer.Option(
            "--plan", help="Show the jobs and their cost; run nothing.", rich_help_panel=_GRID
        ),
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Run again what did not end ok.", rich_help_panel=_GRID
        ),
    ] = False,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            help="Python file with architectures of your own.",
            rich_help_panel=_GRID,
            autocompletion=complete.plugin,
        ),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(
            help="Families of autoencoders: mlp, conv, ...; see `aebench list architectures`.",
            rich_help_panel=_AXES,
            autocompletion=complete.architecture,
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help=f"mnist, digits, ..., or a folder of images. {default('mnist')}",
            rich_help_panel=_AXES,
            autocompletion=complete.dataset,
        ),
    ] = None,
    latent: Annotated[
        str | None,
        typer.Option(help="Code width (mlp) or channels (conv).", rich_help_panel=_AXES),
    ] = None,
    depth: Annotated[
        str | None,
        typer.Option(help=f"Encoder layers. {default('1')}", rich_help_panel=_AXES),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help=f"How many: 0 to N-1. {default('1')}", rich_help_panel=_AXES),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"How often, for times; 6 or more to publish. {default('1')}",
            rich_help_panel=_AXES,
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help=f"Training settings: {', '.join(PROTOCOLS)}, or a TOML file by `aebench tune`."
            f" {default('study')}",
            rich_help_panel=_AXES,
            autocompletion=complete.protocol,
        ),
    ] = None,
    epochs: Annotated[
        str | None,
        typer.Option(help=f"Passes over the training images. {_PROTOCOLS}", rich_help_panel=_AXES),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(help=f"Images per training step. {_PROTOCOLS}", rich_help_panel=_AXES),
    ] = None,
    learning_rate: Annotated[
        str | None, typer.Option(help=f"Adam's step size. {_PROTOCOLS}", rich_help_panel=_AXES)
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help=f"Learning rate: {', '.join(SCHEDULES)}. {_PROTOCOLS}",
            rich_help_panel=_AXES,
            autocompletion=complete.schedule,
        ),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            help=f"Training images: {', '.join(ORDERS)}. {_PROTOCOLS}",
            rich_help_panel=_AXES,
            autocompletion=complete.order,
        ),
    ] = None,
    train_noise: Annotated[
        str | None,
        typer.Option(
            help=f"Amplitude of Gaussian noise on training inputs. {default('0')}",
            rich_help_panel=_AXES,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(ENGINES)}, or auto: by device and family. {default('eager')}",
            rich_help_panel=_AXES,
            autocompletion=complete.engine,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(PRECISIONS)}. {default('fp32')}",
            rich_help_panel=_AXES,
            autocompletion=complete.precision,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            help=f"auto, cpu, cuda, cuda:1, ... {default('auto')}",
            rich_help_panel=_HOW,
            autocompletion=complete.device,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            help="Jobs at a time. With more than 1 the times cannot be compared.",
            rich_help_panel=_HOW,
        ),
    ] = 1,
    timeout: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            metavar="SECONDS",
            help=f"Stop a job after this long. {default('never')}",
            rich_help_panel=_HOW,
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help=f"Folder. {default('results/GRID')}",
            rich_help_panel=_WHERE,
            autocompletion=complete.results,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help=r"Folder of the data cache. \[default: $AEBENCH_DATA, else the user's cache]",
            rich_help_panel=_WHERE,
            autocompletion=complete.folders,
        ),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Render the report at the end.", rich_help_panel=_WHERE)
    ] = False,
) -> None:
    """Train a grid of autoencoders; what is there already is not run again."""
    if timeout is not None and not math.isfinite(timeout):
        raise RequestError(f"--timeout takes a number of seconds, not {timeout:g}")
    here = folders.current()
    plugins = tuple(str(here / path) for path in plugin or ())
    data = None if data is None else here / data
    load_plugins(plugins)
    os.chdir(here)  # a plugin may have gone elsewhere, and what was asked for lies here
    given = axes.axes(
        {
            "architecture": architecture,
            "dataset": dataset,
            "latent": latent,
            "depth": depth,
            "seeds": seeds,
            "repeats": repeats,
            "protocol": protocol,
            "epochs": epochs,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "schedule": schedule,
            "order": order,
            "train_noise": train_noise,
            "engine": engine,
            "precision": precision,
            "device": device,
        }
    )
    options = RunOptions(
        grid=grid or (None if set(given) & {"architecture", "latent"} else "quick"),
        axes=given,
        shard=shard,
        plugins=plugins,
        device=device or "auto",
        retry_failed=retry_failed,
        workers=workers,
        timeout_s=timeout,
        results=None if results is None else here / results,
        shown=results,
        data=data,
        report=report,
        command=axes.command(dataset, given.get("dataset", []), data),
    )
    chosen = _grid(options)
    os.chdir(here)
    if not chosen.jobs:  # by hash, a small grid leaves some parts empty: nothing is wrong
        text.stderr().print(f"part {shard} of {chosen.name} has no jobs; nothing to do")
        return
    _start(chosen, options, here, plan)


def _start(grid: Grid, options: RunOptions, here: Path, plan: bool) -> None:
    """Plan or run `grid`; the first to need the results folder."""
    from aebench.store import Store

    shown = options.shown or text.RESULTS / grid.name
    store = Store(options.results or here / shown)
    folders.check_utf8(store.path)
    known = store.survey()
    text.warn(known.problems)  # before hours are spent on what they may hold
    there = known.statuses
    estimator = Estimator.from_store(store)
    text.detail(f"results: {store.path}, {len(there)} records there; times: {estimator.basis}")
    todo = [
        job
        for job in grid.jobs
        if job.key not in there or (options.retry_failed and there[job.key] != "ok")
    ]
    if plan:
        print_plan(grid, there, todo, estimator, options.workers)
        return
    finished = running.execute(grid, todo, store, shown, estimator, options)
    os.chdir(here)
    running.conclude(grid, store, shown, finished, options.report)


def _grid(options: RunOptions) -> Grid:
    """The jobs asked for, and what to know of them said."""
    defaults: dict[str, Any] = {"device": axes.device("auto")}
    if options.grid is None:
        defaults["dataset"] = "mnist"
    chosen = load_grid(options.grid, options.axes, defaults, options.data)
    text.warn(chosen.notes)
    if options.shard:
        chosen = chosen.shard(*axes.part(options.shard))
    for job in {(j.architecture, j.depth, j.engine, j.device): j for j in chosen.jobs}.values():
        why = "chosen by auto" if job.engine_choice == "auto" else "as asked for, or the default"
        text.detail(
            f"{job.architecture} of depth {job.depth}: engine {job.engine} on {job.device} ({why})"
        )
    return chosen
