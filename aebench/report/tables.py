"""Tables of the report: each one function from a frame to a `Table`, without any HTML.

A cell holds the text to show and, where that does not sort by itself, the value behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from aebench import schema
from aebench.report import frames, words
from aebench.report.findings import PAIRED_TEST, Outcome
from aebench.report.statistics import LEAST, ratio_interval

ABOUT = {column.name: column.about for column in schema.JOBS}
SPREAD_SHOWN = 0.05  # a greater spread of repeated times is marked
SYMBOLS = {"replicated": "✔", "not replicated": "✘", "undecided": "?"}


@dataclass(frozen=True)
class Cell:
    """What one cell shows; `value` sorts it, `kind` names its look, `small` stands below."""

    text: str
    value: float | str | None = None
    kind: str = ""
    small: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column: its head, what it holds, and whether it holds numbers."""

    name: str
    about: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A caption, columns and rows; the first `heads` cells of a row are its headings."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    heads: int = 1


Show = Callable[[Any], str]


def _value(value: Any, show: Show = words.number, kind: str = "") -> Cell:
    return Cell(show(value), None if words.missing(value) else float(value), kind)


def _plain(value: Any, kind: str = "") -> Cell:
    return Cell(_text(value), kind=kind)


def _text(value: Any) -> str:
    return words.NONE if words.missing(value) else str(value)


def _whole(value: Any) -> Cell:
    return _value(value, words.count)


def _range(low: float | None, high: float | None) -> Cell:
    return Cell(words.between(low, high), None if words.missing(low) else low, "range")


def _columns(text: str) -> tuple[Column, ...]:
    """Read ``name|about`` lines; a name that ends in ``#`` heads a column of numbers."""
    columns = []
    for row in text.strip().splitlines():
        name, _, about = (part.strip() for part in row.partition("|"))
        plain = name.rstrip("# ")
        columns.append(Column(plain, about or ABOUT.get(plain, ""), name.endswith("#")))
    return tuple(columns)


def findings(outcomes: Sequence[Outcome]) -> Table:
    """Every finding with the verdict, the study's figure and ours."""
    columns = _columns("""
        finding | the claim, in the study's order
        verdict | replicated, not replicated, or undecided: too little data, or both ways
        study | the figures as the study prints them
        ours # | geometric mean over seeds, 95 % interval where there are three or more
        seeds # | seeds, or pairs of runs, that the verdict rests on
        note
    """)
    rows = [
        (
            Cell(o.finding.claim, o.finding.id, "claim", (o.finding.id,)),
            Cell(
                f"{SYMBOLS[o.verdict]} {o.verdict}",
                kind="verdict " + o.verdict.replace(" ", "-"),
            ),
            Cell(o.finding.source),
            Cell(words.number(o.ours), o.ours, small=_under(o)),
            _whole(o.n_seeds),
            Cell(o.note[:1].upper() + o.note[1:], kind="note"),
        )
        for o in outcomes
    ]
    return Table("findings-table", "Findings of the study, judged", columns, tuple(rows))


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
    columns = (Column("finding"), Column("rule"), Column("minimum data"))
    return Table("rules", "The rules, fixed before any record was seen", columns, tuple(rows))


