"""Multilayer perceptrons: on the whole image, and the study's two that see one colour at a time."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Any, Literal

from aebench.architectures.options import Activation, Norm
from aebench.architectures.registry import Shape, Size, architecture
from aebench.errors import RequestError

if TYPE_CHECKING:
    from torch import nn

Code = Literal["sigmoid", "linear"]


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


def size(
    shape: Shape,
    latent: int,
    depth: int,
    *,
    norm: Norm = "none",
    code: Code = "sigmoid",  # noqa: ARG001  # changes neither size nor work
    **options: Any,
) -> Size:
    """Parameters, bottleneck and training FLOPs of `build(shape, latent, depth, **options)`.

    Raises:
        RequestError: see `widths`; or there is no layer between, whose numbers could be normed.
    """
    if depth == 1 and norm != "none":
        raise RequestError(
            "norm is of the layers between image and code, and an mlp of depth 1 has none: give a"
            " greater depth"
        )
    ladder = widths(prod(shape), latent, depth, **options)
    down = list(pairwise(ladder))
    layers = down + [(b, a) for a, b in reversed(down)]
    macs = [a * b for a, b in layers]
    parameters = sum(macs) + sum(b for _, b in layers)
    # Scale and shift of every number between, on both ways; batch norm takes the bias's place.
    parameters += {"none": 0, "batch": 2, "layer": 4}[norm] * sum(ladder[1:-1])
    return Size(
        parameters=parameters,
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
    norm: Norm = "none",
    code: Code = "sigmoid",
) -> nn.Module:
    """Fully connected: sigmoid at code and output, ReLU between added layers.

    Takes and gives float32 [N, C, H, W] in [0, 1]; the code is [N, latent] in (0, 1), or with
    `code` linear any real numbers, as in G. E. Hinton, R. R. Salakhutdinov: Reducing the
    Dimensionality of Data with Neural Networks (Science 313, 2006). `hidden` are the widths of the
    added layers, from the image on (see `widths`), `activation` what follows each of them, in
    encoder and decoder, and `norm` what comes between: ``batch``, in place of the layer's bias, or
    ``layer``; see `conv.build_bottleneck`.
    """
    from torch import nn

    from aebench.architectures.autoencoder import Autoencoder, activated

    ladder = widths(prod(shape), latent, depth, hidden=hidden, activation=activation)

    def stack(sizes: list[int], last: list[nn.Module]) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes[:-1]):
            layers.append(nn.Linear(inputs, outputs, bias=norm != "batch"))
            if norm != "none":
                layers.append(nn.BatchNorm1d(outputs) if norm == "batch" else nn.LayerNorm(outputs))
            layers.append(activated(activation))
        return [*layers, nn.Linear(sizes[-2], sizes[-1]), *last]

    return Autoencoder(
        encoder=nn.Sequential(
            nn.Flatten(), *stack(ladder, [nn.Sigmoid()] if code == "sigmoid" else [])
        ),
        decoder=nn.Sequential(*stack(ladder[::-1], [nn.Sigmoid()]), nn.Unflatten(1, shape)),
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
