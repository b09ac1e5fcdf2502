"""The equivalence gate: every engine gives the losses of the study's loop from the same start."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from torch.nn.functional import mse_loss

from aebench import datasets, engines
from aebench.architectures.autoencoder import build
from aebench.engines import ENGINES, graph, training
from aebench.errors import RequestError
from aebench.evaluation import reconstruction
from aebench.job import Job

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


def ready(
    engine: str, job: Job, images: torch.Tensor, device: torch.device = CPU
) -> tuple[training.Engine, torch.nn.Module]:
    """The engine at the start of training, and the model that it trains.

    On a CPU `graph` takes the steps that it would capture one by one.
    """
    model = build(job, tuple(images.shape[1:])).model.to(device)
    setup = training.Setup(job, model, images, device)
    if engine == "graph":
        made = graph.Graph(setup, capture=device.type == "cuda")
    else:
        made = import_module(f"aebench.engines.{engine}").create(setup)
    made.load()
    made.compile()
    made.warm_up()
    return made, model


def trained(engine: str, job: Job, images: torch.Tensor) -> tuple[list[float], float]:
    """Mean loss of every epoch, and the error on the images after the last."""
    made, model = ready(engine, job, images)
    losses = [float(made.train_epoch()) for _ in range(job.epochs)]
    return losses, reconstruction.measure(model, images, CPU).mse


def pairs(names: tuple[str, ...] | list[str]) -> list[tuple[str, str, int]]:
    """Every engine with every model that it can train."""
    return [(e, *m) for e in names for m in MODELS if not engines.untrainable(e, m[0], m[1])]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: ",".join(s) or "study")
@pytest.mark.parametrize(("engine", "architecture", "depth"), pairs(OTHERS))
def test_engine_gives_the_losses_of_the_study(
    engine: str, settings: dict, architecture: str, depth: int, images: torch.Tensor
) -> None:
    # One step an epoch, so that every loss of the first twenty steps is seen by itself.
    few = images[:64]
    job = Job(architecture, "digits", 6, depth, epochs=STEPS, batch_size=64)
    job = replace(job, **settings, learning_rate=1e-3)
    theirs, ours = trained("reference", job, few), trained(engine, job, few)
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert ours[1] == pytest.approx(theirs[1], rel=1e-4)
    assert theirs[0][-1] < theirs[0][0]


@pytest.mark.parametrize(("engine", "architecture", "depth"), pairs(ENGINES))
def test_first_losses_are_those_of_float64(
    engine: str, architecture: str, depth: int, images: torch.Tensor
) -> None:
    few = images[:64]  # one step an epoch, so that every loss is seen by itself
    job = Job(architecture, "digits", 6, depth, epochs=STEPS, batch_size=64)
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
    assert trained(engine, job, few)[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_warm_up_leaves_no_trace(engine: str, images: torch.Tensor) -> None:
    job = Job("mlp", "digits", 3)
    before = build(job, (1, 8, 8)).model.state_dict()
    made, model = ready(engine, job, images)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert made.work().steps == 0
    states = made.optimizer.state.values()
    assert not any(tensor.any() for state in states for tensor in state.values())


def test_an_engine_refuses_a_device_that_is_not_its_own(images: torch.Tensor) -> None:
    job = Job("mlp", "digits", 3, engine="native")
    setup = training.Setup(job, torch.nn.Identity(), images, torch.device("cuda"))
    with pytest.raises(
        RequestError, match="exists on the CPU in fp32, bf16 or bf16x3 only; use eager"
    ):
        training.create(setup)


def test_steps_are_adams_own_count() -> None:
    layer = torch.nn.Linear(1, 1)
    adam = torch.optim.Adam(layer.parameters(), fused=True)
    assert training.steps_taken(None) == training.steps_taken(adam) == 0
    for _ in range(3):
        layer(torch.ones(1)).sum().backward()
        adam.step()
    assert training.steps_taken(adam) == 3


def test_on_a_cpu_convolutions_and_their_batches_lie_channels_last(images: torch.Tensor) -> None:
    seen = []
    job = Job("conv", "digits", 6, depth=2, epochs=1, batch_size=64)
    made, model = ready("eager", job, images[:64].expand(-1, 3, -1, -1))
    model.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    made.train_epoch()
    for tensor in (seen[0], model.encoder[0].weight, model.encoder[2].weight):
        assert tensor.is_contiguous(memory_format=torch.channels_last)
        assert not tensor.is_contiguous()
    plain, _ = ready("eager", Job("mlp", "digits", 6), images)
    assert plain.setup.layout is torch.contiguous_format


def test_partial_batch_is_dropped(images: torch.Tensor) -> None:
    job = Job("mlp", "digits", 3, epochs=1)
    assert trained("eager", job, images[:300]) == trained("eager", job, images[:300])
    with_tail, without = (trained("eager", job, images[:n])[0] for n in (300, 256))
    assert with_tail == without


def test_shuffled_order_and_noise_depend_on_seed_and_epoch_only(images: torch.Tensor) -> None:
    def setup(seed: int) -> training.Setup:
        job = Job("mlp", "digits", 3, seed=seed, order="shuffled", train_noise=0.5)
        return training.Setup(job, build(job, (1, 8, 8)).model, images, CPU)

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
    rates = training.Setup(job, build(job, (1, 8, 8)).model, images, CPU).rates
    assert rates[0] == 0.1
    assert rates[len(rates) // 2] == pytest.approx(0.05)
    assert all(a > b > 0 for a, b in itertools.pairwise(rates))


@pytest.mark.cuda
@pytest.mark.parametrize("engine", ENGINES)
def test_cuda_gives_the_losses_of_the_cpu(engine: str, images: torch.Tensor) -> None:
    device = torch.device("cuda")
    job = Job("mlp", "digits", 6, epochs=STEPS, batch_size=64)
    made, _ = ready(engine, replace(job, device="cuda"), images[:64], device)
    losses = [float(made.train_epoch()) for _ in range(STEPS)]
    assert losses == pytest.approx(trained("reference", job, images[:64])[0], rel=1e-5)
