"""Our own C++ for CPUs: the steps of the reference, for every MLP, batch and count of threads."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from engine_checks import LOSS_TOLERANCE, VARIANTS, check_job, job, train
from torch import nn

from aebench.architectures.autoencoder import Autoencoder, PerChannel, Residual, build
from aebench.engines import compiler, native, training
from aebench.engines.native import bindings, studies
from aebench.engines.training import Setup
from aebench.errors import RequestError
from aebench.job import Job
from aebench.worker import run_job

pytestmark = pytest.mark.compiler
CPU = torch.device("cpu")


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_steps_are_those_of_the_reference(variant: str, threads: int) -> None:
    check_job(job(engine="native", **VARIANTS[variant]), training.create)


def both(
    one: Job, shape: tuple[int, int, int], model: nn.Module | None = None, lit: float = 1.0
) -> str:
    """Hold `native` to `reference` on random images of any shape: losses, weights, Adam.

    About so many of the pixels are not 0. Gives the kernels that were taken.
    """
    torch.manual_seed(0)
    images = torch.randint(0, 256, (3 * one.batch_size + 1, *shape), dtype=torch.uint8)
    images *= torch.rand(images.shape) < lit
    images[:, :, 0] *= lit == 1  # some of them always 0
    trained = []
    for engine in ("reference", "native"):
        twin = dataclasses.replace(one, engine=engine)
        fresh = copy.deepcopy(model) if model else build(twin, shape).model
        ours = Setup(twin, fresh, images, CPU)
        made = training.create(ours)
        trained.append((train(made, 4), ours.model, made.work().steps))
    (losses, theirs, steps), (ours_losses, ours_model, ours_steps) = trained
    assert steps == ours_steps == len(images) // one.batch_size * 4
    for a, b in zip(ours_losses, losses, strict=True):
        assert a == pytest.approx(b, rel=LOSS_TOLERANCE)
    assert losses[-1] < losses[0]
    for a, b in zip(ours_model.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=2e-5)
    return made.work().kernels


# Sizes around and across the tiles of the products: vectors of 4, 8 or 16, tiles of 1 to 12 rows.
@pytest.mark.parametrize(
    ("latent", "batch", "shape"),
    [
        (1, 1, (1, 3, 3)),
        (5, 7, (1, 5, 5)),
        (13, 33, (1, 7, 9)),
        (64, 128, (1, 28, 28)),
        (131, 40, (3, 6, 7)),
    ],
)
def test_any_size_of_image_batch_and_code(
    latent: int, batch: int, shape: tuple[int, int, int], threads: int
) -> None:
    both(job(latent=latent, batch_size=batch, epochs=4), shape)


@pytest.mark.parametrize("architecture", ["mlp-shared", "mlp-separate"])
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_colour_models(architecture: str, depth: int, noise: float, threads: int) -> None:
    one = job(architecture, 11, depth=depth, batch_size=20, train_noise=noise, epochs=4)
    both(one, (3, 6, 5))


# Outputs of a thread that fill one vector, or two, or four, or eight, or a part of one.
@pytest.mark.parametrize("latent", [1, 30, 64, 100, 256])
@pytest.mark.parametrize(("architecture", "depth"), [("mlp", 1), ("mlp", 2), ("mlp-shared", 1)])
def test_pixels_of_zero_may_be_left_out(
    latent: int, architecture: str, depth: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studies, "_LEAST_OUTPUTS", 0)
    shape = (1 if architecture == "mlp" else 3, 9, 31)
    one = job(architecture, latent, depth=depth, batch_size=21, epochs=4)
    assert both(one, shape, lit=0.2).startswith("linear=native+sparse ")


def test_pixels_of_zero_are_left_out_where_that_is_faster_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)

    def made(lit: int, latent: int = 128, noise: float = 0.0) -> native.Native:
        images = torch.zeros(64, 1, 5, 10, dtype=torch.uint8)
        images.view(64, 50)[:, :lit] = 7
        one = job("mlp", latent, engine="native", batch_size=32, train_noise=noise)
        return native.Native(Setup(one, build(one, (1, 5, 10)).model, images, CPU))

    sparse = made(10)
    assert sparse.work().kernels.startswith("linear=native+sparse ")
    # Two products of the first layer, forward and the gradient of its weights; 40 of 50 pixels.
    assert sparse.work().skipped_flops_per_step == 2 * 2 * 32 * 128 * 40
    for dense in (made(20), made(10, latent=127), made(10, noise=0.1)):
        assert dense.work().kernels.startswith("linear=native ")
        assert dense.work().skipped_flops_per_step == 0


@pytest.mark.parametrize(
    ("latent", "batch", "shape", "noise"),
    [
        (1, 1, (1, 3, 3), 0.0),
        (4, 7, (1, 8, 8), 0.3),
        (16, 20, (1, 28, 28), 0.0),
        (37, 5, (3, 9, 6), 0.3),
        (64, 4, (3, 32, 32), 0.0),
    ],
)
def test_convolutions(
    latent: int, batch: int, shape: tuple[int, int, int], noise: float, threads: int
) -> None:
    both(job("conv", latent, batch_size=batch, train_noise=noise, epochs=4), shape)


def test_convolutions_without_bias_or_a_last_activation() -> None:
    encoder = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.ReLU())
    decoder = nn.ConvTranspose2d(3, 1, 3, bias=False)
    both(job(batch_size=9, epochs=4), (1, 6, 7), Autoencoder(encoder, decoder))


def test_layers_without_bias_or_activation_and_a_single_layer() -> None:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 5, bias=False), nn.ReLU(), nn.Linear(5, 3))
    decoder = nn.Sequential(nn.Linear(3, 12), nn.Unflatten(1, (1, 3, 4)))
    both(job(batch_size=9, epochs=4), (1, 3, 4), Autoencoder(encoder, decoder))
    decoder = nn.Sequential(nn.Linear(12, 12), nn.Sigmoid(), nn.Unflatten(1, (1, 3, 4)))
    both(job(batch_size=9, epochs=4), (1, 3, 4), Autoencoder(nn.Flatten(), decoder))


def test_every_pixel_is_the_quotient_that_torch_gives() -> None:
    # A layer of ones times the pixel, and no step to speak of: the loss shows what was read.
    values = torch.arange(256, dtype=torch.uint8).view(256, 1, 1, 1)
    layer = nn.Linear(1, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    model = Autoencoder(nn.Flatten(), nn.Sequential(layer, nn.Unflatten(1, (1, 1, 1))))
    one = job(engine="native", batch_size=1, learning_rate=1e-30, epochs=1)
    for value in values:
        made = training.create(Setup(one, model, value[None].expand(1, 1, 1, 1), CPU))
        (loss,) = train(made, 1)
        pixel = value.float().div(255)
        assert loss == pixel.square().item()


@pytest.mark.parametrize(("architecture", "depth"), [("mlp", 1), ("mlp", 2), ("conv", 1)])
def test_a_loss_that_is_no_number_is_seen(architecture: str, depth: int) -> None:
    # At depth 2, and in conv, there is a ReLU behind the broken weight.
    model = build(job(architecture, depth=depth), (1, 8, 8)).model
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = float("nan")
    images = torch.full((64, 1, 8, 8), 9, dtype=torch.uint8)
    made = training.create(Setup(job(engine="native", batch_size=64), model, images, CPU))
    (loss,) = train(made, 1)
    assert math.isnan(loss)


def test_what_it_cannot_train_is_refused_with_the_way_out() -> None:
    images = torch.zeros(64, 1, 8, 8, dtype=torch.uint8)
    back = nn.Sequential(nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8)))
    tied = nn.Linear(64, 64)
    twins, mirror = [nn.Linear(64, 64), nn.Linear(64, 64)], build(job("conv", 4), (1, 8, 8)).model
    twins[1].weight = twins[0].weight
    mirror.decoder[0].weight = mirror.encoder[0].weight
    hooked, frozen, turned = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 64)
    turned.weight.data = turned.weight.data.T
    hooked.register_forward_hook(lambda *_: None)
    frozen.bias.requires_grad_(False)
    up = nn.ConvTranspose2d(4, 1, 3)
    for model in (
        Autoencoder(nn.Flatten(), nn.Sequential(*twins, nn.Unflatten(1, (1, 8, 8)))),
        mirror,
        Autoencoder(nn.Flatten(), nn.Sequential(tied, tied, nn.Unflatten(1, (1, 8, 8)))),
        Autoencoder(nn.Flatten(), nn.Sequential(hooked, *back)),
        Autoencoder(nn.Flatten(), nn.Sequential(frozen, *back)),
        Autoencoder(nn.Flatten(), nn.Sequential(turned, *back)),
        Autoencoder(nn.Flatten(), nn.Linear(64, 64)),  # what it gives are no images
        Autoencoder(nn.Linear(8, 8), nn.Linear(8, 8)),  # of lines
        Autoencoder(nn.Sequential(nn.Flatten(), nn.Dropout()), back),
        Autoencoder(nn.Sequential(nn.Flatten(), nn.GELU(approximate="tanh")), back),
        Autoencoder(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64, momentum=None)), back),
        Autoencoder(nn.LayerNorm(8), nn.Sequential(nn.Flatten(), *back)),
        Autoencoder(nn.Conv2d(1, 4, 3, dilation=2), nn.ConvTranspose2d(4, 1, 3, dilation=2)),
        Autoencoder(nn.Conv2d(1, 4, 3), nn.Sequential(nn.Conv2d(4, 4, 1, groups=2), up)),
        Autoencoder(nn.Conv2d(1, 4, 3, padding="same"), nn.Conv2d(4, 1, 3, padding="same")),
        Autoencoder(nn.Conv2d(1, 4, 3, padding_mode="reflect"), up),
        Autoencoder(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()), nn.Unflatten(1, (4, 6, 6))),
        Autoencoder(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2)), up),
        Autoencoder(Residual(nn.Conv2d(1, 1, 1)), nn.Conv2d(1, 1, 1)),  # of the image itself
        Autoencoder(
            nn.Sequential(nn.Conv2d(1, 4, 1), Residual(nn.Sequential())), nn.Conv2d(4, 1, 1)
        ),
        *(
            Autoencoder(
                nn.Sequential(nn.Flatten(), nn.Linear(64, 9), Residual(body)),
                nn.Sequential(nn.Linear(9, 64), nn.Unflatten(1, (1, 8, 8))),
            )
            for body in (nn.Linear(9, 9), nn.LayerNorm(9))
        ),
        *(
            Autoencoder(nn.Sequential(nn.Conv2d(1, 4, 1), Residual(body)), nn.Conv2d(4, 1, 1))
            for body in (Residual(nn.Conv2d(4, 4, 1)), nn.Conv2d(4, 1, 1))
        ),
    ):
        with pytest.raises(RequestError, match="use --engine eager"):
            native.create(Setup(job(engine="native"), model, images, CPU))
    one, other = (nn.Sequential(nn.Linear(4, 4), nn.Unflatten(1, (2, 2))) for _ in range(2))
    shared = Autoencoder(nn.Sequential(), PerChannel([one, one, other]))
    colours = torch.zeros(64, 3, 2, 2, dtype=torch.uint8)
    with pytest.raises(RequestError, match="share theirs"):
        native.create(Setup(job(engine="native"), shared, colours, CPU))


def test_a_job_is_held_to_the_arithmetic_that_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "_LEAST_OUTPUTS", 0)
    monkeypatch.setattr(studies, "_MOST_LIT", 1)
    row = run_job(job(engine="native")).job
    assert 0 < row["skipped_flops_per_step"] < 0.4 * row["flops_per_step"]
    done = row["steps"] * (row["flops_per_step"] - row["skipped_flops_per_step"]) / 1e9
    assert row["flop_floor_s"] == pytest.approx(done / row["peak_gflops"])
    assert row["gflops"] == pytest.approx(done / row["train_s"])


def test_without_a_compiler_the_job_fails_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    bindings.load.cache_clear()
    try:
        record = run_job(job(engine="native"))
    finally:
        bindings.load.cache_clear()
    assert record.job["status"] == "failed"
    assert "CXX names no-such-compiler, and there is no such program" in record.job["reason"]
    assert "Use --engine eager, or auto" in record.job["reason"]


@pytest.mark.slow
def test_a_compiler_without_openmp_will_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text(
        '#!/bin/sh\nfor word; do [ "$word" != -fopenmp ] || exit 1; done\n'
        f'exec {" ".join(compiler.find())} "$@"\n'
    )
    plain.chmod(0o755)
    monkeypatch.setenv("CXX", str(plain))
    bindings.load.cache_clear()
    try:
        check_job(job(engine="native"), training.create)
    finally:
        bindings.load.cache_clear()


@pytest.mark.slow
def test_fewer_threads_in_the_process_than_asked_for() -> None:
    # Threads wait for each other, and would wait for ever for one that is not there.
    program = (
        "import torch; torch.set_num_threads(2); from aebench.worker import run_job;"
        "from aebench.job import Job;"
        "record = run_job(Job.create(architecture='mlp', dataset='digits', latent=4, epochs=1,"
        " engine='native')); print(record.job['status'], record.job['threads'])"
    )
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    told = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60
    )
    assert told.stdout.split() == ["ok", "2"], told.stdout + told.stderr


def test_its_record_says_what_computed_it() -> None:
    record = run_job(job(engine="native"))
    assert record.job["status"] == "ok"
    words = bindings.instructions("fp32")
    assert words in ("avx512", "avx", "vectors")
    assert record.job["kernels"] == f"linear=native instructions={words}"
    assert record.job["steps"] == record.job["epochs"] * (
        record.job["train_images"] // record.job["batch_size"]
    )
