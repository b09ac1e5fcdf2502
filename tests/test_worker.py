"""One job in this process: what its times hold, what its record says, who computes beside it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import nn

import aebench
from aebench import datasets, engines, interference, protocols, records, worker
from aebench.architectures.autoencoder import Autoencoder
from aebench.engines import device as devices
from aebench.engines.device import PhaseClock, read_precision, set_precision
from aebench.engines.training import Setup, Work, create
from aebench.evaluation import reconstruction
from aebench.job import Job
from aebench.records import Circumstances

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


def job(architecture: str = "mlp", **fields: object) -> Job:
    usual = {"dataset": "digits", "latent": 3, "epochs": 2}
    return Job.create(architecture=architecture, **usual | fields)


class Fake:
    """An engine that trains nothing, each of whose parts takes seconds of a clock of its own."""

    losses: tuple[float, ...] = (0.5, 0.25)
    done = Work(steps=18, kernels="fake", loading_s=1.5)  # 1,257 images in batches of 128, twice

    def __init__(self) -> None:
        self.now, self.epoch = 0, 0

    def _take(self, seconds: int) -> None:
        self.now += seconds * 10**9

    def load(self) -> None:
        self._take(1000)

    def compile(self) -> None:
        self._take(200)

    def warm_up(self) -> None:
        self._take(30)

    def train_epoch(self) -> torch.Tensor:
        self._take(4)
        self.epoch += 1
        return torch.tensor(self.losses[self.epoch - 1], dtype=torch.float64)

    def work(self) -> Work:
        return self.done


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Every job of the test is given to this engine, timed by its clock and held to no peak."""
    engine = Fake()
    monkeypatch.setattr(worker, "PhaseClock", partial(PhaseClock, now=lambda: engine.now))
    monkeypatch.setattr(worker.training, "create", lambda setup: engine)
    monkeypatch.setattr(devices, "peak_gflops", lambda *asked, **how: 1e3)
    monkeypatch.setattr(devices, "noise_probe", lambda device: 0.25)
    return engine


def test_each_part_of_an_engine_is_timed_as_what_it_is(fake: Fake) -> None:
    told = []
    record = worker.run_job(job(), on_epoch=lambda *epoch: told.append(epoch))
    row = record.job
    assert row["status"] == "ok", row["reason"]
    seconds = [row[f"{name}_s"] for name in ("data", "compile", "warmup", "train")]
    assert seconds == [1000, 200, 30, 8]
    assert row["cold_s"] == 238
    assert (row["loading_s"], row["kernels"], row["steps"]) == (1.5, "fake", 18)
    assert row["images_per_s"] == 18 * 128 / 8
    assert (row["noise_before_s"], row["noise_after_s"]) == (0.25, 0.25)
    assert row["total_s"] == 1238
    assert [epoch["train_s"] for epoch in record.epochs] == [4, 4]
    assert [(n, loss) for n, loss, _ in told] == [(1, 0.5), (2, 0.25)]
    assert row["train_mse"] == 0.25
    assert row["val_mse"] == record.epochs[1]["val_mse"] == told[1][2]


