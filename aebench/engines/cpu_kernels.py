"""How known layers are computed on a CPU, in float32, and their gradients.

torch sends float32 matrix products on a CPU to MKL, which on some processors reaches half of
what oneDNN does; and oneDNN computes a transposed convolution to one channel as if it were to
sixteen. Here are forms that do better, chosen by layers' types and shapes alone, so that a job
gives the same bits twice. `chain`, which alone calls them, says why they are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aebench.architectures.autoencoder import is_dense, learns

_FEW_CHANNELS = 4  # of a transposed convolution's output: beyond, its patches fill the memory


def available() -> bool:
    """Whether this torch has oneDNN's fused products; they are internal and may go away."""
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, f"{name}_pointwise")
        for name in ("_linear", "_convolution", "_convolution_transpose")
    )


class Form(NamedTuple):
    """How a layer is computed; `layer` and `word` say it for the record.

    `forward` takes layer, x and activation, and gives x as `backward` wants it and the output.
    `backward` takes layer, x, gradient of the output before the activation, and whether that of x
    is asked for, and gives those of x, weight and bias.
    """

    layer: str
    word: str
    forward: Callable[[Any, Tensor, str], tuple[Tensor, Tensor]]
    backward: Callable[[Any, Tensor, Tensor, bool], tuple[Tensor | None, Tensor, Tensor | None]]


def form(layer: Any) -> Form | None:
    """How `layer` is computed; None: none of `FORMS` does."""
    layer_type = type(layer)
    if not learns(layer):
        return None
    if layer_type is nn.Linear:  # MKL's product with a vector is two to eight times faster
        return FORMS["linear"] if min(layer.in_features, layer.out_features) > 1 else None
    if layer_type is nn.Conv2d:
        known = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return FORMS["conv"] if known else None
    if layer_type is nn.ConvTranspose2d:
        few = layer.out_channels <= _FEW_CHANNELS and is_dense(layer)
        return FORMS["conv_transpose to few" if few else "conv_transpose"]
    return None


def pair(one: Any, other: Any) -> tuple[Form, Form] | None:
    """How two known layers are computed where `other` takes what `one` gives; None: as alone."""
    if (
        type(one) is nn.Conv2d
        and type(other) is nn.ConvTranspose2d
        and one.in_channels == other.out_channels == 1
        and is_dense(one)
        and is_dense(other)
    ):
        return FORMS["conv of planes"], FORMS["conv_transpose of planes"]
    return None


