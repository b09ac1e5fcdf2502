"""What outlives a job in a worker: a model and its optimizer, for engines that compile or capture.

Compiling takes seconds, and a captured graph is bound to the memory that it saw. So jobs alike
in shape use one resident model: a job's weights are copied in, the optimizer's state is set to
zero in place, and after every epoch the weights are copied back to the job's own model, which is
the one that is evaluated.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, Hashable
from itertools import chain
from typing import Generic, TypeVar

import torch
from torch import nn

from aebench.engines.training import Setup

T = TypeVar("T")


def shape_of(setup: Setup) -> tuple[Hashable, ...]:
    """What jobs must agree in to share compiled code; seed, rate and epochs do not belong here."""
    job = setup.job
    return (
        job.architecture,
        tuple(setup.images.shape[1:]),
        job.latent,
        job.depth,
        job.options,
        job.batch_size,
        (job.optimizer, job.momentum, job.weight_decay, job.clip_gradient),
        job.precision,
        job.train_noise > 0,
        str(setup.device),
        setup.layout,
        torch.get_num_threads(),  # inductor writes it into the code that it makes for a CPU
    )


class Shelf(Generic[T]):
    """At most `most` things by key; the one not used for longest makes room."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._things: OrderedDict[Hashable, T] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The thing of `key`, made now if it is not there."""
        if key not in self._things:
            while len(self._things) >= self.most:
                self._things.popitem(last=False)  # before its successor asks for memory
            self._things[key] = make()
        self._things.move_to_end(key)
        return self._things[key]

    def drop(self, key: Hashable) -> None:
        """Forget the thing of `key`."""
        self._things.pop(key, None)


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Set the parameters and buffers of `target` to those of `source`, in place."""
    theirs = chain(source.parameters(), source.buffers())
    ours = chain(target.parameters(), target.buffers())
    with torch.no_grad():
        for a, b in zip(theirs, ours, strict=True):
            b.copy_(a)


def start(source: nn.Module, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Give a resident model a job's weights, and its optimizer zeros, where a graph finds them."""
    copy_weights(source, model)
    for state in optimizer.state.values():
        for tensor in state.values():
            tensor.zero_()
    optimizer.zero_grad(set_to_none=True)


def twin(setup: Setup) -> nn.Module:
    """A copy of the job's model that shares nothing with it."""
    return copy.deepcopy(setup.model).to(memory_format=setup.layout)
