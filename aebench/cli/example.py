"""``aebench example``: worked examples of models and data of one's own, to copy and to change."""

from __future__ import annotations

import ast
from importlib import resources
from typing import Annotated

import typer

from aebench.cli import complete, text
from aebench.cli.options import default
from aebench.errors import RequestError, unknown

EPILOG = """
Examples:

  aebench example vae > my_vae.py

  aebench run --plugin my_vae.py --architecture vae --latent 20
"""


def examples() -> dict[str, str]:
    """The text of each example, by name."""
    home = resources.files("aebench") / "examples"
    files = sorted(home.iterdir(), key=lambda file: file.name)
    return {f.name[:-3]: f.read_text("utf-8") for f in files if f.name.endswith(".py")}


def example(
    name: Annotated[
        str | None,
        typer.Argument(
            help=f"Which to print. {default('a list of them')}", autocompletion=complete.example
        ),
    ] = None,
) -> None:
    """Print a worked example of a model or data of one's own; without a name, list them."""
    known = examples()
    if name is None:
        rows = [[n, _about(source)] for n, source in known.items()]
        heads = ["example", "what it shows"]
        text.stdout().print(text.table("", heads, rows, left=2, sentences=heads[1:]))
        return
    if name not in known:
        raise RequestError(unknown("example", name, known))
    typer.echo(known[name], nl=False)


def _about(source: str) -> str:
    """The first line of an example's docstring."""
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
