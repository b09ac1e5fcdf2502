"""``aebench report``: results to one HTML file, or to a document made of it."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from aebench.cli import complete, folders, text
from aebench.cli.options import Results, default
from aebench.errors import RequestError
from aebench.language import ENGLISH, LANGUAGES
from aebench.page import Form

_DEFAULT = "reports/NAME.html, .pdf or .md"


def report(
    results: Results = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help=f"File. {default(_DEFAULT)}")
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            help="What to write: a pdf is the page as an installed Chromium, Chrome or Edge prints"
            " it (AEBENCH_BROWSER names another); markdown has its pictures in a folder beside it."
            f" {default('as --output ends, else html')}",
        ),
    ] = None,
    language: Annotated[
        str,
        typer.Option(
            help=f"Language of texts and numbers: {' or '.join(LANGUAGES)}. {default(ENGLISH)}",
            autocompletion=complete.language,
        ),
    ] = ENGLISH,
) -> None:
    """Render results as one self-contained HTML page: findings, tables, plots and pictures.

    Or as a PDF, printed from that page, or as Markdown for a README or a lab report: what was
    found, the findings and the best models.
    """
    form = form or _by_ending(output)
    render_visibly(folders.meant(results), output, text.stderr(), form, language)


def _by_ending(output: Path | None) -> Form:
    """What a file of this name is taken for."""
    ending = "" if output is None else output.suffix.lower()
    return next((form for form in Form if form.ending == ending), Form.html)


def render_visibly(
    results: Path,
    output: Path | None,
    console: Console,
    form: Form = Form.html,
    language: str = ENGLISH,
) -> None:
    """Render, and say where the report is.

    Raises:
        RequestError: no results there, no browser for a PDF, or the file cannot be written.
    """
    from aebench.page import render

    target = output or text.REPORTS / f"{results.resolve().name}{form.ending}"
    if target.is_dir():
        raise RequestError(f"--output {target} is a folder; name a file in it")
    live = text.is_live(sys.stderr)
    with console.status("rendering the report") if live else contextlib.nullcontext():
        try:
            render(results, target, form, language)
        except OSError as error:
            raise RequestError(f"cannot write {target}: {error.strerror or error}") from error
    console.print(f"report: {target}", soft_wrap=True)
