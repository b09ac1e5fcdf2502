"""Plain PyTorch: data resident on the device, no host synchronization inside an epoch.

The split lies on the device as uint8; a batch is a slice of it. Gradients come from autograd, Adam
is torch's fused one, and losses add up on the device.
"""

from __future__ import annotations

import copy

import torch
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
        adam = torch.optim.Adam(model.parameters(), lr=setup.job.learning_rate, fused=True)
        return Learner(model, adam, setup.loss_of(model))

    def warm_up(self) -> None:
        """Take a few steps with a copy of the model."""
        twin = self._learner(copy.deepcopy(self.setup.model))
        twin.model.train()
        self._steps(twin, 0, min(WARMUP_STEPS, self.setup.steps_per_epoch))

    def _train(self, epoch: int, steps: int) -> Tensor:
        self.learner.model.train()
        return self._steps(self.learner, epoch, steps)


create = Eager
