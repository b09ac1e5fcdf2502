"""Charts of the report: each one function from a frame to inline SVG.

Intervals come computed in the frame; nothing is estimated while drawing. Colour tells the
architecture (or the latent size), and marker and dash tell it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from aebench.analysis import frames, words
from aebench.page.svg import (
    DASHES,
    INK,
    MARKERS,
    MUTED,
    PAPER,
    SERIES,
    Label,
    canvas,
    inline,
    label_ends,
    legend,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 8.6  # inches; at 72 points an inch about the width of the page's text


def colours(architectures: Sequence[str]) -> dict[str, int]:
    """The study's two families keep their colours whatever else is shown."""
    fixed = ["mlp", "conv"]
    return {name: i for i, name in enumerate([*fixed, *sorted(set(architectures) - set(fixed))])}


def error_by_latent(
    summary: pd.DataFrame, seeds: pd.DataFrame, baselines: pd.DataFrame, name: str, label: str
) -> str:
    """MSE against latent size, a line per architecture and depth, with exact baselines."""
    with canvas(WIDTH, 4.6) as figure:
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log")
        baselines = baselines[baselines["components"] <= max(summary["latent"])]
        _limits(axes, summary, baselines)
        labels = _series(axes, summary, seeds, "latent") + _pca(axes, baselines)
        _logarithmic(axes, _ticks(set(summary["latent"])))
        labels += _mean(axes, baselines)
        axes.set(xlabel="latent size (log scale)", ylabel="MSE per pixel, test set (log scale)")
        label_ends(axes, labels)
        return inline(figure, name, label)


def error_by_bottleneck(
    summary: pd.DataFrame, seeds: pd.DataFrame, baselines: pd.DataFrame, name: str, label: str
) -> str:
    """MSE against the numbers per image that pass the code, with PCA as the linear optimum."""
    with canvas(WIDTH, 4.6) as figure:
        axes = figure.subplots()
        axes.set(xscale="log", yscale="log")
        _limits(axes, summary, baselines)
        labels = _series(axes, summary, seeds, "bottleneck") + _pca(axes, baselines)
        sizes = [int(size) for size in summary["input_size"].dropna().unique()]
        ticks = {*summary["bottleneck"].dropna().astype(int), *sizes}
        _logarithmic(axes, _ticks(ticks))
        axes.set_xlim(0.7, 1.6 * max(ticks, default=1))
        labels += _mean(axes, baselines)
        for size in sizes:
            axes.axvline(size, color=INK, linewidth=1.2, linestyle=DASHES[1])
            axes.axvspan(size, axes.get_xlim()[1], color=MUTED, alpha=0.08, linewidth=0)
            axes.annotate(
                "no compression",
                (size, 0.3),
                xycoords=("data", "axes fraction"),
                xytext=(5, 0),
                textcoords="offset points",
                rotation=90,
                va="center",
                fontsize=9.5,
            )
        if len(sizes) == 1:
            _compression(axes, sizes[0])
        axes.set(
            xlabel="bottleneck: numbers per image in the code (log scale)",
            ylabel="MSE per pixel, test set (log scale)",
        )
        label_ends(axes, labels)
        return inline(figure, name, label)


