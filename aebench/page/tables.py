"""Tables of the report: each one function from a frame to a `Table`; those of times in `timing`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.evidence import Verdict
from aebench.analysis.findings import PAIRED_TEST, Outcome
from aebench.analysis.statistics import LEAST
from aebench.page.cells import (
    ABOUT,
    Cell,
    Column,
    Show,
    Table,
    columns,
    plain,
    shown,
    span,
    value,
    whole,
)

SYMBOLS: dict[Verdict, str] = {
    "replicated": "✔",
    "consistent": "≈",
    "not replicated": "✘",
    "undecided": "?",
    "not tested": "○",
}


def findings(outcomes: Sequence[Outcome]) -> Table:
    """Every finding with the verdict, the study's figure and ours."""
    heads = columns("""
        finding | the claim, in the study's order
        verdict | one of five: see the words above the table
        study | the figures as the study prints them
        ours # | geometric mean over seeds, 95 % interval where there are three or more
        seeds # | seeds, or pairs of runs, that the verdict rests on
        note
    """)
    rows = [
        (
            Cell(o.finding.claim, o.finding.id, "claim", (o.finding.id,)),
            Cell(
                f"{SYMBOLS[o.verdict]} {o.answer}",
                kind="verdict " + o.verdict.replace(" ", "-"),
            ),
            Cell(o.finding.source),
            Cell(words.number(o.ours), o.ours, small=_under(o)),
            whole(o.n_seeds),
            Cell(o.note[:1].upper() + o.note[1:], kind="note"),
        )
        for o in outcomes
    ]
    return Table("findings-table", "Findings of the study, judged", heads, tuple(rows))


def _under(outcome: Outcome) -> tuple[str, ...]:
    if outcome.ours is None:
        return ()
    interval = () if outcome.low is None else (words.between(outcome.low, outcome.high),)
    return (*interval, outcome.finding.measure)


def rules(outcomes: Sequence[Outcome]) -> Table:
    """How each finding is judged, and the data it takes; findings with one rule share a row."""
    shared: dict[tuple[str, str], list[str]] = {}
    for o in outcomes:
        shared.setdefault((o.finding.rule, o.finding.minimum), []).append(o.finding.id)
    rows = [
        (Cell(", ".join(ids)), Cell(rule), Cell(minimum)) for (rule, minimum), ids in shared.items()
    ]
    rows.append((Cell("paired test"), Cell(PAIRED_TEST), Cell(f"{LEAST} pairs")))
    heads = (Column("finding"), Column("rule"), Column("minimum data"))
    return Table("rules", "The rules, fixed before any record was seen", heads, tuple(rows))


def errors(summary: pd.DataFrame, id: str, caption: str) -> Table:
    """One row a model: its error over seeds beside the exact baselines."""
    heads = columns("""
        model
        seeds #
        MSE # | mean squared error per pixel over the whole test set, geometric mean over seeds
        95 % interval | Student's t on the logarithm, over seeds; none below three
        study error # | sum of the per-batch MSE over the 78 full test batches, as the study counts
        bottleneck #
        compression #
        parameters #
        PCA MSE # | test error of PCA with as many components as the bottleneck has numbers
        MSE / PCA # | how many times the error of the linear optimum of the same size
        MSE / mean image # | above 1: worse than showing the mean image, whatever was fed in
    """)
    rows = []
    for _, row in summary.iterrows():
        squeezed = not row["bottleneck"] >= row["input_size"]
        pca = row["pca_mse"] if squeezed else float("nan")
        to_mean = row["mse"] / row["mean_mse"] if row["mean_mse"] else float("nan")
        rows.append((
            Cell(words.model(row["architecture"], row["latent"], row["depth"])),
            whole(row["n_seeds"]),
            value(row["mse"]),
            span(row["low"], row["high"]),
            value(row["study_error"]),
            whole(row["bottleneck"]),
            value(row["compression"], kind="" if squeezed else "warn"),
            whole(row["parameters"]),
            value(pca),
            value(row["mse"] / pca if pca else None),
            value(to_mean, kind="warn" if to_mean > 1 else ""),
        ))  # fmt: skip
    return Table(id, caption, heads, tuple(rows))


def baselines(curve: pd.DataFrame, id: str, caption: str) -> Table:
    """The exact baselines of one dataset, at 0, 1, 2, 3, 4, 6, 8, 12, ... components."""
    heads = columns("""
        components # | principal components kept; 0 is the mean image
        MSE #
    """)
    rounded = {0, *(m * 2**i for m in (1, 3) for i in range(16)), curve["components"].max()}
    some = curve[curve["components"].isin(rounded)]
    rows = [(whole(r["components"]), value(r["mse"])) for _, r in some.iterrows()]
    return Table(id, caption, heads, tuple(rows))


