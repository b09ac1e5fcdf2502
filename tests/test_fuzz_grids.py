"""Whatever a grid file holds, it is a grid or it is refused in words, on the line that is wrong."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
import tomli_w
from fuzzing import World, fuzzed, world
from hypothesis import example, given
from hypothesis import strategies as st

from aebench.errors import RequestError
from aebench.grid import PRESETS as GRIDS
from aebench.grid import Grid, load_grid
from aebench.job import FIELDS
from aebench.tune import reading

PRESETS = [
    path.read_text("utf-8")
    for path in sorted((resources.files("aebench") / "grids").iterdir(), key=lambda p: p.name)
    if path.stem in GRIDS
]
SPACE = """\
keep = 2
[[search]]
dataset = "digits"
architecture = "mlp"
latent = [2, 4]
epochs = [1, 3]
candidates = 4
learning_rate = { from = 1e-4, to = 1e-2 }
optimizer = ["adam", "adamw"]
options = { norm = ["none", "batch"] }
model = [{ depth = 2, options = "hidden=9" }, { depth = 3 }]
"""
GRID = """\
architecture = ["mlp", "conv"]
dataset = "digits"
latent = "1..3"
seeds = 2
epochs = 1

[[product]]
architecture = "mlp"
depth = [1, 2]

[[job]]
architecture = "conv"
latent = 2

[[exclude]]
depth = 2
latent = 3
"""
WORDS = [
    *FIELDS, "seeds", "repeats", "product", "job", "exclude", "results", "grid", "engine_choice",
    "mlp", "conv", "digits", "tuned", "auto", "0..4", "0..99999999999", "-1", "", " ", "\x1b[31m",
    "nan", "2024",
]  # fmt: skip
TOO_LARGE = [2**31, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63), -(10**30)]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch, world(tmp_path_factory.mktemp("g"), patch) as made:
        made.renewed()
        yield made


def read(here: World, content: str | bytes) -> Grid | None:
    """The grid that a file with this content is, or None where it is refused in words."""
    path = here.here / "mine.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    try:
        grid = load_grid(str(path))
    except RequestError:
        return None
    check(grid)
    return grid


def read_space(here: World, text: str) -> reading.Space | None:
    """The space that a file with this content is, or None where it is refused in words."""
    (here.here / "space.toml").write_bytes(text.encode("utf-8", "replace"))
    try:
        return reading.load(str(here.here / "space.toml"))
    except RequestError:
        return None


def check(grid: Grid) -> None:
    """Hold what every grid promises: jobs that differ, with keys, that records can keep."""
    assert len({job.key for job in grid.jobs}) == len(grid.jobs)
    assert set(grid.impossible) <= set(grid.jobs)
    for job in grid.jobs[:50]:
        for name in FIELDS:
            value = getattr(job, name)
            if isinstance(value, int):
                assert -(2**63) <= value < 2**63, f"{name} = {value} fits no column"
            if isinstance(value, float):
                assert math.isfinite(value), f"{name} = {value}"


@fuzzed(60)
@given(
    st.sampled_from([GRID, SPACE, *PRESETS]),
    st.lists(
        st.tuples(
            st.floats(0, 1),
            st.integers(0, 12),
            st.sampled_from(
                [*WORDS, *map(str, TOO_LARGE), "\n", "[", "]", "[[", '"', "=", ",", "."]
            )
            | st.text(max_size=3),
        ),
        min_size=1,
        max_size=3,
    ),
)
def test_a_file_with_a_slip_is_a_grid_or_refused(
    here: World, text: str, slips: list[tuple[float, int, str]]
) -> None:
    """Some letters taken out of a right file, and others put in."""
    for place, count, letters in slips:
        at = round(place * len(text))
        text = text[:at] + letters + text[at + count :]
    read(here, text)
    read_space(here, text)


scalars = (
    st.sampled_from(WORDS)
    | st.sampled_from(TOO_LARGE)
    | st.integers(-3, 40)
    | st.floats()
    | st.booleans()
    | st.text(max_size=4)
)


@st.composite
def tables(draw: Any, deep: bool = True) -> dict[str, Any]:
    """A table with keys of a grid and others, whose values may be of any kind."""
    any_value = scalars | st.lists(scalars, max_size=3)
    if deep:
        any_value |= tables(deep=False) | st.lists(tables(deep=False), max_size=2)
    keys = st.sampled_from([*FIELDS, "seeds", "repeats", "product", "job", "exclude"])
    table = draw(st.dictionaries(keys | st.text(max_size=4), any_value, max_size=4))
    if draw(st.booleans()):
        table = {"architecture": "mlp", "dataset": "digits", "latent": 2, "epochs": 1} | table
    return table


def toml(value: Any) -> str:
    """A value as TOML writes it, inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return quoted(value) if isinstance(value, str) else str(value)


def quoted(text: str) -> str:
    letters = (
        c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}"
        for c in text.encode("utf-8", "replace").decode()
    )
    return f'"{"".join(letters)}"'


@fuzzed(80)
@given(tables())
def test_a_file_of_any_values_is_a_grid_or_refused(here: World, table: dict[str, Any]) -> None:
    text = "\n".join(f"{quoted(key)} = {toml(value)}" for key, value in table.items())
    tomllib.loads(text)  # so that it is the grid's reader that is tried
    read(here, text)


@fuzzed(60)
@given(st.sampled_from([*FIELDS, "seeds", "repeats"]), scalars | st.lists(scalars, max_size=2))
@example("seed", 2**63)
@example("latent", 2**63)
@example("batch_size", 10**20)
@example("epochs", 10**30)
@example("repeat", 2**64)
def test_one_odd_value_in_a_right_file_is_a_grid_or_refused(
    here: World, key: str, value: Any
) -> None:
    right = {"architecture": "mlp", "dataset": "digits", "latent": 2, "epochs": 1}
    read(here, "\n".join(f"{key} = {toml(v)}" for key, v in {**right, key: value}.items()))


@fuzzed(20)
@given(st.binary(max_size=60))
def test_a_file_of_any_bytes_is_refused(here: World, content: bytes) -> None:
    read(here, content)


@pytest.mark.parametrize("text", [GRID, *PRESETS])
def test_what_is_mutated_is_a_grid(here: World, text: str) -> None:
    found = read(here, text)
    assert found is not None
    assert found.jobs


@fuzzed(60)
@given(
    st.sampled_from(["learning_rate", "depth", "model", "options", "epochs", "latent", "seed"]),
    scalars
    | st.lists(scalars, max_size=3)
    | st.dictionaries(st.sampled_from(["from", "to", "depth", "hidden"]), scalars, max_size=2),
    st.booleans(),
)
def test_a_space_with_any_value_is_one_or_refused(
    here: World, key: str, value: Any, in_list: bool
) -> None:
    right = tomllib.loads(SPACE)["search"][0]
    table = right | {key: [value] if in_list else value}
    read_space(here, tomli_w.dumps({"search": [table]}))


def test_what_is_mutated_is_a_space(here: World) -> None:
    found = read_space(here, SPACE)
    assert found is not None
    assert len(found.searches) == 1
