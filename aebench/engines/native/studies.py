"""The study's own models in float32, MLPs and a mirrored convolution, as `mlp.h` and `conv.h` take
them: faster still than the chains that they also are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from aebench.architectures.autoencoder import ACTIVATIONS, is_dense, is_plain, leaves
from aebench.engines.native import bindings
from aebench.engines.native.bindings import Layer, Learned, Mirror, Net
from aebench.engines.native.chains import Addresses, Part

# A first layer leaves out the pixels that are 0 where no more than so many are not, and each thread
# has enough outputs to repay looking for them. Measured on two Intel Xeon cores: of mlp-512 and
# mlp-128 at a third lit the step is 6 to 10 % shorter, and longer from 45 % on; at a fifth, as in
# MNIST, 12 to 17 %, but of mlp-32 no shorter.
_MOST_LIT, _LEAST_OUTPUTS = 1 / 3, 64


def net(part: Part, lit: float, addresses: Addresses) -> Net | None:
    """An MLP with ReLU and sigmoid; None where `part` is something else.

    About `lit` of all pixels are not 0.
    """
    layers: list[tuple[nn.Linear, str]] = []
    for module in part.modules:
        module_type = type(module)
        if not is_plain(module):
            return None
        if isinstance(module, nn.Linear) and module_type is nn.Linear:
            layers.append((module, "none"))
        elif module_type in ACTIVATIONS and layers and layers[-1][1] == "none":
            layers[-1] = (layers[-1][0], ACTIVATIONS[module_type])
        elif module_type not in (nn.Flatten, nn.Unflatten):
            return None
    size = part.image[0] * part.image[1] * part.image[2]
    widths = [size, *(layer.out_features for layer, _ in layers)]
    if not layers or widths != [*(layer.in_features for layer, _ in layers), size]:
        return None
    sparse = (
        len(layers) > 1
        and lit <= _MOST_LIT
        and layers[0][0].out_features >= _LEAST_OUTPUTS * torch.get_num_threads()
    )
    rows = (Layer * len(layers))(
        *(
            Layer(
                layer.in_features,
                layer.out_features,
                bindings.ACTIVATIONS.index(activation),
                *addresses(layer.weight),
                *addresses(layer.bias),
            )
            for layer, activation in layers
        )
    )
    return Net(part.first_plane, part.planes, len(layers), sparse, rows)


def skipped_flops(one: Net, batch: int, lit: float) -> int:
    """FLOPs of a step of `batch` images that an MLP leaves out, for pixels of 0."""
    if not one.sparse:
        return 0
    first = one.layers[0]
    # 2 for a multiply-add, 2 products: forward and the gradient of the weights
    flops: int = 4 * batch * one.planes * first.inputs * first.outputs
    return round(flops * (1 - lit))


def mirror(model: nn.Module, shape: Sequence[int], addresses: Addresses) -> Mirror | None:
    """A 3 x 3 convolution, ReLU and the convolution back, if that is what `model` is."""
    down, *others = leaves(model)
    if len(others) not in (2, 3) or not all(map(is_plain, (down, *others))):
        return None
    inner, up, *outer = others
    if not isinstance(down, nn.Conv2d) or not isinstance(up, nn.ConvTranspose2d):
        return None
    channels = down.out_channels
    if not (
        type(inner) is nn.ReLU
        and all(type(module) in ACTIVATIONS for module in outer)
        and _is_study(down, shape[0], channels)
        and _is_study(up, channels, shape[0])
        and down.weight.stride() == up.weight.stride()
    ):
        return None
    last = ACTIVATIONS[type(outer[0])] if outer else "none"
    return Mirror(
        *shape,
        channels,
        bindings.ACTIVATIONS.index("relu"),
        bindings.ACTIVATIONS.index(last),
        *(Learned(*addresses(p)) for p in (down.weight, down.bias, up.weight, up.bias)),
        down.weight.stride(),
    )


def _is_study(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: int, outputs: int) -> bool:
    """Whether a convolution is one of the study's, between so many channels."""
    return (
        type(layer) in (nn.Conv2d, nn.ConvTranspose2d)
        and (layer.in_channels, layer.out_channels) == (inputs, outputs)
        and layer.kernel_size == (3, 3)
        and is_dense(layer)
    )
