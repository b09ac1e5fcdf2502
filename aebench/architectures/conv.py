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

from aebench.architectures.options import Activation, Norm
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


def _rungs(inputs: int, latent: int, depth: int, channels: int) -> list[int]:
    """Channels of `conv` from the image to the code, `depth + 1` of them.

    Raises:
        RequestError: `channels` is no number of channels, or there is no layer between.
    """
    if depth == 1 and channels != HIDDEN_CHANNELS:
        raise RequestError(
            "channels are those of the layers between image and code, and conv of depth 1 has none:"
            " give a greater depth"
        )
    _at_least_1("channels", channels)
    return [inputs, *[channels] * (depth - 1), latent]


def _at_least_1(name: str, value: int) -> None:
    if value < 1:
        raise RequestError(f"{name} must be at least 1, not {value}")


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


def size(
    shape: Shape,
    latent: int,
    depth: int,
    *,
    channels: int = HIDDEN_CHANNELS,
    kernel: int = KERNEL,
    activation: Activation = "relu",  # noqa: ARG001  # changes neither size nor work
) -> Size:
    """Parameters, bottleneck and training FLOPs of `build` with the same arguments.

    Raises:
        RequestError: each layer takes kernel - 1 pixels off both sides, and nothing would be left;
            an option is no number of channels or pixels, or concerns layers that are not there.
    """
    colours, height, width = shape
    _at_least_1("kernel", kernel)
    shrink = (kernel - 1) * depth
    if min(height, width) <= shrink:
        raise RequestError(
            f"conv of depth {depth} takes {shrink} pixels off each side, and the images are"
            f" {height} x {width}; the greatest depth here is"
            f" {(min(height, width) - 1) // (kernel - 1)}"
        )
    heights, widths = ([side - (kernel - 1) * i for i in range(depth + 1)] for side in shape[1:])
    ladder = _rungs(colours, latent, depth, channels)
    parameters, macs = _convolutions(ladder, kernel, heights, widths)
    return Size(parameters, latent * heights[-1] * widths[-1], _flops(macs))


@architecture("conv", size=size, layers="conv")
def build(
    shape: Shape,
    latent: int,
    depth: int,
    *,
    channels: int = HIDDEN_CHANNELS,
    kernel: int = KERNEL,
    activation: Activation = "relu",
) -> nn.Module:
    """Convolutions with ReLU down, transposed convolutions with sigmoid up; latent = channels.

    Takes and gives float32 [N, C, H, W] in [0, 1]; the code is
    [N, latent, H - 2 depth, W - 2 depth]. The study's decoder block uses its default
    activation, sigmoid, in every layer, and so does this one.

    `channels` are those of every added layer, `kernel` its side in all layers, of which each takes
    kernel - 1 pixels off the height and the width; `activation` follows each layer of the encoder.
    """
    return _autoencoder(shape, latent, depth, channels, kernel, activation, "sigmoid")


@architecture("conv-relu", size=size, layers="conv")
def build_relu(
    shape: Shape,
    latent: int,
    depth: int,
    *,
    channels: int = HIDDEN_CHANNELS,
    kernel: int = KERNEL,
    activation: Activation = "relu",
) -> nn.Module:
    """`conv` with ReLU inside the decoder and sigmoid at its end only; the same at depth 1.

    The study's decoder block takes either activation. Its listing of the deeper decoder passes
    none, which by its text means sigmoid; this is what the other one gives. Options as of `conv`,
    but that `activation` holds inside the decoder too.
    """
    return _autoencoder(shape, latent, depth, channels, kernel, activation, activation)


def _autoencoder(
    shape: Shape,
    latent: int,
    depth: int,
    channels: int,
    kernel: int,
    down_activation: Activation,
    up_activation: Activation,
) -> nn.Module:
    from torch import nn

    from aebench.architectures.autoencoder import Autoencoder, activated

    ladder = _rungs(shape[0], latent, depth, channels)
    down: list[nn.Module] = []
    for inputs, outputs in pairwise(ladder):
        down += [nn.Conv2d(inputs, outputs, kernel), activated(down_activation)]
    up: list[nn.Module] = []
    for inputs, outputs in pairwise(ladder[::-1]):
        up += [nn.ConvTranspose2d(inputs, outputs, kernel), activated(up_activation)]
    up[-1] = nn.Sigmoid()
    return Autoencoder(encoder=nn.Sequential(*down), decoder=nn.Sequential(*up))


def strided_shapes(shape: Shape, depth: int, channels: int = FIRST_CHANNELS) -> list[Shape]:
    """Shapes from the image through `depth` strided layers of `conv-bottleneck`.

    Channels are c, 32, 64, 128, 256, 256, ..., sides 28, 14, 7, 3, 1; `channels` stands for 32.

    Raises:
        RequestError: each layer halves the image, and nothing would be left of it; or no channels.
    """
    _at_least_1("channels", channels)
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
            channels * min(2 ** (i - 1), MOST_CHANNELS // FIRST_CHANNELS),
            shape[1] // STRIDE**i,
            shape[2] // STRIDE**i,
        )
        for i in range(1, depth + 1)
    ]


