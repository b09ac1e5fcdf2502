"""Plain PyTorch: data resident on the device, no host synchronization inside an epoch.

The split lies on the device as uint8; a batch is a slice of it. Gradients come from autograd,
optimizers are torch's fused ones where it has them, and losses add up on the device.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from aebench.engines.training import WARMUP_STEPS, Engine, Learner, Setup


class Eager(Engine):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        setup.model.to(memory_format=setup.layout)
        self.learner = self._learner(setup.model)
        self.optimizer = self.learner.optimizer

    def _learner(self, model: nn.Module) -> Learner:
        setup = self.setup
        optimizer, loss = setup.optimizer_of(model), setup.loss_of(model)
        return Learner(model, optimizer, loss, setup.job.clip_gradient)

    def warm_up(self) -> None:
        """Take a few steps with a copy of the model."""
        twin = self._learner(copy.deepcopy(self.setup.model))
        twin.model.train()
        self._steps(twin, 0, min(WARMUP_STEPS, self.setup.steps_per_epoch))

    def _train(self, epoch: int, steps: int) -> Tensor:
        self.learner.model.train()
        return self._steps(self.learner, epoch, steps)


create = Eager