def _compression(axes: Axes, size: int) -> None:
    """A second axis above: the image's numbers over the bottleneck."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    def swap(values: Any) -> Any:
        return size / np.maximum(np.asarray(values, dtype=float), 1e-9)  # the layout asks for 0

    above = axes.secondary_xaxis("top", functions=(swap, swap))
    above.set_xlabel("compression", fontsize=10)
    above.xaxis.set_major_locator(FixedLocator([1000, 100, 10, 1, 0.1, 0.01]))
    above.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.tick(value)))
    above.xaxis.set_minor_formatter(NullFormatter())


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


def _series(axes: Axes, summary: pd.DataFrame, seeds: pd.DataFrame, x: str) -> list[Label]:
    """Lines of geometric means with intervals, and every seed as a small point."""
    import seaborn

    look = colours(sorted(set(summary["architecture"])))
    labels = []
    for (architecture, depth), line in summary.groupby(["architecture", "depth"], sort=False):
        architecture, depth = str(architecture), int(str(depth))
        line = line.sort_values([x, "latent"]).dropna(subset=[x])
        if not len(line):
            continue
        i = look[architecture]
        colour, marker = SERIES[i % len(SERIES)], MARKERS[(2 * i + depth - 1) % len(MARKERS)]
        seaborn.lineplot(
            data=line, x=x, y="mse", ax=axes, errorbar=None, estimator=None, legend=False,
            color=colour, marker=marker, markersize=7, markeredgecolor=PAPER,
            linestyle=DASHES[(depth - 1) % len(DASHES)],
        )  # fmt: skip
        bars = line.dropna(subset=["low", "high"])
        axes.errorbar(
            bars[x], bars["mse"], [bars["mse"] - bars["low"], bars["high"] - bars["mse"]],
            fmt="none", color=colour, ecolor=colour, elinewidth=1.2, capsize=3,
        )  # fmt: skip
        mine = (seeds["architecture"] == architecture) & (seeds["depth"] == depth)
        points = seeds[mine & seeds["latent"].isin(line.loc[line["n_seeds"] > 1, "latent"])]
        axes.plot(points[x], points["mse"], "o", color=colour, markersize=2.5, alpha=0.6)
        last = line.iloc[-1]
        labels.append(Label(last[x], last["mse"], words.line(architecture, depth), colour))
    return labels


def _pca(axes: Axes, baselines: pd.DataFrame) -> list[Label]:
    """The PCA curve; call it when the limits of y are final."""
    curve = baselines[baselines["components"] > 0]
    if not len(curve):
        return []
    axes.plot(curve["components"], curve["mse"], color=INK, linewidth=1.3, linestyle=DASHES[2])
    inside = curve[curve["mse"] > 1.3 * axes.get_ylim()[0]]  # the label must not sit on the axis
    last = inside.iloc[-1] if len(inside) else curve.iloc[0]
    return [Label(last["components"], last["mse"], "PCA", INK)]


def _limits(axes: Axes, summary: pd.DataFrame, baselines: pd.DataFrame) -> None:
    """Set the range of errors: all models and the mean image, and PCA as far as it says anything.

    Towards full rank PCA's error vanishes, and would stretch the axis over many empty decades:
    three hundred times below the best model, or a millionth, is far enough.
    """
    models = summary[["mse", "low", "high"]].to_numpy(dtype=float)  # no interval is NaN
    low, high = float(np.nanmin(models)), float(np.nanmax(models))
    known = [low, high, *baselines["mse"]]
    axes.set_ylim(0.7 * min(low, max(low / 300, 1e-6, min(known))), 1.4 * max(known))


def _mean(axes: Axes, baselines: pd.DataFrame) -> list[Label]:
    """A line across at the error of the mean image; call it when the limits of x are final."""
    right = axes.get_xlim()[1]
    values = baselines.loc[baselines["components"] == 0, "mse"]
    for value in values:
        axes.axhline(value, color=INK, linewidth=1.2, linestyle=DASHES[3])
    return [Label(right, value, "mean image", INK) for value in values]


def _logarithmic(axes: Axes, ticks: Sequence[int]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: words.count(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_locator(FixedLocator([]))
    readable_log(axes)


def readable_log(axes: Axes) -> None:
    """Label the log axis of y in plain numbers, with 1-2-5 steps where it spans few decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axes.get_ylim()
    decades = np.log10(high / low)
    steps = (1.0, 2.0, 5.0) if decades < 2.5 else (1.0,)
    axes.yaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: words.tick(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


# Colour and hatch of each phase; training has the plainest look, for it is what times compare.
_PHASE_LOOK = {
    "data_s": (7, ""), "build_s": (4, "//"), "compile_s": (3, "xx"), "warmup_s": (2, ".."),
    "train_s": (0, ""), "eval_s": (1, "\\\\"), "baseline_s": (6, "--"), "samples_s": (5, "||"),
    "probe_s": (0, "++"),
}  # fmt: skip


def phases(rows: pd.DataFrame, name: str, label: str) -> str:
    """Where the seconds of a job go: one stacked bar a model, hollow where a time is rejected."""
    from matplotlib.patches import Patch

    shown = [p for p in frames.PHASES if (rows[f"phase_{p}"].fillna(0) > 0).any()]
    height = 1.05 + 0.3 * len(rows)
    with canvas(WIDTH, height) as figure:
        axes = figure.subplots()
        models = zip(rows["architecture"], rows["latent"], rows["depth"], strict=True)
        names = [words.short(words.model(*model)) for model in models]
        doubted = rows["doubt"].ne("").to_list()
        left = np.zeros(len(rows))
        handles = []
        for phase in shown:
            colour, hatch = _PHASE_LOOK[phase]
            seconds = rows[f"phase_{phase}"].fillna(0).to_numpy(dtype=float)
            bars = axes.barh(
                range(len(rows)), seconds, left=left, height=0.62, color=SERIES[colour],
                edgecolor=PAPER, linewidth=0.8, hatch=hatch,
            )  # fmt: skip
            handles.append(Patch(facecolor=SERIES[colour], edgecolor=PAPER, hatch=hatch))
            for bar, hollow in zip(bars, doubted, strict=True):
                if hollow:
                    bar.set(facecolor="none", edgecolor=SERIES[colour])
            left += seconds
        axes.set_yticks(range(len(rows)), marked(names, doubted))
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 1.05 * left.max())
        axes.set(xlabel="seconds (median over runs)" + (REJECTED if any(doubted) else ""))
        axes.grid(False, axis="y")
        axes.tick_params(axis="y", length=0)
        legend(figure, handles, shown, ncols=len(shown), handlelength=1.2, columnspacing=0.7)
        return inline(figure, name, label)