def bottleneck_size(
    shape: Shape,
    latent: int,
    depth: int,
    *,
    channels: int = FIRST_CHANNELS,
    activation: Activation = "relu",  # noqa: ARG001  # changes neither size nor work
    norm: Norm = "none",
    blocks: int = 0,
) -> Size:
    """Parameters, bottleneck and training FLOPs of `build_bottleneck` with the same arguments.

    Raises:
        RequestError: see `strided_shapes`; or less than no blocks.
    """
    if blocks < 0:
        raise RequestError(f"blocks must be at least 0, not {blocks}")
    ladder, heights, widths = zip(*strided_shapes(shape, depth, channels), strict=True)
    parameters, macs = _convolutions(ladder, STRIDED_KERNEL, heights, widths)
    flat = ladder[-1] * heights[-1] * widths[-1]
    parameters += 2 * latent * flat + latent + flat
    levels = list(zip(ladder[1:], heights[1:], widths[1:], strict=True))
    # Two layers a block, on both ways.
    weights = [2 * blocks * c * c * KERNEL**2 for c, _, _ in levels]
    parameters += 2 * sum(weights) + 4 * blocks * sum(ladder[1:])
    macs += [w * height * width for w, (_, height, width) in zip(weights, levels, strict=True)]
    # Scale and shift after all layers but code and output: of each channel, or of each number.
    if norm == "batch":  # and no bias before it, in the encoder and in all but the last back
        parameters += 4 * sum(ladder[1:]) - sum(ladder[1:]) - sum(ladder[1:-1])
        parameters += (8 - 4) * blocks * sum(ladder[1:])
    elif norm == "layer":
        parameters += (4 + 8 * blocks) * sum(map(prod, levels))
    return Size(parameters, latent, _flops([*macs, flat * latent]))


@architecture("conv-bottleneck", size=bottleneck_size, layers="strided conv")
def build_bottleneck(
    shape: Shape,
    latent: int,
    depth: int,
    *,
    channels: int = FIRST_CHANNELS,
    activation: Activation = "relu",
    norm: Norm = "none",
    blocks: int = 0,
) -> nn.Module:
    """Strided convolutions to a linear code of exactly latent numbers, and back; depth = strides.

    Takes and gives float32 [N, C, H, W] in [0, 1]; the code is [N, latent], any real numbers.
    Each of the `depth` convolutions (4 x 4, stride 2) halves height and width, rounding down;
    the linear layer to the code follows at every depth and is not counted. ReLU between layers,
    none at the code, sigmoid at the output. A row or column lost to the rounding comes back as
    output padding of the mirrored layer.

    `channels` are those of the first layer; they double from layer to layer, up to eight times
    as many. `activation` stands in place of ReLU. `norm`, before every activation but the output's:
    ``batch`` (S. Ioffe, C. Szegedy, ICML 2015), after convolutions without a bias; or ``layer``,
    over all numbers of an image, each with a scale and a shift of its own (J. L. Ba, J. R. Kiros,
    G. E. Hinton, 2016). After each strided layer come so many residual `blocks`, and as many before
    the one that mirrors it: two 3 x 3 convolutions of the same channels each, added to what came in
    before the activation (K. He et al., CVPR 2016, figure 2).
    """
    from torch import nn

    from aebench.architectures.autoencoder import Autoencoder, Residual, activated

    def normed(numbers: Shape) -> list[nn.Module]:
        if norm == "none":
            return []
        return [nn.BatchNorm2d(numbers[0]) if norm == "batch" else nn.LayerNorm(numbers)]

    # A bias just before batch norm changes nothing, and Adam would train it on rounding errors.
    bias = norm != "batch"

    def residual(numbers: Shape) -> list[nn.Module]:
        c = numbers[0]
        found: list[nn.Module] = []
        for _ in range(blocks):
            first, second = (
                nn.Conv2d(c, c, KERNEL, padding=KERNEL // 2, bias=bias) for _ in range(2)
            )
            body = [first, *normed(numbers), activated(activation), second, *normed(numbers)]
            found += [Residual(nn.Sequential(*body)), activated(activation)]
        return found

    shapes = strided_shapes(shape, depth, channels)
    smallest, flat = shapes[-1], prod(shapes[-1])
    down: list[nn.Module] = []
    for (inputs, *_), outputs in pairwise(shapes):
        down += [
            nn.Conv2d(inputs, outputs[0], STRIDED_KERNEL, STRIDE, PADDING, bias=bias),
            *normed(outputs),
            activated(activation),
            *residual(outputs),
        ]
    up: list[nn.Module] = [nn.Linear(latent, flat), nn.Unflatten(1, smallest), *normed(smallest)]
    up.insert(1 if norm == "none" else len(up), activated(activation))
    for i in reversed(range(depth)):
        (inputs, *_), outputs = shapes[i + 1], shapes[i]
        up += residual(shapes[i + 1])
        lost = (outputs[1] % STRIDE, outputs[2] % STRIDE)
        up.append(
            nn.ConvTranspose2d(
                inputs, outputs[0], STRIDED_KERNEL, STRIDE, PADDING, lost, bias=bias or i == 0
            )
        )
        if i:  # the output has neither, but a sigmoid
            up += [*normed(outputs), activated(activation)]
    return Autoencoder(
        encoder=nn.Sequential(*down, nn.Flatten(), nn.Linear(flat, latent)),
        decoder=nn.Sequential(*up, nn.Sigmoid()),
    )
