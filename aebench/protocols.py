"""Protocols: everything about training that is not the model, under a name.

`study` is the study's own, the same for every architecture. `tuned` was chosen for each family
by a search on validation error (`aebench/grids/search.toml`, then `aebench tune`); its settings
lie in `tuned.toml` beside this file, with the search that they come from. A file that `aebench
tune` has written for its user is no protocol of its own: its settings are those of jobs that
depart from `study`, and are shown as such. No torch here.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from aebench.errors import RequestError, unknown

ABOUT = {
    "study": "the study's own settings, the same for every architecture",
    "tuned": "settings chosen for each family by a search on validation error (`aebench tune`)",
}
NAMES = tuple(ABOUT)
SCHEDULES = ("constant", "cosine")
ORDERS = ("fixed", "shuffled")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")
"""Those of `torch.optim`, at its defaults for all that is no field of `TrainingSettings`."""
# What a file of settings must say; of the rest those that are not there have their default.
_NEEDED = ("epochs", "batch_size", "learning_rate", "schedule", "order")
_WITH_MOMENTUM = ("sgd", "rmsprop")
TUNED = Path(__file__).with_name("tuned.toml")


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


_STUDY = TrainingSettings(epochs=15, batch_size=128, learning_rate=1e-4)


def settings(name: str, architecture: str) -> TrainingSettings:
    """The settings of protocol `name` for a family of architectures.

    Raises:
        RequestError: there is no such protocol, or no search has chosen settings for the family.
    """
    if name == "study":
        return _STUDY
    if name != "tuned":
        raise RequestError(unknown("protocol", name, NAMES))
    table = _tuned().get(architecture)
    if not isinstance(table, Mapping):
        known = ", ".join(k for k, v in _tuned().items() if isinstance(v, Mapping)) or "none"
        raise RequestError(
            f"no tuned settings for architecture {architecture!r} (there are: {known}); say"
            " --epochs, --learning-rate, --schedule and --order with --protocol study instead, or"
            " run the search with it: aebench run --grid search --architecture NAME, aebench tune"
        )
    names = [f.name for f in dataclasses.fields(TrainingSettings)]
    return TrainingSettings(**{name: table[name] for name in names if name in table})


def is_file(name: str) -> bool:
    """Whether `name` means a file of settings rather than a protocol."""
    return name.lower().endswith(".toml")


def from_file(path: Path, architecture: str) -> TrainingSettings:
    """The settings for a family of architectures in a file that `aebench tune` has written.

    Raises:
        RequestError: the file cannot be read, or holds no sound settings for the family.
    """
    table = read(path).get(architecture)
    names = [f.name for f in dataclasses.fields(TrainingSettings)]
    if not isinstance(table, Mapping):
        raise RequestError(f"{path} holds no settings for architecture {architecture!r}")
    if missing := [name for name in _NEEDED if name not in table]:
        raise RequestError(f"{path}, [{architecture}]: {', '.join(missing)} not given")
    return TrainingSettings(**{name: table[name] for name in names if name in table})


def read(path: Path) -> dict[str, Any]:
    """The tables of a file of settings.

    Raises:
        RequestError: it is not there, cannot be read, or is not TOML.
    """
    try:
        return _tables(path, path.stat().st_mtime_ns)  # asked for every job of a grid
    except FileNotFoundError:
        raise RequestError(f"no file of settings at {path}; `aebench tune` writes one") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"cannot read the settings in {path}: {error}") from None


@cache
def _tables(path: Path, _changed_ns: int) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8-sig"))


def told(settings: TrainingSettings) -> dict[str, Any]:
    """What a file says of `settings`: all that is needed, and the rest where it is not usual."""
    usual = {f.name: f.default for f in dataclasses.fields(settings) if f.name not in _NEEDED}
    return {n: v for n, v in dataclasses.asdict(settings).items() if v != usual.get(n)}


def chosen_by(name: str, architecture: str) -> str:
    """Which search chose the settings of protocol `name` for a family, by grid, keys and date.

    Those of the study come from the study. Empty if nothing is tuned for the family.
    """
    if name == "study":
        return "the study"
    table = _tuned().get(architecture)
    if not isinstance(table, Mapping):
        return ""
    grid, keys, date = (str(table.get(k, "?")) for k in ("grid", "keys_sha256", "started_at"))
    return f"grid {grid}, keys {keys[:16]}, {date[:10]}"


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


@cache
def _tuned() -> dict[str, Any]:
    return tomllib.loads(TUNED.read_text("utf-8")) if TUNED.is_file() else {}
