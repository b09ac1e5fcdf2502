"""One epoch of training under each engine, and its ratio to the study's loop in the same run.

Engines take turns, epoch by epoch, so that drift of the machine falls on all alike. The epoch is
the clock's own region: data resident (or the loader ready), kernels warm, validation outside.
Run by ``python3 noxfile.py -s bench``; AEBENCH_DEVICE chooses the device.
"""

from __future__ import annotations

import os
import statistics
import time

import pytest
import torch

from aebench import datasets, engines
from aebench.architectures.autoencoder import build
from aebench.job import ENGINES, Job
from aebench.worker import warm_process

DEVICE = os.environ.get("AEBENCH_DEVICE", "cpu")
ROUNDS = 3
marks = [pytest.mark.cuda] if DEVICE == "cuda" else []


def ready(job: Job, images: torch.Tensor) -> engines.Engine:
    """An engine that is loaded and warm."""
    device = torch.device(DEVICE)
    model, _ = build(job, tuple(images.shape[1:]))
    engine = engines.create(engines.Setup(job, model.to(device), images, device))
    engine.load()
    engine.warm_up()
    return engine


@pytest.mark.parametrize(
    ("architecture", "latent"),
    [pytest.param(a, k, marks=marks) for a, k in (("mlp", 512), ("conv", 16))],
)
def test_epoch_of_mnist(benchmark, architecture: str, latent: int) -> None:
    warm_process()
    data = datasets.load("mnist")
    train, _ = datasets.split(len(data.train), data.info.validation_images, 0)
    images = torch.from_numpy(data.train[train])
    made = {
        name: ready(Job(architecture, "mnist", latent, engine=name, device=DEVICE), images)
        for name in ENGINES
    }
    seconds: dict[str, list[float]] = {name: [] for name in ENGINES}
    losses: dict[str, list[float]] = {name: [] for name in ENGINES}

    def turns() -> None:
        for name, engine in made.items():
            began = time.perf_counter()
            losses[name].append(float(engine.train_epoch()))  # reading the loss drains the device
            seconds[name].append(time.perf_counter() - began)

    benchmark.pedantic(turns, rounds=ROUNDS)
    for name in ENGINES:
        assert losses[name] == pytest.approx(losses["reference"], rel=1e-3)
        ratios = [r / s for r, s in zip(seconds["reference"], seconds[name], strict=True)]
        benchmark.extra_info[name] = {
            "epoch_s": seconds[name],
            "times_reference": statistics.median(ratios),
            "images_per_s": 429 * 128 / statistics.median(seconds[name]),
        }
        print(
            f"{architecture}-{latent} {name}: {statistics.median(seconds[name]):.3f} s an epoch,"
            f" {statistics.median(ratios):.2f} times as fast as reference"
            f" ({min(ratios):.2f} to {max(ratios):.2f} over {ROUNDS} turns)"
        )
