"""What is read off codes, in charts and sentences: over seeds, beside PCA's, and as maps."""

import base64
import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from PIL import Image
from test_report_records import record, stored

from aebench import schema
from aebench.analysis import codes as analysis
from aebench.analysis import frames, names
from aebench.analysis.statistics import Interval
from aebench.page import codes
from aebench.page.html import page
from aebench.store import Record, Results


def probed(architecture: str, latent: int, seed: int, own: float, pca: float, **row) -> Record:
    size = {"bottleneck": latent, "compression": 784 / latent, "code_note": ""}
    row = size | {"code_accuracy": own, "pca_code_accuracy": pca} | row
    return record(architecture, latent, seed=seed, row=row)


def drawn_grid() -> bytes:
    """A picture of 225 tiles, each of its own grey: rows from above, first number to the right."""
    tiles = np.arange(225, dtype=np.uint8).reshape(15, 15).repeat(4, 0).repeat(4, 1)
    buffer = io.BytesIO()
    Image.fromarray(tiles).save(buffer, "PNG")
    return buffer.getvalue()


def mapped(seed: int, val_mse: float, *, architecture="mlp", labels=True, **row) -> Record:
    """A job whose code has two numbers: ten classes on a circle of radius 3."""
    made = probed(architecture, 2, seed, 0.5, 0.4, val_mse=val_mse, **row)
    key = made.job["key"]
    angle = np.arange(40) % 10 / 10 * 2 * np.pi
    points = [
        {"key": key, "kind": schema.CODE_OF_IMAGE, "place": i, "label": i % 10 if labels else None,
         "first": 3 * np.cos(a), "second": 3 * np.sin(a)}
        for i, a in enumerate(angle.tolist())
    ]  # fmt: skip
    steps = np.linspace(-3, 3, 15)
    points += [
        {"key": key, "kind": schema.CODE_OF_GRID, "place": 15 * i + j, "first": a, "second": b}
        for i, b in enumerate(steps[::-1].tolist())
        for j, a in enumerate(steps.tolist())
    ]
    png = {"key": key, "kind": schema.DECODED_GRID, "images": 225, "output_png": drawn_grid()}
    return dataclasses.replace(made, codes=points, samples=[*made.samples, png])