REJECTED = "; ✘ and hollow: rejected by aebench check"


def marked(names: Sequence[str], rejected: Sequence[bool]) -> list[str]:
    """Names for an axis, those of rejected times with a sign."""
    return [f"✘ {n}" if bad else n for n, bad in zip(names, rejected, strict=True)]


def learning_curves(frame: pd.DataFrame, name: str, label: str) -> str:
    """Training and validation loss by epoch, a panel for each architecture and depth."""
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    panels = list(frame.groupby(["architecture", "depth"], sort=False))
    latents = sorted(set(frame["latent"]))
    columns = 2 if len(panels) == 4 else min(3, len(panels))
    rows = -(-len(panels) // columns)
    with canvas(WIDTH, 0.7 + 3.1 * rows) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        labels: list[tuple[Any, list[Label]]] = []
        for axes, ((architecture, depth), panel) in zip(grid.flat, panels, strict=False):
            axes.set_title(words.short(words.line(str(architecture), depth)))
            ends = []
            for latent, curve in panel.groupby("latent"):
                i = latents.index(latent)
                colour = SERIES[i % len(SERIES)]
                marker = MARKERS[(i + i // len(SERIES)) % len(MARKERS)]
                curve = curve.sort_values("epoch")
                axes.plot(curve["epoch"], curve["val_mse"], color=colour, marker=marker,
                          markersize=4.5, markeredgecolor=PAPER, markeredgewidth=0.5)  # fmt: skip
                axes.plot(curve["epoch"], curve["train_mse"], color=colour,
                          linestyle=DASHES[2], linewidth=1.4)  # fmt: skip
                last = curve.iloc[-1]
                ends.append(Label(last["epoch"], last["val_mse"], f"{latent:,}", colour))
            axes.set_yscale("log")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            labels.append((axes, ends))
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        for axes in list(grid.flat)[max(0, len(panels) - columns) : len(panels)]:
            axes.tick_params(labelbottom=True)
        readable_log(grid.flat[0])
        figure.supxlabel("epoch", fontsize=10.5)
        figure.supylabel("MSE per pixel (log scale)", fontsize=10.5)
        after = {"marker": "o", "markersize": 4.5, "label": "validation, after the epoch"}
        during = {"linestyle": DASHES[2], "label": "training, mean over its steps"}
        keys = [Line2D([], [], color=INK, **style) for style in (after, during)]
        legend(figure, keys, [str(key.get_label()) for key in keys], ncols=2)
        for axes, ends in labels:
            label_ends(axes, ends)
        return inline(figure, name, label)
