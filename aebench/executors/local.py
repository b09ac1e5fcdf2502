"""Local executor: jobs in worker processes of this machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aebench import interference, machine
from aebench.executors import Listener, RunOptions, pool
from aebench.executors.processes import Worker
from aebench.job import Job
from aebench.store import Row, Store


@dataclass
class _Here:
    """A place on this machine."""

    results: Path
    folder: Path
    threads: int
    concurrent: bool
    data: Path | None

    def start(self, forks: bool, news: threading.Event) -> Worker:
        """Start a worker process.

        Raises:
            OSError: the system starts none.
        """
        return Worker(self.results, forks, self.folder, news)

    def describe(self) -> Row:
        """Columns of the `jobs` table that describe this machine."""
        return machine.describe()

    def others(self) -> int:
        """How many other processes of ours compute here now."""
        return interference.others()

    def leave(self) -> None:
        """Nothing is left to give back."""


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
    store = Store(store.path.absolute())
    # With fewer jobs than workers, those that run share the machine's cores all the same.
    count = options.at_once(len(jobs))
    place = _Here(
        store.path,
        Path.cwd(),  # before any plugin of this process may change it
        threads=options.threads_of_each(len(jobs)),
        concurrent=count > 1,
        data=options.data.absolute() if options.data else None,
    )
    return pool.run(jobs, store, options, listener or Listener(), [place] * count)
