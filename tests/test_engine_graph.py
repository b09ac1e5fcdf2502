"""The steps of a graph, run without capture on a CPU; what needs CUDA is marked so.

On a machine with a GPU: ``pytest -m cuda``.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch
from engine_checks import VARIANTS, check, check_job, job, setup, train

from aebench.analysis import frames
from aebench.engines import graph
from aebench.engines.training import Engine, Setup
from aebench.errors import RequestError
from aebench.grid import load_grid
from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Store, read
from aebench.worker import run_job

SMALL = {"batch_size": 15}  # 83 steps an epoch: two whole graphs and a rest


def uncaptured(ours: Setup) -> Engine:
    return graph.Graph(ours, capture=False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_steps_are_those_of_the_reference(variant: str) -> None:
    check_job(job(**VARIANTS[variant]), uncaptured)


@pytest.mark.parametrize("variant", ["plain", "all"])
def test_an_epoch_of_several_graphs_and_a_rest(variant: str) -> None:
    one = job(epochs=2, **SMALL, **VARIANTS[variant])
    ours = check_job(one, uncaptured)
    assert ours.steps_per_epoch > 2 * graph.STEPS_PER_GRAPH
    assert ours.steps_per_epoch % graph.STEPS_PER_GRAPH


def test_convolutions_lie_as_they_do_in_eager() -> None:
    check_job(job("conv", 4), uncaptured)


def test_a_job_leaves_nothing_to_the_next_of_its_shape() -> None:
    first, second = (job(seed=seed, **VARIANTS["all"]) for seed in (0, 1))
    kept = check_job(first, uncaptured)
    weights = [p.clone() for p in kept.model.parameters()]
    check_job(second, uncaptured)
    check_job(first, uncaptured)
    for before, after in zip(weights, kept.model.parameters(), strict=True):
        assert torch.equal(before, after)


@pytest.mark.slow
def test_rate_and_length_do_not_part_jobs_of_one_shape() -> None:
    """A graph reads both from the device."""
    fast = job(learning_rate=0.01, epochs=2, schedule="cosine")
    engines: list[graph.Graph] = []

    def make(ours: Setup) -> Engine:
        engines.append(graph.Graph(ours, capture=False))
        return engines[-1]

    check_job(fast, make)
    check_job(job(), make)
    assert engines[0].program is engines[1].program
    check_job(job(batch_size=32), make)
    assert engines[2].program is not engines[1].program


def test_a_failed_capture_is_run_by_eager_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(self: graph._Program) -> None:
        self.steps(1)  # as a capture that gets somewhere before it fails
        raise RuntimeError("operation not permitted when stream is capturing\nand so on")

    monkeypatch.setattr(graph._Program, "capture", fail)
    engine: graph.Graph | None = None

    def make(ours: Setup) -> Engine:
        nonlocal engine
        engine = graph.Graph(ours)
        return engine

    check_job(job(**VARIANTS["all"]), make)
    assert engine is not None
    assert engine.note == (
        "capture failed: operation not permitted when stream is capturing; ran as eager"
    )


def test_a_note_reaches_the_record_and_keeps_its_time_out_of_tables(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    class Noted(graph.Graph):
        def __init__(self, ours: Setup) -> None:
            super().__init__(ours, capture=False)
            self.note = "ran as eager"

    monkeypatch.setattr("aebench.interference.others", lambda: 0)  # whatever else runs here now
    store = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("aebench.engines.eager.create", Noted)
        store.write(run_job(job()))
    store.write(run_job(job(seed=2)))
    jobs = read(tmp_path).jobs.sort_values("seed")
    assert jobs["engine_note"].tolist() == ["ran as eager", ""]
    assert frames.timed(jobs)["seed"].tolist() == [2]


def test_no_job_of_it_on_a_cpu() -> None:
    asked = {"architecture": "mlp", "dataset": "digits", "latent": 2, "engine": "graph"}
    with pytest.raises(RequestError, match="engine 'graph' exists on CUDA devices only; use eager"):
        load_grid(None, asked, {"device": "cpu"})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_cuda_the_record_says_so() -> None:
    row = run_job(job(engine="graph", device="cuda"), Circumstances(device="cuda")).job
    assert row["status"] == "failed"
    assert row["reason"] == "no CUDA device that this torch can use; try --device cpu"


def captured(one: Job) -> tuple[Setup, graph.Graph]:
    """Train with a captured graph, and judge against the reference on the CPU."""
    ours = setup(one, device="cuda")
    engine = graph.Graph(ours)
    losses = train(engine, one.epochs)
    assert not engine.note
    check(one, ours, losses)
    return ours, engine


@pytest.mark.cuda
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("family", "latent"), [("mlp", 8), ("conv", 4)])
def test_captured_steps_are_those_of_the_reference(variant: str, family: str, latent: int) -> None:
    on = {"engine": "graph", "device": "cuda"}
    captured(job(family, latent, **on, **SMALL, **VARIANTS[variant]))


@pytest.mark.cuda
def test_one_capture_serves_jobs_that_differ_in_seed_rate_and_length() -> None:
    on = {"engine": "graph", "device": "cuda", "order": "shuffled"}
    _, first = captured(job(seed=0, **on))
    _, second = captured(job(seed=3, epochs=2, learning_rate=1e-2, schedule="cosine", **on))
    assert first.program is second.program
    captured(job(seed=0, **on))


@pytest.mark.cuda
def test_a_record_of_a_captured_job() -> None:
    one = job(engine="graph", device="cuda")
    row = run_job(one, Circumstances(device="cuda")).job
    assert (row["status"], row["engine_note"]) == ("ok", "")
    assert row["compile_s"] > 0
    again = run_job(dataclasses.replace(one, seed=7), Circumstances(device="cuda")).job
    assert again["compile_s"] < row["compile_s"]  # captured once
