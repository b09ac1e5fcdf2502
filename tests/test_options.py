"""Options of architectures: read off signatures, checked, and written in one way only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import pytest
import torch

from aebench import architectures
from aebench.architectures import Shape, Size, options
from aebench.architectures.autoencoder import build, measure
from aebench.errors import RequestError
from aebench.job import Job

Colour = Literal["red", "dark-green"]
GREY = (1, 8, 8)


def builder(
    shape: Shape,
    latent: int,
    depth: int = 1,
    width: int = 32,
    *,
    rate: float = 0.5,
    deep: bool = False,
    colour: Colour = "red",
    title: str = "plain",
    steps: tuple[int, ...] = (),
    most: int | None = None,
    untold=3,  # type: ignore[no-untyped-def]  # as many people write
    hook: Callable[[], None] = print,
    lost: Nowhere = 1,  # type: ignore[name-defined]  # noqa: F821
    **rest: Any,
) -> None: ...


KNOWN = options.of(builder)


def test_arguments_with_a_default_after_the_third_are_options() -> None:
    assert list(KNOWN) == [*("width", "rate", "deep", "colour", "title", "steps", "most", "untold")]
    assert KNOWN["colour"].choices == ("red", "dark-green")
    assert options.of(partial(builder, width=8))["width"].default == 8
    assert options.of(len) == {}  # what has no signature of ours has no options


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"width": "16"}, "width=16"),
        ({"width": 32}, ""),
        ({"width": "32", "rate": 1}, "rate=1.0"),
        ({"rate": "1e-5"}, "rate=1e-05"),
        ({"deep": True, "colour": "dark-green"}, "colour=dark-green deep=true"),
        ({"deep": "false"}, ""),
        ({"steps": [400, 100]}, "steps=400-100"),
        ({"steps": "400"}, "steps=400"),
        ({"steps": 400}, "steps=400"),
        ({"steps": "none"}, ""),
        ({"most": "none"}, ""),
        ({"most": "-3"}, "most=-3"),
        ({"untold": 4, "title": "élan"}, "title=élan untold=4"),
        ("untold=4  width=7", "untold=4 width=7"),
        ("", ""),
    ],
)
def test_one_text_for_all_ways_to_give_a_value(given: object, says: str) -> None:
    found = options.canonical("mine", KNOWN, given)
    assert found == says
    assert options.canonical("mine", KNOWN, found) == says
    assert options.canonical("mine", None, found) == says  # unknown here, known where it runs


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"widht": 3}, "unknown option of mine 'widht'; did you mean 'width'"),
        ({"hook": 3}, "unknown option of mine 'hook'"),
        ({"width": "many"}, "mine: option width takes a whole number, not many"),
        ({"width": 1.5}, "width takes a whole number, not 1.5"),
        ({"width": True}, "width takes a whole number, not True"),
        ({"width": 2**63}, "width takes a whole number, not 9"),
        ({"width": "9" * 5000}, r"width takes a whole number, not 9+\.\.\."),
        ({"width": [16, 32]}, r"width takes a whole number, not \[16, 32\]"),
        ({"rate": "nan"}, "rate takes a number, not nan"),
        ({"rate": 10**400}, "rate takes a number, not 1"),
        ({"deep": 1}, "deep takes true or false, not 1"),
        ({"deep": "yes"}, "deep takes true or false, not yes"),
        ({"colour": "green"}, "colour takes one of red, dark-green, not green"),
        ({"title": "a b"}, "title takes a text without spaces, commas and =, not a b"),
        ({"title": "\x1b[1m"}, r"title takes a text .* not \\x1b"),
        ({"title": ""}, "title takes a text"),
        ({"steps": "400-many"}, "steps takes whole numbers joined by -, as in 400-100, not"),
        ({"most": "no"}, "most takes a whole number, or none, not no"),
        ("width", "written name=value"),
        ("width=1 width=2", "written name=value, each once"),
        (7, "options are a text"),
        ("a=b=c", "unknown option of mine 'a'"),
    ],
)
def test_what_an_option_does_not_take_is_said(given: object, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        options.canonical("mine", KNOWN, given)


@pytest.mark.parametrize("given", [{"a": "b c"}, {"a b": 1}, {"": 1}, {"a": ""}, "a"])
def test_of_a_family_not_known_here_only_what_can_be_read_again_is_taken(given: object) -> None:
    with pytest.raises(RequestError):
        options.canonical("elsewhere", None, given)


def test_a_family_without_options_says_how_it_gets_them() -> None:
    architectures.architecture("bare")(lambda shape, latent, depth: None)
    with pytest.raises(RequestError, match="'bare' has no options, and width is given"):
        Job("bare", "digits", 4, options="width=3")


def test_a_builder_gets_what_is_not_its_default() -> None:
    seen = []

    def sized(shape: Shape, latent: int, depth: int, width: int = 2) -> Size:
        return Size(width, latent, 1)

    @architectures.architecture("mine", size=sized)
    def mine(
        shape: Shape, latent: int, depth: int, *, width: int = 2, odd: bool = False
    ) -> torch.nn.Module:
        seen.append((width, odd))
        return architectures.get("mlp").build(shape, latent, depth)

    for given in ("", "width=3", "odd=true width=2"):
        build(Job("mine", "digits", 4, options=given), GREY)
    assert seen == [(2, False), (3, False), (2, True)]
    family = architectures.get("mine")
    assert family.sized(GREY, 4, 1, "width=3") == Size(3, 4, 1)
    assert family.sized(GREY, 4, 1, "odd=true") is None  # of which `sized` says nothing


OURS = [
    *(("mlp", 3, f"{o} activation={a}") for o, a in (
        ("hidden=20", "gelu"), ("hidden=20-10", "tanh"), ("", "leaky-relu"), ("hidden=70", "silu"),
    )),
    ("conv", 1, "kernel=5 activation=tanh"),
    ("conv", 2, "channels=7 kernel=2 activation=silu"),
    ("conv", 3, "kernel=1"),
    ("conv-relu", 2, "channels=5 activation=sigmoid"),
    ("conv-bottleneck", 1, "norm=batch"),
    ("conv-bottleneck", 2, "norm=layer channels=6 activation=gelu"),
    ("conv-bottleneck", 3, "channels=3 activation=leaky-relu"),
    ("mlp-shared", 2, "hidden=9 activation=gelu"),
    ("mlp-separate", 2, "hidden=9 activation=gelu"),
]  # fmt: skip


@pytest.mark.parametrize(("family", "depth", "given"), OURS)
def test_sizes_of_ours_are_those_measured(family: str, depth: int, given: str) -> None:
    shape = (3, 12, 9)
    asked = Job(family, "cifar10", 4, depth=depth, options=given)
    model, measured = build(asked, shape)
    known = architectures.get(family)
    assert known.sized(shape, 4, depth, asked.options) == measured == measure(model, shape)
    usual = build(Job(family, "cifar10", 4, depth=depth), shape).model
    assert str(usual) != str(model)  # the option does something


def test_activations_stand_between_layers_and_not_at_the_ends() -> None:
    kinds = {
        "relu": torch.nn.ReLU, "gelu": torch.nn.GELU, "silu": torch.nn.SiLU,
        "leaky-relu": torch.nn.LeakyReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid,
    }  # fmt: skip
    for name, kind in kinds.items():
        given = "" if name == "relu" else f"activation={name}"
        found = []
        for family in ("mlp", "conv", "conv-relu", "conv-bottleneck"):
            model = build(Job(family, "digits", 4, depth=2, options=given), GREY).model
            assert type(model.decoder[-1 if "mlp" not in family else -2]) is torch.nn.Sigmoid
            found.append(sum(type(m) is kind for m in model.modules()))
        # At both ends sigmoid stays; conv keeps it inside its decoder as well.
        ends = [2, 2, 1, 1] if name == "sigmoid" else [0] * 4
        assert found == [2 + ends[0], 2 + ends[1], 3 + ends[2], 4 + ends[3]]


def test_norms_stand_before_activations() -> None:
    for name, kind in (("batch", torch.nn.BatchNorm2d), ("layer", torch.nn.LayerNorm)):
        job = Job("conv-bottleneck", "digits", 4, depth=2, options=f"norm={name}")
        for part in build(job, GREY).model.children():
            modules = list(part)
            assert sum(type(m) is kind for m in modules) == 2
            after = [modules[i + 1] for i, m in enumerate(modules) if type(m) is kind]
            assert all(type(m) is torch.nn.ReLU for m in after)
        assert type(modules[-2]) is torch.nn.ConvTranspose2d


@pytest.mark.parametrize(
    ("family", "depth", "given", "says"),
    [
        ("mlp", 1, "hidden=9", "an mlp of depth 1 has none: give a greater depth"),
        ("mlp", 1, "activation=gelu", "an mlp of depth 1 has none"),
        ("mlp", 4, "hidden=9-8", "hidden gives the widths 9, 8, and an mlp of depth 4 takes 3"),
        ("mlp", 2, "hidden=0", "of at least 1"),
        ("conv", 1, "channels=9", "conv of depth 1 has none"),
        ("conv", 2, "channels=0", "channels must be at least 1, not 0"),
        ("conv", 1, "kernel=0", "kernel must be at least 1, not 0"),
        ("conv", 2, "kernel=5", "takes 8 pixels off .* the greatest depth here is 1"),
        ("conv-bottleneck", 1, "channels=-1", "channels must be at least 1, not -1"),
    ],
)
def test_no_model_where_an_option_makes_no_sense(
    family: str, depth: int, given: str, says: str
) -> None:
    with pytest.raises(RequestError, match=says):
        architectures.get(family).sized(GREY, 4, depth, given)
