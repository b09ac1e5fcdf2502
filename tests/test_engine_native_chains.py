"""Our own C++ for chains of layers: every kind of layer, in every precision, against float64."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from engine_checks import job
from torch import nn

from aebench import machine
from aebench.architectures.autoencoder import Autoencoder, Residual, build
from aebench.engines import training
from aebench.engines.native import bindings
from aebench.engines.training import Engine, Setup
from aebench.worker import run_job

pytestmark = pytest.mark.compiler
CPU = torch.device("cpu")
HERE = Path(__file__).resolve().parent
# Of the losses of 20 steps, relative, from those in float64. Measured over all that is below, with
# AVX512-BF16: at most 6.4e-7, 1.6e-5 and 2.5e-3.
TOLERANCE = {"fp32": 1e-5, "bf16x3": 5e-5, "bf16": 2e-2}
STEPS, RATE = 20, 1e-4  # the study's

needs_bf16 = pytest.mark.skipif(
    not machine.bf16_instructions(), reason="this processor has no products of bf16"
)
PRECISIONS = [
    "fp32",
    pytest.param("bf16x3", marks=needs_bf16),
    pytest.param("bf16", marks=needs_bf16),
]

Shape = tuple[int, int, int]


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def pixels(shape: Shape, count: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8)


def trained(
    model: nn.Module, shape: Shape, precision: str = "fp32", batch: int = 32, steps: int = STEPS
) -> tuple[list[float], nn.Module, Engine]:
    """Losses of steps on one batch after the other, the model after them, and its engine."""
    ours = copy.deepcopy(model)
    settings = {"batch_size": batch, "epochs": steps, "learning_rate": RATE}
    one = job(engine="native", precision=precision, **settings)
    images = pixels(shape, batch)
    engine = training.create(Setup(one, ours, images, CPU))
    engine.load()
    engine.compile()
    engine.warm_up()
    return [float(engine.train_epoch()) for _ in range(steps)], ours, engine


def in_float64(model: nn.Module, shape: Shape, batch: int = 32) -> tuple[list[float], nn.Module]:
    """The same by torch's own layers, autograd and Adam."""
    oracle = copy.deepcopy(model).double().train()
    adam = torch.optim.Adam(oracle.parameters(), lr=RATE)
    images = torch.div(pixels(shape, batch), 255).double()
    losses = []
    for _ in range(STEPS):
        adam.zero_grad()
        loss = nn.functional.mse_loss(oracle(images), images)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, oracle


def hold(model: nn.Module, shape: Shape, precision: str, batch: int = 32) -> Engine:
    """Hold `native` to float64: the loss of every step, and what batch norms remember."""
    losses, ours, engine = trained(model, shape, precision, batch)
    expected, oracle = in_float64(model, shape, batch)
    assert losses == pytest.approx(expected, rel=TOLERANCE[precision])
    assert losses[-1] < losses[0]
    theirs = dict(oracle.named_buffers())
    for name, buffer in ours.named_buffers():
        torch.testing.assert_close(
            buffer.double(), theirs[name].double(), rtol=1e-5, atol=100 * TOLERANCE[precision] / 10
        )
    return engine


def conv(*layers: nn.Module, back: nn.Module) -> Autoencoder:
    return Autoencoder(nn.Sequential(*layers), back)


def dense(numbers: int, image: Shape, *layers: nn.Module) -> Autoencoder:
    """An MLP whose hidden layers are given, between images."""
    torch.manual_seed(1)
    last = nn.Sequential(nn.Linear(numbers, math.prod(image)), nn.Sigmoid(), nn.Unflatten(1, image))
    return Autoencoder(nn.Sequential(nn.Flatten(), *layers), last)


def residual(channels: int) -> Residual:
    layers = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2)]
    return Residual(nn.Sequential(layers[0], nn.SiLU(), layers[1]))


