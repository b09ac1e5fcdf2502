"""Worked examples: printed by a command, loaded as plugins, trained, and what comes out of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, environment

from aebench import datasets
from aebench.architectures.autoencoder import build
from aebench.cli import complete
from aebench.cli.example import examples, is_notebook
from aebench.errors import RequestError
from aebench.grid import load_grid
from aebench.job import Job
from aebench.plugins import load_plugins
from aebench.records import Circumstances
from aebench.store import read
from aebench.worker import run_job

LONGEST = 60  # lines that a page holds
PLUGINS = {name: text for name, text in examples().items() if text.startswith('"""')}
Trained = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    """The rows of the jobs with some axes, where every example is loaded from a copy."""
    patch, folder = pytest.MonkeyPatch(), tmp_path_factory.mktemp("copies")
    before = set(sys.modules)
    for name, source in PLUGINS.items():
        (folder / f"my_{name}.py").write_text(source, "utf-8")
    load_plugins(sorted(str(file) for file in folder.glob("my_*.py")))
    where = Circumstances(data=folder / "data", threads=1)
    yield lambda **axes: [run_job(job, where).job for job in load_grid(None, axes).jobs]
    patch.undo()
    for name in set(sys.modules) - before:
        if name.startswith("aebench_plugin_"):
            del sys.modules[name]


def code_of_notebook(source: str) -> list[str]:
    """The lines of a notebook's code, in the order of its cells."""
    cells = json.loads(source)["cells"]
    told = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return [line for cell in told for line in cell.splitlines()]


@pytest.fixture
def loaded(trained: Trained) -> None:
    """Every example is loaded."""


def test_examples_are_listed_and_printed(invoke: Any) -> None:
    code, out, err = invoke("example")
    assert (code, err) == (0, "")
    assert tuple(examples()) == complete.EXAMPLES == tuple(complete.example(""))
    listed = out
    for name, source in examples().items():
        assert f" {name} " in out
        assert invoke("example", name) == (0, source, "")
        lines = code_of_notebook(source) if is_notebook(source) else source.splitlines()
        assert len(lines) <= LONGEST
        assert is_notebook(source) or lines[0].strip('#" ') in out
    assert "MLP or convolution? A study of autoencoders, repeated in ten minutes" in listed
    code, out, err = invoke("example", "vea")
    assert (code, out) == (2, "")
    assert "unknown example 'vea'; did you mean 'vae'" in err


