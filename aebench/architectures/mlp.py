"""Multilayer perceptrons: on the whole image, and the study's two that see one colour at a time."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any

from aebench.architectures.options import Activation
from aebench.architectures.registry import Shape, Size, architecture
from aebench.errors import RequestError

if TYPE_CHECKING:
    from torch import nn


def widths(
    inputs: int,
    latent: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (),
    activation: Activation = "relu",
) -> list[int]:
    """Layer widths from the image to the code, `depth + 1` of them, in geometric progression.

    The study has depth 1 only. Equal ratios between neighbours are the usual choice where
    nothing else is known, and give depth 1 back exactly. Or the widths between are `hidden`, of
    which a single one holds for all layers.

    Raises:
        RequestError: `hidden` has another number of widths, or a width of 0; or there is no layer
            between, whose width or activation could be another than usual.
    """
    between = depth - 1
    if not between and (hidden or activation != "relu"):
        raise RequestError(
            "hidden and activation are of the layers between image and code, and an mlp of depth 1"
            " has none: give a greater depth"
        )
    if hidden:
        if len(hidden) not in (1, between) or min(hidden) < 1:
            raise RequestError(
                f"hidden gives the widths {', '.join(map(str, hidden))}, and an mlp of depth"
                f" {depth} takes {between}, or one for all, of at least 1"
            )
        return [inputs, *(hidden if len(hidden) == between else hidden * between), latent]
    ratio = latent / inputs
    return [inputs, *(round(inputs * ratio ** (i / depth)) for i in range(1, depth)), latent]


def size(shape: Shape, latent: int, depth: int, **options: Any) -> Size:
    """Parameters, bottleneck and training FLOPs of `build(shape, latent, depth, **options)`.

    Raises:
        RequestError: see `widths`.
    """
    down = list(pairwise(widths(prod(shape), latent, depth, **options)))
    layers = down + [(b, a) for a, b in reversed(down)]
    macs = [a * b for a, b in layers]
    return Size(
        parameters=sum(macs) + sum(b for _, b in layers),
        bottleneck=latent,
        flops=2 * (3 * sum(macs) - macs[0]),
    )


@architecture("mlp", size=size, layers="linear")
def build(
    shape: Shape,
    latent: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (),
    activation: Activation = "relu",
) -> nn.Module:
    """Fully connected: sigmoid at code and output, ReLU between added layers.

    Takes and gives float32 [N, C, H, W] in [0, 1]; the code is [N, latent] in (0, 1). `hidden` are
    the widths of the added layers, from the image on (see `widths`), `activation` what follows
    each of them, in encoder and decoder.
    """
    from torch import nn

    from aebench.architectures.autoencoder import Autoencoder, activated

    ladder = widths(prod(shape), latent, depth, hidden=hidden, activation=activation)

    def stack(sizes: list[int]) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), activated(activation)]
        return [*layers[:-1], nn.Sigmoid()]

    return Autoencoder(
        encoder=nn.Sequential(nn.Flatten(), *stack(ladder)),
        decoder=nn.Sequential(*stack(ladder[::-1]), nn.Unflatten(1, shape)),
    )


def _plane(name: str, shape: Shape) -> Shape:
    """The shape of one colour channel.

    Raises:
        RequestError: the images are grey.
    """
    if shape[0] == 1:
        raise RequestError(f"{name} works on colour channels, and these images are grey; use mlp")
    return (1, shape[1], shape[2])


def _colour_size(name: str, shape: Shape, latent: int, depth: int, **options: Any) -> Size:
    """As many codes and as much work as colours; so many parameters as well, if not shared."""
    one, colours = size(_plane(name, shape), latent, depth, **options), shape[0]
    parameters = one.parameters * (1 if name == "mlp-shared" else colours)
    return Size(parameters, one.bottleneck * colours, one.flops * colours)


def _per_channel(planes: list[nn.Module]) -> nn.Module:
    """An autoencoder that applies the MLP `planes[i]` to channel i."""
    from aebench.architectures.autoencoder import Autoencoder, PerChannel

    encoder, decoder = (
        PerChannel([plane.get_submodule(part) for plane in planes])
        for part in ("encoder", "decoder")
    )
    return Autoencoder(encoder, decoder)


@architecture("mlp-shared", size=partial(_colour_size, "mlp-shared"), layers="linear")
def shared(
    shape: Shape,
    latent: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (),
    activation: Activation = "relu",
) -> nn.Module:
    """One MLP applied to each colour channel in turn, with shared weights (latent per channel)."""
    plane = _plane("mlp-shared", shape)
    one = build(plane, latent, depth, hidden=hidden, activation=activation)
    return _per_channel([one] * shape[0])


@architecture("mlp-separate", size=partial(_colour_size, "mlp-separate"), layers="linear")
def separate(
    shape: Shape,
    latent: int,
    depth: int,
    *,
    hidden: tuple[int, ...] = (),
    activation: Activation = "relu",
) -> nn.Module:
    """An MLP of its own for each colour channel (latent per channel)."""
    plane = _plane("mlp-separate", shape)
    return _per_channel(
        [build(plane, latent, depth, hidden=hidden, activation=activation) for _ in range(shape[0])]
    )
