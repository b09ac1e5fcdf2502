"""Training: every engine beside the reference engine, which is the study's loop.

The same job, the same initial weights; compilation, warm-up and data transfer come before the
clock starts, as in `train_s`. That both computed the same is looked at, and said if not.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from aebench import engines
from aebench.architectures.autoencoder import build
from aebench.datasets import Dataset, split
from aebench.engines import training
from aebench.errors import RequestError
from aebench.job import Job
from bench.conftest import MOST_LOSS_APART, SideBySide

STEPS = 20  # of a round of `step`: enough for the clock, few enough for a quick look
BATCH = 128


class Case(NamedTuple):
    """A model that is trained on MNIST."""

    architecture: str
    latent: int
    depth: int = 1

    def job(self, engine: str, device: str = "cpu", precision: str = "fp32") -> Job:
        """The study's job of this model, by that engine."""
        return Job.create(
            **self._asdict(),
            dataset="mnist",
            engine=engine,
            device=device,
            precision=precision,
            batch_size=BATCH,
            epochs=1000,  # more than any suite runs: there are no learning rates beyond it
        )


CASES = {"mlp-512": Case("mlp", 512), "mlp-128": Case("mlp", 128), "conv-16": Case("conv", 16)}


class Trainer:
    """An engine that is ready, and the mean training loss of every epoch it has run."""

    def __init__(
        self,
        engine: str,
        case: Case,
        images: torch.Tensor,
        device: torch.device,
        precision: str = "fp32",
    ) -> None:
        why = engines.untrainable(engine, case.architecture, case.depth) or engines.trouble(engine)
        if why:
            raise RequestError(why)
        shape = (images.shape[1], images.shape[2], images.shape[3])
        job = case.job(engine, device.type, precision)
        model = build(job, shape).model.to(device)
        self.engine = training.create(training.Setup(job, model, images, device))
        self.engine.load()
        self.engine.compile()
        self.engine.warm_up()
        self.losses: list[torch.Tensor] = []

    def epoch(self) -> None:
        """Train one epoch; the loss is not read here, for reading waits for the device."""
        self.losses.append(self.engine.train_epoch())


def trainers(
    engine: str, case: str, images: torch.Tensor, device: torch.device
) -> tuple[Trainer, Trainer]:
    """The engine and the reference, from the same start; skips where there is no such engine."""
    try:
        ours = Trainer(engine, CASES[case], images, device)
    except RequestError as error:  # anything else is a defect, and must not look like a skip
        pytest.skip(f"engine {engine} cannot train {case} on {device.type}: {error}")
    return ours, Trainer("reference", CASES[case], images, device)


def losses_apart(ours: Trainer, against: Trainer) -> float:
    """Greatest relative difference between the losses of epochs that both have trained."""
    first = [float(loss) for loss in ours.losses]
    pairs = zip(first, map(float, against.losses), strict=False)
    return max(abs(a - b) / b for a, b in pairs)


def time_training(
    suite: str,
    trained: tuple[Trainer, Trainer],
    images: int,
    side_by_side: SideBySide,
    names: tuple[str, str],
    device: torch.device,
    warmup_rounds: int = 1,
) -> None:
    """Time `trained` side by side, and note losses that are not the same."""
    ours, against = trained
    case, engine = names
    row = side_by_side(
        (suite, case, engine, "reference"),
        ours.epoch,
        against.epoch,
        unit="images",
        units=images // BATCH * BATCH,
        against_units=images // BATCH * BATCH,
        device=device,
        warmup_rounds=warmup_rounds,
    )
    apart = losses_apart(ours, against)
    side_by_side.benchmark.extra_info["loss_difference"] = apart
    if not apart <= MOST_LOSS_APART:
        side_by_side.note(row, f"NOT THE SAME RESULT: losses differ by up to {apart:.1%}")


@pytest.mark.parametrize("case", CASES)
def test_step(
    case: str, engine: str, device: torch.device, mnist: Dataset, side_by_side: SideBySide
) -> None:
    """Twenty steps on twenty batches that stay in the cache of the CPU or nearly so."""
    images = torch.from_numpy(mnist.train[: STEPS * BATCH].copy())
    trained = trainers(engine, case, images, device)
    time_training("step", trained, len(images), side_by_side, (case, engine), device)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_epoch(
    case: str, engine: str, device: torch.device, mnist: Dataset, side_by_side: SideBySide
) -> None:
    """A whole epoch of the study: 55,000 images, 429 steps; half as many rounds."""
    train, _ = split(len(mnist.train), mnist.info.validation_images, 0)
    images = torch.from_numpy(mnist.train[train])
    trained = trainers(engine, case, images, device)
    side_by_side.rounds = (side_by_side.rounds + 1) // 2
    time_training(
        "epoch", trained, len(images), side_by_side, (case, engine), device, warmup_rounds=0
    )
