"""A job as its engine sees it, and what every engine has in common.

An engine gets a `Setup`, warms up without a trace, and trains one epoch per call. Which data,
which order and which weights is decided before; what is done with the result comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from aebench import architectures, protocols
from aebench.architectures.autoencoder import own_loss, reconstruction_of
from aebench.datasets import shuffled
from aebench.engines import ENGINES, lacking, unavailable, unsupported, untaught
from aebench.engines.device import autocast
from aebench.errors import RequestError

if TYPE_CHECKING:
    from aebench.job import Job

WARMUP_STEPS = 3
# Sets training noise apart from whatever else is drawn from a seed: "noise" in ASCII.
_NOISE_STREAM = int.from_bytes(b"noise", "big")

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of the model's output for some inputs, against their targets: one number."""
_OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
}
_FUSED = ("adam", "adamw", "sgd")  # those that torch has as one kernel


def unit(pixels: Tensor) -> Tensor:
    """`pixels`, uint8 of any shape, as float32 in [0, 1], exactly as `ToTensor` scales them."""
    return torch.div(pixels, 255)


@dataclass(frozen=True)
class Setup:
    """What an engine works on.

    `images` is the training split in its order, uint8 [N, C, H, W], on the CPU; `model` is on
    `device` and holds the job's initial weights. `channels_last` overrides the `layout` that is
    known, or thought, to be the fastest.
    """

    job: Job
    model: nn.Module
    images: Tensor
    device: torch.device
    channels_last: bool | None = None

    @cached_property
    def layout(self) -> torch.memory_format:
        """How images and convolutions lie in memory: where a number lies, not which number it is.

        On a CPU channels last: oneDNN has no fast kernel for a transposed convolution laid out
        channels first, and the conv-16 step of MNIST takes more than twice as long with it. On
        CUDA channels first, until it is measured.
        """
        last = self.channels_last
        if last is None:
            convolves = any(isinstance(m, nn.modules.conv._ConvNd) for m in self.model.modules())
            last = convolves and self.device.type == "cpu"
        return torch.channels_last if last else torch.contiguous_format

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the training split; the last, partial one is dropped."""
        return len(self.images) // self.job.batch_size

    @cached_property
    def rates(self) -> list[float]:
        """The learning rate of every step of the job; all engines read it here."""
        job, steps = self.job, self.steps_per_epoch * self.job.epochs
        return [
            protocols.learning_rate(job.learning_rate, job.schedule, step, steps, job.warmup)
            for step in range(steps)
        ]

    def order(self, epoch: int) -> Tensor | None:
        """The order of the images in `epoch`, counted from 0, int64 [N] on the CPU; None: as is.

        Drawn from the job's seed and the epoch alone, so every engine and device has the same.
        """
        if self.job.order == "fixed":
            return None
        return torch.from_numpy(shuffled(len(self.images), self.job.seed, epoch))

    def noise(self, epoch: int) -> torch.Generator | None:
        """Where an epoch's training noise is drawn, batch after batch, float32, on the CPU.

        None where the job trains without noise. A batch's input is the batch plus `train_noise`
        times standard normal numbers of its shape, unclipped; its target is the batch itself.
        """
        if not self.job.train_noise:
            return None
        seed = np.random.SeedSequence([_NOISE_STREAM, self.job.seed, epoch])
        return torch.Generator().manual_seed(int(seed.generate_state(1, np.uint64)[0] >> 1))

    def inputs(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """What the model gets for a batch of `images`, which are its targets: see `noise`.

        A model whose code is not ours may write into what it is given, so it gets a copy.
        """
        if generator is not None:
            noise = torch.randn(images.shape, generator=generator)
            return images + self.job.train_noise * noise.to(images.device)
        return images if architectures.is_ours(self.job.architecture) else images.clone()

    def batches(
        self, images: Tensor, epoch: int, steps: int
    ) -> Iterator[tuple[float, Tensor, Tensor]]:
        """Learning rate, inputs and targets of the first `steps` steps of `epoch`, float32.

        `images` is the training split where the engine reads it, uint8.
        """
        size, first = self.job.batch_size, epoch * self.steps_per_epoch
        order, generator = self.order(epoch), self.noise(epoch)
        order = order if order is None else order.to(images.device)
        for step in range(steps):
            here = slice(step * size, (step + 1) * size)
            batch = images[here] if order is None else images[order[here]]
            targets = unit(batch).contiguous(memory_format=self.layout)
            yield self.rates[first + step], self.inputs(targets, generator), targets

    def loss_of(self, model: nn.Module) -> Loss:
        """The loss of `model`, a forward pass in the job's precision and the error in float32.

        That is the mean squared error of the reconstruction, or the model's own: see `own_loss`.
        """
        precision, device = self.job.precision, self.device
        own = own_loss(model)
        if own is None:

            def loss(inputs: Tensor, targets: Tensor) -> Tensor:
                with autocast(precision, device):
                    output = model(inputs)
                return mse_loss(reconstruction_of(output).float(), targets)

            return loss

        def loss_of_its_own(inputs: Tensor, targets: Tensor) -> Tensor:
            with autocast(precision, device):
                output = model(inputs)
            return own(targets, _float32(output))

        return loss_of_its_own

    def optimizer_of(self, model: nn.Module, *, fused: bool = True) -> torch.optim.Optimizer:
        """The job's optimizer for all that learns in `model`, as one kernel where torch has it."""
        job = self.job
        how: dict[str, Any] = {"lr": job.learning_rate, "weight_decay": job.weight_decay}
        if job.optimizer in ("sgd", "rmsprop"):
            how["momentum"] = job.momentum
        if fused and job.optimizer in _FUSED:
            how["fused"] = True
        learning = [p for p in model.parameters() if p.requires_grad]
        optimizer = _OPTIMIZERS[job.optimizer](learning, **how)
        if job.optimizer == "sgd":  # which alone counts no steps
            optimizer.register_step_post_hook(_count)
        return optimizer


