"""The part of a record that is known before a job starts, shared by worker and executor.

The executor needs it for jobs that leave no record themselves: killed, timed out, skipped. No
torch here, so that the process that only watches workers stays light.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aebench import machine, protocols
from aebench.job import Job
from aebench.store import Record, Row


@dataclass(frozen=True)
class Circumstances:
    """What a record says besides the job: where, beside what, and for whom it ran.

    `device` is torch's name for where to compute (``cpu``, ``cuda:1``); `threads` None leaves
    torch's own choice; `data` is the folder of the data cache, None for the default one.
    `position` is the job's place in the order of its run, from 1.
    """

    device: str = "cpu"
    threads: int | None = None
    concurrent: bool = False
    data: Path | None = None
    command: str = ""
    position: int | None = None


def starting_row(job: Job, where: Circumstances, started_at: datetime | None = None) -> Row:
    """Columns of the `jobs` table that are known when `job` starts, which is now without a time."""
    return {
        **dataclasses.asdict(job),
        "key": job.key,
        "modified": job.modified,
        "settings_from": protocols.chosen_by(job.protocol, job.architecture),
        "concurrent": where.concurrent,
        "command": where.command,
        "position": where.position,
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
) -> Record:
    """The record of a job whose worker could not write one; `started_at` None is now."""
    row = starting_row(job, where, started_at) | machine.describe()
    return Record(job=row | {"status": status, "reason": reason, "total_s": total_s})