def ordered(folder: Path, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def test_accuracies_are_means_over_seeds_with_intervals_paired_with_pca(tmp_path: Path) -> None:
    own = [0.90, 0.92, 0.91]
    records = [probed("mlp", 16, s, a, a / 1.1) for s, a in enumerate(own)]
    records += [probed("mlp", 4, 0, 0.5, 0.6), probed("conv-bottleneck", 16, 0, 0.95, 0.8)]
    results = ordered(tmp_path, *records)
    section = codes.section(results)
    (chart,) = section.charts
    rows = {row[0].text: row for row in chart.tables[0].rows}
    assert list(rows) == ["conv-bottleneck-16", "mlp-4", "mlp-16"]
    assert rows["mlp-16"][2].text == "3"
    of_them = results.jobs[results.jobs["latent"] == 4].iloc[0]
    assert rows["mlp-4"][0].model == names.identity(of_them)
    # Student's t on the logit: 4.303 is its 97.5th percentile at two degrees of freedom.
    logits = scipy.special.logit(own)
    half = 4.303 * logits.std(ddof=1) / np.sqrt(3)
    expected = scipy.special.expit(logits.mean() + np.array([0, -half, half]))
    assert rows["mlp-16"][3].value == pytest.approx(expected[0])
    assert rows["mlp-16"][4].text == f"{100 * expected[1]:.1f} to {100 * expected[2]:.1f} %"
    assert rows["mlp-16"][6].value == pytest.approx(1.1)
    assert rows["mlp-4"][4].text == "–"
    (said,) = section.lists
    assert said == (
        "MNIST: most is read off conv-bottleneck-16, 95.0 % (one seed); off PCA's 16 numbers"
        " 80.0 %. 2 of 3 models give more than PCA's code of the same size; with three seeds or"
        " more, 1 of 1 beyond chance."
    )


def test_pca_has_one_accuracy_for_each_size_and_seed(tmp_path: Path) -> None:
    records = [
        probed("mlp", 16, 0, 0.9, 0.8), probed("conv-bottleneck", 16, 0, 0.7, 0.8),
        probed("mlp", 16, 1, 0.9, 0.9), probed("mlp", 2, 0, 0.3, 0.4),
    ]  # fmt: skip
    line = analysis.pca_line(analysis.probed(ordered(tmp_path, *records).jobs))
    assert line.index.to_list() == [2, 16]
    assert line.to_list() == pytest.approx([0.4, 6 / 7])  # odds of 4 and of 9 make 6


def test_no_share_is_more_than_all() -> None:
    found = analysis.share([0.2, 0.7, 1.0])
    assert 0 < found.low < found.centre < found.high < 1
    assert analysis.share([0.5]) == Interval(pytest.approx(0.5), None, None, 1)


@pytest.mark.usefixtures("undrawn")
def test_why_codes_were_not_probed_is_told_for_those_that_compress(tmp_path: Path) -> None:
    none = {"code_accuracy": None, "pca_code_accuracy": None}
    why = "not probed: halves has no labels"
    records = [record("mlp", 4, seed=s, row=none | {"code_note": why}) for s in range(2)]
    wide = "10816 numbers are more than two thirds of the image's 784"
    records += [record("conv", 16, row=none | {"code_note": wide}), record("mlp", 8)]
    section = codes.section(ordered(tmp_path, *records))
    assert section.lists == ("2 jobs not probed or not drawn: not probed: halves has no labels.",)
    assert section.intro == ("No finished job left a code that was probed or mapped.",)


def test_of_each_family_the_job_of_the_least_validation_error_is_mapped(tmp_path: Path) -> None:
    records = [
        mapped(0, 0.04), mapped(1, 0.03), mapped(2, 0.05),
        mapped(0, 0.02, architecture="conv-bottleneck"),
    ]  # fmt: skip
    found = analysis.maps(ordered(tmp_path, *records))
    assert [(m.job["architecture"], m.job["seed"]) for m in found["mnist"]] == [
        ("mlp", 1),
        ("conv-bottleneck", 0),
    ]
    first = found["mnist"][0]
    assert (len(first.images), len(first.grid), first.png) == (40, 225, drawn_grid())


@pytest.mark.slow
def test_a_map_names_its_labels_and_the_grid_stands_in_the_place_of_its_codes(
    tmp_path: Path,
) -> None:
    results = ordered(tmp_path, mapped(0, 0.04))
    chart = codes.section(results).charts[-1]
    assert chart.title == "MNIST: codes of two numbers"
    assert {f">{n}</text>" for n in range(10)} <= set(re.findall(r">\d</text>", chart.svg))
    (inside,) = re.findall(r'href="data:image/webp;base64,([^"]+)"', chart.svg)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(inside))).convert("L"))
    tiles = np.asarray(Image.open(io.BytesIO(drawn_grid())))
    assert np.abs(shown.astype(int) - tiles).max() < 20  # upside down, it would be 210
    (placed,) = re.findall(r'<image [^>]*transform="matrix\(([^)]*)\)', chart.svg)
    assert [float(n) > 0 for n in placed.split()[::3]] == [True, True]  # not turned over
    text = page(results)
    assert "codes of two numbers" in text


def test_codes_without_labels_or_grid_are_mapped_all_the_same(tmp_path: Path) -> None:
    bare = mapped(0, 0.04, labels=False, code_accuracy=None, pca_code_accuracy=None)
    images = [point for point in bare.codes if point["kind"] == schema.CODE_OF_IMAGE]
    results = ordered(tmp_path, dataclasses.replace(bare, codes=images, samples=()))
    (chart,) = codes.section(results).charts
    assert "<image" not in chart.svg


def test_a_page_has_no_more_maps_than_it_can_carry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None
) -> None:
    monkeypatch.setattr(codes, "_PAIRS", 1)
    results = ordered(tmp_path, mapped(0, 0.1), mapped(0, 0.2, architecture="conv-bottleneck"))
    section = codes.section(results)
    assert len(section.charts[-1].tables[0].rows) == 1
    assert "1 map left out to keep this file small." in section.intro
