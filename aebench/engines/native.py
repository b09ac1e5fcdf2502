"""Whole epochs on a CPU in one call of our own C++, for the study's models in float32.

MLPs of any depth, and a 3 x 3 convolution with the transposed one that mirrors it. The steps are
those of `eager`: same batches, same Adam, same losses within rounding. What is saved is what stands
between the products: gradients that are written only to be read again, threads that wait for each
other after every operation, Python. The code is compiled for the very processor when it is first
needed, and kept in the user's cache; `mlp.h` and `conv.h` say how it works. Models that it does not
know, and machines without a compiler, make the job fail: it is never quietly run another way.
"""

from __future__ import annotations

import copy
import ctypes
from ctypes import POINTER, c_double, c_int64, c_void_p
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aebench import engines
from aebench.architectures.autoencoder import (
    ACTIVATIONS,
    PerChannel,
    is_dense,
    is_plain,
    learns,
    leaves,
)
from aebench.engines import compiler
from aebench.engines.training import WARMUP_STEPS, Engine, Setup, Work
from aebench.errors import RequestError

_NOISY_STEPS = 16  # in one call, for each wants its noise in memory
# A first layer leaves out the pixels that are 0 where no more than so many are not, and each thread
# has enough outputs to repay looking for them. Measured on two Intel Xeon cores: of mlp-512 and
# mlp-128 at a third lit the step is 6 to 10 % shorter, and longer from 45 % on; at a fifth, as in
# MNIST, 12 to 17 %, but of mlp-32 no shorter.
_MOST_LIT, _LEAST_OUTPUTS = 1 / 3, 64


def _fields(c_type: Any, names: str) -> tuple[tuple[str, Any], ...]:
    return tuple((name, c_type) for name in names.split())


# Arguments of the C++, field by field as in `common.h`, `panels.h`, `mlp.h` and `conv.h`.
class Steps(ctypes.Structure):
    _fields_ = (
        *_fields(c_void_p, "images order noise rates"),
        *_fields(c_int64, "count batch planes plane_size threads"),
        *_fields(c_double, "beta1 beta2 eps"),
        *_fields(c_int64, "taken"),
        *_fields(c_double, "loss"),
    )


class Layer(ctypes.Structure):
    _fields_ = (
        *_fields(c_int64, "inputs outputs activation"),
        *_fields(c_void_p, "weight weight_mean weight_square bias bias_mean bias_square"),
    )


class Net(ctypes.Structure):
    _fields_ = (*_fields(c_int64, "first_plane planes depth sparse"), ("layers", POINTER(Layer)))


class Learned(ctypes.Structure):
    _fields_ = _fields(c_void_p, "weight mean square")


class Mirror(ctypes.Structure):
    _fields_ = (
        *_fields(c_int64, "colours height width channels inner outer"),
        *_fields(Learned, "down down_bias up up_bias"),
    )


_ACTIVATIONS = ("none", "relu", "sigmoid")  # by their numbers in common.h


@lru_cache
def load() -> ctypes.CDLL:
    """The library, compiled now if this processor has none yet: some seconds, once.

    Raises:
        RequestError: it cannot be had here.
    """
    try:
        library = compiler.library(engines.NATIVE_SOURCE)
    except compiler.CompilerError as error:
        raise engines.unavailable("native", str(error)) from error
    library.aebench_train_mlp.argtypes = (POINTER(Steps), POINTER(Net), c_int64)
    library.aebench_train_conv.argtypes = (POINTER(Steps), POINTER(Mirror))
    library.aebench_train_mlp.restype = library.aebench_train_conv.restype = None
    return library


class _Linear(NamedTuple):
    layer: nn.Linear
    activation: str


class _Net(NamedTuple):
    """Layers, and the planes of an image that each is given to them as a row."""

    first_plane: int
    planes: int
    layers: list[_Linear]


