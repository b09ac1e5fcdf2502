"""A pool: jobs handed out to places, one at a time each, and a record left of every one.

Written here rather than taken from a pool library: `joblib` and `concurrent.futures` give up
all jobs when one worker dies, and none passes progress on while a job runs, which is how a
hard timeout, a crash or a kill stays the fate of one job only. Workers are kept from job to job,
for a thousand jobs of a second are not to pay an import each; `Process` says which jobs have
processes of their own. Several runs may share a folder: see `leases`.

A place is on this machine (`local`) or on a node of a cluster (`on_ray`); both are the same here.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from aebench.errors import RequestError
from aebench.executors import Ending, Listener, RunOptions
from aebench.executors.leases import Leases
from aebench.executors.places import Place, Worker
from aebench.executors.processes import ForeignCode, foreign_code
from aebench.executors.slots import Process, Slot
from aebench.executors.stopping import Stop, interruptible
from aebench.job import Job
from aebench.records import Circumstances, ended_without_record
from aebench.store import Row, Store, kept

_POLL_S = 0.25
_WAIT_S = 1.0  # how often to ask whether another run has given up a job
_JOIN_S = 5.0  # how often to ask for places that have come meanwhile
_LOSSES = 3  # times that the machine under a job may go before the job is given up
_STARTS = 3  # attempts to start a worker, in turn, before a slot is given up
_PREPARE_S = 600.0  # for importing torch, reading plugins and measuring the device
_UNWRITTEN = "its process could not write its record, which its own code may have forbidden"
_HEALTHY = ("ok", "diverged", "skipped")  # endings after which a worker may take another job


def run(
    jobs: Sequence[Job],
    store: Store,
    options: RunOptions,
    listener: Listener,
    places: Sequence[Place],
    joined: Callable[[], Sequence[Place]] = tuple,
) -> bool:
    """Run `jobs` at `places`, leaving a record of each; False if the user stopped it early.

    `joined` gives the places that have come since it was last asked. A job whose place is lost with
    its machine is run elsewhere.

    Raises:
        RequestError: no worker could be started; or no place is left; or the store cannot be
            written any more, and what it holds stays; or the code of a job cannot be sent to a
            worker.
    """
    pool = _Pool(jobs, store, options, listener, places, joined)
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
        self,
        jobs: Sequence[Job],
        store: Store,
        options: RunOptions,
        listener: Listener,
        places: Sequence[Place],
        joined: Callable[[], Sequence[Place]],
    ) -> None:
        self.store, self.options, self.listener = store, options, listener
        self.joined, self.joined_at = joined, time.monotonic()
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
        self.lost: Counter[Job] = Counter()  # how often a job's machine has gone under it
        self.slots = [Slot(place) for place in places]
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
            self._welcome()
            for place, slot in enumerate(self.slots):
                self._attend(place, slot)
            self.listener.tick()
            self.news.wait(timeout=_POLL_S)

    def close(self) -> None:
        """End every worker that is left, at once, and give up what the run has leased."""
        for slot in self.slots:
            self._end_workers(slot)
            slot.place.leave()
        self.leases.close()

    def _welcome(self) -> None:
        """Take in places that have come since the run began."""
        if self.todo and time.monotonic() - self.joined_at > _JOIN_S:
            self.slots += map(Slot, self.joined())
            self.joined_at = time.monotonic()

    def _attend(self, place: int, slot: Slot) -> None:
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
            self._bury(place, slot, worker)
        elif worker.ready and not slot.given:
            worker.give(slot.job, self._where(slot), self._code(slot.job))
            slot.given, slot.since, slot.started_at = True, time.monotonic(), datetime.now(UTC)
            self.listener.started(place, slot.job)
        elif self._overdue(slot):
            self._end_worker(slot)
            limit = self.options.timeout_s
            reason = f"stopped after {limit:g} s, the limit set by --timeout"
            self._record(place, slot, "timed_out", reason)
        elif not slot.given and time.monotonic() - slot.since > _PREPARE_S:
            self._end_worker(slot)
            self._failed_start(slot, f"nothing in {_PREPARE_S:g} s")

    def _choose(self, place: int, slot: Slot) -> None:
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
            # A job that another place has may come back, if that place is lost.
            slot.closed = bool(self.stop.asked) or not any(other.job for other in self.slots)

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

    def _assign(self, slot: Slot, job: Job) -> None:
        slot.job, slot.foreign = job, self._code(job) is not None
        slot.process = Process.FORKED if slot.foreign else Process.KEPT
        if job in self.options.repeated and not self.options.repeats_in_process:
            slot.process = Process.STARTED
        slot.since = time.monotonic()

    def _start(self, slot: Slot) -> Worker | None:
        """Start a worker for the slot's job; None if the system has none to give."""
        slot.since = time.monotonic()
        try:
            forks = slot.process is Process.FORKED
            worker = slot.place.start(forks, self.news)
        except OSError as error:
            self._failed_start(slot, error.strerror or str(error))
            return None
        slot.workers[slot.process] = worker
        return worker

    def _listen(self, place: int, slot: Slot) -> bool:
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

    def _overdue(self, slot: Slot) -> bool:
        """Whether the job has had its time; what its worker prepares has a limit of its own."""
        limit = self.options.timeout_s
        if not (slot.given and limit):
            return False
        allowed = limit if slot.running else max(limit, _PREPARE_S)
        return time.monotonic() - slot.since > allowed

    def _bury(self, place: int, slot: Slot, worker: Worker) -> None:
        """A worker is dead: a matter of its job's, if it had one, or of its machine's."""
        self._end_worker(slot)
        if worker.lost:
            self._lose(place, slot, worker.exit)
        elif slot.given:
            self._record(place, slot, "killed", f"the worker process ended with {worker.exit}")
        else:
            self._failed_start(slot, worker.exit)

    def _lose(self, place: int, slot: Slot, how: str) -> None:
        """The machine has gone: no fault of the job's, which another place shall have."""
        job = slot.job
        assert job is not None
        self.trouble = (
            f"the last place for jobs is gone ({how}). The same command goes on with the jobs that"
            " are left"
        )
        self.lost[job] += 1
        if self.lost[job] >= _LOSSES:
            before = f"{how}, and {_LOSSES - 1} places before it"
            self._record(place, slot, "killed", before)
        else:
            self.leases.give_up(job.key, done=False)
            self.todo.appendleft(job)
        slot.job, slot.given, slot.running, slot.closed = None, False, False, True

    def _failed_start(self, slot: Slot, how: str) -> None:
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

    def _record(self, place: int, slot: Slot, status: str, reason: str) -> None:
        """Leave a record of a job whose worker left none."""
        job = slot.job
        assert job is not None
        if status == "killed" and self.stop.forced():
            return
        row = self.store.ending(job.key)
        if row is not None and self._is_new(job, row):
            self._ended(place, slot, Ending.of(row))  # it died after its record was on disk
            return
        took = time.monotonic() - slot.since
        where, machine = self._where(slot), slot.place.describe()
        if not where.concurrent and slot.place.others():
            where = dataclasses.replace(where, concurrent=True)
        record = ended_without_record(job, where, status, reason, took, slot.started_at, machine)
        self.store.write(record)
        self._ended(place, slot, Ending.of(record.job))

    def _ended(self, place: int, slot: Slot, ending: Ending) -> None:
        job = slot.job
        assert job is not None
        slot.job, slot.given, slot.running = None, False, False
        unhealthy = slot.process is Process.KEPT and ending.status not in _HEALTHY
        if unhealthy or slot.process is Process.STARTED:
            # What failed may have left the process in any state: start afresh.
            self._end_worker(slot)
        self.leases.give_up(job.key, done=True)
        self.store.compact(force=False)
        self.listener.ended(place, job, ending)
        self.news.set()  # the slot is to have its next job now, not when somebody speaks

    def _end_worker(self, slot: Slot) -> None:
        """End the worker for the job in hand."""
        if worker := slot.workers.pop(slot.process, None):
            worker.end()

    def _end_workers(self, slot: Slot) -> None:
        while slot.workers:
            slot.workers.popitem()[1].end()

    def _where(self, slot: Slot) -> Circumstances:
        assert slot.job is not None
        return Circumstances(
            device=self.options.cuda if slot.job.device == "cuda" else "cpu",
            threads=slot.place.threads,
            concurrent=slot.place.concurrent,
            data=slot.place.data,
            command=self.options.command,
            position=self.positions[slot.job],
            keep_weights=self.options.keep_weights,
            checkpoint_s=self.options.checkpoint_s,
        )
