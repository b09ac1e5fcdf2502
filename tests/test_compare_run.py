"""`aebench compare --run`: two values of one axis, run in turn on this machine and compared."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import COMMAND, environment

from aebench import load_grid
from aebench.cli import in_turn
from aebench.errors import RequestError
from aebench.executors.leases import Leases, held
from aebench.store import Store, read

Invoke = Callable[..., tuple[int, str, str]]
TINY = 'dataset = "digits"\narchitecture = "mlp"\nlatent = [4, 5]\nepochs = 1\ndevice = "cpu"\n'


@pytest.fixture
def grid(tmp_path: Path) -> str:
    (tmp_path / "tiny.toml").write_text(TINY)
    return str(tmp_path / "tiny.toml")


def test_partners_are_neighbours_and_take_turns_in_being_first(grid: str) -> None:
    pairs = in_turn.sides(grid, {"engine": "eager,reference", "device": "cpu"}, 3, None)
    order = [(job.repeat, job.engine) for job in pairs.jobs]
    first, second = "eager", "reference"
    assert order == [
        *2 * [(0, first), (0, second)], *2 * [(1, second), (1, first)],
        *2 * [(2, first), (2, second)],
    ]  # fmt: skip
    latents = [job.latent for job in pairs.jobs]
    assert latents[::2] == latents[1::2]
    assert (pairs.names, pairs.across) == ((first, second), ("engine",))


@pytest.mark.compiler
def test_where_auto_means_another_engine_on_each_side_that_is_no_reason_to_refuse(
    grid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aebench.machine.bf16_instructions", lambda: "")
    pairs = in_turn.sides(grid, {"precision": "fp32,bf16", "device": "cpu"}, 1, None)
    assert {(job.precision, job.engine) for job in pairs.jobs} == {
        ("fp32", "native"), ("bf16", "eager"),
    }  # fmt: skip
    assert pairs.across == ("precision", "engine")


@pytest.mark.parametrize(
    "words",
    [
        ("--engine", "eager"),
        (),
        ("--engine", "eager,eager"),
        ("--engine", "eager,native,reference"),
        ("--engine", "eager,reference", "--precision", "fp32,bf16"),
    ],
)
def test_exactly_one_axis_has_two_values(invoke: Invoke, grid: str, words: tuple[str, ...]) -> None:
    code, _, said = invoke("compare", "--run", grid, *words)
    assert code == 2
    assert "takes two values of one of --engine, --precision, --device" in said


def test_what_two_values_mean_must_be_two_things(
    grid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aebench.machine.cuda_devices", lambda: 0)
    with pytest.raises(RequestError, match="both mean cpu, so there are no two sides"):
        in_turn.sides(grid, {"device": "auto,cpu"}, 1, None)


def test_what_belongs_to_run_and_what_does_not(invoke: Invoke, grid: str) -> None:
    code, _, said = invoke("compare")
    assert (code, "name two results folders" in said) == (2, True)
    code, _, said = invoke("compare", "a", "b", "--engine", "eager,native")
    assert (code, "belong to compare --run" in said) == (2, True)
    code, _, said = invoke("compare", "a", "b", "--run", grid, "--engine", "eager,reference")
    assert (code, "leave out the folders" in said) == (2, True)


def test_jobs_without_a_partner_are_left_out_and_told(
    grid: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = load_grid(grid, {"engine": ["eager", "reference"]})
    lacking = {job: "not by this one" for job in found.jobs if job.engine == "reference"}
    some = {job: why for job, why in lacking.items() if job.latent == 5}
    pairs = in_turn.pair(replace(found, impossible=some), "engine", ("eager", "reference"))
    assert [job.latent for job in pairs.jobs] == [4, 4]
    assert "2 jobs without a partner, left out: not by this one" in capsys.readouterr().err
    with pytest.raises(RequestError, match="no job of tiny can be run both with eager and"):
        in_turn.pair(replace(found, impossible=lacking), "engine", ("eager", "reference"))


def test_a_folder_that_another_run_works_in_is_refused(
    invoke: Invoke, grid: str, tmp_path: Path
) -> None:
    store = Store(tmp_path / "mine")
    store.prepare()
    leases = Leases(store.parts)
    assert leases.take("anything")
    words = ("compare", "--run", grid, "--engine", "eager,reference", "--results", "mine")
    code, _, said = invoke(*words)
    assert code == 2
    assert "mine is in use: another run trains jobs there" in said
    leases.close()
    assert not held(store.parts)


@pytest.mark.slow
def test_both_sides_are_run_in_processes_of_their_own_and_compared(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY.replace("[4, 5]", "4"))
    command = [*COMMAND, "compare", "--run", "tiny.toml", "--engine", "reference,eager"]
    command += ["--repeats", "1", "--format", "json", "--results", "out"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["a"], found["b"]) == ("engine reference", "engine eager")
    assert found["across"] == ["engine"]
    (error,) = [change for change in found["changes"] if change["metric"] == "mse"]
    assert error["ratio"] == pytest.approx(1, rel=1e-3)
    rows = read(tmp_path / "out").jobs.sort_values("position")
    assert list(rows["engine"]) == ["reference", "eager"]
    assert rows["process_id"].nunique() == 2
    before = rows["started_at"].to_list()
    again = subprocess.run(
        command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert (again.returncode, json.loads(again.stdout)) == (0, found)  # measured once
    assert read(tmp_path / "out").jobs.sort_values("position")["started_at"].to_list() == before
