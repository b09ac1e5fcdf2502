"""Probes: the same noisy images for all, exact baselines, no download, numbers for appearance."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aebench import datasets, schema
from aebench.datasets import sources
from aebench.evaluation import probes, reconstruction
from aebench.job import Job
from aebench.records import Circumstances
from aebench.worker import run_job

CPU = torch.device("cpu")


class Constant(nn.Module):
    """Answers everything with one value; an autoencoder that reads nothing."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, images: Tensor) -> Tensor:
        return torch.full_like(images, self.value)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    """Real images: training and test, uint8 [N, 1, 8, 8]."""
    data = datasets.load("digits")
    return torch.from_numpy(data.train.copy()), torch.from_numpy(data.test.copy())


def subject(model: nn.Module, digits: tuple[Tensor, Tensor]) -> probes.Subject:
    train, test = digits
    mean = train.double().mean(0) / 255
    return probes.Subject(model, "digits", test, mean, CPU)


def test_noise_depends_on_the_data_set_alone() -> None:
    shape = (20, 1, 8, 8)
    torch.manual_seed(1)
    first = probes.noise("digits", shape)
    torch.manual_seed(2)
    torch.rand(7)
    assert torch.equal(probes.noise("digits", shape), first)
    assert not torch.equal(probes.noise("mnist", shape), first)
    assert torch.equal(torch.rand(1), _second_after(2, 7))  # and draws from no one else's stream


