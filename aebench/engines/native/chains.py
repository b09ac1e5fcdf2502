"""Models that are chains of known layers, as `chain.h` takes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aebench.architectures.autoencoder import PerChannel, Residual, is_plain, learns, leaves
from aebench.engines.native.bindings import (
    ACTIVATIONS,
    KINDS,
    PRECISIONS,
    Learned,
    Pair,
    Shape,
    Stage,
)
from aebench.engines.native.bindings import Chain as Given
from aebench.errors import RequestError

Addresses = Callable[[Tensor | None], tuple[int | None, int | None, int | None]]
"""Where a parameter and Adam's two moments of it lie in memory; three times None for None."""

_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.LeakyReLU: "leaky relu",
    nn.GELU: "gelu",
    nn.SiLU: "silu",
}
# Their subclasses may do anything.
_KNOWN = {
    *_ACTIVATIONS,
    *(nn.Flatten, nn.Unflatten, nn.Identity),
    *(nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d),
}


class Part(NamedTuple):
    """A chain, and the planes of an image that are images of its own: `planes` from the first on.

    One plane of all channels where a model takes images as they are.
    """

    first_plane: int
    planes: int
    image: tuple[int, int, int]
    modules: list[nn.Module]


def parts(model: nn.Module, shape: Sequence[int]) -> list[Part]:
    """The chains that `model` is made of, for images of `shape`, [channels, height, width].

    Raises:
        RequestError: it is made of something else as well.
    """
    channels, height, width = shape
    modules = list(leaves(model))
    if not any(isinstance(module, PerChannel) for module in modules):
        return [Part(0, 1, (channels, height, width), modules)]
    chains: list[list[nn.Module]] = [[] for _ in range(channels)]
    for module in modules:
        plain = is_plain(module) and type(module).forward is PerChannel.forward
        if not plain or not isinstance(module, PerChannel) or len(module.channels) != channels:
            raise unknown(module)
        for chain, of_channel in zip(chains, module.channels, strict=True):
            chain += [nn.Flatten(), *leaves(of_channel)]
    plane = (1, height, width)
    if all(_same(chain, chains[0]) for chain in chains):
        return [Part(0, channels, plane, chains[0])]
    return [Part(i, 1, plane, chain) for i, chain in enumerate(chains)]


def _same(one: list[nn.Module], other: list[nn.Module]) -> bool:
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(a is b or type(a) is nn.Flatten for a, b in pairs)


