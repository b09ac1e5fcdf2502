"""What a user sees while data is fetched and jobs run: bars on a terminal, else plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from aebench import datasets
from aebench.cli import text
from aebench.cli.text import count, duration, number
from aebench.errors import printable
from aebench.estimate import Estimator
from aebench.executors import Ending, Listener
from aebench.job import Job

_HEARTBEAT_S = 30.0


@contextmanager
def watch(jobs: Sequence[Job], estimator: Estimator, console: Console) -> Iterator[Listener]:
    """A listener that shows the run on `console`, for as long as the block lasts."""
    if not text.is_live(sys.stderr):
        yield _Lines(jobs, console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    # Four refreshes a second cost too little to disturb what the workers time.
    with Progress(*columns, console=console, refresh_per_second=4) as bars:
        yield _Bars(jobs, estimator, bars)


def _outcome(job: Job, ending: Ending) -> str:
    name = printable(job.name)
    if ending.elsewhere:
        return f"{name}: by another run on the same folder: {ending.status}"
    if ending.status != "ok":
        return f"{name}: {ending.status}: {printable(ending.reason)}"
    error, train = number(ending.study_error, 4), duration(ending.train_s)
    return f"{name}: study error {error}, MSE {number(ending.mse, 3)}, training {train}"


def _stopping(running: int) -> str:
    are, them = ("is", "it") if running == 1 else ("are", "them")
    jobs = count(running, "running job")
    return f"stopping: {jobs} {are} finished first; Ctrl-C again kills {them}"


class _Lines(Listener):
    """For logs: one line per finished job and a heartbeat between them."""

    def __init__(self, jobs: Sequence[Job], console: Console) -> None:
        self.console, self.total, self.done = console, len(jobs), 0
        self.running: dict[int, str] = {}
        self.spoke = time.monotonic()

    def _say(self, line: str) -> None:
        self.spoke = time.monotonic()
        self.console.print(line, soft_wrap=True)

    def started(self, slot: int, job: Job) -> None:
        self.running[slot] = printable(job.name)

    def epoch(self, slot: int, job: Job, epoch: int, train_mse: float) -> None:
        self.running[slot] = (
            f"{printable(job.name)} epoch {epoch}/{job.epochs} loss {number(train_mse)}"
        )

    def ended(self, slot: int, job: Job, ending: Ending) -> None:
        self.running.pop(slot, None)
        self.done += 1
        self._say(f"[{self.done}/{self.total}] {_outcome(job, ending)}")

    def tick(self) -> None:
        if time.monotonic() - self.spoke > _HEARTBEAT_S:
            what = "; ".join(self.running.values()) or "a worker is starting"
            self._say(f"[{self.done}/{self.total}] running: {what}")

    def stopping(self, running: int) -> None:
        self._say(_stopping(running))


class _Bars(Listener):
    """For a terminal: an overall bar by estimated cost, and a line for each running job."""

    def __init__(self, jobs: Sequence[Job], estimator: Estimator, bars: Progress) -> None:
        self.bars, self.total, self.done = bars, len(jobs), 0
        guesses = {job: estimator.job(job) for job in jobs}
        known = [guess.likely_s for guess in guesses.values() if guess is not None]
        typical = sum(known) / len(known) if known else 1.0
        self.cost = {job: typical if g is None else g.likely_s for job, g in guesses.items()}
        self.share = dict.fromkeys(jobs, 0.0)  # of each job that is done
        self.overall = bars.add_task("all jobs", total=sum(self.cost.values()), note="")
        self.tasks: dict[int, TaskID] = {}
        self._show()

    def _show(self) -> None:
        # Summed anew rather than advanced: rounding and a job told twice must not add up.
        done = sum(self.cost[job] * share for job, share in self.share.items())
        if self.done >= self.total:
            done = sum(self.cost.values())
        self.bars.update(
            self.overall, completed=done, note=f"{self.done}/{count(self.total, 'job')}"
        )

    def started(self, slot: int, job: Job) -> None:
        name = printable(job.name)
        self.tasks[slot] = self.bars.add_task(f"  {name}", total=job.epochs, note="preparing")

    def epoch(self, slot: int, job: Job, epoch: int, train_mse: float) -> None:
        if slot in self.tasks:
            note = f"epoch {epoch}/{job.epochs} loss {number(train_mse)}"
            self.bars.update(self.tasks[slot], completed=epoch, note=note)
        self.share[job] = min(1.0, epoch / job.epochs)
        self._show()

    def ended(self, slot: int, job: Job, ending: Ending) -> None:
        if slot in self.tasks:
            self.bars.remove_task(self.tasks.pop(slot))
        self.share[job] = 1.0
        self.done += 1
        self._show()
        style = "" if ending.status == "ok" else "red"
        self.bars.console.print(_outcome(job, ending), style=style)

    def stopping(self, running: int) -> None:
        self.bars.console.print(_stopping(running))


def fetch_visibly(name: str, directory: Path | None, console: Console) -> None:
    """Make sure that `name` is in the cache, with a progress bar for what is downloaded.

    Raises:
        DataUnavailable: no source has it.
    """
    if not text.is_live(sys.stderr):
        datasets.load(name, directory, _FetchLines(console))
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as bar:
        task = bar.add_task(name, total=None, visible=False)

        def show(message: str, done: int, total: int | None) -> None:
            bar.update(task, description=message, completed=done, total=total, visible=True)

        datasets.load(name, directory, show)


class _FetchLines:
    """Progress for logs: a line when the message changes, and one every ten seconds."""

    def __init__(self, console: Console) -> None:
        self.console, self.message, self.at = console, "", 0.0

    def __call__(self, message: str, done: int, total: int | None) -> None:
        """Print a line if there is something to say."""
        if message == self.message and time.monotonic() - self.at < 10:
            return
        self.message, self.at = message, time.monotonic()
        share = f" {done / 1e6:.1f} of {total / 1e6:.1f} MB" if total and done else ""
        self.console.print(f"{message}{share}")
        sys.stderr.flush()
