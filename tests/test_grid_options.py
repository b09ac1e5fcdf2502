"""Options of architectures and optimizers as axes of a grid."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from test_grid_mistakes import mistakes

from aebench import engines
from aebench.errors import RequestError
from aebench.grid import load_grid, size
from aebench.job import Job


def test_options_of_an_architecture_are_axes(toml: Any) -> None:
    grid = toml(
        """
        dataset = "digits"
        latent = 4
        depth = 2
        engine = "eager"
        options = { activation = ["relu", "gelu"] }
        [[product]]
        architecture = "mlp"
        options = { hidden = [[30], "20", 20] }
        [[job]]
        architecture = "conv"
        options.kernel = "2..3"
        [[exclude]]
        architecture = "conv"
        options = { activation = "relu", kernel = 2 }
        [[exclude]]
        options.hidden = [[20]]
        options.activation = "gelu"
        """
    )
    assert sorted((j.architecture, j.options) for j in grid.jobs) == [
        ("conv", ""),  # all at their defaults
        ("conv", "activation=gelu"),
        ("conv", "activation=gelu kernel=2"),
        ("mlp", "activation=gelu hidden=30"),
        ("mlp", "hidden=20"),
        ("mlp", "hidden=30"),
    ]
    usual = Job("conv", "digits", 4, depth=2)
    assert usual.key in {job.key for job in grid.jobs}


def test_options_of_the_command_line_win_one_by_one(toml: Any) -> None:
    text = """
        architecture = "conv"
        dataset = "digits"
        latent = 4
        options = { kernel = [2, 5], activation = "silu" }
        """
    jobs = toml(text, options={"kernel": ["3", "1"]}).jobs
    assert {job.options for job in jobs} == {"activation=silu", "activation=silu kernel=1"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("options = 3", "mine.toml: options is a table of names and values"),
        ("options.kernal = 3", "mine.toml: unknown option of conv 'kernal'; did you mean 'kernel'"),
        ("options.kernel = 0.5", "conv: option kernel takes a whole number, not 0.5"),
        ("options.kernel = []", "mine.toml: options.kernel is an empty list"),
        ("options.kernel = '3..1'", "options.kernel: the range 3..1 is empty"),
        ("options.activation = 'gleu'", "option activation takes one of relu, gelu, silu"),
        ("[[exclude]]\noptions.hidden = 3", "matches no job"),
        ("[[exclude]]\noptions.kernel = 'x'", "[[exclude]]: option kernel takes a whole number"),
    ],
)
def test_mistakes_in_options_are_told_with_their_place(toml: Any, options: str, says: str) -> None:
    text = 'architecture = "conv"\ndataset = "digits"\nlatent = 4\n'
    (told,) = mistakes(toml, text + options)
    assert says in told


def test_a_model_that_its_options_make_impossible_is_one_of_the_impossible() -> None:
    axes = {"architecture": "mlp", "dataset": "digits", "latent": 4, "depth": [1, 2]}
    grid = load_grid(None, axes | {"options": {"activation": ["relu", "gelu"]}})
    assert {(j.depth, j.options) for j in grid.impossible} == {(1, "activation=gelu")}
    assert len(grid.jobs) == 4
    hidden = load_grid(None, axes | {"depth": 2, "options": {"hidden": 20}}).jobs[0]
    assert size(hidden).parameters == 2 * (64 * 20 + 20 * 4) + 2 * 20 + 4 + 64


def test_auto_takes_an_engine_that_has_the_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "trouble", lambda *_: "")
    axes = {"architecture": "mlp", "dataset": "digits", "latent": 4, "engine": "auto"}

    def chosen(device: str, **more: Any) -> str:
        return load_grid(None, axes | {"device": device} | more).jobs[0].engine

    for device, fastest in (("cuda", "graph"), ("cpu", "native")):
        assert chosen(device) == chosen(device, warmup=0.1) == fastest
        for more in ({"optimizer": "sgd"}, {"weight_decay": 0.1}, {"clip_gradient": 1.0}):
            assert chosen(device, **more) == "eager"
    (job,) = load_grid(None, axes | {"device": "cpu", "optimizer": "sgd"}).jobs
    assert job.engine_choice == "auto: native has not its optimizer"


def test_models_with_options_are_chains_of_layers_and_no_longer_what_is_usual(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engines, "trouble", lambda *_: "")
    native = engines.ENGINES["native"]
    linear = dataclasses.replace(native, trains={"linear": 9}, fastest={"linear": 9})
    monkeypatch.setitem(engines.ENGINES, "native", linear)
    axes = {"architecture": "mlp", "dataset": "digits", "latent": 4, "depth": 2, "device": "cpu"}
    with_options = axes | {"options": {"hidden": 20}}
    assert load_grid(None, axes | {"engine": "auto"}).jobs[0].engine == "native"
    assert load_grid(None, with_options | {"engine": "auto"}).jobs[0].engine == "eager"
    with pytest.raises(RequestError, match="not mlp of depth 2 with hidden=20; use another engine"):
        load_grid(None, with_options | {"engine": "native"})
    chain = dataclasses.replace(native, trains={"chain": 9}, fastest={"chain": 9})
    monkeypatch.setitem(engines.ENGINES, "native", chain)
    assert load_grid(None, with_options | {"engine": "auto"}).jobs[0].engine == "native"


def test_a_file_of_settings_may_name_an_optimizer(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        "[mlp]\nepochs = 2\nbatch_size = 64\nlearning_rate = 0.1\nschedule = 'cosine'\n"
        "order = 'fixed'\noptimizer = 'sgd'\nmomentum = 0.9\n"
    )
    axes = {"architecture": "mlp", "dataset": "digits", "latent": 4, "protocol": str(path)}
    (job,) = load_grid(None, axes | {"engine": "auto", "device": "cuda"}).jobs
    assert (job.optimizer, job.momentum, job.engine) == ("sgd", 0.9, "eager")
    assert "optimizer=sgd, momentum=0.9" in job.modified
