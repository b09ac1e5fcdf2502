"""Files of spaces: what they mean, and every mistake in one sentence; points, and their jobs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aebench import load_grid
from aebench.errors import RequestError
from aebench.grid import SEARCHES
from aebench.tune import reading, sampling
from aebench.tune.space import Choices, Point, Range, Search

BASE = """
[[search]]
dataset = "digits"
architecture = "mlp"
latent = [4, 8]
epochs = [1, 2, 4]
"""
RATE = "learning_rate = { from = 1e-4, to = 1e-2 }\n"
HOW = {"engine": "eager", "precision": "fp32", "device": "cpu"}


@pytest.fixture
def space(tmp_path: Path) -> Callable[[str], reading.Space]:
    def read(text: str) -> reading.Space:
        (tmp_path / "mine.toml").write_text(text)
        return reading.load(str(tmp_path / "mine.toml"))

    return read


def test_a_search_is_read_with_what_stands_above(space: Any) -> None:
    found = space('title = "t"\nkeep = 4\nseed = 3\n' + BASE + RATE)
    assert (found.name, found.title) == ("mine", "t")
    (search,) = found.searches
    assert search == Search(
        "digits", "mlp", (4, 8), (1, 2, 4), 4, 18, {"learning_rate": Range(1e-4, 1e-2)}, 3
    )
    assert search.dims == {"learning_rate": Range(1e-4, 1e-2)}
    assert search.name == "digits mlp-4,8"


def test_ranges_are_logarithmic_over_a_decade_and_whole_where_both_ends_are(space: Any) -> None:
    text = BASE + RATE + "batch_size = { from = 16, to = 128 }\nmomentum = { from = 0, to = 1 }\n"
    dims = space(text + 'optimizer = ["sgd", "rmsprop"]\nweight_decay = 0\n').searches[0].dims
    assert dims["learning_rate"].log
    assert (dims["batch_size"].log, dims["batch_size"].whole) == (False, True)
    assert (dims["momentum"].log, dims["momentum"].whole) == (False, False)  # of numbers like 0.9
    assert Range(16, 160, True).log
    assert dims["optimizer"] == Choices(("sgd", "rmsprop"))
    assert dims["weight_decay"] == Choices((0.0,))
    assert dims["learning_rate"].share(1e-3) == pytest.approx(0.5)
    assert dims["momentum"].share(0.25) == 0.25


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "describes no search"),
        ("search = 3", "describes no search"),
        ("[[search]]\n", "dataset, architecture, latent, epochs not given"),
        (BASE, "searches over nothing"),
        (BASE + "learning_rate = 1e-3\ndepth = [2, 2]", "searches over nothing"),
        (BASE + RATE + "learnig_rate = 3", "unknown key 'learnig_rate'; did you mean"),
        (BASE + RATE + "train_noise = 3", "unknown key 'train_noise'"),
        (BASE + "learning_rate = { from = 1e-2, to = 1e-4 }", "upside down"),
        (BASE + "learning_rate = { from = 1e-2, to = 1e-2 }", "upside down or empty"),
        (BASE + "learning_rate = { from = 1e-2 }", "a range is written as in"),
        (BASE + "learning_rate = { from = 0, to = 1e-2 }", "must be a positive number"),
        (BASE + "learning_rate = []", "learning_rate is an empty list"),
        (BASE + 'schedule = { from = "constant", to = "cosine" }', "is no number, so it has no"),
        (BASE + 'schedule = ["constant", "cosin"]', "did you mean 'cosine'"),
        (BASE + RATE + "keep = 1", "keep is a whole number of at least 2, not 1"),
        (BASE + RATE + "candidates = 1", "candidates is a whole number of at least 2"),
        (BASE.replace("1, 2, 4", "1, 4, 2") + RATE, "each longer than the one before"),
        (BASE.replace("1, 2, 4", "1, 2, 2") + RATE, "each longer than the one before"),
        (BASE.replace("1, 2, 4", "0, 2") + RATE, "epochs must be a whole number"),
        (BASE.replace("4, 8", "0") + RATE, "latent must be a whole number"),
        (BASE.replace('"mlp"', '["mlp", "conv"]') + RATE, "architecture has one value"),
        (BASE.replace('"mlp"', '"mpl"') + RATE, "did you mean 'mlp'"),
        (BASE + RATE + "batch_size = [64, 4096]", "batch_size goes beyond the 1,"),
        (BASE + RATE + "options = { hiden = 9 }", "did you mean 'hidden'"),
        (BASE + RATE + "options = 3", "options is a table"),
        (BASE + RATE + 'depth = [2, 4]\noptions = { hidden = "9-8" }', "are one choice of model"),
        (BASE + RATE + "model = 3", "a list of tables"),
        (BASE + RATE + "model = [{ depht = 3 }]", "did you mean 'depth'"),
        (BASE + RATE + "depth = 2\nmodel = [{ depth = 3 }]", "depth is set beside model"),
        (
            BASE + RATE + 'options = { hidden = 9 }\nmodel = [{ depth = 2, options = "hidden=8" }]',
            "options.hidden is set beside model",
        ),
        (
            BASE.replace('"mlp"', '"mlp-shared"') + RATE,
            "latent 4, depth 1: mlp-shared works on colour",
        ),
    ],
)
def test_a_mistake_is_one_sentence(space: Any, text: str, says: str) -> None:
    with pytest.raises(RequestError) as error:
        space(text)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_all_mistakes_are_told_at_once_with_their_places(space: Any) -> None:
    with pytest.raises(RequestError) as error:
        space(BASE + "keep = 1\nlearnig_rate = 3\n" + BASE + 'schedule = "cosin"')
    one, two, three = str(error.value).splitlines()
    assert "[[search]] 1: unknown key" in one
    assert "[[search]] 1: keep" in two
    assert "[[search]] 2: unknown schedule" in three


def test_a_model_sets_several_at_once_and_a_point_is_found_again(space: Any) -> None:
    (search,) = space(
        BASE
        + RATE
        + 'options = { norm = ["none", "batch"] }\n'
        + 'model = [{ depth = 2, options = "hidden=32" }, { depth = 3, optimizer = "adamw" }]'
    ).searches
    small, deep = search.dims["model"].values
    point = search.point({"model": small, "learning_rate": 1e-3, "options.norm": "batch"})
    assert (point.depth, point.options) == (2, "hidden=32 norm=batch")
    found = search.values(point, search.dims)
    assert found == {"model": small, "learning_rate": 1e-3, "options.norm": "batch"}
    other = search.point({"model": deep, "learning_rate": 1e-3, "options.norm": "none"})
    assert (other.depth, other.options, dict(other.fields)["optimizer"]) == (3, "", "adamw")
    job = search.job(point, 8, 2, HOW)
    assert (job.latent, job.epochs, job.depth, job.learning_rate) == (8, 2, 2, 1e-3)
    assert (job.protocol, job.batch_size, job.schedule) == ("study", 128, "constant")
    assert job.options == "hidden=32 norm=batch"
    # What is none of the space's
    fields = dict(point.fields)
    for elsewhere in (
        Point(point.fields, 3, point.options),
        Point(point.fields, 2, "hidden=32 norm=layer"),
        Point(point.fields, 2, "activation=gelu hidden=32"),
        Point(tuple((fields | {"learning_rate": 1.0}).items()), 2, point.options),
        Point(tuple((fields | {"momentum": 0.9}).items()), 2, point.options),
    ):
        assert search.values(elsewhere, search.dims) is None


@pytest.mark.parametrize("name", SEARCHES)
def test_presets_can_be_searched_and_are_no_grids(name: str, invoke: Any) -> None:
    found = reading.load(name)
    assert found.name == name
    assert found.title
    assert len({search.architecture for search in found.searches}) == 5
    with pytest.raises(RequestError, match="which `aebench tune` runs"):
        load_grid(name)
    code, out, err = invoke("run", "--grid", name)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert "aebench tune" in err


# What is tried next


def test_candidates_lie_in_the_space_are_new_and_the_same_again(space: Any) -> None:
    (search,) = space(BASE + RATE + "batch_size = { from = 16, to = 128 }\ndepth = [1, 2]").searches
    found = sampling.propose(search, search.dims, {}, 10, lambda _: True)
    assert len(set(found)) == 10
    assert all(search.values(point, search.dims) for point in found)
    assert found == sampling.propose(search, search.dims, {}, 10, lambda _: True)
    assert {point.depth for point in found} == {1, 2}
    known = {point: float(i) for i, point in enumerate(found)}
    more = sampling.propose(search, search.dims, known, 4, lambda _: True)
    assert len(set(more)) == 4
    assert not set(more) & set(found)
    shallow = sampling.propose(search, search.dims, {}, 4, lambda point: point.depth == 1)
    assert {point.depth for point in shallow} == {1}


def test_the_first_candidates_are_spread_over_all_choices_and_the_whole_range(space: Any) -> None:
    models = "model = [ { depth = 1 }, { depth = 2 }, { depth = 3 } ]\n"
    (search,) = space(BASE + RATE + models + "batch_size = { from = 16, to = 64 }\n").searches
    reach = [("learning_rate", 1e-4), ("learning_rate", 1e-2)]
    found = sampling.propose(search, search.dims, {}, 6, lambda _: True, reach)
    assert [point.depth for point in found] == [1, 2, 3] * 2
    rates = [dict(point.fields)["learning_rate"] for point in found]
    assert rates[:3] == [1e-4, 1e-2, 1e-3]  # both ends, then the middle on a log scale
    assert rates[3:] == [1e-3, 1e-3, 0.00316]  # of each choice the gap that is its own
    assert {dict(point.fields)["batch_size"] for point in found[:3]} == {40, 28, 52}
    # What is known counts: of depth 1 there are many, and its rates leave no gap but one.
    known = {point: 1.0 for point in found if point.depth == 1}
    more = sampling.propose(search, search.dims, known, 2, lambda _: True)
    assert [point.depth for point in more] == [2, 3]


def test_the_sampler_learns_from_what_is_known(space: Any) -> None:
    """Of two choices one is always a hundred times worse: it is hardly drawn any more."""
    (search,) = space(BASE + RATE + "depth = [1, 2]").searches
    rates = [1e-4 * 1.5**i for i in range(10)]
    for bad in (1, 2):
        known = {
            search.point({"learning_rate": rate, "depth": depth}): 5.0 if depth == bad else 0.0
            for rate in rates
            for depth in (1, 2)
        }
        drawn = sampling.propose(search, search.dims, known, 12, lambda _: True)
        assert sum(point.depth == bad for point in drawn) <= 3
    failed = {point: float("inf") if badness else 0.0 for point, badness in known.items()}
    drawn = sampling.propose(search, search.dims, failed, 12, lambda _: True)
    assert sum(point.depth == 2 for point in drawn) <= 3


def test_without_optuna_a_search_says_what_to_install(
    space: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    (search,) = space(BASE + RATE).searches
    with pytest.raises(RequestError, match="pip install optuna"):
        sampling.propose(search, search.dims, {}, 1, lambda _: True)


@pytest.mark.slow
def test_a_small_space_is_tried_out_and_then_ends(space: Any) -> None:
    (search,) = space(BASE + "depth = [1, 2, 3]\nbatch_size = { from = 30, to = 33 }").searches
    everything = sampling.propose(search, search.dims, {}, 99, lambda _: True)
    assert len(everything) == 12
    known = dict.fromkeys(everything, 1.0)
    assert sampling.propose(search, search.dims, known, 1, lambda _: True) == []
