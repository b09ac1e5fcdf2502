"""``aebench data``: where the datasets are, where they come from, and whether they are whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aebench import datasets
from aebench.cli import complete, text
from aebench.cli.guard import Command, Commands
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
    title, least = str(datasets.cache_directory(data)), ["validation", "image", "test", "train"]
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
    from aebench.cli import progress

    for name in names:
        progress.fetch_visibly(name, data, text.stderr())
        state = datasets.status(name, data)
        text.stdout().print(f"{name}: {state.state}, source: {state.source or 'its loader'}")


@app.command(cls=Command)
def verify(names: _Names = None, data: Data = None) -> None:
    """Compute the checksums of all that is cached anew; exit code 1 if one is bad."""
    bad = False
    for name in names or datasets.names():
        state = datasets.status(name, data, full=True)
        if state.state == "absent" and not names:
            continue
        bad |= state.state in ("damaged", "absent")
        why = f" ({state.reason})" if state.reason else ""
        text.stdout().print(f"{name}: {state.state}{why} {state.sha256}".rstrip())
    if not names:
        from aebench.evaluation import accuracies, baselines, formats

        folder, found = datasets.cache_directory(data), dict[str, str]()
        for kind in (baselines, formats, accuracies):
            found |= kind.verify(folder)
        for name, wrong in found.items():
            bad |= bool(wrong)
            said = f"damaged ({wrong}); it is computed anew when next needed" if wrong else "ready"
            text.stdout().print(f"{name}: {said}")
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
    dataset = datasets.add(name, path, data)
    text.stdout().print(f"{name}: added from {path}, sha256 {dataset.sha256}")