MODELS: dict[str, tuple[Callable[[], Autoencoder], Shape]] = {
    "gelu, silu, layer norm": (
        lambda: dense(5, (1, 5, 6), nn.Linear(30, 13), nn.LayerNorm(13), nn.GELU(),
                      nn.Linear(13, 5), nn.SiLU()),
        (1, 5, 6),
    ),
    "tanh, leaky, no bias, batch norm": (
        lambda: dense(7, (1, 5, 5), nn.Linear(25, 40, bias=False), nn.BatchNorm1d(40), nn.Tanh(),
                      nn.Linear(40, 7), nn.LeakyReLU(0.2)),
        (1, 5, 5),
    ),
    "more places than a block of weights": (
        lambda: dense(33, (3, 10, 11), nn.Linear(330, 300), nn.ReLU(), nn.Linear(300, 33)),
        (3, 10, 11),
    ),
    "norms that learn nothing, or no bias": (
        lambda: dense(9, (1, 4, 4), nn.Linear(16, 20), nn.LayerNorm(20, elementwise_affine=False),
                      nn.Linear(20, 9), nn.LayerNorm(9, bias=False), nn.Identity()),
        (1, 4, 4),
    ),
    "a norm between linear layer and image": (
        lambda: Autoencoder(
            nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Tanh()),
            nn.Sequential(nn.Linear(6, 72), nn.LayerNorm(72), nn.GELU(),
                          nn.Unflatten(1, (18, 2, 2)), nn.ConvTranspose2d(18, 1, 2, 2)),
        ),
        (1, 4, 4),
    ),
    "strides and kernels that are no squares": (
        lambda: conv(nn.Conv2d(1, 6, (3, 2), (2, 1), (1, 0)), nn.Tanh(), nn.Conv2d(6, 4, (2, 4)),
                     back=nn.Sequential(nn.ConvTranspose2d(4, 6, (2, 4)), nn.LeakyReLU(),
                                        nn.ConvTranspose2d(6, 1, (3, 2), (2, 1), (1, 0), (1, 0)))),
        (1, 12, 11),
    ),
    "colour through a linear code, batch norms": (
        lambda: conv(nn.Conv2d(3, 18, 3, 2, 1, bias=False), nn.BatchNorm2d(18), nn.GELU(),
                     nn.Flatten(), nn.Linear(18 * 9, 7),
                     back=nn.Sequential(nn.Linear(7, 18 * 9), nn.ReLU(),
                                        nn.Unflatten(1, (18, 3, 3)),
                                        nn.ConvTranspose2d(18, 3, 3, 2, 1, 1), nn.Sigmoid())),
        (3, 6, 6),
    ),
    "layer norms of images": (
        lambda: conv(nn.Conv2d(1, 17, 4, 2, 1), nn.LayerNorm((17, 4, 4)), nn.SiLU(),
                     back=nn.Sequential(nn.ConvTranspose2d(17, 33, 3, 1, 1),
                                        nn.LayerNorm((33, 4, 4)), nn.ReLU(),
                                        nn.ConvTranspose2d(33, 1, 4, 2, 1))),
        (1, 8, 8),
    ),
    "kernel 5, stride 3, padding on one way only": (
        lambda: conv(nn.Conv2d(2, 19, 5, 3, 2), nn.ReLU(),
                     back=nn.Sequential(nn.ConvTranspose2d(19, 2, 5, 3, 1), nn.Sigmoid())),
        (2, 12, 12),
    ),
    "stride wider than the kernel": (
        lambda: conv(nn.Conv2d(1, 16, 1, 2), nn.ReLU(),
                     back=nn.ConvTranspose2d(16, 1, 1, 2, 0, 1)),
        (1, 6, 6),
    ),
    "activation first, and two together": (
        lambda: conv(nn.ReLU(), nn.Tanh(), nn.Conv2d(3, 16, 3, 1, 1), nn.Sigmoid(),
                     nn.Conv2d(16, 16, 3, 1, 1),
                     back=nn.Sequential(nn.GELU(), nn.Conv2d(16, 3, 1))),
        (3, 10, 9),
    ),
    "residual blocks, one behind another": (
        lambda: conv(nn.Conv2d(3, 18, 4, 2, 1), nn.SiLU(), *(residual(18) for _ in range(2)),
                     nn.GELU(), nn.Flatten(), nn.Linear(18 * 12, 7),
                     back=nn.Sequential(nn.Linear(7, 18 * 12), nn.Unflatten(1, (18, 3, 4)),
                                        residual(18), nn.ReLU(),
                                        nn.ConvTranspose2d(18, 3, 4, 2, 1), nn.Sigmoid())),
        (3, 6, 8),
    ),
    "an activation and batch norms in blocks": (
        lambda: conv(nn.Conv2d(1, 5, 3, 1, 1),
                     Residual(nn.Sequential(nn.ReLU(), nn.Conv2d(5, 9, 3, bias=False),
                                            nn.BatchNorm2d(9), nn.Tanh(),
                                            nn.ConvTranspose2d(9, 5, 3))),
                     nn.SiLU(), back=nn.Sequential(nn.Conv2d(5, 1, 1), nn.Sigmoid())),
        (1, 7, 5),
    ),
    # Channels that fill no tile, and a part of one; with 16 and more, fast convolution.
    "channels 1, 17, 3": (
        lambda: conv(nn.Conv2d(1, 17, 3), nn.ReLU(), nn.Conv2d(17, 3, 3),
                     back=nn.Sequential(nn.ConvTranspose2d(3, 17, 3), nn.ReLU(),
                                        nn.ConvTranspose2d(17, 1, 3), nn.Sigmoid())),
        (1, 9, 12),
    ),
    "channels 33, 48, padded": (
        lambda: conv(nn.Conv2d(1, 33, 3, 1, 1), nn.ReLU(), nn.Conv2d(33, 48, 3, 1, 2), nn.ReLU(),
                     back=nn.Sequential(nn.ConvTranspose2d(48, 33, 3, 1, 2), nn.ReLU(),
                                        nn.ConvTranspose2d(33, 1, 3, 1, 1), nn.Sigmoid())),
        (1, 7, 10),
    ),
}  # fmt: skip


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_layer(name: str, precision: str, threads: int) -> None:
    make, shape = MODELS[name]
    torch.manual_seed(1)
    hold(make(), shape, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("architecture", "latent", "depth", "shape"),
    [
        ("conv", 5, 2, (1, 9, 9)),
        ("conv", 20, 3, (3, 8, 9)),
        ("conv-relu", 17, 2, (1, 12, 10)),
        ("conv-bottleneck", 3, 1, (1, 5, 5)),
        ("conv-bottleneck", 6, 2, (3, 9, 11)),
        ("mlp norm=batch code=linear activation=silu", 5, 3, (1, 6, 7)),
        ("conv-bottleneck blocks=1 activation=silu", 6, 2, (3, 9, 11)),
        ("conv-bottleneck blocks=1 norm=batch activation=silu", 6, 1, (1, 6, 7)),
        ("mlp-shared", 5, 2, (3, 4, 5)),
        ("mlp-separate", 5, 1, (3, 4, 5)),
    ],
)
def test_our_families(
    architecture: str, latent: int, depth: int, shape: Shape, precision: str, threads: int
) -> None:
    family, _, options = architecture.partition(" ")
    model = build(job(family, latent, depth=depth, options=options), shape).model
    hold(model, shape, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_any_batch(batch: int, precision: str, threads: int) -> None:
    model = build(job("conv-bottleneck", 6), (1, 5, 5)).model
    hold(model, (1, 5, 5), precision, batch)


def test_images_are_taken_in_parts_that_stay_in_the_caches() -> None:
    # 2 MB for an image: each is a part of its own, and of the linear layers all are one.
    shape = (1, 40, 40)
    torch.manual_seed(1)
    model = conv(
        nn.Conv2d(1, 100, 3, 1, 1), nn.ReLU(), nn.Conv2d(100, 4, 4, 4), nn.Flatten(),
        nn.Linear(400, 3),
        back=nn.Sequential(nn.Linear(3, 400), nn.Unflatten(1, (4, 10, 10)),
                           nn.ConvTranspose2d(4, 100, 4, 4), nn.ReLU(),
                           nn.ConvTranspose2d(100, 1, 3, 1, 1)),
    )  # fmt: skip
    hold(model, shape, "fp32", batch=5)


def test_a_model_in_channels_last_is_trained_the_same() -> None:
    model = build(job("conv", 20, depth=2), (3, 9, 9)).model
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)
    assert trained(model, (3, 9, 9))[0] == trained(last, (3, 9, 9))[0]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_weight_that_is_no_number_is_seen(precision: str) -> None:
    for architecture in ("conv", "conv-bottleneck"):
        model = build(job(architecture, 16, depth=2), (1, 8, 8)).model
        for value in (float("nan"), float("inf")):
            broken = copy.deepcopy(model)
            with torch.no_grad():
                broken.encoder[0].weight.view(-1)[0] = value
            losses, *_ = trained(broken, (1, 8, 8), precision, steps=1)
            assert not math.isfinite(losses[0])


