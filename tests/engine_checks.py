"""What every fast engine must agree in with `reference`, on digits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch

from aebench import datasets
from aebench.architectures.autoencoder import build
from aebench.engines import training
from aebench.engines.training import Engine, Setup
from aebench.evaluation import reconstruction
from aebench.job import Job

# One job for each way in which training steps can differ, and a mix of them.
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "shuffled": {"order": "shuffled"},
    "cosine": {"schedule": "cosine"},
    "noise": {"train_noise": 0.3},
    "deep": {"depth": 2},
    "all": {"order": "shuffled", "schedule": "cosine", "train_noise": 0.3, "depth": 2},
}
LOSS_TOLERANCE, MSE_TOLERANCE = 1e-5, 1e-4


def job(architecture: str = "mlp", latent: int = 6, **fields: Any) -> Job:
    # The shapes of `test_engines`, so that what inductor compiles for one serves the other.
    usual = {"epochs": 3, "batch_size": 64, "learning_rate": 1e-3, "seed": 1}
    return Job(architecture, "digits", latent, **usual | fields)


def setup(one: Job, device: str = "cpu") -> Setup:
    """The job's model and data."""
    data = datasets.load("digits")
    split, _ = datasets.split(len(data.train), data.info.validation_images, one.seed)
    images = torch.from_numpy(data.train[split])
    shape = (images.shape[1], images.shape[2], images.shape[3])
    model = build(one, shape).model.to(device)
    return Setup(one, model, images, torch.device(device))


def train(engine: Engine, epochs: int) -> list[float]:
    """Take an engine through its life; the mean loss of each epoch."""
    engine.load()
    engine.compile()
    engine.warm_up()
    return [float(engine.train_epoch()) for _ in range(epochs)]


@cache
def solo(one: Job) -> tuple[Setup, list[float]]:
    """Train a job by itself; what it was trained on, and its mean losses."""
    ours = setup(one)
    return ours, train(training.create(ours), one.epochs)


def mse(ours: Setup) -> float:
    test = torch.from_numpy(datasets.load("digits").test.copy())
    return reconstruction.measure(ours.model, test, ours.device).mse


def check(one: Job, ours: Setup, losses: list[float]) -> None:
    """Judge what another engine made of the same job."""
    theirs, expected = solo(dataclasses.replace(one, engine="reference", device="cpu"))
    np.testing.assert_allclose(losses, expected, rtol=LOSS_TOLERANCE)
    np.testing.assert_allclose(mse(ours), mse(theirs), rtol=MSE_TOLERANCE)


def check_job(one: Job, make: Callable[[Setup], Engine], device: str = "cpu") -> Setup:
    """Train `one` with the engine that `make` gives, and judge the result."""
    ours = setup(one, device=device)
    check(one, ours, train(make(ours), one.epochs))
    return ours
