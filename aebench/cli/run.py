"""``aebench run``: from options to jobs, from jobs to a filled store, and what to say of it."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from aebench import machine
from aebench.cli import text
from aebench.cli.data import fetch_visibly
from aebench.cli.plan import print_plan
from aebench.datasets import folder
from aebench.errors import RequestError
from aebench.estimate import Estimator
from aebench.grid import PRESETS, Grid, load_grid
from aebench.job import ENGINES, PRECISIONS, Job
from aebench.plugins import load_plugins
from aebench.protocols import NAMES as PROTOCOLS
from aebench.protocols import ORDERS, SCHEDULES

_GRID, _AXES, _HOW, _WHERE = "Which jobs", "Axes (lists: 1,16,128; ranges: 0..4)", "How", "Where"

_EPILOG = """
Examples:

  aebench run                                   the quick grid: five systems of the study

  aebench run --grid full --plan                what would run, how big, about how long

  aebench run --architecture mlp,conv --latent 4,32 --dataset digits --seeds 3

  aebench run --grid study --epochs 2 --results results/trial --workers 2

  aebench run --grid full --shard 1/4           a quarter of it, for one of four machines
"""


def run(
    grid: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(PRESETS)}, or a TOML file. [default: quick]",
            rich_help_panel=_GRID,
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
        typer.Option(help="Python file with architectures of your own.", rich_help_panel=_GRID),
    ] = None,
    architecture: Annotated[
        str | None, typer.Option(help="mlp, conv, ...", rich_help_panel=_AXES)
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help="mnist, digits, ..., or a folder of images. [default: mnist]",
            rich_help_panel=_AXES,
        ),
    ] = None,
    latent: Annotated[
        str | None,
        typer.Option(help="Code width (mlp) or channels (conv).", rich_help_panel=_AXES),
    ] = None,
    depth: Annotated[
        str | None, typer.Option(help="Encoder layers. [default: 1]", rich_help_panel=_AXES)
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="How many: 0 to N-1.", rich_help_panel=_AXES)
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1, help="How often, for times; 6 or more to publish.", rich_help_panel=_AXES
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help=f"Training settings: {', '.join(PROTOCOLS)}.", rich_help_panel=_AXES),
    ] = None,
    epochs: Annotated[
        str | None, typer.Option(help="Instead of the protocol's.", rich_help_panel=_AXES)
    ] = None,
    batch_size: Annotated[
        str | None, typer.Option(help="Instead of the protocol's.", rich_help_panel=_AXES)
    ] = None,
    learning_rate: Annotated[
        str | None, typer.Option(help="Instead of the protocol's.", rich_help_panel=_AXES)
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help=f"Learning rate: {', '.join(SCHEDULES)}.", rich_help_panel=_AXES),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(help=f"Training images: {', '.join(ORDERS)}.", rich_help_panel=_AXES),
    ] = None,
    train_noise: Annotated[
        str | None,
        typer.Option(
            help="Amplitude of Gaussian noise on training inputs. [default: 0]",
            rich_help_panel=_AXES,
        ),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help=f"{', '.join(ENGINES)}, or auto: by device and family. [default: eager]",
            rich_help_panel=_AXES,
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help=f"{', '.join(PRECISIONS)}. [default: fp32]", rich_help_panel=_AXES),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="auto, cpu, cuda, cuda:1, ... [default: auto]", rich_help_panel=_HOW),
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
            min=0.001, metavar="SECONDS", help="Stop a job after this long.", rich_help_panel=_HOW
        ),
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder. [default: results/GRID]", rich_help_panel=_WHERE)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data cache. [env: AEBENCH_DATA]", rich_help_panel=_WHERE),
    ] = None,
    report: Annotated[
        bool, typer.Option("--report", help="Render the report at the end.", rich_help_panel=_WHERE)
    ] = False,
) -> None:
    """Train a grid of autoencoders; what is there already is not run again."""
    plugins = tuple(str(path) for path in plugin or ())
    load_plugins(plugins)
    axes = {
        "architecture": _list(architecture),
        "dataset": _list(dataset),
        "latent": _list(latent),
        "depth": _list(depth),
        "seeds": seeds,
        "repeats": repeats,
        "protocol": _list(protocol),
        "epochs": _list(epochs),
        "batch_size": _list(batch_size),
        "learning_rate": _list(learning_rate),
        "schedule": _list(schedule),
        "order": _list(order),
        "train_noise": _list(train_noise),
        "engine": _list(engine),
        "precision": _list(precision),
        "device": _device(device) if device else None,
    }
    given = {name: value for name, value in axes.items() if value is not None}
    source = grid or (None if set(given) & {"architecture", "latent"} else "quick")
    defaults: dict[str, Any] = {"device": _device("auto")}
    if source is None:
        defaults["dataset"] = "mnist"
    chosen = load_grid(source, given, defaults, data)
    for note in chosen.notes:
        text.stderr().print(f"warning: {note}", style="yellow")
    if shard:
        chosen = _shard(chosen, shard)
        if not chosen.jobs:  # by hash, a small grid leaves some parts empty: nothing is wrong
            text.stderr().print(f"part {shard} of {chosen.name} has no jobs; nothing to do")
            return

    from aebench.store import Store

    store = Store(results or text.RESULTS / chosen.name)
    known = store.survey()
    text.warn(known.problems)  # before hours are spent on what they may hold
    there = known.statuses
    estimator = Estimator.from_store(store)
    if plan:
        print_plan(chosen, there, estimator, workers)
        return
    todo = [
        job
        for job in chosen.jobs
        if job.key not in there or (retry_failed and there[job.key] != "ok")
    ]
    command = _command(dataset, data)
    finished = _execute(
        chosen, todo, store, estimator, data, device, workers, timeout, plugins, command
    )
    _conclude(chosen, store, report and finished, finished)


def _execute(
    grid: Grid,
    todo: list[Job],
    store: Any,
    estimator: Estimator,
    data: Path | None,
    device: str | None,
    workers: int,
    timeout: float | None,
    plugins: tuple[str, ...],
    command: str,
) -> bool:
    """Run what is to do, with progress; False if the user stopped it."""
    from aebench.cli.progress import watch
    from aebench.executors import local
    from aebench.records import Circumstances, ended_without_record

    if todo:
        store.prepare()
    console = text.stderr()
    there = len(grid.jobs) - len(todo)
    if there:
        console.print(f"{there} of {len(grid.jobs)} jobs are in {store.path} already.")
    possible = [job for job in todo if job not in grid.impossible]
    for job in set(todo) - set(possible):
        reason = grid.impossible[job]
        console.print(f"skipped {job.name}: {reason}")
        where = Circumstances(command=command)
        store.write(ended_without_record(job, where, "skipped", reason, total_s=0.0))
    if not possible:
        text.warn(store.compact())
        return True
    if workers > 1 and len(possible) > 1:
        console.print(
            f"{workers} jobs share this machine: errors are exact, but their times cannot be"
            " compared and stay out of the time tables. Use --workers 1 for times."
        )
    for name in sorted({job.dataset for job in possible}):
        fetch_visibly(name, data, console)
    text.warn(store.compact())
    options = local.Options(
        cuda=device if device and device.startswith("cuda") else "cuda",
        workers=workers,
        timeout_s=timeout,
        data=data,
        command=command,
        plugins=plugins,
    )
    with watch(possible, estimator, console) as listener:
        return local.run(possible, store, options, listener)


def _conclude(grid: Grid, store: Any, report: bool, finished: bool) -> None:
    """Print what came out, where it lies and how to go on; exit with the code that fits."""
    from aebench.cli.show import jobs_table

    console = text.stderr()
    found = store.read()
    text.warn(found.problems)
    keys = {job.key for job in grid.jobs}
    jobs = found.jobs[found.jobs["key"].isin(keys)]
    if len(jobs):
        text.stdout().print(jobs_table(jobs, str(store.path)))
    console.print(f"results: {store.path}", soft_wrap=True)
    if report and (jobs["status"] == "ok").any():
        from aebench.cli.report import render_visibly

        render_visibly(store.path, None, console)
    if not finished:
        missing = len(keys) - len(jobs)
        again = shlex.join(["aebench", *sys.argv[1:]])
        stopped = f"stopped with {missing} jobs to go; to continue: {again}"
        console.print(stopped, soft_wrap=True)  # a command broken in two is another
        raise typer.Exit(130)
    bad = Counter(status for status in jobs["status"] if status != "ok")
    if bad:
        words = ", ".join(f"{n} {status}" for status, n in sorted(bad.items()))
        console.print(
            f"{bad.total()} of {len(keys)} jobs did not end ok ({words});"
            " the same command with --retry-failed runs them again",
            style="red",
        )
        raise typer.Exit(1)


def _list(given: str | None) -> list[Any] | None:
    """``"1,16,0..4"`` as a list; what looks like a number becomes one."""
    return None if given is None else [_item(part.strip()) for part in given.split(",")]


def _command(dataset: str | None, data: Path | None) -> str:
    """The command line as records keep it: a folder of images by its name, not by its path."""
    words = ["aebench", *sys.argv[1:]]
    if dataset is not None:
        names = ",".join(
            folder.adopt(part, data).info.name if folder.is_path(part, Path()) else part
            for part in (word.strip() for word in dataset.split(","))
        )
        known = {dataset: names, f"--dataset={dataset}": f"--dataset={names}"}
        words = [known.get(word, word) for word in words]
    return shlex.join(words)


def _item(word: str) -> Any:
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _device(given: str) -> str:
    """The kind of device a job names: `auto` asks the driver, and an index is no part of a job."""
    if given == "auto":
        return "cuda" if machine.cuda_devices() else "cpu"
    kind, colon, index = given.partition(":")
    if kind not in ("cpu", "cuda") or (colon and (kind == "cpu" or not index.isdigit())):
        raise RequestError(f"--device takes auto, cpu, cuda or cuda:N, not {given!r}")
    present = machine.cuda_devices()
    if kind == "cuda" and int(index or 0) >= present:
        raise RequestError(
            f"--device {given}: this machine has {present or 'no'} CUDA device{'s' * (present > 1)}"
            f"{' (numbered from 0)' if present else '; use --device cpu'}"
        )
    return kind


def _shard(grid: Grid, given: str) -> Grid:
    index, slash, count = given.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and int(count) > 0):
        raise RequestError(f"--shard takes a part and a count like 1/4, not {given!r}")
    return grid.shard(int(index), int(count))