def test_a_loss_of_a_models_own_is_no_mse(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker.run_job(job()).job["train_loss"] == 0.25
    fake.epoch = 0
    monkeypatch.setattr(worker, "own_loss", lambda model: nn.MSELoss())
    record = worker.run_job(job())
    assert (record.job["train_mse"], record.job["train_loss"]) == (None, 0.25)
    assert [(e["train_mse"], e["train_loss"]) for e in record.epochs] == [(None, 0.5), (None, 0.25)]
    assert record.job["val_mse"] == record.epochs[1]["val_mse"] > 0


def test_a_failure_keeps_what_was_known_by_then(fake: Fake) -> None:
    fake.losses = (0.5, math.nan)
    record = worker.run_job(job())
    row = record.job
    assert (row["status"], row["reason"]) == (
        "diverged", "the mean training loss of epoch 2 is nan",
    )  # fmt: skip
    assert [epoch["train_mse"] for epoch in record.epochs] == [0.5]
    assert row["train_mse"] == 0.5
    assert row["train_s"] == 8  # the broken epoch counts
    assert row["parameters"] > 0
    assert row["data_sha256"]
    assert row["kernels"] == "fake"
    for unknown in ("steps", "mse", "pca_mse", "noise_after_s", "loading_s", "sharpness"):
        assert row.get(unknown) is None, unknown
    assert not record.samples
    assert not record.baselines


def test_a_failure_before_the_first_epoch_has_no_device_time(fake: Fake) -> None:
    fake.losses = (math.nan,)
    row = worker.run_job(job()).job
    assert row["status"] == "diverged"
    assert row["device_train_s"] is None


def test_a_test_error_that_is_no_number_is_a_divergence(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    tested = len(datasets.load("digits").test)
    real = reconstruction.measure

    def measure(model: nn.Module, images: torch.Tensor, device: torch.device) -> object:
        errors = real(model, images, device)
        return dataclasses.replace(errors, mse=math.inf) if len(images) == tested else errors

    monkeypatch.setattr(reconstruction, "measure", measure)
    row = worker.run_job(job()).job
    assert (row["status"], row["reason"]) == (
        "diverged", "the test error after the last epoch is inf",
    )  # fmt: skip
    assert row.get("mse") is None


def test_what_a_model_draws_depends_on_the_job_alone() -> None:
    def build(shape: tuple[int, int, int], latent: int, depth: int) -> nn.Module:
        n = math.prod(shape)
        inner = [nn.Flatten(), nn.Dropout(0.5), nn.Linear(n, latent)]
        back = nn.Sequential(nn.Linear(latent, n), nn.Unflatten(1, shape))
        return Autoencoder(nn.Sequential(*inner), back)

    with registered("drops", build):
        errors = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            errors.append(worker.run_job(job("drops")).job["mse"])
    assert errors[0] == errors[1]


def test_a_record_says_where_its_settings_come_from(fake: Fake) -> None:
    tuned = job(protocol="tuned")
    assert worker.run_job(job()).job["settings_from"] == "the study"
    said = worker.run_job(tuned).job["settings_from"]
    assert said == protocols.chosen_by("tuned", *tuned.model) != ""
    mine = dataclasses.replace(job(), settings_from="mine.toml: grid g")
    assert worker.run_job(mine).job["settings_from"] == "mine.toml: grid g"


def test_a_record_written_by_the_run_has_job_and_ending() -> None:
    record = records.ended_without_record(job(), Circumstances(), "killed", "by a test", 2.5)
    row = record.job
    assert (row["status"], row["reason"], row["total_s"]) == ("killed", "by a test", 2.5)
    assert (row["key"], row["latent"]) == (job().key, 3)
    assert row["cores"]


def test_fewer_steps_than_planned_is_a_failure(fake: Fake) -> None:
    fake.done = Work(steps=16)
    row = worker.run_job(job()).job
    assert (row["status"], row["steps"]) == ("failed", 16)
    assert row["reason"] == "16 training steps taken, 18 planned: a defect of engine eager"


def test_arithmetic_left_out_is_not_counted(fake: Fake) -> None:
    whole = worker.run_job(job()).job
    fake.epoch, fake.done = 0, Work(steps=18, skipped_flops_per_step=whole["flops_per_step"] // 2)
    half = worker.run_job(job()).job
    assert half["gflops"] == pytest.approx(whole["gflops"] / 2, rel=1e-5)
    assert half["skipped_flops_per_step"] == whole["flops_per_step"] // 2


@pytest.mark.parametrize("seen", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)])
def test_company_at_any_moment_of_a_job_marks_it(
    seen: tuple[int, ...], fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = iter(seen)  # at its start, and after each epoch
    monkeypatch.setattr(interference, "others", lambda: next(others))
    assert worker.run_job(job()).job["concurrent"] == any(seen)


def test_a_note_reaches_the_record(fake: Fake) -> None:
    fake.done = Work(steps=18, note="ran as eager")
    assert worker.run_job(job()).job["engine_note"] == "ran as eager"


def test_the_study_s_loop_says_how_long_it_waited_for_its_loader() -> None:
    row = worker.run_job(job(engine="reference")).job
    assert 0 < row["loading_s"] < row["train_s"]
    assert worker.run_job(job()).job["loading_s"] is None


@pytest.mark.parametrize(
    ("engine", "precision"),
    [("reference", "bf16"), ("eager", "bf16"), ("native", "bf16"), ("native", "bf16x3")],
)
def test_whatever_a_job_is_trained_in_it_is_evaluated_in_float32(
    engine: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every epoch, and in the end."""
    if why := engines.lacking(engine, precision):
        pytest.skip(why)
    seen: list[tuple[bool, torch.dtype]] = []
    epochs: list[int] = []

    def forward(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        output = nn.functional.linear(x, layer.weight, layer.bias)
        seen.append((layer.training, output.dtype))
        return output

    monkeypatch.setattr(nn.Linear, "forward", forward)
    one = job(engine=engine, precision=precision)
    row = worker.run_job(one, on_epoch=lambda *_: epochs.append(len(seen))).job
    assert row["status"] == "ok", row["reason"]
    assert len(epochs) == 2
    for part in (seen[epochs[0] : epochs[1]], seen[epochs[1] :]):
        assert {dtype for training, dtype in part if not training} == {torch.float32}
    how = "products=" if engine == "native" else "autocast="
    assert how + {"bf16": "bfloat16", "bf16x3": "3 x bfloat16"}[precision] in row["precision_read"]
    by_torch = set() if engine == "native" else {torch.bfloat16}
    assert {dtype for training, dtype in seen if training} == by_torch


def test_evaluation_leaves_the_switches_of_the_job_as_they_were() -> None:
    inside = []

    class Looks(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inside.append(read_precision("fp32"))
            return x

    set_precision("tf32")
    try:
        reconstruction.reconstruct(Looks(), torch.zeros(1, 1, 8, 8))
        assert inside == ["matmul=highest cudnn=ieee"]
        assert read_precision("tf32") == "matmul=high cudnn=tf32"
    finally:
        set_precision("fp32")


# Models that write into what they are given


class Wipes(nn.Module):
    """Gives its weight everywhere, having wiped its input."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(1, 1)
        self.weight = nn.Parameter(torch.tensor(0.25))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.zero_() + self.weight


def test_a_model_that_writes_into_its_input_is_measured_against_the_images() -> None:
    images = torch.full((150, 1, 8, 8), 255, dtype=torch.uint8)
    assert reconstruction.measure(Wipes(), images, CPU).mse == pytest.approx(0.75**2)
    assert (images == 255).all()
    given = torch.ones(2, 1, 8, 8)
    reconstruction.reconstruct(Wipes(), given)
    assert (given == 1).all()


@pytest.mark.parametrize("engine", ["reference", "eager"])
def test_a_model_that_writes_into_its_input_is_trained_towards_the_images(engine: str) -> None:
    images = torch.full((128, 1, 8, 8), 255, dtype=torch.uint8)
    with registered("wipes", lambda shape, latent, depth: Wipes()):
        made = create(Setup(job("wipes", engine=engine, epochs=1), Wipes(), images, CPU))
        made.load()
        made.warm_up()
        assert float(made.train_epoch()) == pytest.approx(0.75**2)


# What its record says of its time

SMALL = Job("mlp", "digits", latent=2, epochs=2, batch_size=256)


def test_a_job_tells_how_it_was_measured() -> None:
    row = worker.run_job(SMALL, Circumstances(position=7)).job
    assert row["status"] == "ok", row["reason"]
    assert row["steps"] == 2 * (row["train_images"] // 256)
    phases = ("build_s", "compile_s", "warmup_s", "train_s")
    assert row["cold_s"] == pytest.approx(sum(row[name] for name in phases))
    assert row["position"] == 7
    assert row["kernels"] == "torch"
    assert row["device_train_s"] is None
    flops = row["steps"] * row["flops_per_step"]
    assert row["flop_floor_s"] == pytest.approx(flops / row["peak_gflops"] / 1e9)
    assert row["roofline_fraction"] == pytest.approx(row["flop_floor_s"] / row["train_s"])
    for name in ("noise_before_s", "noise_after_s", "peak_gflops"):
        assert 0 < row[name] < math.inf


def test_a_job_by_itself_runs_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    row = worker.run_job(dataclasses.replace(SMALL, device="cuda")).job
    assert (row["status"], row.get("mse")) == ("failed", None)
    assert "no CUDA device" in row["reason"]


def test_faster_than_the_arithmetic_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def slow_machine(device, precision, *, again=False) -> float:
        asked.append(again)
        return 1e-6

    monkeypatch.setattr(devices, "peak_gflops", slow_machine)
    row = worker.run_job(SMALL).job
    assert row["status"] == "failed"
    assert "its arithmetic alone takes" in row["reason"]
    assert row["roofline_fraction"] > devices.MARGIN
    assert asked[-1] is True  # condemned only after a second look


@contextlib.contextmanager
def registered(name: str, build: object = None) -> Iterator[None]:
    if build is not None:
        aebench.architecture(name)(build)
    try:
        yield
    finally:
        aebench.architectures.registry._registry.pop(name)
