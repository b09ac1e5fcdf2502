"""A small MLP whose training steps can be made to wait a share of their time: a known slowdown.

What a step takes is the time from one forward pass in training to the next, less what was waited;
so the wait follows the machine, as a real slowdown of the code would. The first step of an epoch
waits as the one before it did: what lies between two epochs, evaluation for one, is no step.
"""

from __future__ import annotations

import time
from typing import Self

from torch import Tensor, nn

import aebench
from aebench.architectures.autoencoder import Autoencoder


class _Waiting(nn.Module):
    """Passes its input on, in training after a wait of `slowdown` times the last step.

    Without a slowdown it looks at the clock as often, so that the wait is the only difference.
    """

    def __init__(self, slowdown: float) -> None:
        super().__init__()
        self.slowdown = slowdown
        self.step_s = 0.0
        self.begun_s: float | None = None

    def train(self, mode: bool = True) -> Self:
        """Called at the start of every epoch: the step that was begun has ended long since."""
        self.begun_s = None
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        """The input."""
        if self.training:
            now = time.perf_counter()
            if self.begun_s is not None:
                self.step_s = now - self.begun_s
            until = now + self.slowdown * self.step_s
            while time.perf_counter() < until:
                pass
            self.begun_s = time.perf_counter()
        return x


@aebench.architecture("slowed")
def build(
    shape: tuple[int, int, int], latent: int, depth: int, slowdown: float = 0.0
) -> Autoencoder:
    """One layer to the code and one back, behind a wait."""
    size = shape[0] * shape[1] * shape[2]
    down = nn.Sequential(_Waiting(slowdown), nn.Flatten(), nn.Linear(size, latent), nn.ReLU())
    up = nn.Sequential(nn.Linear(latent, size), nn.Sigmoid(), nn.Unflatten(1, shape))
    return Autoencoder(down, up)
