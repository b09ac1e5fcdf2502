"""Errors against latent size and bottleneck: what is marked, and what stays in sight."""

import re
from pathlib import Path

import pandas as pd
import pytest
from test_report_records import MEAN_MSE, record, stored

from aebench.analysis import frames, optimum, words
from aebench.page import reconstruction


def test_error_table_marks_what_compresses_nothing_or_loses_to_the_mean(tmp_path: Path) -> None:
    results = frames.ordered(stored(tmp_path, record("mlp", 1, 9.17), record("conv", 16)))
    (table,) = reconstruction.sections(results)[0].folded
    heads = [column.name for column in table.columns]
    mlp, conv = (dict(zip(heads, row, strict=True)) for row in table.rows)
    assert mlp["MSE / mean image"].look == "warn"
    assert mlp["MSE / mean image"].value == pytest.approx(9.17 / 78 / MEAN_MSE["mnist"])
    assert conv["compression"].look == "warn"
    assert conv["PCA MSE"].text == words.NONE


def test_no_ratio_to_pca_is_told_where_it_is_all_but_exact(tmp_path: Path) -> None:
    results = frames.ordered(
        stored(tmp_path, record("mlp", 16, row={"pca_mse": 0.02}), record("mlp", 512))
    )
    (table,) = reconstruction.sections(results)[0].folded
    heads = [column.name for column in table.columns]
    squeezed, wide = (dict(zip(heads, row, strict=True)) for row in table.rows)
    assert squeezed["MSE / PCA"].value == pytest.approx(squeezed["MSE"].value / 0.02)
    assert wide["MSE / PCA"].text == words.NONE
    assert wide["PCA MSE"].value > 0


@pytest.mark.usefixtures("undrawn")
def test_all_models_stand_in_one_table_and_each_data_set_is_drawn_once(tmp_path: Path) -> None:
    results = frames.ordered(
        stored(
            tmp_path,
            *(record("mlp", 16, 1 + s / 10, seed=s, row={"pca_mse": 0.01}) for s in range(3)),
            *(record("mlp", k, epochs=2) for k in (1, 16, 32)),
            *(record(f, 16, dataset="cifar10") for f in ("mlp", "conv", "conv-bottleneck")),
            *(record("mlp", k, dataset="digits") for k in (4, 8)),
        )
    )
    (section,) = reconstruction.sections(results)
    # Of MNIST the settings with the most models, by bottleneck alone: its latent sizes are that.
    # Of CIFAR-10, where conv counts channels, both; of two models of digits nothing.
    assert [chart.title for chart in section.charts] == [
        "MNIST, study with epochs=2: against bottleneck",
        "CIFAR-10: against latent size", "CIFAR-10: against bottleneck",
    ]  # fmt: skip
    assert {t.caption.partition(": ")[2] for c in section.charts for t in c.tables} == {
        "exact baselines"
    }
    (table,) = section.folded
    assert [(row[1].text, row[0].text, row[2].text) for row in table.rows] == [
        ("MNIST", "mlp-16", "study"),
        *(("MNIST", f"mlp-{k}", "study with epochs=2") for k in (1, 16, 32)),
        *(("CIFAR-10", f"{family}-16", "study") for family in ("mlp", "conv", "conv-bottleneck")),
        *(("digits (scikit-learn)", f"mlp-{k}", "study") for k in (4, 8)),
    ]  # fmt: skip
    heads = [column.name for column in table.columns]
    first = dict(zip(heads, table.rows[0], strict=True))
    ratio = optimum.to_optimum(results).iloc[0]
    assert first["95 % interval of it"].text == words.between(ratio["low"], ratio["high"])
    assert first["MSE / PCA"].value == pytest.approx(ratio["ratio"])


def test_a_table_of_very_many_models_is_cut_and_says_so(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(reconstruction, "_ROWS", 2)
    monkeypatch.setattr(reconstruction, "_DATASETS", 0)
    results = frames.ordered(stored(tmp_path, *(record("mlp", k) for k in (1, 2, 3))))
    (section,) = reconstruction.sections(results)
    assert not section.charts
    assert len(section.folded[0].rows) == 2
    assert "the first 2 of 3; the Parquet files have all" in section.folded[0].caption


def test_charts_follow_the_theme(tmp_path: Path) -> None:
    records = (record(f, k, seed=s) for f in ("mlp", "conv") for k in (1, 16) for s in range(3))
    results = frames.ordered(stored(tmp_path, *records))
    rows, points = frames.summary(results.jobs), frames.seeds(results.jobs)
    curve = frames.baseline_curve(results, "mnist")
    charts = [
        reconstruction.by_latent(rows, points, curve, "a <label>"),
        reconstruction.by_bottleneck(rows, points, curve, "another"),
    ]
    for chart in charts:
        assert chart.startswith("<svg ")
        assert "currentColor" in chart
        assert "var(--series-0)" in chart
        assert not re.search(r"#[0-9a-f]{6}\b", chart)
        assert "no compression" in chart or chart is charts[0]
    assert 'aria-label="a &lt;label&gt;"' in charts[0]


def test_models_with_options_are_a_line_of_their_own(tmp_path: Path) -> None:
    records = (record("conv", k, depth=2, options=o) for k in (1, 16) for o in ("", "kernel=5"))
    results = frames.ordered(stored(tmp_path, *records))
    rows, points = frames.summary(results.jobs), frames.seeds(results.jobs)
    chart = reconstruction.by_latent(rows, points, frames.baseline_curve(results, "mnist"), "label")
    assert re.search(r">\s*conv depth 2</text>", chart)
    assert re.search(r">\s*conv depth 2 \(kernel=5\)</text>", chart)


def test_models_worse_than_every_baseline_keep_the_baselines_in_sight(tmp_path: Path) -> None:
    results = frames.ordered(stored(tmp_path, record("mlp", 16, 14.0, dataset="digits")))
    summary, seeds = frames.summary(results.jobs), frames.seeds(results.jobs)
    curve = frames.baseline_curve(results, "digits")
    chart = reconstruction.by_latent(summary, seeds, curve, "label")
    assert "PCA" in chart
    lowest = curve.loc[curve["components"] <= 16, "mse"].min()
    ticks = [float(t) for t in re.findall(r">\s*(0\.\d+)</text>", chart)]
    assert min(ticks) < 10 * lowest


def test_which_convolutions_compress() -> None:
    summary = pd.DataFrame(
        {
            "dataset": "mnist", "architecture": "conv", "depth": 1, "latent": [1, 16],
            "compression": [784 / 676, 784 / 10816],
        }
    )  # fmt: skip
    text = reconstruction.compression_in_words(summary)
    assert "only conv-1 on MNIST (factor 1.16) compresses" in text
