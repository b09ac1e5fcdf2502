"""The family `conv-bottleneck`: its shapes, its exact bottleneck, and its size computed ahead."""

import pytest
import torch

from aebench import architectures, load_grid
from aebench.architectures.autoencoder import build, measure
from aebench.architectures.conv import strided_shapes
from aebench.errors import RequestError
from aebench.job import Job
from aebench.records import Circumstances
from aebench.worker import run_job

MNIST, CIFAR10, DIGITS = (1, 28, 28), (3, 32, 32), (1, 8, 8)
FAMILY = architectures.get("conv-bottleneck")


@pytest.mark.parametrize("latent", [1, 16, 100])
@pytest.mark.parametrize(
    ("shape", "depth"),
    [
        *((MNIST, depth) for depth in (1, 2, 3, 4)),
        *((CIFAR10, depth) for depth in (1, 2, 5)),
        *((DIGITS, depth) for depth in (1, 3)),
        ((3, 28, 28), 2),
        ((1, 32, 32), 3),
        ((3, 17, 30), 4),  # odd sides in every layer, and not square
    ],
)
def test_size_is_what_is_measured(shape, latent, depth) -> None:
    model = FAMILY.build(shape, latent, depth)
    assert FAMILY.size is not None
    assert FAMILY.size(shape, latent, depth) == measure(model, shape)
    assert FAMILY.size(shape, latent, depth).bottleneck == latent


def test_shapes_and_range() -> None:
    model = build(Job("conv-bottleneck", "mnist", latent=7, depth=3), MNIST).model
    images = torch.rand(5, *MNIST)
    code = model.encoder(images)
    assert code.shape == (5, 7)
    assert (code < 0).any()  # no activation at the code
    output = model.decoder(code)
    assert output.shape == images.shape
    assert output.min() > 0
    assert output.max() < 1


def test_depth_adds_one_strided_layer() -> None:
    def layers(depth: int, kind: type) -> int:
        return sum(isinstance(m, kind) for m in FAMILY.build(MNIST, 8, depth).modules())

    for depth in (1, 2, 4):
        assert layers(depth, torch.nn.Conv2d) == layers(depth, torch.nn.ConvTranspose2d) == depth
        assert layers(depth, torch.nn.Linear) == 2
    shapes = strided_shapes((3, 32, 28), 4)
    assert shapes == [(3, 32, 28), (32, 16, 14), (64, 8, 7), (128, 4, 3), (256, 2, 1)]
    assert strided_shapes((1, 32, 32), 5)[-1] == (256, 1, 1)  # and no more channels


@pytest.mark.parametrize(
    ("shape", "depth", "hint"),
    [
        (DIGITS, 4, "greatest depth here is 3"),
        (MNIST, 5, "greatest depth here is 4"),
        ((3, 32, 8), 4, "greatest depth here is 3"),
        ((1, 1, 9), 1, "use mlp"),
    ],
)
def test_depth_that_leaves_nothing(shape, depth, hint) -> None:
    for make in (FAMILY.size, FAMILY.build):
        assert make is not None
        with pytest.raises(RequestError, match=hint):
            make(shape, 4, depth)


def test_grid_plans_it_and_names_what_is_impossible() -> None:
    axes = {"architecture": "conv-bottleneck", "dataset": "digits", "latent": 4, "depth": "3..4"}
    grid = load_grid(None, axes)
    assert [job.depth for job in grid.impossible] == [4]
    assert any(job.architecture == "conv-bottleneck" for job in load_grid("full").jobs)


@pytest.mark.slow
def test_trains_below_the_mean_image() -> None:
    fields = {"epochs": 12, "batch_size": 32, "learning_rate": 3e-3}
    row = run_job(
        Job("conv-bottleneck", "digits", latent=8, depth=2, **fields), Circumstances(threads=1)
    ).job
    assert row["status"] == "ok", row["reason"]
    assert row["bottleneck"] == 8
    assert row["mse"] < 0.5 * row["mean_mse"]
