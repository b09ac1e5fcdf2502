"""What a user sees while data is fetched and jobs run.

Bars on a terminal, bars that are brought up to date in a cell of a notebook, else plain lines.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, cast

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
from aebench.errors import RequestError, printable
from aebench.estimate import Estimator
from aebench.executors import Ending, Listener
from aebench.job import Job

_HEARTBEAT_S = 30.0
_LATEST = 8  # outcomes that a notebook shows


@contextmanager
def watch(jobs: Sequence[Job], estimator: Estimator, console: Console) -> Iterator[Listener]:
    """A listener that shows the run on `console`, for as long as the block lasts."""
    show = notebook_display()
    if show and not console.quiet:
        yield (cell := Cell(jobs, estimator, show))
        cell.update()
        return
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

    def placed(self, told: str) -> None:
        self._say(told)

    def stopping(self, running: int) -> None:
        self._say(_stopping(running))


class _Shares:
    """How much of a run is done: each job counts by its estimated cost."""

    def __init__(self, jobs: Sequence[Job], estimator: Estimator) -> None:
        guesses = {job: estimator.job(job) for job in jobs}
        known = [guess.likely_s for guess in guesses.values() if guess is not None]
        typical = sum(known) / len(known) if known else 1.0
        self.cost = {job: typical if g is None else g.likely_s for job, g in guesses.items()}
        self.share = dict.fromkeys(jobs, 0.0)  # of each job that is done
        self.ended: set[Job] = set()
        self.total = sum(self.cost.values())

    def epoch(self, job: Job, epoch: int) -> None:
        self.share[job] = min(1.0, epoch / job.epochs)

    def end(self, job: Job) -> None:
        self.share[job] = 1.0
        self.ended.add(job)

    @property
    def done(self) -> float:
        # Summed anew rather than advanced: rounding and a job told twice must not add up.
        if len(self.ended) >= len(self.cost):
            return self.total
        return sum(self.cost[job] * share for job, share in self.share.items())

    def __str__(self) -> str:
        return f"{len(self.ended)}/{count(len(self.cost), 'job')}"


class _Bars(Listener):
    """For a terminal: an overall bar by estimated cost, and a line for each running job."""

    def __init__(self, jobs: Sequence[Job], estimator: Estimator, bars: Progress) -> None:
        self.bars, self.shares = bars, _Shares(jobs, estimator)
        self.overall = bars.add_task("all jobs", total=self.shares.total, note="")
        self.tasks: dict[int, TaskID] = {}
        self._show()

    def _show(self) -> None:
        self.bars.update(self.overall, completed=self.shares.done, note=str(self.shares))

    def started(self, slot: int, job: Job) -> None:
        name = printable(job.name)
        self.tasks[slot] = self.bars.add_task(f"  {name}", total=job.epochs, note="preparing")

    def epoch(self, slot: int, job: Job, epoch: int, train_mse: float) -> None:
        if slot in self.tasks:
            note = f"epoch {epoch}/{job.epochs} loss {number(train_mse)}"
            self.bars.update(self.tasks[slot], completed=epoch, note=note)
        self.shares.epoch(job, epoch)
        self._show()

    def ended(self, slot: int, job: Job, ending: Ending) -> None:
        if slot in self.tasks:
            self.bars.remove_task(self.tasks.pop(slot))
        self.shares.end(job)
        self._show()
        style = "" if ending.status == "ok" else "red"
        self.bars.console.print(_outcome(job, ending), style=style)

    def placed(self, told: str) -> None:
        self.bars.console.print(told, soft_wrap=True)

    def stopping(self, running: int) -> None:
        self.bars.console.print(_stopping(running))


def notebook_display() -> Callable[..., Any] | None:
    """IPython's `display` where a notebook, and no terminal, shows what is displayed."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    if ipython is None or getattr(shell, "kernel", None) is None:
        return None
    return cast(Callable[..., Any], ipython.display.display)


class Cell(Listener):
    """For a notebook: one output of a cell that is brought up to date; needs no widgets."""

    def __init__(
        self, jobs: Sequence[Job], estimator: Estimator, display: Callable[..., Any]
    ) -> None:
        self.shares = _Shares(jobs, estimator)
        self.running: dict[int, tuple[Job, int, str]] = {}
        self.outcomes: list[str] = []
        self.note, self.shown, self.began = "", "", time.monotonic()
        self.handle = display(self, display_id=True)

    def started(self, slot: int, job: Job) -> None:
        self.running[slot] = (job, 0, "preparing")

    def epoch(self, slot: int, job: Job, epoch: int, train_mse: float) -> None:
        self.running[slot] = (job, epoch, f"epoch {epoch}/{job.epochs} loss {number(train_mse)}")
        self.shares.epoch(job, epoch)

    def ended(self, slot: int, job: Job, ending: Ending) -> None:
        self.running.pop(slot, None)
        self.shares.end(job)
        self.outcomes.append(_outcome(job, ending))

    def placed(self, told: str) -> None:
        self.note = told

    def stopping(self, running: int) -> None:
        self.note = _stopping(running)

    def tick(self) -> None:
        self.update()

    def update(self) -> None:
        """Show what is new; called a few times a second, which costs the kernel next to nothing."""
        if (now := repr(self)) != self.shown:
            self.shown = now
            self.handle.update(self)

    def __repr__(self) -> str:
        running = [f"{printable(job.name)} {note}" for job, _, note in self.running.values()]
        return "; ".join(filter(None, [str(self.shares), *running, self.note, *self.outcomes[-1:]]))

    def _repr_html_(self) -> str:
        took = duration(time.monotonic() - self.began)
        lines = [f"{_bar(self.shares.done, self.shares.total)} {self.shares}, {took}"]
        for job, epoch, note in self.running.values():
            lines.append(f"{_bar(epoch, job.epochs)} {escape(f'{printable(job.name)} {note}')}")
        lines += map(escape, filter(None, [self.note, *self.outcomes[-_LATEST:]]))
        return "<br>".join(lines)


def _bar(done: float, total: float) -> str:
    return f'<progress max="{total:.6g}" value="{done:.6g}"></progress>'


def fetch_visibly(name: str, directory: Path | None, console: Console) -> None:
    """Make sure that `name` is in the cache, with a progress bar for what is downloaded.

    So are its labels; where these cannot be had, it is said, and models are trained without them.

    Raises:
        DataUnavailable: no source has it.
    """
    if not text.is_live(sys.stderr):
        _with_labels(datasets.load(name, directory, _FetchLines(console)), console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, refresh_per_second=4) as bar:
        task = bar.add_task(name, total=None, visible=False)

        def show(message: str, done: int, total: int | None) -> None:
            bar.update(task, description=message, completed=done, total=total, visible=True)

        _with_labels(datasets.load(name, directory, show), console)


def _with_labels(data: datasets.Dataset, console: Console) -> None:
    try:
        _ = data.train_labels
    except RequestError as error:
        name = data.info.name
        console.print(f"no labels of {name}, so its codes are not probed: {error}", soft_wrap=True)


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
