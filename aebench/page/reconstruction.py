"""The section of errors: against latent size as the study has it, and against bottleneck.

It has the one table of all models, in which other sections leave their figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aebench.analysis import frames, optimum, words
from aebench.language import later, numeral, say
from aebench.page import svg
from aebench.page.charts import plain_log, readable_log, series_colours
from aebench.page.labels import drawn, place
from aebench.page.parts import Chart, Section, Table, model, number, table
from aebench.store import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DATASETS, _ROWS = 4, 400  # drawn, and in the table: more would make the page too heavy to mail
_FEW = 3  # models below which a chart says nothing that the table does not
_TITLE = later("How large is the error? Every model, against latent size and bottleneck")


_DOTS = 30  # seeds of a model that are drawn one by one; more are a blot, and the interval tells


def sections(results: Results) -> list[Section]:
    """One section: of each data set the settings with the most models drawn, and all in a table."""
    summary, seeds = frames.summary(results.jobs), frames.seeds(results.jobs)
    if not len(summary):
        return [Section("errors", say(_TITLE), (say("No finished job has an error to show."),))]
    charts: list[Chart] = []
    for dataset, settings in _most(summary):
        mine = {"dataset": dataset, "settings": settings}
        rows, points = frames.matching(summary, mine), frames.matching(seeds, mine)
        charts += _charts(
            words.titled(dataset, settings), rows, points, frames.baseline_curve(results, dataset)
        )
    intro = (
        say(
            "MSE per pixel over the whole test set, pixels in [0, 1]. Bottleneck is how many "
            "numbers "
            "per image really pass through the code, measured by running the encoder."
        ),
        compression_in_words(summary),
        say("Drawn are, of each data set, the settings with the most models; the table has all."),
    )
    shown = tuple(text for text in intro if text)
    return [
        Section("errors", say(_TITLE), shown, tuple(charts), folded=(_every(results, summary),))
    ]


def _most(summary: pd.DataFrame) -> list[tuple[str, str]]:
    """Of each data set the settings with the most models, where these are several."""
    counts = summary.groupby(["dataset", "settings"], sort=False).size()
    most = counts[counts >= _FEW].groupby("dataset", sort=False).idxmax()
    return [(str(dataset), str(settings)) for dataset, settings in most][:_DATASETS]


def _charts(
    title: str, rows: pd.DataFrame, points: pd.DataFrame, curve: pd.DataFrame
) -> Iterator[Chart]:
    """Errors of one data set and settings; by latent size only where that is no bottleneck."""
    if rows["latent"].astype("float64").ne(rows["bottleneck"].astype("float64")).any():
        yield Chart(
            say("{title}: against latent size", title=title),
            by_latent(rows, points, curve, say("MSE against latent size, {title}", title=title)),
            say(
                "Lower is better. Bars are 95 % intervals over seeds, where there are three or "
                "more, "
                "and small dots single seeds. A latent size counts numbers for an MLP but whole "
                "channels for a convolutional model, so points above each other are not codes of "
                "the "
                "same size: the next chart is fair in that. The figures are in the table of all "
                "models."
            ),
            (),
        )
    yield Chart(
        say("{title}: against bottleneck", title=title),
        by_bottleneck(rows, points, curve, say("MSE against bottleneck, {title}", title=title)),
        say(
            "Lower and further left is better. The dotted curve is PCA, the best any linear code "
            "of "
            "that size can do: a model above it has not learned what linear algebra gives exactly. "
            "Right of the dashed line the code holds at least as many numbers as the image, so "
            "nothing is compressed and copying would be perfect."
        ),
        (baselines(curve, say("{title}: exact baselines", title=title)),),
    )


def _every(results: Results, summary: pd.DataFrame) -> Table:
    """The table of all models, or of the first where there are too many for a page."""
    by = ["dataset", "settings", *frames.MODEL]
    ratios = optimum.to_optimum(results)[[*by, "low", "high"]]
    rows = summary.merge(ratios, on=by, how="left", suffixes=("", "_ratio"))
    caption = say("All models: error, code, and distance to PCA")
    if len(rows) > _ROWS:
        caption += say(
            " (the first {n} of {all}; the Parquet files have all)",
            n=_ROWS,
            all=numeral(len(rows), ","),
        )
    return errors(rows.head(_ROWS), caption)


def compression_in_words(summary: pd.DataFrame) -> str:
    """Which convolutional models compress at all, in a sentence; empty where there is none."""
    conv = summary[summary["architecture"] == "conv"].drop_duplicates(["dataset", *frames.MODEL])
    if not len(conv):
        return ""
    names = [
        say(
            "{model} (factor {compression})",
            model=words.model_on(row),
            compression=words.number(row["compression"]),
        )
        for _, row in conv[conv["compression"] > 1].iterrows()
    ]
    which = say("only {names}", names=words.listed(names)) if names else say("none")
    models = words.counted(len(conv), "convolutional model")
    return say(
        "Of {models} whose latent size is a number of channels, {which} compresses the image at "
        "all.",
        models=models,
        which=which,
    )


def errors(rows: pd.DataFrame, caption: str) -> Table:
    """One row a model and settings: its error over seeds beside the exact baselines.

    `rows` are of `frames.summary`, with the interval of the ratio to PCA's error beside them.
    """
    heads = """
        model
        data set
        settings | protocol, and how the jobs depart from it
        seeds ##
        MSE # | mean squared error per pixel over the whole test set, geometric mean over seeds
        95 % interval | Student's t on the logarithm, over seeds; none below three
        study error # | sum of the per-batch MSE over the 78 full test batches, as the study counts
        bottleneck ##
        compression #
        parameters ##
        PCA MSE # | test error of PCA with as many components as the bottleneck has numbers
        MSE / PCA # | how many times the error of the linear optimum; of a real bottleneck only
        95 % interval of it | Student's t on the logarithm, paired by seed
        MSE / mean image # | above 1: worse than showing the mean image, whatever was fed in
    """
    made = []
    for _, row in rows.assign(told=frames.beside_pca(rows)).iterrows():
        squeezed = not row["bottleneck"] >= row["input_size"]
        pca = row["pca_mse"] if squeezed else np.nan
        to_mean = row["mse"] / row["mean_mse"] if row["mean_mse"] else np.nan
        made.append((
            model(row), words.dataset(row["dataset"]), row["settings"], row["n_seeds"],
            row["mse"], (row["low"], row["high"]), row["study_error"], row["bottleneck"],
            number(row["compression"], "" if squeezed else "warn"),
            row["parameters"], pca, row["mse"] / pca if row["told"] else None,
            (row["low_ratio"], row["high_ratio"]) if row["told"] else (None, None),
            number(to_mean, "warn" if to_mean > 1 else ""),
        ))  # fmt: skip
    return table(caption, heads, made)


def baselines(curve: pd.DataFrame, caption: str) -> Table:
    """The exact baselines of one dataset, at 0, 1, 2, 3, 4, 6, 8, 12, ... components."""
    heads = """
        components ## | principal components kept; 0 is the mean image
        MSE #
    """
    rounded = {0, *(m * 2**i for m in (1, 3) for i in range(16)), curve["components"].max()}
    some = curve[curve["components"].isin(rounded)]
    rows = zip(some["components"], some["mse"], strict=True)
    return table(caption, heads, rows, rounded=True)


def by_latent(
    summary: pd.DataFrame, seeds: pd.DataFrame, baselines: pd.DataFrame, label: str
) -> str:
    """MSE against latent size, a line per architecture and depth, with exact baselines."""
    baselines = baselines[baselines["components"] <= max(summary["latent"])]
    with _chart(summary, seeds, baselines, "latent", say("latent size")) as (figure, axes, labels):
        _logarithmic(axes, _ticks(set(summary["latent"])))
        _name(axes, labels, _mean(axes, baselines))
        return svg.inline(figure, label)


def by_bottleneck(
    summary: pd.DataFrame, seeds: pd.DataFrame, baselines: pd.DataFrame, label: str
) -> str:
    """MSE against the numbers per image that pass the code, with PCA as the linear optimum."""
    title = say("bottleneck: numbers per image in the code")
    with _chart(summary, seeds, baselines, "bottleneck", title) as (figure, axes, labels):
        sizes = [int(size) for size in summary["input_size"].dropna().unique()]
        ticks = {*summary["bottleneck"].dropna().astype(int), *sizes}
        _logarithmic(axes, _ticks(ticks))
        axes.set_xlim(0.7, 1.6 * max(ticks, default=1))
        mean = _mean(axes, baselines)
        for size in sizes:
            axes.axvline(size, color=svg.INK, linewidth=1.2, linestyle=svg.DASHES[1])
            axes.axvspan(size, axes.get_xlim()[1], color=svg.MUTED, alpha=0.08, linewidth=0)
            axes.annotate(
                say("no compression"), (size, 0.3), xycoords=("data", "axes fraction"),
                xytext=(5, 0), textcoords="offset points", rotation=90, va="center", fontsize=9.5,
            )  # fmt: skip
        if len(sizes) == 1:
            _compression(axes, sizes[0])
        _name(axes, labels, mean)
        return svg.inline(figure, label)


@contextmanager
def _chart(
    summary: pd.DataFrame, seeds: pd.DataFrame, baselines: pd.DataFrame, x: str, title: str
) -> Iterator[tuple[Figure, Axes, list[svg.Label]]]:
    """A chart of errors with every model and PCA, and the labels of their lines."""
    with svg.canvas(svg.WIDTH, 4.6) as figure:
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log")
        _limits(axes, summary, baselines)
        axes.set(
            xlabel=say("{title} (log scale)", title=title),
            ylabel=say("MSE per pixel, test set (log scale)"),
        )
        yield figure, axes, _series(axes, summary, seeds, x) + _pca(axes, baselines)


def _compression(axes: Axes, size: int) -> None:
    """A second axis above: the image's numbers over the bottleneck."""
    from matplotlib.ticker import FixedLocator

    def swap(values: Any) -> Any:
        return size / np.maximum(np.asarray(values, dtype=float), 1e-9)  # the layout asks for 0

    above = axes.secondary_xaxis("top", functions=(swap, swap))
    above.set_xlabel("compression", fontsize=10)
    plain_log(above.xaxis, FixedLocator([1000, 100, 10, 1, 0.1, 0.01]))