def _float32(output: Any) -> Any:
    """The tensors of an output in float32, whatever they were computed in."""
    if isinstance(output, Tensor):
        return output.float() if output.is_floating_point() else output
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return type(output)(*map(_float32, output))
    return type(output)(map(_float32, output)) if isinstance(output, tuple | list) else output


def _count(optimizer: torch.optim.Optimizer, *_: object) -> None:
    """Count a step where the others do, in the state of the first weight."""
    state = optimizer.state[optimizer.param_groups[0]["params"][0]]
    state.setdefault("step", torch.zeros(())).add_(1)


@dataclass(frozen=True)
class Work:
    """What an engine did: columns of the `jobs` table.

    `steps` are the optimizer's own count. `note` says how, and why, it ran otherwise than its name
    says.
    `skipped_flops_per_step` is arithmetic on pixels of 0 that it left out, on average over the
    split. `loading_s` is how long training waited for a data loader; None without one.
    """

    steps: int
    kernels: str = "torch"
    note: str = ""
    skipped_flops_per_step: int = 0
    loading_s: float | None = None


class Learner:
    """A model that learns by torch's own means, autograd and its optimizers.

    `clip` is the largest norm of its gradients all together, 0 for any.
    """

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, loss: Loss, clip: float = 0.0
    ) -> None:
        self.model, self.optimizer, self.loss, self.clip = model, optimizer, loss, clip

    def step(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Take a training step; the loss before it."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(inputs, targets)
        loss.backward()
        clip_gradient(self.model, self.clip)
        self.optimizer.step()
        return loss.detach()


class Engine:
    """One way to execute training steps; its methods are called in the order they stand in."""

    optimizer: torch.optim.Optimizer | None = None  # set by `load` or `compile` at the latest
    kernels = "torch"

    def __init__(self, setup: Setup) -> None:
        self.setup, self.images, self.epoch = setup, setup.images, 0

    def load(self) -> None:
        """Bring the training split, all of it, to where the engine reads it. Timed as `data`."""
        self.images = self.setup.images.to(self.setup.device)

    def compile(self) -> None:
        """Compile or capture what the steps need, if this engine does. Timed as `compile`."""

    def warm_up(self) -> None:
        """Make device and libraries ready, leaving model and optimizer as they were."""
        raise NotImplementedError

    def train_epoch(self) -> Tensor:
        """Take every step of the next epoch; give the mean of its losses, float64, unread."""
        steps = self.setup.steps_per_epoch
        total = self._train(self.epoch, steps)
        self.epoch += 1
        return torch.as_tensor(total / steps, dtype=torch.float64)

    def work(self) -> Work:
        """What it has done so far."""
        return Work(steps_taken(self.optimizer), self.kernels)

    def _train(self, epoch: int, steps: int) -> Tensor | float:
        """Take the first `steps` steps of `epoch`, counted from 0; the sum of their losses."""
        raise NotImplementedError

    def _steps(self, learner: Learner, epoch: int, steps: int) -> Tensor:
        """`_train` for a learner. Nothing here waits for the device."""
        total = torch.zeros((), dtype=torch.float64, device=self.setup.device)
        for rate, inputs, targets in self.setup.batches(self.images, epoch, steps):
            learner.optimizer.param_groups[0]["lr"] = rate
            total += learner.step(inputs, targets)
        return total


def clip_gradient(model: nn.Module, norm: float) -> None:
    """Scale the gradients of `model` down to `norm`, all together, if they exceed it; 0: never."""
    if norm:
        nn.utils.clip_grad_norm_(model.parameters(), norm)


def steps_taken(optimizer: torch.optim.Optimizer | None) -> int:
    """Training steps as the optimizer itself has counted them."""
    states = optimizer.state.values() if optimizer else ()
    return max((int(state["step"]) for state in states if "step" in state), default=0)


def create(setup: Setup) -> Engine:
    """The engine that the job names, ready for `load`.

    Raises:
        RequestError: there is no such engine for device and precision, or it cannot train the
            model.
    """
    job = setup.job
    why = unsupported(job.engine, setup.device.type, job.precision)
    why = why or untaught(job.engine, protocols.plain(job))
    if not why and own_loss(setup.model) and ENGINES[job.engine].only_mse:
        why = (
            f"engine {job.engine!r} trains by the mean squared error, and this model has a loss of"
            " its own; use --engine eager"
        )
    if why:
        raise RequestError(why)
    if why := lacking(job.engine, job.precision):
        raise unavailable(job.engine, why, job.precision)
    engine: Engine = import_module(f"aebench.engines.{job.engine}").create(setup)
    return engine
