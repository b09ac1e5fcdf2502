"""Engines: ways to execute the same training steps, behind one small interface.

An engine gets a `Setup`, warms up without a trace, and trains one epoch per call. Which data,
which order and which weights is decided before; what is done with the result comes after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from aebench import architectures, protocols
from aebench.datasets import shuffled
from aebench.job import ENGINES, Job

# Sets training noise apart from whatever else is drawn from a seed: "noise" in ASCII.
_NOISE_STREAM = int.from_bytes(b"noise", "big")


@dataclass(frozen=True)
class Setup:
    """What an engine works on.

    `images` is the training split in its order, uint8 [N, C, H, W], on the CPU; `model` is on
    `device` and holds the job's initial weights. `channels_last` overrides the `layout` that is
    known, or thought, to be the fastest.
    """

    job: Job
    model: nn.Module
    images: Tensor
    device: torch.device
    channels_last: bool | None = None

    @property
    def layout(self) -> torch.memory_format:
        """How images and convolutions lie in memory: where a number lies, not which number it is.

        On a CPU channels last: oneDNN has no fast kernel for a transposed convolution laid out
        channels first, and the conv-16 step of MNIST takes more than twice as long with it. On
        CUDA channels first, until it is measured.
        """
        last = self.channels_last
        if last is None:
            convolves = any(isinstance(m, nn.modules.conv._ConvNd) for m in self.model.modules())
            last = convolves and self.device.type == "cpu"
        return torch.channels_last if last else torch.contiguous_format

    @property
    def count(self) -> int:
        """Images in the training split."""
        return len(self.images)

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the training split; the last, partial one is dropped."""
        return self.count // self.job.batch_size

    @property
    def rates(self) -> list[float]:
        """The learning rate of every step of the job; all engines read it here."""
        job, steps = self.job, self.steps_per_epoch * self.job.epochs
        return [
            protocols.learning_rate(job.learning_rate, job.schedule, step, steps)
            for step in range(steps)
        ]

    def order(self, epoch: int) -> Tensor | None:
        """The order of the images in `epoch`, counted from 0, int64 [N] on the CPU; None: as is.

        Drawn from the job's seed and the epoch alone, so every engine and device has the same.
        """
        if self.job.order == "fixed":
            return None
        return torch.from_numpy(shuffled(self.count, self.job.seed, epoch))

    def noise(self, epoch: int) -> torch.Generator | None:
        """Where an epoch's training noise is drawn, batch after batch, float32, on the CPU.

        None where the job trains without noise. A batch's input is the batch plus `train_noise`
        times standard normal numbers of its shape, unclipped; its target is the batch itself.
        """
        if not self.job.train_noise:
            return None
        seed = np.random.SeedSequence([_NOISE_STREAM, self.job.seed, epoch])
        return torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))

    def inputs(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """What the model gets for a batch of `images`, which are its targets: see `noise`.

        A model whose code is not ours may write into what it is given, so it gets a copy.
        """
        if generator is not None:
            noise = torch.randn(images.shape, generator=generator)
            return images + self.job.train_noise * noise.to(images.device)
        return images if architectures.is_ours(self.job.architecture) else images.clone()


class Engine(Protocol):
    """One way to execute training steps.

    An engine with a data loader has `loading_s` as well, how long training has waited for it; one
    with torch's Adam keeps it as `optimizer`, for `steps_taken`. One that had to run otherwise
    than its name says has `note`: how, and why. One that leaves out arithmetic on pixels that are 0
    has `skipped_flops_per_step`, on average over the split.
    """

    def load(self) -> None:
        """Bring the training split to where the engine reads it. Timed as `data`."""

    def compile(self) -> None:
        """Compile or capture what the steps need, if this engine does. Timed as `compile`."""

    def warm_up(self) -> None:
        """Make device and libraries ready, leaving model and optimizer as they were."""

    def train_epoch(self) -> Tensor:
        """Take every step of the next epoch; give the mean of its losses, float64, unread."""


def steps_taken(engine: Engine) -> int | None:
    """Training steps as Adam itself has counted them; None for an engine without torch's Adam."""
    optimizer = getattr(engine, "optimizer", None)
    if not isinstance(optimizer, torch.optim.Optimizer):
        return None
    return max((int(state["step"]) for state in optimizer.state.values()), default=0)


def create(setup: Setup) -> Engine:
    """The engine that the job names, ready for `load`."""
    if setup.job.engine not in ENGINES:
        raise ValueError(f"no engine {setup.job.engine!r}")
    module = import_module(f"aebench.engines.{setup.job.engine}")
    make: Callable[..., Engine] = module.create
    return make(setup)
