"""Estimates: learnt from this machine's own undisturbed jobs, bounded where those say little."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aebench import architectures, engines, estimate, machine
from aebench.estimate import Estimator, Guess
from aebench.grid import size, steps
from aebench.job import Job
from aebench.store import Record, Store

JOB = Job("mlp", "digits", 8)
STEP_S = 0.25


@pytest.fixture(autouse=True)
def speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """This CPU multiplies as fast as the one of the built-in rates."""
    monkeypatch.setattr(machine, "product_gflops", lambda: estimate._TABLE_PEAK)


@pytest.fixture
def results(tmp_path: Path) -> Store:
    return Store(tmp_path)


def gflop(job: Job) -> float:
    """Arithmetic of one training step."""
    return size(job).flops * job.batch_size / 1e9


def learnt(results: Store, threads: int | None = None) -> Estimator:
    """What the records say of jobs on so many threads, by default on all cores."""
    return Estimator.from_survey(results.survey(), threads or machine.cores())


def one_step(estimator: Estimator, job: Job) -> Guess:
    return estimator._step(job, gflop(job), estimator.threads)


def write(results: Store, n: int, job: Job = JOB, step_s: float = STEP_S, **row: Any) -> None:
    """A record of `job` as a worker leaves it, its steps `step_s` long."""
    usual = {
        "key": f"{n:016x}", "status": "ok", "architecture": job.architecture, "depth": job.depth,
        "options": job.options,
        "dataset": job.dataset, "engine": job.engine, "precision": "fp32", "device": job.device,
        "seed": 0, "epochs": job.epochs, "batch_size": job.batch_size, "steps": steps(job),
        "flops_per_step": size(job).flops * job.batch_size, "concurrent": False,
        "train_s": step_s * steps(job), "total_s": step_s * steps(job) + 3.0,
        "eval_s": 1.0, "probe_s": 1.0, "baseline_s": 0.5,
        "cpu_name": machine.cpu_name(), "cpu_details": machine.cpu_details(),
        "cores": machine.cores(),
    }  # fmt: skip
    results.write(Record(job=usual | row))


def likely(estimator: Estimator, job: Job) -> float:
    guess = estimator.job(job)
    assert guess is not None
    assert 0 < guess.low_s <= guess.likely_s <= guess.high_s
    return guess.likely_s


def test_a_job_measured_before_takes_as_long_again(results: Store) -> None:
    """The median of its steps, its evaluation, and half a second besides: all of it learnt."""
    for n, step_s in enumerate((0.2, STEP_S, 90.0)):
        write(results, n, step_s=step_s, eval_s=4 * step_s, probe_s=4 * step_s)
    estimator = learnt(results)
    guess = estimator.job(JOB)
    assert guess.likely_s == pytest.approx(STEP_S * steps(JOB) + 8 * STEP_S + 0.5, rel=0.01)
    assert guess.high_s / guess.low_s < 1.5
    assert "3 jobs measured" in estimator.basis


def test_a_tiny_job_says_little_of_a_large_one(tmp_path: Path) -> None:
    """A step of digits is nearly all overhead: its rate, times as much arithmetic, is absurd."""
    results = Store(tmp_path)
    tiny, large = Job("mlp", "digits", 16), Job("mlp", "mnist", 512)
    write(results, 1, tiny, step_s=4e-4, eval_s=0.01, probe_s=0.05, total_s=0.6)
    known, rough = learnt(results).job(large), Estimator().job(large)
    assert gflop(large) / gflop(tiny) * 4e-4 * steps(large) > 10 * rough.high_s
    assert rough.low_s / 2 < known.low_s < known.likely_s < known.high_s < 2 * rough.high_s


def test_a_tiny_job_that_was_slow_says_no_more(results: Store) -> None:
    """What held it up five times as long is not known to grow with the arithmetic."""
    large = Job("mlp", "mnist", 512)
    write(results, 1, Job("mlp", "digits", 16), step_s=2e-3)
    step = one_step(learnt(results), large).likely_s
    assert step == pytest.approx(max(2e-3, one_step(Estimator(), large).likely_s))


def test_a_slow_machine_is_believed_the_more_the_nearer_the_size(results: Store) -> None:
    job = Job("mlp", "mnist", 128)
    for n, latent in enumerate((112, 128)):
        write(results, n, Job("mlp", "mnist", latent), step_s=1.0)
    estimator = learnt(results)
    assert likely(estimator, job) >= 1.0 * steps(job)
    larger, rough = Job("mlp", "mnist", 512), Estimator()
    assert likely(estimator, larger) > 10 * likely(rough, larger)
    # More arithmetic takes no less time, and no more than in proportion.
    times = gflop(larger) / gflop(job)
    assert 1.0 * steps(larger) < likely(estimator, larger) < 1.3 * times * steps(larger)


@pytest.mark.parametrize(
    "row",
    [
        {"status": "failed", "train_s": None},
        {"concurrent": True},
        {"concurrent": None},
        {"cpu_name": "of somebody else"},
        {"cpu_details": "another model of that name"},
        {"cpu_details": None},  # as in records of before this was asked
        {"cores": 10_000},
        {"steps": None},
        {"flops_per_step": None},
    ],
)
def test_what_is_not_comparable_teaches_nothing(
    results: Store, row: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cpu_details", lambda: "model 1; avx2")
    write(results, 1, **row)
    write(results, 2, Job("conv", "mnist", 8))  # mixed with what is known, as real tables are
    estimator = learnt(results)
    assert estimator.job(JOB) == Estimator().job(JOB)


def test_without_results_it_says_so_and_gives_a_wide_range(tmp_path: Path) -> None:
    for store in (Store(tmp_path), Store(tmp_path / "none")):
        estimator = learnt(store)
        assert "no time of this machine" in estimator.basis
        guess = estimator.job(JOB)
        assert guess.high_s > 3 * guess.low_s > 0


def test_each_kind_of_job_has_its_own_rate(results: Store) -> None:
    slow, deep = Job("mlp", "digits", 8, engine="reference"), Job("mlp", "digits", 8, 2)
    wide = Job("mlp", "digits", 8, 2, options="hidden=8")
    write(results, 1)
    write(results, 2, slow, step_s=4 * STEP_S)
    estimator = learnt(results)
    steps_s = [one_step(estimator, job).likely_s for job in (slow, JOB)]
    assert steps_s == pytest.approx([4 * STEP_S, STEP_S])
    assert one_step(estimator, deep) == one_step(Estimator(), deep)
    write(results, 3, wide)
    known = learnt(results)
    assert one_step(known, deep) == one_step(Estimator(), deep)
    assert one_step(known, wide).likely_s == pytest.approx(STEP_S)


def test_deep_convolutions_have_a_rate_of_their_own() -> None:
    """Theirs is bound by arithmetic, that of depth 1 by memory: a GFLOP takes a fourth as long."""
    shallow, deep = Job("conv", "mnist", 512), Job("conv", "mnist", 64, 2)
    each = [one_step(Estimator(), job).likely_s / gflop(job) for job in (shallow, deep)]
    assert each[0] > 3 * each[1]


KNOWN_MS = [  # of two cores of an AMD EPYC, with nothing else on the machine
    (Job("mlp", "mnist", 1, engine="native"), 0.11),
    (Job("mlp", "mnist", 512, engine="native"), 1.09),
    (Job("mlp", "mnist", 128, engine="native"), 0.35),
    (Job("mlp", "mnist", 32, 3, engine="native"), 0.97),
    (Job("conv", "mnist", 1, engine="native"), 0.41),
    (Job("conv", "mnist", 16, engine="native"), 0.41),
    (Job("conv", "mnist", 128, engine="native"), 3.07),
    (Job("conv", "mnist", 512, engine="native"), 12.4),
    (Job("conv", "cifar10", 128, engine="native"), 11.5),
    (Job("mlp-shared", "cifar10", 512, engine="native"), 5.37),
    (Job("mlp-separate", "cifar10", 8500, engine="native"), 100.0),
    (Job("conv", "mnist", 64, 2, engine="native"), 79.0),
    (Job("conv", "mnist", 128, 2, engine="native"), 180.0),
    (Job("conv", "mnist", 16, 3, engine="native"), 210.0),
    (Job("conv-bottleneck", "mnist", 32, engine="native"), 2.2),
    (Job("conv-bottleneck", "mnist", 128, engine="native"), 5.6),
    (Job("conv-bottleneck", "mnist", 32, 2, engine="native"), 7.6),
    (Job("mlp", "mnist", 512, engine="reference"), 7.44),
    (Job("mlp", "mnist", 128, engine="reference"), 4.37),
    (Job("conv", "mnist", 128, engine="reference"), 32.5),
    (Job("mlp", "mnist", 512), 4.04),
    (Job("conv", "mnist", 128), 27.1),
    (Job("conv", "mnist", 64, 2), 214.0),
    (Job("conv-bottleneck", "mnist", 32), 10.4),
    (Job("conv-bottleneck", "mnist", 128), 16.5),
]


@pytest.mark.parametrize(("job", "ms"), KNOWN_MS, ids=lambda value: getattr(value, "name", ""))
def test_a_first_plan_is_near_what_was_measured(job: Job, ms: float) -> None:
    step_s = one_step(Estimator(threads=2), job).likely_s
    assert ms / 1.5 < 1e3 * step_s < 1.5 * ms


def test_a_first_plan_knows_how_fast_this_processor_multiplies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("mlp-separate", "cifar10", 8500, engine="native")
    here = one_step(learnt(Store(tmp_path)), job).likely_s
    monkeypatch.setattr(machine, "product_gflops", lambda: estimate._TABLE_PEAK / 4)
    assert one_step(learnt(Store(tmp_path)), job).likely_s == pytest.approx(4 * here, rel=0.01)
    monkeypatch.undo()
    assert 0.5 < machine.product_gflops() < 5_000  # measured, in 1e9 FLOP/s a core


def test_side_by_side_arithmetic_takes_as_much_longer_and_overhead_no_longer(
    results: Store,
) -> None:
    heavy, light = Job("mlp-separate", "cifar10", 8500), Job("mlp", "digits", 1)
    four, one = Estimator(threads=4), Estimator(threads=1)
    assert likely(one, heavy) == pytest.approx(4 * likely(four, heavy), rel=0.02)
    assert likely(one, light) == pytest.approx(likely(four, light), rel=0.02)
    assert one.job(heavy, 4) == four.job(heavy)
    # So four at a time end no sooner than one after the other, if they are heavy.
    many = [replace(heavy, seed=seed) for seed in range(8)]
    assert one.total(many, 4).likely_s == pytest.approx(four.total(many).likely_s, rel=0.05)
    for n, threads in enumerate((4, 1)):
        write(results, n, heavy, step_s=STEP_S * 4 / threads, threads=threads)
        for asked in (4, 1):
            step_s = one_step(learnt(results, asked), heavy).likely_s
            assert step_s == pytest.approx(STEP_S * 4 / asked, rel=0.02)


def test_a_slower_processor_is_known_by_the_products_of_other_jobs(results: Store) -> None:
    """What was measured of another kind of model says how fast this machine multiplies."""
    slow = {"threads": 2, "peak_gflops": estimate._TABLE_PEAK}  # half of that a core
    write(results, 1, Job("conv", "mnist", 8), **slow)
    write(results, 2, Job("conv", "mnist", 16), **slow | {"precision": "bf16", "peak_gflops": 1e6})
    job = Job("mlp-separate", "cifar10", 8500, engine="native")
    known, rough = (one_step(e, job) for e in (learnt(results), Estimator()))
    assert known.likely_s == pytest.approx(2 * rough.likely_s, rel=0.01)


def test_every_engine_has_a_rate_for_every_kind_of_model() -> None:
    families = [("mlp", 1), ("conv", 1), ("conv", 2), ("conv-bottleneck", 1), ("mlp-shared", 1)]
    for engine in engines.ENGINES.values():
        for device in engine.devices:
            for family, depth in families:
                job = Job(family, "cifar10", 4, depth, engine=engine.name, device=device)
                assert likely(Estimator(), job) > 0


def test_fixed_cost_does_not_grow_with_the_epochs(results: Store) -> None:
    for n, epochs in enumerate((1, 10)):
        job = Job("mlp", "digits", 8, epochs=epochs)
        write(results, n, job, step_s=1e-3, eval_s=0.001, probe_s=0.001, baseline_s=0.0,
              total_s=1e-3 * steps(job) + 20.002)  # fmt: skip
    estimator = learnt(results)
    assert estimator.fixed_s == {"digits": pytest.approx(20)}
    short, long = (likely(estimator, Job("mlp", "digits", 8, epochs=e)) for e in (1, 100))
    assert short == pytest.approx(20, abs=0.1)
    assert long - short == pytest.approx(99 * 9 * 1e-3, rel=0.1)


def test_totals_share_workers_and_pass_over_what_is_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    architectures.architecture("opaque")(lambda shape, latent, depth: None)
    estimator, opaque = Estimator(), Job("opaque", "digits", 8)
    impossible = Job("conv", "digits", 8, depth=9)
    assert estimator.job(opaque) is None
    assert estimator.job(impossible) is None
    assert estimator.total([opaque, impossible]) == Guess()
    long = Job("mlp", "mnist", 512)
    one = estimator.total([long]).likely_s
    assert estimator.total([long, long, opaque, impossible], 2).likely_s == pytest.approx(one)
    assert estimator.total([long, JOB], 2).likely_s >= likely(estimator, long)  # not divisible


def test_compiling_is_counted_once_for_each_shape() -> None:
    """And seeds and repeats of a shape share it."""
    estimator = Estimator()
    compiled = [Job("mlp", "mnist", k, seed=s, engine="compiled") for k in (4, 8) for s in (0, 1)]
    eager = [Job("mlp", "mnist", k, seed=s) for k in (4, 8) for s in (0, 1)]
    more = estimator.total(compiled).likely_s - estimator.total(eager).likely_s
    assert more == pytest.approx(2 * 30)


def test_a_worker_starts_and_baselines_are_computed_once(results: Store) -> None:
    rough = Estimator()
    jobs = [Job("mlp", "mnist", k) for k in (4, 8)]
    alone = [likely(rough, job) for job in jobs]
    once = rough.total(jobs).likely_s - sum(alone)
    assert once == pytest.approx(rough.total(jobs[:1]).likely_s - alone[0])
    assert once > 6  # torch alone takes four seconds to import
    write(results, 1, Job("conv", "mnist", 8))
    known = learnt(results)
    assert known.total(jobs).likely_s - sum(likely(known, j) for j in jobs) < once


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("engine", ["eager", "reference"])
@pytest.mark.parametrize("family", ["mlp", "conv"])
def test_more_work_is_estimated_longer_on_every_kind_of_machine(
    family: str, engine: str, device: str
) -> None:
    small, big = (
        Job(family, "mnist", latent, engine=engine, device=device) for latent in (16, 512)
    )
    assert 0 < likely(Estimator(), small) < likely(Estimator(), big)


def test_seeds_and_repeats_are_guessed_once_and_all_else_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []
    monkeypatch.setattr("aebench.estimate.size", lambda job: asked.append(job) or size(job))
    estimator = Estimator()
    same = [replace(JOB, seed=seed, repeat=repeat) for seed in range(3) for repeat in range(2)]
    assert len({estimator.job(job) for job in same}) == 1
    assert asked == same[:1]
    longer = estimator.job(replace(JOB, epochs=2 * JOB.epochs))
    assert longer is not None
    assert longer.likely_s > likely(estimator, JOB)