def test_fast_convolution_is_told_where_it_is_taken() -> None:
    def kernels(*channels: int, **options: int) -> str:
        one, two = channels
        kind = {"kernel_size": 3} | options
        back = nn.Sequential(nn.ConvTranspose2d(two, one, **kind), nn.ConvTranspose2d(one, 1, 3))
        torch.manual_seed(1)
        model = conv(nn.Conv2d(1, one, 3), nn.Conv2d(one, two, **kind), back=back)
        return trained(model, (1, 12, 12), steps=1)[2].work().kernels

    words = f"instructions={bindings.instructions('fp32')}"
    fast = "conv=native conv=native+winograd conv_transpose=native conv_transpose=native+winograd"
    assert kernels(16, 16) == f"{fast} {words}"
    for others in (kernels(16, 1), kernels(16, 16, kernel_size=2), kernels(3, 16)):
        assert others == f"conv=native conv_transpose=native {words}"


@needs_bf16
def test_the_record_says_which_instructions_computed() -> None:
    record = run_job(job("conv-bottleneck", engine="native", precision="bf16", epochs=1))
    assert record.job["status"] == "ok"
    assert record.job["kernels"].endswith(f" instructions={machine.bf16_instructions()}")


_GATE = """
import sys
sys.path[:0] = [{tests!r}]
import torch
import test_engine_native_chains as gate
from aebench.engines.native import bindings
precisions, instructions = {precisions!r}, {instructions!r}
for precision in precisions:
    assert bindings.instructions(precision) == instructions, bindings.instructions(precision)
torch.set_num_threads(2)
for name in (
    "strides and kernels that are no squares",
    "colour through a linear code, batch norms",
    "channels 33, 48, padded",
):
    make, shape = gate.MODELS[name]
    torch.manual_seed(1)
    model = make()
    for precision in precisions:
        gate.hold(model, shape, precision, batch=36)  # for each thread more rows than a tile
print("held")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "precisions", "instructions"),
    [
        pytest.param(
            f"-O3 -include {HERE / 'emulated_tiles.h'}",
            ("bf16", "bf16x3"),
            "amx_bf16",
            marks=pytest.mark.skipif(
                machine.bf16_instructions() != "avx512_bf16",
                reason="takes AVX512-BF16; with AMX all tests above use true tiles",
            ),
            id="tiles",
        ),
        pytest.param("-march=x86-64-v3", ("fp32",), "avx", id="avx2"),
        pytest.param("-march=x86-64-v2", ("fp32",), "vectors", id="sse"),
    ],
)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="these are instructions of x86")
def test_other_processors_take_the_same_steps(
    options: str, precisions: tuple[str, ...], instructions: str, tmp_path: Path
) -> None:
    gate = _GATE.format(tests=str(HERE), precisions=precisions, instructions=instructions)
    environment = {
        **os.environ,
        "AEBENCH_CXXFLAGS": f"-O1 {options}",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    told = subprocess.run(
        [sys.executable, "-c", gate], env=environment, capture_output=True, text=True, timeout=300
    )
    assert told.stdout == "held\n", told.stdout + told.stderr
