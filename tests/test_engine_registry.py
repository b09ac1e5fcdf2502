"""Which engine `auto` means, and that the choice is told but is no part of a job."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from aebench import architectures, engines
from aebench.engines import DEVICES, ENGINES
from aebench.errors import RequestError
from aebench.estimate import Estimator
from aebench.grid import load_grid
from aebench.job import Job
from aebench.records import Circumstances, starting_row
from aebench.worker import run_job

ASKED = {"architecture": ["mlp", "conv"], "dataset": "digits", "latent": 2, "depth": [1, 2]}


@pytest.mark.parametrize("device", DEVICES)
def test_auto_is_an_engine_when_the_grid_is_enumerated(device: str) -> None:
    jobs = load_grid(None, ASKED | {"engine": "auto", "device": device}).jobs
    assert len(jobs) == 4
    for job in jobs:
        assert job.engine == engines.choose(job.architecture, device, job.depth).engine
        why = engines.choose(job.architecture, device, job.depth).why
        assert starting_row(job, Circumstances())["engine_choice"] == f"auto: {why}" != "auto: "


KNOWN = [("mlp", 1), ("mlp", 2), ("conv", 1), ("conv", 2)]


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Give the processor these products of bf16, and the machine a compiler."""
    monkeypatch.setattr(engines.compiler, "trouble", lambda source: "")

    def give(name: str) -> None:
        monkeypatch.setattr(engines.machine, "bf16_instructions", lambda: name)

    return give


def chosen_on_a_cpu(**asked: str) -> tuple[dict[tuple[str, int], str], tuple[str, ...]]:
    grid = load_grid(None, ASKED | {"engine": "auto"} | asked)
    return {(j.architecture, j.depth): j.engine for j in grid.jobs}, grid.notes


@pytest.mark.compiler
def test_on_a_cpu_it_is_native_where_that_can_be_compiled() -> None:
    engines, notes = chosen_on_a_cpu()
    assert engines == dict.fromkeys(KNOWN, "native")
    assert notes == ()


@pytest.mark.parametrize("instructions", ["avx512_bf16", "amx_bf16"])
@pytest.mark.parametrize("precision", ["bf16", "bf16x3"])
def test_native_computes_in_bf16_where_the_processor_does(
    precision: str, instructions: str, products: Callable[[str], None]
) -> None:
    products(instructions)
    assert chosen_on_a_cpu(precision=precision) == (dict.fromkeys(KNOWN, "native"), ())
    asked = ASKED | {"engine": "native", "precision": precision}
    assert {job.engine for job in load_grid(None, asked).jobs} == {"native"}


