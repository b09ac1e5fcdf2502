"""The default engine: data resident on the device, no host synchronization inside an epoch.

The split lies on the device as uint8; a batch is a slice of it, scaled by 1/255 in float32
exactly as `ToTensor` does. Adam is torch's fused one, and losses add up on the device. In
float32 on a CPU, `chain` computes the gradients where it can, faster than autograd;
`kernels` says for the record what it computes.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from aebench.engines import Engine, Setup, chain
from aebench.engines.precision import autocast

_WARMUP_STEPS = 3


class Eager:
    """See the module's docstring."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.images = setup.images
        self.layout = setup.layout
        setup.model.to(memory_format=self.layout)
        self.optimizer = self._adam(setup.model)
        self.rates = setup.rates
        self.epoch = 0
        self.kernels = "torch"

    def _adam(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=self.setup.job.learning_rate, fused=True)

    def load(self) -> None:
        """Bring the whole split to the device, once."""
        self.images = self.setup.images.to(self.setup.device)

    def compile(self) -> None:
        """Nothing to compile."""

    def warm_up(self) -> None:
        """Take a few steps with a copy of the model."""
        twin = copy.deepcopy(self.setup.model)
        self._steps(twin, self._adam(twin), 0, min(_WARMUP_STEPS, self.setup.steps_per_epoch))

    def train_epoch(self) -> Tensor:
        """One pass over the split."""
        steps = self.setup.steps_per_epoch
        total = self._steps(self.setup.model, self.optimizer, self.epoch, steps)
        self.epoch += 1
        return total / steps

    def _steps(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, epoch: int, steps: int
    ) -> Tensor:
        setup, device = self.setup, self.setup.device
        size, first = setup.job.batch_size, epoch * setup.steps_per_epoch
        order, generator = setup.order(epoch), setup.noise(epoch)
        order = order if order is None else order.to(device)
        total: float | Tensor = torch.zeros((), dtype=torch.float64, device=device)
        model.train()
        plan = None
        if device.type == "cpu" and setup.job.precision == "fp32":
            plan = chain.plan(model, setup.images.shape[1:])
            self.kernels = plan.kernels if plan else "torch"
            total = 0.0 if plan else total  # there, reading a loss waits for nothing
        for step in range(steps):
            here = slice(step * size, (step + 1) * size)
            batch = self.images[here] if order is None else self.images[order[here]]
            images = torch.div(batch, 255).contiguous(memory_format=self.layout)
            optimizer.param_groups[0]["lr"] = self.rates[first + step]
            noisy = setup.inputs(images, generator)
            if plan:
                total += plan.step(noisy, images)
                _update(optimizer)
            else:
                optimizer.zero_grad(set_to_none=True)
                with autocast(setup.job.precision, device):
                    output = model(noisy)
                loss = mse_loss(output.float(), images)
                loss.backward()
                optimizer.step()
                total += loss.detach()
        return torch.as_tensor(total, dtype=torch.float64)


def _update(optimizer: torch.optim.Optimizer) -> None:
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


def create(setup: Setup) -> Engine:
    """Make the engine for `setup`."""
    return Eager(setup)
