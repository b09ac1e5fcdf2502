"""The study's two MLPs for colour images, which see one colour channel at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aebench.architectures import Shape, Size, architecture, mlp
from aebench.errors import RequestError

if TYPE_CHECKING:
    from torch import nn


def _plane(shape: Shape) -> Shape:
    return (1, shape[1], shape[2])


def _colour_only(name: str, shape: Shape) -> None:
    if shape[0] == 1:
        raise RequestError(f"{name} works on colour channels, and these images are grey; use mlp")


def _per_channel(planes: list[nn.Module]) -> list[nn.Module]:
    """Encoder and decoder that apply the MLP `planes[i]` to channel i."""
    from aebench.architectures.autoencoder import PerChannel

    return [PerChannel([p.get_submodule(n) for p in planes]) for n in ("encoder", "decoder")]


def shared_size(shape: Shape, latent: int, depth: int) -> Size:
    """Size of `shared`: one plane's parameters, every plane's work and code.

    Raises:
        RequestError: the images are grey.
    """
    _colour_only("mlp-shared", shape)
    plane = mlp.size(_plane(shape), latent, depth)
    return Size(plane.parameters, plane.bottleneck * shape[0], plane.flops * shape[0])


def separate_size(shape: Shape, latent: int, depth: int) -> Size:
    """Size of `separate`: everything once per plane.

    Raises:
        RequestError: the images are grey.
    """
    _colour_only("mlp-separate", shape)
    plane = mlp.size(_plane(shape), latent, depth)
    return Size(plane.parameters * shape[0], plane.bottleneck * shape[0], plane.flops * shape[0])


@architecture("mlp-shared", size=shared_size, layers="linear")
def shared(shape: Shape, latent: int, depth: int) -> nn.Module:
    """One MLP applied to each colour channel in turn, with shared weights (latent per channel)."""
    from aebench.architectures.autoencoder import Autoencoder

    _colour_only("mlp-shared", shape)
    plane = mlp.build(_plane(shape), latent, depth)
    return Autoencoder(*_per_channel([plane] * shape[0]))


@architecture("mlp-separate", size=separate_size, layers="linear")
def separate(shape: Shape, latent: int, depth: int) -> nn.Module:
    """An MLP of its own for each colour channel (latent per channel)."""
    from aebench.architectures.autoencoder import Autoencoder

    _colour_only("mlp-separate", shape)
    planes = [mlp.build(_plane(shape), latent, depth) for _ in range(shape[0])]
    return Autoencoder(*_per_channel(planes))
