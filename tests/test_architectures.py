"""The families: shapes, sizes computed against sizes measured, weights, and the registry."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from aebench import architectures
from aebench.architectures import Shape, architecture
from aebench.architectures.autoencoder import Autoencoder, build, measure
from aebench.errors import RequestError
from aebench.job import Job
from aebench.records import Circumstances
from aebench.worker import run_job

GREY, ODD, COLOUR = (1, 8, 8), (1, 9, 7), (3, 10, 8)
CASES = [
    (family, shape, latent, depth)
    for family in ("mlp", "conv", "conv-relu", "mlp-shared", "mlp-separate")
    for shape in ((COLOUR,) if family.startswith("mlp-") else (GREY, ODD, COLOUR))
    for latent in (1, 5)
    for depth in (1, 2, 3)
]


def job(family: str, latent: int = 4, depth: int = 1, seed: int = 0) -> Job:
    return Job(family, "digits", latent, depth=depth, seed=seed)


@pytest.mark.parametrize(("family", "shape", "latent", "depth"), CASES)
def test_size_computed_is_size_measured(family: str, shape: Shape, latent: int, depth: int) -> None:
    model, measured = build(job(family, latent, depth), shape)
    sizer = architectures.get(family).size
    assert sizer is not None
    assert sizer(shape, latent, depth) == measured
    images = torch.rand(3, *shape)
    assert model(images).shape == images.shape
    assert model.encoder(images).flatten(1).shape[1] == measured.bottleneck
    assert model(images).min() >= 0
    assert model(images).max() <= 1


def test_the_studys_models_have_the_studys_sizes() -> None:
    _, mlp = build(Job("mlp", "mnist", 512), (1, 28, 28))
    assert mlp.parameters == 2 * 784 * 512 + 784 + 512
    assert mlp.bottleneck == 512
    assert mlp.flops * 128 == 513_802_240  # 0.514 GFLOP a step
    _, conv = build(Job("conv", "mnist", 16), (1, 28, 28))
    assert conv.bottleneck == 16 * 26 * 26  # more numbers than the image has


@pytest.mark.parametrize("family", ["mlp", "conv", "mlp-shared", "mlp-separate"])
def test_weights_are_those_of_manual_seed(family: str) -> None:
    shape = COLOUR
    model = build(job(family, seed=3), shape).model
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        literal = architectures.get(family).build(shape, 4, 1)
    pairs = list(zip(model.parameters(), literal.parameters(), strict=True))
    assert pairs
    assert all(torch.equal(a, b) for a, b in pairs)
    other = build(job(family, seed=4), shape).model
    assert not torch.equal(next(iter(model.parameters())), next(iter(other.parameters())))


def test_the_two_readings_of_the_deeper_decoder() -> None:
    literal, relu = (build(job(f, 4, depth=3), GREY).model for f in ("conv", "conv-relu"))
    assert [type(m) for m in literal.decoder][1::2] == [nn.Sigmoid] * 3
    assert [type(m) for m in relu.decoder][1::2] == [nn.ReLU, nn.ReLU, nn.Sigmoid]
    assert literal.state_dict().keys() == relu.state_dict().keys()
    one, other = (build(job(f, 4), GREY).model for f in ("conv", "conv-relu"))
    images = torch.rand(2, *GREY)
    assert torch.equal(one(images), other(images))


def test_building_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    build(job("conv"), GREY)
    assert torch.equal(torch.rand(2), expected)


def test_shared_weights_are_shared_and_separate_ones_are_not() -> None:
    image = torch.rand(1, 3, 10, 8)
    swapped = image[:, [2, 0, 1]]
    shared = build(job("mlp-shared"), COLOUR).model
    assert torch.allclose(shared(image)[:, [2, 0, 1]], shared(swapped), atol=1e-6)
    separate = build(job("mlp-separate"), COLOUR).model
    assert not torch.allclose(separate(image)[:, [2, 0, 1]], separate(swapped), atol=1e-3)


@pytest.mark.parametrize(
    ("family", "shape", "depth", "says"),
    [
        ("conv", (1, 28, 28), 14, "greatest depth here is 13"),
        ("conv", (1, 8, 28), 4, "greatest depth here is 3"),
        ("mlp-shared", GREY, 1, "grey; use mlp"),
        ("mlp-separate", GREY, 1, "grey; use mlp"),
    ],
)
def test_impossible_models_are_refused_with_the_reason(
    family: str, shape: Shape, depth: int, says: str
) -> None:
    sizer = architectures.get(family).size
    assert sizer is not None
    with pytest.raises(RequestError, match=says):
        sizer(shape, 4, depth)


def test_measuring_leaves_no_trace() -> None:
    normed = Autoencoder(nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 1)), nn.Conv2d(2, 1, 1))
    before = {name: value.clone() for name, value in normed.state_dict().items()}
    measure(normed, GREY)
    assert all(torch.equal(before[name], value) for name, value in normed.state_dict().items())
    assert all(p.grad is None for p in normed.parameters())
    assert normed.training


class Odd(nn.Module):
    """A model of 64 numbers, four of them as its code, with some layers as given."""

    def __init__(self, down: nn.Module, up: nn.Module, before: nn.Module | None = None) -> None:
        super().__init__()
        self.encoder = nn.Sequential(before or nn.Identity(), nn.Flatten(), down)
        self.decoder = nn.Sequential(up, nn.Unflatten(1, GREY))

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class InPlace(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sub_(0.3).div_(0.4)


def normed(layer: nn.Module) -> nn.Module:
    return torch.nn.utils.weight_norm(layer)


KINDS = {
    "lazy": lambda: Odd(nn.LazyLinear(4), nn.LazyLinear(64), nn.LazyBatchNorm2d()),
    "weight_norm": lambda: Odd(normed(nn.Linear(64, 4)), normed(nn.Linear(4, 64))),
    "parametrized": lambda: Odd(
        torch.nn.utils.parametrizations.weight_norm(nn.Linear(64, 4)), nn.Linear(4, 64)
    ),
    "in place": lambda: Odd(nn.Linear(64, 4), nn.Linear(4, 64), InPlace()),
}


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_valid_models_of_every_kind_are_measured_and_train(kind: str, tmp_path: Path) -> None:
    architecture("mine")(lambda shape, latent, depth: KINDS[kind]())
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    model, size = build(job("mine"), GREY)
    assert torch.equal(torch.rand(1), expected)  # the caller's random numbers are left alone
    # Three products of either layer, but no gradient of the images; with a batch norm, of its own.
    products = 6 if kind == "lazy" else 5
    assert (size.bottleneck, size.flops) == (4, 2 * products * 64 * 4)
    assert size.parameters == sum(p.numel() for p in model.parameters())
    assert all(p.grad is None for p in model.parameters())
    assert all(module.training for module in model.modules())
    again = build(job("mine"), GREY).model
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    copy.deepcopy(model)  # as engines do
    record = run_job(dataclasses.replace(job("mine"), epochs=1), Circumstances(data=tmp_path))
    assert (record.job["status"], record.job["reason"]) == ("ok", "")


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_measuring_what_cannot_be_copied_leaves_no_trace() -> None:
    model = Odd(normed(nn.Linear(64, 4)), nn.Linear(4, 64), nn.BatchNorm2d(1))
    with pytest.raises(RuntimeError, match="deepcopy"):
        copy.deepcopy(model)
    model.decoder.eval()
    held = torch.ones_like(model.decoder[0].weight)
    model.decoder[0].weight.grad = held
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure(model, GREY)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(grads) == 1
    assert grads[0] is held
    assert torch.equal(held, torch.ones_like(held))
    assert (model.training, model.decoder.training) == (True, False)


def test_a_model_that_changes_its_input_is_given_a_fresh_one_each_time() -> None:
    seen = []

    class Wipes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Conv2d(1, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.clone())
            return self.encoder(x.zero_())

    measure(Wipes(), GREY)
    assert seen
    assert all(torch.equal(image, torch.full_like(image, 0.5)) for image in seen)


class Kept(list):
    """A list that a deep copy of its module shares: it tells of the copy as well."""

    def __deepcopy__(self, memo: object) -> list:
        return self


class Watched(nn.Module):
    """Notes in which mode it runs. Dropout of everything, in training, gives nothing but zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(1), nn.Dropout(0.999_999)
        self.modes: list[bool] = Kept()
        self.codes: list[Tensor] = Kept()

    def forward(self, images: Tensor) -> Tensor:
        self.modes += [self.training, self.norm.training, self.drop.training]
        self.codes.append(self.drop(self.norm(images)).detach())
        return self.drop(self.norm(images))


