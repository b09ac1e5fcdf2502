"""Sections of the report that the study has not: what its conclusions are worth.

Each is a chart or table and two or three plain sentences made from the numbers in it. What is
compared is computed in `fights`; a section without data says what it would take.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from aebench.analysis import fights, frames, words
from aebench.analysis.evidence import number_of_seeds
from aebench.analysis.fights import COSTS, Cost, Fight
from aebench.page import beyond_figures, stopwatch
from aebench.page.cells import Cell, Column, Table
from aebench.page.parts import Chart, Section
from aebench.store import Results

_SHOWN = 6  # conditions drawn; more would make the page too heavy to mail


def sections(results: Results) -> list[Section]:
    """The sections, in the order in which they argue."""
    return [_fair(results), _trained(results), stopwatch.section(results)]


def compression_in_words(summary: pd.DataFrame) -> str:
    """Which convolutional models compress at all, in a sentence; empty where there is none."""
    conv = summary[summary["architecture"] == "conv"]
    if not len(conv):
        return ""
    squeeze = conv[conv["compression"] > 1]
    names = [
        f"{_on(r)} (factor {words.number(r['compression'], 2)})"
        for _, r in squeeze.drop_duplicates(["dataset", *frames.MODEL]).iterrows()
    ]
    n = len(conv.drop_duplicates(["dataset", *frames.MODEL]))
    which = f"only {words.listed(names)}" if names else "none"
    return (
        f"Of {words.counted(n, 'convolutional model')} whose latent size is a number of channels, "
        f"{which} compresses the image at all."
    )


def _fair(results: Results) -> Section:
    title = "Fair fights: the MLP against every other family at equal cost"
    intro = [
        "The best model of each family among those that cost at most so much: only measured models "
        "count, and nothing is interpolated. Errors are means over all seeds of a model, as in the "
        "other tables. A ratio above 1 means that the MLP has the greater error; where both sides "
        "have three seeds or more it has a 95 % interval, and no one is ahead if that holds 1. "
        "Bottleneck and parameters buy the final test error; arithmetic and time are spent epoch "
        "by epoch and buy the validation error after it.",
    ]
    timed = frames.timed(results.jobs)
    unfit = len(timed) - len(frames.accepted(timed))
    if unfit:
        are = "is" if unfit == 1 else "are"
        intro.append(
            f"{words.counted(unfit, 'time')} that aebench check rejects {are} not among them."
        )
    charts: list[Chart] = []
    said: list[str] = []
    groups = frames.by_dataset(frames.done(results.jobs), "settings")
    drawn = [identity for identity, _ in frames.worth_drawing(groups)]
    for (dataset, settings), _ in groups:
        panels: list[tuple[Cost, pd.DataFrame]] = []
        tables = []
        name = f"fair-{len(charts) + 1}-{words.slug(dataset)}"
        for cost in COSTS:
            points = fights.spent(results, cost)
            mine = points[(points["dataset"] == dataset) & (points["settings"] == settings)]
            where = _most_models(mine)
            mine = mine[mine["where"] == where] if len(mine) else mine
            families = sorted(set(mine["architecture"]) - {"mlp"})
            found = [f for family in families for f in fights.fights(mine, family)]
            if not found:
                continue
            panels.append((cost, mine))
            caption = f"{words.titled(dataset, settings)}: at equal {cost.title}"
            caption += f" ({where})" if where else ""
            tables.append(_fights_table(found, cost, f"{name}-{cost.column}", caption))
            said += _verdict(found, cost, words.titled(dataset, settings))
        if panels and (dataset, settings) in drawn:
            charts.append(
                Chart(
                    words.titled(dataset, settings),
                    beyond_figures.fronts(
                        panels, name, f"Error against cost, {words.titled(dataset, settings)}"
                    ),
                    "Lower and further left is better. Lines join the models that no other of "
                    "their family beats in both cost and error (the Pareto front); small dots "
                    "are all models, the median over seeds after every epoch.",
                    tuple(tables),
                )
            )
    if not charts:
        intro = ["This takes an MLP and another family on one dataset, under one protocol."]
    return Section("fair", title, tuple(intro), tuple(charts), lists=tuple(said))


def _most_models(points: pd.DataFrame) -> str:
    """Conditions with the most models of different families: times are compared within one."""
    if not len(points):
        return ""
    counts = points.groupby("where", sort=False).agg(
        families=("architecture", "nunique"), n=("cost", "size")
    )
    return str(counts.sort_values(["families", "n"], ascending=False, kind="stable").index[0])


def _verdict(found: list[Fight], cost: Cost, title: str) -> list[str]:
    """One sentence for each family: which two models met, who is ahead, and by how much.

    Told are the budgets where that changes, and the last one.
    """
    said = []
    for family in dict.fromkeys(f.family for f in found):
        mine = [f for f in found if f.family == family]
        told = [f for f, before in zip(mine, [None, *mine], strict=False) if _turns(f, before)]
        told += mine[-1:] if _pair(mine[-1]) != _pair(told[-1]) else []
        sides = {f.ahead for f in mine}
        if len(sides) > 1:
            who = "who is ahead depends on the budget"
        elif "" in sides:
            who = "neither is ahead"
        else:
            who = f"{sides.pop()} is ahead at every budget"
        write = words.count if cost.whole else words.number
        met = "; ".join(f"{_met(f)} at {write(f.budget)} {cost.unit}" for f in told)
        equal = cost.title.partition(",")[0]
        said.append(f"{title}, equal {equal}, mlp against {family}: {who}. {met} ({cost.error}).")
    return said


def _turns(fight: Fight, before: Fight | None) -> bool:
    return before is None or fight.ahead != before.ahead


def _pair(fight: Fight) -> tuple[str, str, float, float]:
    return fight.mlp.model, fight.other.model, fight.mlp.error, fight.other.error


def _met(fight: Fight) -> str:
    """Both sides of a fight with their figures, the better one first."""
    sides, ratio = [fight.other, fight.mlp], fight.ratio.centre
    if ratio < 1:
        sides, ratio = sides[::-1], 1 / ratio
    texts = [f"{side.model} {words.number(side.error)}" for side in sides]
    seeds = [number_of_seeds(side.seeds) for side in sides]
    if seeds[0] == seeds[1]:
        texts[1] += f" ({seeds[0]} each)"
    else:
        texts = [f"{text} ({n})" for text, n in zip(texts, seeds, strict=True)]
    factor = words.number(ratio, 2 if ratio >= 1.1 else 3)
    clear = f"a factor of {factor}" if fight.ahead else "too close to call"
    return f"{texts[0]} against {texts[1]}, {clear},"


def _fights_table(found: list[Fight], cost: Cost, id: str, caption: str) -> Table:
    columns = (
        Column("at most", cost.title, True),
        Column("best mlp"),
        Column("its error", f"{cost.error}, geometric mean over seeds", True),
        Column("best of the other family"),
        Column("error", f"{cost.error}, geometric mean over seeds", True),
        Column("mlp / other", "above 1: the MLP has the greater error", True),
        Column("95 % interval", "on the logarithm, paired by seed where both have the same seeds"),
        Column("seeds", "of the MLP and of the other"),
    )
    rows = [
        (
            Cell((words.count if cost.whole else words.number)(f.budget), f.budget),
            Cell(f.mlp.model),
            Cell(words.number(f.mlp.error), f.mlp.error),
            Cell(f.other.model),
            Cell(words.number(f.other.error), f.other.error),
            Cell(words.number(f.ratio.centre), f.ratio.centre),
            Cell(words.between(f.ratio.low, f.ratio.high), kind="range"),
            Cell(f"{f.mlp.seeds} and {f.other.seeds}"),
        )
        for f in found
    ]
    return Table(id, caption, columns, tuple(rows))


def _trained(results: Results) -> Section:
    title = "How under-trained is it? Distance to the linear optimum"
    rows = fights.to_optimum(results)
    charts = []
    for i, ((dataset,), mine) in enumerate(frames.by_dataset(rows), start=1):
        name = words.dataset(dataset)
        charts.append(
            Chart(
                name,
                beyond_figures.to_optimum(_most(mine), f"trained-{i}", f"Error over PCA's, {name}"),
                "Further left is better. PCA is the best that any linear code of the same size "
                "can do, computed exactly: right of the dashed line a model has not learned even "
                "that, left of it its non-linearity pays. Marks tell the training settings.",
                (
                    _trained_table(
                        mine, f"trained-table-{i}", f"{words.dataset(dataset)}: MSE / PCA"
                    ),
                ),
            )
        )
    intro = [
        "Only models whose code is at most two thirds of the image: towards full size PCA's error "
        "vanishes, and a ratio to it says nothing."
    ]
    intro += _trained_in_words(_most(rows))
    if not charts:
        intro = ["This takes a finished model whose code is at most two thirds of the image."]
    return Section("trained", title, tuple(intro), tuple(charts))


def _most(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the settings with the most models; the table beside the chart has all."""
    return rows[rows["settings"].isin(rows["settings"].value_counts().index[:_SHOWN])]


