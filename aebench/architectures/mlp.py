"""Multilayer perceptrons on the flattened image."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from aebench.architectures import Shape, Size, architecture

if TYPE_CHECKING:
    from torch import nn


def widths(inputs: int, latent: int, depth: int) -> list[int]:
    """Layer widths from the image to the code, `depth + 1` of them, in geometric progression.

    The study has depth 1 only. Equal ratios between neighbours are the usual choice where
    nothing else is known, and give depth 1 back exactly.
    """
    ratio = latent / inputs
    return [inputs, *(round(inputs * ratio ** (i / depth)) for i in range(1, depth)), latent]


def size(shape: Shape, latent: int, depth: int) -> Size:
    """Parameters, bottleneck and training FLOPs of `build(shape, latent, depth)`."""
    down = list(pairwise(widths(prod(shape), latent, depth)))
    layers = down + [(b, a) for a, b in reversed(down)]
    macs = [a * b for a, b in layers]
    return Size(
        parameters=sum(macs) + sum(b for _, b in layers),
        bottleneck=latent,
        flops=2 * (3 * sum(macs) - macs[0]),
    )


@architecture("mlp", size=size, layers="linear")
def build(shape: Shape, latent: int, depth: int) -> nn.Module:
    """Fully connected: sigmoid at code and output, ReLU between added layers.

    Takes and gives float32 [N, C, H, W] in [0, 1]; the code is [N, latent] in (0, 1).
    """
    from torch import nn

    from aebench.architectures.autoencoder import Autoencoder

    ladder = widths(prod(shape), latent, depth)

    def stack(sizes: list[int]) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return [*layers[:-1], nn.Sigmoid()]

    return Autoencoder(
        encoder=nn.Sequential(nn.Flatten(), *stack(ladder)),
        decoder=nn.Sequential(*stack(ladder[::-1]), nn.Unflatten(1, shape)),
    )
