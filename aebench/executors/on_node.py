"""What runs on a node of a Ray cluster: an actor that has workers there and passes on their words.

A worker here is the very one of a local run (`processes.Worker`), with its keeper, so that jobs end
in the same ways. It stores its records in a folder of the node's, and the actor sends every file
along with the message that tells of it. Ray is not imported here: what Ray needs to know of the
class, `on_ray` says.
"""

from __future__ import annotations

import itertools
import os
import platform
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aebench
from aebench import machine
from aebench.datasets import cache_directory, shipping
from aebench.datasets.shipping import Parcel
from aebench.errors import RequestError
from aebench.executors.processes import ForeignCode, Worker
from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Row
from aebench.store.files import PARTS
from aebench.store.kept import WEIGHTS

_LISTEN_S = 0.25
Fetch = Callable[[Any], Mapping[str, bytes]]


class Node:
    """Workers on this machine for a run on another, which calls these methods from afar."""

    def __init__(self, version: str, fetch: Fetch) -> None:
        """`version` is the run's own of aebench; `fetch` gets what the run has put for nodes."""
        self._unfit = ""
        if version != aebench.__version__:
            self._unfit = (
                f"the node {platform.node()} has aebench {aebench.__version__}, and the run has"
                f" {version}; install the same on both"
            )
        self._fetch = fetch
        self._folder = Path(tempfile.mkdtemp(prefix="aebench-node-"))
        self._results = self._folder / "results"
        (self._results / PARTS).mkdir(parents=True)
        self._workers: dict[int, tuple[Worker, threading.Event]] = {}
        self._numbers = itertools.count(1)
        self._plugins: dict[str, str] = {}  # where a plugin of the run's lies here

    def prepare(self, parcels: Sequence[tuple[Parcel, Any]], plugins: Mapping[str, bytes]) -> Row:
        """Get data and plugin files here; gives what records say of this machine.

        Raises:
            RequestError: the data cannot be kept here, or this aebench is another one.
        """
        if self._unfit:
            raise RequestError(self._unfit)
        for parcel, content in parcels:
            shipping.unpack(parcel, partial(self._fetch, content), cache_directory())
        for number, (file, source) in enumerate(plugins.items()):
            # Two plugins may have one name, and each finds what is beside it, which is nothing.
            here = self._folder / f"plugin-{number}" / Path(file).name
            here.parent.mkdir(exist_ok=True)
            here.write_bytes(source)
            self._plugins[file] = str(here)
        return machine.describe()

    def start(self, forks: bool) -> int:
        """Start a worker, and give the number by which it is known.

        Raises:
            OSError: the system starts none.
        """
        number, news = next(self._numbers), threading.Event()
        self._workers[number] = Worker(self._results, forks, self._folder, news), news
        return number

    def give(self, number: int, job: Job, where: Circumstances, code: ForeignCode | None) -> None:
        """Hand a job to a worker."""
        if code is not None:
            code = replace(code, files=tuple(self._plugins[file] for file in code.files))
        self._workers[number][0].give(job, replace(where, data=cache_directory()), code)

    def messages(self, number: int) -> Iterator[dict[str, Any]]:
        """All that a worker says, each with the files that have come; at last how it ended."""
        worker, news = self._workers[number]
        while True:
            ended = worker.ended  # asked first, so that no message comes in between unheard
            news.clear()
            while not worker.said.empty():
                message = worker.said.get()
                if message["kind"] == "gone":  # a fork of it: how that ended, the worker knows
                    message["how"] = worker.exit
                late = message["kind"] in ("ended", "gone")
                yield message | {"files": self._taken() if late else {}}
            if ended:
                break
            news.wait(_LISTEN_S)
        del self._workers[number]
        # A worker may have died between its record and its word of it.
        yield {"kind": "exit", "how": worker.exit, "files": self._taken()}

    def end(self, number: int) -> None:
        """End a worker at once, with all that it started."""
        if found := self._workers.get(number):
            found[0].end()

    def leave(self) -> None:
        """Remove what was kept here for the run; the data stays for the next."""
        for worker, _ in list(self._workers.values()):
            worker.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _taken(self) -> dict[str, bytes]:
        """Files that jobs have left, by their place in the results folder; they are gone then."""
        found = {}
        for kind in (WEIGHTS, PARTS):  # as a worker does: weights first, then the record of them
            for path in sorted((self._results / kind).glob("[!.]*")):
                found[f"{kind}/{path.name}"] = path.read_bytes()
                os.unlink(path)
        return found
