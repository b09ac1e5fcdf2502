"""Training times: tables of rows that are alike, with factors, and where the seconds go.

A time that `aebench check` rejects is shown, marked, and supports no ratio.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from aebench.analysis import fitness, frames, words
from aebench.analysis.statistics import ratio_interval
from aebench.page import figures
from aebench.page.cells import Cell, Table, columns, percent, plain, span, value, whole
from aebench.page.parts import Chart, Section
from aebench.page.tables import check
from aebench.store import Results

SPREAD_SHOWN = 0.05  # a greater spread of repeated times is marked
_PHASE_CHARTS = 6


def sections(results: Results) -> list[Section | None]:
    """Times and where they go; `results` are ordered and marked."""
    return [_times(results), _phases(results)]


def _groups(results: Results) -> list[tuple[str, pd.DataFrame]]:
    return [
        (f"{words.titled(dataset, settings)}: {words.conditions(group.iloc[0])}", group)
        for (dataset, settings), rows in frames.by_dataset(frames.timed(results.jobs), "settings")
        for group in frames.alike(rows)
    ]


def in_doubt(jobs: pd.DataFrame) -> list[str]:
    """What `aebench check` says to the timed rows among `jobs`, and what helps; a line each."""
    timed = frames.timed(jobs)
    unfit = timed[timed["doubt"].ne("")]
    if not len(timed):
        return []
    if not len(unfit):
        return [f"aebench check passes all {len(timed)} of these times."]
    kinds = [name for doubt in unfit["doubt"] for name in doubt.split(", ")]
    return [
        f"aebench check rejects {len(unfit)} of these {words.counted(len(timed), 'time')}: they "
        "are marked ✘ and have no factor, for what they show may be the machine's doing.",
        *fitness.remedies(kinds),
    ]


def _times(results: Results) -> Section:
    good = results.jobs[results.jobs["status"] == "ok"]
    left_out = len(good) - len(frames.timed(results.jobs))
    intro = [
        "train_s is training proper: data resident, kernels ready, device warm, from the first "
        "step to the last, synchronized. Rows share a table only if dataset, machine, device, "
        "engine, precision, threads and torch are the same; times in different tables are not "
        "comparable."
    ]
    if left_out:
        are = "is" if left_out == 1 else "are"
        intro.append(
            f"{words.counted(left_out, 'finished job')} {are} left out because other jobs shared "
            "the machine (concurrent), or no time was recorded."
        )
    groups = _groups(results)
    if not groups:
        intro.append("No finished job has a time to compare.")
    if any(frames.unequal_kernels(group) for _, group in groups):
        intro.append(
            "kernels is what computed each kind of layer. Where it says torch in one row and not "
            "in another, torch's own layers ran, because the model has a forward or hooks of its "
            "own or a layer that aebench has nothing faster for, and the factor between the two "
            "rows holds that as well as the models."
        )
    return Section(
        "times",
        "Training times",
        tuple(intro),
        tables=tuple(times(g, f"times-{i}", title) for i, (title, g) in enumerate(groups, start=1)),
        lists=tuple(in_doubt(results.jobs)),
    )


def _phases(results: Results) -> Section | None:
    groups = _groups(results)
    charts = [
        Chart(
            title,
            figures.phases(frames.times(group), f"phases-{i}", f"Seconds by phase, {title}"),
            "Each bar is one job from being taken to having its record; only train_s is what "
            "times above compare. A hollow bar with ✘ is a time that aebench check rejects.",
            (phases(group, f"phase-table-{i}", f"{title}: seconds by phase"),),
        )
        for i, (title, group) in enumerate(groups[:_PHASE_CHARTS], start=1)
    ]
    if not charts:
        return None
    rest = len(groups) - len(charts)
    intro = (f"{words.counted(rest, 'further table')} of times not drawn here.",) if rest else ()
    return Section("phases", "Where the time goes", intro, tuple(charts))


def reference(rows: pd.DataFrame) -> int | None:
    """Place of the row that times are set beside: mlp-512, the study's first, else the fastest.

    Only a time that `aebench check` passes can be it; None where there is none.
    """
    fit = rows["doubt"].eq("").to_numpy()
    study = (rows["architecture"] == "mlp") & (rows["latent"] == 512) & (rows["depth"] == 1)
    if (study & fit).any():
        return int((study & fit).to_numpy().argmax())
    return int(rows["train_s"].where(fit).argmin()) if fit.any() else None


def times(group: pd.DataFrame, id: str, caption: str) -> Table:
    """Times of one group of alike rows, with factors against a marked reference row.

    Where not all rows ran on the same kernels, a last column tells which.
    """
    heads = columns("""
        model
        runs # | timed runs that the row is made of: seeds and repeats, alone on the machine
        train_s # | median; seconds of training proper: first step to last, device synchronized
        min to max | of train_s
        spread # | (max - min) / median; above 5 % is marked
        factor # | train_s against the reference row, geometric means
        95 % interval | of the factor, Welch's t on the logarithm; none below three runs
        total_s #
        images_per_s #
        gflops #
        check | what aebench check says to these times; one that it rejects has no factor
    """)
    rows = frames.times(group)
    differ = rows["kernels"].nunique(dropna=False) > 1
    if differ:
        heads += columns("kernels")
    base = reference(rows)
    cells = []
    for place, row in enumerate(rows.to_dict("records")):
        noisy = (row["spread"] or 0.0) > SPREAD_SHOWN  # None for a single run, never above
        cells.append((
            Cell(words.model(row["architecture"], row["latent"], row["depth"])),
            whole(row["n"]),
            value(row["train_s"]),
            span(row["low"], row["high"]) if row["n"] > 1 else Cell(words.NONE),
            value(row["spread"], percent, "warn" if noisy else ""),
            *_factor(rows, place, base),
            value(row["total_s"]),
            whole(row["images_per_s"]),
            value(row["gflops"]),
            _checked(row["doubt"], row["left_out"], row["left_out_for"]),
            *((plain(row["kernels"], "kernels"),) if differ else ()),
        ))  # fmt: skip
    return Table(id, caption, heads, tuple(cells))


def _factor(rows: pd.DataFrame, place: int, base: int | None) -> tuple[Cell, Cell]:
    """A row's time over that of the row `base`, with its interval."""
    if place == base:
        return Cell("1 (reference)", 1.0, "reference"), Cell(words.NONE)
    if base is None or rows.iloc[place]["doubt"]:
        return Cell(words.NONE), Cell(words.NONE)
    factor = ratio_interval(rows.iloc[place]["runs"], rows.iloc[base]["runs"])
    return value(factor.centre), span(factor.low, factor.high)


def _checked(doubt: str, left_out: int, why: str) -> Cell:
    if not left_out:
        return check(doubt)
    more = words.counted(left_out, "more run")
    return replace(check(""), small=(f"✘ {more} rejected: {why}",))


def phases(group: pd.DataFrame, id: str, caption: str) -> Table:
    """Where the seconds of a job go, medians over runs."""
    rows = frames.times(group)
    heads = columns("model\n" + "\n".join(f"{name} #" for name in [*frames.PHASES, "total_s"]))
    heads += columns("check | what aebench check says to these times")
    cells = [
        (
            Cell(words.model(row["architecture"], row["latent"], row["depth"])),
            *(value(row[f"phase_{name}"]) for name in frames.PHASES),
            value(row["total_s"]),
            _checked(row["doubt"], row["left_out"], row["left_out_for"]),
        )
        for _, row in rows.iterrows()
    ]
    return Table(id, caption, heads, tuple(cells))
