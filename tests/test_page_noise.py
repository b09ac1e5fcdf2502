"""Noise and strangers: models trained with noise beside those trained without."""

import dataclasses
from pathlib import Path

import pytest
from test_report_records import record, stored

from aebench.analysis import frames
from aebench.page import noise


def test_models_trained_with_noise_stand_beside_those_trained_without(tmp_path: Path) -> None:
    records = [
        *(record("mlp", 32, 1.0, seed=s, denoised={0.3: 0.04, 0.8: 0.1}) for s in (0, 1)),
        record("mlp", 32, 1.1, train_noise=0.3, denoised={0.3: 0.02, 0.8: 0.05}),
    ]
    results = frames.ordered(stored(tmp_path, *records))
    section = noise.section(results)
    (chart,), (strangers,) = section.charts, section.tables
    assert "trained with noise" in chart.svg
    assert "32, noise 0.3" in chart.svg
    (table,) = chart.tables
    at = [column.name for column in table.columns].index("0.3")
    shown = {tuple(c.text for c in row[:3]): row[at].value for row in table.rows[3:]}
    assert shown == {
        ("mlp-32", "clean", "2"): pytest.approx(0.04),
        ("mlp-32", "noise 0.3", "1"): pytest.approx(0.02),
    }
    assert [row[at].value for row in table.rows[:3]] == [
        pytest.approx(x) for x in (0.09, 0.054, 0.0674)
    ]
    # PCA of 32 of 784 numbers keeps so much of the noise's energy.
    pca = table.rows[3][[c.name for c in table.columns].index("PCA at 0.3")].value
    own = results.jobs["pca_mse"].iloc[0]
    assert pca == float(f"{own + 0.3**2 * 32 / 784:.3g}")  # as it is shown
    # 0.04 lies below the mean image and below what clipping gives, 0.1 does not.
    assert (
        "on clean images, 1 of 1 at amplitude 0.3 and 0 of 1 at amplitude 0.8" in section.lists[0]
    )
    assert [c.name for c in strangers.columns[5:]] == ["china.jpg"]  # digits were not in the cache
    assert strangers.rows[2][5].small == ("15.6 × own",)  # 0.2 against 1 / 78


def test_records_of_before_the_probes_render_without_them(tmp_path: Path) -> None:
    bare = dataclasses.replace(record("mlp", 32), probes=())
    section = noise.section(frames.ordered(stored(tmp_path, bare)))
    assert section.intro == ("No finished job left probes.",)
    assert not section.charts