@pytest.mark.slow
def test_without_products_of_bf16_it_is_refused_before_anything_runs(
    products: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    products("")
    says = "takes a processor with products of bf16 (avx512_bf16, or amx_bf16 with amx_tile)"
    for precision, way in (("bf16", "fp32, or --engine eager"), ("bf16x3", "fp32")):
        asked = ASKED | {"engine": "native", "precision": precision}
        with pytest.raises(RequestError) as refused:
            load_grid(None, asked)
        assert says in str(refused.value)
        assert str(refused.value).endswith(f"Use --precision {way}")
    # No other engine has bf16x3, and auto never changes the precision.
    with pytest.raises(RequestError) as refused:
        load_grid(None, ASKED | {"precision": "bf16x3"})
    assert says in str(refused.value)
    engines, (note,) = chosen_on_a_cpu(precision="bf16")
    assert set(engines.values()) == {"eager"}
    assert says in note
    assert chosen_on_a_cpu() == (dict.fromkeys(KNOWN, "native"), ())
    # Nor does a worker of another machine begin what its processor has not.
    job = Job("mlp", "digits", 2, engine="native", precision="bf16x3")
    row = run_job(job).job
    assert row["status"] == "failed"
    assert says in row["reason"]


@pytest.mark.parametrize(
    ("precision", "way"),
    [
        ("fp32", "Use --engine eager, or auto, which takes native wherever it can be had"),
        ("bf16", "Use --engine eager, or auto, which takes native wherever it can be had"),
        ("bf16x3", "Use --engine eager and --precision fp32"),
    ],
)
def test_without_a_compiler_the_way_out_is_one_that_goes(
    precision: str, way: str, products: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    products("avx512_bf16")
    monkeypatch.setattr(engines.compiler, "trouble", lambda source: "there is no compiler")
    with pytest.raises(RequestError) as refused:
        load_grid(None, ASKED | {"engine": "native", "precision": precision})
    assert str(refused.value).endswith(f"there is no compiler. {way}")


@pytest.mark.parametrize("asked", [{"engine": "eager"}, {"device": "cuda"}, {"engine": "graph"}])
def test_bf16x3_is_native_s_alone(asked: dict[str, str], products: Callable[[str], None]) -> None:
    products("amx_bf16")
    with pytest.raises(RequestError, match="'bf16x3' exists on the CPU by engine native only"):
        load_grid(None, ASKED | {"precision": "bf16x3"} | asked)


def test_of_a_family_that_says_nothing_auto_takes_the_only_engine_with_the_precision(
    products: Callable[[str], None],
) -> None:
    products("avx512_bf16")
    assert engines.choose("mine", "cpu", 1, "bf16x3").engine == "native"
    assert engines.choose("mine", "cpu", 1, "bf16").engine == "eager"


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
    # Records tell no name of a folder, as a compiler's words may.
    choices = {job.engine_choice for job in load_grid(None, ASKED).jobs}
    assert choices == {"auto: native cannot be had here"}
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
    twice = {"architecture": "conv", "depth": 2, "engine": ["eager", "auto"], "device": "cuda"}
    assert len(load_grid(None, ASKED | twice).jobs) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_nobody_sets_the_choice_as_an_option(engine: str) -> None:
    with pytest.raises(RequestError, match="unknown option 'engine_choice'"):
        load_grid(None, ASKED | {"engine": engine, "engine_choice": "auto", "device": "cuda"})


@pytest.mark.parametrize("family", architectures.names())
def test_native_trains_our_models_of_every_depth(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "trouble", lambda *_: "")
    for depth in (1, 2, 7):
        assert engines.untrainable("native", family, depth) == ""
        choice = engines.choose(family, "cpu", depth)
        assert choice == ("native", "the fastest known for chains of layers on a CPU", "")
    # The other engines train everything.
    others = ("reference", "eager", "graph")
    assert not any(engines.untrainable(engine, family, 9) for engine in others)


def test_what_an_engine_cannot_train_is_said_with_the_depth(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shallow = dataclasses.replace(ENGINES["native"], trains={"conv": 1}, fastest={"conv": 1})
    monkeypatch.setitem(ENGINES, "native", shallow)
    monkeypatch.setattr(engines, "trouble", lambda *_: "")
    assert engines.untrainable("native", "conv", 1) == engines.untrainable("native", "conv") == ""
    assert "not conv of depth 2" in engines.untrainable("native", "conv", 2)
    assert engines.choose("conv", "cpu", 1).engine == "native"
    assert engines.choose("conv", "cpu", 2) == (
        "eager", "nothing faster is known for its layers", "",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["mine", "convnext", "mlp-mixer", "conv-of-mine", "native-mlp"])
def test_a_user_s_family_is_not_taken_for_ours_by_its_name(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "trouble", lambda *_: "")
    size = architectures.get("mlp").size
    architectures.architecture(name, size=size)(lambda shape, latent, depth: None)
    for device, depth in itertools.product(engines.DEVICES, (1, 2)):
        choice = engines.choose(name, device, depth)
        assert choice == ("eager", f"what layers {name} has is not declared", "")
    # `native` asks the built model itself.
    assert engines.untrainable("native", name, 5) == ""
    # A plan takes it for an MLP, whose size this one has.
    assert Estimator().job(Job(name, "digits", 2)) == Estimator().job(Job("mlp", "digits", 2))


@pytest.mark.parametrize(("layers", "on_cuda"), [("linear", "graph"), ("chain", "eager")])
def test_a_user_s_family_may_say_what_its_models_are_made_of(
    layers: str, on_cuda: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "trouble", lambda *_: "")
    architectures.architecture("mine", layers=layers)(lambda shape, latent, depth: None)
    assert engines.choose("mine", "cpu", 3).engine == "native"
    assert engines.choose("mine", "cuda", 3).engine == on_cuda
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
