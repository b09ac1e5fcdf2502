"""Convolutional autoencoders: the study's, and ours with a real bottleneck.

The study's `conv` (3 x 3 kernels, stride 1, no padding) keeps nearly every pixel in each of its
channels, so its code is larger than the image. Through `conv-bottleneck`, strided convolutions and
then a linear layer, exactly `latent` numbers pass, as in `mlp`: the two can be compared at an equal
bottleneck.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from aebench.architectures.registry import Shape, Size, architecture
from aebench.errors import RequestError

if TYPE_CHECKING:
    from torch import nn

KERNEL = 3
HIDDEN_CHANNELS = 128  # of every added layer, as in the study's deeper model

# With a kernel that the stride divides, every pixel of a transposed convolution gets the same
# number of terms, and no checkerboard appears (Odena, Dumoulin, Olah: Deconvolution and
# Checkerboard Artifacts, Distill 2016).
STRIDED_KERNEL, STRIDE, PADDING = 4, 2, 1
FIRST_CHANNELS, MOST_CHANNELS = 32, 256


def channels(inputs: int, latent: int, depth: int) -> list[int]:
    """Channels of `conv` from the image to the code, `depth + 1` of them."""
    return [inputs, *[HIDDEN_CHANNELS] * (depth - 1), latent]


def _convolutions(
    ladder: Sequence[int], kernel: int, heights: Sequence[int], widths: Sequence[int]
) -> tuple[int, list[int]]:
    """Parameters of encoder and decoder, and multiply-adds of each layer of the encoder.

    A transposed convolution does the work of the convolution that it mirrors.
    """
    parameters, macs = 0, []
    for (a, b), height, width in zip(pairwise(ladder), heights[1:], widths[1:], strict=True):
        weights = a * b * kernel**2
        macs.append(weights * height * width)
        parameters += 2 * weights + a + b
    return parameters, macs


def _flops(macs: Sequence[int]) -> int:
    return 2 * (6 * sum(macs) - macs[0])


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
    heights, widths = ([side - (KERNEL - 1) * i for i in range(depth + 1)] for side in shape[1:])
    ladder = channels(colours, latent, depth)
    parameters, macs = _convolutions(ladder, KERNEL, heights, widths)
    return Size(parameters, latent * heights[-1] * widths[-1], _flops(macs))


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


def strided_shapes(shape: Shape, depth: int) -> list[Shape]:
    """Shapes from the image through `depth` strided layers of `conv-bottleneck`.

    Channels are c, 32, 64, 128, 256, 256, ..., sides 28, 14, 7, 3, 1.

    Raises:
        RequestError: each layer halves the image, and nothing would be left of it.
    """
    if (shortest := min(shape[1:])) < STRIDE**depth:
        greatest = shortest.bit_length() - 1
        instead = (
            f"the greatest depth here is {greatest}" if greatest else "use mlp for such images"
        )
        raise RequestError(
            f"conv-bottleneck of depth {depth} halves the image {depth} times, and of"
            f" {shape[1]} x {shape[2]} pixels nothing would be left; {instead}"
        )
    return [shape] + [
        (
            min(FIRST_CHANNELS * 2 ** (i - 1), MOST_CHANNELS),
            shape[1] // STRIDE**i,
            shape[2] // STRIDE**i,
        )
        for i in range(1, depth + 1)
    ]


def bottleneck_size(shape: Shape, latent: int, depth: int) -> Size:
    """Parameters, bottleneck and training FLOPs of `build_bottleneck(shape, latent, depth)`.

    Raises:
        RequestError: see `strided_shapes`.
    """
    ladder, heights, widths = zip(*strided_shapes(shape, depth), strict=True)
    parameters, macs = _convolutions(ladder, STRIDED_KERNEL, heights, widths)
    flat = ladder[-1] * heights[-1] * widths[-1]
    parameters += 2 * latent * flat + latent + flat
    return Size(parameters, latent, _flops([*macs, flat * latent]))


@architecture("conv-bottleneck", size=bottleneck_size, layers="strided conv")
def build_bottleneck(shape: Shape, latent: int, depth: int) -> nn.Module:
    """Strided convolutions to a linear code of exactly latent numbers, and back; depth = strides.

    Takes and gives float32 [N, C, H, W] in [0, 1]; the code is [N, latent], any real numbers.
    Each of the `depth` convolutions (4 x 4, stride 2) halves height and width, rounding down;
    the linear layer to the code follows at every depth and is not counted. ReLU between layers,
    none at the code, sigmoid at the output. A row or column lost to the rounding comes back as
    output padding of the mirrored layer.
    """
    from torch import nn

    from aebench.architectures.autoencoder import Autoencoder

    shapes = strided_shapes(shape, depth)
    flat = prod(shapes[-1])
    down: list[nn.Module] = []
    for (inputs, *_), (outputs, *_) in pairwise(shapes):
        down += [nn.Conv2d(inputs, outputs, STRIDED_KERNEL, STRIDE, PADDING), nn.ReLU()]
    up: list[nn.Module] = [nn.Linear(latent, flat), nn.ReLU(), nn.Unflatten(1, shapes[-1])]
    for (inputs, *_), (outputs, height, width) in pairwise(shapes[::-1]):
        lost = (height % STRIDE, width % STRIDE)
        up += [
            nn.ConvTranspose2d(inputs, outputs, STRIDED_KERNEL, STRIDE, PADDING, lost),
            nn.ReLU(),
        ]
    return Autoencoder(
        encoder=nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, latent)),
        decoder=nn.Sequential(*up[:-1], nn.Sigmoid()),
    )
