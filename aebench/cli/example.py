"""``aebench example``: worked examples of models and data of one's own, to copy and to change.

One is a notebook, one a cluster file; the others are plugin files.
"""

from __future__ import annotations

import ast
import json
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

  aebench example lab > lab.ipynb

  aebench example cluster > cluster.toml
"""


def examples() -> dict[str, str]:
    """The text of each example, by name."""
    home = resources.files("aebench") / "examples"
    files = sorted(home.iterdir(), key=lambda file: file.name)
    found = ((*file.name.rpartition("."), file) for file in files)
    return {
        name: f.read_text("utf-8") for name, _, kind, f in found if kind in ("py", "ipynb", "toml")
    }


def is_notebook(source: str) -> bool:
    """Whether the text of an example is that of a notebook."""
    return source.startswith("{")


def example(
    name: Annotated[
        str | None,
        typer.Argument(
            help=f"Which to print. {default('a list of them')}", autocompletion=complete.example
        ),
    ] = None,
) -> None:
    """Print a worked example of a model, data or cluster; without a name, list them."""
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
    """The first line of a docstring or of comments, or the title of a notebook."""
    if source.startswith("#"):
        return source.partition("\n")[0].strip("# ")
    if is_notebook(source):
        title: str = json.loads(source)["cells"][0]["source"][0]
        return title.strip("# \n")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