def _product(a: Tensor, b: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """``activation(a @ b.T + bias)`` of [M, K] and [N, K] by oneDNN; `b` may be any view."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, bias, activation, [], "")
    return result


def _linear(layer: nn.Linear, x: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    x = x.contiguous()
    return x, _product(x, layer.weight, layer.bias, activation)


def _linear_backward(
    layer: Any, x: Tensor, grad: Tensor, for_x: bool
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    of_x = _product(grad, layer.weight.T) if for_x else None
    rows, x = grad.reshape(-1, grad.shape[-1]), x.view(-1, x.shape[-1])
    # The first operand must be contiguous. torch copies a transposed matrix on one thread, but
    # the same in three dimensions on all.
    columns = rows[None].permute(2, 0, 1).contiguous()[:, 0]
    return of_x, _product(columns, x.T), None if layer.bias is None else rows.sum(0)


def _laid_out(x: Tensor, weight: Tensor) -> Tensor:
    """`x`, [N, C, H, W], as a convolution by `weight` reads it fastest: channels last.

    With one channel that is the same memory as channels first, but torch reads the layout off the
    strides, and given the wrong ones it takes oneDNN kernels two to four times slower. So the
    strides are always spelled out; for one channel to one those of channels first are faster.
    """
    _, c, h, w = x.shape
    if weight.shape[:2] == (1, 1):
        return x.contiguous().as_strided(x.shape, (c * h * w, h * w, w, 1))
    x = x.contiguous(memory_format=torch.channels_last)
    return x.as_strided(x.shape, (c * h * w, 1, c * w, c))


def _conv(layer: nn.Conv2d, x: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    x, kernel = _laid_out(x, layer.weight), _laid_out(layer.weight, layer.weight)
    output: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x, kernel, layer.bias, layer.padding, layer.stride, layer.dilation, layer.groups,
        activation, [], "",
    )  # fmt: skip
    return x, output


def _conv_transpose(layer: nn.ConvTranspose2d, x: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    x, kernel = _laid_out(x, layer.weight), _laid_out(layer.weight, layer.weight)
    output: Tensor = torch.ops.mkldnn._convolution_transpose_pointwise(
        x, kernel, layer.bias, layer.padding, layer.output_padding, layer.stride, layer.dilation,
        layer.groups, activation, [], "",
    )  # fmt: skip
    return x, output


def _conv_backward(
    layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, grad: Tensor, for_x: bool
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    grad, kernel = _laid_out(grad, layer.weight), _laid_out(layer.weight, layer.weight)
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, kernel, None, layer.stride, layer.padding, layer.dilation, layer.transposed,
        layer.output_padding, layer.groups, [for_x, True, False],
    )  # fmt: skip
    if layer.bias is None:
        return of_x, of_weight, None
    # Asked for the bias's gradient as well, oneDNN computes the weight's slower; and torch adds up
    # few long rows in a third of the time of many short ones.
    rows = grad.permute(0, 2, 3, 1).reshape(len(grad), -1).sum(0)
    return of_x, of_weight, rows.view(-1, grad.shape[1]).sum(0)


def _conv_transpose_to_few(
    layer: nn.ConvTranspose2d, x: Tensor, activation: str
) -> tuple[Tensor, Tensor]:
    x = _laid_out(x, layer.weight)
    return x, _laid_out(_patchwise(layer, x, activation), layer.weight)


def _patchwise(layer: nn.ConvTranspose2d, x: Tensor, activation: str) -> Tensor:
    """Transposed convolution to few channels, of `x` laid out as [N, H, W, C] or [C, N, H, W].

    One product gives what every input pixel adds to each pixel of its kernel-sized patch, and
    the patches are added up where they overlap.
    """
    weight, (n, c, h, w) = layer.weight, x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(-1, c)
    patches = _product(weight.permute(1, 2, 3, 0).reshape(-1, c), pixels)
    output = _fold(patches.view(*weight.shape[1:], n, h, w))
    if layer.bias is not None:
        output += layer.bias.view(-1, 1, 1)
    return output if activation == "none" else getattr(output, f"{activation}_")()


def _fold(patches: Tensor) -> Tensor:
    """Add up overlapping patches, [C, rows, columns, N, h, w], to images, [N, C, H, W].

    First across rows and then within them.
    """
    rows, columns, _, h, w = patches.shape[1:]
    tall = nn.functional.pad(patches[:, 0], (0, 0, 0, rows - 1))
    for i in range(1, rows):
        tall[..., i : i + h, :] += patches[:, i]
    images = nn.functional.pad(tall[:, 0], (0, columns - 1))
    for j in range(1, columns):
        images[..., j : j + w] += tall[:, j]
    return images.transpose(0, 1)


# A convolution from one channel and, right behind it, a transposed one back to one, all as
# products with a column for every pixel of every image: between the two, images lie as
# [C, N, H, W]. With the other forms a step of conv-1 takes 1.75 times as long, one of conv-4 1.3
# times, and one of conv-16 about as long (two cores, AMD EPYC, torch 2.15).


def _unfold(x: Tensor, rows: int, columns: int, ones: bool = False) -> Tensor:
    """What each pixel of a convolution's output sees of `x`, [N, 1, H, W]; adjoint of `_fold`.

    [rows * columns, N * (H - rows + 1) * (W - columns + 1)]; `ones` adds a row of them.
    """
    seen = x[:, 0].unfold(1, rows, 1).unfold(2, columns, 1).permute(3, 4, 0, 1, 2)
    matrix = x.new_empty(rows * columns + ones, seen.shape[2:].numel())
    matrix[: rows * columns].view(seen.shape).copy_(seen)
    if ones:
        matrix[-1] = 1
    return matrix


def _conv_of_planes(layer: nn.Conv2d, x: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    weight, (rows, columns) = layer.weight.flatten(1), layer.weight.shape[2:]
    if layer.bias is not None:
        weight = torch.cat((weight, layer.bias[:, None]), dim=1)
    seen = _unfold(x, rows, columns, layer.bias is not None)
    output = _product(weight.contiguous(), seen.T, None, activation)
    n, _, h, w = x.shape
    return x, output.view(-1, n, h - rows + 1, w - columns + 1).transpose(0, 1)


def _conv_of_planes_backward(
    layer: nn.Conv2d, x: Tensor, grad: Tensor, for_x: bool
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    weight, (n, c, h, w) = layer.weight, grad.shape
    (rows, columns), pixels = weight.shape[2:], grad.transpose(0, 1).reshape(c, -1)
    of_both = _product(_unfold(x, rows, columns, layer.bias is not None), pixels)
    of_bias = None if layer.bias is None else of_both[-1].clone()
    of_weight = of_both[: weight[0].numel()].T.reshape(weight.shape)
    if not for_x:
        return None, of_weight, of_bias
    patches = _product(weight.permute(1, 2, 3, 0).reshape(-1, c), pixels.T)
    return _fold(patches.view(*weight.shape[1:], n, h, w)), of_weight, of_bias


def _conv_transpose_of_planes(
    layer: nn.ConvTranspose2d, x: Tensor, activation: str
) -> tuple[Tensor, Tensor]:
    return x, _patchwise(layer, x, activation)


def _conv_transpose_of_planes_backward(
    layer: nn.ConvTranspose2d, x: Tensor, grad: Tensor, for_x: bool
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    weight, (n, c, h, w) = layer.weight, x.shape
    seen = _unfold(grad, *weight.shape[2:])
    of_weight = _product(seen, x.transpose(0, 1).reshape(c, -1)).T.reshape(weight.shape)
    of_x = None
    if for_x:
        of_x = _product(weight.reshape(c, -1), seen.T).view(c, n, h, w).transpose(0, 1)
    return of_x, of_weight, None if layer.bias is None else grad.sum((0, 2, 3))


LAYERS = {nn.Linear: "linear", nn.Conv2d: "conv", nn.ConvTranspose2d: "conv_transpose"}
FORMS = {
    "linear": Form("linear", "onednn", _linear, _linear_backward),
    "conv": Form("conv", "onednn", _conv, _conv_backward),
    "conv_transpose": Form("conv_transpose", "onednn", _conv_transpose, _conv_backward),
    "conv_transpose to few": Form(
        "conv_transpose", "product", _conv_transpose_to_few, _conv_backward
    ),
    "conv of planes": Form("conv", "product", _conv_of_planes, _conv_of_planes_backward),
    "conv_transpose of planes": Form(
        "conv_transpose", "product", _conv_transpose_of_planes, _conv_transpose_of_planes_backward
    ),
}
