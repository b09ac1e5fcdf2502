"""The default engine: data resident on the device, no host synchronization inside an epoch.

The split lies on the device as uint8; a batch is a slice of it. Optimizers are torch's fused ones,
where it has them, and losses add up on the device. In float32 on a CPU `chain` takes the steps of
models that it knows.
"""

from __future__ import annotations

import copy

from torch import Tensor, nn

from aebench import protocols
from aebench.architectures.autoencoder import own_loss
from aebench.engines import chain
from aebench.engines.training import WARMUP_STEPS, Engine, Learner, Setup


class Eager(Engine):
    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        setup.model.to(memory_format=setup.layout)
        self.learner = self._learner(setup.model)
        self.optimizer, self.kernels = self.learner.optimizer, self.learner.kernels

    def _learner(self, model: nn.Module) -> Learner:
        setup, job = self.setup, self.setup.job
        optimizer, loss = setup.optimizer_of(model), setup.loss_of(model)
        # Without `chain`, named only here, every model learns by autograd.
        known = protocols.plain(job) and not own_loss(model)
        chained = chain.learner(model, optimizer, setup) if known else None
        return chained or Learner(model, optimizer, loss, job.clip_gradient)

    def warm_up(self) -> None:
        """Take a few steps with a copy of the model."""
        twin = self._learner(copy.deepcopy(self.setup.model))
        twin.model.train()
        self._steps(twin, 0, min(WARMUP_STEPS, self.setup.steps_per_epoch))

    def _train(self, epoch: int, steps: int) -> Tensor:
        self.learner.model.train()
        return self._steps(self.learner, epoch, steps)


create = Eager
