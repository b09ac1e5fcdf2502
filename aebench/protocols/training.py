"""How a model is trained: its settings, what of them cannot go together, the learning rate."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Protocol

SCHEDULES = ("constant", "cosine")
ORDERS = ("fixed", "shuffled")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
"""Those of `torch.optim`, at its defaults for all that is no field of `TrainingSettings`."""
NEEDED = ("epochs", "batch_size", "learning_rate", "schedule", "order")
"""What a file of settings must say; of the rest those that are not there have their default."""
_WITH_MOMENTUM = ("sgd", "rmsprop")


@dataclass(frozen=True)
class TrainingSettings:
    """Adam on the mean squared error over all elements of a batch; partial batches are dropped.

    `schedule` is how the learning rate goes on from `learning_rate`: ``constant``, or ``cosine``
    down to zero at the last step. Over the first `warmup` of all steps, a share of 1, it rises in
    equal steps from near zero to `learning_rate`, and the schedule has the others. `order` is
    ``fixed``, images pass in the order of the split in every epoch, or ``shuffled``, in a new order
    each epoch.

    `optimizer` is one of `OPTIMIZERS`, of which sgd and rmsprop take a `momentum`. `weight_decay`
    is torch's: added to the gradients, but by adamw taken off the weights. Gradients whose norm,
    over all weights together, is above `clip_gradient` are scaled down to it; 0 is never.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str = "constant"
    order: str = "fixed"
    optimizer: str = "adam"
    momentum: float = 0.0
    weight_decay: float = 0.0
    warmup: float = 0.0
    clip_gradient: float = 0.0


class HowTaught(Protocol):
    """What says by which optimizer a model is trained: a job, or training settings."""

    @property
    def optimizer(self) -> str: ...
    @property
    def momentum(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def clip_gradient(self) -> float: ...


def plain(how: HowTaught) -> bool:
    """Whether a model is trained by Adam as it is, which every engine knows."""
    return how.optimizer == "adam" and not how.weight_decay and not how.clip_gradient


def contradiction(how: HowTaught) -> str:
    """What of the optimizer's settings cannot go together, and what to do; empty if all can."""
    if how.momentum and how.optimizer not in _WITH_MOMENTUM:
        return (
            f"momentum belongs to {' and '.join(_WITH_MOMENTUM)}, and optimizer {how.optimizer} has"
            " none to set; leave it out"
        )
    if how.momentum == 1:
        return "momentum 1 never forgets a gradient; give less than 1"
    return ""


STUDY = TrainingSettings(epochs=15, batch_size=128, learning_rate=1e-4)


def told(settings: TrainingSettings) -> dict[str, Any]:
    """What a file says of `settings`: all that is needed, and the rest where it is not usual."""
    usual = {f.name: f.default for f in dataclasses.fields(settings) if f.name not in NEEDED}
    return {n: v for n, v in dataclasses.asdict(settings).items() if v != usual.get(n)}


def learning_rate(
    protocol_rate: float, schedule: str, step: int, steps: int, warmup: float = 0.0
) -> float:
    """Learning rate of training step `step` of `steps`, counted from 0.

    Over the first `warmup` of the steps, a share of 1, it rises linearly to `protocol_rate`: P.
    Goyal et al.: Accurate, Large Minibatch SGD (arXiv:1706.02677, 2017), section 2.2.

    ``cosine`` is I. Loshchilov, F. Hutter: SGDR (ICLR 2017), equation 5, with one period and no
    restart, from `protocol_rate` to 0.
    """
    rising = round(warmup * steps)
    if step < rising:
        return protocol_rate * (step + 1) / rising
    step, steps = step - rising, steps - rising
    if schedule == "cosine":
        return protocol_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
    return protocol_rate
