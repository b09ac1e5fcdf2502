"""How known layers are computed on a CPU, in float32, and their gradients.

torch sends float32 matrix products on a CPU to MKL, which on some processors reaches half of
what oneDNN does; and oneDNN computes a transposed convolution to one channel as if it were to
sixteen. Here are forms that do better, chosen by layer type and shape alone, so that a job gives
the same bits twice. In which order they are called is decided by `chain`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

_FEW_CHANNELS = 4  # of a transposed convolution's output: beyond, its patches fill the memory


def available() -> bool:
    """Whether this torch has oneDNN's fused products; they are internal and may go away."""
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_convolution_pointwise")
    )


def fits(layer: Any) -> bool:
    """Whether `layer` is one that `FORMS` computes."""
    for parameter in layer.parameters(recurse=False):
        if (
            parameter.dtype != torch.float32
            or parameter.device.type != "cpu"
            or not parameter.requires_grad
            or parameter._backward_hooks
            or parameter._post_accumulate_grad_hooks
        ):
            return False
    if isinstance(layer, nn.Linear):  # MKL's product with a vector is two to eight times faster
        return min(layer.in_features, layer.out_features) > 1
    plain = layer.stride == (1, 1) and layer.dilation == (1, 1) and layer.groups == 1
    if isinstance(layer, nn.ConvTranspose2d):
        plain = plain and layer.output_padding == (0, 0) and layer.out_channels <= _FEW_CHANNELS
    return bool(plain and layer.padding == (0, 0) and layer.padding_mode == "zeros")


class Form(NamedTuple):
    """How one kind of layer is computed.

    `forward` takes layer, x and activation, and gives x as `backward` wants it and the output.
    `backward` takes layer, x, gradient of the output before the activation, and whether that of x
    is asked for, and gives those of x, weight and bias.
    """

    kind: str
    word: str
    forward: Callable[[Any, Tensor, str], tuple[Tensor, Tensor]]
    backward: Callable[[Any, Tensor, Tensor, bool], tuple[Tensor | None, Tensor, Tensor | None]]


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
        x, kernel, layer.bias, [0, 0], [1, 1], [1, 1], 1, activation, [], ""
    )
    return x, output


def _conv_transpose(layer: nn.ConvTranspose2d, x: Tensor, activation: str) -> tuple[Tensor, Tensor]:
    """Transposed convolution to few channels.

    One product gives what every input pixel adds to each pixel of its kernel-sized patch, and
    the patches are added up where they overlap, first within rows and then across.
    """
    x = _laid_out(x, layer.weight)
    n, c, h, w = x.shape
    outputs, rows, columns = layer.weight.shape[1:]
    pixels = x.permute(0, 2, 3, 1).reshape(-1, c)
    patches = _product(layer.weight.permute(2, 3, 1, 0).reshape(-1, c), pixels)
    patches = patches.view(rows, columns, outputs, n, h, w)
    wide = x.new_zeros(rows, outputs, n, h, w + columns - 1)
    for j in range(columns):
        wide[..., j : j + w] += patches[:, j]
    output = x.new_zeros(outputs, n, h + rows - 1, w + columns - 1)
    for i in range(rows):
        output[:, :, i : i + h] += wide[i]
    if layer.bias is not None:
        output += layer.bias.view(-1, 1, 1, 1)
    if activation != "none":
        output = getattr(output, activation)()
    return x, _laid_out(output.transpose(0, 1), layer.weight)


def _conv_backward(
    layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, grad: Tensor, for_x: bool
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    grad, kernel = _laid_out(grad, layer.weight), _laid_out(layer.weight, layer.weight)
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, kernel, None, [1, 1], [0, 0], [1, 1], isinstance(layer, nn.ConvTranspose2d),
        [0, 0], 1, [for_x, True, False],
    )  # fmt: skip
    if layer.bias is None:
        return of_x, of_weight, None
    # Asked for the bias's gradient as well, oneDNN computes the weight's slower; and torch adds up
    # few long rows in a third of the time of many short ones.
    rows = grad.permute(0, 2, 3, 1).reshape(len(grad), -1).sum(0)
    return of_x, of_weight, rows.view(-1, grad.shape[1]).sum(0)


FORMS: dict[type[nn.Module], Form] = {
    nn.Linear: Form("linear", "onednn", _linear, _linear_backward),
    nn.Conv2d: Form("conv", "onednn", _conv, _conv_backward),
    nn.ConvTranspose2d: Form("conv_transpose", "product", _conv_transpose, _conv_backward),
}
