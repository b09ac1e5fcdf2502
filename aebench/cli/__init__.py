"""The command line: reads arguments, prints, and chooses the exit code; nothing else does.

stdout carries results, stderr carries progress and messages. Exit codes: 0 everything asked
for is there, 1 some jobs failed or a check did, 2 the request was wrong, 130 interrupted.
"""

from __future__ import annotations

import typer

import aebench
from aebench.cli import (
    apply,
    check,
    compare,
    data,
    example,
    findings,
    listing,
    merge,
    report,
    run,
    show,
    status,
    text,
    tune,
)
from aebench.cli.guard import Command, Commands, guarded

_EPILOG = """
Examples:

aebench run: train five systems of the study and show what came out

aebench report: the newest results as one HTML page

aebench list architectures: what there is to train

-q and -v may stand before or after the command. Tables fit their terminal; in a pipe they have 200
columns, or as many as the variable COLUMNS says.
"""

app = typer.Typer(
    cls=Commands,
    name="aebench",
    help="Benchmark harness for autoencoders: trains a grid, times it honestly, reports it.",
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", cls=Command, epilog=run.EPILOG)(run.run)
app.command("status", cls=Command)(status.status)
app.command("show", cls=Command)(show.show)
app.command("findings", cls=Command, epilog=findings.EPILOG)(findings.findings)
app.command("check", cls=Command)(check.check)
app.command("compare", cls=Command, epilog=compare.EPILOG)(compare.compare)
app.command("merge", cls=Command)(merge.merge)
app.command("apply", cls=Command, epilog=apply.EPILOG)(apply.apply)
app.command("report", cls=Command)(report.report)
app.command("tune", cls=Command)(tune.tune)
app.command("list", cls=Command)(listing.list_)
app.command("example", cls=Command, epilog=example.EPILOG)(example.example)
app.add_typer(data.app, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aebench {aebench.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(  # noqa: ARG001  # dealt with by its callback
        False, "--version", callback=_version, is_eager=True, help="Show the version and exit."
    ),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="Say only errors and the result."),
    verbose: bool = typer.Option(
        False, "-v", "--verbose", help="Say what is decided, and why; tracebacks of errors."
    ),
) -> None:
    """Benchmark harness for autoencoders: trains a grid, times it honestly, reports it."""
    text.say(quiet, verbose)


def main() -> None:
    """Run the command line; a mistake of the user's is one message and exit code 2."""
    guarded(lambda: app(prog_name="aebench"))
