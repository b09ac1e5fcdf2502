"""Local executor: persistent worker processes, one job (or group) at a time, all killable.

Written here rather than taken from a pool library: `joblib` and `concurrent.futures` give up
all jobs when one worker dies, and none passes progress on while a job runs, which is how a
hard timeout, a crash or a kill stays the fate of one job only, or of one group of jobs that are
trained as one model (see `groups`). A group is told job by job, in a slot for each.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path

from aebench import machine
from aebench.executors import Ending, Listener, child
from aebench.executors.groups import grouped
from aebench.job import Job
from aebench.records import Circumstances, ended_without_record
from aebench.store import Store

_POLL_S = 0.25
_HEALTHY = ("ok", "diverged", "skipped")  # endings after which a worker may take another job


class WorkerStartError(RuntimeError):
    """A worker process ended before it could take a job; its own words are on stderr."""


@dataclass(frozen=True)
class Options:
    """How to run: `workers` processes, `timeout_s` per job, CUDA jobs on torch's device `cuda`.

    `threads` per worker defaults to an equal share of the cores. A group of jobs that are
    trained together has the time of all its jobs.
    """

    cuda: str = "cuda"
    workers: int = 1
    timeout_s: float | None = None
    threads: int | None = None
    data: Path | None = None
    command: str = ""
    plugins: tuple[str, ...] = ()


@dataclass
class _Worker:
    """One slot: its process, and the jobs it has in hand by their place in their group."""

    process: SpawnProcess
    pipe: Connection
    ready: bool = False
    jobs: dict[int, Job] = field(default_factory=dict)
    limit_s: float | None = None
    failed: bool = False
    since: float = field(default_factory=time.monotonic)


@dataclass
class _Stop:
    """How often the user has pressed Ctrl-C."""

    asked: int = 0


def run(
    jobs: Sequence[Job], store: Store, options: Options, listener: Listener | None = None
) -> bool:
    """Run `jobs`, leaving a record of each in `store`; False if the user stopped it early.

    The first Ctrl-C lets running jobs finish, the second kills them; a killed one leaves no
    record then, and is simply missing.

    Raises:
        WorkerStartError: no worker could be started.
        RequestError: the store cannot be written any more; what it holds stays.
    """
    pool = _Pool(deque(grouped(jobs)), store, options, listener or _Silent())
    with _interruptible(pool.stop):
        try:
            pool.serve()
        finally:
            pool.close()
    store.compact()
    return not pool.stop.asked


class _Pool:
    def __init__(
        self, todo: deque[list[Job]], store: Store, options: Options, listener: Listener
    ) -> None:
        self.todo, self.store, self.options, self.listener = todo, store, options, listener
        jobs = (job for group in todo for job in group)
        self.positions = {job: place for place, job in enumerate(jobs, start=1)}
        self.stop = _Stop()
        self._told = False
        slots = min(options.workers, len(todo))
        # With fewer jobs than workers, those that run share the machine's cores all the same.
        self.where = Circumstances(
            threads=options.threads or max(1, machine.cores() // max(1, slots)),
            concurrent=slots > 1,
            data=options.data,
            command=options.command,
        )
        self.workers: dict[int, _Worker] = {}
        self.slots = slots

    def serve(self) -> None:
        """Keep the slots busy until no job is left or the user wants no more."""
        for slot in range(self.slots):
            self.workers[slot] = self._spawn()
        while self.workers:
            if self.stop.asked > 1:
                return
            if self.stop.asked and not self._told:
                self._told = True
                self.listener.stopping(sum(len(w.jobs) for w in self.workers.values()))
            for slot in list(self.workers):
                self._attend(slot)
            self.listener.tick()
            wait([w.pipe for w in self.workers.values()], timeout=_POLL_S)

    def close(self) -> None:
        """End every worker that is left, at once."""
        for worker in self.workers.values():
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self.workers.clear()

    def _where(self, job: Job) -> Circumstances:
        device = self.options.cuda if job.device == "cuda" else "cpu"
        return dataclasses.replace(self.where, device=device, position=self.positions[job])

    def _spawn(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=child.main, args=(theirs, self.store.path, self.options.plugins), daemon=True
        )
        with _ignoring_sigint():  # inherited by the child until it takes care of itself
            process.start()
        theirs.close()
        return _Worker(process, ours)

    def _attend(self, slot: int) -> None:
        """Read what a worker has said, mind its time, and give it the next job."""
        worker = self.workers[slot]
        alive = self._listen(slot, worker)
        if self.workers.get(slot) is not worker:
            return  # its job failed, and a fresh worker, or none, has its place
        limit = worker.limit_s
        if worker.jobs and limit and time.monotonic() - worker.since > limit:
            worker.process.kill()
            reason = f"stopped after {limit:g} s, the limit set by --timeout"
            self._replace(slot, worker, "timed_out", reason)
        elif not alive:
            worker.process.join()
            if not worker.ready:
                raise WorkerStartError(
                    f"a worker process ended with {_exit(worker)} before it took a job;"
                    " see what it wrote to stderr above"
                )
            self._replace(slot, worker, "killed", f"the worker process ended with {_exit(worker)}")
        elif worker.ready and not worker.jobs:
            if self.todo and not self.stop.asked:
                group = self.todo.popleft()
                worker.jobs, worker.since = dict(enumerate(group)), time.monotonic()
                each = self.options.timeout_s
                worker.limit_s = each * len(group) if each else None
                with contextlib.suppress(ConnectionError):  # found dead at the next visit
                    worker.pipe.send((group, self._where(group[0])))
                for place, job in worker.jobs.items():
                    self.listener.started(self._slot(slot, place), job)
            else:
                self._dismiss(slot)

    def _listen(self, slot: int, worker: _Worker) -> bool:
        """Take in every waiting message; False once the worker is dead and has said all."""
        try:
            while worker.pipe.poll():
                kind, *content = worker.pipe.recv()
                if kind == "ready":
                    worker.ready = True
                elif kind == "unwritable":
                    raise content[0]
                elif kind == "epoch":
                    place, *told = content
                    self.listener.epoch(self._slot(slot, place), worker.jobs[place], *told)
                elif kind == "ended":
                    place, ending = content
                    worker.failed |= ending.status not in _HEALTHY
                    self._ended(slot, worker, place, ending)
                    if worker.failed and not worker.jobs:
                        # What failed may have left the process in any state: start afresh.
                        self._dismiss(slot)
                        self._refill(slot)
                        return True
        except (EOFError, ConnectionError):
            return False
        return True

    def _slot(self, slot: int, place: int) -> int:
        """What a listener is told as the slot of the job at `place` in a group."""
        return slot + place * self.slots

    def _ended(self, slot: int, worker: _Worker, place: int, ending: Ending) -> None:
        job = worker.jobs.pop(place)
        self.store.compact(force=False)
        self.listener.ended(self._slot(slot, place), job, ending)

    def _replace(self, slot: int, worker: _Worker, status: str, reason: str) -> None:
        """Record the jobs of a worker that is dead or killed, and put a new one in its place."""
        took = (time.monotonic() - worker.since) / max(1, len(worker.jobs))
        for place, job in list(worker.jobs.items()):
            # It may have died after its record was on disk; that record then stands.
            if not self.store.holds(job.key):
                self.store.write(
                    ended_without_record(job, self._where(job), status, reason, total_s=took)
                )
            self._ended(slot, worker, place, Ending(status, reason))
        self._dismiss(slot)
        self._refill(slot)

    def _refill(self, slot: int) -> None:
        if self.todo and not self.stop.asked:
            self.workers[slot] = self._spawn()

    def _dismiss(self, slot: int) -> None:
        worker = self.workers.pop(slot)
        worker.pipe.close()  # an idle worker ends by itself when its pipe closes
        worker.process.join(timeout=5)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()


def _exit(worker: _Worker) -> str:
    code = worker.process.exitcode
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = "; out of memory is the usual cause" if name == "SIGKILL" else ""
        return f"signal {-code} ({name}{hint})"
    return f"exit code {code}"


@contextlib.contextmanager
def _ignoring_sigint() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _interruptible(stop: _Stop) -> Iterator[None]:
    """Count Ctrl-C in `stop` rather than raise, for as long as workers are running."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def asked(_signal: int, _frame: object) -> None:
        stop.asked += 1

    before = signal.signal(signal.SIGINT, asked)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Silent:
    """A listener that does nothing, for the Python interface."""

    def started(self, slot: int, job: Job) -> None: ...
    def epoch(self, slot: int, job: Job, epoch: int, train_mse: float) -> None: ...
    def ended(self, slot: int, job: Job, ending: Ending) -> None: ...
    def tick(self) -> None: ...
    def stopping(self, running: int) -> None: ...
