"""Keras on its torch backend: a Sequential model, arrays in memory, `compile` and `fit`.

Its own initial weights and, for the convolutions, its own layout (channels last). The clock
runs from `on_train_begin` to `on_train_end`. Adam's epsilon is torch's, not Keras's 1e-7. The
device is Keras's own choice, a GPU where it sees one: under `keras.device`, Keras 3.15 finds
no gradients.
"""

from __future__ import annotations

import os
import time

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from keras import layers

from bench.peers.plain import images
from bench.peers.task import BATCH_SIZE, LEARNING_RATE, MODELS, answer, read_arguments


def build(name: str) -> keras.Model:
    family, latent, depth = MODELS[name]
    if family == "mlp":
        inner = [
            layers.Flatten(),
            layers.Dense(latent, activation="sigmoid"),
            layers.Dense(28 * 28, activation="sigmoid"),
            layers.Reshape((28, 28, 1)),
        ]
    elif family == "conv-bottleneck":
        inner = [
            layers.Conv2D(32, 4, 2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(latent),
            layers.Dense(14 * 14 * 32, activation="relu"),
            layers.Reshape((14, 14, 32)),
            layers.Conv2DTranspose(1, 4, 2, padding="same", activation="sigmoid"),
        ]
    else:
        inner = [
            *[layers.Conv2D(128, 3, activation="relu") for _ in range(depth - 1)],
            layers.Conv2D(latent, 3, activation="relu"),
            *[layers.Conv2DTranspose(128, 3, activation="sigmoid") for _ in range(depth - 1)],
            layers.Conv2DTranspose(1, 3, activation="sigmoid"),
        ]
    return keras.Sequential([keras.Input((28, 28, 1)), *inner])


def full_batches(pixels: np.ndarray) -> np.ndarray:
    """float32 [N, 28, 28, 1] in [0, 1] of uint8 [N, 28, 28], the last, partial batch left out."""
    return pixels[: len(pixels) // BATCH_SIZE * BATCH_SIZE, ..., None].astype("float32") / 255


class Clock(keras.callbacks.Callback):
    def on_train_begin(self, logs: object = None) -> None:
        self.began = time.perf_counter()

    def on_train_end(self, logs: object = None) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.train_s = time.perf_counter() - self.began


def main() -> None:
    task = read_arguments()
    keras.utils.set_random_seed(task.seed)
    train, test = (full_batches(pixels) for pixels in images(task))
    clock = Clock()
    model = build(task.model)
    model.compile(keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8), loss="mse")
    model.fit(
        train,
        train,
        batch_size=BATCH_SIZE,
        epochs=task.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[clock],
    )
    output = model.predict(test, batch_size=BATCH_SIZE, verbose=0)
    mse = float(np.square(output - test, dtype=np.float64).mean())
    answer(
        clock.train_s,
        mse * (len(test) // BATCH_SIZE),
        threads=torch.get_num_threads(),
        version=keras.__version__,
    )


if __name__ == "__main__":
    main()
