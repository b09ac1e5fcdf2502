"""The section on noise and strangers: what models make of inputs that no test set holds.

One chart and one table for each data set and protocol. Models trained with noise stand beside
those trained without, since that is the comparison to make.
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from aebench.analysis import frames, words
from aebench.analysis.picture_rules import DENOISING, STRANGERS
from aebench.analysis.statistics import interval
from aebench.page.cells import Cell, Column, Table
from aebench.page.figures import WIDTH, readable_log
from aebench.page.parts import Chart, Section
from aebench.page.svg import (
    DASHES,
    INK,
    MARKERS,
    PAPER,
    SERIES,
    Label,
    canvas,
    inline,
    label_ends,
    legend,
)
from aebench.store import Results

_TRAINED = ["dataset", "base", "train_noise", *frames.MODEL]
_FED = ["kind", "input", "amplitude"]
_BARS = ["input_mse", "clipped_mse", "mean_mse", "flat_mse"]
_STUDY_AMPLITUDES = (0.3, 0.8)


def section(results: Results) -> Section:
    """Everything that the table `probes` holds."""
    title = "Noise and strangers: beyond the test set"
    found = summary(results)
    charts, strangers, said = [], [], []
    groups = frames.by_dataset(found, "base")
    drawn = [identity for identity, _ in frames.worth_drawing(groups)]
    for i, ((dataset, base), rows) in enumerate(groups, start=1):
        name = words.titled(dataset, base)
        noisy = rows[rows["kind"] == DENOISING]
        if (noisy["amplitude"] > 0).any() and (dataset, base) in drawn:
            charts.append(
                Chart(
                    name,
                    figure(noisy, f"noise-{i}", f"MSE against amplitude of noise, {name}"),
                    _READING,
                    (_denoising(noisy, f"denoising-{i}", f"{name}: MSE by amplitude of noise"),),
                )
            )
            said += [f"{name}: {text}" for text in _in_words(noisy)]
        foreign = rows[rows["kind"] == STRANGERS]
        if len(foreign):
            strangers.append(
                _strangers(foreign, f"strangers-{i}", f"{name}: MSE on images from elsewhere")
            )
    if not charts and not strangers:
        return Section("probes", title, ("No finished job left probes.",))
    intro = (
        "Gaussian noise is added to the first 1,000 test images (all, where there are fewer), "
        "unclipped as in the study, and the output is compared with the clean image; every job of "
        "a data set is given the same noise. Strangers are photographs and other data sets' test "
        "images, at this data set's size: what a model makes of what it never saw.",
    )
    return Section("probes", title, intro, tuple(charts), tuple(strangers), lists=tuple(said))


_READING = (
    "Lower is better; amplitude 0 is a clean image. Where a line lies below that of the noisy "
    "images the model removes noise, but an output that keeps to [0, 1] gets down to the dotted "
    "line by clipping alone. Above the mean image, the output tells less of the picture than one "
    "that ignores what was fed in. Numbers at line ends are latent sizes; points are geometric "
    "means over seeds."
)


def summary(results: Results) -> pd.DataFrame:
    """One row for each model, training noise and input: `mse` over seeds, and what it is beside.

    `base` is the settings without the training noise, which is a column of its own, so that
    models trained with and without come together. `pca_denoised` is what PCA of the job's
    bottleneck is expected to reach: its own test error, and the share of the noise that falls
    into its components, amplitude^2 x bottleneck / input_size, since it is an orthogonal
    projection and the noise is independent of the image and alike in all directions.
    """
    jobs = frames.done(results.jobs)
    noise = jobs["train_noise"].astype("float64").fillna(0.0)
    bare = [_without_noise(text) for text in jobs["modified"]]
    jobs = jobs.assign(train_noise=noise, base=frames.settings(jobs.assign(modified=bare)))
    probes = frames.probed(jobs, results.probes, "base", "train_noise")
    columns = [*_TRAINED, *_FED, "n_seeds", "mse", "mse_job", "pca_denoised", *_BARS]
    rows = []
    for identity, group in probes.groupby([*_TRAINED, *_FED], sort=False, dropna=False):
        fed = dict(zip([*_TRAINED, *_FED], identity, strict=True))
        errors = interval(frames.per_seed(group, "mse").to_list())
        middle = {c: group[c].astype("float64").median() for c in _BARS}
        share = (group["bottleneck"] / group["input_size"]).astype("float64")
        pca = group["pca_mse"].astype("float64") + group["amplitude"] ** 2 * share
        rows.append(
            fed
            | middle
            | {
                "n_seeds": errors.n,
                "mse": errors.centre,
                "mse_job": interval(frames.per_seed(group, "mse_job").to_list()).centre,
                "pca_denoised": pca[share < 1].median(),
            }
        )
    return pd.DataFrame(rows, columns=columns)


def _without_noise(modified: Any) -> Any:
    if words.missing(modified):
        return modified
    return ", ".join(p for p in str(modified).split(", ") if not p.startswith("train_noise="))


def figure(rows: pd.DataFrame, name: str, label: str) -> str:
    """Denoised MSE against amplitude, a panel for each architecture and depth."""
    from matplotlib.lines import Line2D

    panels = list(rows.groupby(["architecture", "depth"], sort=False))
    latents = sorted(set(rows["latent"]))
    bars = rows.drop_duplicates("amplitude").sort_values("amplitude")
    seen = bars[bars["amplitude"] > 0]  # without noise the input has no error to draw on a log axis
    references = [
        ("noisy images", seen, "input_mse", DASHES[1]),
        ("clipped to [0, 1]", seen, "clipped_mse", DASHES[2]),
        ("mean image", bars, "mean_mse", DASHES[3]),
    ]
    across = 2 if len(panels) == 4 else min(3, len(panels))
    down = -(-len(panels) // across)
    with canvas(WIDTH, 1.0 + 3.1 * down) as page:
        grid = page.subplots(down, across, sharex=True, sharey=True, squeeze=False)
        labels: list[tuple[Any, list[Label]]] = []
        for axes, ((architecture, depth), panel) in zip(grid.flat, panels, strict=False):
            axes.set_title(words.short(words.line(str(architecture), depth)))
            axes.set_yscale("log")
            for _, points, column, dash in references:
                axes.plot(points["amplitude"], points[column], color=INK, linewidth=1.1,
                          linestyle=dash)  # fmt: skip
            ends = []
            for (latent, trained), line in panel.groupby(["latent", "train_noise"], sort=True):
                noise = float(str(trained))
                i = latents.index(latent)
                colour, marker = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]
                line = line.sort_values("amplitude")
                axes.plot(line["amplitude"], line["mse"], color=colour, marker=marker,
                          markersize=4.5, markeredgewidth=0.8 if noise else 0.5,
                          markeredgecolor=colour if noise else PAPER,
                          markerfacecolor=PAPER if noise else colour,
                          linestyle=DASHES[1] if noise else DASHES[0])  # fmt: skip
                last = line.iloc[-1]
                end = f"{latent:,}" + (f", noise {noise:g}" if noise else "")
                ends.append(Label(last["amplitude"], last["mse"], end, colour))
            labels.append((axes, ends))
        for axes in list(grid.flat)[len(panels) :]:
            axes.set_visible(False)
        for axes in list(grid.flat)[max(0, len(panels) - across) : len(panels)]:
            axes.tick_params(labelbottom=True)
        readable_log(grid.flat[0])
        page.supxlabel("amplitude of the noise added (standard deviation)", fontsize=10.5)
        page.supylabel("MSE against clean images (log scale)", fontsize=10.5)
        looks: list[tuple[str, dict[str, Any]]] = [
            ("trained on clean images", {"marker": "o", "markersize": 4.5}),
            ("trained with noise", {"marker": "o", "markersize": 4.5, "linestyle": DASHES[1],
                                    "markerfacecolor": PAPER}),
            *((text, {"linewidth": 1.1, "linestyle": dash}) for text, _, _, dash in references),
        ]  # fmt: skip
        if not (rows["train_noise"] > 0).any():
            del looks[1]
        keys = [Line2D([], [], color=INK, label=text, **look) for text, look in looks]
        legend(page, keys, [str(key.get_label()) for key in keys], ncols=3)
        for axes, ends in labels:
            label_ends(axes, ends)
        return inline(page, name, label)


def _in_words(noisy: pd.DataFrame) -> list[str]:
    """How many models beat the mean image and clipping at the study's amplitudes."""
    said = []
    for amount, trained in noisy.groupby("train_noise", sort=True):
        noise = float(str(amount))
        parts = []
        for amplitude in _STUDY_AMPLITUDES:
            rows = trained[trained["amplitude"] == amplitude]
            good = rows["mse"] < rows[["mean_mse", "clipped_mse"]].min(axis=1)
            parts.append(f"{good.sum()} of {len(rows)} at amplitude {amplitude:g}")
        how = f"with noise of {noise:g}" if noise else "on clean images"
        said.append(
            f"of the models trained {how}, {words.listed(parts)} are nearer to the clean image "
            "than both the mean image and the noisy input clipped to [0, 1]."
        )
    return said


