"""Training times: tables of rows that are alike, with factors, and where the seconds go.

A time that `aebench check` rejects is shown, marked, and supports no ratio.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import fitness, frames, words
from aebench.analysis.statistics import unpaired
from aebench.language import later, plural, say
from aebench.page.charts import Bars, seconds_by_model
from aebench.page.parts import Cell, Chart, Section, Table, check, columns, model, number, table
from aebench.store import Results

SPREAD_SHOWN = 0.05  # a greater spread of repeated times is marked
_PHASE_CHARTS = 6


def _groups(results: Results) -> list[tuple[str, pd.DataFrame]]:
    """Rows whose times may be compared, with what they have in common."""
    return [
        (words.headed(words.titled(dataset, settings), words.conditions(group.iloc[0])), group)
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
        return [say("aebench check passes all {n} of these times.", n=len(timed))]
    return [
        say(
            "aebench check rejects {unfit} of these {times}: they "
            "are marked ✘ and have no factor, for what they show may be the machine's doing.",
            unfit=len(unfit),
            times=words.counted(len(timed), "time"),
        ),
        *fitness.remedies(unfit["doubt"]),
    ]


def section(results: Results) -> Section:
    """Times of what is alike, beside each other; `results` are ordered and marked."""
    groups = _groups(results)
    intro = [
        say(
            "train_s is training proper: data resident, kernels ready, device warm, from the first "
            "step to the last, synchronized. Rows share a table only if dataset, machine, device, "
            "engine, precision, threads and torch are the same; times in different tables are not "
            "comparable."
        )
    ]
    left_out = int(results.jobs["status"].eq("ok").sum()) - len(frames.timed(results.jobs))
    if left_out:
        intro.append(
            plural(
                left_out,
                "{jobs} is left out because other jobs shared the machine (concurrent), training "
                "was interrupted (resumed), or no time was recorded.",
                "{jobs} are left out because other jobs shared the machine (concurrent), training "
                "was interrupted (resumed), or no time was recorded.",
                jobs=words.counted(left_out, "finished job"),
            )
        )
    if not groups:
        intro.append(say("No finished job has a time to compare."))
    if any(frames.unequal_kernels(group) for _, group in groups):
        intro.append(
            say(
                "kernels is what computed each kind of layer. Where it says torch in one row and "
                "not "
                "in another, torch's own layers ran, because the model has a forward or hooks of "
                "its "
                "own or a layer that aebench has nothing faster for, and the factor between the "
                "two "
                "rows holds that as well as the models."
            )
        )
    made = tuple(times(group, title) for title, group in groups)
    doubts = tuple(in_doubt(results.jobs))
    return Section(
        "times", say("Training times"), tuple(intro), tables=made, lists=doubts,
        message=_in_short(groups, doubts),
    )  # fmt: skip


def _in_short(groups: list[tuple[str, pd.DataFrame]], doubts: tuple[str, ...]) -> str:
    """The span of times in the largest group that may be compared, and how many are in doubt."""
    fit = [(title, rows[rows["doubt"].eq("")]) for title, rows in groups]
    title, rows = max(
        fit, key=lambda group: len(group[1].drop_duplicates(frames.MODEL)), default=("", None)
    )
    if rows is None or not len(rows):
        return "".join(doubts[:1])
    models = frames.times(rows).assign(s=lambda made: made["runs"].map(np.median)).sort_values("s")
    ends = models.iloc[[0, -1][: len(models)]]
    span = words.span(
        f"{words.number(row['s'])} s ({words.model_of(row)})" for _, row in ends.iterrows()
    )
    return say(
        "Training takes {span} on {dataset}. ", span=span, dataset=title.partition(":")[0].strip()
    ) + "".join(doubts[:1])


def phases_section(results: Results) -> Section | None:
    """Where the time goes, phase by phase; None where nothing was timed.

    One model alone is compared with nothing, and has a row and no chart.
    """
    groups = [(title, rows, frames.times(rows)) for title, rows in _groups(results)]
    if not groups:
        return None
    several = [group for group in groups if len(group[2]) > 1][:_PHASE_CHARTS]
    charts = tuple(
        Chart(
            title,
            phases_chart(models, say("Seconds by phase, {title}", title=title)),
            say(
                "Each bar is one job from being taken to having its record; only the training "
                "(train_s) is what times above compare, and phases too short to be seen are in the "
                "table. A hollow bar with ✘ is a time that aebench check rejects."
            ),
            (phases(rows, say("{title}: seconds by phase", title=title)),),
        )
        for title, rows, models in several
    )
    single = tuple(
        phases(rows, say("{title}: seconds by phase", title=title))
        for title, rows, models in groups
        if len(models) == 1
    )[:_PHASE_CHARTS]
    rest = len(groups) - len(charts) - len(single)
    intro = (
        (say("{tables} of times not drawn here.", tables=words.counted(rest, "further table")),)
        if rest
        else ()
    )
    return Section("phases", say("Where the time goes"), intro, charts, folded=single)


def reference(rows: pd.DataFrame) -> int | None:
    """Number of the row that times are set beside: mlp-512, the study's first, else the fastest.

    Only a time that `aebench check` passes can be it; None where there is none.
    """
    fit = rows["doubt"].eq("").to_numpy()
    study = (rows["architecture"] == "mlp") & (rows["latent"] == 512) & (rows["depth"] == 1)
    if (study & fit).any():
        return int((study & fit).to_numpy().argmax())
    return int(rows["train_s"].where(fit).argmin()) if fit.any() else None


def times(group: pd.DataFrame, caption: str) -> Table:
    """Times of one group of alike rows, with factors against a marked reference row.

    Where not all rows ran on the same kernels, a last column tells which.
    """
    heads = columns("""
        model
        runs ## | timed runs that the row is made of: seeds and repeats, alone on the machine
        train_s # | median; seconds of training proper: first step to last, device synchronized
        min to max | of train_s
        spread #% | (max - min) / median; above 5 % is marked
        factor # | train_s against the reference row, geometric means
        95 % interval | of the factor, Welch's t on the logarithm; none below three runs
        total_s #
        images_per_s ##
        gflops #
        check | what aebench check says to these times; one that it rejects has no factor
        kernels .kernels
    """)
    alike = dict(group.iloc[0][["dataset", "settings"]])
    models = frames.times(group)
    differ = models["kernels"].nunique(dropna=False) > 1
    base = reference(models)
    rows = []
    for i, row in enumerate(models.to_dict("records")):
        noisy = (row["spread"] or 0.0) > SPREAD_SHOWN  # None for a single run, never above
        rows.append((
            model(row, **alike),
            row["n"],
            row["train_s"],
            (row["low"], row["high"]) if row["n"] > 1 else None,
            number(row["spread"], "warn" if noisy else "", show=words.percent),
            *_factor(row, models.iloc[base] if base is not None else None, is_base=i == base),
            row["total_s"],
            row["images_per_s"],
            row["gflops"],
            check(row["doubt"], row["left_out"], row["left_out_for"]),
            row["kernels"],
        ))  # fmt: skip
    shown = len(heads) if differ else -1
    return table(caption, heads[:shown], [row[:shown] for row in rows])


def _factor(row: dict[Any, Any], base: pd.Series | None, *, is_base: bool) -> tuple[Any, Any]:
    """A row's time over that of the row `base`, with its interval."""
    if is_base:
        return Cell(say("1 (reference)"), 1.0, "reference"), None
    if base is None or row["doubt"]:
        return None, None
    factor = unpaired(row["runs"], base["runs"]).interval()
    return factor.centre, (factor.low, factor.high)


