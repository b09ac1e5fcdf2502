"""Which engine `auto` means, and that the choice is told but is no part of a job."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pytest

from aebench import architectures, engines
from aebench.engines import DEVICES, ENGINES
from aebench.errors import RequestError
from aebench.estimate import Estimator
from aebench.grid import load_grid
from aebench.job import Job
from aebench.records import Circumstances, starting_row

ASKED = {"architecture": ["mlp", "conv"], "dataset": "digits", "latent": 2, "depth": [1, 2]}


@pytest.mark.parametrize("device", DEVICES)
def test_auto_is_an_engine_when_the_grid_is_enumerated(device: str) -> None:
    jobs = load_grid(None, ASKED | {"engine": "auto", "device": device}).jobs
    assert len(jobs) == 4
    for job in jobs:
        assert job.engine == engines.choose(job.architecture, device, job.depth).engine
        assert starting_row(job, Circumstances())["engine_choice"] == "auto"


KNOWN = [("mlp", 1), ("mlp", 2), ("conv", 1)]


def chosen_on_a_cpu(**asked: str) -> tuple[dict[tuple[str, int], str], tuple[str, ...]]:
    grid = load_grid(None, ASKED | {"engine": "auto"} | asked)
    return {(j.architecture, j.depth): j.engine for j in grid.jobs}, grid.notes


@pytest.mark.compiler
def test_on_a_cpu_it_is_native_where_that_can_be_compiled_and_trains_the_model() -> None:
    engines, notes = chosen_on_a_cpu()
    assert engines == dict.fromkeys(KNOWN, "native") | {("conv", 2): "eager"}
    assert notes == ()
    assert set(chosen_on_a_cpu(precision="bf16")[0].values()) == {"eager"}


@pytest.mark.parametrize(
    ("compiler", "says"),
    [
        (None, "there is no C++ compiler: install g++"),
        ("no-such-compiler", "CXX names no-such-compiler, and there is no such program"),
        ("#!/bin/sh\necho 'x.cpp:1: error: too old' >&2; exit 1\n", "error: too old"),
        ("#!/bin/sh\nexit 0\n", "cannot compile: no word why"),
        ("no program", "does not start"),
    ],
)
def test_where_nothing_can_be_compiled_it_is_eager_and_why_is_told(
    compiler: str | None, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    if compiler == "no-such-compiler":
        monkeypatch.setenv("CXX", compiler)
    elif compiler:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "c++").write_text(compiler)
        (tmp_path / "bin" / "c++").chmod(0o755)
    engines, (note,) = chosen_on_a_cpu()
    assert set(engines.values()) == {"eager"}
    assert "engine auto takes eager, not native" in note
    assert says in note
    assert chosen_on_a_cpu(precision="bf16")[1] == ()  # where it would be eager anyhow
    # Asked for by name it is refused before anything runs, with what to do.
    with pytest.raises(RequestError) as refused:
        load_grid(None, ASKED | {"engine": "native"})
    assert says in str(refused.value)
    assert "Use --engine eager, or auto" in str(refused.value)


def test_small_steps_are_captured_on_cuda_and_large_ones_are_not() -> None:
    jobs = load_grid(None, ASKED | {"engine": "auto", "device": "cuda"}).jobs
    chosen = {(job.architecture, job.depth): job.engine for job in jobs}
    assert chosen["mlp", 1] == chosen["mlp", 2] == chosen["conv", 1] == "graph"
    assert chosen["conv", 2] == "eager"


def test_an_unknown_family_gets_the_engine_that_takes_everything() -> None:
    assert {engines.choose("mine", device, 1).engine for device in DEVICES} == {"eager"}


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
    monkeypatch.setattr(engines, "trouble", lambda engine: "")
    for depth in trained:
        assert engines.untrainable("native", family, depth) == ""
        assert engines.choose(family, "cpu", depth).engine == "native"
    for depth in refused:
        assert f"not {family} of depth {depth}" in engines.untrainable("native", family, depth)
        assert engines.choose(family, "cpu", depth).engine == "eager"
    # Without a depth, the smallest is meant; the other engines train everything.
    assert engines.untrainable("native", family) == engines.untrainable("native", family, 1)
    others = ("reference", "eager", "graph")
    assert not any(engines.untrainable(engine, family, 9) for engine in others)


@pytest.mark.parametrize("name", ["mine", "convnext", "mlp-mixer", "conv-of-mine", "native-mlp"])
def test_a_user_s_family_is_not_taken_for_ours_by_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architectures.registry, "_registry", dict(architectures.registry._registry))
    monkeypatch.setattr(engines, "trouble", lambda engine: "")
    size = architectures.get("mlp").size
    architectures.architecture(name, size=size)(lambda shape, latent, depth: None)
    for device, depth in itertools.product(engines.DEVICES, (1, 2)):
        assert engines.choose(name, device, depth) == ("eager", "")
    # `native` asks the built model itself.
    assert engines.untrainable("native", name, 5) == ""
    # A plan takes it for an MLP, whose size this one has.
    assert Estimator().job(Job(name, "digits", 2)) == Estimator().job(Job("mlp", "digits", 2))


def test_a_user_s_family_may_say_what_its_models_are_made_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(architectures.registry, "_registry", dict(architectures.registry._registry))
    monkeypatch.setattr(engines, "trouble", lambda engine: "")
    architectures.architecture("mine", layers="linear")(lambda shape, latent, depth: None)
    assert engines.choose("mine", "cpu", 3).engine == "native"
    assert engines.choose("mine", "cuda", 3).engine == "graph"
    with pytest.raises(RequestError, match="did you mean 'linear'"):
        architectures.architecture("other", layers="linar")


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
    assert engines.choose(family, "cuda", depth).engine == engine
    assert engines.choose(family, "cuda", depth, "bf16").engine == engine
