"""What the page knows of each model: right, bounded, and no markup whatever a name is."""

import dataclasses
import json
import re
from pathlib import Path

import pandas as pd
import pytest
from test_page_names import NASTY
from test_report_records import failure, record, stored, strip

from aebench.analysis import fitness, frames, names
from aebench.analysis.frames import Model
from aebench.page import film, models
from aebench.page.html import page
from aebench.page.images import Images
from aebench.store import Results


def read(results: Results, images: Images | None = None) -> dict:
    results = fitness.marked(frames.ordered(results))
    return json.loads(models.block(results, Images() if images is None else images))


ONE = Images().cost((strip(8, (1, 28, 28), 40), 8))


def figures(content: dict, model: dict) -> dict:
    return dict(zip((name for name, _ in content["figures"]), model["figures"], strict=True))


def runs(content: dict, model: dict) -> list[dict]:
    heads = [name for name, _ in content["runs"]]
    return [dict(zip(heads, run, strict=True)) for run in model["runs"]]


def test_figures_runs_and_curve_are_those_of_the_records(tmp_path: Path) -> None:
    records = [
        record("mlp", 4, 78 * mse, seed=seed, epochs=3, losses=(0.3, 0.2, loss), seconds=seconds)
        for seed, (mse, loss, seconds) in enumerate(
            [(0.01, 0.1, 2), (0.02, 0.2, 3), (0.04, 0.4, 4)]
        )
    ]
    content = read(stored(tmp_path, *records))
    (model,) = content["models"]
    assert (model["name"], model["dataset"], model["under"]) == (
        "mlp-4", "MNIST", "study with epochs=3",
    )  # fmt: skip
    told = figures(content, model)
    assert (told["MSE"], told["seeds"], told["bottleneck"]) == ("0.0200", "3", "4")
    assert (told["study error"], told["parameters"]) == ("1.56", "6,272")
    pca = records[0].job["pca_mse"]
    assert told["MSE / PCA"] == f"{0.02 / pca:.3f}"
    assert told["MSE / mean image"] == f"{0.02 / 0.0674:.3f}"
    assert [(run["seed"], run["mse"], run["train_s"], run["key"]) for run in runs(content, model)] \
        == [(str(i), f"{r.job['mse']:.4f}", f"{r.job['train_s']:.2f}", r.job["key"])
            for i, r in enumerate(records)]  # fmt: skip
    assert model["curve"]["epoch"] == [1, 2, 3]
    assert model["curve"]["val"] == [0.3, 0.2, 0.2]
    assert model["curve"]["train"] == [0.345, 0.23, 0.23]
    ((conditions, count, seconds, span, said),) = model["times"]
    assert "AMD" in conditions or "Intel" in conditions
    assert (count, seconds, span) == ("3", "3.00", "2.00 to 4.00")
    assert said.startswith(("✔", "✘"))
    settings = dict(zip((n for n, _ in content["settings"]), model["settings"], strict=True))
    assert (settings["epochs"], settings["learning_rate"], settings["warmup"]) == (
        "3",
        "0.0001",
        "0",
    )
    assert model["command"].startswith("aebench run --architecture mlp --dataset mnist --latent 4")


def test_a_model_of_both_precisions_is_one_and_says_so(tmp_path: Path) -> None:
    both = [
        record("mlp", 4, protocol="tuned", seed=seed, precision=precision)
        for seed, precision in enumerate(("fp32", "bf16"))
    ]
    content = read(stored(tmp_path, *both))
    (model,) = content["models"]
    settings = dict(zip((n for n, _ in content["settings"]), model["settings"], strict=True))
    assert (model["under"], settings["precision"]) == ("tuned", "bf16 and fp32")
    assert figures(content, model)["seeds"] == "2"
    assert "--precision bf16,fp32" in model["command"]


def test_a_failed_job_says_why_and_a_model_of_failures_has_no_figures(tmp_path: Path) -> None:
    content = read(stored(tmp_path, record("mlp", 4), failure("conv", 8, reason="too large")))
    model = next(m for m in content["models"] if m["name"] == "conv-8")
    assert set(model["figures"]) == {"–"}
    assert runs(content, model)[0]["check"] == "✘ failed: too large"
    assert model["curve"] is None
    assert model["films"] == {} and model["times"] == []  # noqa: PT018


def test_long_curves_keep_their_ends(tmp_path: Path) -> None:
    losses = tuple(1 / (1 + e) for e in range(500))
    content = read(stored(tmp_path, record("mlp", 4, epochs=500, losses=losses)))
    curve = content["models"][0]["curve"]
    assert len(curve["epoch"]) == len(curve["val"]) == 60
    assert (curve["epoch"][0], curve["epoch"][-1]) == (1, 500)


def test_pictures_are_cut_kept_once_and_those_of_the_first_seed(tmp_path: Path) -> None:
    records = [record("mlp", k, seed=s) for k in (4, 8) for s in (1, 0)]
    images = Images()
    content = read(stored(tmp_path, *records, record("conv", 4, dataset="cifar10")), images)
    first, second, colour = content["models"]
    assert first["films"]["plain"]["in"] == second["films"]["plain"]["in"]
    assert first["films"]["noise"]["clean"] == first["films"]["plain"]["in"]
    assert (first["films"]["plain"]["seed"], first["films"]["noise"]["amplitude"]) == (0, "0.3")
    assert first["films"]["noise"]["mse"] == "0.0500"
    ids = re.findall('<image id="([^"]+)"', images.definitions)
    of_films = [f[part] for m in content["models"] for f in m["films"].values()
                for part in ("in", "out", "clean") if part in f]  # fmt: skip
    assert sorted(ids) == sorted(set(of_films))
    assert first["films"]["plain"]["out"] == images.film(strip(8, (1, 28, 28), 64), 8).id
    assert (first["films"]["plain"]["images"], colour["films"]["plain"]["images"]) == (8, 4)


