"""A worker process: takes jobs from a pipe, runs them, stores their records.

torch and the data are loaded once per process, not once per job. The record is on disk before
the parent hears of it, so that the death of the parent loses no finished job.
"""

from __future__ import annotations

import os
import signal
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from aebench.executors import Ending
from aebench.store import Store


def main(pipe: Connection, results: Path, plugins: tuple[str, ...]) -> None:
    """Serve jobs until the pipe closes."""
    # Ctrl-C reaches the whole process group; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from aebench.errors import RequestError
    from aebench.plugins import load_plugins
    from aebench.worker import run_jobs, warm_process

    load_plugins(plugins)
    warm_process()
    store = Store(results)
    try:
        pipe.send(("ready",))
        while True:
            jobs, where = pipe.recv()
            for place, record in enumerate(run_jobs(jobs, where, partial(_tell_epoch, pipe))):
                try:
                    store.write(record)
                except RequestError as error:
                    pipe.send(("unwritable", error))
                    continue
                row = record.job
                ending = Ending(
                    row["status"],
                    row["reason"],
                    row.get("study_error"),
                    row.get("mse"),
                    row.get("train_s"),
                )
                pipe.send(("ended", place, ending))
    except (EOFError, ConnectionError):
        _stop()


def _tell_epoch(
    pipe: Connection, place: int, epoch: int, train_mse: float, _val_mse: float
) -> None:
    try:
        pipe.send(("epoch", place, epoch, train_mse))
    except ConnectionError:
        # Not as an exception: it would end the job, and be stored as the job's own failure.
        _stop()


def _stop() -> NoReturn:
    os._exit(0)  # the parent is gone, and nobody waits for the rest of this job
