"""What the harness costs a job: a tiny job through a real, warm worker, less its own work.

Overhead is the time from the job before having ended to this job's having ended, as the parent
sees it, minus training and minus evaluation. The target is under 0.3 s.
"""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from statistics import median

import torch

from aebench.executors import Ending, Listener, RunOptions, local
from aebench.job import Job
from aebench.store import Store
from bench.conftest import Row, SideBySide
from bench.ratios import median_interval

TARGET_S = 0.3
WARM_UP = 2  # jobs: the first reads data and fits the baselines, the second finds all of it
PATIENCE_S = 120


class Gate(Listener):
    """Holds the pool after each job until the next one is asked for."""

    def __init__(self) -> None:
        self.wanted = threading.Semaphore(0)
        self.finished = threading.Semaphore(0)
        self.endings: list[Ending] = []

    def ended(self, slot: int, job: Job, ending: Ending) -> None:
        """Note the ending, and let the pool hand out no job before `one_job` is called again."""
        self.endings.append(ending)
        self.finished.release()
        self.wanted.acquire()

    def one_job(self) -> None:
        """Let one job run, and wait until its record is stored."""
        self.wanted.release()
        if not self.finished.acquire(timeout=PATIENCE_S):
            raise TimeoutError(f"no job ended within {PATIENCE_S} s")


def test_overhead(device: torch.device, tmp_path: Path, side_by_side: SideBySide) -> None:
    """Tiny jobs, one after the other, in one warm worker."""
    rounds, benchmark = side_by_side.rounds, side_by_side.benchmark
    first = Job.create(architecture="mlp", dataset="digits", latent=4, epochs=1, device=device.type)
    jobs = [dataclasses.replace(first, repeat=i) for i in range(1 + WARM_UP + rounds)]
    store, gate = Store(tmp_path), Gate()
    pool = threading.Thread(target=local.run, args=(jobs, store, RunOptions(), gate))
    pool.start()
    try:
        if not gate.finished.acquire(timeout=PATIENCE_S):  # the first starts without being asked
            raise TimeoutError(f"no worker was ready within {PATIENCE_S} s")
        benchmark.pedantic(gate.one_job, rounds=rounds, warmup_rounds=WARM_UP)
    finally:
        for _ in jobs:
            gate.wanted.release()
        pool.join()
    assert [e.reason for e in gate.endings if e.status != "ok"] == []
    if benchmark.stats is None:
        return
    rows = store.read().jobs.sort_values("repeat").iloc[1 + WARM_UP :]
    work_s = list(rows["train_s"] + rows["eval_s"])
    wall_s = list(benchmark.stats.stats.data)
    overhead = median_interval([w - own for w, own in zip(wall_s, work_s, strict=True)])
    phases = (
        "data_s", "build_s", "warmup_s", "samples_s", "baseline_s", "probe_s", "total_s",
    )  # fmt: skip
    parts = {name: median(rows[name]) for name in phases}
    benchmark.extra_info.update(
        overhead_s=overhead.centre, overhead_low_s=overhead.low, overhead_high_s=overhead.high,
        target_s=TARGET_S, **parts,
    )  # fmt: skip
    share = median_interval([own / w for w, own in zip(wall_s, work_s, strict=True)])
    inside = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
    side_by_side.add(
        Row(
            "overhead", "digits mlp-4, 1 epoch", "job in a worker", "its training and evaluation",
            share, 1 / median(wall_s), "jobs",
            f"{overhead.centre:.3f} s a job ({overhead.low:.3f}..{overhead.high:.3f}), target"
            f" under {TARGET_S} s: {'met' if overhead.centre < TARGET_S else 'MISSED'}; {inside}",
        )
    )  # fmt: skip
