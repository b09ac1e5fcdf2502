"""Convolutional autoencoders of the study: 3 x 3 kernels, stride 1, no padding."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from aebench.architectures import Shape, Size, architecture
from aebench.errors import RequestError

if TYPE_CHECKING:
    from torch import nn

KERNEL = 3
HIDDEN_CHANNELS = 128  # of every added layer, as in the study's deeper model


def channels(inputs: int, latent: int, depth: int) -> list[int]:
    """Channels from the image to the code, `depth + 1` of them."""
    return [inputs, *[HIDDEN_CHANNELS] * (depth - 1), latent]


def size(shape: Shape, latent: int, depth: int) -> Size:
    """Parameters, bottleneck and training FLOPs of `build(shape, latent, depth)`.

    Raises:
        RequestError: each layer takes two pixels off both sides, and nothing would be left.
    """
    colours, height, width = shape
    shrink = (KERNEL - 1) * depth
    if min(height, width) <= shrink:
        raise RequestError(
            f"conv of depth {depth} takes {shrink} pixels off each side, and the images are"
            f" {height} x {width}; the greatest depth here is {(min(height, width) - 1) // 2}"
        )
    macs, parameters = [], 0
    for i, (a, b) in enumerate(pairwise(channels(colours, latent, depth)), start=1):
        cut = (KERNEL - 1) * i
        weights = a * b * KERNEL**2
        # A transposed convolution does the work of the convolution that it mirrors.
        macs.append(weights * (height - cut) * (width - cut))
        parameters += 2 * weights + a + b
    return Size(
        parameters=parameters,
        bottleneck=latent * (height - shrink) * (width - shrink),
        flops=2 * (6 * sum(macs) - macs[0]),
    )


@architecture("conv", size=size, layers="conv")
def build(shape: Shape, latent: int, depth: int) -> nn.Module:
    """Convolutions with ReLU down, transposed convolutions with sigmoid up; latent = channels.

    Takes and gives float32 [N, C, H, W] in [0, 1]; the code is
    [N, latent, H - 2 depth, W - 2 depth]. The study's decoder block uses its default
    activation, sigmoid, in every layer, and so does this one.
    """
    from torch import nn

    return _autoencoder(shape, latent, depth, inside=nn.Sigmoid)


@architecture("conv-relu", size=size, layers="conv")
def build_relu(shape: Shape, latent: int, depth: int) -> nn.Module:
    """`conv` with ReLU inside the decoder and sigmoid at its end only; the same at depth 1.

    The study's decoder block takes either activation. Its listing of the deeper decoder passes
    none, which by its text means sigmoid; this is what the other one gives.
    """
    from torch import nn

    return _autoencoder(shape, latent, depth, inside=nn.ReLU)


def _autoencoder(shape: Shape, latent: int, depth: int, inside: type[nn.Module]) -> nn.Module:
    from torch import nn

    from aebench.architectures.autoencoder import Autoencoder

    ladder = channels(shape[0], latent, depth)
    down: list[nn.Module] = []
    for inputs, outputs in pairwise(ladder):
        down += [nn.Conv2d(inputs, outputs, KERNEL), nn.ReLU()]
    up: list[nn.Module] = []
    for inputs, outputs in pairwise(ladder[::-1]):
        up += [nn.ConvTranspose2d(inputs, outputs, KERNEL), inside()]
    up[-1] = nn.Sigmoid()
    return Autoencoder(encoder=nn.Sequential(*down), decoder=nn.Sequential(*up))