@pytest.mark.parametrize("mode", [True, False])
def test_a_model_is_measured_as_it_is_evaluated_and_left_as_it_was(mode: bool) -> None:
    encoder = Watched()
    model = Autoencoder(encoder, nn.Conv2d(1, 1, 1)).train(mode)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    measure(model, GREY)
    assert encoder.modes
    assert not any(encoder.modes)
    assert all(float(code.abs().min()) > 0 for code in encoder.codes)
    assert [module.training for module in model.modules()] == [mode] * 5
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.rand(1), expected)  # and drew from no one's random numbers


def test_a_code_of_several_tensors_counts_whole_and_frozen_weights_do_not() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(64, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return self.lin(x.flatten(1)), self.lin(x.flatten(1))

    class Join(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lin = nn.Linear(6, 64).requires_grad_(False)

        def forward(self, code: tuple[Tensor, Tensor]) -> Tensor:
            return self.lin(torch.cat(code, 1)).view(-1, *GREY)

    size = measure(Autoencoder(Two(), Join()), GREY)
    assert (size.bottleneck, size.parameters) == (6, 64 * 3 + 3)


class Pair(nn.Module):
    """Gives several things, as variational autoencoders do."""

    def __init__(self, give: Callable[[Tensor], Any], loss: Any = None) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(1, 1, 1)
        self.give, self.loss = give, loss

    def forward(self, x: Tensor) -> Any:
        return self.give(self.encoder(x))


def test_the_reconstruction_is_the_first_of_what_a_model_gives() -> None:
    for give in (lambda y: y, lambda y: (y, y.mean()), lambda y: [y, None]):
        assert measure(Pair(give), GREY) == measure(Pair(lambda y: y), GREY)


def test_a_loss_of_its_own_is_measured_with_the_model() -> None:
    calls = []

    def loss(images: Tensor, output: tuple[Tensor, Tensor]) -> Tensor:
        calls.append((images.shape, output[1].shape))
        return (output[0] - images).abs().sum() + (output[1] @ torch.ones(8, 8)).sum()

    size = measure(Pair(lambda y: (y, y), loss), GREY)
    assert calls == [((2, *GREY), (2, *GREY))]
    assert size.flops > measure(Pair(lambda y: y), GREY).flops  # its product counts as well


def with_loss(loss: Any) -> Callable[[], nn.Module]:
    return lambda: Pair(lambda y: (y, y), loss)


class MeanOfBatch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(0, keepdim=True)


class Spare(nn.Module):
    """Has a layer that no image goes through."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Conv2d(1, 1, 1)
        self.spare = nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: nn.Conv2d(1, 1, 1), "mine: the model needs an `encoder`"),
        (lambda: None, "mine: the model needs an `encoder`"),
        (
            lambda: Autoencoder(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, 1)),
            r"mine: \[2, 1, 8, 8\] went in and \[2, 1, 6, 6\] came out",
        ),
        (
            # The same picture for all images of a batch: a loss would broadcast it in silence.
            lambda: Autoencoder(nn.Conv2d(1, 1, 1), MeanOfBatch()),
            r"mine: \[2, 1, 8, 8\] went in and \[1, 1, 8, 8\] came out",
        ),
        (lambda: Autoencoder(Spare(), nn.Identity()), r"mine: encoder\.spare\.weight, .* stayed"),
        (lambda: Pair(lambda y: {"x": y}), "mine: the model gave a dict; `forward` must return"),
        (lambda: Pair(lambda y: ()), "mine: the model gave a tuple; `forward` must return the"),
        (lambda: Pair(lambda y: (y.mean(), y)), r"mine: \[2, 1, 8, 8\] went in and \[\] came out"),
        (with_loss(nn.MSELoss()), "mine: the model's `loss` is a MSELoss; write it as a method"),
        (with_loss(0.5), "mine: the model's `loss` is a float; write it as a method"),
        (with_loss(lambda x, y: 0.5), "mine: the model's `loss` gave a float; it must give a tens"),
        (
            with_loss(lambda x, y: y[0] - x),
            r"mine: .* gave \[2, 1, 8, 8\] numbers; take their mean",
        ),
        (with_loss(lambda x, y: y[0].mean() * math.nan), "mine: the model's `loss` gave nan for"),
        (with_loss(lambda x, y: y[0].mean().detach()), "mine: .* gave a number without a gradient"),
    ],
)
def test_a_model_that_breaks_the_contract_is_told_where(
    make: Callable[[], nn.Module], says: str
) -> None:
    architecture("mine")(lambda shape, latent, depth: make())
    with pytest.raises(ValueError, match=says):
        build(job("mine"), GREY)


def test_registry_finds_names_and_suggests_the_nearest() -> None:
    def mine(shape: Shape, latent: int, depth: int) -> nn.Module:
        """First line.

        Second.
        """
        return nn.Identity()

    assert architecture("mine")(mine) is mine
    assert architectures.get("mine").about == "First line."
    assert architectures.names()[-1] == "mine"
    with pytest.raises(RequestError, match="did you mean 'mine'"):
        architectures.get("mnie")
    assert all(dataclasses.asdict(architectures.get(n))["about"] for n in architectures.names())


def test_a_taken_name_is_refused_even_to_a_function_of_the_same_name() -> None:
    def build(shape: Shape, latent: int, depth: int) -> nn.Module:
        return nn.Identity()

    build.__qualname__ = "build"  # as a plugin's own top-level `build` has it, and mlp's
    with pytest.raises(RequestError, match="'mlp' exists already; choose another name"):
        architecture("mlp")(build)
    architecture("mine")(build)
    architecture("mine")(build)  # its module was imported twice


@pytest.mark.parametrize("name", ["", " mlp", "a,b", lambda shape, latent, depth: None])
def test_a_decorator_without_a_name_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=r'@architecture\("mine"\)'):
        architecture(name)
