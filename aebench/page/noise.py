"""The section on noise and strangers: what models make of inputs that no test set holds.

One chart and one table for each data set and protocol. Models trained with noise stand beside
those trained without, since that is the comparison to make.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.noise import TRAINED, summary
from aebench.language import later, numeral, say
from aebench.page import svg
from aebench.page.charts import end_name, lines_of, small_multiples, worth_drawing
from aebench.page.parts import Chart, Column, Section, Table, columns, model, number, table
from aebench.schema import DENOISING, STRANGERS
from aebench.store import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STUDY_AMPLITUDES = (0.3, 0.8)
# What a model's error is set beside, and how it is drawn: colour, width and dash all differ.
_REFERENCES: dict[str, tuple[str, dict[str, Any]]] = {
    later("noisy images"): (
        "input_mse", {"color": svg.INK, "linewidth": 1.2, "linestyle": svg.DASHES[1]}
    ),
    later("clipped to [0, 1]"): (
        "clipped_mse", {"color": svg.MUTED, "linewidth": 1.6, "linestyle": svg.DASHES[2]}
    ),
    later("mean image"): (
        "mean_mse", {"color": svg.GRID, "linewidth": 5.0, "linestyle": svg.DASHES[0]}
    ),
}  # fmt: skip


def section(results: Results) -> Section:
    """Everything that the table `probes` holds."""
    title = say("Noise and strangers: beyond the test set")
    probes = summary(results)
    noisy = probes[probes["kind"] == DENOISING]
    charts, said = [], []
    shaken = [
        (of, rows) for of, rows in frames.by_dataset(noisy, "base") if (rows["amplitude"] > 0).any()
    ]
    for (dataset, base), rows in worth_drawing(shaken):
        name = words.titled(dataset, base)
        errors = denoising(rows, say("{name}: MSE by amplitude of noise", name=name))
        label = say("MSE against amplitude of noise, {name}", name=name)
        charts.append(Chart(name, chart(rows, label), say(_READING), (errors,)))
        said += [words.headed(name, text) for text in _in_words(rows)]
    tables = [
        strangers(
            rows, say("{dataset}: MSE on images from elsewhere", dataset=words.dataset(dataset))
        )
        for (dataset,), rows in frames.by_dataset(probes[probes["kind"] == STRANGERS])
    ]
    if not charts and not tables:
        return Section("probes", title, (say("No finished job left probes."),))
    intro = (
        say(
            "Gaussian noise is added to the first 1,000 test images (all, where there are fewer), "
            "unclipped as in the study, and the output is compared with the clean image; every "
            "job of a data set is given the same noise. Strangers are photographs and other data "
            "sets' test "
            "images, at this data set's size: what a model makes of what it never saw."
        ),
    )
    return Section(
        "probes", title, intro, tuple(charts), tuple(tables), lists=tuple(said),
        message="".join(said[:1]),
    )  # fmt: skip


_READING = later(
    "Lower is better; amplitude 0 is a clean image. Where a line lies below that of the noisy "
    "images the model removes noise, but an output that keeps to [0, 1] gets down to the dotted "
    "line by clipping alone. Above the mean image (the pale band), the output tells less of the "
    "picture than one that ignores what was fed in. Numbers at line ends are latent sizes, and "
    "depths beyond one; points are geometric means over seeds."
)


def chart(rows: pd.DataFrame, label: str) -> str:
    """Denoised MSE against amplitude, a panel for each architecture."""
    looks = lines_of(rows)
    bars = rows.drop_duplicates("amplitude").sort_values("amplitude")
    seen = bars[bars["amplitude"] > 0]  # without noise the input has no error to draw on a log axis

    def draw(axes: Axes, panel: pd.DataFrame) -> list[svg.Label]:
        for column, look in reversed(_REFERENCES.values()):
            points = bars if column == "mean_mse" else seen
            axes.plot(points["amplitude"], points[column], **look)
        ends = []
        for (latent, depth, trained), line in panel.groupby(["latent", "depth", "train_noise"]):
            noise = float(str(trained))
            i = looks[latent, depth]
            colour, marker = svg.colour(i), svg.marker(i)
            line = line.sort_values("amplitude")
            axes.plot(line["amplitude"], line["mse"], color=colour, marker=marker, markersize=4.5,
                      markeredgewidth=0.8 if noise else 0.5,
                      markeredgecolor=colour if noise else svg.PAPER,
                      markerfacecolor=svg.PAPER if noise else colour,
                      linestyle=svg.DASHES[3] if noise else svg.DASHES[0])  # fmt: skip
            last = line.iloc[-1]
            end = end_name(latent, depth) + (
                say(", noise {noise}", noise=numeral(noise, "g")) if noise else ""
            )
            ends.append(svg.Label(last["amplitude"], last["mse"], end, colour))
        return ends

    marker = {"marker": "o", "markersize": 4.5}
    keys: dict[str, dict[str, Any]] = {say("trained on clean images"): marker}
    if (rows["train_noise"] > 0).any():
        keys[say("trained with noise")] = marker | {
            "linestyle": svg.DASHES[3],
            "markerfacecolor": svg.PAPER,
        }
    keys |= {say(text): look for text, (_, look) in _REFERENCES.items()}
    axes_labels = (
        say("amplitude of the noise added (standard deviation)"),
        say("MSE against clean images (log scale)"),
    )
    return small_multiples(rows, draw, keys, label, head=1.0, axes_labels=axes_labels, ncols=5)


def _in_words(noisy: pd.DataFrame) -> list[str]:
    """How many models beat the mean image and clipping at the study's amplitudes."""
    said = []
    for amount, trained in noisy.groupby("train_noise", sort=True):
        noise = float(str(amount))
        parts = []
        for amplitude in _STUDY_AMPLITUDES:
            rows = trained[trained["amplitude"] == amplitude]
            good = rows["mse"] < rows[["mean_mse", "clipped_mse"]].min(axis=1)
            parts.append(
                say(
                    "{n} of {models} at amplitude {amplitude}",
                    n=good.sum(),
                    models=len(rows),
                    amplitude=numeral(amplitude, "g"),
                )
            )
        how = (
            say("with noise of {noise}", noise=numeral(noise, "g"))
            if noise
            else say("on clean images")
        )
        said.append(
            say(
                "of the models trained {how}, {parts} are nearer to the clean image "
                "than both the mean image and the noisy input clipped to [0, 1].",
                how=how,
                parts=words.listed(parts),
            )
        )
    return said


