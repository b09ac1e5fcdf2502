"""Code of a script or a notebook, carried to a worker: what is sent, and what is refused."""

from __future__ import annotations

import linecache
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import aebench
from aebench import architectures, datasets
from aebench.datasets import catalogue
from aebench.errors import RequestError
from aebench.executors import carried
from aebench.job import Job

CELL = """
import numpy as np
from typing import Literal
HIDDEN = {hidden}
@aebench.architecture("typed")
def build(shape, latent, depth, *, kind: Literal["a", "b"] = "a"):
    return HIDDEN, helper(latent), kind
def helper(n):
    return n * 10
def load():
    return pixels({train}), pixels(50)
def pixels(n):
    return np.full((n, 1, 4, 4), SHADE, np.uint8)
SHADE = {shade}
INFO = datasets.DatasetInfo("shades", "one grey", 1, 4, 4, {train}, 50, 20, "here")
datasets.register(INFO, load)
"""
VALUES = {"hidden": 4, "shade": 7, "train": 150}
Cell = Callable[..., dict[str, Any]]


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    """Run `CELL` as a notebook does: in a namespace called `__main__` that no file is of."""
    monkeypatch.delattr("__main__.__file__", raising=False)
    space: dict[str, Any] = {"aebench": aebench, "datasets": datasets, "__name__": "__main__"}

    def run(**changes: int) -> dict[str, Any]:
        source, name = CELL.format(**VALUES | changes), f"cell {sorted(changes.items())}"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        exec(compile(source, name, "exec"), space)
        return space

    run()
    return run


def job(architecture: str = "typed", dataset: str = "shades") -> Job:
    return Job.create(architecture=architecture, dataset=dataset, latent=3, epochs=1)


def test_a_worker_gets_the_very_functions_and_what_they_name(cell: Cell) -> None:
    one, space = job(), cell()
    sent = carried.packed(one)
    space["HIDDEN"] = 99  # what comes after has no part in it
    del architectures.registry._registry["typed"]
    catalogue._INFOS.pop("shades")
    catalogue._LOADERS.pop("shades")
    linecache.clearcache()  # which is the notebook's alone: no worker can read a cell
    carried.unpack(sent)
    family = architectures.get("typed")
    assert family.build((1, 4, 4), 3, 1) == (4, 30, "a")
    assert list(family.options) == ["kind"]
    architectures.check_code(one)
    loaded = datasets.load("shades")
    assert loaded.train.shape == (150, 1, 4, 4)
    assert loaded.train.max() == 7
    datasets.check_pixels(one, loaded.sha256)


def test_what_a_worker_can_import_is_not_sent(cell: Cell) -> None:
    assert carried.packed(job("mlp", "digits")) == ""
    assert carried.packed(job("mlp")) != "" != carried.packed(job("typed", "digits"))


@pytest.mark.parametrize("change", ["hidden", "shade", "train"])
def test_an_edited_cell_makes_other_jobs_and_refuses_old_ones(cell: Cell, change: str) -> None:
    before = job()
    cell(**{change: 149})
    assert job().key != before.key
    assert (job().code != before.code) == (change == "hidden")
    assert (job().pixels != before.pixels) == (change != "hidden")
    with pytest.raises(RequestError, match="changed"):
        carried.packed(before)
    cell()
    assert job().key == before.key


def test_a_value_changed_in_place_makes_other_jobs(cell: Cell) -> None:
    space, before = cell(), job()
    for name, value in (("SHADE", 8), ("HIDDEN", np.arange(3)), ("HIDDEN", np.arange(3) + 1)):
        space[name] = value
        assert job().key != before.key
        before = job()


def test_a_sentence_says_what_cannot_be_sent(cell: Cell) -> None:
    cell()["HIDDEN"] = threading.Lock()
    with pytest.raises(
        RequestError, match=r"typed-3 .*: .* given \(TypeError: .*lock.*\); make it"
    ):
        carried.packed(job())


def test_arguments_of_a_script_are_no_other_code_but_values_are(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "script.py").write_text(CELL)
    monkeypatch.setattr("__main__.__file__", str(tmp_path / "script.py"), raising=False)
    space, codes = cell(), []
    for words, hidden in (([], 4), ([], 5), (["-v"], 4), (["-w"], 4), (["-v"], 5)):
        monkeypatch.setattr("sys.argv", ["script.py", *words])
        space["HIDDEN"] = hidden
        codes.append(job().code)
    assert codes[0] == codes[1]  # of the file alone, as when it is named as a plugin
    assert codes[2] == codes[3] != codes[0]
    assert codes[4] not in codes[:4]


def test_a_script_counts_as_it_was_run_and_not_as_edited_meanwhile(
    cell: Cell, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    script = tmp_path / "script.py"
    monkeypatch.setattr("__main__.__file__", str(script), raising=False)
    monkeypatch.setattr("sys.argv", ["script.py"])
    script.write_text(CELL)
    cell()
    before = job().code
    script.write_text(CELL + "# edited")
    assert job().code == before
    carried.packed(job())
    monkeypatch.setattr("__main__.__file__", str(tmp_path / "other.py"))
    (tmp_path / "other.py").write_text(CELL + "# edited")
    assert job().code != before


def test_weights_that_a_model_starts_from_are_part_of_its_code(cell: Cell) -> None:
    space, layer = cell(), nn.Linear(2, 1)
    space["HIDDEN"] = layer
    before = job().code
    assert job().code == before
    with torch.no_grad():
        layer.weight += 1
    assert job().code != before
    before = job().code
    layer.to(torch.bfloat16)
    assert job().code != before


def test_another_data_set_of_the_same_name_is_refused_still(cell: Cell) -> None:
    info = replace(catalogue.info("shades"), validation_images=19)
    with pytest.raises(RequestError, match="already registered"):
        catalogue.register(info, lambda: None)  # written here, not in the cell
