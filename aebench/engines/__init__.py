"""Engines: ways to execute the same training steps, behind one small interface.

An engine gets a `Setup`, warms up without a trace, and trains one epoch per call. Which data,
which order and which weights is decided before; what is done with the result comes after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from aebench.job import ENGINES, Job

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Setup:
    """What an engine works on.

    `images` is the training split in its order, uint8 [N, C, H, W], on the CPU; `model` is on
    `device` and holds the job's initial weights.
    """

    job: Job
    model: nn.Module
    images: Tensor
    device: torch.device

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the training split; the last, partial one is dropped."""
        return len(self.images) // self.job.batch_size


class Engine(Protocol):
    """One way to execute training steps."""

    def load(self) -> None:
        """Bring the training split to where the engine reads it. Timed as `data`."""

    def warm_up(self) -> None:
        """Make device and libraries ready, leaving model and optimizer as they were."""

    def train_epoch(self) -> Tensor:
        """Take every step of one epoch; give the mean of the steps' losses, float64, unread."""


def create(setup: Setup) -> Engine:
    """The engine that the job names, ready for `load`."""
    if setup.job.engine not in ENGINES:
        raise ValueError(f"no engine {setup.job.engine!r}")
    module = import_module(f"aebench.engines.{setup.job.engine}")
    make: Callable[[Setup], Engine] = module.create
    return make(setup)
