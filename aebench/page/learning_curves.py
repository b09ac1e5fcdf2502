"""The section of learning curves: both losses of every model, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from aebench.analysis import frames, names, words
from aebench.language import say
from aebench.page import svg
from aebench.page.charts import drawn, end_name, lines_of, small_multiples
from aebench.page.parts import Chart, Column, Section, Table, columns, model, table
from aebench.store import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EPOCHS = 10  # of more, so many stand in the table
_MARKS = 5  # of a line, by which it is told from another of its colour


def section(results: Results) -> Section:
    """A chart for each dataset and settings with models enough, and more than one epoch."""
    curves = frames.by_dataset(frames.curves(results), "settings")
    groups, rest = drawn([(of, rows) for of, rows in curves if rows["epoch"].nunique() > 1])
    charts = []
    for (dataset, settings), rows in groups:
        title = words.titled(dataset, settings)
        charts.append(
            Chart(
                title,
                chart(rows, say("Learning curves, {title}", title=title)),
                say(
                    "Numbers at the line ends are latent sizes, and depths beyond one; where there "
                    "are several seeds, a point is their geometric mean. The training loss is the "
                    "mean "
                    "over an epoch's steps while the weights still moved, so it lies above the "
                    "validation loss as long as a model learns fast; that is no sign of better "
                    "generalization. A model that is trained by a loss of its own has no training "
                    "MSE."
                ),
                (losses(rows, say("{title}: points of the curves", title=title)),),
            )
        )
    if not charts:
        return Section(
            "curves", say("Learning curves"), (say("No finished job left a learning curve."),)
        )
    models = sum(len(rows.drop_duplicates(frames.MODEL)) for _, rows in groups)
    said = say("The losses of {models}, epoch by epoch.", models=words.counted(models, "model"))
    return Section("curves", say("Learning curves"), (rest,), tuple(charts), message=said)


def chart(rows: pd.DataFrame, label: str) -> str:
    """Training and validation loss by epoch, a panel for each architecture."""
    from matplotlib.ticker import MaxNLocator

    looks = lines_of(rows)

    def draw(axes: Axes, panel: pd.DataFrame) -> list[svg.Label]:
        ends = []
        for (latent, depth), curve in panel.groupby(["latent", "depth"]):
            i = looks[latent, depth]
            colour = svg.colour(i)
            marker = svg.marker(i + i // len(svg.SERIES))
            curve = curve.sort_values("epoch")
            axes.plot(curve["epoch"], curve["val_mse"], color=colour, marker=marker,
                      markersize=4.5, markeredgecolor=svg.PAPER, markeredgewidth=0.5,
                      markevery=-(-len(curve) // _MARKS))  # fmt: skip
            axes.plot(curve["epoch"], curve["train_mse"], color=colour, linestyle=svg.DASHES[2],
                      linewidth=1.4)  # fmt: skip
            last = curve.iloc[-1]
            at, end = (last["epoch"], last["val_mse"]), end_name(latent, depth)
            ends.append(svg.Label(*at, end, colour, names.identity(last)))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return ends

    keys: dict[str, dict[str, Any]] = {
        say("validation, after the epoch"): {"marker": "o", "markersize": 4.5},
        say("training, mean over its steps"): {"linestyle": svg.DASHES[2]},
    }
    axes_labels = say("epoch"), say("MSE per pixel (log scale)")
    return small_multiples(rows, draw, keys, label, head=0.7, axes_labels=axes_labels, ncols=2)


def losses(rows: pd.DataFrame, caption: str) -> Table:
    """Both losses of every model at every epoch, or at `_EPOCHS` of them where there are more."""
    epochs = sorted(set(rows["epoch"]))
    if len(epochs) > _EPOCHS:
        epochs = sorted({epochs[i * (len(epochs) - 1) // (_EPOCHS - 1)] for i in range(_EPOCHS)})
    heads = [
        *columns("model\nloss"),
        *(Column(say("epoch {epoch}", epoch=e), show=words.number) for e in epochs),
    ]
    return table(caption, heads, (
        (model(curve.iloc[0]), loss, *(at.get(e) for e in epochs))
        for _, curve in rows.groupby(frames.MODEL, sort=False)
        for loss in ("train_mse", "val_mse")
        for at in (curve.set_index("epoch")[loss],)
    ), rounded=True)  # fmt: skip
