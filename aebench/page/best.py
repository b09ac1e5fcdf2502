"""The section that answers which family is better: sentences, charts, and tables of every fight.

Sentences are made in `answers`; a section without data says what it would take.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aebench.analysis import fights, frames, published, words
from aebench.analysis.fights import BOTTLENECK, LIMITS, Cost, Fight
from aebench.page import svg
from aebench.page.answers import Answer, answers, costs, matched, sentences
from aebench.page.charts import plain_log, readable_log, series_colours
from aebench.page.parts import Cell, Chart, Section, Table, number, table
from aebench.store import Results

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_TITLE = "Which is better? The best of each family, at the same bottleneck and at equal cost"


def section(results: Results) -> Section:
    """The answer for each data set, then the same question at equal cost."""
    known = answers(results)
    drawn = [answer for answer in known if len(answer.codes)]
    if not any(answer.fights[cost.name] for answer in known for cost in (BOTTLENECK, *LIMITS)):
        return Section("best", _TITLE, ("This takes an MLP and another family on one data set.",))
    charts = [_at_equal_bottleneck(drawn)] if drawn else []
    charts += [chart for answer in known for chart in _at_equal_cost(answer)]
    intro = [*(" ".join(sentences(answer)) for answer in drawn), *_how(results)]
    said = [costs(answer, cost) for answer in known for cost in LIMITS]
    return Section("best", _TITLE, tuple(intro), tuple(charts), lists=tuple(filter(None, said)))


def _how(results: Results) -> list[str]:
    told = (
        "Of each family the model of least validation error counts, whatever its depth, options "
        "and settings; its error is that of the test set. A verdict takes three seeds, and p below "
        "0.05: two-sided t-tests on the logarithm of the ratio, paired by seed where both "
        "have the same, adjusted by Holm's method for all of a data set at one cost. Intervals are "
        "of 95 %, and not adjusted. Ratios to PCA are told of a real bottleneck only: "
        f"{frames.REAL_BOTTLENECK}. At equal cost the best counts that takes at most so much, with "
        "whatever code: parameters and arithmetic of a step buy the test error, training "
        "arithmetic and time are spent epoch by epoch and buy the validation error after it."
    )
    jobs = frames.done(results.jobs)
    copies = frames.family(jobs[~frames.compressing(jobs)])
    large = (
        f"Left out are {words.listed(dict.fromkeys(copies))} where the code is no smaller than the "
        "image: of it copying would be perfect."
    )
    timed = frames.timed(results.jobs)
    unfit = len(timed) - len(frames.accepted(timed))
    times = words.counted(unfit, "time")
    rest = f"{times} that aebench check rejects {words.are(unfit)} not among them."
    return [told, *([large] if len(copies) else []), *([rest] if unfit else [])]


def _at_equal_bottleneck(known: Sequence[Answer]) -> Chart:
    tables: list[Table] = []
    for answer in known:
        tables.append(_codes(answer.codes, f"{answer.name}: the best model at each bottleneck"))
        met = answer.fights[BOTTLENECK.name]
        tables.append(_table(met, BOTTLENECK, f"{answer.name}: families at equal bottleneck"))
        tables.append(_published(answer))
    return Chart(
        "Test error at equal bottleneck",
        chart(known, "Test error of the best model of each family against its bottleneck"),
        "Lower is better, and points above each other have codes of the same size. Each point is "
        "the model of least validation error; bars are 95 % intervals over seeds, where there are "
        "three or more. The dotted curve is PCA, computed exactly. Stars are errors that others "
        "have published, hollow where recalled and not checked; the table tells how they were "
        "measured.",
        tuple(tables),
    )


def _at_equal_cost(answer: Answer) -> list[Chart]:
    panels = [(c, answer.points[c.name]) for c in LIMITS if answer.fights[c.name]]
    if not panels:
        return []
    tables = [
        _table(
            answer.fights[cost.name],
            cost,
            f"{answer.name}: at equal {cost.name}"
            + (f" ({answer.where})" if cost is fights.TIME else ""),
        )
        for cost, _ in panels
    ]
    return [
        Chart(
            f"{answer.name}: error against cost",
            fronts(panels, f"Error against cost, {answer.name}"),
            "Lower and further left is better. Lines join the models that no other of their "
            "family beats in both cost and validation error (the Pareto front); small dots are all "
            "models, the mean over seeds after every epoch.",
            tuple(tables),
        )
    ]


def _codes(codes: pd.DataFrame, caption: str) -> Table:
    heads = """
        model
        bottleneck ##
        settings | protocol, and how the jobs depart from it
        seeds ##
        MSE # | test set, geometric mean over seeds
        95 % interval | Student's t on the logarithm, over seeds; none below three
        PCA MSE # | test error of PCA with as many components as the bottleneck
        MSE / PCA # | how many times the error of the linear optimum; told of a real bottleneck only
        95 % interval of it | Student's t on the logarithm, paired by seed
        MSE / mean image # | above 1: worse than showing the mean image
    """
    return table(caption, heads, (
        (
            words.model_of(row),
            *(row[name] for name in ("bottleneck", "settings", "n_seeds", "mse")),
            (row["mse_low"], row["mse_high"]), row["pca_mse"], row["ratio"],
            (row["low"], row["high"]),
            number(row["mse"] / row["mean_mse"], "warn" if row["mse"] > row["mean_mse"] else ""),
        )
        for _, row in codes.iterrows()
    ))  # fmt: skip


def _table(met: Sequence[Fight], cost: Cost, caption: str) -> Table:
    budget = cost.name if cost.exact else f"at most, {cost.title}"
    heads = f"""
        {budget} #
        best mlp
        its error # | {cost.error}, geometric mean over seeds
        best of the other family
        error # | {cost.error}, geometric mean over seeds
        mlp / other # | above 1: the MLP has the greater error
        95 % interval | on the logarithm, paired by seed where both have the same seeds
        p # | two-sided, of equal errors, adjusted by Holm's method; none below three seeds
        better | the family of lesser error, if p is below 0.05
        seeds | of the MLP and of the other
    """
    rows = []
    for f in met:
        told: list[Any] = [Cell(cost.write(f.budget), f.budget)]
        for side, family in zip(f.sides, f.families, strict=True):
            if side is None:
                told += [f"no {family}", None]
            else:
                under = () if side.settings == "study" else (side.settings,)
                told += [Cell(side.model, side.model, small=under), side.error]
        seeds = " and ".join("0" if s is None else str(s.seeds) for s in f.sides)
        low, high = (f.ratio.low, f.ratio.high) if f.ratio else (None, None)
        told += [f.ratio and f.ratio.centre, (low, high), f.p, f.verdict, seeds]
        rows.append(told)
    return table(caption, heads, rows)


def _published(answer: Answer) -> Table:
    heads = """
        source
        bottleneck ##
        MSE # | per pixel, pixels in [0, 1]
        as printed # | in the source
        which is | how it was converted
        model
        measured | on which images
        our best | of least validation error at this bottleneck, or one within a tenth
        ours / published #
        note .note
    """
    return table(f"{answer.name}: published errors", heads, (
        (
            figure.name, figure.bottleneck, figure.mse,
            Cell(f"{figure.printed:g}", figure.printed), figure.converted, figure.model,
            figure.measured, None if ours is None else words.model_of(ours),
            None if ours is None else ours["mse"] / figure.mse, figure.note,
        )
        for figure, ours in matched(answer)
    ))  # fmt: skip


def chart(known: Sequence[Answer], label: str) -> str:
    """A panel for each data set: every family's best error against bottleneck, PCA, and others'."""
    families = dict.fromkeys(f for answer in known for f in answer.codes["family"])
    colours = series_colours(families)
    columns = min(2, len(known))
    rows = -(-len(known) // columns)
    with svg.canvas(svg.WIDTH, 0.6 + 3.5 * rows) as figure:
        every = list(figure.subplots(rows, columns, squeeze=False).flat)
        keys: dict[str, Any] = {}
        for axes, answer in zip(every, known, strict=False):
            _panel(axes, answer, colours, keys)
        for axes in every[len(known) :]:
            axes.set_visible(False)
        svg.legend(figure, list(keys.values()), list(keys), ncols=5)
        return svg.inline(figure, label)


def _panel(axes: Axes, answer: Answer, colours: dict[str, int], keys: dict[str, Any]) -> None:
    """One data set; `keys` gets the entries of the legend that it brings."""
    from matplotlib.ticker import LogLocator

    axes.set(yscale="log", title=words.short(answer.name))
    axes.set(xlabel=BOTTLENECK.title, ylabel=BOTTLENECK.error)
    axes.set_xscale("log", base=2)
    codes, others = answer.codes, published.of(answer.dataset)
    for family, rows in codes.groupby("family", sort=False):
        i = colours[str(family)]
        below = (rows["mse"] - rows["mse_low"].astype("float64")).fillna(0).clip(lower=0)
        above = (rows["mse_high"].astype("float64") - rows["mse"]).fillna(0).clip(lower=0)
        keys[str(family)] = axes.errorbar(
            rows["bottleneck"].astype("float64"), rows["mse"], yerr=np.vstack([below, above]),
            color=svg.colour(i), marker=svg.marker(2 * i), markeredgecolor=svg.PAPER,
            markeredgewidth=0.6, capsize=2.5,
        )  # fmt: skip
    low = min([*codes["bottleneck"], *(f.bottleneck for f in others)])
    high = max([*codes["bottleneck"], *(f.bottleneck for f in others)])
    floor = min([*codes["mse"], *(f.mse for f in others)])
    pca = answer.pca[(answer.pca["components"] >= 1) & (answer.pca["mse"] > floor / 3)]
    pca = pca[(pca["components"] >= low / 1.5) & (pca["components"] <= 1.5 * high)]
    (keys["PCA"],) = axes.plot(
        pca["components"], pca["mse"], color=svg.INK, linewidth=1.2, linestyle=svg.DASHES[2]
    )
    mean = frames.mean(codes["mean_mse"])
    keys["mean image"] = axes.axhline(mean, color=svg.MUTED, linewidth=1, linestyle=svg.DASHES[1])
    for figure in others:
        inside = svg.INK if figure.checked else "none"
        (mark,) = axes.plot(
            figure.bottleneck, figure.mse, color=svg.INK, linestyle="none", marker="*",
            markersize=10, markerfacecolor=inside, markeredgewidth=0.8,
        )  # fmt: skip
        keys["published" if figure.checked else "published, not checked"] = mark
    for figure in {figure.label: figure for figure in reversed(others)}.values():
        axes.annotate(
            figure.label, (figure.bottleneck, figure.mse), xytext=(7, -3), fontsize=8.5,
            textcoords="offset points", va="top", color=svg.INK, annotation_clip=False,
        )  # fmt: skip
    plain_log(axes.xaxis, LogLocator(base=2, numticks=7), words.count)
    axes.margins(0.08)
    axes.autoscale_view()
    readable_log(axes)


def fronts(panels: Sequence[tuple[Cost, pd.DataFrame]], label: str) -> str:
    """A panel for each cost: all models at every epoch, each family's Pareto front as a line."""
    from matplotlib.ticker import LogLocator

    families = sorted({family for _, points in panels for family in points["family"]})
    colours = series_colours(families)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with svg.canvas(svg.WIDTH, 0.5 + 3.3 * rows) as figure:
        every = list(figure.subplots(rows, columns, squeeze=False).flat)
        lines: dict[str, Artist] = {}
        for axes, (cost, points) in zip(every, panels, strict=False):
            axes.set(xscale="log", yscale="log", xlabel=cost.title, ylabel=cost.error)
            for family in families:
                mine = points[points["family"] == family]
                if not len(mine):
                    continue
                i = colours[family]
                colour, marker = svg.colour(i), svg.marker(2 * i)
                models = fights.models(mine)
                axes.scatter(
                    models["cost"], models["error"], s=9, color=colour, alpha=0.35, linewidth=0
                )
                edge = fights.front(models, "choice")
                (lines[family],) = axes.plot(
                    edge["cost"], edge["error"], color=colour, marker=marker, markersize=6,
                    markeredgecolor=svg.PAPER, markeredgewidth=0.6, drawstyle="steps-post",
                )  # fmt: skip
            whole = cost.write is words.count
            plain_log(axes.xaxis, LogLocator(numticks=4), words.count if whole else words.tick)
            axes.margins(0.06)
            axes.autoscale_view()
            readable_log(axes)
        for axes in every[len(panels) :]:
            axes.set_visible(False)
        svg.legend(figure, list(lines.values()), list(lines), ncols=6)
        return svg.inline(figure, label)
