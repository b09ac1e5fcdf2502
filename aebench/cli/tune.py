"""``aebench tune``: from the results of a search to a file of settings for ``--protocol``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aebench import protocols
from aebench.cli import complete, folders, text
from aebench.errors import RequestError, printable

_SHOWN = 8  # candidates a family; the others are counted


def tune(
    results: Annotated[
        Path, typer.Argument(help="Results of a search.", autocompletion=complete.results)
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--out", "--output", "-o", metavar="FILE.toml", help="File, for --protocol FILE.toml."
        ),
    ] = Path("tuned.toml"),
) -> None:
    """Choose training settings for each family, by validation error, from a search's results."""
    from aebench import tune as tuning

    if not protocols.is_file(output.name):
        raise RequestError(f"--out {printable(output)}: name a file that ends in .toml")
    results, records = folders.read(results)
    choices, refused = tuning.choose(records.jobs, results.resolve().name)
    for choice in choices:
        models = list(choice.candidates[0].val_mse)
        rows = [
            [c.name, text.number(c.ratio), *(text.number(c.val_mse[m]) for m in models)]
            for c in choice.candidates[:_SHOWN]
        ]
        heads = ["candidate, best first", "ratio", *(f"val_mse {m}" for m in models)]
        title = choice.architecture
        text.stdout().print(text.table(title, heads, rows, sentences=heads[:1]))
        more = len(choice.candidates) - _SHOWN
        notes = [f"{more} worse candidates"] if more > 0 else []
        if choice.incomplete:
            notes.append(f"{len(choice.incomplete)} not run with every model, so not eligible")
        if notes:
            text.stdout().print(f"and {', '.join(notes)}")
        if choice.at_edge:
            text.warn(
                [
                    f"{choice.architecture}: the chosen learning rate lies at the edge of those"
                    " tried; a wider search may find better"
                ]
            )
    text.warn(f"{family}: {reason}" for family, reason in refused.items())
    if not choices:
        raise RequestError(
            f"{results} holds no search: it takes jobs that differ in learning_rate, schedule,"
            " order, epochs or batch_size, as from `aebench run --grid search`"
        )
    tuning.write(choices, output)
    text.stderr().print(
        f"settings: {output}; to train with them: aebench run --protocol {output}", soft_wrap=True
    )
