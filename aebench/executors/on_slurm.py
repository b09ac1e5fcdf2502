"""Slurm executor: one array job over the jobs that are to do, each task a run of its own share.

The nodes share the folder of results with whoever submits, as they do on every Slurm cluster, so a
task writes its records there as a local run does, and a job that another task or run has done is
not done again. A task that is preempted, or whose time is up, is queued again and goes on with what
is left of its share; one that fails costs its own jobs only, and the same command submits these
anew.

Slurm: https://slurm.schedmd.com/documentation.html. The script, the pickles and the queueing again
are submitit's: https://github.com/facebookincubator/submitit
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aebench.disk import write_whole
from aebench.errors import RequestError, printable
from aebench.executors import Allocation, Ending, Listener, RunOptions, local
from aebench.executors.stopping import Stop, interruptible
from aebench.job import Job
from aebench.plugins import load_plugins
from aebench.store import Store

FOLDER = "slurm"
"""Below a folder of results: what was submitted, the scripts of it, and what the tasks said."""

_ASK_S = 2.0  # how often records and queue are looked at while a command waits
_SETTLE_S = 10.0  # a record may reach this machine some time after its task has left the queue
_WARNING_S = 60  # before its time is up a task is told, and queued again
_ENDING_S = 600.0  # after SIGTERM, for Slurm to kill the task; by default it does so after 30 s


@dataclass(frozen=True)
class Submission:
    """An array job: its tasks by Slurm's number of them, and the keys of the jobs of each."""

    number: str
    submitted_at: str
    tasks: Mapping[str, Sequence[str]]

    @property
    def keys(self) -> list[str]:
        """Keys of all its jobs."""
        return [key for keys in self.tasks.values() for key in keys]

    def in_queue(self, states: Mapping[str, str]) -> dict[str, str]:
        """Those of its tasks that are in the `queue`, with their states."""
        return {task: states[task] for task in self.tasks if task in states}


def log(results: Path, task: str) -> Path:
    """Where Slurm keeps what a task has said."""
    return results / FOLDER / f"{task}_0_log.out"


def submissions(results: Path) -> list[Submission]:
    """Everything that was submitted for a folder of results, oldest first.

    Raises:
        RequestError: a file that tells of one cannot be read, so that tasks may go unseen.
    """
    files = sorted((results / FOLDER).glob("*.json"))
    return sorted(map(_submission, files), key=lambda each: each.submitted_at)


def _submission(file: Path) -> Submission:
    try:
        told = json.loads(file.read_text("utf-8"))
        tasks = {str(task): [str(key) for key in keys] for task, keys in told["tasks"].items()}
        return Submission(str(told["number"]), str(told["submitted_at"]), tasks)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RequestError(
            f"{printable(file, 1000)} tells of no array job ({type(error).__name__}); if none of"
            " this folder is in the queue (squeue --me), remove the file"
        ) from error


