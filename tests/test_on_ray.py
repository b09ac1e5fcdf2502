"""Runs on a real Ray cluster of three nodes, all of them on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from checkers import unavailable
from command_line import COMMAND, environment

from aebench.store import Store

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

PLUGIN = """
import os, signal, time
import aebench
from aebench.architectures.autoencoder import Autoencoder
from torch import nn

@aebench.architecture("kills-itself")
def build(shape, latent, depth):
    if latent == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if latent == 5:
        time.sleep(600)
    size = shape[0] * shape[1] * shape[2]
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, latent))
    return Autoencoder(encoder, nn.Sequential(nn.Linear(latent, size), nn.Unflatten(1, shape)))
"""
WORDS = ["run", "--dataset", "digits", "--architecture", "mlp", "--engine", "eager"]


@dataclasses.dataclass
class Nodes:
    """A cluster of three nodes of one core, whose data cache begins empty."""

    process: subprocess.Popen[str]
    address: str
    cache: Path

    def ask(self, words: str) -> None:
        """Say a line of `ray_nodes` and wait until it is done."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(words, file=self.process.stdin, flush=True)
        assert self.process.stdout.readline() == "done\n"


@contextlib.contextmanager
def serving(cache: Path, count: int, **variables: str) -> Iterator[Nodes]:
    """A cluster of `count` nodes of one core while the context is open."""
    if find_spec("ray") is None:
        unavailable("Ray, the extra `ray`, is not installed")
    script = str(Path(__file__).with_name("ray_nodes.py"))
    process = subprocess.Popen(
        [sys.executable, script, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(AEBENCH_DATA=str(cache), **variables),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ready "):
            break
    else:
        pytest.fail("no cluster could be started")
    yield Nodes(process, line.split()[1], cache)
    process.stdin.close()
    process.wait(timeout=120)
    process.stdout.close()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with serving(tmp_path_factory.mktemp("cache-of-nodes"), 3) as cluster:
        yield cluster


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(nodes: Nodes, tmp_path: Path) -> Iterator[Start]:
    """Starts `aebench run`; what is left of it ends with the test."""
    processes = []

    def started(
        *words: str, on: str = f"ray={nodes.address}", **variables: str
    ) -> subprocess.Popen[str]:
        processes.append(subprocess.Popen(
            [*COMMAND, *WORDS, *words, "--on", on, "--results", str(tmp_path / "there")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**variables),
        ))  # fmt: skip
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def errors(folder: Path) -> dict[str, float]:
    """The test error of every job by key; every record is there once."""
    jobs = Store(folder).read().jobs
    assert jobs["key"].is_unique
    assert set(jobs["status"]) == {"ok"}
    return dict(zip(jobs["key"], jobs["mse"], strict=True))


def here(folder: Path, *words: str) -> dict[str, float]:
    """The same jobs in one process of this machine."""
    command = [*COMMAND, *WORDS, *words, "--results", str(folder), "-q"]
    subprocess.run(command, check=True, env=environment(OMP_NUM_THREADS="1"), capture_output=True)
    return errors(folder)


def test_records_come_back_from_every_node_as_a_local_run_has_them(
    nodes: Nodes, start: Start, tmp_path: Path
) -> None:
    words = ("--latent", "2..5", "--seeds", "3", "--epochs", "1", "--keep-weights")
    run = start(*words)
    _, told = run.communicate()
    assert run.returncode == 0, told
    assert "3 jobs at a time" in told
    assert errors(tmp_path / "there") == here(tmp_path / "here", *words)
    jobs = Store(tmp_path / "there").read().jobs
    assert jobs["process_id"].nunique() == 3
    assert set(jobs["concurrent"]) == {True}  # three nodes, one machine
    assert set(jobs["threads"]) == {1}
    assert (nodes.cache / "digits" / "meta.json").is_file()
    weights = {path.stem for path in (tmp_path / "there" / "weights").iterdir()}
    assert weights == set(jobs["key"])


def test_a_job_that_dies_or_takes_too_long_ends_alone(start: Start, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(PLUGIN, "utf-8")
    run = start(
        *("--plugin", str(plugin), "--architecture", "kills-itself", "--latent", "2..5"),
        *("--epochs", "1", "--timeout", "60"),
    )
    _, told = run.communicate()
    assert run.returncode == 1, told
    jobs = Store(tmp_path / "there").read().jobs.set_index("latent")
    assert jobs["status"].to_dict() == {2: "ok", 3: "killed", 4: "ok", 5: "timed_out"}
    assert "SIGKILL" in jobs.loc[3, "reason"]
    assert "--timeout" in jobs.loc[5, "reason"]
    assert jobs.loc[3, "cpu_name"] == jobs.loc[2, "cpu_name"]


def test_what_a_lost_node_had_is_done_by_another(
    nodes: Nodes, start: Start, tmp_path: Path
) -> None:
    count = int(os.environ.get("AEBENCH_CLUSTER_JOBS", "40"))
    words = ("--latent", "2,3", "--seeds", str(count // 2), "--epochs", "20")
    run = start(*words)
    parts, dice = tmp_path / "there" / "parts", random.Random(7)
    for lost in range(2):
        while run.poll() is None and len(list(parts.glob("[!.]*"))) < (1 + lost) * count // 4:
            time.sleep(0.1)
        assert run.poll() is None, run.communicate()
        time.sleep(dice.random())
        nodes.ask(f"kill {lost}")
        nodes.ask("add")
    _, told = run.communicate()
    assert run.returncode == 0, told
    assert errors(tmp_path / "there") == here(tmp_path / "here", *words)


def test_ctrl_c_lets_running_jobs_finish_and_the_command_goes_on(
    start: Start, tmp_path: Path
) -> None:
    words = ("--latent", "2,3", "--seeds", "6", "--epochs", "200")
    run, parts = start(*words), tmp_path / "there" / "parts"
    while run.poll() is None and len(list(parts.glob("[!.]*"))) < 2:
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    _, told = run.communicate()
    assert run.returncode == 130, told
    assert "to continue: aebench run" in told
    assert 2 <= len(errors(tmp_path / "there")) < 12
    again = start(*words)
    assert again.wait() == 0
    assert len(errors(tmp_path / "there")) == 12


@pytest.mark.parametrize(
    ("words", "on", "said"),
    [
        (["--cpus-per-job", "9"], None, "no node has room for a job of 9 CPUs and 0 GPUs"),
        (["--device", "cuda"], None, "no node has room for a job of 1 CPUs and 1 GPUs"),
        ([], "ray=127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1"),
    ],
)
def test_what_no_cluster_can_do_is_said(
    start: Start, words: list[str], on: str | None, said: str
) -> None:
    run = start("--latent", "2", *words, **({} if on is None else {"on": on}))
    _, told = run.communicate()
    assert run.returncode == 2, told
    assert said in " ".join(told.split())
    assert "Traceback" not in told


def test_a_cluster_that_asks_for_a_token_is_told_from_none(start: Start, tmp_path: Path) -> None:
    """As every cluster does that a newer Ray's `ray start` makes."""
    mode, token = {"RAY_AUTH_MODE": "token"}, {"RAY_AUTH_TOKEN": "1" * 64}
    with serving(tmp_path / "cache", 1, **mode, **token) as guarded:
        on = f"ray={guarded.address}"
        for lacking in ({}, {**mode, "RAY_AUTH_TOKEN": "2" * 64}):
            run = start("--latent", "2", on=on, **lacking)
            _, told = run.communicate()
            assert run.returncode == 2, told
            assert "asks for its token; set RAY_AUTH_MODE=token" in " ".join(told.split())
            assert "Traceback" not in told
        run = start("--latent", "2", "--epochs", "1", on=on, **mode, **token)
        _, told = run.communicate()
        assert run.returncode == 0, told
