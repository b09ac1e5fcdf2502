"""Local executor: worker processes, one job at a time, all killable.

Written here rather than taken from a pool library: `joblib` and `concurrent.futures` give up
all jobs when one worker dies, and none passes progress on while a job runs, which is how a
hard timeout, a crash or a kill stays the fate of one job only. Workers are kept from job to job,
for a thousand jobs of a second are not to pay an import each; `_Process` says which jobs have
processes of their own. Several runs may share a folder: see `leases`.
"""

from __future__ import annotations

import dataclasses
import enum
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from aebench import interference, machine
from aebench.errors import RequestError
from aebench.executors import Ending, Listener, RunOptions
from aebench.executors.leases import Leases
from aebench.executors.processes import ForeignCode, Worker, foreign_code
from aebench.executors.stopping import Stop, interruptible
from aebench.job import Job
from aebench.records import Circumstances, ended_without_record
from aebench.store import Row, Store, kept

_POLL_S = 0.25
_WAIT_S = 1.0  # how often to ask whether another run has given up a job
_STARTS = 3  # attempts to start a worker, in turn, before a slot is given up
_PREPARE_S = 600.0  # for importing torch, reading plugins and measuring the device
_UNWRITTEN = "its process could not write its record, which its own code may have forbidden"
_HEALTHY = ("ok", "diverged", "skipped")  # endings after which a worker may take another job


class _Process(enum.Enum):
    """What process a job runs in."""

    KEPT = enum.auto()  # that of the jobs before it: of our code, once
    FORKED = enum.auto()  # a fork of one that has imported: of code that is not ours, which may
    # leave its process in any state
    STARTED = enum.auto()  # started for it and ended after it: one of several repeats


@dataclass
class _Slot:
    """A place for one job at a time, and its workers: one for each kind of process at most."""

    workers: dict[_Process, Worker] = field(default_factory=dict)
    process: _Process = _Process.KEPT  # for the job in hand
    foreign: bool = False  # whether the job runs code that is not ours
    job: Job | None = None
    given: bool = False  # the worker has the job
    since: float = 0.0  # when its present task began: to start, to prepare, to run the job
    running: bool = False  # the job's own time has begun
    started_at: datetime | None = None
    starts: int = 0  # that failed, in turn
    closed: bool = False

    @property
    def worker(self) -> Worker | None:
        """The worker for the job in hand."""
        return self.workers.get(self.process)


def run(
    jobs: Sequence[Job],
    store: Store,
    options: RunOptions = RunOptions(),  # noqa: B008  # frozen
    listener: Listener | None = None,
) -> bool:
    """Run `jobs`, leaving a record of each in `store`; False if the user stopped it early.

    A job that another run on the same folder is training is waited for, and trained only if that
    run gives it up without a record. The first Ctrl-C lets running jobs finish, the second kills
    them; a killed one leaves no record then, and is simply missing.

    Raises:
        RequestError: no worker could be started; or the store cannot be written any more, and what
            it holds stays; or the code of a job cannot be sent to a worker.
    """
    pool = _Pool(jobs, Store(store.path.absolute()), options, listener or Listener())
    with interruptible(pool.stop):
        try:
            pool.serve()
        finally:
            pool.close()
    pool.store.compact()
    if pool.trouble and (pool.todo or pool.elsewhere):
        raise RequestError(pool.trouble)
    return not pool.stop.asked


