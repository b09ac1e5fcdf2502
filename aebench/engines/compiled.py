"""Forward pass, loss and backward pass compiled by torch's inductor; Adam is the fused one.

Everything else is as in `eager`. Compiling takes seconds and is timed apart; jobs of one shape
in one worker share the compiled code. A model that cannot be compiled in one piece, or a machine
without a C++ compiler, makes the job fail: it is never quietly run another way.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from aebench.engines import Engine, Setup, resident
from aebench.engines.precision import autocast
from aebench.errors import RequestError

_WARMUP_STEPS = 3

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass
class _Program:
    """A resident model, its optimizer and the compiled loss, all bound to each other."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Loss


_programs: resident.Shelf[_Program] = resident.Shelf(most=64)  # a model each, at times a few MB


class Compiled:
    """See the module's docstring."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.images = setup.images
        self.rates = setup.rates
        self.epoch = 0
        self.program: _Program | None = None

    @property
    def optimizer(self) -> torch.optim.Optimizer | None:
        """Adam of the resident model; None before `compile`."""
        return self.program.optimizer if self.program else None

    def load(self) -> None:
        """Bring the whole split to the device, once."""
        self.images = self.setup.images.to(self.setup.device)

    def compile(self) -> None:
        """Compile forward and backward pass, unless a job of this shape has done so.

        Raises:
            RequestError: there is no C++ compiler.
        """
        self.program = _programs.get(resident.kind(self.setup), self._compile)
        self._start()

    def warm_up(self) -> None:
        """Take a few steps, then put weights and optimizer back."""
        self._steps(0, min(_WARMUP_STEPS, self.setup.steps_per_epoch))
        self._start()

    def train_epoch(self) -> Tensor:
        """One pass over the split."""
        steps = self.setup.steps_per_epoch
        total = self._steps(self.epoch, steps)
        assert self.program is not None
        resident.copy_weights(self.program.model, self.setup.model)
        self.epoch += 1
        return total / steps

    def _compile(self) -> _Program:
        setup = self.setup
        model = resident.twin(setup).train()
        layout = setup.layout
        optimizer = torch.optim.Adam(
            (p for p in model.parameters() if p.requires_grad),
            lr=setup.job.learning_rate,
            fused=True,
        )
        program = _Program(model, optimizer, _compiled(_loss_of(model, setup)))
        batch = self.images[: setup.job.batch_size]
        images = batch.to(torch.float32).div_(255).contiguous(memory_format=layout)
        # With noise, input and target are two tensors, and that is compiled differently.
        inputs = images.clone() if setup.job.train_noise else images
        try:
            program.loss(inputs, images).backward()
        except Exception as error:
            if _no_compiler(error):
                raise RequestError(
                    "engine 'compiled' needs a C++ compiler that torch can find, and there is"
                    " none: install g++ or clang (or name one in the variable CXX), or use"
                    " --engine eager"
                ) from error
            raise
        return program

    def _start(self) -> None:
        assert self.program is not None, "compile() comes first"
        resident.copy_weights(self.setup.model, self.program.model)
        resident.reset(self.program.optimizer)

    def _steps(self, epoch: int, steps: int) -> Tensor:
        assert self.program is not None, "compile() comes first"
        setup, device = self.setup, self.setup.device
        loss_of, optimizer = self.program.loss, self.program.optimizer
        layout = setup.layout
        size, first = setup.job.batch_size, epoch * setup.steps_per_epoch
        order, generator = setup.order(epoch), setup.noise(epoch)
        order = order if order is None else order.to(device)
        total = torch.zeros((), dtype=torch.float64, device=device)
        for step in range(steps):
            here = slice(step * size, (step + 1) * size)
            batch = self.images[here] if order is None else self.images[order[here]]
            images = batch.to(torch.float32).div_(255).contiguous(memory_format=layout)
            optimizer.param_groups[0]["lr"] = self.rates[first + step]
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(setup.inputs(images, generator), images)
            loss.backward()
            optimizer.step()
            total += loss.detach()
        return total


def _loss_of(model: nn.Module, setup: Setup) -> types.FunctionType:
    precision, device = setup.job.precision, setup.device

    def loss(inputs: Tensor, images: Tensor) -> Tensor:
        with autocast(precision, device):
            output = model(inputs)
        return mse_loss(output.float(), images)

    assert isinstance(loss, types.FunctionType)
    return loss


_count = 0


def _compiled(function: types.FunctionType) -> Loss:
    """Compile `function` under a code object of its own.

    torch keeps what it compiled with the code object, tries the variants in turn at every call,
    and beyond a few of them gives up and runs the code as it stands. All our loss functions
    would share one code object.
    """
    global _count  # noqa: PLW0603 (a name for each code object in this process)
    _count += 1
    code = function.__code__.replace(co_name=f"loss_{_count}")
    own = types.FunctionType(code, function.__globals__, code.co_name, None, function.__closure__)
    # Random numbers inside a model, such as those of dropout, are to be eager's.
    options: dict[str, str | int | bool | Callable[..., Any]] = {"fallback_random": True}
    compiled: Loss = torch.compile(own, fullgraph=True, dynamic=False, options=options)
    return compiled


def _no_compiler(error: BaseException | None) -> bool:
    """Whether the want of a compiler is what `error` or one of its causes says."""
    while error is not None:
        if type(error).__name__ == "InvalidCxxCompiler" or "Failed to find C compiler" in str(
            error
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def create(setup: Setup) -> Engine:
    """Make the engine for `setup`."""
    return Compiled(setup)
