"""Baselines against scikit-learn, errors against the study's own loop, and the pictures."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from aebench import datasets
from aebench.architectures.autoencoder import build
from aebench.evaluation import baselines, reconstruction
from aebench.evaluation.baselines import Split
from aebench.job import Job

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, Tensor]:
    data = datasets.load("digits", tmp_path_factory.mktemp("data"))
    train, _ = datasets.split(len(data.train), data.info.validation_images, seed=0)
    return torch.from_numpy(data.train[train]), torch.from_numpy(data.test.copy())


def test_curve_is_that_of_scikit_learns_pca(digits: tuple[Tensor, Tensor]) -> None:
    from sklearn.decomposition import PCA

    train, test = (part.flatten(1).double().numpy() / 255 for part in digits)
    curve = baselines.curve(*digits)
    assert curve.shape == (65,)
    assert curve.dtype == np.float64
    assert curve[0] == pytest.approx(np.mean((test - train.mean(0)) ** 2), rel=1e-12)
    for k in (1, 2, 10, 40):
        pca = PCA(k, svd_solver="full").fit(train)
        oracle = np.mean((test - pca.inverse_transform(pca.transform(test))) ** 2)
        assert curve[k] == pytest.approx(oracle, rel=1e-9)
    assert curve[64] < 1e-15  # all numbers kept: nothing is lost
    assert (np.diff(curve) <= 0).all()


def test_curve_does_not_depend_on_how_images_are_chunked(
    digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = baselines.curve(*digits)
    monkeypatch.setattr(baselines, "_CHUNK", 100)
    np.testing.assert_allclose(baselines.curve(*digits), whole, rtol=1e-9, atol=1e-15)


def test_colour_images_are_flattened_whole() -> None:
    images = torch.randint(256, (20, 3, 2, 2), generator=torch.Generator().manual_seed(0))
    assert baselines.curve(*[images.to(torch.uint8)] * 2).shape == (13,)


SPLIT = Split("0123456789abcdef" * 4, seed=0, train_images=1257)


def test_cache_is_written_for_everybody_and_used(
    digits: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = baselines.curve(*digits, SPLIT, tmp_path / "data")
    (path,) = (tmp_path / "data").rglob("*.*")
    assert path == baselines.path_of(tmp_path / "data", SPLIT)
    assert path.stat().st_mode & 0o044 == 0o044
    with monkeypatch.context() as patch:
        patch.setattr(baselines, "_compute", lambda *_: pytest.fail("the cache was not used"))
        again = baselines.curve(*digits, SPLIT, tmp_path / "data")
    np.testing.assert_array_equal(again, curve)  # to the last bit
    assert baselines.verify(tmp_path / "data") == {path.name: ""}


@pytest.mark.parametrize(
    "other",
    [replace(SPLIT, seed=1), replace(SPLIT, train_images=9), replace(SPLIT, data_sha256="f" * 64)],
)
def test_a_curve_of_another_split_is_not_taken(
    digits: tuple[Tensor, Tensor], tmp_path: Path, other: Split
) -> None:
    curve = baselines.curve(*digits, SPLIT, tmp_path)
    foreign = [7.0] * len(curve)
    baselines.write(tmp_path, other, foreign)
    np.testing.assert_array_equal(baselines.curve(*digits, SPLIT, tmp_path), curve)
    # Not even where it has the file's name.
    baselines.path_of(tmp_path, other).replace(baselines.path_of(tmp_path, SPLIT))
    assert list(baselines.verify(tmp_path).values()) == [f"it is that of {name(tmp_path, other)}"]
    np.testing.assert_array_equal(baselines.curve(*digits, SPLIT, tmp_path), curve)
    assert list(baselines.verify(tmp_path).values()) == [""]


def name(directory: Path, split: Split) -> str:
    return baselines.path_of(directory, split).name


def _changed(path: Path) -> None:
    """Another number of the same length in the middle, and the date as it was."""
    before, text = path.stat(), path.read_text()
    place = text.index("0.0", len(text) // 3) + 4
    digit = "1" if text[place] != "1" else "2"
    path.write_text(text[:place] + digit + text[place + 1 :])
    os.utime(path, ns=(before.st_mtime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


@pytest.mark.parametrize(
    "spoil",
    [
        _changed,
        lambda path: path.write_text("[]"),
        lambda path: path.write_text('{"sha256": "", "curve": 3}'),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\xfe\0"),
        lambda path: path.write_bytes(path.read_bytes()[:200]),
    ],
)
def test_a_cache_that_is_no_curve_is_told_and_computed_anew(
    digits: tuple[Tensor, Tensor], tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    curve = baselines.curve(*digits, SPLIT, tmp_path)
    spoil(baselines.path_of(tmp_path, SPLIT))
    assert all(baselines.verify(tmp_path).values())
    np.testing.assert_array_equal(baselines.curve(*digits, SPLIT, tmp_path), curve)
    assert not any(baselines.verify(tmp_path).values())  # and mended


def test_what_is_no_error_is_no_curve(digits: tuple[Tensor, Tensor], tmp_path: Path) -> None:
    curve = baselines.curve(*digits)
    for wrong in ([math.nan] * 65, [-1.0] * 65, [0.0] * 64):
        baselines.write(tmp_path, SPLIT, wrong)
        np.testing.assert_array_equal(baselines.curve(*digits, SPLIT, tmp_path), curve)


def test_a_cache_that_cannot_be_written_loses_no_job(
    digits: tuple[Tensor, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    assert baselines.curve(*digits, SPLIT, tmp_path / "file").shape == (65,)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert baselines.curve(*digits, SPLIT, tmp_path / "data").shape == (65,)
    assert not list((tmp_path / "data" / "baselines").iterdir())


def test_errors_are_those_of_the_studys_loop(digits: tuple[Tensor, Tensor]) -> None:
    test = digits[1]
    model = build(Job("conv", "digits", 3), (1, 8, 8)).model
    found = reconstruction.measure(model, test, CPU)

    images = test.float() / 255
    criterion, study_error = nn.MSELoss(), 0.0
    loader = DataLoader(TensorDataset(images), batch_size=128, drop_last=True)
    with torch.no_grad():
        for (batch,) in loader:
            study_error += criterion(model(batch), batch).item()
        mse = (model(images) - images).double().square().mean().item()
    assert len(loader) == 2  # of 360 images 104 are dropped
    assert found.study_error == pytest.approx(study_error, rel=1e-6)
    assert found.mse == pytest.approx(mse, rel=1e-6)
    assert reconstruction.psnr_db(found.mse) == pytest.approx(10 * math.log10(1 / mse), rel=1e-6)


def test_errors_are_measured_as_in_use_not_as_in_training(digits: tuple[Tensor, Tensor]) -> None:
    model = nn.Dropout(0.9).train()
    assert reconstruction.measure(model, digits[1], CPU) == reconstruction.Errors(0.0, 0.0)


@pytest.mark.parametrize(
    ("mse", "psnr_db"), [(1.0, 0.0), (0.01, 20.0), (0.0, math.inf), (math.nan, math.nan)]
)
def test_psnr(mse: float, psnr_db: float) -> None:
    assert reconstruction.psnr_db(mse) == pytest.approx(psnr_db, nan_ok=True)


def test_errors_of_few_images_and_of_none(digits: tuple[Tensor, Tensor]) -> None:
    model = build(Job("mlp", "digits", 3), (1, 8, 8)).model
    few = reconstruction.measure(model, digits[1][:5], CPU)
    assert few.mse > 0
    assert math.isnan(few.study_error)
    none = reconstruction.measure(model, digits[1][:0], CPU)
    assert math.isnan(none.mse)
    assert math.isnan(none.study_error)


@pytest.mark.parametrize("channels", [1, 3])
def test_strips_show_the_images_side_by_side(channels: int) -> None:
    generator = torch.Generator().manual_seed(0)
    test = torch.randint(256, (12, channels, 5, 4), generator=generator).to(torch.uint8)

    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x / 2

    (row,) = reconstruction.strips(Half(), test, CPU)
    assert (row["kind"], row["images"]) == ("reconstruction", 10)
    shown = np.asarray(Image.open(io.BytesIO(row["input_png"])))
    assert shown.shape[:2] == (5, 40)
    second = shown[:, 4:8] if channels == 3 else shown[:, 4:8, None]
    np.testing.assert_array_equal(second, test[1].permute(1, 2, 0).numpy())
    halved = np.asarray(Image.open(io.BytesIO(row["output_png"])))
    np.testing.assert_allclose(halved, shown / 2, atol=0.51)
    assert row["mse"] == pytest.approx(float((test[:10].double() / 510).square().mean()))


def test_pictures_are_clipped_to_the_range_of_pixels() -> None:
    picture = reconstruction.png(torch.tensor([-1.0, 0.5, 2.0]).view(1, 1, 1, 3))
    assert np.asarray(Image.open(io.BytesIO(picture))).tolist() == [[0, 128, 255]]