class Native(Engine):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.images = setup.images.contiguous()
        if self.images.shape[1] == 1:
            # The same places in memory, but torch validates a convolution in a quarter of the time.
            setup.model.to(memory_format=setup.layout)
        self.rates = torch.tensor(setup.rates, dtype=torch.float64)
        self.lit = 1.0  # noise leaves no pixel at 0
        if not setup.job.train_noise:
            self.lit = int(self.images.count_nonzero()) / self.images.numel()
        self.trained = _Trained(setup.model, setup, self.lit)
        self.optimizer, self.kernels = self.trained.optimizer, self.trained.kernels

    def work(self) -> Work:
        return replace(super().work(), skipped_flops_per_step=self.trained.skipped_flops_per_step)

    def load(self) -> None:
        """The images lie where they are read."""

    def compile(self) -> None:
        """Compile the code, unless it has been on this processor; raises what `load` does."""
        load()

    def warm_up(self) -> None:
        """Take a few steps with a copy of the model."""
        twin = _Trained(copy.deepcopy(self.setup.model), self.setup, self.lit)
        self._learn(twin, 0, min(WARMUP_STEPS, self.setup.steps_per_epoch))

    def _train(self, epoch: int, steps: int) -> float:
        return self._learn(self.trained, epoch, steps)

    def _learn(self, trained: _Trained, epoch: int, steps: int) -> float:
        setup = self.setup
        job, shape = setup.job, self.images.shape[1:]
        order, generator = setup.order(epoch), setup.noise(epoch)
        size, first, total = job.batch_size, epoch * setup.steps_per_epoch, 0.0
        at_once = steps if generator is None else _NOISY_STEPS
        for begin in range(0, steps, at_once):
            count = min(at_once, steps - begin)
            here = slice(begin * size, (begin + count) * size)
            noise = None
            if generator is not None:
                batches = [torch.randn(size, *shape, generator=generator) for _ in range(count)]
                noise = torch.cat(batches).mul_(job.train_noise)
            images = self.images[here] if order is None else self.images
            chosen = None if order is None else order[here].contiguous()
            rates = self.rates[first + begin : first + begin + count]
            total += trained.train(count, images, chosen, noise, rates)
        return total


class _Trained:
    """A model, its Adam, and both as C sees them; `lit` is the share of pixels that are not 0."""

    def __init__(self, model: nn.Module, setup: Setup, lit: float) -> None:
        job, images = setup.job, setup.images
        self.lit = lit
        self.skipped_flops_per_step = 0
        self.batch, self.planes, self.plane_size = job.batch_size, *_planes(model, images.shape[1:])
        self.optimizer = torch.optim.Adam(model.parameters(), lr=job.learning_rate)
        for parameter in model.parameters():
            self.optimizer.state[parameter] = {
                "step": torch.zeros(()),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        self.mirror = self._mirror(model, images.shape[1:])
        nets = [] if self.mirror else _nets(model, self.planes, self.plane_size)
        layers = [known.layer for net in nets for known in net.layers] or leaves(model)
        if sum(len(list(m.parameters())) for m in layers) != len(list(model.parameters())):
            raise RequestError(
                "engine 'native' knows models whose layers have weights of their own, and some of"
                " this one share theirs; use --engine eager"
            )
        self.nets = (Net * len(nets))(*(self._net(net) for net in nets))
        if self.mirror:
            self.kernels = "conv=native conv_transpose=native"
        else:
            sparse = any(net.sparse for net in self.nets)
            self.kernels = "linear=native+sparse" if sparse else "linear=native"

    def _net(self, net: _Net) -> Net:
        layers = (Layer * len(net.layers))()
        for i, (layer, activation) in enumerate(net.layers):
            layers[i] = Layer(
                layer.in_features,
                layer.out_features,
                _ACTIVATIONS.index(activation),
                *self._addresses(layer.weight),
                *self._addresses(layer.bias),
            )
        first = net.layers[0].layer
        sparse = (
            len(net.layers) > 1
            and self.lit <= _MOST_LIT
            and first.out_features >= _LEAST_OUTPUTS * torch.get_num_threads()
        )
        if sparse:  # 2 for a multiply-add, 2 products: forward and the gradient of the weights
            flops = 4 * self.batch * net.planes * first.in_features * first.out_features
            self.skipped_flops_per_step += round(flops * (1 - self.lit))
        return Net(net.first_plane, net.planes, len(net.layers), sparse, layers)

    def _mirror(self, model: nn.Module, shape: torch.Size) -> Mirror | None:
        """A convolution, ReLU and the convolution back, if that is what `model` is."""
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
        ):
            return None
        return Mirror(
            *shape,
            channels,
            _ACTIVATIONS.index("relu"),
            _ACTIVATIONS.index(ACTIVATIONS[type(outer[0])] if outer else "none"),
            *(self._addresses(p) for p in (down.weight, down.bias, up.weight, up.bias)),
        )

    def _addresses(self, parameter: Tensor | None) -> tuple[int | None, int | None, int | None]:
        if parameter is None:
            return None, None, None
        state = self.optimizer.state[parameter]
        return parameter.data_ptr(), state["exp_avg"].data_ptr(), state["exp_avg_sq"].data_ptr()

    def train(
        self, count: int, images: Tensor, order: Tensor | None, noise: Tensor | None, rates: Tensor
    ) -> float:
        """Take `count` steps over `images`, uint8, in `order`; the sum of their losses."""
        group = self.optimizer.param_groups[0]
        states = list(self.optimizer.state.values())
        steps = Steps(
            images=images.data_ptr(),
            order=None if order is None else order.data_ptr(),
            noise=None if noise is None else noise.data_ptr(),
            rates=rates.data_ptr(),
            count=count,
            batch=self.batch,
            planes=self.planes,
            plane_size=self.plane_size,
            threads=torch.get_num_threads(),
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            eps=group["eps"],
            taken=int(states[0]["step"]),
        )
        if self.mirror:
            load().aebench_train_conv(ctypes.byref(steps), self.mirror)
        else:
            load().aebench_train_mlp(ctypes.byref(steps), self.nets, len(self.nets))
        for state in states:
            state["step"].fill_(steps.taken)
        return float(steps.loss)