class _Pool:
    def __init__(
        self, jobs: Sequence[Job], store: Store, options: RunOptions, listener: Listener
    ) -> None:
        self.store, self.options, self.listener = store, options, listener
        self.todo = deque(jobs)
        # Taken at once, so that what a notebook changes during a run is no matter of this one.
        self.codes = self._codes()
        self.elsewhere: deque[Job] = deque()  # jobs that another run is training
        self.asked_at = 0.0  # when one of those was last asked for
        self.positions = {job: place for place, job in enumerate(jobs, start=1)}
        known = store.survey().jobs
        self.before = dict(zip(known["key"], known["started_at"], strict=True))
        self.statuses = dict(zip(known["key"], known["status"], strict=True))
        self.leases = Leases(store.parts)
        self.stop, self._told = Stop(), False
        self.trouble = ""
        self.folder = Path.cwd()  # before any plugin of this process may change it
        count = max(1, min(options.workers, len(jobs)))
        # With fewer jobs than workers, those that run share the machine's cores all the same.
        self.where = Circumstances(
            threads=options.threads or max(1, machine.cores() // count),
            concurrent=count > 1,
            data=options.data.absolute() if options.data else None,
            command=options.command,
            keep_weights=options.keep_weights,
            checkpoint_s=options.checkpoint_s,
        )
        self.slots = [_Slot() for _ in range(count)]
        self.news = threading.Event()

    def serve(self) -> None:
        """Keep the slots busy until no job is left or the user wants no more."""
        self.store.prepare()
        kept.remove_finished(self.store.path, self.statuses)
        while not all(slot.closed for slot in self.slots):
            if self.stop.asked > 1:
                return
            if self.stop.asked and not self._told:
                self._told = True
                self.listener.stopping(sum(slot.given for slot in self.slots))
            self.news.clear()
            for place, slot in enumerate(self.slots):
                self._attend(place, slot)
            self.listener.tick()
            self.news.wait(timeout=_POLL_S)

    def close(self) -> None:
        """End every worker that is left, at once, and give up what the run has leased."""
        for slot in self.slots:
            self._end_workers(slot)
        self.leases.close()

    def _attend(self, place: int, slot: _Slot) -> None:
        """Give a slot what it needs next: a job, a worker for it, an ear, an end."""
        if slot.job is None and not slot.closed:
            self._choose(place, slot)
        if slot.closed or slot.job is None:
            return
        worker = slot.worker or self._start(slot)
        if worker is None:
            return
        ended = worker.ended  # asked first, so that no message comes in between unheard
        if not self._listen(place, slot):
            return
        if ended:
            self._bury(place, slot, worker.exit)
        elif worker.ready and not slot.given:
            worker.give(slot.job, self._where(slot.job), self._code(slot.job))
            slot.given, slot.since, slot.started_at = True, time.monotonic(), datetime.now(UTC)
            self.listener.started(place, slot.job)
        elif self._overdue(slot):
            self._end_worker(slot)
            limit = self.options.timeout_s
            reason = f"stopped after {limit:g} s, the limit set by --timeout"
            self._record(place, slot, "timed_out", reason)
        elif not slot.given and time.monotonic() - slot.since > _PREPARE_S:
            self._bury(place, slot, f"nothing in {_PREPARE_S:g} s")

    def _choose(self, place: int, slot: _Slot) -> None:
        """Take the next job that nobody else has done or is doing."""
        while self.todo and not self.stop.asked:
            job = self.todo.popleft()
            if self.options.may_start and not self.options.may_start(job):
                continue
            if not self.leases.take(job.key):
                self.elsewhere.append(job)
            elif not self._done_elsewhere(place, job):
                self._assign(slot, job)
                return
        if self.elsewhere and not self.stop.asked:
            if time.monotonic() - self.asked_at > _WAIT_S:
                self.asked_at = time.monotonic()
                for _ in range(len(self.elsewhere)):
                    job = self.elsewhere.popleft()
                    (self.todo if self.leases.take(job.key) else self.elsewhere).append(job)
        else:
            self._end_workers(slot)
            slot.closed = True

    def _done_elsewhere(self, place: int, job: Job) -> bool:
        """Whether another run has left a record of the job since this one began."""
        row = self.store.ending(job.key)
        # A limit of time that the other run had is not this one's.
        if row is None or row["status"] == "timed_out" or not self._is_new(job, row):
            return False
        self.leases.give_up(job.key, done=True)
        self.listener.started(place, job)
        self.listener.ended(place, job, Ending.of(row, elsewhere=True))
        return True

    def _is_new(self, job: Job, row: Row) -> bool:
        """Whether a record is what this run, or one beside it, was to bring about."""
        done = row["status"] == "ok" and (row["weights_sha256"] or not self.options.retrain)
        return bool(done or row["started_at"] != self.before.get(job.key))

    def _codes(self) -> dict[tuple[str, str], ForeignCode | None]:
        """What workers need for each architecture with each data set, None where all is ours."""
        models = {(job.architecture, job.dataset): job for job in self.todo}
        return {pair: foreign_code(job, self.options.plugins) for pair, job in models.items()}

    def _code(self, job: Job) -> ForeignCode | None:
        return self.codes[job.architecture, job.dataset]

    def _assign(self, slot: _Slot, job: Job) -> None:
        slot.job, slot.foreign = job, self._code(job) is not None
        slot.process = _Process.FORKED if slot.foreign else _Process.KEPT
        if job in self.options.repeated and not self.options.repeats_in_process:
            slot.process = _Process.STARTED
        slot.since = time.monotonic()

    def _start(self, slot: _Slot) -> Worker | None:
        """Start a worker for the slot's job; None if the system has none to give."""
        slot.since = time.monotonic()
        try:
            forks = slot.process is _Process.FORKED
            worker = Worker(self.store.path, forks, self.folder, self.news)
        except OSError as error:
            self._failed_start(slot, error.strerror or str(error))
            return None
        slot.workers[slot.process] = worker
        return worker

    def _listen(self, place: int, slot: _Slot) -> bool:
        """Take in what the worker has said; False once the job has ended."""
        worker = slot.worker
        while worker is not None and slot.job is not None and not worker.said.empty():
            message = worker.said.get()
            kind = message.pop("kind")
            if kind == "ready":
                worker.ready, slot.starts = True, 0
            elif kind == "gone" and slot.given and message["key"] == slot.job.key:
                self._record(place, slot, "killed", f"the worker process ended with {worker.exit}")
            elif kind == "unable":
                self.trouble = message["reason"]
            elif kind == "started":
                slot.since, slot.running = time.monotonic(), True
                slot.started_at = datetime.now(UTC)
            elif kind == "epoch":
                self.listener.epoch(place, slot.job, message["epoch"], message["train_mse"])
            elif kind == "unwritable":
                if not slot.foreign:
                    raise RequestError(message["reason"])
                # A model may have limited its own process; if the disk is full, this one says so.
                self._record(place, slot, "failed", _UNWRITTEN)
            elif kind == "ended":
                self._ended(place, slot, Ending(**message))
        return slot.job is not None

    def _overdue(self, slot: _Slot) -> bool:
        """Whether the job has had its time; what its worker prepares has a limit of its own."""
        limit = self.options.timeout_s
        if not (slot.given and limit):
            return False
        allowed = limit if slot.running else max(limit, _PREPARE_S)
        return time.monotonic() - slot.since > allowed

    def _bury(self, place: int, slot: _Slot, how: str) -> None:
        """A worker is dead, or as good as that: a matter of its job's, if it had one."""
        self._end_worker(slot)
        if slot.given:
            self._record(place, slot, "killed", f"the worker process ended with {how}")
        else:
            self._failed_start(slot, how)

    def _failed_start(self, slot: _Slot, how: str) -> None:
        slot.starts += 1
        if slot.starts < _STARTS:
            return
        assert slot.job is not None
        why = f": {self.trouble}" if self.trouble else ""
        self.trouble = (
            f"no worker process could be started in {_STARTS} attempts; the last ended with"
            f" {how}{why}. The same command goes on with the jobs that are left"
        )
        self.leases.give_up(slot.job.key, done=False)
        self.todo.appendleft(slot.job)
        slot.job, slot.closed = None, True

    def _record(self, place: int, slot: _Slot, status: str, reason: str) -> None:
        """Leave a record of a job whose worker left none."""
        job = slot.job
        assert job is not None
        row = self.store.ending(job.key)
        if row is not None and self._is_new(job, row):
            self._ended(place, slot, Ending.of(row))  # it died after its record was on disk
            return
        took = time.monotonic() - slot.since
        where = self._where(job)
        if not where.concurrent and interference.others():
            where = dataclasses.replace(where, concurrent=True)
        record = ended_without_record(job, where, status, reason, took, slot.started_at)
        self.store.write(record)
        self._ended(place, slot, Ending.of(record.job))

    def _ended(self, place: int, slot: _Slot, ending: Ending) -> None:
        job = slot.job
        assert job is not None
        slot.job, slot.given, slot.running = None, False, False
        unhealthy = slot.process is _Process.KEPT and ending.status not in _HEALTHY
        if unhealthy or slot.process is _Process.STARTED:
            # What failed may have left the process in any state: start afresh.
            self._end_worker(slot)
        self.leases.give_up(job.key, done=True)
        self.store.compact(force=False)
        self.listener.ended(place, job, ending)

    def _end_worker(self, slot: _Slot) -> None:
        """End the worker for the job in hand."""
        if worker := slot.workers.pop(slot.process, None):
            worker.end()

    def _end_workers(self, slot: _Slot) -> None:
        while slot.workers:
            slot.workers.popitem()[1].end()

    def _where(self, job: Job) -> Circumstances:
        device = self.options.cuda if job.device == "cuda" else "cpu"
        return dataclasses.replace(self.where, device=device, position=self.positions[job])
