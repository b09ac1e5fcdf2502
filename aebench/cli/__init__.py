"""The command line: reads arguments, prints, and chooses the exit code; nothing else does.

stdout carries results, stderr carries progress and messages. Exit codes: 0 everything asked
for is there, 1 some jobs failed or a check did, 2 the request was wrong, 130 interrupted.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import typer
from typer.core import TyperGroup

import aebench
from aebench.cli import check, compare, data, findings, merge, report, run, show, text, tune
from aebench.errors import RequestError


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        """Run the command; that the reader of its output has gone is no failure of it."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # typer itself would end with 1
            text.silence(sys.stdout)
            raise typer.Exit(0) from None


app = typer.Typer(
    cls=_Commands,
    name="aebench",
    help="Benchmark harness for autoencoders: trains a grid, times it honestly, reports it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.command("show")(show.show)
app.command("findings")(findings.findings)
app.command("check")(check.check)
app.command("compare", epilog=compare.EPILOG)(compare.compare)
app.command("merge")(merge.merge)
app.command("report")(report.report)
app.command("tune")(tune.tune)
app.add_typer(data.app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aebench {aebench.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
) -> None:
    """Benchmark harness for autoencoders: trains a grid, times it honestly, reports it."""


def main() -> None:
    """Run the command line; a mistake of the user's is one message and exit code 2."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As stderr does by itself: a letter that the encoding lacks is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        app()
    except RequestError as error:
        print(f"aebench: {error}", file=sys.stderr)
        sys.exit(2)
    finally:
        try:
            print(end="", flush=True)  # else Python meets the closed pipe at exit, and complains
        except BrokenPipeError:
            text.silence(sys.stdout)
