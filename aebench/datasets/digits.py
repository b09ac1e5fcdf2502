"""scikit-learn's digits as uint8 pixels: the one dataset that needs no download.

Decides how 0..16 becomes 0..255 and which images are the test set.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
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

    table = np.loadtxt(bundled("data", "digits.csv.gz"), dtype=np.int64, delimiter=",")
    values = table[:, :-1].reshape(-1, 8, 8)  # the last column is the digit
    images = ((values * 255 + 8) // 16).astype(np.uint8)[:, None]
    return images[:TRAIN_IMAGES], images[TRAIN_IMAGES:]


def bundled(*path: str) -> Path:
    """A file among the data that scikit-learn brings, found without importing it.

    The import takes two seconds, which every worker process would pay for.

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    found = find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("scikit-learn is not installed", name="sklearn")
    return Path(found.submodule_search_locations[0], "datasets", *path)
