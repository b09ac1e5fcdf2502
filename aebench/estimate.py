"""How long a job will take, before it runs: from rates measured in this store, else rough ones.

Used for plans and progress bars only; nothing that is reported as measured comes from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from aebench import machine
from aebench.errors import RequestError
from aebench.grid import size, steps
from aebench.job import Job

if TYPE_CHECKING:
    from aebench.store import Store

_Kind = tuple[str, int, str, str, str]  # architecture, depth, engine, precision, device

# Seconds a step costs besides its arithmetic, and GFLOP/s reached, for (family, device). CPU
# rates are per core. They are only for a first plan on a machine with no results yet.
_STEP_S = {"cpu": 4e-4, "cuda": 4e-4}
_ENGINE_STEP_S = {
    "reference": 1.2e-2,  # 128 samples through PIL, ToTensor and a DataLoader
    "native": 1e-4,
    "graph": 6e-5,  # estimated from the number of kernels, not measured
}
_COMPILE_S = 30.0  # once for each shape, by engine `compiled`
_GFLOPS = {
    ("mlp", "cpu"): 60.0,
    ("conv", "cpu"): 20.0,  # to and from one channel: more memory than arithmetic
    ("deep conv", "cpu"): 80.0,
    ("mlp", "cuda"): 10_000.0,
    ("conv", "cuda"): 10_000.0,
    ("deep conv", "cuda"): 10_000.0,
}
_NATIVE_GFLOPS = 100.0  # per core, by engine `native`: 70 (conv-16) to 160 (mlp-512) measured
_OUTSIDE = 1.15  # validation, test and the rest, as a multiple of training


@dataclass(frozen=True)
class Estimator:
    """Predicts seconds per job; `basis` says in words what the prediction rests on."""

    measured: Mapping[_Kind, tuple[float, float]] = field(default_factory=dict)
    basis: str = "rough estimate: nothing measured on this machine yet"

    @classmethod
    def from_store(cls, store: Store) -> Estimator:
        """Learn GFLOP/s of each kind of job from what ran alone on a CPU or GPU like ours."""
        if not store.exists:
            return cls()
        jobs = store.survey().jobs
        mine = jobs[
            (jobs["status"] == "ok")
            & jobs["concurrent"].eq(False)  # not known, as in old records, is no promise
            & (jobs["cpu_name"] == machine.cpu_name())
            & (jobs["cores"] == machine.cores())
        ]
        # Jobs trained as one model have a share of its time, good enough to plan by.
        train_s = mine["train_s"].fillna(mine["amortised_train_s"])
        flops = mine["flops_per_step"].astype("float64")
        # Arithmetic that an engine left out counts as done: it will be left out again.
        left_out = (mine["skipped_flops_per_step"].astype("float64") / flops).fillna(0.0)
        gflops = (mine["gflops"] / (1 - left_out)).fillna(mine["steps"] * flops / 1e9 / train_s)
        mine = mine.assign(train_s=train_s, gflops=gflops)
        rates = mine.groupby(["architecture", "depth", "engine", "precision", "device"])
        measured = {
            (str(k[0]), int(str(k[1])), str(k[2]), str(k[3]), str(k[4])): (
                float(group["gflops"].median()),
                float((group["total_s"] / group["train_s"]).median()),
            )
            for k, group in rates
        }
        if not measured:
            return cls()
        return cls(measured, f"estimated from {len(mine)} jobs measured in {store.path}")

    def job_s(self, job: Job) -> float | None:
        """Seconds from start to record of one job; None if its size is not known beforehand."""
        try:
            amount = size(job)
        except RequestError:
            return None
        if amount is None:
            return None
        gflop = amount.flops * job.batch_size * steps(job) / 1e9
        known = self.measured.get(
            (job.architecture, job.depth, job.engine, job.precision, job.device)
        )
        if known:
            return gflop / known[0] * known[1]
        family = "conv" if "conv" in job.architecture else "mlp"
        if family == "conv" and job.depth > 1:
            family = "deep conv"
        cores = machine.cores() if job.device == "cpu" else 1
        each = _ENGINE_STEP_S.get(job.engine, _STEP_S[job.device])
        native = job.engine == "native"
        rate = _NATIVE_GFLOPS if native else _GFLOPS[family, job.device]
        return (gflop / (rate * cores) + each * steps(job)) * _OUTSIDE

    def total_s(self, jobs: Iterable[Job], workers: int = 1) -> float:
        """Seconds for all `jobs`, `workers` at a time; jobs of unknown size count nothing."""
        jobs = list(jobs)
        shapes = {replace(job, seed=0, repeat=0) for job in jobs if job.engine == "compiled"}
        trained = sum(self.job_s(job) or 0.0 for job in jobs) / workers
        return trained + _COMPILE_S * len(shapes)  # every worker compiles for itself
