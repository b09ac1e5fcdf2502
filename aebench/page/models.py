"""What the page knows of each model, for whoever looks closer at one: the JSON block of the page.

Figures come from `analysis` and are written here, so that the script that shows them
(``look/panel.js``) computes nothing but the differences between pictures. Texts of the panel stand
here as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from aebench.analysis import commands, frames, names, words
from aebench.language import later, numeral, say
from aebench.page.film import Films
from aebench.page.images import Images
from aebench.page.parts import ABOUT, check
from aebench.protocols import SETTINGS
from aebench.store import Results

_MOST = 300  # models that the page can carry; of more, the best of each data set
_RUNS = 24  # of a model that are listed
_EPOCHS = 60  # of a curve that are kept

_WORDS = later({
    "close": "Close", "previous": "Previous model", "next": "Next model", "link": "Link",
    "open": "Look closer at", "compare": "Compare with", "beside": "beside",
    "alone": "no other model",
    "pictures": "Pictures", "noise": "Denoising", "original": "original", "clean": "clean",
    "noisy": "noisy",
    "error": "error", "brightness": "error of brightness", "colour": "error of colour",
    "difference": "{a} minus {b}", "difference_brightness": "{a} minus {b}, brightness",
    "difference_colour": "{a} minus {b}, colour",
    "dark": "darker", "bright": "brighter", "tint": "another colour",
    "scale": "Full colour is a difference of {scale} or more, where black to white is 1. Computed "
    "from the pictures shown, which have 256 shades.",
    "scale_original": "Error: the output minus the original.",
    "scale_pair": "The last rows: the output of {a} minus that of {b}.",
    "images": "{n} images",
    "seed": "What seed {seed} made of test images; the figures are over the whole test set.",
    "noise_note": "Noise of amplitude {amplitude}, added to the same test images and clipped for "
    "display only. MSE against the clean images, seed {seed}: {mse}.",
    "no_pictures": "The page keeps the pictures of the best models only, to stay small enough to "
    "mail; the results folder has those of this one.",
    "no_noise": "The page keeps what the best denoisers make of noise, to stay small enough to "
    "mail; the results folder has it of this one.",
    "no_maps": "This browser lets no page read its own pictures, so there are no maps of errors.",
    "curve": "Learning curve",
    "curve_about": "{name}: validation loss from {first} to {last} in {n} epochs.",
    "curve_axes": "MSE per pixel (log scale)", "epoch": "epoch", "train": "training",
    "val": "validation",
    "curve_note": "Solid: validation, after each epoch. Dashed: training, the mean over an epoch's "
    "steps. Geometric means over seeds.",
    "curve_data": "Data of this curve", "no_curve": "No finished job left a learning curve.",
    "figures": "Figures", "runs": "Runs", "times": "Times", "settings": "Settings",
    "no_times": "No run has a time to compare: other jobs shared the machine, or it was "
    "interrupted.",
    "more_runs": "{n} further runs in the table of all jobs.",
    "command": "The command that repeats it", "copy": "Copy", "copied": "Copied",
})  # fmt: skip

# Name, meaning beyond the schema's, and the row of `frames.summary` written.
_RUN_HEADS = ("seed", "repeat", "engine", "mse", "study_error", "train_s", "check", "key")
_TIME_HEADS = later(("conditions", "processes", "train_s", "min to max", "check"))
_FIGURES = (
    (
        later("MSE"),
        later("mean squared error per pixel over the whole test set, geometric mean over seeds"),
    ),
    (later("95 % interval"), later("Student's t on the logarithm, over seeds; none below three")),
    (later("seeds"), ""),
    (
        later("study error"),
        later("sum of the per-batch MSE over the 78 full test batches, as the study counts"),
    ),
    (
        later("PCA MSE"),
        later("test error of PCA with as many components as the bottleneck has numbers"),
    ),
    (
        later("MSE / PCA"),
        later("how many times the error of the linear optimum; of a real bottleneck only"),
    ),
    (
        later("MSE / mean image"),
        later("above 1: worse than showing the mean image, whatever was fed in"),
    ),
    (later("bottleneck"), ABOUT["bottleneck"]),
    (later("compression"), ABOUT["compression"]),
    (later("parameters"), ABOUT["parameters"]),
    (later("FLOPs per step"), ABOUT["flops_per_step"]),
)
_SETTINGS = ("protocol", *SETTINGS, "train_noise", "precision")


def block(results: Results, images: Images) -> str:
    """All that the panel shows, as JSON in which no mark-up can begin; empty without models.

    `results` are ordered and marked; its pictures are put into `images`.
    """
    groups = dict(_groups(results.jobs))
    if not groups:
        return ""
    keys = {key for rows in groups.values() for key in rows["key"]}
    results = replace(results, jobs=results.jobs[results.jobs["key"].isin(keys)])
    films = Films(results, _best_first(groups), images)
    figures = {names.identity(row): row for row in _rows(frames.summary(results.jobs))}
    curves = _curves(results)
    content = {
        "words": {name: say(text) for name, text in _WORDS.items()},
        "figures": [(say(name), _about(about)) for name, about in _FIGURES],
        "settings": [(name, _about(ABOUT.get(name, ""))) for name in _SETTINGS],
        "runs": [(say(name), _about(ABOUT.get(name, ""))) for name in _RUN_HEADS],
        "times": [say(name) for name in _TIME_HEADS],
        "models": [
            {
                "id": model,
                **_name(rows),
                "figures": _figures(rows, figures.get(model)),
                "curve": curves.get(model),
                "runs": [_run(row) for row in _rows(rows.head(_RUNS))],
                "more": max(0, len(rows) - _RUNS),
                "times": _times(rows),
                "settings": [
                    words.listed(dict.fromkeys(map(_setting, rows[name]))) for name in _SETTINGS
                ],
                "command": commands.repeating(rows),
                "films": films.of(model),
            }
            for model, rows in groups.items()
        ],
    }
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def claim(results: Results, images: Images) -> None:
    """Put the pictures of the panel into `images`, before others take the room that is left.

    What those others add the panel has as well: `block` asks again.
    """
    Films(results, _best_first(dict(_groups(results.jobs))), images)


def _about(text: str) -> str:
    return say(text) if text else ""


def _rows(frame: pd.DataFrame) -> list[dict[Any, Any]]:
    return frame.to_dict("records")


def _groups(jobs: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    """The rows of each model that the page keeps, by its identity, in the order of the jobs."""
    groups = jobs.groupby(names.IDENTITY, sort=False)
    found = {names.identity(rows.iloc[0]): rows for _, rows in groups}
    best = set(_best_first(found)[:_MOST])
    return ((model, rows) for model, rows in found.items() if model in best)


def _best_first(groups: Mapping[str, pd.DataFrame]) -> list[str]:
    """Models by error: the best of every data set, then the second of every one, and so on.

    Last come those that have none.
    """
    errors = [rows["mse"].where(rows["status"].eq("ok")).median() for rows in groups.values()]
    order = pd.DataFrame({"dataset": [rows.iloc[0]["dataset"] for rows in groups.values()]})
    order["mse"] = pd.Series(errors, dtype="float64")
    order["place"] = order.groupby("dataset")["mse"].rank(method="first", na_option="bottom")
    order["failed"] = order["mse"].isna()
    models = list(groups)
    return [models[i] for i in order.sort_values(["failed", "place"], kind="stable").index]


def _setting(value: Any) -> str:
    return numeral(value, "g") if isinstance(value, float) else words.text(value)


def _name(rows: pd.DataFrame) -> dict[str, str]:
    first = rows.iloc[0]
    return {
        "name": words.model_of(first),
        "dataset": words.dataset(first["dataset"]),
        "under": words.under(first["settings"]),
    }


def _figures(rows: pd.DataFrame, row: Mapping[str, Any] | None) -> list[str]:
    """What `_FIGURES` names, written; dashes for a model without a finished job."""
    if row is None:
        return [words.NONE] * len(_FIGURES)
    told = frames.beside_pca(pd.DataFrame([row])).iloc[0]
    squeezed = row["bottleneck"] < row["input_size"]
    return [
        words.number(row["mse"]),
        words.between(row["low"], row["high"]),
        words.count(row["n_seeds"]),
        words.number(row["study_error"]),
        words.number(row["pca_mse"] if squeezed else None),
        words.number(row["mse"] / row["pca_mse"] if told else None),
        words.number(row["mse"] / row["mean_mse"] if row["mean_mse"] else None),
        words.count(row["bottleneck"]),
        words.number(row["compression"]),
        words.count(row["parameters"]),
        words.number(rows["flops_per_step"].astype("float64").median()),
    ]


def _curves(results: Results) -> dict[str, dict[str, Any]]:
    """By model: its epochs and both losses, of `_EPOCHS` epochs where there are more."""
    found = {}
    for _, rows in frames.curves(results).groupby(names.IDENTITY, sort=False):
        rows = rows.sort_values("epoch")
        last = len(rows) - 1
        kept = sorted({round(i * last / (_EPOCHS - 1)) for i in range(_EPOCHS)})
        some = rows.iloc[kept] if last >= _EPOCHS else rows
        found[names.identity(some.iloc[0])] = {
            "epoch": [int(epoch) for epoch in some["epoch"]],
            "train": _losses(some["train_mse"]),
            "val": _losses(some["val_mse"]),
        }
    return found


def _losses(values: Iterable[float]) -> list[float | None]:
    return [float(f"{v:.3g}") if np.isfinite(v) and v > 0 else None for v in values]


def _run(row: Mapping[Any, Any]) -> list[str]:
    """One job as `_RUN_HEADS` names it; a failed one says why."""
    failed = row["status"] != "ok"
    why = f"✘ {say(str(row['status']).replace('_', ' '))}"
    why = why if words.missing(row["reason"]) else words.headed(why, row["reason"])
    timed = not failed and not words.missing(row["train_s"])
    return [
        words.text(row["seed"]),
        words.text(row["repeat"]),
        words.text(row["engine"]),
        words.number(row["mse"]),
        words.number(row["study_error"]),
        words.number(row["train_s"]),
        why if failed else check(row.get("doubt", "")).text if timed else words.NONE,
        row["key"],
    ]


def _times(rows: pd.DataFrame) -> list[Sequence[str]]:
    """A row as `_TIME_HEADS` names it for each conditions under which the model was timed."""
    made: list[Sequence[str]] = []
    for group in frames.alike(frames.timed(rows)):
        time = frames.times(group).iloc[0]
        said = check(time["doubt"], time["left_out"], time["left_out_for"])
        made.append((
            words.conditions(group.iloc[0]),
            words.count(time["n"]),
            words.number(time["train_s"]),
            words.between(time["low"], time["high"]) if time["n"] > 1 else words.NONE,
            ". ".join((said.text, *said.small)),
        ))  # fmt: skip
    return made
