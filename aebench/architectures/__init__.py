"""The registry of architectures: names, builders and what is known of a model before building it.

Importing this costs no torch, so that grids can be planned at once. One module per family
holds the models; a user's own family joins through the `architecture` decorator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aebench.errors import RequestError, unknown

if TYPE_CHECKING:
    from torch import nn

Shape = tuple[int, int, int]
"""Channels, height and width of an image."""


@dataclass(frozen=True)
class Size:
    """What a model amounts to, per image where not said otherwise.

    `flops` counts one training step's share of one image, 2 per multiply-add: the forward
    pass, the gradient of every weight, and the gradient of every input but the first layer's.
    """

    parameters: int
    bottleneck: int
    flops: int


Builder = Callable[[Shape, int, int], "nn.Module"]
Sizer = Callable[[Shape, int, int], Size]


@dataclass(frozen=True)
class Architecture:
    """A family: `build(shape, latent, depth)` gives a module with an `encoder` and a `decoder`.

    `size` computes without torch what `build` would amount to, and raises `RequestError` where
    no such model exists; a family without it is measured when built and planned without sizes.
    """

    name: str
    about: str
    build: Builder
    size: Sizer | None = None


_registry: dict[str, Architecture] = {}


def architecture(name: str, *, size: Sizer | None = None) -> Callable[[Builder], Builder]:
    """Register the decorated ``build(shape, latent, depth) -> nn.Module`` as a family.

    The first line of its docstring describes the family in listings.

    Raises:
        RequestError: the name is taken by another function.
    """

    def register(build: Builder) -> Builder:
        taken = _registry.get(name)
        if taken is not None and taken.build.__qualname__ != build.__qualname__:
            raise RequestError(
                f"an architecture named {name!r} exists already; choose another name"
            )
        about = (build.__doc__ or "").strip().partition("\n")[0]
        _registry[name] = Architecture(name, about, build, size)
        return build

    return register


def get(name: str) -> Architecture:
    """Find a family by name.

    Raises:
        RequestError: there is none, with the nearest valid name.
    """
    if name not in _registry:
        raise RequestError(unknown("architecture", name, _registry))
    return _registry[name]


def names() -> tuple[str, ...]:
    """All registered families, in the order of their registration."""
    return tuple(_registry)


# Last, since they register themselves in what is above.
from aebench.architectures import colour_mlp, conv, conv_bottleneck, mlp  # noqa: E402, F401