def _model(row: Any) -> tuple[Cell, Cell, Cell]:
    name = words.model(row["architecture"], row["latent"], row["depth"])
    noise = row["train_noise"]
    trained = f"noise {noise:g}" if noise else "clean"
    return Cell(name), Cell(trained), Cell(words.count(row["n_seeds"]), float(row["n_seeds"]))


_MODEL_COLUMNS = (
    Column("model"),
    Column("trained on", "clean images, or images with noise of this amplitude, clean targets"),
    Column("seeds", "", True),
)


def _number(value: Any, kind: str = "", small: tuple[str, ...] = ()) -> Cell:
    return Cell(words.number(value), None if words.missing(value) else float(value), kind, small)


def _denoising(noisy: pd.DataFrame, id: str, caption: str) -> Table:
    amplitudes = sorted(set(noisy["amplitude"]))
    columns = (
        *_MODEL_COLUMNS,
        *(Column(f"{a:g}", "", True) for a in amplitudes),
        *(
            Column(
                f"PCA at {a:g}",
                "expected of PCA with as many components as the bottleneck: its test error plus "
                "amplitude² × bottleneck / input_size; none where nothing is compressed",
                True,
            )
            for a in _STUDY_AMPLITUDES
        ),
    )
    bars = noisy.drop_duplicates("amplitude").set_index("amplitude")
    none = Cell(words.NONE)
    rows = [
        (
            Cell(text), none, none,
            *(_number(bars.loc[a, column]) for a in amplitudes),
            *(none for _ in _STUDY_AMPLITUDES),
        )
        for text, column in (
            ("noisy images", "input_mse"),
            ("clipped to [0, 1]", "clipped_mse"),
            ("mean image", "mean_mse"),
        )
    ]  # fmt: skip
    for _, group in noisy.groupby(_TRAINED, sort=False):
        at = group.set_index("amplitude")
        errors = [at["mse"].get(a) for a in amplitudes]
        lost = [e is not None and e > bars.loc[a, "mean_mse"] for e, a in zip(
            errors, amplitudes, strict=True
        )]  # fmt: skip
        rows.append((
            *_model(group.iloc[0]),
            *(_number(e, "warn" if bad else "") for e, bad in zip(errors, lost, strict=True)),
            *(_number(at["pca_denoised"].get(a)) for a in _STUDY_AMPLITUDES),
        ))  # fmt: skip
    return Table(id, caption, columns, tuple(rows))