class _Stages:
    """Stages as they are found, and the shape of what the last of them gives."""

    def __init__(self, image: tuple[int, int, int], addresses: Addresses) -> None:
        self.found: list[Stage] = []
        self.shape, self.flat, self.addresses = image, False, addresses
        self.past = -1  # the stage whose output passes by the layers of a block as well

    def add(self, module: nn.Module) -> None:
        """Take the next module of a chain.

        Raises:
            RequestError: it is none that is known.
        """
        if is_plain(module) and type(module) is Residual:
            self._residual(module)
            return
        if not is_plain(module) or type(module) not in _KNOWN:
            raise unknown(module)
        if type(module) in _ACTIVATIONS:
            self._activation(module, _ACTIVATIONS[type(module)])
        elif isinstance(module, nn.Flatten) and module.start_dim == 1 and module.end_dim == -1:
            self.flat = True
        elif isinstance(module, nn.Unflatten) and module.dim == 1:
            self._unflatten(module)
        elif not isinstance(module, nn.Identity):
            _check(module)
            if isinstance(module, nn.Linear):
                self._linear(module)
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                self._convolution(module)
            elif isinstance(module, nn.LayerNorm):
                self._layer_norm(module)
            elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                self._batch_norm(module)
            else:
                raise unknown(module)

    def _append(self, kind: str, output: tuple[int, int, int], module: nn.Module) -> Stage:
        weight, bias = (getattr(module, name, None) for name in ("weight", "bias"))
        stage = Stage(
            kind=KINDS.index(kind),
            input=Shape(*self.shape),
            output=Shape(*output),
            kernel=Pair(1, 1),
            stride=Pair(1, 1),
            weight=Learned(*self.addresses(weight)),
            bias=Learned(*self.addresses(bias)),
        )
        self.found.append(stage)
        self.shape = output
        return stage

    def _activation(self, module: nn.Module, name: str) -> None:
        if isinstance(module, nn.GELU) and module.approximate != "none":
            raise unknown(module)
        if not self.found or self.found[-1].activation or len(self.found) - 1 == self.past:
            self._append("activation", self.shape, module)
        self.found[-1].activation = ACTIVATIONS.index(name)
        if isinstance(module, nn.LeakyReLU):
            self.found[-1].leak = module.negative_slope

    def _residual(self, block: Residual) -> None:
        shape, past = self.shape, len(self.found) - 1
        if past < 0 or self.flat:
            raise unknown(block)
        self.past = past
        for module in leaves(block.body):
            if isinstance(module, Residual | nn.Linear | nn.Flatten):
                raise unknown(block)  # images pass by all layers of a block at one time
            self.add(module)
        if self.shape != shape or len(self.found) == past + 1:
            raise unknown(block)
        self._append("add", shape, block).past = past

    def _unflatten(self, module: nn.Unflatten) -> None:
        shape = tuple(int(n) for n in module.unflattened_size)
        if not self.flat or len(shape) != 3:
            raise unknown(module)
        self.flat = False
        if shape == self.shape:
            return
        for stage in reversed(self.found):  # what gave these numbers gives them in this shape
            if KINDS[stage.kind] == "batch_norm":
                raise unknown(module)
            stage.output = Shape(*shape)
            if KINDS[stage.kind] == "linear":
                self.shape = shape
                return
            stage.input = Shape(*shape)
        raise unknown(module)

    def _linear(self, module: nn.Linear) -> None:
        count = Shape(*self.shape).count
        if (not self.flat and self.shape[1:] != (1, 1)) or module.in_features != count:
            raise unknown(module)
        if not self.flat and self.found:
            raise unknown(module)  # of [channels, 1, 1] it would take the last 1
        self._append("linear", (module.out_features, 1, 1), module)
        self.flat = True

    def _convolution(self, module: nn.Conv2d | nn.ConvTranspose2d) -> None:
        if (
            self.flat
            or module.in_channels != self.shape[0]
            or module.groups != 1
            or module.dilation != (1, 1)
            or module.padding_mode != "zeros"
            or isinstance(module.padding, str)
        ):
            raise unknown(module)
        up = isinstance(module, nn.ConvTranspose2d)
        sides = []
        for i in (0, 1):
            size, kernel = self.shape[1 + i], module.kernel_size[i]
            stride, padding = module.stride[i], int(module.padding[i])
            if up:
                sides.append(
                    (size - 1) * stride - 2 * padding + kernel + int(module.output_padding[i])
                )
            else:
                sides.append((size + 2 * padding - kernel) // stride + 1)
        kind = "conv_transpose" if up else "conv"
        stage = self._append(kind, (module.out_channels, sides[0], sides[1]), module)
        stage.kernel, stage.stride = Pair(*module.kernel_size), Pair(*module.stride)
        stage.padding = Pair(*map(int, module.padding))
        stage.weight_strides = (*module.weight.stride(),)

    def _layer_norm(self, module: nn.LayerNorm) -> None:
        count = (Shape(*self.shape).count,)
        if tuple(module.normalized_shape) != (count if self.flat else self.shape):
            raise unknown(module)
        self._append("layer_norm", self.shape, module).eps = module.eps

    def _batch_norm(self, module: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        flat = isinstance(module, nn.BatchNorm1d)
        if flat != self.flat or module.num_features != self.shape[0] or module.momentum is None:
            raise unknown(module)
        if flat and self.shape[1:] != (1, 1):
            raise unknown(module)
        stage = self._append("batch_norm", self.shape, module)
        stage.eps, stage.momentum = module.eps, module.momentum
        if module.running_mean is not None and module.running_var is not None:
            stage.running_mean = module.running_mean.data_ptr()
            stage.running_variance = module.running_var.data_ptr()


def given(part: Part, precision: str, addresses: Addresses) -> Given:
    """A chain for the C++, its parameters where they lie in memory.

    Raises:
        RequestError: one of its layers is not known, or it does not end in images.
    """
    stages = _Stages(part.image, addresses)
    for module in part.modules:
        stages.add(module)
    found = stages.found
    if not any(stage.weight.weight for stage in found) or stages.shape != part.image:
        raise RequestError(
            "engine 'native' knows chains of layers from images to images of the same shape, and"
            " this model is none; use --engine eager"
        )
    return Given(
        part.first_plane,
        part.planes,
        Shape(*part.image),
        PRECISIONS.index(precision),
        len(found),
        (Stage * len(found))(*found),
    )


def batch_norms(model: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    """The batch norms of `model`, which count the batches that they have seen."""
    return [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]


def _check(module: nn.Module) -> None:
    buffers = [b for b in module.buffers(recurse=False) if b.is_floating_point()]
    known = learns(module) and all(b.dtype == torch.float32 for b in buffers)
    if not known or not all(_dense(p) for p in (*module.parameters(recurse=False), *buffers)):
        raise unknown(module)


def _dense(tensor: Tensor) -> bool:
    """Whether a tensor lies in memory as the C++ can take it: of images' weights in either way."""
    last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return last or tensor.is_contiguous()


def unknown(module: nn.Module) -> RequestError:
    """What to tell of a module that is not known, or not in this place."""
    return RequestError(
        "engine 'native' knows chains of linear layers, convolutions, norms and activations, and"
        f" none with this {type(module).__name__}; use --engine eager"
    )
