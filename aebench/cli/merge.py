"""``aebench merge``: the results of several machines or runs in one folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from aebench.cli import formats, text
from aebench.cli.formats import Format
from aebench.cli.options import FormatOption


def _folder(given: str) -> Path:
    if not given:  # which would be the current folder
        raise typer.BadParameter("a folder has a name; this one is empty")
    return Path(given)


def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="A B ...", parser=_folder, help="Results folders; none is changed."),
    ],
    into: Annotated[
        Path,
        typer.Option(
            "--into", metavar="C", parser=_folder, help="Results folder that gets them all."
        ),
    ],
    form: FormatOption = Format.table,
) -> None:
    """Merge results folders into one, losing nothing.

    Of several records of one job, one that is ok counts before any other, and then the one that
    started later; its kept weights come with it. Times stay those of the machine that measured
    them.
    """
    from aebench.store import merging

    done = merging.merge(folders, into)
    text.warn(done.problems)
    counted = sum(each.counted for each in done.brought)
    if form is Format.json:
        plain = {
            "into": str(into),
            "records": counted,
            "from": [
                {"folder": str(each.folder), "records": each.records, "counted": each.counted}
                for each in done.brought
            ],
            "settled": done.settled,
            "problems": [str(problem) for problem in done.problems],
        }
        sys.stdout.write(json.dumps(plain, indent=2) + "\n")
    else:
        rows = [[str(e.folder), str(e.records), str(e.counted)] for e in done.brought]
        heads = ["folder", "records", "counted"]
        if form is Format.table:
            text.stdout().print(text.table(f"{into}: {counted} records", heads, rows))
        else:
            formats.write(form, heads, rows)
    for reason, number in done.settled.items():
        said = f"{number} record{'s' * (number > 1)} gave way to another of the same job: {reason}"
        text.stderr().print(said)
    if done.problems:
        text.stderr().print(
            "What can be read was merged; the files named above were left out", style="red"
        )
        raise typer.Exit(1)