def _trained_in_words(rows: pd.DataFrame) -> list[str]:
    said = []
    for settings, mine in rows.groupby("settings", sort=False):
        beaten = mine[mine["ratio"] < 1]
        worse = mine[mine["mse"] > mine["mean_mse"]]
        ends = mine.sort_values("ratio").iloc[[0, -1][: len(mine)]]
        span = " to ".join(f"{words.number(r['ratio'], 2)} ({_on(r)})" for _, r in ends.iterrows())
        text = (
            f"Under {settings} the error is {span} times PCA's; {len(beaten)} of "
            f"{words.counted(len(mine), 'such model')} {'beats' if len(beaten) == 1 else 'beat'} it"
        )
        if len(worse):
            names = words.listed(_on(r) for _, r in worse.iterrows())
            verb = "does" if len(worse) == 1 else "do"
            text += f", and of these {names} {verb} worse than the mean image"
        said.append(text + ".")
    return said


def _on(row: Any) -> str:
    model = words.model(row["architecture"], row["latent"], row["depth"])
    return f"{model} on {words.dataset(row['dataset'])}"


def _trained_table(rows: pd.DataFrame, id: str, caption: str) -> Table:
    columns = (
        Column("model"),
        Column("settings", "protocol, and how the jobs depart from it"),
        Column("seeds", "", True),
        Column("MSE", "test set, geometric mean over seeds", True),
        Column("PCA MSE", "test error of PCA with as many components as the bottleneck", True),
        Column("MSE / PCA", "how many times the error of the linear optimum", True),
        Column("95 % interval", "Student's t on the logarithm, over seeds; none below three"),
        Column("MSE / mean image", "above 1: worse than showing the mean image", True),
    )
    cells = [
        (
            Cell(words.model(r["architecture"], r["latent"], r["depth"])),
            Cell(str(r["settings"])),
            Cell(words.count(r["n_seeds"])),
            Cell(words.number(r["mse"]), r["mse"]),
            Cell(words.number(r["pca_mse"]), r["pca_mse"]),
            Cell(words.number(r["ratio"]), r["ratio"]),
            Cell(words.between(r["low"], r["high"]), kind="range"),
            Cell(
                words.number(r["mse"] / r["mean_mse"]),
                r["mse"] / r["mean_mse"],
                "warn" if r["mse"] > r["mean_mse"] else "",
            ),
        )
        for _, r in rows.iterrows()
    ]
    return Table(id, caption, columns, tuple(cells))
