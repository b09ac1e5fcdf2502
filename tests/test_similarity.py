"""Structural similarity against scikit-image, and where images are smaller than its window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from aebench import datasets
from aebench.evaluation import probes
from aebench.evaluation.similarity import ssim, window_of


@pytest.fixture(scope="module", params=[1, 3])
def photographs(request: pytest.FixtureRequest) -> Tensor:
    """Real images, float32 [4, C, 30, 34]."""
    tiles = [probes.photo(name, request.param)[0] for name in probes.PHOTOS]
    cut = [t[:, i * 60 :, i * 90 :][:, :120, :136] for t in tiles for i in range(2)]
    return probes.resized(torch.stack(cut), 30, 34)


def noisy(images: Tensor, amplitude: float) -> Tensor:
    drawn = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return images + amplitude * drawn


@pytest.mark.parametrize("amplitude", [0.02, 0.2, 1.0])
def test_it_is_that_of_scikit_image(photographs: Tensor, amplitude: float) -> None:
    from skimage.metrics import structural_similarity

    others = noisy(photographs, amplitude)
    found = ssim(photographs, others)
    assert found is not None
    assert found.dtype == torch.float64
    for image, other, value in zip(photographs, others, found, strict=True):
        oracle = structural_similarity(
            image.double().numpy(),
            other.double().numpy(),
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1.0,
        )
        assert float(value) == pytest.approx(oracle, abs=1e-5)


def test_alike_is_1_and_a_negative_is_far_from_it(photographs: Tensor) -> None:
    same, negative = ssim(photographs, photographs), ssim(photographs, 1 - photographs)
    assert same is not None
    assert negative is not None
    assert same.tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    assert bool((negative < 0.3).all())


def test_small_images_have_the_largest_window_that_fits() -> None:
    sizes = [(28, 28), (11, 40), (10, 40), (8, 8), (4, 9), (3, 3), (2, 9), (1, 1)]
    assert [window_of(*size) for size in sizes] == [11, 11, 9, 7, 3, 3, None, None]
    assert ssim(torch.zeros(5, 1, 2, 9), torch.zeros(5, 1, 2, 9)) is None
    clean = torch.from_numpy(datasets.load("digits").test[:20].copy()) / 255
    other = noisy(clean, 0.1)
    found = ssim(clean, other)
    assert found is not None
    np.testing.assert_allclose(
        found.numpy(), [_by_hand(x[0], y[0]) for x, y in zip(clean, other, strict=True)], atol=1e-5
    )


def _by_hand(x: Tensor, y: Tensor, size: int = 7) -> float:
    """The formula place by place, in float64."""
    offsets = np.arange(size) - size // 2
    one = np.exp(-(offsets**2) / (2 * 1.5**2))
    weights = np.outer(one, one) / one.sum() ** 2
    values = []
    for i in range(x.shape[0] - size + 1):
        for j in range(x.shape[1] - size + 1):
            a, b = (t[i : i + size, j : j + size].double().numpy() for t in (x, y))
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            cov = (weights * (a - ma) * (b - mb)).sum()
            values.append(
                (2 * ma * mb + 1e-4) * (2 * cov + 9e-4)
                / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
            )  # fmt: skip
    return float(np.mean(values))


def test_shape_counts_more_than_brightness(photographs: Tensor) -> None:
    brighter = ssim(photographs, photographs + 0.1)
    rougher = ssim(photographs, noisy(photographs, 0.1))  # the same squared error
    assert brighter is not None
    assert rougher is not None
    assert bool((brighter > rougher).all())
