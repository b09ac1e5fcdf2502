"""A small MLP whose training steps can be made to wait a share of their time: a known slowdown.

What a step takes is the time from one forward pass in training to the next, less what was waited;
so the wait follows the machine, as a real slowdown of the code would.
"""

from __future__ import annotations

import time

from torch import Tensor, nn

import aebench
from aebench.architectures.autoencoder import Autoencoder

_LONGEST_S = 0.1  # between two steps: more is no step, but evaluation or the end of an epoch


class _Waiting(nn.Module):
    """Passes its input on, in training after a wait of `slowdown` times the last step."""

    def __init__(self, slowdown: float) -> None:
        super().__init__()
        self.slowdown = slowdown
        self.last_s = 0.0

    def forward(self, x: Tensor) -> Tensor:
        """The input."""
        if self.training and self.slowdown:
            step_s = time.perf_counter() - self.last_s
            if step_s < _LONGEST_S:
                until = time.perf_counter() + self.slowdown * step_s
                while time.perf_counter() < until:
                    pass
            self.last_s = time.perf_counter()
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
