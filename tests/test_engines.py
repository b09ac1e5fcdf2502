"""The equivalence gate: every engine gives the losses of the study's loop from the same start."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any

import pytest
import torch
from torch.nn.functional import mse_loss

from aebench import datasets, engines
from aebench.architectures.autoencoder import Autoencoder, build
from aebench.engines import ENGINES, graph, resident, training
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


@pytest.mark.parametrize("engine", ["eager", "native"])
@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("mlp", "activation=gelu hidden=9"),
        ("conv", "activation=tanh channels=5 kernel=2"),
        ("conv-bottleneck", "activation=leaky-relu channels=4 norm=layer"),
    ],
)
def test_models_with_options_have_the_losses_of_the_study(
    architecture: str, options: str, engine: str, images: torch.Tensor
) -> None:
    job = Job(architecture, "digits", 6, 2, epochs=3, batch_size=64, learning_rate=1e-3)
    job = replace(job, options=options)
    theirs, ours = (trained(name, job, images[:256]) for name in ("reference", engine))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert ours[1] == pytest.approx(theirs[1], rel=1e-4)


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


OPTIMIZERS = {
    "adam": {"weight_decay": 0.1, "clip_gradient": 1e-3},
    "adamw": {"weight_decay": 0.1, "warmup": 0.3},
    "sgd": {"momentum": 0.9, "clip_gradient": 0.1, "schedule": "cosine", "warmup": 0.5},
    "rmsprop": {"momentum": 0.5, "weight_decay": 0.01},
}


def with_optimizer(name: str, **fields: Any) -> Job:
    job = Job("mlp", "digits", 6, epochs=STEPS, batch_size=64, learning_rate=1e-2, **fields)
    return replace(job, optimizer=name, **OPTIMIZERS[name])


@pytest.mark.parametrize(
    ("name", "engine"),
    [*itertools.product(OPTIMIZERS, ("reference", "eager")), ("sgd", "compiled")],
)
def test_optimizers_are_those_of_torch(name: str, engine: str, images: torch.Tensor) -> None:
    job, few = with_optimizer(name), images[:64]
    oracle = build(job, (1, 8, 8)).model.double()
    classes = {
        "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
        "sgd": partial(torch.optim.SGD, momentum=job.momentum),
        "rmsprop": partial(torch.optim.RMSprop, momentum=job.momentum),
    }  # fmt: skip
    optimizer = classes[name](oracle.parameters(), lr=1.0, weight_decay=job.weight_decay)
    rising, expected = round(job.warmup * STEPS), []
    for step in range(STEPS):
        rate = 1e-2
        if step < rising:
            rate *= (step + 1) / rising
        elif job.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * (step - rising) / (STEPS - rising)))
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        loss = mse_loss(oracle(few.double() / 255), few.double() / 255)
        loss.backward()
        if job.clip_gradient:
            torch.nn.utils.clip_grad_norm_(oracle.parameters(), job.clip_gradient)
        optimizer.step()
        expected.append(loss.item())
    made, _ = ready(engine, job, few)
    assert made.work().steps == 0  # what the warm-up took is not counted
    losses = [float(made.train_epoch()) for _ in range(STEPS)]
    assert losses == pytest.approx(expected, rel=1e-4)
    assert made.work().steps == STEPS
    assert losses[-1] < losses[0]


def test_optimizers_are_one_kernel_where_torch_has_it(images: torch.Tensor) -> None:
    for name in OPTIMIZERS:
        setup = training.Setup(with_optimizer(name), torch.nn.Linear(1, 1), images, CPU)
        made = setup.optimizer_of(setup.model)
        assert bool(made.defaults.get("fused")) is (name != "rmsprop")
        assert not setup.optimizer_of(setup.model, fused=False).defaults.get("fused")


def test_jobs_of_other_optimizers_share_no_compiled_program(images: torch.Tensor) -> None:
    def shape(**fields: Any) -> tuple[object, ...]:
        job = Job("mlp", "digits", 6, depth=2, **fields)
        setup = training.Setup(job, torch.nn.Linear(1, 1), images, CPU)
        return resident.shape_of(setup)

    others = [
        *({"optimizer": name} for name in OPTIMIZERS if name != "adam"),
        *({"weight_decay": 0.1}, {"clip_gradient": 1.0}, {"options": "hidden=9"}),
        {"optimizer": "sgd", "momentum": 0.9},
    ]
    assert len({shape(), *(shape(**fields) for fields in others)}) == 1 + len(others)
    assert shape(warmup=0.1) == shape()  # of which only the rates are others


@pytest.mark.parametrize("engine", ["native", "graph"])
def test_an_engine_with_adam_alone_refuses_other_optimizers(engine: str) -> None:
    device = ENGINES[engine].devices[0]
    for settings in ({"optimizer": "sgd"}, {"weight_decay": 0.1}, {"clip_gradient": 1.0}):
        with pytest.raises(RequestError, match=rf"'{engine}' trains by plain Adam, .* eager"):
            Job("mlp", "digits", 6, engine=engine, device=device, **settings)
    Job("mlp", "digits", 6, engine=engine, device=device, warmup=0.1)


class Sparse(Autoencoder):
    """Its code costs something: training minimises more than the error."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        code = self.encoder(images)
        return self.decoder(code), code

    def loss(self, images: torch.Tensor, output: tuple[torch.Tensor, ...]) -> torch.Tensor:
        return mse_loss(output[0], images) + 0.01 * output[1].abs().mean()


