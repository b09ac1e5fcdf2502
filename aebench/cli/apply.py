"""``aebench apply``: a kept model on images of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aebench import schema
from aebench.cli import complete, folders, formats, text
from aebench.cli.formats import Format
from aebench.cli.options import FormatOption
from aebench.errors import RequestError, printable

EPILOG = """
Examples:

aebench apply results/quick architecture=mlp,latent=128 digit.png --output out

aebench apply results/quick 3f2a9c photographs/ --output out --resize
"""
_NAMED = 5


def apply(
    results: Annotated[
        Path, typer.Argument(help="Results folder.", autocompletion=complete.results)
    ],
    model: Annotated[
        str,
        typer.Argument(
            help="Key of a job, its beginning, or fields: architecture=mlp,latent=16,seed=0."
        ),
    ],
    images: Annotated[
        list[Path], typer.Argument(metavar="IMAGES ...", help="Image files, or folders of them.")
    ],
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Folder for PNGs and errors.csv.")
    ],
    resize: Annotated[
        bool, typer.Option("--resize", help="Crop, resize and recolour images to fit the model.")
    ] = False,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE.py",
            help="Python file with architectures of your own.",
            autocompletion=complete.plugin,
        ),
    ] = None,
    form: FormatOption = Format.table,
) -> None:
    """Reconstruct images of your own with a model that `aebench run --keep-weights` stored."""
    from aebench.plugins import load_plugins

    here = folders.current()
    load_plugins([str(here / path) for path in plugin or ()])
    from aebench.models import applying, weights

    key, fields = named(model)
    loaded = weights.find(here / folders.meant(results), key, **fields)
    answer = applying.apply(loaded, [here / path for path in images], here / output, resize=resize)
    text.warn(f"left out {each}" for each in answer.left_out[:_NAMED])
    if len(answer.left_out) > _NAMED:
        text.warn([f"left out {len(answer.left_out) - _NAMED} more"])
    heads = ["image", "MSE", "PSNR"]
    if form is Format.table:
        rows = [
            [printable(e.name), text.number(e.mse, 3), text.number(e.psnr_db, 3)]
            for e in answer.images
        ]
        title = f"{loaded.job.name}, test MSE {text.number(loaded.mse, 3)}"
        text.stdout().print(text.table(title, heads, rows))
    else:
        heads = ["image", "mse", "psnr_db"]
        formats.write(form, heads, [[e.name, repr(e.mse), repr(e.psnr_db)] for e in answer.images])
    made = text.count(len(answer.images), "image")
    text.stderr().print(f"{made} and {applying.TABLE} in {output}", soft_wrap=True)


def named(model: str) -> tuple[str, dict[str, Any]]:
    """Key and fields of the model that is meant: each item is a field=value, or a key.

    Raises:
        RequestError: two keys, or a value that is no number where one belongs.
    """
    kinds = {column.name: column.kind for column in schema.JOBS}
    key, fields = "", {}
    for item in text.items("MODEL", model):
        name, equals, value = item.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            if key:
                raise RequestError(
                    f"MODEL {printable(model)!r}: one key, or fields as in"
                    " architecture=mlp,latent=16"
                )
            key = item
            continue
        number = {"int64": int, "float64": float}.get(kinds.get(name, ""), str)
        try:
            fields[name] = number(value.strip())
        except ValueError:
            raise RequestError(
                f"MODEL {printable(model)!r}: {name} is a number, not {printable(value)!r}"
            ) from None
    return key, fields
