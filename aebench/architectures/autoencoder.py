"""The one module class behind every built-in family, and what can be measured on any model."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.flop_counter import FlopCounterMode

from aebench.architectures import registry
from aebench.architectures.options import Activation
from aebench.architectures.registry import Shape, Size

if TYPE_CHECKING:
    from aebench.job import Job

ACTIVATIONS: dict[type[nn.Module], str] = {nn.ReLU: "relu", nn.Sigmoid: "sigmoid"}


_BY_NAME: dict[Activation, type[nn.Module]] = {
    "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "leaky-relu": nn.LeakyReLU,
    "tanh": nn.Tanh, "sigmoid": nn.Sigmoid,
}  # fmt: skip


def activated(name: Activation) -> nn.Module:
    """The module of an activation function, with torch's defaults: leaky ReLU has slope 0.01."""
    return _BY_NAME[name]()


class Autoencoder(nn.Module):
    """An encoder followed by a decoder."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct `images`, [N, C, H, W]."""
        reconstruction: Tensor = self.decoder(self.encoder(images))
        return reconstruction


class PerChannel(nn.Module):
    """Applies module i to channel i and stacks the results; a module given twice is shared.

    [N, C, ...] goes in, and each module sees its channel flattened. Of planes, [N, 1, H, W]
    each, it makes [N, C, H, W]; of codes, [N, k] each, [N, C, k].
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.channels = nn.ModuleList(modules)

    def forward(self, images: Tensor) -> Tensor:
        """Apply each module to its channel."""
        parts = [
            module(part.flatten(1))
            for module, part in zip(self.channels, images.split(1, dim=1), strict=True)
        ]
        return torch.cat([p if p.dim() > 2 else p.unsqueeze(1) for p in parts], dim=1)


class Residual(nn.Module):
    """Adds to its input what `body` makes of it, of the same shape.

    K. He et al.: Deep Residual Learning for Image Recognition (CVPR 2016), equation 1.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, images: Tensor) -> Tensor:
        """Give `images` + `body(images)`."""
        return images + self.body(images)  # type: ignore[no-any-return]


def reconstruction_of(output: object) -> Tensor:
    """The reconstruction in what a model's `forward` gave: that itself, or its first element.

    Raises:
        ValueError: it is no tensor, nor a tuple or list that begins with one.
    """
    first = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(first, Tensor):
        raise ValueError(
            f"the model gave a {type(output).__name__}; `forward` must return the reconstruction,"
            " or a tuple whose first element it is"
        )
    return first


def own_loss(model: nn.Module) -> Callable[[Tensor, Any], Tensor] | None:
    """The model's own ``loss(images, output)``, which training minimises in place of the MSE.

    `images` are those to reconstruct, float32 [N, C, H, W]; `output` is what `forward` gave, in
    float32. None where it has none.

    Raises:
        ValueError: it has something else under that name.
    """
    loss = getattr(model, "loss", None)
    if loss is None:
        return None
    if isinstance(loss, nn.Module) or not callable(loss):
        raise ValueError(
            f"the model's `loss` is a {type(loss).__name__}; write it as a method,"
            " `def loss(self, images, output)`, or give it another name to train by the MSE"
        )
    return loss  # type: ignore[no-any-return]  # the user's


def leaves(module: nn.Module) -> Iterator[nn.Module]:
    """The parts of a model in the order of its forward pass.

    `Autoencoder` and `nn.Sequential` are taken apart; any other module is left whole.
    """
    if is_plain(module) and type(module) is nn.Sequential:
        for child in module:
            yield from leaves(child)
    elif is_plain(module) and type(module).forward is Autoencoder.forward:
        yield from leaves(module.get_submodule("encoder"))
        yield from leaves(module.get_submodule("decoder"))
    else:
        yield module


