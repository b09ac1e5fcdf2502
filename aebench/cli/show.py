"""``aebench show``: results as a table for people, or all columns for a pipe."""

from __future__ import annotations

import json
import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aebench import schema
from aebench.cli import text

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    csv = "csv"
    json = "json"
    markdown = "markdown"


ORDER = [
    "dataset",
    "architecture",
    "depth",
    "latent",
    "protocol",
    "engine",
    "seed",
    "repeat",
    "key",
]


def show(
    results: Annotated[
        Path | None, typer.Argument(help="Results folder. [default: the newest below results/]")
    ] = None,
    form: Annotated[
        Format, typer.Option("--format", help="csv, json and markdown carry every column.")
    ] = Format.table,
) -> None:
    """Show results: one row per job."""
    folder, found = text.read(results)
    jobs = found.jobs.sort_values(ORDER)
    if form is Format.table:
        text.stdout().print(jobs_table(jobs, str(folder)))
        return
    # One missing number, and pandas holds a column of whole numbers as floats: 4.0, 16.0, ...
    jobs = jobs.astype({c.name: "Int64" for c in schema.JOBS if c.kind == "int64"})
    if form is Format.csv:
        jobs.to_csv(sys.stdout, index=False)
    elif form is Format.json:
        # Not by pandas, which writes fifteen digits where a float may need seventeen.
        rows = [
            {
                name: None if _missing(cell) or cell in (math.inf, -math.inf) else cell
                for name, cell in row.items()
            }
            for row in jobs.to_dict("records")
        ]
        sys.stdout.write(json.dumps(rows, indent=2, allow_nan=False) + "\n")
    else:
        sys.stdout.write(markdown(jobs))


_OFTEN_ALIKE = ("seed", "repeat", "engine", "precision", "device", "protocol", "modified")


def jobs_table(jobs: pd.DataFrame, title: str) -> Table:
    """The columns a person looks for first; the rest is a `--format csv` away."""
    rows = []
    varies = [name for name in (*_OFTEN_ALIKE, "code", "pixels") if jobs[name].nunique() > 1]
    for job in jobs.sort_values(ORDER).to_dict("records"):
        good = job["status"] == "ok"
        rows.append(
            [
                f"{job['dataset']} {job['architecture']}-{job['latent']}",
                str(job["depth"]),
                *(str(job[name]) for name in varies),
                text.number(job["study_error"], 3),
                text.number(job["mse"], 3),
                text.number(job["mean_mse"], 3),
                text.number(job["pca_mse"], 3),
                text.number(job["bottleneck"], 6),
                text.number(job["parameters"], 9),
                text.duration(job["train_s"]) + ("*" if good and job["concurrent"] else ""),
                text.number(job["images_per_s"], 3),
                "ok" if good else f"{job['status']}: {job['reason']}",
            ]
        )
    heads = ["system", "depth", *varies, "study error", "MSE", "mean image", "PCA", "bottleneck"]
    heads += ["parameters", "train", "images/s", "status"]
    table = text.table(f"{title}: {len(rows)} jobs", heads, rows)
    table.columns[-1].justify = "left"
    table.caption_justify = "left"
    table.caption = "mean image, PCA: MSE of the exact baselines, PCA at this bottleneck" + (
        "; *: shared the machine, not to be compared" if any("*" in r[-3] for r in rows) else ""
    )
    return table


def markdown(frame: pd.DataFrame) -> str:
    """`frame` as a GitHub table; a bar inside a cell is escaped."""

    def line(cells: list[object]) -> str:
        words = ("" if _missing(c) else str(c) for c in cells)
        return "| " + " | ".join(w.replace("|", r"\|").replace("\n", " ") for w in words) + " |\n"

    rule: list[object] = ["---"] * len(frame.columns)
    body = frame.itertuples(index=False)
    return line(list(frame.columns)) + line(rule) + "".join(line(list(row)) for row in body)


def _missing(cell: object) -> bool:
    """Whether a cell of a frame is empty, in any of pandas' ways."""
    import pandas as pd

    return cell is None or cell is pd.NA or cell != cell