def sparse(job: Job, images: torch.Tensor) -> training.Setup:
    plain = build(job, (1, 8, 8)).model
    # Under a name of its own, for engines share what they compile among the jobs of one family.
    own = replace(job, architecture="sparse")
    return training.Setup(own, Sparse(plain.encoder, plain.decoder), images, CPU)


@pytest.mark.parametrize("engine", ["reference", "eager", "compiled", "graph"])
def test_a_loss_of_its_own_is_what_a_model_is_trained_by(engine: str, images: torch.Tensor) -> None:
    job, few = Job("mlp", "digits", 6, epochs=STEPS, batch_size=64, train_noise=0.1), images[:64]
    setup = sparse(job, few)
    oracle = copy.deepcopy(setup.model)
    adam, expected = torch.optim.Adam(oracle.parameters(), lr=job.learning_rate), []
    for epoch in range(STEPS):
        batch = few / 255
        adam.zero_grad()
        noisy = setup.inputs(batch, setup.noise(epoch))
        loss = oracle.loss(batch, oracle(noisy))
        loss.backward()
        adam.step()
        expected.append(loss.item())
    if engine == "graph":
        made: training.Engine = graph.Graph(setup, capture=False)
    else:
        made = import_module(f"aebench.engines.{engine}").create(setup)
    made.load()
    made.compile()
    made.warm_up()
    assert [float(made.train_epoch()) for _ in range(STEPS)] == pytest.approx(expected, rel=1e-5)


def test_a_loss_of_its_own_is_computed_in_float32(images: torch.Tensor) -> None:
    class Told(Sparse):
        def loss(self, images: torch.Tensor, output: tuple[torch.Tensor, ...]) -> torch.Tensor:
            kinds.extend(tensor.dtype for tensor in (images, *output))
            return super().loss(images, output)

    kinds: list[torch.dtype] = []
    job = Job("mlp", "digits", 6, precision="bf16")
    plain = sparse(job, images).model
    model = Told(plain.encoder, plain.decoder)
    batch = torch.rand(2, 1, 8, 8)
    assert training.Setup(job, model, images, CPU).loss_of(model)(batch, batch).isfinite()
    assert kinds == [torch.float32] * 3


def test_native_refuses_a_model_with_a_loss_of_its_own(images: torch.Tensor) -> None:
    setup = sparse(Job("mlp", "digits", 6, engine="native"), images)
    with pytest.raises(RequestError, match="trains by the mean squared error, and this model has"):
        training.create(setup)


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
