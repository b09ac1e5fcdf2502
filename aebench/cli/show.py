"""``aebench show``: results as a table for people, or all columns for a pipe."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aebench import schema
from aebench.cli import folders, formats, text
from aebench.cli.formats import Format
from aebench.cli.options import FormatOption, Results

if TYPE_CHECKING:
    import pandas as pd

    from aebench.cli.tables import Table


ORDER = [
    *(
        "dataset",
        "architecture",
        "depth",
        "latent",
        "options",
        "protocol",
        "engine",
        "seed",
        "repeat",
        "key",
    )
]


def show(
    results: Results = None,
    targets: Annotated[
        bool,
        typer.Option(
            "--targets",
            help="Show instead how soon each model reached the errors of the mean image, of PCA "
            "at its bottleneck and of the study.",
        ),
    ] = False,
    form: FormatOption = Format.table,
) -> None:
    """Show results: one row per job; csv, json and markdown carry every column."""
    folder, found = folders.read(results)
    if targets:
        from aebench.analysis.targets import to_targets

        rows = to_targets(found)
        if form is Format.table:
            text.stdout().print(targets_table(rows, str(folder)))
        else:
            _write(rows, form)
        return
    jobs = found.jobs.sort_values(ORDER)
    if form is Format.table:
        text.stdout().print(jobs_table(jobs, str(folder)))
        return
    # One missing number, and pandas holds a column of whole numbers as floats: 4.0, 16.0, ...
    _write(jobs.astype({c.name: "Int64" for c in schema.JOBS if c.kind == "int64"}), form)


def _write(rows: pd.DataFrame, form: Format) -> None:
    """Print every column for a pipe."""
    if form is Format.csv:
        rows.to_csv(sys.stdout, index=False)
    elif form is Format.json:
        # Not by pandas, which writes fifteen digits where a float may need seventeen.
        bad = (math.inf, -math.inf)
        formats.write_json(
            [
                {name: None if _missing(c) or c in bad else c for name, c in row.items()}
                for row in rows.to_dict("records")
            ]
        )
    else:
        body = rows.itertuples(index=False)
        plain = [[None if _missing(cell) else cell for cell in row] for row in body]
        sys.stdout.write(formats.markdown(list(rows.columns), plain))


# Left out first, where a terminal is narrow.
_LEAST = (
    *("images/s", "parameters", "mean image", "bottleneck", "PCA", "device", "precision"),
    *("depth", "train", "MSE", "modified", "protocol", "engine", "repeat", "seed"),
)


_OFTEN_ALIKE = ("seed", "repeat", "engine", "precision", "device", "protocol", "modified")


def jobs_table(jobs: pd.DataFrame, title: str) -> Table:
    """The columns a person looks for first; the rest is a `--format csv` away."""
    rows = []
    varies = [name for name in (*_OFTEN_ALIKE, "code", "pixels") if jobs[name].nunique() > 1]
    varies = ["options"] * bool(jobs["options"].ne("").any()) + varies
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
    weights = int(jobs["weights_sha256"].fillna("").ne("").sum())
    shared = any("*" in row[-3] for row in rows)
    note = "; *: shared the machine, not to be compared" if shared else ""
    note += f"; weights kept of {weights}, for `aebench apply`" if weights else ""
    return text.table(
        f"{title}: {text.count(len(rows), 'job')}",
        heads,
        rows,
        sentences=["status"],
        least=_LEAST,
        caption=f"mean image, PCA: MSE of the exact baselines, PCA at this bottleneck{note}",
    )


def targets_table(rows: pd.DataFrame, title: str) -> Table:
    """What rows of `to_targets` come to over seeds and repeats, a row a model and target."""
    from aebench.analysis import targets, words

    folded = targets.summary(rows)
    conditions = ("settings", "engine", "precision", "device", "threads", "machine_id", "torch")
    varies = [name for name in conditions if folded[name].nunique() > 1]
    return text.table(
        f"{title}: until the validation MSE is at or below a target",
        ["system", *varies, "target", "its MSE", "reached", "epochs", "seconds", "GFLOP"],
        [
            [
                f"{row['dataset']} {words.model_of(row)}",
                *(words.known(row[name]) for name in varies),
                row["target"],
                text.number(row["target_mse"], 3),
                f"{row['reached']} of {row['n']}",
                *(
                    "never" if row[name] == math.inf else text.number(row[name], 3)
                    for name in ("epochs", "train_s", "gflop")
                ),
            ]
            for row in folded.to_dict("records")
        ],
        left=2 + len(varies),
        least=("GFLOP", "torch", "machine_id", "threads", "its MSE", "device", "precision"),
        caption="medians over runs, of whom one that never gets there is infinitely slow; seconds "
        "of training, of runs whose times may be compared",
    )


def _missing(cell: object) -> bool:
    """Whether a cell of a frame is empty, in any of pandas' ways."""
    import pandas as pd

    return cell is None or cell is pd.NA or cell != cell
