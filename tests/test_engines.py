"""The equivalence gate: every engine gives the losses of the study's loop from the same start."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import mse_loss

from aebench import datasets, engines
from aebench.architectures.autoencoder import build
from aebench.evaluation import errors
from aebench.job import ENGINES, Job

CPU = torch.device("cpu")
STEPS = 20
OTHERS = [name for name in ENGINES if name != "reference"]
MODELS = [("mlp", 1), ("mlp", 2), ("conv", 1), ("conv", 2)]
SETTINGS = [
    {},
    {"order": "shuffled", "schedule": "cosine"},
    {"train_noise": 0.3},
]


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    data = datasets.load("digits")
    train, _ = datasets.split(len(data.train), 180, 0)
    return torch.from_numpy(data.train[train])


def trained(job: Job, images: torch.Tensor) -> tuple[list[float], float]:
    """Mean loss of every epoch, and the error on the images after the last."""
    model, _ = build(job, tuple(images.shape[1:]))
    engine = engines.create(engines.Setup(job, model, images, CPU))
    engine.load()
    engine.warm_up()
    losses = [float(engine.train_epoch()) for _ in range(job.epochs)]
    return losses, errors.measure(model, images, CPU, job.precision).mse


@pytest.mark.parametrize("engine", OTHERS)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: ",".join(s) or "study")
@pytest.mark.parametrize(("architecture", "depth"), MODELS)
def test_engine_gives_the_losses_of_the_study(
    engine: str, settings: dict, architecture: str, depth: int, images: torch.Tensor
) -> None:
    # One step an epoch, so that every loss of the first twenty steps is seen by itself.
    few = images[:64]
    job = Job(architecture, "digits", 6, depth, epochs=STEPS, batch_size=64, engine=engine)
    job = replace(job, **settings, learning_rate=1e-3)
    reference = replace(job, engine="reference")
    theirs, ours = trained(reference, few), trained(job, few)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert ours[1] == pytest.approx(theirs[1], rel=1e-4)
    assert theirs[0][-1] < theirs[0][0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("architecture", "depth"), MODELS)
def test_first_losses_are_those_of_float64(
    engine: str, architecture: str, depth: int, images: torch.Tensor
) -> None:
    few = images[:64]  # one step an epoch, so that every loss is seen by itself
    job = Job(architecture, "digits", 6, depth, epochs=STEPS, batch_size=64, engine=engine)
    model, _ = build(job, (1, 8, 8))
    oracle = copy.deepcopy(model).double()
    adam = torch.optim.Adam(oracle.parameters(), lr=job.learning_rate)
    expected = []
    for _ in range(STEPS):
        batch = few.double() / 255
        adam.zero_grad()
        loss = mse_loss(oracle(batch), batch)
        loss.backward()
        adam.step()
        expected.append(loss.item())
    assert trained(job, few)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_warm_up_leaves_no_trace(engine: str, images: torch.Tensor) -> None:
    job = Job("conv", "digits", 3, engine=engine)
    model, _ = build(job, (1, 8, 8))
    before = copy.deepcopy(model.state_dict())
    made = engines.create(engines.Setup(job, model, images, CPU))
    made.load()
    made.warm_up()
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not made.optimizer.state


def test_partial_batch_is_dropped(images: torch.Tensor) -> None:
    job = Job("mlp", "digits", 3, epochs=1)
    assert trained(job, images[:300]) == trained(job, images[:300])
    with_tail, without = (trained(job, images[:n])[0] for n in (300, 256))
    assert with_tail == without


def test_shuffled_order_and_noise_depend_on_seed_and_epoch_only(images: torch.Tensor) -> None:
    def setup(seed: int) -> engines.Setup:
        job = Job("mlp", "digits", 3, seed=seed, order="shuffled", train_noise=0.5)
        return engines.Setup(job, build(job, (1, 8, 8)).model, images, CPU)

    orders = [setup(seed).order(epoch) for seed, epoch in [(0, 0), (0, 0), (0, 1), (1, 0)]]
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[3])
    assert torch.equal(orders[0].sort().values, torch.arange(len(images)))
    noises = [torch.randn(4, generator=setup(s).noise(e)) for s, e in [(0, 0), (0, 0), (0, 1)]]
    assert torch.equal(noises[0], noises[1])
    assert not torch.equal(noises[0], noises[2])


def test_cosine_goes_from_the_rate_to_nearly_zero(images: torch.Tensor) -> None:
    job = Job("mlp", "digits", 3, epochs=2, schedule="cosine", learning_rate=0.1)
    rates = engines.Setup(job, build(job, (1, 8, 8)).model, images, CPU).rates
    assert rates[0] == 0.1
    assert rates[len(rates) // 2] == pytest.approx(0.05)
    assert all(a > b > 0 for a, b in itertools.pairwise(rates))


@pytest.mark.cuda
@pytest.mark.parametrize("engine", ENGINES)
def test_cuda_gives_the_losses_of_the_cpu(engine: str, images: torch.Tensor) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device on this machine")
    device = torch.device("cuda")
    job = Job("mlp", "digits", 6, epochs=STEPS, batch_size=64, engine=engine, device="cuda")
    model, _ = build(job, (1, 8, 8))
    made = engines.create(engines.Setup(job, model.to(device), images[:64], device))
    made.load()
    made.warm_up()
    losses = [float(made.train_epoch()) for _ in range(STEPS)]
    expected = trained(replace(job, device="cpu", engine="reference"), images[:64])
    assert losses == pytest.approx(expected[0], rel=1e-5)
