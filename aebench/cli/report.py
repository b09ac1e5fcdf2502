"""``aebench report``: results to one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aebench.cli import text
from aebench.errors import RequestError


def report(
    results: Annotated[
        Path | None, typer.Argument(help="Results folder. [default: the newest below results/]")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File. [default: reports/NAME.html]")
    ] = None,
) -> None:
    """Render results as one self-contained HTML page: findings, tables, plots and pictures."""
    render_visibly(results or text.newest_results(), output, text.stderr())


def render_visibly(results: Path, output: Path | None, console: Console) -> None:
    """Render, and say where the page is.

    Raises:
        RequestError: no results there, or the file cannot be written.
    """
    from aebench.report import render

    target = output or text.REPORTS / f"{results.resolve().name}.html"
    if target.is_dir():
        raise RequestError(f"--output {target} is a folder; name a file in it")
    with console.status("rendering the report"):
        try:
            render(results, target)
        except OSError as error:
            raise RequestError(f"cannot write {target}: {error.strerror or error}") from error
    console.print(f"report: {target}", soft_wrap=True)
