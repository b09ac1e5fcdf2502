"""Protocols: everything about training that is not the model, under a name.

`study` is the study's own, the same for every architecture. `tuned` was chosen for each family
by a search on validation error (`aebench/grids/search.toml`, then `aebench tune`); its figures
lie in `tuned.toml` beside this file, with the search that they come from. No torch here.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from aebench.errors import RequestError, unknown

NAMES = ("study", "tuned")
SCHEDULES = ("constant", "cosine")
ORDERS = ("fixed", "shuffled")
TUNED = Path(__file__).with_name("tuned.toml")


@dataclass(frozen=True)
class Protocol:
    """Adam on the mean squared error over all elements of a batch; partial batches are dropped.

    `schedule` is how the learning rate goes on from `learning_rate`: ``constant``, or ``cosine``
    down to zero at the last step. `order` is ``fixed``, images pass in the order of the split in
    every epoch, or ``shuffled``, in a new order each epoch.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str = "constant"
    order: str = "fixed"


_STUDY = Protocol(epochs=15, batch_size=128, learning_rate=1e-4)


def settings(name: str, architecture: str) -> Protocol:
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
    return Protocol(**{f.name: table[f.name] for f in dataclasses.fields(Protocol)})


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


def learning_rate(protocol_rate: float, schedule: str, step: int, steps: int) -> float:
    """Learning rate of training step `step` of `steps`, counted from 0.

    ``cosine`` is I. Loshchilov, F. Hutter: SGDR (ICLR 2017), equation 5, with one period and no
    restart, from `protocol_rate` to 0.
    """
    if schedule == "cosine":
        return protocol_rate * 0.5 * (1 + math.cos(math.pi * step / steps))
    return protocol_rate


@cache
def _tuned() -> dict[str, Any]:
    return tomllib.loads(TUNED.read_text("utf-8")) if TUNED.is_file() else {}
