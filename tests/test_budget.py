"""`aebench run --budget`: what fits is run, in the order that decides findings soonest."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, environment
from test_report_records import record

from aebench import load_grid, machine
from aebench.analysis import deciding
from aebench.analysis.statistics import LEAST
from aebench.budget import Admission, Costs, fitting
from aebench.errors import RequestError
from aebench.estimate import Estimator, Guess
from aebench.executors import RunOptions
from aebench.grid import Grid
from aebench.job import Job
from aebench.store import Store

Invoke = Callable[..., tuple[int, str, str]]


class Priced(Estimator):
    """Every job costs its latent size in seconds, give or take half."""

    def job(self, job: Job, threads: int | None = None) -> Guess:
        return Guess(job.latent / 2, float(job.latent), job.latent * 2.0)


COSTS = Costs(Priced(), start_s=1.0)


def job(latent: int, **fields) -> Job:
    return Job.create(architecture="mlp", dataset="digits", latent=latent, **fields)


class Clock:
    """Stands still unless it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_job_may_start_if_it_ends_within_what_is_left() -> None:
    clock = Clock()
    may_start = Admission(COSTS, clock.now + 10, clock=clock)
    assert may_start(job(4))
    clock.now += 5  # as planned, start included
    assert not may_start(job(6))
    assert may_start(job(5))  # a cheaper one takes its place
    assert may_start.refused == [job(6)]


def test_jobs_that_took_longer_than_planned_make_those_to_come_longer() -> None:
    clock = Clock()
    may_start = Admission(COSTS, clock.now + 20, clock=clock)
    assert may_start(job(4))
    clock.now += 1 + 8  # twice as long
    assert not may_start(job(6))
    assert may_start(job(5))
    assert not Admission(COSTS, clock.now + 4, clock=clock)(job(5))


def test_what_the_records_say_by_then_is_learnt() -> None:
    clock, asked = Clock(), 0

    def learn() -> Costs:
        nonlocal asked
        asked += 1
        clock.now += 0.1
        return dataclasses.replace(COSTS, corrections={(): 0.5})

    may_start = Admission(COSTS, clock.now + 10, clock=clock, learn=learn)
    assert not may_start(job(11))
    assert may_start(job(2))
    assert asked == 0  # there is nothing new to learn before the first has run
    clock.now += 2
    assert may_start(job(14))  # half as long as it was thought to be
    assert asked == 1
    clock.now += 1
    assert not may_start(job(14))
    assert asked == 1  # not again so soon: it takes time itself
    clock.now += 2
    may_start(job(14))
    assert asked == 2


def test_a_process_of_its_own_is_part_of_what_a_job_costs() -> None:
    costs = dataclasses.replace(COSTS, started=frozenset({job(4)}))
    assert (costs.seconds(job(4)), costs.seconds(job(5))) == (5.0, 5.0)


def test_what_fits_is_told_as_a_range_and_too_little_is_refused() -> None:
    jobs = [job(n) for n in (4, 8, 3)]
    fit = fitting(jobs, COSTS, 9.0)
    assert (fit.least, fit.jobs, fit.most) == (1, (jobs[0], jobs[2]), 3)
    assert len(fitting(jobs, COSTS, 9.0, workers=2).jobs) == 3
    with pytest.raises(RequestError, match=r"3\.5s is too small .* least that would do is 4s"):
        fitting(jobs, COSTS, 3.5)


def measured(store: Store, took_s: float, *, here: bool, **model: Any) -> None:
    """A record of a job that took so long in all, beside others, on a CPU like this or another."""
    like = {
        "cpu_name": machine.cpu_name(), "cpu_details": machine.cpu_details(),
        "cores": machine.cores(), "threads": machine.cores(), "concurrent": True,
        "total_s": took_s, "compile_s": 0.0, "baseline_s": 0.0,
    }  # fmt: skip
    other = {} if here else {"cpu_details": "another of that name"}
    store.write(record(**model, row=like | other))


def test_costs_are_those_of_this_machine_and_of_the_same_kind_of_job(tmp_path: Path) -> None:
    mlp, conv = Job("mlp", "mnist", 4), Job("conv", "mnist", 4)
    store = Store(tmp_path)
    for seed, took_s in enumerate((30.0, 50.0, 90.0)):
        measured(store, took_s, here=True, architecture="mlp", latent=4, seed=seed)
    measured(store, 700.0, here=True, architecture="conv", latent=4)
    for seed in (4, 5, 6, 7):
        measured(store, 9000.0, here=False, architecture="mlp", latent=4, seed=seed)
    costs = Costs.of(store.survey().jobs, "here", machine.cores())
    assert costs.seconds(mlp) == pytest.approx(50.0)
    assert costs.seconds(conv) == pytest.approx(700.0)
    assert costs.seconds(mlp) < 0.1 * costs.seconds(dataclasses.replace(mlp, epochs=1000))


