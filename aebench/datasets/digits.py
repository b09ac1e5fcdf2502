"""scikit-learn's digits as uint8 pixels: the one dataset that needs no download.

Decides how 0..16 becomes 0..255 and which images are the test set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aebench.datasets.catalogue import Pixels

TRAIN_IMAGES = 1_437


def pixels() -> tuple[Pixels, Pixels]:
    """Return (train [1437, 1, 8, 8], test [360, 1, 8, 8]) as uint8.

    The set has 1,797 images with whole values v of 0..16; a pixel is v * 255 / 16 rounded to the
    nearest, halves up, in integers: (255 v + 8) // 16. The last 360 images, in
    scikit-learn's order, are the test set.
    """
    import numpy as np
    from sklearn.datasets import load_digits  # type: ignore[import-untyped,unused-ignore]

    values = load_digits().images.astype(np.int64)
    images = ((values * 255 + 8) // 16).astype(np.uint8)[:, None]
    return images[:TRAIN_IMAGES], images[TRAIN_IMAGES:]
