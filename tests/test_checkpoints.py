"""Checkpoints: a job that was interrupted ends with the bits of one that was not."""

from __future__ import annotations

import errno
import itertools
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from command_line import COMMAND, environment
from torch import nn

import aebench
from aebench import interference, worker
from aebench.analysis import fitness, frames
from aebench.architectures.autoencoder import Autoencoder, build
from aebench.cli import axes
from aebench.engines.training import Work
from aebench.errors import RequestError
from aebench.executors import RunOptions, local
from aebench.job import Job
from aebench.models import checkpoints
from aebench.records import Circumstances
from aebench.store import Record, Store, kept

pytestmark = pytest.mark.usefixtures("one_thread")
EPOCHS = 4
# What cannot be the same of two trainings: when they were, how long they took, what was watched.
FREE = {"started_at", "resumed", "weights_sha256", "gflops", "images_per_s", "peak_gflops",
        "flop_floor_s", "roofline_fraction", "load_1m", "peak_host_bytes", "position",
        "involuntary_switches", "engine_note", "concurrent"}  # fmt: skip


def job(architecture: str = "mlp", **fields: object) -> Job:
    usual = {"dataset": "digits", "latent": 3, "epochs": EPOCHS, "order": "shuffled"}
    usual |= {"learning_rate": 1e-2, "schedule": "cosine"}
    return Job.create(architecture=architecture, **usual | fields)


def run(work: Job, results: Path, *, stop_after: int = 0) -> Record | None:
    """Train, with a checkpoint after every epoch; None if it is stopped, as by Ctrl-C."""

    def on_epoch(epoch: int, _train_mse: float, _val_mse: float) -> None:
        if epoch == stop_after + 1:  # the checkpoint of this epoch is not written yet
            raise KeyboardInterrupt

    where = Circumstances(device=work.device, keep_weights=True, checkpoint_s=0.0)
    try:
        return worker.run_job(work, where, on_epoch if stop_after else None, results)
    except KeyboardInterrupt:
        return None


def alike(one: Record, other: Record) -> None:
    """Both are of one training: errors to the last bit, epoch by epoch."""
    names = [c for c in one.job if c not in FREE and not c.endswith("_s")]
    assert {c: one.job[c] for c in names} == {c: other.job[c] for c in names}
    errors = [
        [(e["epoch"], e["train_mse"], e["val_mse"]) for e in record.epochs]
        for record in (one, other)
    ]
    assert errors[0] == errors[1]
    assert len(errors[0]) == one.job["epochs"]


@pytest.mark.parametrize(
    ("engine", "architecture"),
    [  # compiled is the same code for both, and takes seconds to compile
        *itertools.product(["reference", "eager", "native"], ["mlp", "conv"]),
        ("compiled", "mlp"),
    ],
)
def test_every_engine_goes_on_to_the_same_bits(
    engine: str, architecture: str, tmp_path: Path
) -> None:
    work = job(architecture, engine=engine, train_noise=0.1 if architecture == "mlp" else 0.0)
    whole = run(work, tmp_path / "whole")
    assert whole is not None
    assert whole.job["status"] == "ok", whole.job["reason"]
    parts = tmp_path / "parts"
    assert run(work, parts, stop_after=1) is None
    assert run(work, parts, stop_after=3) is None
    resumed = run(work, parts)
    assert resumed is not None
    assert resumed.job["resumed"] == "after epoch 1; after epoch 3"
    assert whole.job["resumed"] == ""
    alike(whole, resumed)
    assert resumed.job["weights_sha256"] == whole.job["weights_sha256"] != ""
    assert resumed.job["keeping_note"] == ""


@pytest.mark.parametrize(
    "how",
    [
        {"optimizer": "sgd", "momentum": 0.9},
        {"optimizer": "sgd"},
        {"optimizer": "rmsprop", "momentum": 0.5},
        {"optimizer": "adamw", "weight_decay": 0.1, "warmup": 0.5, "clip_gradient": 0.01},
    ],
)
def test_every_optimizer_goes_on_as_well(how: dict, tmp_path: Path) -> None:
    work = job(engine="eager", **how)
    whole = run(work, tmp_path / "whole")
    assert run(work, tmp_path / "parts", stop_after=2) is None
    resumed = run(work, tmp_path / "parts")
    assert whole is not None and resumed is not None  # noqa: PT018
    assert resumed.job["status"] == "ok", resumed.job["reason"]
    alike(whole, resumed)
    assert resumed.job["weights_sha256"] == whole.job["weights_sha256"]