def queue() -> dict[str, str]:
    """State (PENDING, RUNNING, ...) of each task of the user's that Slurm still has to do.

    Raises:
        RequestError: there is no Slurm here, or it does not answer.
    """
    words = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    try:
        asked = subprocess.run(words, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        raise RequestError(
            "this machine has no Slurm (there is no command squeue); ask where the cluster's users"
            " log in"
        ) from None
    except subprocess.TimeoutExpired:
        raise RequestError("Slurm does not answer: squeue said nothing for a minute") from None
    if asked.returncode:
        said = asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"]
        raise RequestError(f"Slurm does not answer: {printable(said[-1])}")
    return dict(line.split(maxsplit=1) for line in asked.stdout.splitlines() if line.strip())


def run(jobs: Sequence[Job], store: Store, options: RunOptions, listener: Listener) -> bool | None:
    """Submit `jobs` and, with `options.wait`, wait for their records.

    None if the tasks go on without this process, for it was not asked to wait or was told to stop;
    True if all of them have left the queue.

    Raises:
        RequestError: Slurm is not there, or refuses; or tasks of an earlier submission are still in
            the queue.
    """
    store = Store(store.path.absolute())
    states = queue()
    for earlier in submissions(store.path):
        if there := earlier.in_queue(states):
            raise RequestError(
                f"array job {earlier.number}, submitted at {earlier.submitted_at}, still writes to"
                f" this folder ({len(there)} tasks are in the queue); wait for it (aebench status),"
                f" or end it first: scancel {earlier.number}"
            )
    before = _started(store)
    submission = _submit(jobs, store, options, before)
    listener.placed(
        f"array job {submission.number} of Slurm: {len(jobs)} jobs in {len(submission.tasks)} tasks"
    )
    return _wait(jobs, store, submission, listener, before) if options.wait else None


def _started(store: Store) -> dict[str, str]:
    """When each job began of which there is a record, by key."""
    known = store.survey().jobs
    return dict(zip(known["key"], known["started_at"], strict=True))


def _submit(
    jobs: Sequence[Job], store: Store, options: RunOptions, before: Mapping[str, str]
) -> Submission:
    import submitit

    asked = options.allocation or Allocation()
    count = min(asked.tasks, len(jobs))
    # In turn, as a grid has its jobs in blocks: every task gets some of each system.
    shares = [tuple(jobs[i::count]) for i in range(count)]
    at_once = options.workers
    options = replace(options, on="", workers=1, threads=asked.cpus, wait=False, allocation=None)
    folder = store.path / FOLDER
    try:
        executor = submitit.SlurmExecutor(folder=folder)
        executor.update_parameters(
            job_name="aebench",
            time=asked.time_min,
            array_parallelism=at_once or count,
            signal_delay_s=_WARNING_S,
            stderr_to_stdout=True,
            setup=list(asked.setup),
            additional_parameters=asked.options(),
            # Since Slurm 22.05 srun has one core a task, whatever sbatch was told.
            srun_args=[f"--cpus-per-task={asked.cpus}"],
        )
        with executor.batch():
            tasks = [
                executor.submit(
                    Task(store.path, share, options, {j.key: before.get(j.key) for j in share})
                )
                for share in shares
            ]
        numbers = [task.job_id for task in tasks]
    except (RuntimeError, OSError, submitit.core.utils.FailedJobError) as error:
        raise RequestError(f"Slurm took no job: {_last_line(error)}") from error
    number = numbers[0].partition("_")[0]
    submission = Submission(
        number,
        datetime.now(UTC).isoformat(timespec="seconds"),
        {n: [job.key for job in share] for n, share in zip(numbers, shares, strict=True)},
    )
    write_whole(folder / f"{number}.json", json.dumps(asdict(submission)).encode())
    return submission


def _wait(
    jobs: Sequence[Job],
    store: Store,
    submission: Submission,
    listener: Listener,
    before: Mapping[str, str],
) -> bool | None:
    """Follow the records as they come in, until the last task has left the queue."""
    left = {job.key: job for job in jobs}
    stop, over_at = Stop(), None
    with interruptible(stop):
        while left and not stop.asked:
            # Asked first, so that what a task has written before it went is seen below.
            over = _over(submission)
            jobs_now = store.survey().jobs
            for row in jobs_now[jobs_now["key"].isin(list(left))].to_dict("records"):
                if row["started_at"] != before.get(row["key"]):
                    job = left.pop(row["key"])
                    listener.started(0, job)
                    listener.ended(0, job, Ending.of({str(k): v for k, v in row.items()}))
            over_at = (over_at or time.monotonic()) if over else None
            if not left or (over_at is not None and time.monotonic() - over_at > _SETTLE_S):
                break
            listener.tick()
            time.sleep(_ASK_S)
    if stop.asked:
        return None
    store.compact()
    return True


def _over(submission: Submission) -> bool:
    """Whether Slurm has nothing of it to do any more; not, while Slurm gives no answer."""
    try:
        return not submission.in_queue(queue())
    except RequestError:
        return False  # its controller is restarted, and the tasks go on


class Task:
    """One task of an array job, which submitit calls on a node.

    `before` has the moment at which each job began that had a record when it was submitted, and
    None for the others: what has another record since is done.
    """

    def __init__(
        self,
        results: Path,
        jobs: Sequence[Job],
        options: RunOptions,
        before: Mapping[str, str | None],
    ) -> None:
        self.results, self.jobs, self.options, self.before = results, jobs, options, before

    def __call__(self) -> int:
        """Run what is left of the share, and tell how many jobs that was.

        Raises:
            SystemExit: a signal has ended it before.
        """
        load_plugins(self.options.plugins)
        store = Store(self.results)
        known = _started(store)
        todo = [job for job in self.jobs if known.get(job.key) == self.before[job.key]]
        if todo and not local.run(todo, store, self.options, _Log(len(todo))):
            # Slurm wants the task to end. Whether it then queues it again is Slurm's to say, and
            # what ends by itself it would take for done.
            time.sleep(_ENDING_S)
            raise SystemExit("ended by a signal")
        return len(todo)

    def checkpoint(self) -> Any:
        """What submitit queues again, when the task is preempted or its time is nearly up."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


class _Log(Listener):
    """A line a job, in the log that Slurm keeps of the task."""

    def __init__(self, total: int) -> None:
        self.total, self.done = total, 0

    def ended(self, slot: int, job: Job, ending: Ending) -> None:  # noqa: ARG002  # one slot
        self.done += 1
        why = f": {printable(ending.reason)}" if ending.reason else ""
        line = f"[{self.done}/{self.total}] {printable(job.name)}: {ending.status}{why}"
        sys.stderr.write(f"{line}\n")


def _last_line(error: BaseException) -> str:
    return printable((str(error).strip() or type(error).__name__).splitlines()[-1])