def _strangers(foreign: pd.DataFrame, id: str, caption: str) -> Table:
    inputs = list(dict.fromkeys(foreign.sort_values("input", key=_photographs_first)["input"]))
    about = "below: times the model's error on its own test images; marked above a flat picture's"
    columns = (
        *_MODEL_COLUMNS,
        Column("own MSE", "on all test images of the model's own data set", True),
        *(Column(str(name), about, True) for name in inputs),
    )
    none = Cell(words.NONE)
    bars = foreign.drop_duplicates("input").set_index("input")
    rows: list[tuple[Cell, ...]] = [
        (Cell(text), none, none, none, *(_number(bars.loc[name, column]) for name in inputs))
        for text, column in (("flat picture", "flat_mse"), ("mean training image", "mean_mse"))
    ]
    for _, group in foreign.groupby(_TRAINED, sort=False):
        at = group.set_index("input")
        own = group["mse_job"].iloc[0]
        cells = []
        for name in inputs:
            if name not in at.index:
                cells.append(none)
                continue
            error = at.loc[name, "mse"]
            worse = error > at.loc[name, "flat_mse"]
            ratio = f"{words.number(error / own, 2)} × own"
            cells.append(_number(error, "warn" if worse else "", (ratio,)))
        rows.append((*_model(group.iloc[0]), _number(own), *cells))
    return Table(id, caption, columns, tuple(rows))


def _photographs_first(names: pd.Series[Any]) -> pd.Series[Any]:
    return names.map(lambda name: (not re.search(r"\.jpg$", str(name)), str(name)))
