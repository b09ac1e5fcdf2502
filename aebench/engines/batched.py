"""Jobs that differ in seed only, trained as one stacked model of MLPs.

Every weight gets a leading dimension of members, [E, ...], and a layer is one `baddbmm`. Each
member keeps its own split, order and noise: batches are gathered from all training images, which
lie on the device once. The members' losses are summed, not averaged, so each gets the gradients
that it would get alone, and Adam works on single numbers, so each gets its solo result. What no
member has is a wall clock of its own: there is only the time of all, shared out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from aebench.architectures.autoencoder import Autoencoder, PerChannel
from aebench.choice import BATCHED
from aebench.engines import Engine, Setup
from aebench.engines.precision import autocast
from aebench.errors import RequestError

_WARMUP_STEPS = 3


class _Linear(nn.Module):
    """E linear layers side by side: [E, B, inputs] to [E, B, outputs]."""

    def __init__(self, members: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([m.weight.detach() for m in members]))
        self.bias = nn.Parameter(torch.stack([m.bias.detach() for m in members]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias.unsqueeze(1), x, self.weight.mT)


class _PerChannel(nn.Module):
    """As `PerChannel`, with members before the batch: [E, B, C, ...]."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.channels = nn.ModuleList(modules)

    def forward(self, images: Tensor) -> Tensor:
        parts = [
            module(part.flatten(2))
            for module, part in zip(self.channels, images.split(1, dim=2), strict=True)
        ]
        return torch.cat([p if p.dim() > 3 else p.unsqueeze(2) for p in parts], dim=2)


def stack(members: Sequence[nn.Module]) -> nn.Module:
    """One module that does for [E, B, ...] what `members` do for [B, ...] each.

    Parameters have the names they have in a member.

    Raises:
        RequestError: there is a kind of layer in it that cannot be stacked.
    """
    return _stack(members, {})


def _stack(members: Sequence[nn.Module], done: dict[int, nn.Module]) -> nn.Module:
    first = members[0]
    if id(first) not in done:  # a module that occurs twice shares its weights
        done[id(first)] = _stacked(members, lambda parts: _stack(parts, done))
    return done[id(first)]


def _stacked(
    members: Sequence[nn.Module], stack: Callable[[Sequence[nn.Module]], nn.Module]
) -> nn.Module:
    first = members[0]
    kind = type(first)
    if isinstance(first, nn.Linear) and first.bias is not None:
        return _Linear([m for m in members if isinstance(m, nn.Linear)])
    if kind in (nn.ReLU, nn.Sigmoid):
        return first
    if isinstance(first, nn.Flatten):
        return nn.Flatten(2)
    if isinstance(first, nn.Unflatten):
        return nn.Unflatten(2, first.unflattened_size)
    children = [list(m.children()) for m in members]
    if kind is nn.Sequential:
        return nn.Sequential(*(stack(parts) for parts in zip(*children, strict=True)))
    if kind is Autoencoder:
        return Autoencoder(*(stack(parts) for parts in zip(*children, strict=True)))
    if isinstance(first, PerChannel):
        channels = [m.channels for m in members if isinstance(m, PerChannel)]
        return _PerChannel([stack(parts) for parts in zip(*channels, strict=True)])
    raise RequestError(
        f"engine 'batched' cannot stack a {kind.__name__}; it trains {', '.join(BATCHED)}"
    )


class Batched:
    """See the module's docstring. `setups` share their images and have a `split` each."""

    def __init__(self, setups: Sequence[Setup]) -> None:
        self.setups, self.setup = setups, setups[0]
        self.model = stack([s.model for s in setups]).to(self.setup.device)
        self.optimizer = self._adam()
        self.rates = self.setup.rates
        self.epoch = 0
        self.images = self.setup.images

    def _adam(self) -> torch.optim.Optimizer:
        rate = self.setup.job.learning_rate
        return torch.optim.Adam(self.model.parameters(), lr=rate, fused=True)

    def load(self) -> None:
        """Bring all training images to the device, once for all members."""
        self.images = self.setup.images.to(self.setup.device)

    def compile(self) -> None:
        """Nothing to compile."""

    def warm_up(self) -> None:
        """Take a few steps, then start again from the members' weights."""
        self._steps(0, min(_WARMUP_STEPS, self.setup.steps_per_epoch))
        with torch.no_grad():
            for name, weights in self.model.named_parameters():
                for row, setup in zip(weights, self.setups, strict=True):
                    row.copy_(setup.model.get_parameter(name))
        self.optimizer = self._adam()

    def train_epoch(self) -> Tensor:
        """One pass over every member's split; the mean loss of each, float64 [E]."""
        steps = self.setup.steps_per_epoch
        totals = self._steps(self.epoch, steps)
        with torch.no_grad():
            for name, weights in self.model.named_parameters():
                for row, setup in zip(weights, self.setups, strict=True):
                    setup.model.get_parameter(name).copy_(row)
        self.epoch += 1
        return totals / steps

    def _places(self, epoch: int) -> Tensor:
        """Where each member's images of the epoch lie, in their order, int64 [E, N]."""
        rows = []
        for setup in self.setups:
            assert setup.split is not None, "a member of a batch needs its split"
            order = setup.order(epoch)
            rows.append(setup.split if order is None else setup.split[order])
        return torch.stack(rows).to(self.setup.device)

    def _noise(self, generators: Sequence[torch.Generator | None], shape: torch.Size) -> Tensor:
        drawn = [torch.randn(shape, generator=generator) for generator in generators]
        return (self.setup.job.train_noise * torch.stack(drawn)).to(self.setup.device)

    def _steps(self, epoch: int, steps: int) -> Tensor:
        setup, device, members = self.setup, self.setup.device, len(self.setups)
        size, first = setup.job.batch_size, epoch * setup.steps_per_epoch
        shape = self.images.shape[1:]
        places = self._places(epoch)
        generators = [s.noise(epoch) for s in self.setups]
        totals = torch.zeros(members, dtype=torch.float64, device=device)
        for step in range(steps):
            here = places[:, step * size : (step + 1) * size].reshape(-1)
            batch = self.images.index_select(0, here).view(members, size, *shape)
            images = batch.to(torch.float32).div_(255)
            inputs = images
            if setup.job.train_noise:
                inputs = images + self._noise(generators, images.shape[1:])
            self.optimizer.param_groups[0]["lr"] = self.rates[first + step]
            self.optimizer.zero_grad(set_to_none=True)
            with autocast(setup.job.precision, device):
                output = self.model(inputs)
            losses = mse_loss(output.float(), images, reduction="none").flatten(1).mean(1)
            losses.sum().backward()
            self.optimizer.step()
            totals += losses.detach()
        return totals


def create(*setups: Setup) -> Engine:
    """Make the engine for all `setups` together."""
    return Batched(setups)