def test_what_a_job_took_is_set_beside_what_it_takes_with_as_many_threads(tmp_path: Path) -> None:
    """Of one thread it took so long; with four, which share its arithmetic, a quarter."""
    store, model = Store(tmp_path), {"architecture": "mlp-separate", "latent": 8500}
    row = {"cpu_name": machine.cpu_name(), "cpu_details": machine.cpu_details(),
           "cores": machine.cores(), "threads": 1, "concurrent": True, "total_s": 4000.0,
           "compile_s": 0.0, "baseline_s": 0.0}  # fmt: skip
    store.write(record(dataset="cifar10", row=row, **model))
    job = Job("mlp-separate", "cifar10", 8500)
    for threads, seconds in ((1, 4000.0), (4, 1000.0)):
        costs = Costs.of(store.survey().jobs, "here", threads)
        assert costs.seconds(job) == pytest.approx(seconds, rel=0.03)


def test_other_machines_say_nothing_of_how_long_jobs_take_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But of those of unknown size, of which nothing else does."""
    monkeypatch.setattr(machine, "product_gflops", lambda: 100.0)  # of which noise is no part
    mlp, conv = Job("mlp", "mnist", 4), Job("conv", "mnist", 4)
    nothing = Costs.of(Store(tmp_path / "none").survey().jobs, "none", machine.cores())
    rough = {job: nothing.seconds(job) for job in (mlp, conv)}
    store = Store(tmp_path)
    for seed in (0, 1):
        measured(store, 9000.0, here=False, architecture="mlp", latent=4, seed=seed)
    measured(store, 0.1, here=False, architecture="conv", latent=4)
    costs = Costs.of(store.survey().jobs, "here", machine.cores())
    assert {job: costs.seconds(job) for job in rough} == rough
    assert costs.measured["mlp", "mnist"] * mlp.epochs == pytest.approx(9000.0)
    measured(store, 50.0, here=True, architecture="mlp", latent=4, seed=2)
    costs = Costs.of(store.survey().jobs, "here", machine.cores())
    assert costs.seconds(mlp) == pytest.approx(50.0)
    assert costs.seconds(conv) == pytest.approx(50.0 * rough[conv] / rough[mlp])


def test_more_workers_than_cores_get_no_more_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine; elsewhere there may be as many as were asked for."""
    monkeypatch.setattr(machine, "cores", lambda: 4)
    few, many = RunOptions(workers=2), RunOptions(workers=1000)
    assert [few.threads_of_each(n) for n in (1, 2, 9)] == [4, 2, 2]
    assert [(many.at_once(n), many.abreast(n), many.threads_of_each(n)) for n in (0, 3, 9)] == [
        (1, 1, 4), (3, 3, 1), (9, 4, 1),
    ]  # fmt: skip
    assert RunOptions(workers=2, threads=3).threads_of_each(9) == 3
    ray = RunOptions(on="ray", workers=9)
    assert (ray.abreast(9), ray.threads_of_each(9)) == (9, 4)
    assert dataclasses.replace(ray, cpus_per_job=2).threads_of_each(9) == 2


def test_a_plan_tells_how_many_run_at_a_time(invoke: Invoke) -> None:
    told = []
    for workers in ("2", "1000"):
        code, out, _ = invoke("run", "--grid", "quick", "--plan", "--workers", workers)
        assert code == 0
        told.append(re.search(r"about (.*), (\d+) at a time", out).groups())
    (_, two), (_, all_of_it) = told
    assert (two, all_of_it) == ("2", "5")


# The order


def study(**axes) -> Grid:
    return load_grid("study", axes | {"device": "cpu"})


def test_what_decides_a_finding_soonest_comes_first() -> None:
    grid = study()
    model = ("mnist", "mlp", 1, 1)
    price = {j: 1.0 if (j.dataset, j.architecture, j.latent, j.depth) == model else 10.0
             for j in grid.jobs}  # fmt: skip
    first = deciding.first(grid.jobs, (), price.__getitem__)
    assert [(j.architecture, j.latent, j.seed) for j in first[:LEAST]] == [
        ("mlp", 1, seed) for seed in range(LEAST)
    ]  # fmt: skip
    assert len(set(first)) == len(first)
    waits = deciding.waits(grid.jobs, ())
    assert {j for missing in waits.values() for j in missing} == set(first)
    done = {j.key for j in first[:LEAST]}
    after = deciding.waits(grid.jobs, done)
    assert (after["mlp-1"], len(after["mlp-smaller-worse"])) == ([], 2 * LEAST)
    assert deciding.waits(grid.jobs, {j.key for j in first})["mlp-smaller-worse"] == []


def test_findings_on_times_wait_for_pairs_by_the_study_s_own_loop() -> None:
    waits = deciding.waits(study().jobs, ())
    assert {j.engine for j in waits["conv-not-slower-cpu"]} == {"reference"}
    assert len(waits["conv-not-slower-cpu"]) == 2 * LEAST
    assert "conv-not-slower" not in waits  # it takes a GPU
    # Of as many epochs, whatever these are; for an error the study's alone count.
    deep = waits["deep-slower-cpu"]
    assert sorted((j.depth, j.epochs) for j in deep) == [(1, 1)] * LEAST + [(2, 1)] * LEAST
    assert {j.modified for j in waits["conv-128"]} == {""}
    assert len(waits["conv-128"]) == LEAST


