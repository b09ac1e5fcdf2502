"""What a campaign of many jobs costs beside the training: planning, driver, store, report.

    python -m bench.campaign

The driver is the real one (`executors.pool`) with the real store; only its workers are made up:
each hands in a real record at once. So `driven` are the seconds of the driver itself, a record on
disk and all. Below every line but the first stands what the line before lets expect of as many
jobs: that the driver's cost and the bytes on disk grow in proportion, as a calculation on paper has
it for campaigns that nobody has run yet. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import queue
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aebench.executors import Listener, RunOptions, pool
from aebench.grid import load_grid
from aebench.job import Job
from aebench.page import render
from aebench.records import Circumstances
from aebench.store import Record, Store, read
from aebench.worker import run_job
from bench import machine


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


@dataclasses.dataclass(frozen=True)
class Cost:
    """Seconds of what is done for a campaign of `jobs`, bytes on disk and the peak of memory."""

    jobs: int
    seconds: dict[str, float]
    disk_bytes: int
    peak_bytes: int

    @property
    def driver_s(self) -> float:
        """Seconds of the driver for one job."""
        return self.seconds["driven"] / self.jobs

    def told(self) -> str:
        """One line."""
        took = ", ".join(f"{name} {s:.1f} s" for name, s in self.seconds.items())
        return (
            f"{self.jobs:,} jobs: {took}; {self.disk_bytes / 1e6:.1f} MB on disk,"
            f" {self.peak_bytes / 1e9:.1f} GB of memory at most"
        )

    def expects(self, jobs: int) -> str:
        """What it lets expect of so many jobs."""
        more = jobs / self.jobs
        return (
            f"  expected of {jobs:,} jobs: driven {self.seconds['driven'] * more:.0f} s,"
            f" {self.disk_bytes * more / 1e6:.1f} MB on disk"
        )

    def breaks(self, places: int) -> str:
        """Where more places bring nothing more: one job comes back as another one is written."""
        shortest_s = places * self.driver_s
        return (
            f"the driver takes {1e3 * self.driver_s:.1f} ms a job and so keeps {places} places at"
            f" work while a job takes {shortest_s:.1f} s or more; jobs of a minute, up to"
            f" {math.floor(60 / self.driver_s):,} places"
        )


def main() -> None:
    """Measure, and print a line for each number of jobs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", default="1000,10000,100000", help="numbers of jobs [%(default)s]")
    parser.add_argument("--places", type=int, default=100, help="at work at a time [%(default)s]")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the lines to FILE too")
    given = parser.parse_args()
    like = run_job(Job("mlp", "digits", 4, epochs=15), Circumstances(threads=1))
    lines = [machine.sentence("cpu"), ""]
    before: Cost | None = None
    for count in map(int, given.jobs.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            cost = _campaign(count, given.places, like, Path(folder))
        told = [cost.told(), *([before.expects(cost.jobs)] if before else [])]
        print("\n".join(told), flush=True)
        lines += told
        before = cost
    assert before is not None
    lines += ["", before.breaks(given.places)]
    print(lines[-1])
    machine.keep(lines, given.summary)


def _campaign(count: int, places: int, like: Record, folder: Path) -> Cost:
    seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def clock(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[name] = time.perf_counter() - began

    axes = {"architecture": ["mlp", "conv"], "latent": [1, 4, 8, 16, 32], "dataset": "digits"}
    axes |= {"seeds": count // 10, "engine": "eager"}
    with clock("planned"):
        jobs = load_grid(None, axes, {"device": "cpu"}).jobs
    store = Store(folder)
    at = [Place(store, like) for _ in range(places)]
    with clock("driven"):
        if not pool.run(jobs, store, RunOptions(), Listener(), at):
            raise SystemExit("stopped early")
    with clock("surveyed"):
        known = store.survey().statuses
    with clock("read"):
        results = read(folder)
    with clock("rendered"):
        render(folder, folder / "page.html")
    assert len(known) == len(results.jobs) == len(jobs)
    stored = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Cost(len(jobs), seconds, stored, peak)


if __name__ == "__main__":
    main()
