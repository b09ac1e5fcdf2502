"""What an optimizer has learnt, as plain tensors, and given back to one that begins.

Every engine leaves its optimizer's state where torch's own optimizers keep it, or hands it to
other code by address. So what is there already is written in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

_Place = tuple[Tensor, dict[str, Any], bool]


def _places(optimizer: torch.optim.Optimizer) -> dict[str, _Place]:
    """Each parameter, its state, and whether its count of steps lies on its device, by number."""
    groups = [(group, p) for group in optimizer.param_groups for p in group["params"]]
    return {
        str(i): (p, optimizer.state[p], bool(group.get("fused") or group.get("capturable")))
        for i, (group, p) in enumerate(groups)
    }


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Every tensor of the state, named by the number of its parameter and its own name."""
    return {
        f"{number}/{name}": value
        for number, (_, state, _) in _places(optimizer).items()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer the state that `optimizer_state` has told of one made like it.

    Raises:
        ValueError: it is the state of another optimizer.
    """
    places = _places(optimizer)
    for full_name, saved in tensors.items():
        number, _, name = full_name.partition("/")
        if number not in places:
            raise ValueError(f"no parameter {number} in this optimizer")
        parameter, state, steps_on_device = places[number]
        if name not in state and saved.shape == parameter.shape:
            state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        elif name not in state:  # a count of steps, where torch's own optimizers would make it
            state[name] = saved.to(parameter.device if steps_on_device else "cpu", copy=True)
        if state[name].shape != saved.shape:
            raise ValueError(f"{full_name} is {list(saved.shape)}, not {list(state[name].shape)}")
        with torch.no_grad():
            state[name].copy_(saved)