def _is_known(layer: nn.Module) -> bool:
    return learns(layer) and all(p.is_contiguous() for p in layer.parameters())


def _is_study(layer: nn.Conv2d | nn.ConvTranspose2d, inputs: int, outputs: int) -> bool:
    """Whether a convolution is one of the study's, between so many channels."""
    return (
        type(layer) in (nn.Conv2d, nn.ConvTranspose2d)
        and (layer.in_channels, layer.out_channels) == (inputs, outputs)
        and layer.kernel_size == (3, 3)
        and is_dense(layer)
        and _is_known(layer)
    )


def _planes(model: nn.Module, shape: torch.Size) -> tuple[int, int]:
    """Into how many parts an image falls for `model`, and the numbers in each."""
    planes = shape[0] if any(isinstance(module, PerChannel) for module in leaves(model)) else 1
    return planes, shape.numel() // planes


def _nets(model: nn.Module, channels: int, size: int) -> list[_Net]:
    """The MLPs that `model` is made of, for images of `channels` planes of `size`.

    Raises:
        RequestError: it is made of something else as well.
    """
    modules = list(leaves(model))
    if not any(isinstance(module, PerChannel) for module in modules):
        return [_Net(0, 1, _layers(modules, size))]
    chains: list[list[nn.Module]] = [[] for _ in range(channels)]
    for module in modules:
        plain = is_plain(module) and type(module).forward is PerChannel.forward
        if not plain or not isinstance(module, PerChannel) or len(module.channels) != channels:
            raise _unknown(module)
        for chain, part in zip(chains, module.channels, strict=True):
            chain += leaves(part)
    if all(chain == chains[0] for chain in chains):
        return [_Net(0, channels, _layers(chains[0], size))]
    return [_Net(i, 1, _layers(chain, size)) for i, chain in enumerate(chains)]


def _layers(modules: list[nn.Module], size: int) -> list[_Linear]:
    """The layers of an MLP from `size` numbers to as many."""
    layers: list[_Linear] = []
    for module in modules:
        module_type = type(module)
        if not is_plain(module):
            raise _unknown(module)
        if isinstance(module, nn.Linear) and module_type is nn.Linear and _is_known(module):
            layers.append(_Linear(module, "none"))
        elif module_type in ACTIVATIONS and layers and layers[-1].activation == "none":
            layers[-1] = layers[-1]._replace(activation=ACTIVATIONS[module_type])
        elif module_type not in (nn.Flatten, nn.Unflatten):
            raise _unknown(module)
    given = [size, *(known.layer.out_features for known in layers)]
    taken = [*(known.layer.in_features for known in layers), size]
    if not layers or given != taken:
        raise RequestError(
            f"engine 'native' knows MLPs from {size} numbers to {size}, and this"
            " model is none; use --engine eager"
        )
    return layers


def _unknown(module: nn.Module) -> RequestError:
    return RequestError(
        "engine 'native' knows MLPs, and one 3 x 3 convolution with the one back, and no model with"
        f" this {type(module).__name__}; use --engine eager"
    )


create = Native
