"""Which engine `auto` means, and that the choice is told but is no part of a job."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from aebench import choice
from aebench.errors import RequestError
from aebench.grid import load_grid
from aebench.job import DEVICES, ENGINES, Job
from aebench.records import Circumstances, starting_row

ASKED = {"architecture": ["mlp", "conv"], "dataset": "digits", "latent": 2, "depth": [1, 2]}


@pytest.mark.parametrize("device", DEVICES)
def test_auto_is_an_engine_when_the_grid_is_enumerated(device: str) -> None:
    jobs = load_grid(None, ASKED | {"engine": "auto", "device": device}).jobs
    assert len(jobs) == 4
    for job in jobs:
        assert job.engine == choice.engine(job.architecture, device, job.depth)
        assert starting_row(job, Circumstances())["engine_choice"] == "auto"


@pytest.mark.parametrize("compiler", ["", "no-such-compiler"])
def test_on_a_cpu_it_is_native_where_that_can_be_compiled_and_trains_the_model(
    compiler: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cxx = tmp_path / "c++"
    cxx.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CXX", compiler)
    jobs = load_grid(None, ASKED | {"engine": "auto"}).jobs
    chosen = {(job.architecture, job.depth): job.engine for job in jobs if job.engine != "eager"}
    known = [("mlp", 1), ("mlp", 2), ("conv", 1)]
    assert chosen == ({} if compiler else dict.fromkeys(known, "native"))
    half = load_grid(None, ASKED | {"engine": "auto", "precision": "bf16"}).jobs
    assert {job.engine for job in half} == {"eager"}


def test_small_steps_are_captured_on_cuda_and_large_ones_are_not() -> None:
    jobs = load_grid(None, ASKED | {"engine": "auto", "device": "cuda"}).jobs
    chosen = {(job.architecture, job.depth): job.engine for job in jobs}
    assert chosen["mlp", 1] == chosen["mlp", 2] == chosen["conv", 1] == "graph"
    assert chosen["conv", 2] == "eager"


def test_an_unknown_family_gets_the_engine_that_takes_everything() -> None:
    assert {choice.engine("mine", device, 1) for device in DEVICES} == {"eager"}


def test_how_it_was_chosen_is_no_part_of_the_job() -> None:
    given = Job("mlp", "digits", 2)
    chosen = dataclasses.replace(given, engine_choice="auto")
    assert chosen == given
    assert chosen.key == given.key
    # Asked for both ways, it is one job.
    twice = {"architecture": "conv", "depth": 2, "engine": ["eager", "auto"]}
    assert len(load_grid(None, ASKED | twice).jobs) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_sets_the_choice_as_an_option(engine: str) -> None:
    with pytest.raises(RequestError, match="unknown option 'engine_choice'"):
        load_grid(None, ASKED | {"engine": engine, "engine_choice": "auto", "device": "cuda"})


@pytest.mark.parametrize(
    ("family", "trained", "refused"),
    [
        ("mlp", (1, 2, 7), ()),
        ("mlp-shared", (1, 3), ()),
        ("mlp-separate", (1, 3), ()),
        ("conv", (1,), (2, 3)),
        ("conv-relu", (1,), (2, 3)),
        ("conv-bottleneck", (), (1, 2)),
    ],
)
def test_native_says_which_of_our_models_it_trains(
    family: str, trained: tuple[int, ...], refused: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice.compiler, "find", lambda: "c++")
    for depth in trained:
        assert choice.why_not(family, "native", depth) == ""
        assert choice.engine(family, "cpu", depth) == "native"
    for depth in refused:
        assert f"not {family} of depth {depth}" in choice.why_not(family, "native", depth)
        assert choice.engine(family, "cpu", depth) == "eager"
    # Without a depth, the smallest is meant; the other engines train everything.
    assert choice.why_not(family, "native") == choice.why_not(family, "native", 1)
    assert not {choice.why_not(family, engine, 9) for engine in ("reference", "eager", "graph")} - {
        ""
    }


def test_of_a_family_that_is_not_ours_native_is_asked_itself() -> None:
    assert choice.why_not("mine", "native", 5) == ""


@pytest.mark.parametrize(
    ("family", "depth", "engine"),
    [
        ("mlp", 1, "graph"),
        ("mlp-shared", 4, "graph"),
        ("conv", 1, "graph"),
        ("conv-relu", 1, "graph"),
        ("conv", 2, "eager"),
        ("conv-bottleneck", 3, "eager"),
        ("mine", 1, "eager"),
        ("mine", 3, "eager"),
    ],
)
def test_on_cuda_small_steps_are_captured(family: str, depth: int, engine: str) -> None:
    assert choice.engine(family, "cuda", depth) == engine
    assert choice.engine(family, "cuda", depth, "bf16") == engine
