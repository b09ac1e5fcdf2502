"""``aebench tune``: searches settings within a budget, and writes them for ``--protocol``.

With a budget the searches of a space are run, then chosen from; without, only what is recorded is.
Exit code 1 means that a search has no winner that can be written.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aebench import protocols
from aebench.cli import axes, complete, folders, text
from aebench.cli.options import DATA_FOLDER, default
from aebench.errors import RequestError, printable, unknown
from aebench.executors import RunOptions
from aebench.plugins import load_plugins

if TYPE_CHECKING:
    from aebench.estimate import Estimator
    from aebench.job import Job
    from aebench.store import Store
    from aebench.tune.choice import Candidate, Choice
    from aebench.tune.halving import Stand
    from aebench.tune.running import MayStart, Running

_SHOWN = 8  # candidates a search; the others are counted


def tune(
    results: Annotated[
        Path | None,
        typer.Argument(
            help=f"Results of a search. {default('--results')}", autocompletion=complete.results
        ),
    ] = None,
    output: Annotated[
        Path,
        typer.Option(
            "--out", "--output", "-o", metavar="FILE.toml", help="File, for --protocol FILE.toml."
        ),
    ] = Path("tuned.toml"),
    grid: Annotated[
        str | None,
        typer.Option(
            help="What to search: search, or a TOML file with tables named search.",
            autocompletion=complete.space,
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help=f"Train for at most so long: 3h, 90m. {default('only choose from records')}",
        ),
    ] = None,
    accept_edge: Annotated[
        str | None,
        typer.Option(
            metavar="FIELDS",
            help="Fields whose winner may lie at an edge of the range, or epochs that still pay.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--results",
            help=f"Folder of the search's records. {default('results/GRID')}",
            autocompletion=complete.results,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Jobs at a time.")] = 1,
    engine: Annotated[
        str, typer.Option(help="As of `aebench run`.", autocompletion=complete.engine)
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help="As of `aebench run`.", autocompletion=complete.precision)
    ] = "fp32",
    device: Annotated[
        str, typer.Option(help="As of `aebench run`.", autocompletion=complete.device)
    ] = "auto",
    data: Annotated[
        Path | None,
        typer.Option(
            help=f"Folder of the data cache. {default(DATA_FOLDER)}",
            autocompletion=complete.folders,
        ),
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            help="Python file with architectures of your own.",
            metavar="FILE.py",
            autocompletion=complete.plugin,
        ),
    ] = None,
) -> None:
    """Search settings for each family and model, by validation error, and write them."""
    from aebench.tune import choice, file, reading, running

    if not protocols.is_file(output.name):
        raise RequestError(f"--out {printable(output)}: name a file that ends in .toml")
    here = folders.current()
    file.check(here / output)
    if results is not None and folder is not None:
        raise RequestError("the results are given twice: as an argument, and by --results")
    shown = results or folder
    if grid is None:
        if budget is not None or accept_edge is not None:
            raise RequestError(
                "--budget and --accept-edge belong to a search: add --grid FILE.toml"
            )
        if shown is None:
            raise RequestError(
                "name the results of a search to choose from, or say what to search: aebench tune"
                " --grid search --budget 1h"
            )
        shown, records = folders.read(shown)
        choices, refused = choice.choose(records.jobs, shown.resolve().name)
        if not choices:
            text.warn(f"{name}: {reason}" for name, reason in refused.items())
            raise RequestError(
                f"{shown} holds no search: it takes jobs of one model that differ in"
                " learning_rate, schedule, order, epochs or batch_size, as from `aebench tune"
                " --grid search`"
            )
        for one in choices:
            _table(one.name, [*one.candidates, *one.others])
            if one.others:
                text.stdout().print(f"{len(one.others)} not run with every model, so not eligible")
        text.warn(
            f"{one.name}: the chosen learning rate lies at the edge of those tried; a wider search"
            " may find better"
            for one in choices
            if one.at_edge
        )
        _write(choices, refused, output)
        return
    plugins = tuple(str(here / path) for path in plugin or ())
    load_plugins(plugins)
    os.chdir(here)
    data = None if data is None else here / data
    found = reading.load(grid, data)
    shown = shown or text.RESULTS / found.name
    how = {"engine": engine, "precision": precision, "device": axes.device(device)}
    run = running.Running(
        found, _store(here / shown), how, workers, accepted=_accepted(accept_edge, found)
    )
    if budget is not None:
        options = RunOptions(
            cuda=device if device.startswith("cuda") else "cuda",
            workers=workers,
            data=data,
            command=axes.command(None, [], data),
            plugins=plugins,
        )
        if not _search(run, axes.seconds("--budget", budget), options):
            again = shlex.join(["aebench", *sys.argv[1:]])
            text.error(f"stopped; to continue: {again}", style="")
            raise typer.Exit(130)
        text.stderr().print(f"results: {shown}", soft_wrap=True)
    elif not run.store.exists:
        raise RequestError(
            f"no results at {shown} to choose from; to search, add --budget, as in --budget 1h"
        )
    chosen = _choose(run.stands(), found.name, run)
    _write(*chosen, output)
    if chosen[1]:
        raise typer.Exit(1)


def _store(path: Path) -> Store:
    from aebench.store import Store

    folders.check_utf8(path)
    return Store(path)


def _accepted(given: str | None, found: Any) -> list[str]:
    """The fields of ``--accept-edge``; options of an architecture with or without ``options.``."""
    if given is None:
        return []
    known = {"epochs", *(name for search in found.searches for name in search.dims)}
    fields = []
    for word in text.items("--accept-edge", given):
        name = word if word in known else f"options.{word}"
        if name not in known:
            raise RequestError(f"--accept-edge: {unknown('field of the search', word, known)}")
        fields.append(name)
    return fields


def _search(run: Running, budget_s: float, options: RunOptions) -> bool:
    """Run a search with progress; False if the user stopped it."""
    from aebench.cli.progress import fetch_visibly, watch
    from aebench.executors import local

    console = text.stderr()
    text.warn(run.store.survey().problems)
    fetched: set[str] = set()

    def train(jobs: Sequence[Job], estimator: Estimator, may_start: MayStart) -> bool:
        run.store.prepare()
        for name in sorted({job.dataset for job in jobs} - fetched):
            fetch_visibly(name, options.data, console)
            fetched.add(name)
        console.print(f"{text.count(len(jobs), 'job')}: {_round(run.stands())}", soft_wrap=True)
        with watch(jobs, estimator, console) as listener:
            how = dataclasses.replace(options, may_start=may_start)
            return local.run(jobs, run.store, how, listener)

    return run.search(train, budget_s)


def _round(stands: Sequence[Stand]) -> str:
    """What the searches are at, in words."""
    told = []
    for stand in stands:
        if not stand.done:
            wider = f", widened {stand.widened} times" if stand.widened else ""
            at = f"rung {stand.rung + 1} of {len(stand.rungs)}{wider}"
            told.append(f"{stand.search.name} {at}")
    return "; ".join(told)


def _choose(
    stands: Sequence[Stand], grid: str, run: Running
) -> tuple[list[Choice], dict[str, str]]:
    choices: list[Choice] = []
    refused: dict[str, str] = {}
    for number, stand in enumerate(stands, start=1):
        name = f"{stand.search.name} ([[search]] {number})"
        _table(name, [*stand.ranked, *stand.others])
        choice, why = stand.choice(grid, run.accepted)
        if choice is None:
            refused[name] = why
        else:
            choices.append(choice)
    return choices, refused


def _table(title: str, candidates: Sequence[Candidate]) -> None:
    if not candidates:
        return
    models = list(candidates[0].val_mse)
    forms = len({c.model for c in candidates}) > 1
    rows = [
        [
            c.name,
            *([c.model] if forms else []),
            text.number(c.ratio),
            *(text.number(c.val_mse.get(m)) for m in models),
        ]
        for c in candidates[:_SHOWN]
    ]
    heads = ["candidate, best first", *(["model"] if forms else []), "ratio"]
    heads += [f"val_mse {m}" for m in models]
    text.stdout().print(text.table(title, heads, rows, sentences=heads[: 1 + forms]))
    if (more := len(candidates) - _SHOWN) > 0:
        text.stdout().print(f"and {more} worse candidates")


def _write(choices: Sequence[Choice], refused: dict[str, str], output: Path) -> None:
    from aebench.tune import file

    text.warn(f"{name}: not written: {reason}" for name, reason in refused.items())
    if choices:
        file.write(choices, output)
        text.stderr().print(
            f"settings: {output}; to train with them: aebench run --protocol {output}",
            soft_wrap=True,
        )
