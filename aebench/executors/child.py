"""A worker process: takes jobs from its standard input, runs them, stores their records.

torch and the data are loaded once per process, not once per job. The record is on disk before
the parent hears of it, so that the death of the parent loses no finished job. Messages are JSON,
a line each: what models print goes to standard error, and nothing that they say is executed.
A `keeper` sees to it that a worker, and what its models start, does not outlive the run.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

from aebench import executors
from aebench.executors import keeper

_CHANNEL = 900  # a high number, where code that closes the files it knows of does not find it
_WATCH_S = 1.0
# torch loads its compiler at the first step of an optimizer, whatever is compiled: three seconds.
_IMPORTS = ("torch._dynamo", "aebench.worker", "aebench.executors.warming")


def main(told: dict[str, Any]) -> NoReturn:
    """Serve jobs until standard input closes; `told` is what `processes.Worker` said first.

    With ``forks`` every job has a process of its own, forked after the imports that take seconds.
    """
    tell = _Channel()
    if sys.platform == "win32":  # no forks: who wants another process starts one
        threading.Thread(target=_watch, args=(told["parent"],), daemon=True).start()
        _work(told, tell, islice(_asked(tell), 1) if told["forks"] else _asked(tell))
    tasks = ([line] for line in _asked(tell)) if told["forks"] else [_asked(tell)]
    keeper.keep(
        told["parent"],
        tasks,
        lambda lines: _work(told, tell, lines),
        lambda lines, code: tell("gone", code=code, key=_key(lines) if told["forks"] else ""),
    )


def _asked(tell: _Channel) -> Iterator[dict[str, Any]]:
    """What the run asks for, once this process has imported all that it needs."""
    from aebench import interference

    with interference.computing():
        for name in _IMPORTS:
            importlib.import_module(name)
    tell("ready")
    for line in sys.stdin.buffer:
        yield json.loads(line)


def _key(lines: Iterable[dict[str, Any]]) -> str:
    from aebench.job import Job

    (line,) = lines
    return Job(**line["job"]).key


def _work(told: dict[str, Any], tell: _Channel, asked: Iterable[dict[str, Any]]) -> NoReturn:
    # Ctrl-C reaches the whole process group; only the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    executors.in_worker = True
    try:
        serve(Path(told["results"]), tell, asked)
    except ParentGone:
        pass
    except BaseException as error:
        from aebench.errors import printable

        with contextlib.suppress(Exception):
            tell("unable", reason=printable(f"{type(error).__name__}: {error}", 500))
        os._exit(1)
    os._exit(0)  # no thread and no exit handler of a model's is waited for


def _watch(parent: int) -> NoReturn:
    """End this process with its parent, where there is no keeper to do so."""
    import psutil

    while psutil.pid_exists(parent):
        time.sleep(_WATCH_S)
    os._exit(0)


def serve(results: Path, tell: _Channel, asked: Iterable[dict[str, Any]]) -> None:
    """Run the jobs that are asked for, and leave a record of each in `results`."""
    from aebench import interference, worker
    from aebench.errors import RequestError
    from aebench.executors import Ending
    from aebench.executors.warming import warm_process
    from aebench.job import Job
    from aebench.records import Circumstances
    from aebench.store import Store, kept

    store, warm = Store(results), False
    for told in asked:
        job = Job(**told["job"])
        where = Circumstances(**told["where"] | {"data": told["data"] and Path(told["data"])})
        try:
            with interference.computing():
                if not warm:
                    warm_process()
                    warm = True
                _import(told["code"])
                with contextlib.suppress(Exception):  # `run_job` meets it again
                    worker.prepare(job, where)
            tell("started")
            record = worker.run_job(job, where, tell.epoch, results)
        except ParentGone:
            raise
        # What a plugin raises as it is imported, or a model that is no Exception; and Ctrl-C,
        # which this process ignores, can only be a model's own.
        except BaseException as error:
            record = worker.unprepared(job, where, error)
        try:
            store.write(record)
        except RequestError as error:
            tell("unwritable", reason=str(error))
            continue
        kept.remove_checkpoint(results, job.key)
        tell("ended", **asdict(Ending.of(record.job)))


def _import(code: dict[str, Any] | None) -> None:
    """Import what a job needs that is not ours.

    Raises:
        RequestError: it fails when imported.
    """
    if code is not None:
        from aebench.executors import carried
        from aebench.plugins import load_plugins

        load_plugins(code["files"], code["modules"])
        if code["carried"]:
            carried.unpack(code["carried"])


class ParentGone(BaseException):
    """Nobody waits for the rest of the job, and nothing is stored of it: it is no failure."""


class _Channel:
    """What this process tells its parent, on what was its standard output."""

    def __init__(self) -> None:
        sys.stdout.flush()
        self._file = os.fdopen(_duplicate(1, _CHANNEL), "wb", buffering=0)
        os.dup2(2, 1)  # what a model prints is no message

    def __call__(self, kind: str, **content: Any) -> None:
        try:
            # A line of its own, also after one that a dying worker could not finish.
            self._file.write(b"\n" + json.dumps({"kind": kind, **content}).encode() + b"\n")
        except OSError as error:
            raise ParentGone from error

    def epoch(self, epoch: int, train_mse: float, _val_mse: float) -> None:
        """Tell of an epoch."""
        self("epoch", epoch=epoch, train_mse=train_mse)


def _duplicate(number: int, least: int) -> int:
    if sys.platform == "win32":
        return os.dup(number)
    import fcntl

    try:
        return fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, least)
    except OSError:  # the system grants fewer files than that
        return os.dup(number)
