"""`--only`: the jobs of a grid that have given values, and what is said where none has."""

from collections.abc import Callable
from typing import Any

import pytest

from aebench.cli import axes, complete
from aebench.errors import RequestError
from aebench.grid import Grid, load_grid
from aebench.selection import only

GRID = """
    dataset = "digits"
    seeds = 2
    [[product]]
    architecture = ["mlp", "conv"]
    latent = [2, 4]
    depth = "1..2"
    [[product]]
    architecture = "conv"
    latent = 8
    options = { kernel = [3, 5] }
    [[job]]  # which no 8 x 8 pixels allow
    architecture = "conv"
    latent = 2
    depth = 9
"""


@pytest.fixture
def grid(toml: Callable[..., Grid]) -> Grid:
    return toml(GRID)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (["depth=2", "latent=4"], {("mlp", 4, 2), ("conv", 4, 2)}),
        (["latent=4..8", "architecture=conv"], {("conv", 4, 1), ("conv", 4, 2), ("conv", 8, 1)}),
        (["depth=1", "architecture=mlp,conv", "latent=2"], {("mlp", 2, 1), ("conv", 2, 1)}),
        (["batch-size=128", "depth=9"], {("conv", 2, 9)}),
        (["kernel=5"], {("conv", 8, 1)}),  # an option of a model, which the MLPs do not have
    ],
)
def test_only_jobs_that_have_a_value_of_every_axis(
    grid: Grid, asked: list[str], kept: set[tuple[str, int, int]]
) -> None:
    some = grid.of(only(grid.jobs, axes.only(asked), grid.name))
    assert {(job.architecture, job.latent, job.depth) for job in some.jobs} == kept
    assert list(some.jobs) == [job for job in grid.jobs if job in set(some.jobs)]
    assert {job.seed for job in some.jobs} == {0, 1}
    assert "kernel=5" not in asked or {job.options for job in some.jobs} == {"kernel=5"}


def test_a_default_counts_as_a_value_and_seeds_are_how_many(grid: Grid) -> None:
    plain = only(grid.jobs, axes.only(["kernel=3", "latent=8", "seeds=1"]), "mine")
    assert [(job.options, job.seed) for job in plain] == [("", 0)]
    assert [job.seed for job in only(grid.jobs, axes.only(["seed=1"]), "mine")] == [1] * 11


def test_reasons_of_impossible_jobs_stay_with_them(grid: Grid) -> None:
    assert grid.impossible
    deep = grid.of(only(grid.jobs, {"depth": [9]}, "mine"))
    assert set(deep.impossible) == set(deep.jobs) <= set(grid.impossible)
    assert not grid.of(only(grid.jobs, {"depth": [1]}, "mine")).impossible


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["latent=7"], "no job of mine has latent 7; there latent is 2, 4 or 8"),
        (["latent=8", "depth=2"], "no job of mine has latent 8 and depth 2$"),
        (["latent=7,9", "depth=2"], "has latent 7 or 9; there latent is 2, 4 or 8$"),
        (["dataset=mnist"], "has dataset mnist; there dataset is digits$"),
        (["kernel=7"], "no job of mine has kernel 7$"),
        (["dept=2"], "--only: unknown option 'dept'; did you mean 'depth'"),
        (["latent=0"], "latent"),
        (["latent=two"], "latent takes whole numbers or a range"),
        (["architecture=cnn"], "unknown architecture 'cnn'"),
        (["options=kernel=3"], "takes an option by its own name, as in --only kernel=3"),
        (["model=tuned"], "a job has depth and options, not a model"),
        (["seeds=1,2"], "seeds is how many"),
        (["workers=2"], "workers says how to run a grid"),
        (["depth"], "--only takes a name and its values"),
        (["depth="], "--only takes a name and its values"),
        (["depth=1", "depth=2"], "--only depth is given twice"),
        (["depth=1,,2"], "an item of the list is empty"),
    ],
)
def test_what_no_job_has_is_named(grid: Grid, asked: list[str], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        only(grid.jobs, axes.only(asked), "mine")


def test_the_command_runs_only_these(invoke: Callable[..., Any]) -> None:
    asked = "--grid", "study", "--device", "cpu", "--plan", "--only", "depth=2"
    code, out, _ = invoke("run", *asked, "--only", "latent=64")
    assert (code, "study: 25 jobs" in out) == (0, True)
    assert len([line for line in out.splitlines() if "depth 2" in line]) == 2
    code, out, said = invoke("run", *asked, "--only", "latent=512")
    assert (code, out) == (2, "")
    assert said == "aebench: --only: no job of study has depth 2 and latent 512\n"
    # A part is one of what is left.
    jobs = load_grid("study", {"device": "cpu"}).jobs
    left = [job for job in jobs if job.depth == 2 and job.latent == 64]
    second = [job for job in left if int(job.common_key, 16) % 2 == 1]
    assert 0 < len(second) < 25
    code, out, _ = invoke("run", *asked, "--only", "latent=64", "--shard", "2/2")
    assert f"study: {len(second)} job" in out


def test_axes_and_their_names_are_offered() -> None:
    assert complete.only("dep") == ["depth="]
    assert "kernel=" in complete.only("k")
    assert complete.only("architecture=mlp,conv-r") == ["architecture=mlp,conv-relu"]
    assert complete.only("engine=nat") == ["engine=native"]
    assert complete.only("norm=batch,l") == ["norm=batch,layer"]
