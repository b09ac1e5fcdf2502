"""``aebench data``: where the datasets are, where they come from, and whether they are whole."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from aebench import datasets
from aebench.cli import complete, text
from aebench.cli.commands import Command, Commands
from aebench.cli.options import Data, default

app = typer.Typer(cls=Commands, help="List, fetch, verify and add datasets.", no_args_is_help=True)

_Names = Annotated[
    list[str] | None,
    typer.Argument(
        help=f"Datasets. {default('all that are here')}", autocompletion=complete.named_dataset
    ),
]


@app.command("list", cls=Command)
def list_(data: Data = None) -> None:
    """List the datasets, their sizes and sources, and which are here."""
    rows = []
    for name in datasets.names():
        info, state = datasets.info(name), datasets.status(name, data)
        rows.append(
            [
                name,
                state.state,
                " x ".join(map(str, (info.channels, info.height, info.width))),
                f"{info.train_images - info.validation_images:,}",
                f"{info.validation_images:,}",
                f"{info.test_images:,}",
                state.source or ", ".join(dict.fromkeys(s.kind for s in info.sources)),
            ]
        )
    heads = ["dataset", "state", "image", "train", "validation", "test", "source"]
    console = text.stdout()
    title, least = str(data or datasets.cache_directory()), ["validation", "image", "test", "train"]
    console.print(text.table(title, heads, rows, left=2, sentences=["source"], least=least))


@app.command(cls=Command)
def fetch(
    names: Annotated[
        list[str],
        typer.Argument(help="Datasets to fetch.", autocompletion=complete.named_dataset),
    ],
    data: Data = None,
) -> None:
    """Fetch datasets into the cache; each pixel is verified before anything is kept."""
    for name in names:
        datasets.info(name)  # a wrong name is said before the first download
    for name in names:
        fetch_visibly(name, data, text.stderr())
        state = datasets.status(name, data)
        text.stdout().print(f"{name}: {state.state}, source: {state.source or 'its loader'}")


@app.command(cls=Command)
def verify(names: _Names = None, data: Data = None) -> None:
    """Compute the checksums of cached datasets and PCA curves anew; exit code 1 if one is bad."""
    bad = False
    for name in names or datasets.names():
        state = datasets.verify(name, data)
        if state.state == "absent" and not names:
            continue
        bad |= state.state in ("damaged", "absent")
        why = f" ({state.reason})" if state.reason else ""
        text.stdout().print(f"{name}: {state.state}{why} {state.sha256}".rstrip())
    if not names:
        from aebench.evaluation import baselines

        for curve, wrong in baselines.verify(data or datasets.cache_directory()).items():
            bad |= bool(wrong)
            said = f"damaged ({wrong}); it is computed anew when next needed" if wrong else "ready"
            text.stdout().print(f"{curve}: {said}")
    if bad:
        raise typer.Exit(1)


@app.command(cls=Command)
def add(
    name: Annotated[
        str,
        typer.Argument(
            help="Which dataset these files are.", autocompletion=complete.named_dataset
        ),
    ],
    path: Annotated[Path, typer.Argument(help="File, archive or folder as people have them.")],
    data: Data = None,
) -> None:
    """Take a dataset from files you have; they are verified like a download."""
    found = datasets.add(name, path, data)
    text.stdout().print(f"{name}: added from {path}, sha256 {found.sha256}")


def fetch_visibly(name: str, directory: Path | None, console: Console) -> None:
    """Make sure that `name` is in the cache, with a progress bar for what is downloaded.

    Raises:
        DataUnavailable: no source has it.
    """
    if not text.is_live(sys.stderr):
        datasets.load(name, directory, _Lines(console))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as bar:
        task = bar.add_task(name, total=None, visible=False)

        def show(message: str, done: int, total: int | None) -> None:
            bar.update(task, description=message, completed=done, total=total, visible=True)

        datasets.load(name, directory, show)


class _Lines:
    """Progress for logs: a line when the message changes, and one every ten seconds."""

    def __init__(self, console: Console) -> None:
        self.console, self.message, self.at = console, "", 0.0

    def __call__(self, message: str, done: int, total: int | None) -> None:
        """Print a line if there is something to say."""
        if message == self.message and time.monotonic() - self.at < 10:
            return
        self.message, self.at = message, time.monotonic()
        share = f" {done / 1e6:.1f} of {total / 1e6:.1f} MB" if total and done else ""
        self.console.print(f"{message}{share}")
        sys.stderr.flush()
