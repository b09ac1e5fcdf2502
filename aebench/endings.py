"""How a job ended: from what was raised to a status and a reason that a table can hold.

A reason is one printable line of bounded length, whatever a model's own code chose to raise.
"""

from __future__ import annotations

from pathlib import Path

import torch

from aebench.errors import RequestError, printable
from aebench.store import Row

_MOST_REASON = 500  # characters: a sentence and a place, not whatever a model chose to say


class Diverged(Exception):
    """The training loss is no longer a finite number."""


class Implausible(Exception):
    """The job ended, but cannot have done what it was asked to."""


def ending(error: BaseException) -> Row:
    """Status and reason, as columns, of a job that `error` has ended."""
    text = _text(error)
    memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
    if isinstance(error, Diverged):
        status, reason = "diverged", text
    elif isinstance(error, Implausible | RequestError):
        status, reason = "failed", text
    elif memory or "can't allocate memory" in text:
        status, reason = "out_of_memory", text.partition("\n")[0] or type(error).__name__
    else:
        status, reason = "failed", _describe(error, text)
    return {"status": status, "reason": printable(reason, _MOST_REASON)}


def _text(error: BaseException) -> str:
    """What an error says, whatever its own code does when it is asked."""
    try:
        return str(error).strip()
    except BaseException:
        return f"{type(error).__name__} that cannot be put into words"


def _describe(error: BaseException, text: str) -> str:
    """Type, message and the place in the code, on one line: enough to find a defect."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        place = f" ({Path(code.co_filename).name}:{trace.tb_lineno} in {code.co_name})"
        trace = trace.tb_next
    first = text.partition("\n")[0]
    room = _MOST_REASON - len(place) - len(type(error).__name__) - 2
    said = f": {printable(first, room)}" if first else ""
    return f"{type(error).__name__}{said}{place}"
