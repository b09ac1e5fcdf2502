"""Options and arguments that several commands share, and the wording of defaults in help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aebench.cli import complete
from aebench.cli.formats import Format


def default(value: str) -> str:
    r"""``[default: value]`` for a help text; rich takes a bracket for markup unless it is escaped.

    For defaults that typer cannot know, since the code that chooses them comes later.
    """
    return rf"\[default: {value}]"


Results = Annotated[
    Path | None,
    typer.Argument(
        help=f"Results folder, or a file in it. {default('the newest of yours below results/')}",
        autocompletion=complete.results,
    ),
]
DATA_FOLDER = "$AEBENCH_DATA, else the user's cache"
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help=f"Folder of the data cache. {default(DATA_FOLDER)}",
        autocompletion=complete.folders,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How to print.")]