def _second_after(seed: int, drawn: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    torch.rand(drawn, generator=generator)
    return torch.rand(1, generator=generator)


def test_noise_is_standard_normal_and_pinned() -> None:
    drawn = probes.noise("mnist", (100, 1, 28, 28)).double()
    assert float(drawn.mean()) == pytest.approx(0, abs=0.02)
    assert float(drawn.std()) == pytest.approx(1, abs=0.02)
    # The noise of stored results: to change it is to make old and new probes incomparable.
    assert drawn.flatten()[:3].tolist() == pytest.approx(PINNED, abs=2e-6)


PINNED = [-0.7281608, 0.4381430, 0.0029348]


def test_every_model_is_given_the_same_noisy_images_unclipped(
    digits: tuple[Tensor, Tensor],
) -> None:
    seen: list[list[Tensor]] = []

    class Spy(nn.Identity):
        def forward(self, images: Tensor) -> Tensor:
            seen[-1].append(images.clone())
            return images

    for _ in range(2):
        seen.append([])
        probes.denoising(subject(Spy(), digits))
    one, other = (torch.cat(batches) for batches in seen)
    assert torch.equal(one, other)
    images = one.view(len(probes.AMPLITUDES), 360, 1, 8, 8)
    clean = digits[1].float() / 255
    assert torch.equal(images[0], clean)
    at = dict(zip(probes.AMPLITUDES, images, strict=True))
    assert float(at[0.8].min()) < -1
    assert float(at[0.8].max()) > 2
    # One draw, scaled.
    torch.testing.assert_close((at[0.8] - clean) / 0.8, (at[0.1] - clean) / 0.1, atol=2e-5, rtol=0)


def test_the_identity_leaves_the_noise_as_it_is(digits: tuple[Tensor, Tensor]) -> None:
    rows, _ = probes.denoising(subject(nn.Identity(), digits))
    assert [row["amplitude"] for row in rows] == list(probes.AMPLITUDES)
    for row in rows:
        assert (row["kind"], row["input"], row["images"]) == ("denoising", "test images", 360)
        assert row["mse"] == row["input_mse"]
        assert row["input_mse"] == pytest.approx(row["amplitude"] ** 2, rel=0.03)
        # What leaves the range of pixels comes nearer when it is clipped: another figure.
        assert row["clipped_mse"] < row["input_mse"] or row["amplitude"] == 0
    assert rows[0]["psnr_db"] == math.inf
    assert rows[3]["psnr_db"] == pytest.approx(-10 * math.log10(rows[3]["mse"]))


def test_baselines_are_those_of_numpy(digits: tuple[Tensor, Tensor]) -> None:
    rows, _ = probes.denoising(subject(Constant(0.25), digits))
    train, clean = (part.numpy() / 255 for part in digits)
    mean = np.mean((clean - train.mean(0)) ** 2)
    flat = np.mean((clean - clean.mean((2, 3), keepdims=True)) ** 2)
    drawn = probes.noise("digits", clean.shape).numpy()
    for row in rows:
        noisy = clean + row["amplitude"] * drawn
        assert row["input_mse"] == pytest.approx(np.mean((noisy - clean) ** 2), rel=1e-5)
        assert row["clipped_mse"] == pytest.approx(
            np.mean((np.clip(noisy, 0, 1) - clean) ** 2), rel=1e-5
        )
        assert row["mean_mse"] == pytest.approx(mean)
        assert row["flat_mse"] == pytest.approx(flat)
        assert row["mse"] == pytest.approx(np.mean((clean - 0.25) ** 2), rel=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", probes.PHOTOS)
def test_photographs_are_square_and_take_the_size_asked_for(name: str, channels: int) -> None:
    picture = probes.photo(name, channels)
    assert picture.shape == (1, channels, 427, 427)
    assert picture.dtype == torch.uint8
    small = probes.resized(picture, 28, 32)
    assert small.shape == (1, channels, 28, 32)
    assert 0 <= float(small.min()) < float(small.max()) <= 1
    # Antialiased: the mean stays, where picking single pixels would move it.
    assert float(small.mean()) == pytest.approx(float(picture.double().mean()) / 255, abs=0.005)


def test_grey_is_the_luma_of_bt601_and_the_cut_is_central() -> None:
    from sklearn.datasets import load_sample_image

    whole = load_sample_image("china.jpg").astype(np.float64)
    left = (640 - 427) // 2
    square = whole[:, left : left + 427]
    colour, grey = probes.photo("china.jpg", 3), probes.photo("china.jpg", 1)
    assert np.array_equal(colour[0].permute(1, 2, 0).numpy(), square)
    assert np.abs(grey[0, 0].numpy() - square @ [0.299, 0.587, 0.114]).max() < 1


def test_images_of_the_right_size_are_not_filtered(digits: tuple[Tensor, Tensor]) -> None:
    assert torch.equal(probes.resized(digits[1], 8, 8), digits[1].float() / 255)


def test_a_probe_downloads_nothing_and_tells_what_was_not_there(
    tmp_path: Path, digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a probe asked a source for data")

    monkeypatch.setattr(sources, "obtain", refuse)
    rows, pictures = probes.strangers(subject(Constant(0.5), digits), tmp_path)
    found = {row["input"]: row for row in rows}
    named = [n for n in datasets.names() if not n.startswith("folder:")]
    grey = {n for n in named if datasets.info(n).channels == 1} - {"digits"}
    assert set(found) == {*probes.PHOTOS, *grey}
    for name in grey:
        assert found[name]["images"] == 0
        assert "mse" not in found[name]
    for name in probes.PHOTOS:
        assert found[name]["images"] == 1
        assert found[name]["mse"] >= found[name]["flat_mse"] > 0
    assert [p["images"] for p in pictures] == [2]
    assert not list(tmp_path.iterdir())


def test_cached_data_sets_are_strangers_at_this_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets.load("digits", tmp_path)
    test = torch.zeros(4, 1, 28, 28, dtype=torch.uint8)
    shown = probes.Subject(nn.Identity(), "mnist", test, test[0].double(), CPU)
    found = {row["input"]: row for row in probes.strangers(shown, tmp_path)[0]}
    assert (found["digits"]["images"], found["digits"]["mse"]) == (360, 0)
    assert found["digits"]["mean_mse"] > 0.1
    assert found["fashion-mnist"]["images"] == 0
    assert "mnist" not in found


def test_a_job_leaves_probes_pictures_and_its_own_phase(tmp_path: Path) -> None:
    job = Job.create(architecture="mlp", dataset="digits", latent=4, epochs=1)
    record = run_job(job, Circumstances(data=tmp_path))
    assert record.job["status"] == "ok", record.job["reason"]
    assert record.job["probe_s"] > 0
    assert {row["key"] for row in record.probes} == {job.key}
    names = {column.name for column in schema.PROBES}
    assert all(set(row) <= names for row in record.probes)
    clean = next(row for row in record.probes if row["amplitude"] == 0)
    assert clean["mse"] == pytest.approx(record.job["mse"], rel=1e-5)
    assert clean["mean_mse"] == pytest.approx(record.job["mean_mse"], rel=1e-6)
    assert [row["kind"] for row in record.samples] == [
        "reconstruction", "denoising 0.3", "denoising 0.8", "out-of-distribution",
    ]  # fmt: skip
    assert record.job["luma_mse"] is None
    assert 0 < record.job["sharpness"] < 1


def test_the_kind_of_a_picture_tells_its_amplitude() -> None:
    for amplitude in probes.PICTURED:
        assert schema.amplitude_of(schema.noisy_kind(amplitude)) == amplitude
    assert schema.noisy_kind(0.3) == "denoising 0.3"
    for kind in (schema.RECONSTRUCTION, schema.STRANGERS, schema.DENOISING):
        assert schema.amplitude_of(kind) is None


# Appearance


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    """Eight real colour images, uint8 [8, 3, 32, 32]."""
    tiles = [probes.photo(name, 3)[0, :, :427, :427] for name in probes.PHOTOS]
    cut = [t[:, i * 100 :, i * 100 :][:, :96, :96] for t in tiles for i in range(4)]
    return (probes.resized(torch.stack(cut), 32, 32) * 255).round().to(torch.uint8)


def look(model: nn.Module, images: Tensor) -> dict[str, float | None]:
    return reconstruction.appearance(model, images, CPU)


def test_a_copy_has_no_error_and_full_sharpness(photographs: Tensor) -> None:
    found = look(nn.Identity(), photographs)
    assert found["luma_mse"] == found["chroma_mse"] == 0
    assert found["sharpness"] == 1


def test_grey_pictures_lose_the_colours_only(photographs: Tensor) -> None:
    class Grey(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return reconstruction.ycbcr(images)[:, :1].expand_as(images)

    found = look(Grey(), photographs)
    assert found["luma_mse"] == pytest.approx(0, abs=1e-12)
    assert found["sharpness"] == pytest.approx(1)
    rgb = photographs.numpy() / 255
    y = 0.299 * rgb[:, 0] + 0.587 * rgb[:, 1] + 0.114 * rgb[:, 2]
    cb, cr = (rgb[:, 2] - y) / 1.772, (rgb[:, 0] - y) / 1.402
    assert found["chroma_mse"] == pytest.approx((np.mean(cb**2) + np.mean(cr**2)) / 2, rel=1e-6)
    assert found["chroma_variance"] == pytest.approx((cb.var() + cr.var()) / 2, rel=1e-6)
    assert found["luma_variance"] == pytest.approx(y.var(axis=(1, 2)).mean(), rel=1e-6)


def test_flat_pictures_have_no_shapes(photographs: Tensor) -> None:
    class Flat(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean((2, 3), keepdim=True).expand_as(images)

    found = look(Flat(), photographs)
    assert found["luma_mse"] == pytest.approx(found["luma_variance"], rel=1e-6)
    assert found["sharpness"] == pytest.approx(0, abs=1e-9)


def test_blur_lowers_sharpness_and_contrast_scales_it(photographs: Tensor) -> None:
    blur = nn.Sequential(nn.ReflectionPad2d(1), nn.AvgPool2d(3, stride=1))
    more = nn.Sequential(nn.ReflectionPad2d(2), nn.AvgPool2d(5, stride=1))
    found = [look(model, photographs)["sharpness"] for model in (nn.Identity(), blur, more)]
    assert found[0] > 2 * found[1] > 4 * found[2] > 0

    class Halved(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images / 2

    assert look(Halved(), photographs)["sharpness"] == pytest.approx(0.25, rel=1e-6)


def test_what_a_grey_or_tiny_image_cannot_have_is_null(digits: tuple[Tensor, Tensor]) -> None:
    found = look(Constant(0.5), digits[1])
    assert [found[f"{p}_{q}"] for p in ("luma", "chroma") for q in ("mse", "variance")] == [
        None
    ] * 4
    assert found["sharpness"] == 0
    assert look(nn.Identity(), digits[1][:, :, :2, :2])["sharpness"] is None


def test_psnr_has_one_definition() -> None:
    assert reconstruction.psnr_db(0.01) == pytest.approx(20)
    assert reconstruction.psnr_db(0) == math.inf
