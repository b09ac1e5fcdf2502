"""Picture files: what is scored is what they decode to, and what was computed is kept."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from aebench import datasets
from aebench.evaluation import formats, kept, probes
from aebench.evaluation.rates import distortion

SUM = "0123456789abcdef" * 4


@pytest.fixture(scope="module", params=[1, 3])
def images(request: pytest.FixtureRequest) -> Tensor:
    """Real images, uint8 [6, C, 16, 24]."""
    tiles = [probes.photo(name, request.param)[0] for name in probes.PHOTOS]
    cut = [t[:, i * 60 :, i * 90 :][:, :96, :144] for t in tiles for i in range(3)]
    return (probes.resized(torch.stack(cut), 16, 24) * 255).round().to(torch.uint8)


def test_rows_are_the_files_that_pillow_writes_and_what_they_decode_to(
    images: Tensor, tmp_path: Path
) -> None:
    rows = formats.rows(images, SUM, tmp_path, distortion)
    assert [(row["codec"], row["quality"]) for row in rows] == list(formats.settings())
    grey = images.shape[1] == 1
    for row in rows:
        files = [formats.encode(image.numpy(), row["codec"], row["quality"]) for image in images]
        opened = [Image.open(io.BytesIO(file)) for file in files]
        assert {o.format for o in opened} == {row["codec"].upper()}
        assert {o.size for o in opened} == {(24, 16)}
        assert row["bytes_per_image"] == sum(map(len, files)) / len(images)
        arrays = [np.asarray(o.convert("L" if grey else "RGB")) for o in opened]
        decoded = np.stack([a[None] if grey else a.transpose(2, 0, 1) for a in arrays])
        lost = ((decoded / 255 - images.numpy() / 255) ** 2).mean()
        assert row["mse"] == pytest.approx(lost, rel=1e-5, abs=1e-12)
        assert row["images"] == 6


def test_more_quality_takes_more_and_loses_less_and_without_loss_nothing(
    images: Tensor, tmp_path: Path
) -> None:
    rows = formats.rows(images, SUM, tmp_path, distortion)
    for name in formats.QUALITIES:
        graded = [row for row in rows if row["codec"] == name and row["quality"] is not None]
        sizes, errors = ([row[what] for row in graded] for what in ("bytes_per_image", "mse"))
        assert sizes == sorted(sizes)
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < errors[0] / 4
    whole = {row["codec"]: row for row in rows if row["quality"] is None}
    assert set(whole) == {"png", "webp"}
    assert [row["mse"] for row in whole.values()] == [0, 0]
    assert [row["ssim"] for row in whole.values()] == pytest.approx([1, 1], abs=1e-5)


def test_what_is_neither_grey_nor_colour_has_no_files(tmp_path: Path) -> None:
    pair = torch.zeros(2, 2, 8, 8, dtype=torch.uint8)
    assert formats.rows(pair, SUM, tmp_path, distortion) == []


def test_rows_are_kept_for_the_same_images_and_codecs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = torch.from_numpy(datasets.load("digits").test[:3].copy())
    rows = formats.rows(few, SUM, tmp_path, distortion)
    (path,) = (tmp_path / kept.FOLDER).iterdir()
    assert formats.verify(tmp_path) == {path.name: ""}
    with monkeypatch.context() as patch:
        patch.setattr(formats, "encode", lambda *_: pytest.fail("they were not taken"))
        assert formats.rows(few, SUM, tmp_path, distortion) == rows
        with pytest.raises(pytest.fail.Exception):  # fewer images
            formats.rows(few[:2], SUM, tmp_path, distortion)
        with pytest.raises(pytest.fail.Exception):  # other pixels
            formats.rows(few, "f" * 64, tmp_path, distortion)
        patch.setattr(formats, "__version__", "0.1")  # another Pillow
        with pytest.raises(pytest.fail.Exception):
            formats.rows(few, SUM, tmp_path, distortion)
    path.write_text(path.read_text().replace('"mse": 0.0', '"mse": 7.0'))
    assert formats.verify(tmp_path) == {path.name: "its checksum differs"}
    assert formats.rows(few, SUM, tmp_path, distortion) == rows
    assert formats.verify(tmp_path) == {path.name: ""}  # and mended


def test_a_pillow_without_a_format_leaves_it_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = torch.from_numpy(datasets.load("digits").test[:2].copy())
    monkeypatch.setattr(formats.features, "check", lambda name: name != "webp")
    rows = formats.rows(few, SUM, tmp_path, distortion)
    assert {row["codec"] for row in rows} == {"jpeg", "png"}


def test_a_cache_that_cannot_be_written_loses_nothing(tmp_path: Path) -> None:
    few = torch.from_numpy(datasets.load("digits").test[:2].copy())
    (tmp_path / "file").touch()
    assert len(formats.rows(few, SUM, tmp_path / "file", distortion)) == 14