_HEADS = """
    model
    trained on | clean images, or images with noise of this amplitude, clean targets
    seeds ##
"""


def _model(group: pd.DataFrame) -> tuple[Any, ...]:
    row = group.iloc[0]
    noise = row["train_noise"]
    return (
        model(row),
        say("noise {noise}", noise=numeral(noise, "g")) if noise else say("clean"),
        row["n_seeds"],
    )


def denoising(noisy: pd.DataFrame, caption: str) -> Table:
    """A row for each model and what it is set beside; a column for each amplitude of noise."""
    amplitudes = sorted(set(noisy["amplitude"]))
    about = later(
        "expected of PCA with as many components as the bottleneck: its test error plus "
        "amplitude² × bottleneck / input_size; none where nothing is compressed"
    )
    heads = [*columns(_HEADS), *(Column(numeral(a, "g"), "", words.number) for a in amplitudes)]
    heads += [
        Column(say("PCA at {amplitude}", amplitude=numeral(a, "g")), about, words.number)
        for a in _STUDY_AMPLITUDES
    ]
    bars = noisy.drop_duplicates("amplitude").set_index("amplitude")
    none = [None] * len(_STUDY_AMPLITUDES)
    rows = [
        (say(text), None, None, *(bars.loc[a, column] for a in amplitudes), *none)
        for text, (column, _) in _REFERENCES.items()
    ]
    for _, group in noisy.groupby(TRAINED, sort=False):
        at = group.set_index("amplitude")
        worse = at["mse"] > bars["mean_mse"].reindex(at.index)
        errors = (number(at["mse"].get(a), "warn" if worse.get(a) else "") for a in amplitudes)
        pca = (at["pca_denoised"].get(a) for a in _STUDY_AMPLITUDES)
        rows.append((*_model(group), *errors, *pca))
    return table(caption, heads, rows, rounded=True)


def strangers(foreign: pd.DataFrame, caption: str) -> Table:
    """A row for each model and what it is set beside; a column for each stranger."""
    base = columns("settings | protocol, and how the jobs depart from it but for the noise")
    inputs = sorted(set(foreign["input"]), key=lambda name: (not name.endswith(".jpg"), name))
    about = later(
        "below: times the model's error on its own test images; marked above a flat picture's"
    )
    heads = [
        *columns(_HEADS),
        *columns("own MSE # | on all test images of the model's own data set"),
        *(Column(name, about, words.number) for name in inputs),
    ]
    heads[1:1] = base
    bars = foreign.drop_duplicates("input").set_index("input")
    rows = [
        (text, None, None, None, None, *(bars.loc[name, column] for name in inputs))
        for text, column in (
            (say("flat picture"), "flat_mse"),
            (say("mean training image"), "mean_mse"),
        )
    ]
    for _, group in foreign.groupby(TRAINED, sort=False):
        own = group["mse_job"].iloc[0]
        cells = {
            row["input"]: number(
                row["mse"],
                "warn" if row["mse"] > row["flat_mse"] else "",
                (say("{factor} × own", factor=words.number(row["mse"] / own)),),
            )
            for _, row in group.iterrows()
        }
        named, *more = _model(group)
        rows.append(
            (named, group["base"].iloc[0], *more, own, *(cells.get(name) for name in inputs))
        )
    return table(caption, heads, rows, rounded=True)
