"""What a campaign of many jobs costs beside the training: planning, driver, store, report.

    python -m bench.campaign --jobs 1000,10000,100000 --places 100

The driver is the real one (`executors.pool`) with the real store; only its workers are made up:
each hands in a real record at once. So the seconds of `driven` are what the driver itself costs, a
record on disk and all, and jobs per second how many it can hand out, whatever trains them. Nothing
is asserted, and `--report` renders the page as well.
"""

from __future__ import annotations

import argparse
import dataclasses
import queue
import resource
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aebench import machine
from aebench.executors import Listener, RunOptions, pool
from aebench.grid import load_grid
from aebench.job import Job
from aebench.page import render
from aebench.records import Circumstances
from aebench.store import Record, Store, read
from aebench.worker import run_job


class Worker:
    """Ends every job at once, with the record of another job under its name."""

    lost, ended, exit = False, False, ""

    def __init__(self, store: Store, like: Record, news: threading.Event) -> None:
        self.said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.ready = False
        self._store, self._like, self._news = store, like, news
        self.said.put({"kind": "ready"})

    def give(self, job: Job, where: Circumstances, code: object) -> None:
        """Store a record and say so."""
        named = {"key": job.key} | {n: getattr(job, n) for n in ("architecture", "latent", "seed")}
        begun = datetime.now(UTC).isoformat()
        rows = {
            name: [
                row | ({"key": job.key} if row.get("key") else {})
                for row in getattr(self._like, name)
            ]
            for name in ("epochs", "samples", "probes", "codes", "rates")
        }
        row = self._like.job | named | {"started_at": begun}
        self._store.write(dataclasses.replace(self._like, job=row, **rows))
        figures = {name: row[name] for name in ("study_error", "mse", "train_s")}
        self.said.put({"kind": "ended", "status": "ok", "reason": "", **figures})
        self._news.set()

    def end(self) -> None:
        """Nothing is left of it."""


@dataclasses.dataclass
class Place:
    """A node with one made-up worker."""

    store: Store
    like: Record
    threads: int = 1
    concurrent: bool = False
    data: Path | None = None

    def start(self, forks: bool, news: threading.Event) -> Worker:
        """Start its worker."""
        return Worker(self.store, self.like, news)

    def describe(self) -> dict[str, Any]:
        """Nothing is known of it."""
        return {}

    def others(self) -> int:
        """None."""
        return 0

    def leave(self) -> None:
        """Nothing is given back."""


def main() -> None:
    """Measure, and print a line for each number of jobs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", default="1000,10000")
    parser.add_argument("--places", type=int, default=100)
    parser.add_argument("--report", action="store_true")
    given = parser.parse_args()
    one = Job("mlp", "digits", 4, epochs=15)
    like = run_job(one, Circumstances(threads=1))
    print(f"on {machine.cpu_name()}, {machine.cores()} cores, {given.places} places")
    for count in map(int, given.jobs.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            print(_campaign(count, given.places, like, Path(folder), given.report), flush=True)


def _campaign(count: int, places: int, like: Record, folder: Path, report: bool) -> str:
    clock = time.perf_counter
    began = clock()
    axes = {"architecture": ["mlp", "conv"], "latent": [1, 4, 8, 16, 32], "dataset": "digits"}
    jobs = load_grid(None, axes | {"seeds": count // 10, "engine": "eager"}, {"device": "cpu"}).jobs
    planned = clock()
    store = Store(folder)
    at = [Place(store, like) for _ in range(places)]
    if not pool.run(jobs, store, RunOptions(), Listener(), at):
        raise SystemExit("stopped early")
    driven = clock()
    known = store.survey().statuses
    surveyed = clock()
    results = read(folder)
    got = clock()
    assert len(known) == len(results.jobs) == len(jobs)
    stored = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    took = {
        "planned": planned - began, "driven": driven - planned,
        "surveyed (to resume)": surveyed - driven, "read": got - surveyed,
    }  # fmt: skip
    if report:
        render(folder, folder / "page.html")
        took["rendered"] = clock() - got
    told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in took.items())
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return (
        f"{len(jobs):,} jobs: {told}; {len(jobs) / took['driven']:.0f} jobs/s,"
        f" {stored / 1e6:.1f} MB on disk, {peak_gb:.1f} GB of memory at most"
    )


if __name__ == "__main__":
    main()