@pytest.mark.slow
def test_each_example_can_be_planned_as_it_says(
    invoke: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, source in PLUGINS.items():
        (tmp_path / f"{name}.py").write_text(source, "utf-8")
        said = source.partition("    aebench run ")[2].partition("\n\n")[0].replace("\\\n", " ")
        code, out, err = invoke("run", *said.split(), "--device", "cpu", "--plan")
        assert (code, err) == (0, ""), name
        assert "to do: " in out


@pytest.mark.slow
def test_a_copied_example_runs_in_a_worker_of_its_own(tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = subprocess.run(
            [*COMMAND, *words], cwd=tmp_path, env=environment(), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    (tmp_path / "mine.py").write_text(run("example", "sparse"), "utf-8")
    run(
        *("run", "--plugin", "mine.py", "--architecture", "sparse", "--dataset", "digits"),
        *("--latent", "4", "--epochs", "1", "--option", "penalty=0.5", "--results", "out"),
        *("--optimizer", "sgd", "--momentum", "0.9", "--device", "cpu"),
    )
    (row,) = read(tmp_path / "out").jobs.to_dict("records")
    assert (row["status"], row["options"]) == ("ok", "penalty=0.5")
    assert (row["optimizer"], row["momentum"], row["engine"]) == ("sgd", 0.9, "eager")
    assert row["train_loss"] > row["mse"] > 0  # with half of the code's mean value in it


# Measured over three seeds: 0.0296 to 0.0310, with PCA at 0.0249 and the mean image at 0.0736.
@pytest.mark.slow
def test_a_variational_autoencoder_trains_by_its_own_loss(trained: Trained) -> None:
    axes = {"architecture": "vae", "dataset": "digits", "latent": 8, "epochs": 20}
    axes |= {"learning_rate": 3e-3, "batch_size": 64, "order": "shuffled"}
    (row,) = trained(**axes)
    assert row["status"] == "ok", row["reason"]
    assert row["mse"] < 0.035
    assert row["train_mse"] is None
    assert 20 < row["train_loss"] < 30  # nats per image: no mean squared error
    assert row["bottleneck"] == 8
    again, narrow = trained(**axes | {"epochs": 2, "options": {"width": [400, 3]}})
    assert {row["options"] for row in (again, narrow)} == {"", "width=3"}
    assert again["parameters"] != narrow["parameters"]


def test_a_variational_autoencoder_draws_its_noise_in_training_alone(loaded: None) -> None:
    import torch

    model = build(Job("vae", "digits", 4, depth=2), (1, 8, 8)).model
    images = torch.rand(3, 1, 8, 8)
    assert not torch.equal(model.train()(images)[0], model(images)[0])
    assert torch.equal(model.eval()(images)[0], model(images)[0])


@pytest.mark.slow
def test_a_sparse_code_costs_reconstruction(trained: Trained) -> None:
    rows = trained(
        architecture="sparse", dataset="digits", latent=16, epochs=20, learning_rate=1e-2,
        optimizer="adamw", weight_decay=0.01, options={"penalty": [0.0, 1.0]},
    )  # fmt: skip
    free, paid = sorted(rows, key=lambda row: row["options"])
    assert (free["options"], paid["options"]) == ("penalty=0.0", "penalty=1.0")
    assert free["mse"] < 0.035 < 0.07 < paid["mse"]  # measured: 0.026 and 0.089
    assert free["modified"].endswith("optimizer=adamw, weight_decay=0.01")
    with pytest.raises(RequestError, match="takes one of relu, gelu, sigmoid, not tanh"):
        load_grid(None, {"architecture": "sparse", "dataset": "digits", "latent": 1,
                         "options": {"activation": "tanh"}})  # fmt: skip


@pytest.mark.slow
def test_modules_of_another_library_train(trained: Trained) -> None:
    (row,) = trained(
        architecture="resnet", dataset="digits", latent=16, depth=2, epochs=3, learning_rate=3e-3,
        warmup=0.1, schedule="cosine", clip_gradient=1.0,
    )  # fmt: skip
    assert row["status"] == "ok", row["reason"]
    assert row["train_mse"] < 0.06  # measured: 0.047, of the last epoch
    assert row["bottleneck"] == 16
    for shape in ((3, 9, 7), (1, 28, 28)):
        build(Job("resnet", "digits", 4, depth=2), shape)  # whose output must be of that shape
    (row,) = trained(architecture="resnet", dataset="digits", latent=16, depth=4, epochs=1)
    assert "would leave nothing of 8 x 8" in row["reason"]


@pytest.mark.slow
def test_data_of_ones_own_are_trained_on(trained: Trained) -> None:
    (row,) = trained(architecture="mlp", dataset="patches", latent=16, epochs=5, learning_rate=3e-3)
    assert row["status"] == "ok", row["reason"]
    assert row["mse"] < 0.12 < row["mean_mse"]  # measured: 0.098 and 0.162
    data = datasets.load("patches")
    assert data.train.shape[1:] == data.test.shape[1:] == (3, 16, 16)
    assert row["pixels"]


# As a kernel would, but in a plain process: nothing of Jupyter's has to be installed.
RUN_CELLS = """
import json, sys
import __main__
import matplotlib
matplotlib.use("agg")
del __main__.__file__  # which a notebook has not
for number, cell in enumerate(json.load(sys.stdin)["cells"]):
    if cell["cell_type"] == "code":
        source = "".join(cell["source"]).replace('"mnist", 15', '"digits", 2')
        exec(compile(source, f"cell {number}", "exec"), vars(__main__))
jobs = aebench.read("results/lab").jobs
reasons = jobs.loc[jobs["status"] != "ok", "reason"].tolist()
print(json.dumps([jobs["architecture"].tolist(), reasons, curves["model"].nunique()]))
"""


@pytest.mark.slow
def test_the_notebook_of_a_lab_runs_from_its_first_cell_to_its_last(tmp_path: Path) -> None:
    (tmp_path / "cells.py").write_text(RUN_CELLS)
    done = subprocess.run(
        [sys.executable, "cells.py"], cwd=tmp_path, env=environment(), capture_output=True,
        text=True, input=examples()["lab"], timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    models, reasons, curves = json.loads(done.stdout)
    assert sorted(models) == ["conv", "conv", "mine", "mlp", "mlp", "mlp", "mlp"]
    assert reasons == []
    assert curves == 5
    assert "mine-16" in (tmp_path / "lab.html").read_text("utf-8")
    assert "[5/5]" in done.stderr  # where no notebook shows bars, lines tell of progress