def curves(frame: pd.DataFrame, id: str, caption: str) -> Table:
    """Both losses of every model at every epoch, or at `_EPOCHS` of them where there are more."""
    epochs = sorted(set(frame["epoch"]))
    if len(epochs) > _EPOCHS:
        epochs = sorted({epochs[i * (len(epochs) - 1) // (_EPOCHS - 1)] for i in range(_EPOCHS)})
    heads = (Column("model"), Column("loss"), *(Column(f"epoch {e}", "", True) for e in epochs))
    rows = []
    for (architecture, depth, latent), curve in frame.groupby(frames.MODEL, sort=False):
        head = Cell(words.model(str(architecture), latent, depth))
        for loss in ("train_mse", "val_mse"):
            at = curve.set_index("epoch")[loss]
            rows.append((head, Cell(loss), *(value(at.get(epoch)) for epoch in epochs)))
    return Table(id, caption, heads, tuple(rows))


_EPOCHS = 20


_JOBS: tuple[tuple[str, Show | None], ...] = (
    ("dataset", None),
    ("architecture", None),
    ("latent", words.count),
    ("depth", words.count),
    ("seed", words.count),
    ("repeat", words.count),
    ("settings", None),
    ("engine", None),
    ("precision", None),
    ("device", None),
    ("status", None),
    ("study_error", words.number),
    ("mse", words.number),
    ("psnr_db", words.number),
    ("bottleneck", words.count),
    ("parameters", words.count),
    ("train_s", words.number),
    ("total_s", words.number),
    ("threads", words.count),
    ("concurrent", None),
    ("check", None),
    ("reason", None),
    ("key", None),
)


def jobs(frame: pd.DataFrame) -> Table:
    """Every job, finished or not."""
    about = ABOUT | {
        "settings": "protocol, and how this job departs from it",
        "check": "what aebench check says to its times",
    }
    heads = tuple(Column(name, about[name], show is not None) for name, show in _JOBS)
    rows = []
    for record in frame.to_dict("records"):
        cells = []
        for name, show in _JOBS:
            held = record.get(name)
            if name == "status":
                cells.append(plain(held, "good" if held == "ok" else "warn"))
            elif name == "concurrent":
                cells.append(Cell(words.NONE if words.missing(held) else _yes(held)))
            elif name == "check":
                cells.append(_checked(record))
            else:
                # Sorting reads the text; only shortened numbers need the value behind them.
                cells.append(plain(held) if show is None else Cell(show(held), _behind(held, show)))
        rows.append(tuple(cells))
    return Table("jobs-table", "All jobs", heads, tuple(rows), heads=0)


def _checked(record: Mapping[Any, Any]) -> Cell:
    if record["status"] != "ok" or words.missing(record["train_s"]):
        return Cell(words.NONE)
    return check(record.get("doubt", ""))


def check(doubt: str) -> Cell:
    """What `aebench check` says to a time: why it rejects it, if it does."""
    return Cell(f"✘ rejected: {doubt}", kind="warn") if doubt else Cell("✔ passes", kind="good")


def _yes(value: Any) -> str:
    return "yes" if value else "no"


def _behind(number: Any, show: Show) -> float | None:
    return None if show is words.count or words.missing(number) else float(f"{float(number):.6g}")


def coverage(frame: pd.DataFrame, id: str, caption: str) -> Table:
    """Models against latent sizes: how many jobs of each cell finished; empty cells are marked."""
    latents = sorted(set(frame["latent"]))
    heads = (Column("model"), *(Column(f"latent {k}") for k in latents))
    rows = []
    for (architecture, depth, settings), group in frame.groupby(
        ["architecture", "depth", "settings"], sort=False
    ):
        head = words.line(str(architecture), depth)
        head += "" if settings == "study" else f" ({settings})"
        cells = (_coverage_cell(group[group["latent"] == k]) for k in latents)
        rows.append((Cell(head), *cells))
    return Table(id, caption, heads, tuple(rows))


def _coverage_cell(jobs: pd.DataFrame) -> Cell:
    if not len(jobs):
        return Cell("none", kind="missing")
    counts = jobs["status"].value_counts().sort_index()
    good = int(counts.get("ok", 0))
    others = [f"{n} {status}" for status, n in counts.items() if status != "ok"]
    text = ", ".join(([f"✔ {good} ok"] if good else []) + [f"✘ {other}" for other in others])
    return Cell(text, kind="warn" if others else "good")


_MACHINE = [
    "machine_id", "device_name", "device", "cpu_name", "cores", "memory_bytes", "system", "driver",
    "torch", "python", "aebench", "commit",
]  # fmt: skip


def machines(frame: pd.DataFrame) -> Table:
    """What ran the jobs: one row for each combination of hardware and software."""
    heads = columns("""
        device
        CPU | with the cores the process may use
        memory #
        system
        torch
        python
        aebench | version and commit
        jobs #
        started | first and last job, UTC
        machine | hash of the hardware and system description
    """)
    rows = []
    for _, group in frame.groupby(_MACHINE, dropna=False):
        m = group.iloc[0]
        started = sorted({str(t)[:10] for t in group["started_at"] if not words.missing(t)})
        cores = () if words.missing(m["cores"]) else (words.counted(int(m["cores"]), "core"),)
        driver = () if words.missing(m["driver"]) else (f"driver {m['driver']}",)
        commit = () if words.missing(m["commit"]) else (m["commit"][:20],)
        rows.append((
            Cell(shown(m["device_name"]), small=(shown(m["device"]),)),
            Cell(shown(m["cpu_name"]), small=cores),
            Cell(words.size(m["memory_bytes"]), m["memory_bytes"]),
            Cell(shown(m["system"]), small=driver),
            plain(m["torch"]),
            plain(m["python"]),
            Cell(shown(m["aebench"]), small=commit),
            whole(len(group)),
            Cell(" to ".join([started[0], *started[1:][-1:]]) if started else words.NONE),
            plain(m["machine_id"]),
        ))  # fmt: skip
    return Table("machines", "Machines and software", heads, tuple(rows))


def definitions(found: Iterable[Table]) -> Table:
    """What the columns of the tables shown hold, and then every column of a stored job."""
    about = {c.name: c.about for table in found for c in table.columns if c.about} | ABOUT
    rows = tuple((Cell(name), Cell(text)) for name, text in about.items())
    heads = (Column("column"), Column("what it holds"))
    return Table("definitions-table", "What each column holds", heads, rows)
