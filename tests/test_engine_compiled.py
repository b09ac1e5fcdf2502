"""What inductor compiles: the same steps as the reference's, once for each shape.

Compiling takes from five seconds to a minute, so everything here is slow.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from engine_checks import VARIANTS, check, check_job, job, setup, train

from aebench.engines import compiled, resident, training
from aebench.worker import run_job

pytestmark = [pytest.mark.slow, pytest.mark.compiler, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def counted() -> Any:
    """How often torch has compiled a loss, as torch counts it."""
    from torch._dynamo.utils import counters

    return lambda: counters["stats"]["unique_graphs"]


# Order, schedule and seed are no part of the shape; noise and depth are.
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_steps_are_those_of_the_reference(variant: str) -> None:
    check_job(job(engine="compiled", **VARIANTS[variant]), training.create)


def test_convolutions() -> None:
    check_job(job("conv", engine="compiled"), training.create)


def test_jobs_of_one_shape_compile_once_and_leave_nothing_behind(counted: Any) -> None:
    first = job(engine="compiled", latent=7, seed=0)
    second = dataclasses.replace(
        first, seed=1, order="shuffled", schedule="cosine", learning_rate=1e-2, epochs=2
    )
    before = counted()
    kept = check_job(first, training.create)
    weights = [p.clone() for p in kept.model.parameters()]
    assert counted() == before + 1
    check_job(second, training.create)
    check_job(first, training.create)
    assert counted() == before + 1
    for old, new in zip(weights, kept.model.parameters(), strict=True):
        assert torch.equal(old, new)


def test_its_time_stands_apart_in_the_record() -> None:
    one = job(engine="compiled", latent=5)
    rows = [run_job(dataclasses.replace(one, seed=seed)).job for seed in (0, 1)]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert rows[0]["compile_s"] > rows[1]["compile_s"] > 0
    assert run_job(job()).job["compile_s"] < rows[0]["compile_s"]


def test_without_a_compiler_the_job_fails_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    from torch._inductor import config

    monkeypatch.setattr(compiled, "_programs", resident.Shelf(most=1))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with config.patch({"cpp.cxx": ("no-such-compiler",)}):
        row = run_job(job(engine="compiled", latent=3)).job
    assert row["status"] == "failed"
    assert row["reason"].startswith("engine 'compiled' needs a C++ compiler")


def test_what_cannot_be_compiled_in_one_piece_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = setup(job(engine="compiled", latent=2))

    def breaks(_module: Any, _inputs: Any) -> None:
        torch._dynamo.graph_break()

    ours.model.register_forward_pre_hook(breaks)
    with pytest.raises(torch._dynamo.exc.Unsupported):
        train(training.create(ours), 1)


@pytest.mark.cuda
@pytest.mark.parametrize("variant", ["plain", "all"])
@pytest.mark.parametrize(("family", "latent"), [("mlp", 8), ("conv", 4)])
def test_on_cuda(variant: str, family: str, latent: int) -> None:
    one = job(family, latent, engine="compiled", device="cuda", **VARIANTS[variant])
    ours = setup(one, device="cuda")
    check(one, ours, train(training.create(ours), one.epochs))
