"""Structural similarity of pictures: 1 where they are alike, less where shapes are lost.

Z. Wang, A. C. Bovik, H. R. Sheikh, E. P. Simoncelli, Image Quality Assessment: From Error
Visibility to Structural Similarity, IEEE Transactions on Image Processing 13(4), 2004, with the
constants given there.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from aebench.engines.device import ieee_float32

WINDOW = 11  # pixels across
_LEAST = 3  # a window of one pixel has no structure to compare
_SIGMA = 1.5  # pixels
_C1, _C2 = 0.01**2, 0.03**2  # (K1 L)^2 and (K2 L)^2 for pixels in [0, 1]: L = 1


def window_of(height: int, width: int) -> int | None:
    """How many pixels across the window is: 11, or in smaller images the largest odd number that
    fits; None below 3 pixels, where structural similarity means nothing.
    """
    largest = min(WINDOW, height, width)
    window = largest if largest % 2 else largest - 1
    return window if window >= _LEAST else None


def ssim(images: Tensor, others: Tensor) -> Tensor | None:
    """Structural similarity of each of `images` with its other one, float64 [N].

    Both are float [N, C, H, W] for pixels in [0, 1]. Means, variances and the covariance are those
    under a Gaussian window of sigma 1.5 pixels, wherever it lies wholly inside, as in the paper;
    the result is the mean over these places, and over the channels. None where `window_of` is.
    """
    height, width = images.shape[-2:]
    size = window_of(height, width)
    if size is None:
        return None
    down = _bands(height, size, images.device)
    across = _bands(width, size, images.device)
    x, y = images.float(), others.float()
    with ieee_float32():
        # One product from either side is far faster than a convolution of a single channel.
        means = down @ torch.stack([x, y, x * x, y * y, x * y]) @ across.T
    x, y, xx, yy, xy = means
    covariance, variances = xy - x * y, xx - x * x + yy - y * y
    places = (2 * x * y + _C1) * (2 * covariance + _C2)
    places = places / ((x * x + y * y + _C1) * (variances + _C2))
    similar: Tensor = places.double().mean((1, 2, 3))
    return similar


@lru_cache(maxsize=8)
def _bands(pixels: int, size: int, device: torch.device) -> Tensor:
    """Gaussian weights of every place of the window in a row of pixels, [places, pixels]."""
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    weights = torch.exp(-offsets.square() / (2 * _SIGMA**2))
    weights /= weights.sum()
    places = pixels - size + 1
    bands = torch.zeros(places, pixels, dtype=torch.float64)
    for place in range(places):
        bands[place, place : place + size] = weights
    return bands.float().to(device)
