"""The section of fair fights: the MLP against every other family at equal cost.

What is compared is computed in `fights`; a section without data says what it would take.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

import pandas as pd

from aebench.analysis import fights, frames, words
from aebench.analysis.fights import COSTS, Cost, Fight
from aebench.page import svg
from aebench.page.charts import plain_log, readable_log, series_colours, worth_drawing
from aebench.page.parts import Cell, Chart, Section, Table, table
from aebench.store import Results

if TYPE_CHECKING:
    from matplotlib.artist import Artist


def section(results: Results) -> Section:
    """A chart for each dataset and settings with models enough, and who is ahead in all of them."""
    title = "Fair fights: the MLP against every other family at equal cost"
    intro = [
        "The best model of each family among those that cost at most so much: only measured models "
        "count, and nothing is interpolated. Errors are means over all seeds of a model, as in the "
        "other tables. A ratio above 1 means that the MLP has the greater error; where both sides "
        "have three seeds or more it has a 95 % interval, and no one is ahead if that holds 1. "
        "Bottleneck and parameters buy the final test error; arithmetic and time are spent epoch "
        "by epoch and buy the validation error after it."
    ]
    timed = frames.timed(results.jobs)
    unfit = len(timed) - len(frames.accepted(timed))
    if unfit:
        times = words.counted(unfit, "time")
        intro.append(f"{times} that aebench check rejects {words.are(unfit)} not among them.")
    charts: list[Chart] = []
    said: list[str] = []
    groups = frames.by_dataset(frames.done(results.jobs), "settings")
    chosen = [identity for identity, _ in worth_drawing(groups)]
    spent = {cost: fights.spent(results, cost) for cost in COSTS}
    for (dataset, settings), _ in groups:
        panels: list[tuple[Cost, pd.DataFrame]] = []
        tables = []
        title_here = words.titled(dataset, settings)
        for cost, points in spent.items():
            mine = points[(points["dataset"] == dataset) & (points["settings"] == settings)]
            mine, where = _most_models(mine)
            families = sorted(set(mine["architecture"]) - {"mlp"})
            met = [fight for family in families for fight in fights.fights(mine, family)]
            if not met:
                continue
            panels.append((cost, mine))
            caption = f"{title_here}: at equal {cost.title}" + (f" ({where})" if where else "")
            tables.append(_table(met, cost, caption))
            said += _verdicts(met, cost, title_here)
        if panels and (dataset, settings) in chosen:
            charts.append(
                Chart(
                    title_here,
                    fronts(panels, f"Error against cost, {title_here}"),
                    "Lower and further left is better. Lines join the models that no other of "
                    "their family beats in both cost and error (the Pareto front); small dots "
                    "are all models, the median over seeds after every epoch.",
                    tuple(tables),
                )
            )
    if not charts:
        intro = ["This takes an MLP and another family on one dataset, under one protocol."]
    return Section("fair", title, tuple(intro), tuple(charts), lists=tuple(said))


def _most_models(points: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The conditions with the most models of different families: times are compared within one."""
    if not len(points):
        return points, ""
    counts = points.groupby("where", sort=False).agg(
        families=("architecture", "nunique"), n=("cost", "size")
    )
    where = str(counts.sort_values(["families", "n"], ascending=False, kind="stable").index[0])
    return points[points["where"] == where], where


def _verdicts(met: Sequence[Fight], cost: Cost, title: str) -> list[str]:
    """One sentence for each family: which two models met, who is ahead, and by how much.

    Told are the budgets where that changes, and the last one.
    """
    said = []
    for family, same in groupby(met, key=lambda fight: fight.family):
        mine = list(same)
        told = mine[:1] + [now for before, now in pairwise(mine) if now.ahead != before.ahead]
        told += (
            mine[-1:] if (mine[-1].mlp, mine[-1].other) != (told[-1].mlp, told[-1].other) else []
        )
        sides = {fight.ahead for fight in mine}
        if len(sides) > 1:
            who = "who is ahead depends on the budget"
        elif "" in sides:
            who = "neither is ahead"
        else:
            who = f"{sides.pop()} is ahead at every budget"
        meetings = "; ".join(f"{_met(f)} at {cost.write(f.budget)} {cost.unit}" for f in told)
        equal = cost.title.partition(",")[0]
        against = f"{title}, equal {equal}, mlp against {family}"
        said.append(f"{against}: {who}. {meetings} ({cost.error}).")
    return said


def _met(fight: Fight) -> str:
    """Both sides of a fight with their figures, the better one first."""
    sides, ratio = [fight.other, fight.mlp], fight.ratio.centre
    if ratio < 1:
        sides, ratio = sides[::-1], 1 / ratio
    texts = [f"{side.model} {words.number(side.error)}" for side in sides]
    seeds = [words.seeds(side.seeds) for side in sides]
    if seeds[0] == seeds[1]:
        texts[1] += f" ({seeds[0]} each)"
    else:
        texts = [f"{text} ({n})" for text, n in zip(texts, seeds, strict=True)]
    factor = words.number(ratio, 2 if ratio >= 1.1 else 3)
    clear = f"a factor of {factor}" if fight.ahead else "too close to call"
    return f"{texts[0]} against {texts[1]}, {clear},"


def _table(met: Sequence[Fight], cost: Cost, caption: str) -> Table:
    heads = f"""
        at most # | {cost.title}
        best mlp
        its error # | {cost.error}, geometric mean over seeds
        best of the other family
        error # | {cost.error}, geometric mean over seeds
        mlp / other # | above 1: the MLP has the greater error
        95 % interval | on the logarithm, paired by seed where both have the same seeds
        seeds | of the MLP and of the other
    """
    return table(caption, heads, (
        (
            Cell(cost.write(f.budget), f.budget),
            *(f.mlp.model, f.mlp.error, f.other.model, f.other.error),
            *(f.ratio.centre, (f.ratio.low, f.ratio.high), f"{f.mlp.seeds} and {f.other.seeds}"),
        )
        for f in met
    ))  # fmt: skip


def fronts(panels: Sequence[tuple[Cost, pd.DataFrame]], label: str) -> str:
    """A panel for each cost: all models at every epoch, each family's Pareto front as a line."""
    from matplotlib.ticker import LogLocator

    families = sorted({a for _, points in panels for a in points["architecture"]})
    colours = series_colours(families)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with svg.canvas(svg.WIDTH, 0.5 + 3.3 * rows) as figure:
        every = list(figure.subplots(rows, columns, squeeze=False).flat)
        lines: dict[str, Artist] = {}
        for axes, (cost, points) in zip(every, panels, strict=False):
            axes.set(xscale="log", yscale="log", xlabel=cost.title, ylabel=cost.error)
            for family in families:
                mine = points[points["architecture"] == family]
                if not len(mine):
                    continue
                i = colours[family]
                colour, marker = svg.colour(i), svg.marker(2 * i)
                models = fights.models(mine)
                axes.scatter(
                    models["cost"], models["error"], s=9, color=colour, alpha=0.35, linewidth=0
                )
                edge = fights.front(models)
                (lines[family],) = axes.plot(
                    edge["cost"], edge["error"], color=colour, marker=marker, markersize=6,
                    markeredgecolor=svg.PAPER, markeredgewidth=0.6, drawstyle="steps-post",
                )  # fmt: skip
            plain_log(axes.xaxis, LogLocator(numticks=4))
            axes.margins(0.06)
            axes.autoscale_view()
            readable_log(axes)
        for axes in every[len(panels) :]:
            axes.set_visible(False)
        svg.legend(figure, list(lines.values()), list(lines), ncols=6)
        return svg.inline(figure, label)
