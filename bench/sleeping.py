"""A small MLP that takes a second to build: jobs whose time is known beforehand."""

from __future__ import annotations

import time

from torch import nn

import aebench
from aebench.architectures.autoencoder import Autoencoder


@aebench.architecture("sleeping")
def build(shape: tuple[int, int, int], latent: int, depth: int) -> Autoencoder:
    """One layer to the code and one back, after a second."""
    time.sleep(1.0)
    size = shape[0] * shape[1] * shape[2]
    up = nn.Sequential(nn.Linear(latent, size), nn.Unflatten(1, shape))
    return Autoencoder(nn.Sequential(nn.Flatten(), nn.Linear(size, latent)), up)
