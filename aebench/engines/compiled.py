"""Forward pass, loss and backward pass compiled by torch's inductor; optimizers are eager's.

Everything else is as in `eager`. Compiling takes seconds and is timed apart; jobs of one shape
in one worker share the compiled code. A model that cannot be compiled in one piece, or a machine
without a C++ compiler, makes the job fail: it is never quietly run another way.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from itertools import count
from typing import Any

import torch
from torch import Tensor

from aebench.engines import resident
from aebench.engines.training import WARMUP_STEPS, Engine, Learner, Loss, unit
from aebench.errors import RequestError

# A resident model, its optimizer and its compiled loss, all bound to each other: a few MB at times.
_programs: resident.Shelf[Learner] = resident.Shelf(most=64)


class Compiled(Engine):
    program: Learner | None = None

    def compile(self) -> None:
        """Compile forward and backward pass, unless a job of this shape has done so.

        Raises:
            RequestError: there is no C++ compiler.
        """
        self.program = _programs.get(resident.shape_of(self.setup), self._compile)
        self.optimizer = self.program.optimizer
        resident.start(self.setup.model, self.program.model, self.program.optimizer)

    def warm_up(self) -> None:
        """Take a few steps, then put weights and optimizer back."""
        assert self.program is not None, "compile() comes first"
        self._steps(self.program, 0, min(WARMUP_STEPS, self.setup.steps_per_epoch))
        resident.start(self.setup.model, self.program.model, self.program.optimizer)

    def _train(self, epoch: int, steps: int) -> Tensor:
        assert self.program is not None, "compile() comes first"
        total = self._steps(self.program, epoch, steps)
        resident.copy_weights(self.program.model, self.setup.model)
        return total

    def _compile(self) -> Learner:
        setup = self.setup
        model = resident.twin(setup).train()
        optimizer, loss = setup.optimizer_of(model), _compiled(setup.loss_of(model))
        program = Learner(model, optimizer, loss, setup.job.clip_gradient)
        targets = unit(self.images[: setup.job.batch_size])
        targets = targets.contiguous(memory_format=setup.layout)
        # With noise, input and target are two tensors, and that is compiled differently.
        inputs = targets.clone() if setup.job.train_noise else targets
        try:
            program.loss(inputs, targets).backward()
        except Exception as error:
            if _no_compiler(error):
                raise RequestError(
                    "engine 'compiled' needs a C++ compiler that torch can find, and there is"
                    " none: install g++ or clang (or name one in the variable CXX), or use"
                    " --engine eager"
                ) from error
            raise
        return program


_numbers = count(1)


def _compiled(loss: Loss) -> Loss:
    """Compile `loss` under a code object of its own.

    torch keeps what it compiled with the code object, tries the variants in turn at every call,
    and beyond a few of them gives up and runs the code as it stands. All our loss functions
    would share one code object.
    """
    assert isinstance(loss, types.FunctionType)
    code = loss.__code__.replace(co_name=f"loss_{next(_numbers)}")
    own = types.FunctionType(code, loss.__globals__, code.co_name, None, loss.__closure__)
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


create = Compiled
