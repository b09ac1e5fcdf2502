"""How the suites time: two things in turn, a clock of pytest-benchmark's, a table at the end.

A suite says what to run beside what. Here is decided in which order, how often, on which
device (`AEBENCH_DEVICE`: cpu or cuda), and what is said of it. No time is ever asserted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from aebench.datasets import Dataset, DataUnavailable, load
from aebench.engines import DEVICES, ENGINES
from aebench.executors.warming import warm_process
from bench import machine
from bench.ratios import Interval, median_interval, sandwiched, table

DEVICE = os.environ.get("AEBENCH_DEVICE") or "cpu"
ROUNDS = os.environ.get("AEBENCH_ROUNDS") or "6"  # of six, least and most cover 97 %
MOST_LOSS_APART = 1e-3  # relative; float32 sums in another order stay far below
ITEM_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Row:
    """A line of the table: `ours` against `against`, in units (images, jobs, ...) a second."""

    suite: str
    case: str
    ours: str
    against: str
    ratio: Interval
    rate: float
    unit: str
    note: str = ""


ROWS = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bench-summary", metavar="FILE", help="Write the table of ratios to FILE.")


def pytest_configure(config: pytest.Config) -> None:
    if DEVICE not in DEVICES:
        raise pytest.UsageError(f"AEBENCH_DEVICE is {' or '.join(DEVICES)}, not {DEVICE!r}")
    if not (ROUNDS.isdecimal() and int(ROUNDS) >= 1):
        raise pytest.UsageError(f"AEBENCH_ROUNDS is a whole number from 1, not {ROUNDS!r}")
    config.stash[ROWS] = []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a suite its device, with the marker that picks it, and every engine there is."""
    if "device" in metafunc.fixturenames:
        marks = [pytest.mark.cuda] if DEVICE == "cuda" else []
        metafunc.parametrize("device", [pytest.param(DEVICE, marks=marks)], indirect=True)
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", [name for name in ENGINES if name != "reference"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.timeout(ITEM_TIMEOUT_S))


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info.pop("node", None)  # the host's name is nobody's business


@pytest.fixture
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device of this run, where there is one."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("AEBENCH_DEVICE=cuda, and torch finds no CUDA device on this machine")
    warm_process()  # as every worker does, so that suites time what users get
    return torch.device(request.param)


@pytest.fixture(scope="session")
def mnist() -> Dataset:
    """MNIST, verified; skips where it is neither cached nor to be had."""
    try:
        return load("mnist")
    except DataUnavailable as error:
        pytest.skip(f"no MNIST: {str(error).splitlines()[0]}")


class SideBySide:
    """Runs two callables in turn: against, ours, against, ours, ..., against.

    pytest-benchmark times ours. What is against it runs in its set-up, with a clock of our own
    of the same kind; both end only when the device has nothing left to do.
    """

    def __init__(self, benchmark: Any, config: pytest.Config) -> None:
        self.benchmark, self.config = benchmark, config
        self.rounds = int(ROUNDS)

    def __call__(
        self,
        names: tuple[str, str, str, str],
        ours: Callable[[], object],
        against: Callable[[], object],
        *,
        unit: str,
        units: int,
        against_units: int | None = None,
        device: torch.device | None = None,
        warmup_rounds: int = 1,
    ) -> Row | None:
        """Measure and add the row `names` (suite, case, ours, against) to the table.

        `units` is how many images, jobs or the like one call of `ours` deals with; the ratio
        compares time per unit. None where pytest-benchmark is disabled.
        """
        against_s: list[float] = []

        def drained(run: Callable[[], object]) -> None:
            run()
            if device is not None and device.type == "cuda":
                torch.cuda.synchronize(device)

        def neighbour() -> None:
            began = time.perf_counter()
            drained(against)
            against_s.append(time.perf_counter() - began)

        self.benchmark.pedantic(
            lambda: drained(ours),
            setup=neighbour,
            rounds=self.rounds,
            warmup_rounds=warmup_rounds,
        )
        if self.benchmark.stats is None:
            return None
        neighbour()
        ours_s = list(self.benchmark.stats.stats.data)
        scale = units / (against_units or units)
        ratios = [ratio * scale for ratio in sandwiched(against_s[warmup_rounds:], ours_s)]
        rate = units / median_interval(ours_s).centre
        row = Row(*names, median_interval(ratios), rate, unit)
        self.benchmark.extra_info.update(
            against=row.against, against_s=against_s[warmup_rounds:], ratios=ratios
        )
        return self.add(row)

    def add(self, row: Row) -> Row:
        """Put a row into the table and its figures into the saved file."""
        ratio = row.ratio
        self.benchmark.extra_info.update(
            ratio=ratio.centre, ratio_low=ratio.low, ratio_high=ratio.high,
            coverage=ratio.coverage, rate=row.rate, unit=row.unit, note=row.note,
        )  # fmt: skip
        self.config.stash[ROWS].append(row)
        return row

    def note(self, row: Row | None, note: str) -> None:
        """Say something more of a row that is in the table."""
        if row is not None:
            rows = self.config.stash[ROWS]
            rows[rows.index(row)] = Row(**(vars(row) | {"note": note}))
            self.benchmark.extra_info["note"] = note


@pytest.fixture
def side_by_side(benchmark: Any, request: pytest.FixtureRequest) -> SideBySide:
    """See `SideBySide`."""
    return SideBySide(benchmark, request.config)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    rows = config.stash.get(ROWS, [])
    if not rows:
        return
    lines = [machine.sentence(DEVICE), "", *summary(rows)]
    terminalreporter.section("ratios, side by side")
    for line in lines:
        terminalreporter.write_line(line)
    if config.getoption("--bench-summary"):
        text = "\n".join(lines) + "\n"
        Path(config.getoption("--bench-summary")).write_text(text, encoding="utf-8")


def summary(rows: list[Row]) -> list[str]:
    """The table of ratios and how to read it, as lines of text."""
    head = ["suite", "case", "this", "against", "ratio", "interval", "covers", "n", "this, per s"]
    cells = [
        [
            r.suite, r.case, r.ours, r.against, f"{r.ratio.centre:.2f}",
            f"{r.ratio.low:.2f}..{r.ratio.high:.2f}", f"{r.ratio.coverage:.0%}", str(r.ratio.n),
            f"{r.rate:,.0f} {r.unit}" if r.rate >= 10 else f"{r.rate:.2f} {r.unit}",
        ]
        for r in rows
    ]  # fmt: skip
    notes = [f"{r.suite} {r.case} {r.ours}: {r.note}" for r in rows if r.note]
    reading = "ratio: how many times faster than what it ran in turn with, median over n rounds"
    return [*table(head, cells, 4), "", reading, *notes]