def errors(summary: pd.DataFrame, id: str, caption: str) -> Table:
    """One row a model: its error over seeds beside the exact baselines."""
    columns = _columns("""
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
            _whole(row["n_seeds"]),
            _value(row["mse"]),
            _range(row["low"], row["high"]),
            _value(row["study_error"]),
            _whole(row["bottleneck"]),
            _value(row["compression"], kind="" if squeezed else "warn"),
            _whole(row["parameters"]),
            _value(pca),
            _value(row["mse"] / pca if pca else None),
            _value(to_mean, kind="warn" if to_mean > 1 else ""),
        ))  # fmt: skip
    return Table(id, caption, columns, tuple(rows))


def baselines(curve: pd.DataFrame, id: str, caption: str) -> Table:
    """The exact baselines of one dataset, at 0, 1, 2, 3, 4, 6, 8, 12, ... components."""
    columns = _columns("""
        components # | principal components kept; 0 is the mean image
        MSE #
    """)
    rounded = {0, *(m * 2**i for m in (1, 3) for i in range(16)), curve["components"].max()}
    some = curve[curve["components"].isin(rounded)]
    rows = [(_whole(r["components"]), _value(r["mse"])) for _, r in some.iterrows()]
    return Table(id, caption, columns, tuple(rows))


def reference(rows: pd.DataFrame) -> int:
    """Place of the row that times are set beside: mlp-512, the study's first, else the fastest."""
    study = (rows["architecture"] == "mlp") & (rows["latent"] == 512) & (rows["depth"] == 1)
    return int(study.to_numpy().argmax() if study.any() else rows["train_s"].to_numpy().argmin())


def times(group: pd.DataFrame, id: str, caption: str) -> Table:
    """Times of one group of alike rows, with factors against a marked reference row.

    Where not all rows ran on the same kernels, a last column tells which.
    """
    columns = _columns("""
        model
        runs # | timed runs: seeds and repeats, alone on the machine
        train_s # | median; seconds of training proper: first step to last, device synchronized
        min to max | of train_s
        spread # | (max - min) / median; above 5 % is marked
        factor # | train_s against the reference row, geometric means
        95 % interval | of the factor, Welch's t on the logarithm; none below three runs
        total_s #
        images_per_s #
        gflops #
    """)
    rows = frames.times(group)
    differ = rows["kernels"].nunique(dropna=False) > 1
    if differ:
        columns += _columns("kernels")
    base = reference(rows)
    base_runs = rows.iloc[base]["runs"]
    cells = []
    for place, row in enumerate(rows.to_dict("records")):
        factor = ratio_interval(row["runs"], base_runs)
        noisy = (row["spread"] or 0.0) > SPREAD_SHOWN  # None for a single run, never above
        cells.append((
            Cell(words.model(row["architecture"], row["latent"], row["depth"])),
            _whole(row["n"]),
            _value(row["train_s"]),
            _range(row["low"], row["high"]) if row["n"] > 1 else Cell(words.NONE),
            _value(row["spread"], percent, "warn" if noisy else ""),
            Cell("1 (reference)", 1.0, "reference")
            if place == base
            else _value(factor.centre),
            Cell(words.NONE) if place == base else _range(factor.low, factor.high),
            _value(row["total_s"]),
            _whole(row["images_per_s"]),
            _value(row["gflops"]),
            *((_plain(row["kernels"], "kernels"),) if differ else ()),
        ))  # fmt: skip
    return Table(id, caption, columns, tuple(cells))


def percent(share: Any) -> str:
    """A share of one in percent."""
    return words.NONE if words.missing(share) else f"{100 * float(share):.1f} %"


def phases(group: pd.DataFrame, id: str, caption: str) -> Table:
    """Where the seconds of a job go, medians over runs."""
    rows = frames.times(group)
    columns = _columns("model\n" + "\n".join(f"{name} #" for name in [*frames.PHASES, "total_s"]))
    cells = [
        (
            Cell(words.model(row["architecture"], row["latent"], row["depth"])),
            *(_value(row[f"phase_{name}"]) for name in frames.PHASES),
            _value(row["total_s"]),
        )
        for _, row in rows.iterrows()
    ]
    return Table(id, caption, columns, tuple(cells))


def curves(frame: pd.DataFrame, id: str, caption: str) -> Table:
    """Both losses of every model at every epoch, or at `_EPOCHS` of them where there are more."""
    epochs = sorted(set(frame["epoch"]))
    if len(epochs) > _EPOCHS:
        epochs = sorted({epochs[i * (len(epochs) - 1) // (_EPOCHS - 1)] for i in range(_EPOCHS)})
    columns = (Column("model"), Column("loss"), *(Column(f"epoch {e}", "", True) for e in epochs))
    rows = []
    for (architecture, depth, latent), curve in frame.groupby(frames.MODEL, sort=False):
        head = Cell(words.model(str(architecture), latent, depth))
        for loss in ("train_mse", "val_mse"):
            at = curve.set_index("epoch")[loss]
            rows.append((head, Cell(loss), *(_value(at.get(epoch)) for epoch in epochs)))
    return Table(id, caption, columns, tuple(rows))


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
    ("reason", None),
    ("key", None),
)


def jobs(frame: pd.DataFrame) -> Table:
    """Every job, finished or not."""
    about = ABOUT | {"settings": "protocol, and how this job departs from it"}
    columns = tuple(Column(name, about[name], show is not None) for name, show in _JOBS)
    rows = []
    for record in frame.to_dict("records"):
        cells = []
        for name, show in _JOBS:
            value = record[name]
            if name == "status":
                cells.append(_plain(value, "good" if value == "ok" else "warn"))
            elif name == "concurrent":
                cells.append(Cell(words.NONE if words.missing(value) else _yes(value)))
            else:
                # Sorting reads the text; only shortened numbers need the value behind them.
                cells.append(
                    _plain(value) if show is None else Cell(show(value), _behind(value, show))
                )
        rows.append(tuple(cells))
    return Table("jobs-table", "All jobs", columns, tuple(rows), heads=0)


def _yes(value: Any) -> str:
    return "yes" if value else "no"


def _behind(value: Any, show: Show) -> float | None:
    return None if show is words.count or words.missing(value) else float(f"{float(value):.6g}")


def coverage(frame: pd.DataFrame, id: str, caption: str) -> Table:
    """Models against latent sizes: how many jobs of each cell finished; empty cells are marked."""
    latents = sorted(set(frame["latent"]))
    columns = (Column("model"), *(Column(f"latent {k}") for k in latents))
    rows = []
    for (architecture, depth, settings), group in frame.groupby(
        ["architecture", "depth", "settings"], sort=False
    ):
        head = words.line(str(architecture), depth)
        head += "" if settings == "study" else f" ({settings})"
        cells = (_coverage_cell(group[group["latent"] == k]) for k in latents)
        rows.append((Cell(head), *cells))
    return Table(id, caption, columns, tuple(rows))


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
    columns = _columns("""
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
            Cell(_text(m["device_name"]), small=(_text(m["device"]),)),
            Cell(_text(m["cpu_name"]), small=cores),
            Cell(words.size(m["memory_bytes"]), m["memory_bytes"]),
            Cell(_text(m["system"]), small=driver),
            _plain(m["torch"]),
            _plain(m["python"]),
            Cell(_text(m["aebench"]), small=commit),
            _whole(len(group)),
            Cell(" to ".join([started[0], *started[1:][-1:]]) if started else words.NONE),
            _plain(m["machine_id"]),
        ))  # fmt: skip
    return Table("machines", "Machines and software", columns, tuple(rows))


def definitions(shown: Iterable[Table]) -> Table:
    """What the columns of the tables shown hold, and then every column of a stored job."""
    about = {c.name: c.about for table in shown for c in table.columns if c.about} | ABOUT
    rows = tuple((Cell(name), Cell(text)) for name, text in about.items())
    columns = (Column("column"), Column("what it holds"))
    return Table("definitions-table", "What each column holds", columns, rows)