def _ticks(values: set[int]) -> list[int]:
    """Values to label on a log axis: those that occur, and powers of four between them."""
    chosen: list[int] = []
    occurring = sorted(values, reverse=True)
    most = max(occurring, default=1)
    for value in [*occurring, *(4**i for i in range(12) if 4**i <= most)]:
        # About 7 points a digit on an axis of 420 points.
        need = (1.4 * most) ** ((7 * len(words.count(value)) + 6) / 420)
        if all(max(value, other) >= need * min(value, other) for other in chosen):
            chosen.append(int(value))
    return sorted(chosen)


def _series(axes: Axes, summary: pd.DataFrame, seeds: pd.DataFrame, x: str) -> list[svg.Label]:
    """Lines of geometric means with intervals, and every seed as a small point."""
    import seaborn

    colours = series_colours(summary["architecture"])
    labels = []
    for (architecture, depth), line in summary.groupby(["architecture", "depth"], sort=False):
        architecture, depth = str(architecture), int(str(depth))
        line = line.sort_values([x, "latent"]).dropna(subset=[x])
        if not len(line):
            continue
        i = colours[architecture]
        colour, marker = (svg.colour(i), svg.marker(2 * i + depth - 1))
        seaborn.lineplot(
            data=line, x=x, y="mse", ax=axes, errorbar=None, estimator=None, legend=False,
            color=colour, marker=marker, markersize=7, markeredgecolor=svg.PAPER,
            linestyle=svg.DASHES[(depth - 1) % len(svg.DASHES)],
        )  # fmt: skip
        bars = line.dropna(subset=["low", "high"])
        axes.errorbar(
            bars[x], bars["mse"], [bars["mse"] - bars["low"], bars["high"] - bars["mse"]],
            fmt="none", color=colour, ecolor=colour, elinewidth=1.2, capsize=3,
        )  # fmt: skip
        mine = (seeds["architecture"] == architecture) & (seeds["depth"] == depth)
        told_apart = line["n_seeds"].between(2, _DOTS)
        points = seeds[mine & seeds["latent"].isin(line.loc[told_apart, "latent"])]
        axes.plot(points[x], points["mse"], "o", color=colour, markersize=2.5, alpha=0.6)
        last = line.iloc[-1]
        labels.append(svg.Label(last[x], last["mse"], words.line(architecture, depth), colour))
    return labels


