"""The Python interface: what the command line does, as functions for scripts and notebooks.

Both take the same way: `cli.execute` decides what is to do and does it. What is here only takes
arguments and gives results in place of words and exit codes.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aebench import executors, machine
from aebench import grid as grids
from aebench.architectures import registry
from aebench.errors import RequestError, printable
from aebench.grid import Grid
from aebench.job import Job

if TYPE_CHECKING:
    from aebench.analysis.outcomes import Outcomes
    from aebench.page import Report
    from aebench.store import Results


def load_grid(
    source: str | None = None, overrides: Mapping[str, Any] | None = None, data: Path | None = None
) -> Grid:
    """Enumerate the jobs of a grid, as ``aebench run`` does: nothing is trained, nor built.

    `source` is a preset (``"quick"``) or a TOML file; with None the axes alone describe the grid.
    `overrides` are axes by the names of the options: ``{"architecture": ["mlp", "conv"], "latent":
    [4, 16], "epochs": 3}``; each is a value, a list, or a range as text (``"0..4"``). The engine is
    the fastest known and the device a GPU where there is one, unless these say otherwise. A dataset
    may be a folder or file of images, whose pixels are kept in the data cache `data`.

    Raises:
        RequestError: every mistake found, one a line, with its place and the nearest valid name.
    """
    defaults = {"device": "cuda" if machine.cuda_devices() else "cpu"}
    if source is None:
        defaults["dataset"] = "mnist"
    return grids.load_grid(source, overrides, defaults, data, "the axes given")


def run(
    grid: Grid | Iterable[Job] | str,
    results: Path | str | None = None,
    *,
    workers: int = 1,
    progress: bool = True,
    retry_failed: bool = False,
    timeout_s: float | None = None,
    cuda: str = "cuda",
    threads: int | None = None,
    data: Path | str | None = None,
    keep_weights: bool = False,
    retrain: bool = False,
    checkpoint_s: float | None = None,
    repeats_in_process: bool = False,
    budget_s: float | None = None,
) -> Results:
    """Train what is not there yet of `grid`, and return the results of all of it.

    `grid` is what `load_grid` gives, some jobs of it, or the name of a preset or TOML file.
    `results` is the folder, ``results/GRID`` without it. The remaining arguments are the options
    of ``aebench run``: `workers` jobs at a time (with more than 1 their times cannot be compared),
    each for `timeout_s` seconds at most and on `threads` threads, by default its share of the
    cores; `cuda` is torch's name of the GPU for jobs on CUDA. `progress` shows what is going on:
    bars on a terminal and in a notebook, else lines on stderr; without it only what went wrong.
    Each of several repeats is run in a process started for it, unless `repeats_in_process`. With
    `budget_s` no job starts that would end later than so many seconds from now; the jobs left out
    are told, and have no rows.

    Jobs run in processes of their own, so models and data sets may be defined in the same script
    or notebook: these are sent with the job. A job that fails has a row that says why. Ctrl-C, or
    stopping the cell, lets running jobs end, a second time kills them; the same call goes on.

    Raises:
        RequestError: a wrong argument, results that cannot be written, or code that cannot be sent
            to another process; or a plugin or a worker calls this, as it imports the file.
        KeyboardInterrupt: it was stopped; what had ended by then is stored.
    """
    from aebench.cli import text
    from aebench.cli.execute import execute, to_do
    from aebench.cli.within import told_after, within
    from aebench.estimate import Estimator
    from aebench.executors import RunOptions
    from aebench.store import Store

    if executors.in_worker or registry.being_imported():
        file = getattr(sys.modules.get(registry.being_imported()), "__file__", None) or "a file"
        raise RequestError(
            f"{printable(file)} is imported for the models in it, and runs aebench as well: put"
            ' what runs it below `if __name__ == "__main__":`'
        )
    if isinstance(grid, str):
        grid = load_grid(grid, data=Path(data) if data else None)
    elif not isinstance(grid, Grid):
        jobs = _jobs(grid)
        grid = Grid("custom", jobs, repeated=grids.repeated(jobs))
    _check(
        workers=workers, timeout_s=timeout_s, threads=threads, checkpoint_s=checkpoint_s,
        budget_s=budget_s,
    )  # fmt: skip
    if retrain and not keep_weights:
        raise RequestError("retrain is of use with keep_weights only: give both")
    options = RunOptions(
        cuda=cuda, workers=workers, timeout_s=timeout_s, threads=threads,
        data=Path(data) if data else None, command="aebench.run in Python",
        keep_weights=keep_weights, retrain=retrain, checkpoint_s=checkpoint_s,
        repeats_in_process=repeats_in_process,
    )  # fmt: skip
    shown = text.RESULTS / grid.name if results is None else _folder(results)
    store = Store(shown.absolute())
    with text.quietly(not progress):
        known = store.survey()
        text.warn([*grid.notes, *known.problems])
        todo = to_do(grid, known, options, retry_failed)
        plan = admission = None
        if budget_s is not None and any(job not in grid.impossible for job in todo):
            plan = within(grid, todo, known, store.path.name, options, budget_s)
            todo, admission = list(plan.todo), plan.admission(store, options)
            options = dataclasses.replace(options, may_start=admission)
        estimator = Estimator.from_survey(known, options.threads_of_each(len(todo)))
        if not execute(grid, todo, store, shown, estimator, options):
            raise KeyboardInterrupt(
                f"stopped; what has ended is in {shown}, and the same call goes on"
            )
        if plan and admission:
            again = "the same call"
            text.warn(told_after(plan, admission.refused, store.survey().statuses, again))
    if not grid.jobs:
        raise RequestError(f"grid {printable(grid.name)} has no jobs")
    return _of(store.read(), {job.key for job in grid.jobs})


def findings(results: Path | str | Results) -> Outcomes:
    """Judge the study's findings on `results`, a folder or tables already read.

    One outcome a finding, in the order of the study: its verdict, our figure with a 95 % interval
    in the unit that `finding.measure` says, and why. ``.table`` is a data frame of them.

    Raises:
        RequestError: there is no such results folder.
    """
    from aebench.analysis.findings import evaluate

    return evaluate(_read(results))


def report(results: Path | str | Results, language: str = "en") -> Report:
    """Render the report of `results`, a folder or tables already read, in `language`: en or fr.

    Shown in a notebook as it is; ``.write(path)`` makes a file of it. The same results give the
    same bytes.

    Raises:
        RequestError: there is no such results folder, or no such language.
    """
    from aebench.language import use
    from aebench.page import Report
    from aebench.page.html import page

    with use(language):
        return Report(page(_read(results)))


def _read(results: Path | str | Results) -> Results:
    from aebench.store import read

    return read(results) if isinstance(results, str | Path) else results


def _jobs(given: Iterable[Job]) -> tuple[Job, ...]:
    jobs = tuple(given)
    for job in jobs:
        if not isinstance(job, Job):
            raise RequestError(
                f"aebench.run takes a grid or its jobs, not {printable(type(job).__name__)}; what"
                " aebench.load_grid gives is one"
            )
    return tuple(dict.fromkeys(jobs))


def _folder(given: object) -> Path:
    if not isinstance(given, str | Path) or not str(given).strip():
        raise RequestError(f"results takes the path of a folder, not {printable(repr(given))}")
    return Path(given)


def _check(**given: float | None) -> None:
    for name, value in given.items():
        whole = name in ("workers", "threads")
        right = isinstance(value, int if whole else (int, float)) and 0 < value < float("inf")
        if not (right or (value is None and name != "workers")):
            what = "a whole number from 1" if whole else "a number of seconds above 0"
            raise RequestError(f"{name} takes {what}, not {printable(repr(value))}")


def _of(results: Results, keys: set[str]) -> Results:
    """The rows of these jobs, and those without a key, which belong to data sets."""
    tables = ("jobs", "epochs", "samples", "probes", "rates", "codes")
    frames = {n: getattr(results, n) for n in tables}
    mine = {n: f["key"].isin(keys) | f["key"].isna() for n, f in frames.items()}
    only = {n: f[mine[n]].reset_index(drop=True) for n, f in frames.items()}
    return dataclasses.replace(results, **only)