def test_errors_wait_for_no_seed_that_another_engine_has_trained_but_times_do() -> None:
    grid = study()
    deep = [j for j in grid.jobs if (j.architecture, j.latent, j.depth) == ("conv", 64, 2)]
    (first,) = (j for j in deep if j.seed == 0)
    assert first.engine != "eager"
    waits = deciding.waits(grid.jobs, {first.key_by("eager")})
    assert sorted(j.seed for j in waits["deep-64"]) == [1, 2]
    timed = [j for j in grid.jobs if j.engine == "reference"]
    waits = deciding.waits(grid.jobs, {j.key_by("native") for j in timed})
    assert set(waits["conv-not-slower-cpu"]) < set(timed)
    assert len(waits["conv-not-slower-cpu"]) == 2 * LEAST


@pytest.mark.parametrize(
    "axes",
    [{"epochs": 2}, {"dataset": "digits"}, {"protocol": "tuned"}],
)
def test_what_cannot_speak_about_the_study_decides_nothing(axes: dict) -> None:
    grid = load_grid(None, {"architecture": "mlp", "latent": 512, "dataset": "mnist",
                            "device": "cpu"} | axes)  # fmt: skip
    assert deciding.waits(grid.jobs, ()) == {}
    assert deciding.first(grid.jobs, (), COSTS.seconds) == []


def test_with_fewer_seeds_a_finding_waits_for_those_there_are() -> None:
    grid = load_grid(None, {"architecture": "mlp", "latent": [1, 512], "dataset": "mnist",
                            "device": "cpu", "seeds": 2})  # fmt: skip
    waits = deciding.waits(grid.jobs, {j.key for j in grid.jobs if j.seed == 1})
    assert {id: [j.seed for j in missing] for id, missing in waits.items()
            if id in ("mlp-1", "mlp-512")} == {"mlp-1": [0], "mlp-512": [0]}  # fmt: skip
    assert "mlp-smaller-worse" not in waits  # the grid lacks one of its models


# The command


def test_a_budget_is_shown_beforehand(invoke: Invoke) -> None:
    code, out, _ = invoke("run", "--grid", "study", "--device", "cpu", "--plan", "--budget", "20m")
    assert code == 0
    found = re.search(r"within 20 min 00 s: about (\d+) of (\d+) jobs \((\d+) to (\d+)\)", out)
    assert found
    fit, of, least, most = map(int, found.groups())
    assert 0 < least <= fit <= most <= of
    left_out = re.search(r"left out by the budget: (\d+) jobs: mnist|: (\d+) jobs: cifar10", out)
    assert left_out
    assert fit + int(left_out[1] or left_out[2]) == of
    assert "findings that then have what they take: mlp-" in out
    assert "findings that wait for them: " in out


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("2s", "too small for a single job; the least that would do is"),
        ("10x", "takes a time like 10m"),
        ("0", "takes a time like 10m"),
        ("nan", "takes a time like 10m"),
    ],
)
def test_a_budget_must_be_one_that_something_fits(invoke: Invoke, budget: str, words: str) -> None:
    asked = ("--architecture", "mlp", "--dataset", "digits", "--latent", "4", "--device", "cpu")
    code, _, said = invoke("run", *asked, "--budget", budget)
    assert (code, words in said) == (2, True)
    assert not Path("results").exists()


@pytest.mark.slow
def test_what_fits_is_run_and_what_does_not_is_told(tmp_path: Path) -> None:
    """Two hundred jobs never fit nine seconds; the first always does, by the rough estimate."""
    command = [*COMMAND, "-q", "run", "--architecture", "mlp", "--dataset", "digits"]
    command += ["--latent", "1..200", "--epochs", "1", "--engine", "eager", "--device", "cpu"]
    command += ["--results", "out", "--budget", "9s"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    jobs = Store(tmp_path / "out").survey().jobs
    assert 0 < len(jobs) < 200
    assert f"left out by the budget: {200 - len(jobs)} jobs: digits mlp-" in done.stderr
    assert f"to go on: aebench {' '.join(command[len(COMMAND) :])}" in done.stderr


def test_nothing_to_do_takes_no_budget(invoke: Invoke, tmp_path: Path) -> None:
    from aebench.records import Circumstances, ended_without_record

    grid = load_grid(None, {"architecture": "mlp", "latent": 4, "dataset": "digits",
                            "device": "cpu", "engine": "eager"})  # fmt: skip
    store = Store(tmp_path / "out")
    store.prepare()
    for one in grid.jobs:
        store.write(ended_without_record(one, Circumstances(), "ok", "", 1.0))
    asked = ("--architecture", "mlp", "--dataset", "digits", "--latent", "4", "--device", "cpu")
    code, _, said = invoke("run", *asked, "--engine", "eager", "--results", "out", "--budget", "1s")
    assert (code, "nothing is left to do" in said) == (0, True)
