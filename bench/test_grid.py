"""A whole grid: five seeds of mlp-128 through real workers, beside the study's loop.

What counts is from the first job taken to the last record stored, evaluation, probes and records
included; starting the workers is not. The study's loop has one worker with all cores, as the study
had; the engine that `auto` means has a worker with one thread for every core, which finishes a
grid soonest.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest
import torch

from aebench import choice, machine
from aebench.datasets import Dataset
from aebench.executors import Ending, Listener, local
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


def run(engine: str, device: torch.device, workers: int, folder: Path) -> tuple[float, list[float]]:
    """Seconds of the grid, and the error of every seed."""
    first = Job.create(
        architecture="mlp", dataset="mnist", latent=128, epochs=EPOCHS,
        engine=engine, device=device.type,
    )  # fmt: skip
    jobs = [dataclasses.replace(first, seed=seed) for seed in range(SEEDS)]
    store, window = Store(folder), Window()
    local.run(jobs, store, local.Options(workers=workers), window)
    assert [e.reason for e in window.endings if e.status != "ok"] == []
    assert window.first_s is not None
    return window.last_s - window.first_s, list(store.read().jobs.sort_values("seed")["mse"])


@pytest.mark.slow
def test_grid(
    device: torch.device, mnist: Dataset, tmp_path: Path, side_by_side: SideBySide
) -> None:
    """The study's loop before and after every run of ours."""
    workers = machine.cores() if device.type == "cpu" else 1
    ours = choice.engine("mlp", device.type, 1)
    seconds: dict[str, list[float]] = {"reference": [], ours: []}
    errors: dict[str, list[float]] = {}

    def turn(engine: str, count: int) -> None:
        folder = tmp_path / f"{engine}-{len(seconds[engine])}"
        took, errors[engine] = run(engine, device, count, folder)
        seconds[engine].append(took)

    def turns() -> None:
        turn(ours, workers)
        turn("reference", 1)

    run("reference", device, 1, tmp_path / "baselines")  # fits the exact baselines, once for all
    turn("reference", 1)
    side_by_side.benchmark.pedantic(turns, rounds=ROUNDS)
    if side_by_side.benchmark.stats is None:
        return
    ratio = median_interval(sandwiched(seconds["reference"], seconds[ours]))
    rate = SEEDS / median_interval(seconds[ours]).centre
    side_by_side.benchmark.extra_info.update(seconds)
    row = side_by_side.add(
        Row("grid", f"mlp-128, {SEEDS} seeds, {EPOCHS} epochs", f"{ours}, {workers} workers",
            "reference, 1 worker", ratio, rate, "jobs")
    )  # fmt: skip
    pairs = zip(errors[ours], errors["reference"], strict=True)
    apart = max(abs(a - b) / b for a, b in pairs)
    if not apart <= MOST_LOSS_APART:
        side_by_side.note(row, f"NOT THE SAME RESULT: errors differ by up to {apart:.1%}")
