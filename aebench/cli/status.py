"""``aebench status``: how far the runs of a results folder are, here and on a Slurm cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aebench.cli import folders, formats, text
from aebench.cli.formats import Answer
from aebench.cli.options import Results
from aebench.errors import RequestError, printable

if TYPE_CHECKING:
    from aebench.executors.on_slurm import Submission

_NAMED = 5  # tasks that are named one by one


def status(
    results: Results = None,
    form: Annotated[Answer, typer.Option("--format", help="json tells every task.")] = Answer.text,
) -> None:
    """Say how far runs are: exit code 1 if none goes on and jobs have failed or are missing.

    Missing are jobs that were submitted to Slurm and have no record, though their task is over.
    """
    from aebench.executors import leases, on_slurm
    from aebench.store import Store

    folder = folders.meant(results)
    store = Store(folder)
    submitted = on_slurm.submissions(folder)
    if not (store.exists or submitted):
        raise RequestError(f"no results at {printable(folder, 1000)}, and nothing was submitted")
    statuses = store.survey().statuses
    training = leases.held(store.parts)
    states, unknown = _states(bool(submitted))
    arrays = [_Array.of(each, statuses, states) for each in submitted]
    counts = Counter(statuses.values())
    good = counts["ok"] + counts["skipped"] == counts.total()
    missing = {key for array in arrays for keys in array.undone.values() for key in keys}
    goes_on = bool(training) or any(array.tasks for array in arrays)
    if form is Answer.json:
        formats.write_json({
            "results": str(folder),
            "jobs": dict(sorted(counts.items())),
            "training_here": training,
            "queue_unknown": unknown or None,
            "array_jobs": [array.plain() for array in arrays],
        })  # fmt: skip
    else:
        _print(folder, counts, training, arrays, unknown)
    if not goes_on and not unknown and (missing or not good):
        raise typer.Exit(1)


def _states(wanted: bool) -> tuple[Mapping[str, str], str]:
    """States of the user's tasks in Slurm's queue, or why they are not known."""
    from aebench.executors import on_slurm

    if not wanted:
        return {}, ""
    try:
        return on_slurm.queue(), ""
    except RequestError as error:
        return {}, str(error)


@dataclass(frozen=True)
class _Array:
    """An array job: what is recorded of its jobs, its `tasks` in the queue by state, and
    keys of the jobs that tasks which are over have left undone, by task.
    """

    submission: Submission
    recorded: Counter[str]
    tasks: Counter[str]
    undone: Mapping[str, list[str]]

    @classmethod
    def of(
        cls, submission: Submission, statuses: Mapping[str, str], states: Mapping[str, str]
    ) -> _Array:
        there = submission.in_queue(states)
        left = {
            task: [key for key in keys if key not in statuses]
            for task, keys in submission.tasks.items()
            if task not in there
        }
        return cls(
            submission,
            Counter(statuses[key] for key in submission.keys if key in statuses),
            Counter(there.values()),
            {task: keys for task, keys in left.items() if keys},
        )

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "number": self.submission.number,
            "submitted_at": self.submission.submitted_at,
            "jobs": len(self.submission.keys),
            "recorded": dict(sorted(self.recorded.items())),
            "tasks": len(self.submission.tasks),
            "in_queue": dict(sorted(self.tasks.items())),
            "undone": dict(self.undone),
        }


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{n} {name.lower()}" for name, n in sorted(counts.items())) or "none"


def _print(
    folder: Path, counts: Counter[str], training: list[str], arrays: list[_Array], unknown: str
) -> None:
    from aebench.executors import on_slurm

    out = text.stdout()
    out.print(f"{folder}: {text.count(counts.total(), 'record')}: {_counted(counts)}")
    if training:
        out.print(
            f"{text.count(len(training), 'job')} in training by runs that use this folder now"
        )
    if unknown:
        out.print(f"tasks in the queue are not known: {unknown}", soft_wrap=True)
    for array in arrays:
        made = array.submission
        jobs, total = len(made.keys), len(made.tasks)
        in_queue = array.tasks.total()
        queued = "" if unknown else f"; tasks: {_counted(array.tasks)} of {total} in the queue"
        out.print(
            f"array job {made.number}, {made.submitted_at}: {array.recorded.total()} of"
            f" {text.count(jobs, 'job')} recorded ({_counted(array.recorded)}){queued}",
            soft_wrap=True,
        )
        if unknown or not array.undone:
            continue
        for task, keys in list(array.undone.items())[:_NAMED]:
            out.print(
                f"  task {task} is over and left {text.count(len(keys), 'job')} undone; what it"
                f" said: {on_slurm.log(folder, task)}",
                soft_wrap=True,
            )
        if len(array.undone) > _NAMED:
            out.print(f"  and {len(array.undone) - _NAMED} tasks more")
        if not in_queue:
            out.print("  the same `aebench run` again submits what is missing")
