"""Estimates: learnt from this machine's own undisturbed jobs, and never from another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aebench import architectures, machine
from aebench.estimate import Estimator
from aebench.grid import size, steps
from aebench.job import Job
from aebench.store import Record, Store

JOB = Job("mlp", "digits", 8)


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path)


def write(results: Store, n: int, **row: Any) -> None:
    usual = {
        "key": f"{n:016x}", "status": "ok", "architecture": "mlp", "depth": 1, "engine": "eager",
        "precision": "fp32", "device": "cpu", "concurrent": False, "gflops": 2.0,
        "train_s": 1.0, "total_s": 1.5, "cpu_name": machine.cpu_name(), "cores": machine.cores(),
    }  # fmt: skip
    results.write(Record(job=usual | row))


def gflop(job: Job) -> float:
    return size(job).flops * job.batch_size * steps(job) / 1e9


def test_learns_from_the_median_of_measured_jobs(results: Store) -> None:
    for n, rate in enumerate((1.0, 2.0, 90.0)):
        write(results, n, gflops=rate)
    estimator = Estimator.from_store(results)
    assert estimator.job_s(JOB) == pytest.approx(gflop(JOB) / 2 * 1.5)
    assert "3 jobs measured" in estimator.basis


def test_arithmetic_left_out_will_be_left_out_again(results: Store) -> None:
    write(results, 1, gflops=1.5, flops_per_step=100, skipped_flops_per_step=25)
    assert Estimator.from_store(results).job_s(JOB) == pytest.approx(gflop(JOB) / 2 * 1.5)


@pytest.mark.parametrize(
    "row",
    [
        {"status": "failed", "gflops": None},
        {"concurrent": True},
        {"concurrent": None},
        {"cpu_name": "of somebody else"},
        {"cores": 10_000},
    ],
)
def test_what_is_not_comparable_teaches_nothing(results: Store, row: dict[str, Any]) -> None:
    write(results, 1, **row)
    write(results, 2, architecture="conv")  # mixed with what is known, as real tables are
    estimator = Estimator.from_store(results)
    assert estimator.job_s(JOB) == Estimator().job_s(JOB)


def test_without_results_it_says_so(tmp_path: Path) -> None:
    for store in (Store(tmp_path), Store(tmp_path / "none")):
        estimator = Estimator.from_store(store)
        assert "nothing measured" in estimator.basis
        assert estimator.job_s(JOB) > 0


def test_each_kind_of_job_has_its_own_rate(results: Store) -> None:
    write(results, 1, gflops=2.0)
    write(results, 2, gflops=0.5, engine="reference")
    estimator = Estimator.from_store(results)
    slow = Job("mlp", "digits", 8, engine="reference")
    assert estimator.job_s(slow) == pytest.approx(4 * estimator.job_s(JOB))
    deep = Job("mlp", "digits", 8, 2)  # arithmetic goes at another rate there
    assert estimator.job_s(deep) == Estimator().job_s(deep)


def test_totals_share_workers_and_pass_over_what_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(architectures, "_registry", dict(architectures._registry))
    architectures.architecture("opaque")(lambda shape, latent, depth: None)
    estimator, opaque = Estimator(), Job("opaque", "digits", 8)
    impossible = Job("conv", "digits", 8, depth=9)
    assert estimator.job_s(opaque) is None
    assert estimator.job_s(impossible) is None
    one = estimator.job_s(JOB)
    assert estimator.total_s([JOB, JOB, opaque, impossible], workers=2) == pytest.approx(one)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("engine", ["eager", "reference"])
@pytest.mark.parametrize("family", ["mlp", "conv"])
def test_more_work_is_estimated_longer_on_every_kind_of_machine(
    family: str, engine: str, device: str
) -> None:
    small, big = (
        Job(family, "mnist", latent, engine=engine, device=device) for latent in (16, 512)
    )
    assert 0 < Estimator().job_s(small) < Estimator().job_s(big)