def _pca(axes: Axes, baselines: pd.DataFrame) -> list[svg.Label]:
    """The PCA curve; call it when the limits of y are final."""
    curve = baselines[baselines["components"] > 0]
    if not len(curve):
        return []
    axes.plot(
        curve["components"], curve["mse"], color=svg.INK, linewidth=1.3, linestyle=svg.DASHES[2]
    )
    inside = curve[curve["mse"] > 1.3 * axes.get_ylim()[0]]  # the label must not sit on the axis
    last = inside.iloc[-1] if len(inside) else curve.iloc[0]
    return [svg.Label(last["components"], last["mse"], "PCA", svg.INK)]


def _limits(axes: Axes, summary: pd.DataFrame, baselines: pd.DataFrame) -> None:
    """Set the range of errors: all models and the mean image, and PCA as far as it says anything.

    Towards full rank PCA's error vanishes, and would stretch the axis over many empty decades:
    three hundred times below the best model, or a millionth, is far enough.
    """
    models = summary[["mse", "low", "high"]].to_numpy(dtype=float)  # no interval is NaN
    low, high = float(np.nanmin(models)), float(np.nanmax(models))
    known = [low, high, *baselines["mse"]]
    axes.set_ylim(0.7 * min(low, max(low / 300, 1e-6, min(known))), 1.4 * max(known))


def _name(axes: Axes, labels: Sequence[svg.Label], mean: Sequence[svg.Label]) -> None:
    """Write the names of the lines beside their ends, that of the mean image outside."""
    svg.label_ends([(axes, mean)])
    place(axes, labels, drawn(axes), size=10, always=True)


def _mean(axes: Axes, baselines: pd.DataFrame) -> list[svg.Label]:
    """A line across at the error of the mean image; call it when the limits of x are final."""
    right = axes.get_xlim()[1]
    values = baselines.loc[baselines["components"] == 0, "mse"]
    for value in values:
        axes.axhline(value, color=svg.INK, linewidth=1.2, linestyle=svg.DASHES[3])
    return [svg.Label(right, value, say("mean image"), svg.INK) for value in values]


def _logarithmic(axes: Axes, ticks: Sequence[int]) -> None:
    from matplotlib.ticker import FixedLocator

    plain_log(axes.xaxis, FixedLocator(list(ticks)), words.count)
    axes.xaxis.set_minor_locator(FixedLocator([]))
    readable_log(axes)