# Columns, colour and hatch of each phase; training has the plainest look, for it is what times
# compare. No two share a colour.
_PHASE_LOOK: dict[str, tuple[tuple[str, ...], int, str]] = {
    later("load data"): (("data_s",), 7, ""),
    later("build and compile"): (("build_s", "compile_s"), 4, "//"),
    later("warm up"): (("warmup_s",), 2, "xx"),
    later("train"): (("train_s",), 0, ""),
    later("test"): (("eval_s",), 1, "\\\\"),
    later("baselines"): (("baseline_s",), 6, "--"),
    later("samples"): (("samples_s",), 5, "||"),
    later("noise and strangers"): (("probe_s",), 3, "++"),
}
_SEEN = 0.004  # of the longest bar: less is no wider than its edge, and stands in the table alone


def phases_chart(rows: pd.DataFrame, label: str) -> str:
    """Where the seconds of a job go: one stacked bar a model, hollow where a time is rejected."""
    start = np.zeros(len(rows))
    total = rows["total_s"].fillna(0).max()
    layers = []
    for phase, (names, colour, hatch) in _PHASE_LOOK.items():
        seconds = rows[list(names)].fillna(0).sum(axis="columns").to_numpy(dtype=float)
        if seconds.max() > _SEEN * total or phase == "train":
            layers.append(Bars(say(phase), seconds, start, colour, hatch))
        start = start + seconds
    return seconds_by_model(
        rows, layers, label, height=1.05 + 0.3 * len(rows), thick=0.62,
        xlabel=say("seconds (median over runs)"), ncols=len(layers), columnspacing=0.9,
    )  # fmt: skip


def phases(group: pd.DataFrame, caption: str) -> Table:
    """Where the seconds of a job go, medians over runs."""
    alike = dict(group.iloc[0][["dataset", "settings"]])
    names = [*frames.PHASES, "total_s"]
    heads = columns("model\n" + "\n".join(f"{name} #" for name in names))
    heads += columns("check | what aebench check says to these times")
    return table(caption, heads, (
        (
            model(row, **alike),
            *(row[name] for name in names),
            check(row["doubt"], row["left_out"], row["left_out_for"]),
        )
        for row in frames.times(group).to_dict("records")
    ))  # fmt: skip
