"""How a record begins and how it ends, for worker and executor.

It begins with what is known before a job starts, which is all that jobs leave that are killed,
timed out or skipped. It ends with a status and a reason: one printable line of bounded length,
whatever a model's own code chose to raise. No torch here, so that the process that only watches
workers stays light.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from aebench import machine, protocols
from aebench.errors import RequestError, printable
from aebench.job import Job
from aebench.store import Record, Row

_MOST_REASON = 500  # characters: a sentence and a line of code, not whatever a model chose to say


class Diverged(Exception):
    """The training loss is no longer a finite number."""


class Implausible(Exception):
    """The job ended, but cannot have done what it was asked to."""


@dataclass(frozen=True)
class Circumstances:
    """What a record says besides the job: where, beside what, and for whom it ran.

    `device` is torch's name for where to compute (``cpu``, ``cuda:1``); `threads` None leaves
    torch's own choice; `data` is the folder of the data cache, None for the default one.
    `position` is the job's number in the order of its run, from 1. With `keep_weights` the trained
    model is stored beside the record; `checkpoint_s` is how often a job in training is, in seconds.
    """

    device: str = "cpu"
    threads: int | None = None
    concurrent: bool = False
    data: Path | None = None
    command: str = ""
    position: int | None = None
    keep_weights: bool = False
    checkpoint_s: float | None = None


@dataclass(frozen=True)
class Epoch:
    """A row of the `epochs` table, without its key."""

    epoch: int
    train_mse: float | None
    train_loss: float
    val_mse: float
    train_s: float
    device_train_s: float | None
    val_s: float


def process_id() -> str:
    """What tells this process from every other, on any machine, after any boot."""
    return _process_id(os.getpid())


@cache
def _process_id(pid: int) -> str:  # a fork has a number of its own, and so draws anew
    return f"{pid}-{secrets.token_hex(6)}"


def starting_row(job: Job, where: Circumstances, started_at: datetime | None = None) -> Row:
    """Columns of the `jobs` table that are known when `job` starts, which is now without a time."""
    return {
        **dataclasses.asdict(job),
        "key": job.key,
        "modified": job.modified,
        "settings_from": job.settings_from or protocols.chosen_by(job.protocol, *job.model),
        "concurrent": where.concurrent,
        "command": where.command,
        "position": where.position,
        "process_id": process_id(),
        **dict.fromkeys(("weights_sha256", "resumed", "keeping_note"), ""),
        "load_1m": machine.load_1m(),
        "started_at": (started_at or datetime.now(UTC)).isoformat(timespec="milliseconds"),
    }


def ended_without_record(
    job: Job,
    where: Circumstances,
    status: str,
    reason: str,
    total_s: float,
    started_at: datetime | None = None,
    described: Row | None = None,
) -> Record:
    """The record of a job whose worker could not write one; `started_at` None is now.

    `described` are the columns of its machine, if that is not this one.
    """
    told = machine.describe() if described is None else described
    row = starting_row(job, where, started_at) | told | {"process_id": None}
    return Record(job=row | {"status": status, "reason": reason, "total_s": total_s})


def ending(error: BaseException) -> Row:
    """Status and reason, as columns, of a job that `error` has ended."""
    text, torch = _text(error), sys.modules.get("torch")
    memory = isinstance(error, (MemoryError, *([torch.OutOfMemoryError] if torch else [])))
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
    """Type, message and file, line and function, on one line: enough to find a defect."""
    where = ""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f" ({Path(code.co_filename).name}:{trace.tb_lineno} in {code.co_name})"
        trace = trace.tb_next
    first = text.partition("\n")[0]
    room = _MOST_REASON - len(where) - len(type(error).__name__) - 2
    said = f": {printable(first, room)}" if first else ""
    return f"{type(error).__name__}{said}{where}"
