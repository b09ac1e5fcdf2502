"""A data set of one's own: pixels that a program makes, here cut from two photographs.

    aebench run --plugin patches.py --dataset patches --architecture mlp,conv --latent 16

A folder of images needs no program: --dataset path/to/folder.
"""

import numpy as np
from sklearn.datasets import load_sample_images

from aebench import datasets

SIDE, STEP = 16, 8


def patches(photo):
    """Overlapping squares of a photograph [height, width, 3], as uint8 [N, 3, SIDE, SIDE]."""
    windows = np.lib.stride_tricks.sliding_window_view(photo, (SIDE, SIDE), axis=(0, 1))
    return windows[::STEP, ::STEP].reshape(-1, 3, SIDE, SIDE).copy()


def load():
    """Images to train on, and others to test on: a temple, and a flower."""
    temple, flower = load_sample_images().images
    return patches(temple), patches(flower)


train, test = load()
datasets.register(
    datasets.DatasetInfo(
        "patches", "patches of photographs", 3, SIDE, SIDE,
        train_images=len(train), test_images=len(test), validation_images=len(train) // 10,
        citation="the sample images of scikit-learn",
    ),
    load,
)  # fmt: skip
