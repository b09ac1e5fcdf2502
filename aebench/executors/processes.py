"""Worker processes as a run sees them: started, spoken to, listened to, ended.

What is said is JSON, a line each, over the worker's standard input and output. A worker is started
by a command of its own and imports nothing of the program that runs us, so that a script without
a main guard, a notebook and a program read from standard input can all start one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aebench import architectures, datasets, fingerprint
from aebench.datasets import catalogue
from aebench.executors import carried
from aebench.job import Job
from aebench.plugins import is_plugin
from aebench.records import Circumstances

_END_S = 3.0  # a keeper needs some tenths of a second to end a worker and all that it started
_START = (
    "import json, sys; told = json.loads(sys.stdin.buffer.readline());"
    " sys.path[:] = told['sys_path']; from aebench.executors.child import main; main(told)"
)


@dataclass(frozen=True)
class ForeignCode:
    """What a worker needs that is not ours: plugin files, modules by name, `carried` code."""

    files: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    carried: str = ""


class Worker:
    """A process that takes one job after another; with `forks`, each in a fork of its own.

    `said` holds its messages as they come in; `news` is set with each, and when it has ended.

    Raises:
        OSError: the system starts no process.
    """

    lost = False  # with this machine we should be gone as well

    def __init__(self, results: Path, forks: bool, folder: Path, news: threading.Event) -> None:
        self.said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.ready = False  # it has said so
        self._news = news
        self._code: int | None = None
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            start_new_session=True,  # so that Ctrl-C reaches the run alone, which decides
        )
        self._send(
            {
                "sys_path": [str(folder) if entry == "" else entry for entry in sys.path],
                "parent": os.getpid(),
                "results": str(results),
                "forks": forks,
            }
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def give(self, job: Job, where: Circumstances, code: ForeignCode | None) -> None:
        """Hand a job over, with what it needs that is not ours; of a dead worker `ended` tells."""
        told = dataclasses.asdict(where) | {"data": None}
        data = where.data and str(where.data)
        needs = code and dataclasses.asdict(code)
        self._send({"job": dataclasses.asdict(job), "where": told, "data": data, "code": needs})

    @property
    def ended(self) -> bool:
        """Whether the process is gone and everything that it said is in `said`."""
        if self._process.poll() is None and self._reader.is_alive():
            return False
        self.end()
        return True

    @property
    def exit(self) -> str:
        """How an ended worker ended, in words."""
        code = self._process.returncode if self._code is None else self._code
        if code < 0:
            name = signal.Signals(-code).name
            hint = "; out of memory is the usual cause" if name == "SIGKILL" else ""
            return f"signal {-code} ({name}{hint})"
        return f"exit code {code}"

    def end(self) -> None:
        """End the process at once, with all that it started."""
        with contextlib.suppress(OSError):
            self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_END_S)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # what a killed keeper has left
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._reader.join(timeout=_END_S)
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(OSError, ValueError), self._process.stdout as lines:
            for line in lines:
                with contextlib.suppress(ValueError):  # what a dying worker could not finish
                    message = json.loads(line)
                    if message["kind"] == "gone":
                        self._code = message["code"]
                    self.said.put(message)
                self._news.set()
        self._news.set()


def foreign_code(job: Job, files: tuple[str, ...]) -> ForeignCode | None:
    """What a worker needs for a job whose model or data is not ours, besides `files`.

    None for a job that is all ours.

    Raises:
        RequestError: there is no such architecture, or it cannot be sent to a worker.
    """
    ours = architectures.is_ours(job.architecture), datasets.is_ours(job.dataset)
    if all(ours):
        return None
    made = (architectures.get(job.architecture).build, catalogue.loader(job.dataset))
    modules = [fingerprint.module_of(m) for m, own in zip(made, ours, strict=True) if m and not own]
    named = [name for name in modules if name != "__main__" and not is_plugin(name)]
    return ForeignCode(files, tuple(named), carried.packed(job))