def test_the_best_models_have_the_pictures_that_there_is_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = stored(tmp_path, *(record("mlp", k, 1 / k) for k in (1, 2, 3, 4)))
    room = int(3.5 * ONE)
    monkeypatch.setattr(film, "PANEL", room)
    images = Images()
    content = read(results, images)
    assert ONE < images.size <= room
    kept = {model["name"] for model in content["models"] if model["films"]}
    assert kept == {"mlp-4", "mlp-3"}


def test_strips_of_the_best_denoisers_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = record("mlp", 1, 9.0), record("mlp", 2, 1.0)
    bad.samples[1]["mse"] = 0.09
    monkeypatch.setattr(film, "PANEL", int(5.5 * ONE))  # of the noise: what is fed in, and one
    found = {m["name"]: set(m["films"]) for m in read(stored(tmp_path, good, bad))["models"]}
    assert found == {"mlp-1": {"plain", "noise"}, "mlp-2": {"plain"}}


def test_of_too_many_models_the_best_of_every_data_set_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [record("mlp", k, 1 / k, dataset=d) for d in ("mnist", "digits") for k in (1, 2, 3)]
    monkeypatch.setattr(models, "_MOST", 2)
    content = read(stored(tmp_path, *records, failure()))
    assert [(m["dataset"], m["name"]) for m in content["models"]] == [
        ("MNIST", "mlp-3"), ("digits (scikit-learn)", "mlp-3"),
    ]  # fmt: skip


def test_runs_of_a_model_are_bounded_and_the_rest_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "_RUNS", 2)
    (model,) = read(stored(tmp_path, *(record("mlp", 4, seed=s) for s in range(5))))["models"]
    assert (len(model["runs"]), model["more"]) == (2, 3)


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_every_name_that_can_be_opened_is_in_the_block(tmp_path: Path) -> None:
    records = [
        record(family, k, seed=s) for family in ("mlp", "conv") for k in (1, 4) for s in (0, 1)
    ]
    results = stored(tmp_path, *records, failure("mlp", 77))
    text = page(results)
    known = {model["id"] for model in read(results)["models"]}
    assert len(known) == 5
    assert set(re.findall(r' data-model="([^"]*)"', text)) == known
    table = text[text.index('id="jobs-table"') :]
    assert table[: table.index("</table>")].count("data-model") == len(records) + 1


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_names_can_be_opened_wherever_tables_and_cards_have_them(tmp_path: Path) -> None:
    noisy = record("mlp", 512, train_noise=0.3, denoised={0.3: 0.02, 0.8: 0.05})
    text = page(stored(tmp_path, record("mlp", 512), record("conv", 16), noisy))
    known = set(re.findall(r' data-model="([^"]*)"', text[text.index('id="jobs-table"') :]))
    assert len(known) == 3

    def opened(start: str, end: str) -> set[str]:
        part = text[text.index(start) :]
        return set(re.findall(r' data-model="([^"]*)"', part[: part.index(end)]))

    for section in ("probes", "targets", "curves"):
        assert opened(f'<section id="{section}"', "</section>") == known, section
    model = Model("mnist", "mlp", 512).identity
    assert model in known
    assert opened('id="finding-mlp-512"', "</article>") == {model}
    chart = text.index('class="spark"', text.index('id="finding-mlp-512"'))
    drawn = text[chart : text.index("</svg>", chart)]
    assert re.findall(r' data-model="([^"]*)"', drawn) == [model]


def test_an_identity_is_that_of_the_model_alone(tmp_path: Path) -> None:
    rows = frames.ordered(
        stored(tmp_path, *(record("mlp", k, seed=s, epochs=e) for k in (1, 2) for s in (0, 1)
                           for e in (1, 2)))
    ).jobs  # fmt: skip
    found = {names.identity(row) for row in rows.to_dict("records")}
    assert len(found) == 4
    assert found == {names.identity(row) for _, row in rows.iterrows()}
    floats = rows.astype({"latent": "float64", "depth": "float64"})
    assert found == {names.identity(row) for row in floats.to_dict("records")}


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_hostile_names_are_text(tmp_path: Path) -> None:
    evil = [*NASTY, "</script><script>alert(1)</script>", "<!--<script>", "]]>&lt;\u2028"]
    results = stored(tmp_path, *(record("mlp", i + 1) for i in range(len(evil))))
    # Object columns, for no Arrow one can hold a lone surrogate.
    jobs = results.jobs.astype(dict.fromkeys(("architecture", "engine", "reason"), object))
    for name in ("architecture", "engine", "reason"):
        jobs[name] = pd.Series([f"a{text}" for text in evil], dtype=object)
    results = dataclasses.replace(results, jobs=jobs.sort_values("latent"))
    block = models.block(fitness.marked(frames.ordered(results)), Images())
    assert "<" not in block
    assert len(json.loads(block)["models"]) == len(evil)
    shown = [model["name"] for model in json.loads(block)["models"]]
    assert any(name.startswith("a</script><script>alert(1)</script>-") for name in shown)
    assert page(results).count("<script") == 4


def test_without_jobs_there_is_no_block(tmp_path: Path) -> None:
    assert models.block(fitness.marked(frames.ordered(stored(tmp_path))), Images()) == ""
