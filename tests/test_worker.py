"""One job in this process: what its times hold, what its record says, who computes beside it."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest
import torch
from torch import nn

import aebench
from aebench import interference, records, worker
from aebench.architectures.autoencoder import Autoencoder
from aebench.engines import device as devices
from aebench.engines.device import PhaseClock, read_precision, set_precision
from aebench.engines.eager import Eager
from aebench.engines.training import Setup, Work, create
from aebench.errors import RequestError
from aebench.evaluation import reconstruction
from aebench.job import Job
from aebench.records import Circumstances

CPU = torch.device("cpu")


def job(architecture: str = "mlp", **fields: object) -> Job:
    usual = {"dataset": "digits", "latent": 3, "epochs": 2}
    return Job.create(architecture=architecture, **usual | fields)


class Timed:
    """An engine whose every part takes a second of its own by a clock of its own."""

    def __init__(self) -> None:
        self.now, self.calls = 0, 0
        self.model = nn.Identity()

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
        return torch.tensor(0.5, dtype=torch.float64)

    def work(self) -> Work:
        return Work(steps=18, loading_s=1.5)


def test_each_part_of_an_engine_is_timed_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Timed()
    monkeypatch.setattr(worker, "PhaseClock", partial(PhaseClock, now=lambda: engine.now))
    monkeypatch.setattr(worker.training, "create", lambda setup: engine)
    row = worker.run_job(job()).job
    assert row["status"] == "ok", row["reason"]
    seconds = [row[f"{name}_s"] for name in ("data", "compile", "warmup", "train")]
    assert seconds == [1000, 200, 30, 8]
    assert row["cold_s"] == 238
    assert row["loading_s"] == 1.5
    assert row["total_s"] == 1238


def test_the_study_s_loop_says_how_long_it_waited_for_its_loader() -> None:
    row = worker.run_job(job(engine="reference")).job
    assert 0 < row["loading_s"] < row["train_s"]
    assert worker.run_job(job()).job["loading_s"] is None


@pytest.mark.parametrize("engine", ["reference", "eager"])
def test_a_job_in_bf16_is_evaluated_in_float32(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, torch.dtype]] = []

    @aebench.architecture("tells-its-arithmetic")
    def build(shape: tuple[int, int, int], latent: int, depth: int) -> nn.Module:
        return Autoencoder(nn.Sequential(nn.Flatten(), nn.Linear(64, latent), Tells()), Decoder())

    class Tells(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append((self.training, x.dtype))
            return x

    class Decoder(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 64)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).unflatten(1, (1, 8, 8))

    with registered("tells-its-arithmetic"):
        one = job("tells-its-arithmetic", engine=engine, precision="bf16", epochs=1)
        row = worker.run_job(coded(one)).job
    assert row["status"] == "ok", row["reason"]
    assert {dtype for training, dtype in seen if training} == {torch.bfloat16}
    assert {dtype for training, dtype in seen[1:] if not training} == {torch.float32}


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


def test_fewer_steps_than_planned_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Eager._steps
    monkeypatch.setattr(Eager, "_steps", lambda self, m, e, n: whole(self, m, e, n - (n > 3)))
    row = worker.run_job(SMALL).job
    planned = 2 * (row["train_images"] // 256)
    assert row["status"] == "failed"
    assert row["reason"].startswith(f"{planned - 2} training steps taken, {planned} planned")


# How a job ended


class Quits(BaseException):
    def __str__(self) -> str:  # noqa: PLE0307
        sys.exit(0)


class Mute(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("first\nsecond"), "failed", "ValueError: first"),
        (ValueError("a\0b \x1b[31m \udce9"), "failed", "ValueError: a\\x00b \\x1b[31m \\udce9"),
        (Mute(), "failed", "Mute: Mute that cannot be put into words"),
        (Quits(), "failed", "Quits: Quits that cannot be put into words"),
        (BaseException("own base"), "failed", "BaseException: own base"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (KeyboardInterrupt(), "failed", "KeyboardInterrupt"),
        (RequestError("say\x07 it"), "failed", "say\\x07 it"),
        (records.Diverged("nan"), "diverged", "nan"),
        (MemoryError(), "out_of_memory", "MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory",
         "DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)  # fmt: skip
def test_every_error_has_a_status_and_a_readable_reason(
    error: BaseException, status: str, reason: str
) -> None:
    assert records.ending(error) == {"status": status, "reason": reason}


def test_a_reason_is_bounded_and_keeps_the_place() -> None:
    try:
        raise ValueError("A" * 5_000_000)
    except ValueError as error:
        reason = records.ending(error)["reason"]
    assert len(reason) <= 500
    assert reason.startswith("ValueError: AAAA")
    assert reason.endswith(" in test_a_reason_is_bounded_and_keeps_the_place)")


# Who else computes


def test_a_job_beside_another_of_ours_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # apart from whatever else runs here now
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import sys; from aebench import interference\n"
        "with interference.computing(): print('ready', flush=True); sys.stdin.read()"
    )
    assert not worker.run_job(job(epochs=1)).job["concurrent"]
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        assert interference.others() == 1
        assert worker.run_job(job(epochs=1)).job["concurrent"]
    finally:
        other.kill()
        other.communicate()
    assert interference.others() == 0
    assert not list((tmp_path / "aebench-computing").iterdir())


def test_what_a_killed_process_left_misleads_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(interference, "_folder", lambda: tmp_path)
    us = psutil.Process()
    parent = us.parent()
    assert parent is not None
    (tmp_path / f"{parent.pid}-{parent.create_time() - 60:.2f}").touch()  # its number, used again
    (tmp_path / f"{2**22 + 7}-1.00").touch()
    (tmp_path / "something else").touch()
    assert interference.others() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["something else"]
    with interference.computing():
        assert interference.others() == 0  # this process is no other
    (tmp_path / f"{parent.pid}-{parent.create_time():.2f}").touch()
    assert interference.others() == 1


@contextlib.contextmanager
def registered(name: str, build: object = None) -> Iterator[None]:
    if build is not None:
        aebench.architecture(name)(build)
    try:
        yield
    finally:
        aebench.architectures._registry.pop(name)


def coded(one: Job) -> Job:
    return dataclasses.replace(one, code=aebench.architectures.code(one.architecture))
