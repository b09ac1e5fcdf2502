"""Options of architectures: read off signatures, checked, and written in one way only."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import pytest
import torch

from aebench import architectures
from aebench.architectures import Shape, Size, options
from aebench.architectures.autoencoder import Residual, build, measure
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
    ("conv-bottleneck", 2, "blocks=1 channels=5"),
    ("conv-bottleneck", 2, "blocks=2 channels=4 norm=batch"),
    ("conv-bottleneck", 1, "blocks=1 channels=4 norm=layer"),
    ("mlp", 1, "code=linear"),
    ("mlp", 3, "norm=batch code=linear"),
    ("mlp", 2, "norm=layer hidden=9"),
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


def test_norms_of_an_mlp_stand_between_its_layers_and_batch_norm_takes_the_bias() -> None:
    for name, kind in (("batch", torch.nn.BatchNorm1d), ("layer", torch.nn.LayerNorm)):
        for part in build(
            Job("mlp", "digits", 4, depth=3, options=f"norm={name}"), GREY
        ).model.children():
            modules = [m for m in part if type(m) not in (torch.nn.Flatten, torch.nn.Unflatten)]
            assert [type(m) for m in modules] == [
                *(torch.nn.Linear, kind, torch.nn.ReLU) * 2, torch.nn.Linear, torch.nn.Sigmoid
            ]  # fmt: skip
            biased = [m.bias is not None for m in modules if type(m) is torch.nn.Linear]
            assert biased == [name == "layer"] * 2 + [True]


def test_a_linear_code_may_be_any_numbers_and_the_output_stays_in_range() -> None:
    model = build(Job("mlp", "digits", 9, options="code=linear"), GREY).model
    code = model.encoder(torch.rand(50, *GREY))
    assert (code < 0).any()
    output = model.decoder(100 * code)
    assert 0 <= output.min() < 0.01 < 0.99 < output.max() <= 1


def test_residual_blocks_add_what_they_make_to_what_comes_in() -> None:
    job = Job("conv-bottleneck", "digits", 4, depth=2, options="blocks=2 channels=3")
    model = build(job, GREY).model
    for part, channels in ((model.encoder, [3, 3, 6, 6]), (model.decoder, [6, 6, 3, 3])):
        blocks = [m for m in part if isinstance(m, Residual)]
        assert [b.body[0].in_channels for b in blocks] == channels
        modules = list(part)
        after = [modules[i + 1] for i, m in enumerate(modules) if isinstance(m, Residual)]
        assert all(type(m) is torch.nn.ReLU for m in after)
    images = torch.randn(2, 3, 4, 4)
    assert torch.equal(blocks[-1](images), images + blocks[-1].body(images))
    with torch.no_grad():
        for block in [m for m in model.modules() if isinstance(m, Residual)]:
            for layer in (block.body[0], block.body[2]):
                assert layer.kernel_size == (3, 3)
                layer.weight.zero_(), layer.bias.zero_()
    without = build(Job("conv-bottleneck", "digits", 4, depth=2, options="channels=3"), GREY).model
    rest = [m for m in model.modules() if "weight" in dict(m.named_parameters(recurse=False))]
    weights = [p for m in rest for p in m.parameters() if p.any()]
    for mine, theirs in zip(weights, [p for p in without.parameters() if p.any()], strict=True):
        theirs.data.copy_(mine)
    digits = torch.rand(3, *GREY)  # blocks that make nothing pass on what comes in
    torch.testing.assert_close(model(digits), without(digits))


@pytest.mark.parametrize(
    ("family", "depth", "given", "says"),
    [
        ("mlp", 1, "norm=batch", "norm is of the layers between .* give a greater depth"),
        ("conv-bottleneck", 1, "blocks=-1", "blocks must be at least 0, not -1"),
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
