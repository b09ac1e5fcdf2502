"""A whole grid: five seeds of mlp-128 through real workers, beside the study's loop.

What counts is from the first job taken to the last record stored, evaluation, probes and records
included; starting the workers is not. The study's loop has one worker with all cores, as the study
had; the engine that `auto` means has that too, and then a worker with one thread for every core,
which takes more jobs a second but leaves cores idle when fewer jobs are left.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
import torch

from aebench import engines, machine
from aebench.datasets import Dataset
from aebench.executors import Ending, Listener, RunOptions, local
from aebench.job import Job
from aebench.store import Store
from bench.conftest import MOST_LOSS_APART, Row, SideBySide
from bench.ratios import median_interval, sandwiched

SEEDS, EPOCHS, ROUNDS = 5, 15, 2  # the epochs of the study; a round takes three minutes


class Window(Listener):
    """When the first job was taken and the last record stored, by the clock of the parent."""

    def __init__(self) -> None:
        self.first_s: float | None = None
        self.last_s = 0.0
        self.endings: list[Ending] = []

    def started(self, slot: int, job: Job) -> None:
        """Note the time of the first."""
        if self.first_s is None:
            self.first_s = time.perf_counter()

    def ended(self, slot: int, job: Job, ending: Ending) -> None:
        """Note the time of the latest."""
        self.last_s = time.perf_counter()
        self.endings.append(ending)


def run(
    engine: str, device: torch.device, workers: int, folder: Path, epochs: int = EPOCHS
) -> tuple[float, list[float]]:
    """Seconds of the grid, and the error of every seed."""
    first = Job.create(
        architecture="mlp", dataset="mnist", latent=128, epochs=epochs,
        engine=engine, device=device.type,
    )  # fmt: skip
    jobs = [dataclasses.replace(first, seed=seed) for seed in range(SEEDS)]
    store, window = Store(folder), Window()
    local.run(jobs, store, RunOptions(workers=workers), window)
    assert [e.reason for e in window.endings if e.status != "ok"] == []
    assert window.first_s is not None
    return window.last_s - window.first_s, list(store.read().jobs.sort_values("seed")["mse"])


@pytest.mark.slow
def test_grid(
    device: torch.device, mnist: Dataset, tmp_path: Path, side_by_side: SideBySide
) -> None:
    """The study's loop before and after every run of ours."""
    ours = engines.choose("mlp", device.type, 1).engine
    counts = [1, machine.cores()] if device.type == "cpu" and machine.cores() > 1 else [1]
    seconds: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}

    def turn(engine: str, workers: int) -> None:
        name = _name(engine, workers)
        taken = seconds.setdefault(name, [])
        took, errors[name] = run(engine, device, workers, tmp_path / f"{name}-{len(taken)}")
        taken.append(took)

    def turns() -> None:
        for count in counts:
            turn(ours, count)
        turn("reference", 1)

    # Fits the exact baselines, once for all.
    run("reference", device, 1, tmp_path / "baselines", epochs=1)
    turn("reference", 1)
    side_by_side.benchmark.pedantic(turns, rounds=ROUNDS)
    if side_by_side.benchmark.stats is None:
        return
    side_by_side.benchmark.extra_info.update(seconds)
    against = _name("reference", 1)
    for name in (_name(ours, count) for count in counts):
        ratio = median_interval(sandwiched(seconds[against], seconds[name]))
        rate = SEEDS / median_interval(seconds[name]).centre
        row = side_by_side.add(
            Row(
                "grid",
                f"mlp-128, {SEEDS} seeds, {EPOCHS} epochs",
                name,
                against,
                ratio,
                rate,
                "jobs",
            )
        )
        apart = max(abs(a - b) / b for a, b in zip(errors[name], errors[against], strict=True))
        if not apart <= MOST_LOSS_APART:
            side_by_side.note(row, f"NOT THE SAME RESULT: errors differ by up to {apart:.1%}")


def _name(engine: str, workers: int) -> str:
    return f"{engine}, {workers} worker{'s' * (workers > 1)}"
