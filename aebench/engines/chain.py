"""Training steps on a CPU without autograd, for models that are chains of known layers.

Kept beside `native` for what that does not train (deep and strided convolutions, users' models,
machines without a compiler): autograd takes a tenth of a small step, and the forms of
`cpu_kernels` make the layers faster. `plan` takes a model apart into its layers and gives what
computes the gradients of a step: known layers by those forms, every other one by torch and its
autograd. Of the model nothing changes but its parameters' gradients. Only `eager` calls this, in
one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aebench.architectures.autoencoder import ACTIVATIONS, PerChannel, is_plain, leaves
from aebench.engines.cpu_kernels import LAYERS, Form, available, form, pair
from aebench.engines.training import Learner, Setup

_CACHED_BYTES = 6 << 20  # of a layer's output


def learner(model: nn.Module, optimizer: torch.optim.Optimizer, setup: Setup) -> Learner | None:
    """What takes the training steps of `model`; None: autograd does."""
    if setup.device.type != "cpu" or setup.job.precision != "fp32":
        return None
    how = plan(model, setup.images.shape[1:])
    return ChainLearner(model, optimizer, how) if how else None


class ChainLearner(Learner):
    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, how: Plan) -> None:
        self.model, self.optimizer, self.plan, self.kernels = model, optimizer, how, how.kernels

    def step(self, inputs: Tensor, targets: Tensor) -> float:
        """Take a training step; the loss before it."""
        loss = self.plan.step(inputs, targets)
        update(self.optimizer)
        return loss


def update(optimizer: torch.optim.Optimizer) -> None:
    """What ``optimizer.step()`` and ``zero_grad()`` do for one group of float32 on a CPU.

    torch's own marks the step for its profiler and checks and sorts the parameters anew, which
    takes 6 % of the step of an MLP with latent 512, and more of smaller ones.
    """
    group = optimizer.param_groups[0]
    parameters = [p for p in group["params"] if p.grad is not None]
    states = [optimizer.state[p] for p in parameters]
    if not all(states):  # torch makes them in its first step
        optimizer.step()
    else:
        steps = [s["step"] for s in states]
        beta1, beta2 = group["betas"]
        with torch.no_grad():
            torch._foreach_add_(steps, 1)
            torch._fused_adam_(
                parameters,
                [p.grad for p in parameters],
                [s["exp_avg"] for s in states],
                [s["exp_avg_sq"] for s in states],
                [],
                steps,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=0,
                eps=group["eps"],
                maximize=False,
            )
    for parameter in parameters:
        parameter.grad = None


def plan(model: nn.Module, shape: Sequence[int]) -> Plan | None:
    """How to compute the gradients of `model`, float32 on the CPU; None: as torch does.

    `shape` is that of one image, (C, H, W).
    Taken apart are `Autoencoder`, `PerChannel` and `nn.Sequential`. Modules with a `forward` of
    their own, and whatever has hooks, are left whole.
    """
    if not available():
        return None
    chain = _chain(model)
    words: dict[str, set[str]] = {}
    for part in chain:
        for layer, word in part.words():
            words.setdefault(layer, set()).add(word)
    if not set().union(*words.values()) - {"torch"}:
        return None
    kernels = " ".join(f"{k}={'+'.join(sorted(words[k]))}" for k in sorted(words))
    return Plan(chain, kernels, _images_at_once(chain, shape))


class Plan:
    """What `plan` found; `kernels` says for the record what computes its layers."""

    def __init__(self, chain: list[_Part], kernels: str, images_at_once: int | None) -> None:
        self._chain, self.kernels, self._at_once = chain, kernels, images_at_once

    @torch.no_grad()
    def step(self, images: Tensor, target: Tensor) -> float:
        """Mean squared error of the model's output for `images`, and its gradients.

        Both are float32 [N, C, H, W]. The gradients are added to those of the parameters.
        """
        size, total = self._at_once or len(images), 0.0
        for x, wanted in zip(images.split(size), target.split(size), strict=True):
            error = _forward(self._chain, x, for_x=False) - wanted
            # The norm takes a third of the time of square().sum().
            total += torch.linalg.vector_norm(error).item() ** 2
            _backward(self._chain, error.mul_(2 / target.numel()))
        return total / target.numel()


def _images_at_once(chain: list[_Part], shape: Sequence[int]) -> int | None:
    """How much of a batch to compute at once, so that caches hold a layer's output and gradient.

    None is all of it, as where a module that is not known may look at the batch as a whole.
    """
    if any(isinstance(part, _Torch) for part in chain):
        return None
    largest, x = 1, torch.zeros(1, *shape)
    with torch.no_grad():
        for part in chain:
            x = part.forward(x, for_x=False)
            largest = max(largest, x.numel() * x.element_size())
    return max(1, _CACHED_BYTES // largest)


def _forward(chain: list[_Part], x: Tensor, for_x: bool) -> Tensor:
    for part in chain:
        x = part.forward(x, for_x)
        for_x = for_x or bool(part.words())
    return x


def _backward(chain: list[_Part], grad: Tensor) -> Tensor | None:
    for part in reversed(chain):
        of_x = part.backward(grad)
        if of_x is None:  # nothing before it learns
            return None
        grad = of_x
    return grad


def _chain(model: nn.Module) -> list[_Part]:
    """The parts of a model in the order of its forward pass."""
    parts: list[_Part] = []
    for module in leaves(model):
        module_type, last = type(module), parts[-1] if parts else None
        plain = is_plain(module)
        if plain and isinstance(module, PerChannel) and module_type.forward is PerChannel.forward:
            parts.append(_Channels([_chain(m) for m in module.channels]))
        elif plain and (how := form(module)):
            known = _Known(module, how)
            if isinstance(last, _Known) and (both := pair(last.layer, module)):
                last.form, known.form = both
            parts.append(known)
        elif (
            plain
            and module_type in ACTIVATIONS
            and isinstance(last, _Known)
            and last.activation == "none"
        ):
            last.activation = ACTIVATIONS[module_type]
        elif plain and module_type in (nn.Flatten, nn.Unflatten):
            parts.append(_View(module))
        elif isinstance(last, _Torch):
            last.modules.append(module)
        else:
            parts.append(_Torch(module))
    return parts


class _Part:
    """A part of a chain; it keeps what `backward` needs from its last `forward`."""

    def words(self) -> list[tuple[str, str]]:
        """What it is and what computes it, for every layer in it that learns."""
        return []

    def forward(self, x: Tensor, for_x: bool) -> Tensor:
        """Output for x; `for_x` says whether `backward` is to give the gradient of x."""
        raise NotImplementedError

    def backward(self, grad: Tensor) -> Tensor | None:
        """Add to the parameters' gradients, and give that of x. May overwrite `grad`."""
        raise NotImplementedError


