"""Codes as compression on the page: fronts, what they meet at equal bytes, and in which words."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from test_report_records import record, stored

from aebench.analysis import frames, names
from aebench.analysis import rates as analysis
from aebench.page import rates
from aebench.store import Record, Results

# Bytes and MSE of made-up files: straight lines in logarithms, so that what lies between is known.
FILES = {
    "jpeg": {10: (100.0, 0.01), 50: (400.0, 0.0025)},
    "webp": {0: (50.0, 0.008), 50: (200.0, 0.002), None: (150.0, 0.0)},
    "png": {None: (250.0, 0.0)},
}


def coded(latent: int, seed: int, *points: tuple[int, float, float], family: str = "mlp") -> Record:
    """The record of a job whose code takes, at some bits, these bytes and has this MSE."""
    made = record(family, latent, seed=seed)
    key = {"key": made.job["key"], "codec": "model", "decoder_bytes": 4 * 785 * latent}
    both = {"dataset": "mnist", "seed": seed, "images": 1000, "ssim": 0.9}
    rows: list[dict[str, Any]] = [
        both | key | {"bottleneck": latent, "bits": bits, "bytes_per_image": size, "mse": mse,
                      "fixed_bytes_per_image": bits * latent / 8}
        for bits, size, mse in points
    ]  # fmt: skip
    rows += [
        both | {"codec": name, "quality": quality, "bytes_per_image": size, "mse": mse}
        for name, files in FILES.items()
        for quality, (size, mse) in files.items()
    ]
    rows += [
        both | {"codec": "pca", "bottleneck": latent, "bits": bits, "bytes_per_image": 1.1 * size,
                "fixed_bytes_per_image": bits * latent / 8, "mse": 0.03, "decoder_bytes": 1}
        for bits, size, _ in points
    ]  # fmt: skip
    return dataclasses.replace(made, rates=rows)


def ordered(folder: Path, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def test_a_code_stands_for_the_mean_of_its_seeds(tmp_path: Path) -> None:
    results = ordered(
        tmp_path,
        coded(32, 0, (8, 20.0, 0.01), (4, 10.0, 0.02)),
        coded(32, 1, (8, 80.0, 0.04), (4, 10.0, 0.02)),
        coded(64, 0, (8, 60.0, 0.005)),
    )
    codes = analysis.codes(results)
    own = codes[codes["family"] == "mlp"].set_index(["name", "bits"])
    assert own["n_seeds"].to_dict() == {("mlp-32", 8): 2, ("mlp-32", 4): 2, ("mlp-64", 8): 1}
    assert own.loc[("mlp-32", 8), "cost"] == pytest.approx(40.0)
    assert own.loc[("mlp-32", 8), "error"] == pytest.approx(0.02)
    assert own.loc[("mlp-32", 8), "by_seed"] == {0: (20.0, 0.01), 1: (80.0, 0.04)}
    pca = codes[codes["family"] == "PCA"]
    assert set(pca["name"]) == {"PCA-32", "PCA-64"}
    files = analysis.files(results)
    assert len(files) == 6
    assert files.loc[files["error"] == 0, "codec"].to_list() == ["png", "webp"]


def test_what_loses_to_another_code_in_both_is_not_on_the_front(tmp_path: Path) -> None:
    results = ordered(
        tmp_path,
        coded(32, 0, (8, 20.0, 0.010), (6, 15.0, 0.011)),
        coded(64, 0, (4, 19.0, 0.0105), (8, 40.0, 0.02)),
    )
    codes = analysis.codes(results)
    front = analysis.front(codes[codes["family"] == "mlp"])
    assert list(zip(front["name"], front["bits"], strict=True)) == [
        ("mlp-32", 6), ("mlp-64", 4), ("mlp-32", 8),
    ]  # fmt: skip


def met(folder: Path, name: str, *records: Record) -> analysis.Against:
    results = ordered(folder, *records)
    codes = analysis.codes(results)
    best = analysis.front(codes[codes["family"] != "PCA"])
    found = analysis.against(best, analysis.files(results), name)
    assert found is not None
    return found


def test_at_equal_bytes_the_error_of_files_lies_on_the_line_in_logarithms(tmp_path: Path) -> None:
    # At 200 bytes, the geometric middle of 100 and 400, JPEG has an MSE of 0.005.
    factors = (0.4, 0.5, 0.625)
    records = [coded(64, s, (8, 200.0, 0.005 * f)) for s, f in enumerate(factors)]
    found = met(tmp_path, "jpeg", *records)
    assert (found.smallest, found.its_error, found.lossless) == (100.0, 0.01, None)
    meeting, last = found.meetings  # nothing learned is as small as the smallest file
    assert (meeting.budget, last.budget) == (pytest.approx(200.0), 400.0)
    assert meeting.ratio.centre == pytest.approx(0.5)
    assert meeting.ratio.n == 3
    # Student's t with two degrees of freedom on the logarithms.
    half = 4.302653 * math.log(1.25) / math.sqrt(3)
    assert meeting.ratio.low == pytest.approx(0.5 * math.exp(-half))
    assert meeting.ratio.high == pytest.approx(0.5 * math.exp(half))
    assert meeting.ahead == "code"


@pytest.mark.parametrize(
    ("factors", "ahead"),
    [
        ((0.9,), "code"), ((1.1,), "file"), ((0.9, 0.9, 0.9), "code"), ((1.1, 1.1, 1.1), "file"),
        ((0.5, 1.0, 1.9), "neither"),
    ],
)  # fmt: skip
def test_who_is_ahead(tmp_path: Path, factors: tuple[float, ...], ahead: str) -> None:
    records = [coded(64, s, (8, 200.0, 0.005 * f)) for s, f in enumerate(factors)]
    assert met(tmp_path, "jpeg", *records).meetings[0].ahead == ahead


def test_a_seed_that_takes_more_is_set_beside_larger_files(tmp_path: Path) -> None:
    # The second takes what the budget is, the third twice that; JPEG loses 1 / bytes.
    records = [coded(64, s, (8, size, 0.0025)) for s, size in enumerate((100.0, 200.0, 400.0))]
    meeting, _ = met(tmp_path, "jpeg", *records).meetings
    assert meeting.budget == pytest.approx(200.0)
    assert meeting.ratio.centre == pytest.approx((0.5 * 0.5 * 1.0) ** (1 / 3))


def test_beyond_what_was_measured_nothing_is_compared(tmp_path: Path) -> None:
    made = coded(64, 0, (2, 49.0, 0.009), (4, 60.0, 0.007), (6, 160.0, 0.003), (8, 900.0, 0.0001))
    found = met(tmp_path, "webp", made)
    # WebP's smallest file has 50 bytes, and from 150 on it loses nothing.
    assert [meeting.budget for meeting in found.meetings] == pytest.approx([50.0, 60.0])
    assert [meeting.cost for meeting in found.meetings] == pytest.approx([49.0, 60.0])
    assert found.meetings[0].ratio.centre == pytest.approx(0.009 / 0.008)
    assert found.lossless == 150.0
    assert found.cheapest is not None
    assert (found.cheapest["cost"], found.cheapest["bits"]) == (pytest.approx(60.0), 4)


def test_without_files_there_is_nothing_to_say(tmp_path: Path) -> None:
    found = ordered(tmp_path, coded(64, 0, (8, 60.0, 0.01)))
    bare = dataclasses.replace(found, rates=found.rates[found.rates["codec"].ne("jpeg")])
    codes = analysis.codes(bare)
    assert analysis.against(analysis.front(codes), analysis.files(bare), "jpeg") is None


def test_the_section_draws_the_fronts_and_says_who_loses_less(tmp_path: Path) -> None:
    results = ordered(
        tmp_path,
        *(coded(32, s, (8, 30.0, 0.007 + s / 1e5), (32, 128.0, 0.0069)) for s in range(3)),
        *(coded(64, s, (8, 110.0, 0.006), (2, 20.0, 0.02)) for s in range(3)),
    )
    section = rates.section(results)
    (chart,) = section.charts
    assert chart.title == "MNIST"
    for name in ("mlp", "PCA", "JPEG", "WebP", "PNG without loss", "WebP without loss"):
        assert name in chart.svg
    (table,) = chart.tables
    shown = [tuple(cell.text for cell in row[:3]) for row in table.rows]
    assert shown[:3] == [
        ("mlp-64", "study", "2 bits"), ("mlp-32", "study", "8 bits"), ("mlp-64", "study", "8 bits"),
    ]  # fmt: skip
    identities = {row[0].text: row[0].model for row in table.rows}
    assert (identities["JPEG"], identities["PCA-64"]) == ("", "")
    of_them = results.jobs[results.jobs["latent"] == 64].iloc[0]
    assert identities["mlp-64"] == names.identity(of_them)
    assert ("JPEG", "–", "quality 10") in shown
    assert ("WebP", "–", "no loss") in shown
    assert not any("float32" in row for row in shown)  # which another code beats in both
    assert "take 100 kB to 201 kB in float32" in section.intro[-1]
    jpeg, webp = section.lists
    assert jpeg == (
        "MNIST, learned codes against JPEG: the smallest JPEG files take 100 bytes an image, with "
        "an MSE of 0.0100; mlp-32 in 8 bits is as near to it in 30.0 bytes. For the same bytes "
        "who loses less depends on the rate: at 100 bytes mlp-32 in 8 bits has 0.701 times the "
        "error of JPEG (3 seeds, 95 % interval 0.699 to 0.703); at 400 bytes mlp-64 in 8 bits has "
        "2.40 times the error of JPEG (3 seeds, 95 % interval 2.40 to 2.40)."
    )
    assert "is ahead" not in webp
    assert "at 50.0 bytes mlp-32 in 8 bits has 0.876 times the error of WebP" in webp
    assert "at 110 bytes mlp-64 in 8 bits has 1.65 times the error of WebP" in webp
    assert webp.endswith("From 150 bytes on WebP loses nothing.")


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (0.9, "the best learned code loses less at all rates of JPEG: at 100 bytes"),
        (1.1, "JPEG loses less at all its rates: at 100 bytes"),
    ],
)
def test_where_one_is_ahead_throughout_the_ends_are_told(
    tmp_path: Path, factor: float, said: str
) -> None:
    points = [(b, size, factor / size) for b, size in ((2, 100.0), (4, 200.0), (8, 400.0))]
    text = rates.section(ordered(tmp_path, coded(64, 0, *points))).lists[0]
    assert said in text
    assert text.count("times the error of JPEG") == 2
    assert "at 200 bytes" not in text
    assert f"at 400 bytes mlp-64 in 8 bits has {factor:.3g}" in text


def test_where_the_lead_changes_is_told(tmp_path: Path) -> None:
    points = [(2, 100.0, 0.005), (4, 200.0, 0.0049), (6, 300.0, 0.0048), (8, 400.0, 0.0047)]
    text = rates.section(ordered(tmp_path, coded(64, 0, *points))).lists[0]
    assert "who loses less depends on the rate" in text
    assert text.count("times the error of JPEG") == 3
    assert text.index("at 100 bytes") < text.index("at 300 bytes") < text.index("at 400 bytes")
    assert "at 200 bytes" not in text


def test_codes_that_never_come_near_or_are_too_large_are_told_so(tmp_path: Path) -> None:
    text = rates.section(ordered(tmp_path / "a", coded(4, 0, (8, 4.0, 0.05)))).lists[0]
    assert "no learned code comes so near to the image" in text
    assert "JPEG loses less at all its rates: at 100 bytes mlp-4 in 8 bits has 5.00 times" in text
    text = rates.section(ordered(tmp_path / "b", coded(400, 0, (8, 401.0, 0.001)))).lists[0]
    assert "Every learned code takes more bytes than JPEG files." in text


def test_options_of_a_family_are_of_one_line(tmp_path: Path) -> None:
    wide = coded(32, 0, (8, 30.0, 0.01))
    wide.job["options"] = "hidden=1024"
    codes = analysis.codes(ordered(tmp_path, wide, coded(64, 0, (8, 60.0, 0.005))))
    own = codes[codes["codec"] == "model"]
    assert set(own["family"]) == {"mlp"}
    assert set(own["name"]) == {"mlp-32 (hidden=1024)", "mlp-64"}


def test_records_without_rates_say_what_it_takes(tmp_path: Path) -> None:
    section = rates.section(ordered(tmp_path, record("mlp", 32)))
    assert section.intro == (
        "This takes a finished model whose code is at most two thirds of the image.",
    )
    assert not section.charts


def test_what_no_axis_can_show_is_left_out(tmp_path: Path) -> None:
    codes = analysis.codes(ordered(tmp_path, coded(32, 0, (8, 30.0, 0.0), (6, 20.0, math.nan))))
    assert not len(codes[codes["codec"] == "model"])
    assert isinstance(codes, pd.DataFrame)
