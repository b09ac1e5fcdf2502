"""``aebench tune``: from the results of a search to the settings of the protocol `tuned`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aebench import protocols
from aebench.cli import text
from aebench.errors import RequestError

_SHOWN = 8  # candidates a family; the others are counted


def tune(
    results: Annotated[Path, typer.Argument(help="Results of a search.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File. [default: aebench's own, which --protocol tuned reads]"
        ),
    ] = None,
) -> None:
    """Choose training settings for each family, by validation error, from a search's results."""
    from aebench import tune as tuning
    from aebench.store import Store

    console = text.stderr()
    found = Store(results).read()
    for problem in found.problems:
        console.print(f"warning: {problem}", style="yellow")
    choices, refused = tuning.choose(found.jobs, results.resolve().name)
    for choice in choices:
        models = list(choice.candidates[0].val_mse)
        rows = [
            [c.name, text.number(c.ratio), *(text.number(c.val_mse[m]) for m in models)]
            for c in choice.candidates[:_SHOWN]
        ]
        heads = ["candidate, best first", "ratio", *(f"val_mse {m}" for m in models)]
        text.stdout().print(text.table(choice.architecture, heads, rows))
        more = len(choice.candidates) - _SHOWN
        notes = [f"{more} worse candidates"] if more > 0 else []
        if choice.incomplete:
            notes.append(f"{len(choice.incomplete)} not run with every model, so not eligible")
        if notes:
            text.stdout().print(f"and {', '.join(notes)}")
        if choice.at_edge:
            console.print(
                f"warning: {choice.architecture}: the chosen learning rate lies at the edge of"
                " those tried; a wider search may find better",
                style="yellow",
            )
    for family, reason in refused.items():
        console.print(f"warning: {family}: {reason}", style="yellow")
    if not choices:
        raise RequestError(
            f"{results} holds no search: it takes jobs that differ in learning_rate, schedule,"
            " order, epochs or batch_size, as from `aebench run --grid search`"
        )
    target = output or protocols.TUNED
    tuning.write(choices, target)
    console.print(f"settings: {target}", soft_wrap=True)
