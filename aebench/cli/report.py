"""``aebench report``: results to one HTML file."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aebench.cli import folders, text
from aebench.cli.options import Results, default
from aebench.errors import RequestError


def report(
    results: Results = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=f"File. {default('reports/NAME.html')}")
    ] = None,
) -> None:
    """Render results as one self-contained HTML page: findings, tables, plots and pictures."""
    render_visibly(folders.meant(results), output, text.stderr())


def render_visibly(results: Path, output: Path | None, console: Console) -> None:
    """Render, and say where the page is.

    Raises:
        RequestError: no results there, or the file cannot be written.
    """
    from aebench.page import render

    target = output or text.REPORTS / f"{results.resolve().name}.html"
    if target.is_dir():
        raise RequestError(f"--output {target} is a folder; name a file in it")
    live = text.is_live(sys.stderr)
    with console.status("rendering the report") if live else contextlib.nullcontext():
        try:
            render(results, target)
        except OSError as error:
            raise RequestError(f"cannot write {target}: {error.strerror or error}") from error
    console.print(f"report: {target}", soft_wrap=True)
