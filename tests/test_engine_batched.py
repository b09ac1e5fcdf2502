"""Jobs trained as one model: equal to each by itself, in errors but not in times."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from engine_checks import VARIANTS, check, job, setup, train
from torch import nn

from aebench import architectures, engines, estimate
from aebench.architectures.autoencoder import Autoencoder
from aebench.engines import batched
from aebench.errors import RequestError
from aebench.executors import Ending, local
from aebench.executors.groups import grouped
from aebench.grid import load_grid
from aebench.job import Job
from aebench.report import frames
from aebench.store import Store, read
from aebench.worker import run_job, run_jobs


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_member_is_trained_as_if_alone(variant: str) -> None:
    jobs = [job(engine="batched", seed=seed, **VARIANTS[variant]) for seed in (0, 1, 5)]
    setups = [setup(one, pool=True) for one in jobs]
    losses = train(engines.create(*setups), jobs[0].epochs)
    for member, (one, ours) in enumerate(zip(jobs, setups, strict=True)):
        check(one, ours, [epoch[member] for epoch in losses])


@pytest.mark.parametrize("family", ["mlp", "mlp-shared", "mlp-separate"])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_stack_gives_what_its_members_give(family: str, depth: int) -> None:
    shape = (3, 6, 6)
    members = [architectures.get(family).build(shape, 5, depth) for _ in range(4)]
    images = torch.rand(4, 7, *shape)
    stacked = batched.stack(members)
    got = stacked(images)
    assert got.shape == images.shape
    for member, x, y in zip(members, images, got, strict=True):
        torch.testing.assert_close(y, member(x))
    names = [name for name, _ in members[0].named_parameters()]
    assert [name for name, _ in stacked.named_parameters()] == names


def test_what_cannot_be_stacked_is_named() -> None:
    def model() -> nn.Module:
        return Autoencoder(nn.Sequential(nn.Flatten(), nn.Tanh()), nn.Unflatten(1, (1, 8, 8)))

    with pytest.raises(RequestError, match=r"cannot stack a Tanh; it trains mlp, mlp-shared"):
        batched.stack([model(), model()])


def test_a_grid_refuses_other_families() -> None:
    asked: dict[str, Any] = {"architecture": "conv", "dataset": "digits", "latent": 2}
    with pytest.raises(RequestError, match=r"trains mlp, mlp-shared, mlp-separate, not conv"):
        load_grid(None, asked | {"engine": "batched"})


def test_only_jobs_alike_in_all_but_seed_go_together() -> None:
    seeds = [job(engine="batched", seed=seed) for seed in range(3)]
    other = [job(engine="batched", latent=4, seed=seed) for seed in range(2)]
    alone = [job(seed=seed) for seed in range(2)]
    mixed = [seeds[0], alone[0], other[0], seeds[1], other[1], alone[1], seeds[2]]
    assert grouped(mixed) == [seeds, alone[:1], other, alone[1:]]


def test_groups_are_bounded_in_number_and_memory() -> None:
    many = [job(engine="batched", seed=seed) for seed in range(70)]
    assert [len(group) for group in grouped(many)] == [32, 32, 6]
    wide = [Job("mlp-separate", "cifar10", 8500, seed=s, engine="batched") for s in range(9)]
    sizes = [len(group) for group in grouped(wide)]
    assert sum(sizes) == 9
    assert max(sizes) < 9


def test_members_have_shares_of_the_time_and_no_time_of_their_own() -> None:
    jobs = [job(engine="batched", seed=seed, epochs=2) for seed in range(2)]
    told: list[tuple[int, int]] = []
    records = run_jobs(jobs, on_epoch=lambda place, epoch, *_: told.append((place, epoch)))
    assert told == [(0, 1), (1, 1), (0, 2), (1, 2)]
    for one, record in zip(jobs, records, strict=True):
        row = record.job
        assert (row["key"], row["status"], row["batch_members"]) == (one.key, "ok", 2)
        assert row["amortised_train_s"] > 0
        missing = ("train_s", "images_per_s", "gflops")
        assert [row.get(name) for name in missing] == [None] * 3
        alone = run_job(dataclasses.replace(one, engine="eager")).job
        assert row["mse"] == pytest.approx(alone["mse"], rel=1e-4)
        assert [row[n] for n in ("train_images", "pca_mse")] == [
            alone[n] for n in ("train_images", "pca_mse")
        ]
        assert alone.get("batch_members") is None


def test_a_member_that_diverges_does_so_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    train_epoch = batched.Batched.train_epoch

    def spoilt(self: batched.Batched) -> torch.Tensor:
        with torch.no_grad():
            next(self.model.parameters())[1].fill_(torch.nan)
        return train_epoch(self)

    monkeypatch.setattr(batched.Batched, "train_epoch", spoilt)
    jobs = [job(engine="batched", seed=seed, epochs=2) for seed in range(3)]
    rows = [record.job for record in run_jobs(jobs)]
    assert [row["status"] for row in rows] == ["ok", "diverged", "ok"]
    alone = run_job(dataclasses.replace(jobs[2], engine="eager")).job
    assert rows[2]["mse"] == pytest.approx(alone["mse"], rel=1e-4)


def test_what_befalls_the_group_befalls_each_member() -> None:
    jobs = [job(engine="batched", seed=seed, batch_size=100_000) for seed in range(2)]
    for record in run_jobs(jobs):
        assert record.job["status"] == "failed"
        assert "no full batch is left" in record.job["reason"]


class Watcher:
    def __init__(self) -> None:
        self.running: dict[int, Job] = {}
        self.ends: list[tuple[Job, Ending]] = []

    def started(self, slot: int, job: Job) -> None:
        assert slot not in self.running
        self.running[slot] = job

    def epoch(self, slot: int, job: Job, epoch: int, train_mse: float) -> None:
        assert self.running[slot] == job

    def ended(self, slot: int, job: Job, ending: Ending) -> None:
        assert self.running.pop(slot) == job
        self.ends.append((job, ending))

    def tick(self) -> None: ...
    def stopping(self, running: int) -> None: ...


@pytest.mark.slow
def test_the_executor_hands_a_group_to_one_worker(tmp_path: Path) -> None:
    jobs = [job(engine="batched", seed=seed, epochs=2) for seed in range(3)]
    jobs.insert(1, job(epochs=2))
    watcher = Watcher()
    assert local.run(jobs, Store(tmp_path), local.Options(), watcher)
    assert not watcher.running
    assert {one for one, _ in watcher.ends} == set(jobs)
    found = read(tmp_path).jobs.set_index("key").loc[[one.key for one in jobs]]
    assert found["status"].tolist() == ["ok"] * 4
    assert found["batch_members"].fillna(0).tolist() == [3, 0, 3, 3]
    assert frames.timed(found).index.tolist() == [jobs[1].key]
    learnt = estimate.Estimator.from_store(Store(tmp_path))
    assert learnt.job_s(jobs[0]) == pytest.approx(found["total_s"].iloc[[0, 2, 3]].median(), rel=1)


@pytest.mark.slow
def test_a_group_out_of_time_leaves_a_record_for_each_member(tmp_path: Path) -> None:
    jobs = [job(engine="batched", seed=seed, epochs=100_000) for seed in range(2)]
    watcher = Watcher()
    local.run(jobs, Store(tmp_path), local.Options(timeout_s=1.0), watcher)
    assert [ending.status for _, ending in watcher.ends] == ["timed_out"] * 2
    assert read(tmp_path).jobs["status"].tolist() == ["timed_out"] * 2