@pytest.mark.cuda
@pytest.mark.parametrize("engine", ["eager", "graph", "compiled"])
def test_on_a_gpu_as_well(engine: str, tmp_path: Path) -> None:
    work = job(engine=engine, device="cuda", train_noise=0.1)
    whole = run(work, tmp_path / "whole")
    assert run(work, tmp_path / "parts", stop_after=2) is None
    resumed = run(work, tmp_path / "parts")
    assert whole is not None and resumed is not None  # noqa: PT018
    assert whole.job["status"] == "ok", whole.job["reason"]
    alike(whole, resumed)
    assert resumed.job["weights_sha256"] == whole.job["weights_sha256"] != ""
    tensors = list(loaded(tmp_path / "parts", resumed))
    assert {tensor.device.type for tensor in tensors} == {"cpu"}


def loaded(results: Path, record: Record) -> Iterator[torch.Tensor]:
    """The parameters of the model that was kept with a record."""
    Store(results).prepare()
    Store(results).write(record)
    yield from aebench.load(results).parameters()


class Dropping(nn.Module):
    """Draws random numbers in training, and counts in a buffer."""

    def __init__(self, shape: tuple[int, int, int], latent: int) -> None:
        super().__init__()
        numbers = shape[0] * shape[1] * shape[2]
        self.encoder = nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(numbers, latent))
        self.decoder = nn.Sequential(nn.BatchNorm1d(latent), nn.Linear(latent, numbers))
        self.decoder.append(nn.Unflatten(1, shape))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(images))


def dropping(shape: tuple[int, int, int], latent: int, depth: int) -> nn.Module:
    """A model with dropout and batch normalisation."""
    return Dropping(shape, latent)


@pytest.fixture
def own() -> None:
    aebench.architecture("dropping", version="1")(dropping)


def test_random_numbers_and_buffers_go_on_as_well(own: None, tmp_path: Path) -> None:
    work = job("dropping")
    whole = run(work, tmp_path / "whole")
    assert run(work, tmp_path / "parts", stop_after=2) is None
    torch.rand(100)  # whatever else the process draws
    resumed = run(work, tmp_path / "parts")
    assert whole is not None and resumed is not None  # noqa: PT018
    alike(whole, resumed)
    assert resumed.job["weights_sha256"] == whole.job["weights_sha256"]


def test_seconds_of_all_parts_are_added_and_the_watching_of_one_is_left_out(
    tmp_path: Path,
) -> None:
    work = job(engine="reference", epochs=2)
    assert run(work, tmp_path, stop_after=1) is None
    found = checkpoints.Checkpoints(tmp_path, work)
    past = found.resume(build(work, (1, 8, 8)).model, "here")
    assert past is not None
    assert past.loading_s > 0
    assert found.all_work(Work(9, loading_s=1.0)).loading_s == 1.0 + past.loading_s
    (first,) = past.epochs
    record = run(work, tmp_path)
    assert record is not None
    row = record.job
    assert record.epochs[0] == {"key": work.key, **first}
    assert row["train_s"] == pytest.approx(sum(e["train_s"] for e in record.epochs))
    assert row["loading_s"] > past.loading_s
    assert row["total_s"] > row["train_s"]
    assert row["steal_s"] is None
    assert row["involuntary_switches"] is None


def test_a_resumed_time_is_compared_with_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interference, "others", lambda: 0)
    assert run(job(), tmp_path, stop_after=2) is None
    store = Store(tmp_path)
    for record in (run(job(), tmp_path), run(job(seed=1), tmp_path)):
        assert record is not None
        store.write(record)
    results = aebench.read(tmp_path)
    assert list(frames.timed(results.jobs)["seed"]) == [1]
    doubts = {doubt.kind.name: doubt for doubt in fitness.check(results)}
    (case,) = doubts["resumed"].cases
    assert (case.key, case.detail) == (job().key, "went on after epoch 2")
    assert doubts["resumed"].kind.grade == "left out"


@pytest.mark.parametrize("spoil", ["cut", "another's", "another model's", "folder"])
def test_a_checkpoint_of_no_use_is_told_and_the_job_starts_anew(tmp_path: Path, spoil: str) -> None:
    work, folder = job(epochs=2), tmp_path / "parts"
    assert run(work, folder, stop_after=1) is None
    path = kept.checkpoint(folder, work.key)
    content = path.read_bytes()
    path.unlink()
    if spoil == "cut":
        path.write_bytes(content[:-8])
    elif spoil == "another's":
        other = job(epochs=2, seed=1)
        assert run(other, folder, stop_after=1) is None
        kept.checkpoint(folder, other.key).rename(path)
    elif spoil == "another model's":
        tensors, about = checkpoints.decode(content)
        del tensors["model/encoder.1.bias"]
        path.write_bytes(checkpoints.encode(tensors, about))
    else:
        path.mkdir()
    record, whole = run(work, folder), run(work, tmp_path / "whole")
    assert record is not None and whole is not None  # noqa: PT018
    assert record.job["keeping_note"].startswith("checkpoint not used, trained anew: ")
    assert record.job["resumed"] == ""
    assert record.job["mse"] == whole.job["mse"]