def is_plain(module: nn.Module) -> bool:
    """Whether calling `module` does what its class's `forward` does, and nothing else."""
    return "forward" not in vars(module) and not (
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def learns(layer: nn.Module) -> bool:
    """Whether all that `layer` has of its own is float32 on the CPU, learns, and has no hooks."""
    return all(
        p.requires_grad
        and p.dtype == torch.float32
        and p.device.type == "cpu"
        and not (p._backward_hooks or p._post_accumulate_grad_hooks)
        for p in layer.parameters(recurse=False)
    )


def is_dense(layer: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether a convolution has stride 1, no padding, no dilation and one group."""
    return (
        layer.stride == layer.dilation == (1, 1)
        and layer.padding == layer.output_padding == (0, 0)
        and layer.groups == 1
    )


class Built(NamedTuple):
    """A model on the CPU with its initial weights, and its measured size."""

    model: nn.Module
    size: Size


def build(job: Job, shape: Shape) -> Built:
    """Build the job's model with initial weights drawn on the CPU from the job's seed.

    They are what ``torch.manual_seed(seed)`` and then the constructor give, so that anybody gets
    the same model in two lines. It matters: with one channel, about half of all draws end two
    to three times as far off as the others (`conv-1`, the study's 3.53).

    Raises:
        RequestError: the family has no such model for images of this shape.
        ValueError: a family's model does not keep the contract; the message says where.
    """
    family = registry.get(job.architecture)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        model = family.build(shape, job.latent, job.depth, **family.values(job.options))
        return Built(model, measure(model, shape, job.architecture))


_IMAGES = 2  # one image cannot tell a model that mixes up or forgets the images of a batch


def measure(model: nn.Module, shape: Shape, name: str = "model") -> Size:
    """Parameters, bottleneck and training FLOPs per image, by running the model on two images.

    It is run as in use, not as in training, and left as it was, but for lazy layers, which get
    their weights by this.

    Raises:
        ValueError: no `encoder`, a layer that stays without weights, no reconstruction of the
            input's shape in the output, or a loss of its own that nothing can be learnt by.
    """
    if not isinstance(getattr(model, "encoder", None), nn.Module):
        raise ValueError(
            f"{name}: the model needs an `encoder` module, so that its code can be measured"
        )
    with _in_use(model):
        if _lazy(model):
            with torch.no_grad():
                model(_grey(shape))
        if unused := _lazy(model):
            raise ValueError(
                f"{name}: {', '.join(unused)} stayed without weights when images went through"
            )
    try:
        twin = copy.deepcopy(model)
    except Exception:
        # Valid models may be no copies of themselves: a layer that computes its weights from
        # others, as `weight_norm` makes them, cannot be copied once it has.
        with _in_use(model), _unchanged(model):
            size = _measured(model, shape, name)
            with torch.no_grad():
                model(_grey(shape))  # computed so, what a layer holds can be copied by engines
            return size
    with _in_use(twin):
        return _measured(twin, shape, name)


def _measured(model: nn.Module, shape: Shape, name: str) -> Size:
    counter = FlopCounterMode(display=False)
    with counter:
        # Other images each time, and others still to compare with: a model may change its input.
        output = model(_grey(shape))
        try:
            reconstruction, loss = reconstruction_of(output), own_loss(model)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if reconstruction.shape != (_IMAGES, *shape):
            raise ValueError(
                f"{name}: {[_IMAGES, *shape]} went in and {list(reconstruction.shape)} came out;"
                " an autoencoder's output has the shape of its input"
            )
        if loss:
            _sound(loss(_grey(shape), output), name).backward()
        else:
            torch.nn.functional.mse_loss(reconstruction, _grey(shape)).backward()
    with torch.no_grad():
        code = model.get_submodule("encoder")(_grey(shape))
    codes = code if isinstance(code, tuple | list) else [code]
    return Size(
        parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        bottleneck=-(-sum(c.numel() for c in codes) // _IMAGES),
        flops=counter.get_total_flops() // _IMAGES,
    )


def _sound(loss: object, name: str) -> Tensor:
    """What a model's own loss gave, if it can be learnt by.

    Raises:
        ValueError: it is no single number, not finite, or no weight can change it.
    """
    told = f"{name}: the model's `loss` gave"
    if not isinstance(loss, Tensor):
        raise ValueError(f"{told} a {type(loss).__name__}; it must give a tensor, one number")
    if loss.dim():
        raise ValueError(f"{told} {list(loss.shape)} numbers; take their mean or their sum")
    if not math.isfinite(value := loss.item()):
        raise ValueError(f"{told} {value} for grey images and the initial weights")
    if not loss.requires_grad:
        raise ValueError(
            f"{told} a number without a gradient: it must be computed from the output, or from the"
            " weights, and not under no_grad or after detach"
        )
    return loss


def _grey(shape: Shape) -> Tensor:
    return torch.full((_IMAGES, *shape), 0.5)


def _lazy(model: nn.Module) -> list[str]:
    """Names of weights whose size is not known before images have gone through."""
    return [
        name
        for name, value in (*model.named_parameters(), *model.named_buffers())
        if is_lazy(value)
    ]


@contextlib.contextmanager
def _in_use(model: nn.Module) -> Iterator[None]:
    """Put the model in the mode of use, and every module back in its own afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def _unchanged(model: nn.Module) -> Iterator[None]:
    """Give parameters, gradients and buffers their values back afterwards."""
    tensors = [*model.parameters(), *model.buffers()]
    before = [(tensor, tensor.detach().clone(), tensor.grad) for tensor in tensors]
    for tensor in tensors:
        tensor.grad = None
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, value, grad in before:
                tensor.copy_(value)
                tensor.grad = grad
