"""Convolutional autoencoders with a real bottleneck: strided convolutions, then a linear code.

Ours, not the study's: the study's `conv` keeps nearly every pixel in each of its channels, so
its code is larger than the image. Here exactly `latent` numbers pass, as in `mlp`, so the two can
be compared at an equal bottleneck.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from aebench.architectures import Shape, Size, architecture
from aebench.errors import RequestError

if TYPE_CHECKING:
    from torch import nn

# With a kernel that the stride divides, every pixel of a transposed convolution gets the same
# number of terms, and no checkerboard appears (Odena, Dumoulin, Olah: Deconvolution and
# Checkerboard Artifacts, Distill 2016).
KERNEL, STRIDE, PADDING = 4, 2, 1
FIRST_CHANNELS = 32
MOST_CHANNELS = 256


def channels(inputs: int, depth: int) -> list[int]:
    """Channels from the image through `depth` strided layers: c, 32, 64, 128, 256, 256, ..."""
    return [inputs, *(min(FIRST_CHANNELS * 2**i, MOST_CHANNELS) for i in range(depth))]


def sides(length: int, depth: int) -> list[int]:
    """Height or width from the image through `depth` strided layers: 28, 14, 7, 3, 1."""
    return [length // STRIDE**i for i in range(depth + 1)]


def _check(shape: Shape, depth: int) -> None:
    shortest = min(shape[1:])
    if sides(shortest, depth)[-1] == 0:
        greatest = shortest.bit_length() - 1
        instead = (
            f"the greatest depth here is {greatest}" if greatest else "use mlp for such images"
        )
        raise RequestError(
            f"conv-bottleneck of depth {depth} halves the image {depth} times, and of"
            f" {shape[1]} x {shape[2]} pixels nothing would be left; {instead}"
        )


def size(shape: Shape, latent: int, depth: int) -> Size:
    """Parameters, bottleneck and training FLOPs of `build(shape, latent, depth)`.

    Raises:
        RequestError: each layer halves the image, and nothing would be left of it.
    """
    _check(shape, depth)
    ladder = channels(shape[0], depth)
    heights, widths = sides(shape[1], depth), sides(shape[2], depth)
    flat = ladder[-1] * heights[-1] * widths[-1]
    macs, parameters = [], 2 * latent * flat + latent + flat
    for i, (a, b) in enumerate(pairwise(ladder), start=1):
        weights = a * b * KERNEL**2
        # A transposed convolution does the work of the convolution that it mirrors.
        macs.append(weights * heights[i] * widths[i])
        parameters += 2 * weights + a + b
    macs.append(flat * latent)
    return Size(parameters=parameters, bottleneck=latent, flops=2 * (6 * sum(macs) - macs[0]))


@architecture("conv-bottleneck", size=size, layers="strided conv")
def build(shape: Shape, latent: int, depth: int) -> nn.Module:
    """Strided convolutions to a linear code of exactly latent numbers, and back; depth = strides.

    Takes and gives float32 [N, C, H, W] in [0, 1]; the code is [N, latent], any real numbers.
    Each of the `depth` convolutions (4 x 4, stride 2) halves height and width, rounding down,
    and has the channels of `channels`; the linear layer to the code follows at every depth and
    is not counted. ReLU between layers, none at the code, sigmoid at the output. A row or column
    lost to the rounding comes back as output padding of the mirrored layer.
    """
    from torch import nn

    from aebench.architectures.autoencoder import Autoencoder

    _check(shape, depth)
    ladder = channels(shape[0], depth)
    heights, widths = sides(shape[1], depth), sides(shape[2], depth)
    smallest = (ladder[-1], heights[-1], widths[-1])
    flat = smallest[0] * smallest[1] * smallest[2]

    down: list[nn.Module] = []
    for inputs, outputs in pairwise(ladder):
        down += [nn.Conv2d(inputs, outputs, KERNEL, STRIDE, PADDING), nn.ReLU()]
    up: list[nn.Module] = [nn.Linear(latent, flat), nn.ReLU(), nn.Unflatten(1, smallest)]
    for i in range(depth, 0, -1):
        lost = (heights[i - 1] % STRIDE, widths[i - 1] % STRIDE)
        up += [
            nn.ConvTranspose2d(ladder[i], ladder[i - 1], KERNEL, STRIDE, PADDING, lost),
            nn.ReLU(),
        ]
    return Autoencoder(
        encoder=nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, latent)),
        decoder=nn.Sequential(*up[:-1], nn.Sigmoid()),
    )
