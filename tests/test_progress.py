"""Progress in a notebook: one output that is brought up to date, and only where a notebook is."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from aebench import machine
from aebench.cli import progress, text
from aebench.estimate import Estimator
from aebench.executors import Ending
from aebench.job import Job
from aebench.store import Store

JOBS = [
    Job.create(architecture="mlp", dataset="digits", latent=n, epochs=4, engine="eager")
    for n in (2, 4)
]


class Output:
    """What `display` was given: once, and how it looked at every update."""

    def __init__(self) -> None:
        self.looks: list[str] = []
        self.times = 0

    def display(self, shown: Any, *, display_id: bool) -> Output:
        assert display_id
        self.times += 1
        return self

    def update(self, shown: Any) -> None:
        self.looks.append(shown._repr_html_())


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Output:
    made = Output()
    shell = SimpleNamespace(kernel=object())
    fake = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=made.display))
    monkeypatch.setitem(sys.modules, "IPython", fake)
    return made


def estimator(folder: Any) -> Estimator:
    return Estimator.from_survey(Store(folder).survey(), machine.cores())


def test_a_cell_shows_bars_and_outcomes_in_one_output(output: Output, tmp_path: Any) -> None:
    with progress.watch(JOBS, estimator(tmp_path), text.stderr()) as cell:
        cell.started(0, JOBS[0])
        cell.tick()
        cell.epoch(0, JOBS[0], 3, 0.25)
        for _ in range(3):
            cell.tick()  # nothing new is nothing to show
        cell.ended(0, JOBS[0], Ending("failed", "<b>no</b>\x1b[31m"))
        cell.stopping(1)
        cell.tick()
        cell.ended(0, JOBS[1], Ending("ok", "", 1.5, 0.01, 2.0))
    assert (output.times, len(output.looks)) == (1, 4)
    first, second, third, last = output.looks
    assert "0/2 jobs" in first
    assert "digits mlp-2 preparing" in first
    assert '<progress max="4" value="3"></progress> digits mlp-2 epoch 3/4 loss 0.25' in second
    assert "1/2 jobs" in third
    assert r"failed: &lt;b&gt;no&lt;/b&gt;\x1b[31m" in third
    assert "epoch" not in third
    assert "Ctrl-C" in third
    assert "2/2 jobs" in last
    assert "study error 1.5, MSE 0.01, training 2 s" in last
    done, total = last.partition("></progress>")[0].split('"')[1::2]
    assert done == total


@pytest.mark.parametrize("kind", ["none", "terminal", "quiet"])
def test_without_a_notebook_there_is_no_cell(
    output: Output, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    if kind == "none":
        monkeypatch.delitem(sys.modules, "IPython")
    elif kind == "terminal":
        sys.modules["IPython"].get_ipython = SimpleNamespace  # IPython at a prompt
    with (
        text.quietly(kind == "quiet"),
        progress.watch(JOBS, estimator(tmp_path), text.stderr()) as listener,
    ):
        assert not isinstance(listener, progress.Cell)
    assert output.times == 0