class _Known(_Part):
    """A layer that is computed by one of `FORMS`, with the activation behind it."""

    def __init__(self, layer: Any, how: Form) -> None:
        self.layer, self.form, self.activation = layer, how, "none"

    def words(self) -> list[tuple[str, str]]:
        return [(self.form.layer, self.form.word)]

    def forward(self, x: Tensor, for_x: bool) -> Tensor:
        x, output = self.form.forward(self.layer, x, self.activation)
        self.kept = x, output, for_x
        return output

    def backward(self, grad: Tensor) -> Tensor | None:
        x, output, for_x = self.kept
        del self.kept
        if self.activation == "relu":  # both of these write onto what they read
            torch.ops.aten.threshold_backward.grad_input(grad, output, 0, grad_input=grad)
        elif self.activation == "sigmoid":
            torch.ops.aten.sigmoid_backward.grad_input(grad, output, grad_input=grad)
        of_x, of_weight, of_bias = self.form.backward(self.layer, x, grad, for_x)
        _add_gradient(self.layer.weight, of_weight)
        if of_bias is not None:
            _add_gradient(self.layer.bias, of_bias)
        return of_x


def _add_gradient(parameter: nn.Parameter, grad: Tensor) -> None:
    if parameter.grad is not None:  # it is used in several places
        parameter.grad += grad
    elif grad.stride() == parameter.stride():
        parameter.grad = grad
    else:  # torch's fused Adam walks through both as they lie in memory
        parameter.grad = torch.empty_like(parameter).copy_(grad)


class _View(_Part):
    """``nn.Flatten`` or ``nn.Unflatten``."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def forward(self, x: Tensor, for_x: bool) -> Tensor:
        self.shape, self.for_x = x.shape, for_x
        output: Tensor = self.module(x)
        return output

    def backward(self, grad: Tensor) -> Tensor | None:
        return grad.reshape(self.shape) if self.for_x else None


class _Channels(_Part):
    """A `PerChannel` of chains."""

    def __init__(self, chains: list[list[_Part]]) -> None:
        self.chains = chains

    def words(self) -> list[tuple[str, str]]:
        return [word for chain in self.chains for part in chain for word in part.words()]

    def forward(self, x: Tensor, for_x: bool) -> Tensor:
        self.shape, self.for_x = x.shape, for_x
        outputs = [_forward(c, x[:, i].flatten(1), for_x) for i, c in enumerate(self.chains)]
        self.shapes = [o.shape for o in outputs]
        return torch.cat([o if o.dim() > 2 else o.unsqueeze(1) for o in outputs], dim=1)

    def backward(self, grad: Tensor) -> Tensor | None:
        of_parts = [
            _backward(chain, grad[:, i].reshape(shape))
            for i, (chain, shape) in enumerate(zip(self.chains, self.shapes, strict=True))
        ]
        if not self.for_x:
            return None
        grads = [
            grad.new_zeros(self.shape[0], self.shape[2:].numel()) if g is None else g
            for g in of_parts
        ]
        return torch.stack(grads, dim=1).view(self.shape)


class _Torch(_Part):
    """Any other modules, one after another: torch's own forward and autograd."""

    def __init__(self, module: nn.Module) -> None:
        self.modules = [module]

    def words(self) -> list[tuple[str, str]]:
        return [
            (LAYERS.get(type(module), "other"), "torch")
            for module in self.modules
            if any(p.requires_grad for p in module.parameters())
        ]

    def forward(self, x: Tensor, for_x: bool) -> Tensor:
        x = x.detach().requires_grad_(for_x)
        with torch.enable_grad():
            output = x.clone() if for_x else x  # the first module may work in place
            for module in self.modules:
                output = module(output)
        self.kept = x, output
        return output.detach()

    def backward(self, grad: Tensor) -> Tensor | None:
        x, output = self.kept
        del self.kept
        if output.requires_grad:
            output.backward(grad)
        return x.grad