def test_a_full_disk_costs_the_checkpoint_and_not_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints, "write_whole", full)
    record = run(job(epochs=2), tmp_path)
    assert record is not None
    assert record.job["status"] == "ok"
    assert record.job["keeping_note"] == "no checkpoint after epoch 2: No space left on device"


def test_one_is_written_when_it_is_time_and_in_a_results_folder_alone(tmp_path: Path) -> None:
    now = 0.0
    made = checkpoints.Checkpoints(tmp_path, job(), 60.0, now=lambda: now)
    assert not made.due()
    now = 60.0
    assert made.due()
    assert not checkpoints.Checkpoints(tmp_path, job(), None, now=lambda: now).due()
    nowhere = checkpoints.Checkpoints(None, job(), 0.0)
    assert not nowhere.due()
    assert nowhere.resume(Autoencoder(nn.Identity(), nn.Identity()), "machine") is None


@pytest.mark.parametrize(
    ("given", "seconds"), [("10m", 600), ("90s", 90), ("1.5h", 5400), ("30", 30)]
)
def test_a_time_is_read_with_its_unit(given: str, seconds: float) -> None:
    assert axes.seconds("--checkpoint", given) == seconds


@pytest.mark.parametrize("given", ["", "m", "0", "-1m", "ten", "nan", "infh", "10 m 5"])
def test_what_is_no_time_is_refused(given: str) -> None:
    with pytest.raises(RequestError, match="takes a time like 10m"):
        axes.seconds("--checkpoint", given)


@pytest.mark.slow
def test_a_killed_run_is_continued_by_the_same_command(tmp_path: Path) -> None:
    words = ["run", "--architecture", "mlp", "--latent", "3", "--dataset", "digits"]
    words += ["--epochs", "100", "--device", "cpu", "--results", "r", "--checkpoint", "0.01s"]
    how = {"cwd": tmp_path, "env": environment(), "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*COMMAND, *words], **how) as process:
        until = time.monotonic() + 120
        while not (found := kept.keys(tmp_path / "r", kept.CHECKPOINTS)):
            assert process.poll() is None
            assert time.monotonic() < until, "no checkpoint was written"
            time.sleep(0.02)
        process.kill()
    done = subprocess.run([*COMMAND, *words], **how)
    assert done.returncode == 0, done.stderr
    assert "1 job to go on with from checkpoints" in done.stderr
    row = aebench.read(tmp_path / "r").jobs.iloc[0]
    assert {row["key"]} == found
    assert row["status"] == "ok"
    assert row["resumed"].startswith("after epoch ")
    assert row["steps"] == 9 * 100
    assert kept.keys(tmp_path / "r", kept.CHECKPOINTS) == set()


def test_a_finished_job_s_checkpoint_is_removed_by_the_next_run(tmp_path: Path) -> None:
    store, finished = Store(tmp_path), run(job(epochs=1), tmp_path)
    assert finished is not None
    store.prepare()
    store.write(finished)
    kept.checkpoint(tmp_path, "b").touch()
    assert kept.keys(tmp_path, kept.CHECKPOINTS) == {job(epochs=1).key, "b"}
    local.run([], store)
    assert kept.keys(tmp_path, kept.CHECKPOINTS) == {"b"}


@pytest.mark.slow
def test_what_was_stopped_by_its_time_limit_goes_on_when_it_is_retried(tmp_path: Path) -> None:
    work = job(epochs=10_000)
    store = Store(tmp_path)
    local.run([work], store, RunOptions(timeout_s=2.0, checkpoint_s=0.001, threads=1))
    row = aebench.read(tmp_path).jobs.iloc[0]
    assert row["status"] == "timed_out"
    assert kept.keys(tmp_path, kept.CHECKPOINTS) == {work.key}
    past, _ = checkpoints._read(kept.checkpoint(tmp_path, work.key), work)
    model = build(work, (1, 8, 8)).model
    found = checkpoints.Checkpoints(tmp_path, work)
    assert found.resume(model, "elsewhere") == past
    said = found.columns({"steal_s": 0.5}, {})
    assert said["resumed"] == f"after epoch {len(past.epochs)} on machine {past.machine_id}"
    assert said["steal_s"] is None
