"""``aebench tune`` with a real search: killed, gone on with, widened, refused, accepted, used."""

from __future__ import annotations

import subprocess
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from command_line import COMMAND, environment

from aebench import load_grid
from aebench.store import Store

SPACE = """
title = "Rates that are far too small, so that the largest is the best"
[[search]]
dataset = "digits"
architecture = "mlp"
latent = 4
epochs = 1
candidates = 6
depth = 2
options = { hidden = "9" }
learning_rate = { from = 1e-7, to = 1e-5 }
"""
Invoke = Callable[..., tuple[int, str, str]]


@dataclass
class Searched:
    """A folder with a search that was killed and gone on with, and what the second run said."""

    folder: Path
    before: set[str]
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    folder = tmp_path_factory.mktemp("search")
    (folder / "mine.toml").write_text(SPACE)
    words = [*COMMAND, "tune", "--grid", "mine.toml", "--budget", "1h", "--results", "r"]
    words += ["--engine", "eager", "--device", "cpu"]
    how = {"cwd": folder, "env": environment(COLUMNS="200"), "text": True}
    store = Store(folder / "r")
    with subprocess.Popen(words, stdout=-3, stderr=-3, **how) as first:  # type: ignore[call-overload]
        while not store.exists or not len(store.survey().jobs):
            assert first.poll() is None
            time.sleep(0.05)
        first.kill()
    before = set(store.survey().jobs["key"])
    second = subprocess.run(words, capture_output=True, check=False, timeout=400, **how)  # type: ignore[call-overload]
    return Searched(folder, before, second.returncode, second.stdout, second.stderr)


@pytest.mark.slow
def test_it_goes_on_where_it_was_killed(searched: Searched) -> None:
    jobs = Store(searched.folder / "r").survey().jobs
    assert searched.before
    assert set(jobs["key"]) >= searched.before
    assert jobs["key"].is_unique
    assert set(jobs["status"]) == {"ok"}
    assert set(jobs["epochs"]) == {1}
    # Six candidates, and twice a third of that beyond the range.
    assert len(jobs) == 6 + 2 + 2
    rates = jobs["learning_rate"]
    assert sum(rates > 1e-5) == 4
    assert rates.max() == 9e-5


@pytest.mark.slow
def test_a_winner_at_the_edge_is_refused_with_what_to_do(searched: Searched) -> None:
    assert searched.code == 1, searched.err
    assert not (searched.folder / "tuned.toml").exists()
    assert "candidate, best first" in searched.out
    assert "learning_rate 9e-05, constant, fixed, 1 epochs of 128" in searched.out
    assert "digits mlp-4 ([[search]] 1): not written: learning_rate: the winner's 9e-05" in (
        " ".join(searched.err.split())
    )
    assert "or --accept-edge learning_rate" in " ".join(searched.err.split())
    assert "digits mlp-4 rung 1 of 1, widened 2 times" in searched.err


@pytest.mark.slow
def test_an_accepted_edge_is_written_and_told_ever_after(
    searched: Searched, invoke: Invoke
) -> None:
    (Path.cwd() / "mine.toml").write_text(SPACE)
    words = ["tune", "--grid", "mine.toml", "--results", str(searched.folder / "r")]
    code, _, err = invoke(*words, "--accept-edge", "learning_rate", "--out", "o.toml")
    assert code == 0, err
    assert "aebench run --protocol o.toml" in err
    (entry,) = tomllib.loads(Path("o.toml").read_text())["mlp"]
    assert entry["at_edge"] == ["learning_rate"]
    assert (entry["dataset"], entry["latent"], entry["grid"]) == ("digits", [4], "mine")
    assert (entry["depth"], entry["options"], entry["jobs"]) == (2, "hidden=9", 6)
    assert (entry["learning_rate"], entry["epochs"]) == (1e-5, 1)  # of the range as it is given
    axes = {"architecture": "mlp", "dataset": "digits", "latent": 4}
    (job,) = load_grid(None, axes | {"protocol": "o.toml", "model": "tuned"}).jobs
    assert (job.depth, job.options) == (2, "hidden=9")
    assert job.settings_from.endswith("at_edge learning_rate")
    # Without a space the records of each model are chosen from.
    code, _, err = invoke("tune", str(searched.folder / "r"), "--out", "p.toml")
    assert code == 0, err
    (entry,) = tomllib.loads(Path("p.toml").read_text())["mlp"]
    assert (entry["learning_rate"], entry["jobs"]) == (9e-5, 10)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--grid", "mine.toml", "--budget", "1s"], "the least that would do is"),
        (["--grid", "mine.toml", "--budget", "soon"], "--budget takes a time like"),
        (["--grid", "mine.toml"], "no results at results/mine to choose from"),
        (["--grid", "mine.toml", "--budget", "1h", "--accept-edge", "epoch"], "did you mean"),
        (["--grid", "quick", "--budget", "1h"], "describes no search"),
        (["--grid", "searc", "--budget", "1h"], "did you mean 'search'"),
        (["--budget", "1h"], "add --grid FILE.toml"),
        (["--accept-edge", "epochs"], "add --grid FILE.toml"),
        ([], "name the results of a search"),
        (["a", "--results", "b"], "the results are given twice"),
    ],
)
def test_a_wrong_request_is_one_sentence(words: list[str], says: str, invoke: Invoke) -> None:
    Path("mine.toml").write_text(SPACE)
    code, out, err = invoke("tune", *words)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err
    assert [path.name for path in Path.cwd().iterdir()] == ["mine.toml"]
