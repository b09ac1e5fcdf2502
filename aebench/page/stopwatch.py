"""The section that sets the study's own loop beside the other engines: what its stopwatch timed.

What is compared is computed in `fights`; a time that `aebench check` rejects is in no ratio.
"""

from __future__ import annotations

import pandas as pd

from aebench.analysis import fights, fitness, words
from aebench.page import beyond_figures
from aebench.page.cells import Cell, Column, Table, value
from aebench.page.cells import percent as in_percent
from aebench.page.parts import Chart, Section
from aebench.page.tables import check
from aebench.store import Results

_SHOWN = 6  # conditions drawn; more would make the page too heavy to mail


def section(results: Results) -> Section:
    """Every comparison of engine `reference` with another; `results` are ordered."""
    title = "What did the stopwatch time?"
    intro = [
        "The study's times are those of its loop: a PIL image and a tensor made of every sample, "
        "and a wait for the device at every step. Engine reference is that loop; the other "
        "engines take the same steps with the same losses on data that lies ready."
    ]
    charts = []
    for i, (where, engine, rows) in enumerate(fights.stopwatch(results)[:_SHOWN], start=1):
        intro += _ratio_in_words(rows, engine, where)
        charts.append(
            Chart(
                where,
                beyond_figures.stopwatch(rows, engine, f"stopwatch-{i}", f"Seconds, {where}"),
                "Shorter is better; hollow bars with ✘ are times that aebench check rejects. The "
                "hatched part of the upper bar is time in which the "
                "study's loop waits for its data loader and trains nothing.",
                (_stopwatch_table(rows, engine, f"stopwatch-table-{i}", where),),
            )
        )
    if not charts:
        intro.append(
            "This takes one model under engine reference and another engine, each alone on the "
            "machine: aebench run --engine reference,eager."
        )
    return Section("stopwatch", title, tuple(intro), tuple(charts))


def _ratio_in_words(rows: pd.DataFrame, engine: str, where: str) -> list[str]:
    """The study's ratio conv / MLP under both engines, for the widest models there are."""
    unfit = rows[rows["doubt"].ne("")]
    if len(unfit):
        kinds = [name for doubt in unfit["doubt"] for name in doubt.split(", ")]
        models = [
            words.model(r["architecture"], r["latent"], r["depth"]) for _, r in unfit.iterrows()
        ]
        rejects = f"aebench check rejects the times of {words.listed(models)}: no ratio of them."
        fit = _ratio_in_words(rows.drop(unfit.index), engine, where)
        return [f"{where}: {rejects}", *fitness.remedies(kinds), *fit]
    widest = {
        family: mine.sort_values("latent").iloc[-1]
        for family in ("mlp", "conv")
        if len(mine := rows[(rows["architecture"] == family) & (rows["depth"] == 1)])
    }
    if len(widest) < 2:
        return []
    mlp, conv = widest["mlp"], widest["conv"]
    names = [words.model(r["architecture"], r["latent"]) for r in (conv, mlp)]
    slow = conv["reference_s"] / mlp["reference_s"]
    fast = conv["engine_s"] / mlp["engine_s"]
    share = rows["loading_s"].sum() / rows["reference_s"].sum()
    waits = "" if words.missing(share) else f"; the loop waits {in_percent(share)} of its time"
    return [
        f"{where}: {names[0]} takes {words.number(slow)} times as long to train as {names[1]} "
        f"under reference, and {words.number(fast)} times under {engine}{waits}."
    ]


def _stopwatch_table(rows: pd.DataFrame, engine: str, id: str, caption: str) -> Table:
    columns = (
        Column("model"),
        Column("pairs", "runs that both engines have, by seed and repeat", True),
        Column("reference train_s", "the study's loop, median", True),
        Column("loading", "share of it spent waiting for the data loader", True),
        Column(f"{engine} train_s", "median", True),
        Column("gain", "reference over the other engine, median over pairs", True),
        Column("check", "what aebench check says to the times; without its consent no gain"),
    )
    cells = [
        (
            Cell(words.model(r["architecture"], r["latent"], r["depth"])),
            Cell(words.count(r["n"])),
            Cell(words.number(r["reference_s"]), r["reference_s"]),
            Cell(in_percent(r["loading_s"] / r["reference_s"])),
            Cell(words.number(r["engine_s"]), r["engine_s"]),
            value(r["gain"]),
            check(r["doubt"]),
        )
        for _, r in rows.iterrows()
    ]
    return Table(id, caption, columns, tuple(cells))
