"""Runs on a real Slurm cluster of three nodes, all of them on this machine."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import slurm_nodes
from checkers import unavailable
from command_line import COMMAND, environment

from aebench.store import Store

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

# Each job says how often it was begun, and lasts long enough to be killed in its middle.
PLUGIN = """
import os, time, uuid
import aebench
from aebench.architectures.autoencoder import Autoencoder
from torch import nn

@aebench.architecture("slow")
def build(shape, latent, depth):
    open(os.path.join(os.environ["BEGUN"], f"{latent}-{uuid.uuid4()}"), "x").close()
    time.sleep(float(os.environ.get("SLOW_S", "0.7")))
    size = shape[0] * shape[1] * shape[2]
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(size, latent))
    return Autoencoder(encoder, nn.Sequential(nn.Linear(latent, size), nn.Unflatten(1, shape)))
"""
WORDS = ["--dataset", "digits", "--architecture", "mlp", "--engine", "eager", "--epochs", "1"]
KILLS = 4
Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    if find_spec("submitit") is None:
        unavailable("submitit, the extra `slurm`, is not installed")
    if lacking := slurm_nodes.missing():
        unavailable(f"there is no {', '.join(lacking)}: install Debian's {slurm_nodes.PACKAGES}")
    with slurm_nodes.cluster(tmp_path_factory.mktemp("slurm"), nodes=3) as env:
        yield env


@pytest.fixture
def run(slurm: dict[str, str], tmp_path: Path) -> Iterator[Run]:
    """Starts `aebench`; what is left of it and of Slurm's queue ends with the test."""
    started = []
    (tmp_path / "begun").mkdir()
    (tmp_path / "slow.py").write_text(PLUGIN, "utf-8")

    def start(*words: str, one_core: bool = False, **env: str) -> subprocess.Popen[str]:
        core = ["taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))] if one_core else []
        process = subprocess.Popen(
            [*core, *COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=tmp_path, env=environment(**slurm | {"BEGUN": str(tmp_path / "begun")} | env),
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
    ask(slurm, "scancel", "--me")
    while queued(slurm):
        time.sleep(0.2)


def ask(slurm: dict[str, str], *words: str) -> str:
    return subprocess.run(words, env={**os.environ, **slurm}, capture_output=True, text=True).stdout


def queued(slurm: dict[str, str], state: str = "") -> list[str]:
    """Slurm's numbers of the tasks that are in the queue, in one state or in any."""
    said = ask(slurm, "squeue", "--noheader", "--array", "--format=%i %T").splitlines()
    return [line.split()[0] for line in said if line.endswith(state)]


def ended(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    out, told = process.communicate()
    assert process.returncode == code, told
    return out, told


def slow(*words: str, count: int = 8) -> list[str]:
    return [
        *("run", "--plugin", "slow.py", *WORDS, "--architecture", "slow"),
        *("--latent", f"1..{count}", "--results", "there", "--on", "slurm", *words),
    ]  # fmt: skip


def errors(folder: Path, killed: int = 0) -> dict[str, float]:
    """The test error of every job by key; every record is there once, `killed` of them at most."""
    jobs = Store(folder).read().jobs
    assert jobs["key"].is_unique
    counts = jobs["status"].value_counts()
    assert set(counts.index) <= {"ok", "killed"}
    assert counts.get("killed", 0) <= killed
    good = jobs[jobs["status"] == "ok"]
    return dict(zip(good["key"], good["mse"], strict=True))


def cluster_file(tmp_path: Path, text: str) -> str:
    (tmp_path / "cluster.toml").write_text(text, "utf-8")
    return "cluster.toml"


def until(condition: Callable[[], object]) -> None:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < 80
        time.sleep(0.1)


def begun(tmp_path: Path) -> list[int]:
    """The latent size of each job, as often as it was begun."""
    return sorted(int(p.name.partition("-")[0]) for p in (tmp_path / "begun").iterdir())


def test_records_are_those_of_a_local_run_and_status_tells_how_far_it_is(
    run: Run, slurm: dict[str, str], tmp_path: Path
) -> None:
    words = ["run", *WORDS, "--latent", "2..5", "--seeds", "2", "--keep-weights"]
    file = cluster_file(tmp_path, 'tasks = 3\ncpus = 1\ntime = "30m"\npartition = "main"\n')
    out, told = ended(run(*words, "--on", "slurm", "--cluster", file, "--results", "there"))
    assert out.endswith("8 jobs in 3 tasks\n")
    assert "aebench status there" in told
    first = json.loads(ended(run("status", "there", "--format", "json"))[0])["array_jobs"][0]
    assert sum(first["in_queue"].values()) == 3
    until(lambda: not queued(slurm))
    last = json.loads(ended(run("status", "there", "--format", "json"))[0])
    (array,) = last["array_jobs"]
    assert (array["jobs"], array["tasks"], array["in_queue"], array["undone"]) == (8, 3, {}, {})
    assert array["recorded"] == last["jobs"] == {"ok": 8}
    ended(run(*words, "--results", "here", one_core=True))
    jobs = Store(tmp_path / "there").read().jobs
    assert errors(tmp_path / "there") == errors(tmp_path / "here")
    assert set(jobs["threads"]) == {1}
    weights = {path.stem for path in (tmp_path / "there" / "weights").iterdir()}
    assert weights == set(jobs["key"])


def test_a_killed_task_costs_its_own_jobs_and_the_command_again_does_these(
    run: Run, slurm: dict[str, str], tmp_path: Path
) -> None:
    words = slow("--cluster", cluster_file(tmp_path, "tasks = 3\n"), "--wait", "--retry-failed")
    waiting = run(*words)
    parts = tmp_path / "there" / "parts"
    until(lambda: len(list(parts.glob("[!.]*"))) >= 3)
    killed = random.Random(3).choice(queued(slurm, "RUNNING"))
    ask(slurm, "scancel", "--signal=KILL", "--full", killed)
    ended(waiting, 1)
    # Its worker may have been killed before it, and is recorded so by what of it was left.
    done = errors(tmp_path / "there", killed=1)
    missing = 8 - len(Store(tmp_path / "there").statuses())
    assert 4 <= len(done) < 8
    out, _ = ended(run("status", "there"), 1)
    if missing:
        assert f"task {killed} is over and left {missing} job" in out
        log = tmp_path / "there" / "slurm" / f"{killed}_0_log.out"
        assert str(log.relative_to(tmp_path)) in " ".join(out.split())
        assert log.is_file()
    _, told = ended(run(*words))
    assert f": {8 - len(done)} jobs in" in told
    again = errors(tmp_path / "there")
    assert len(again) == 8
    assert done.items() <= again.items()


def test_tasks_that_are_queued_again_go_on_with_what_is_left(
    run: Run, slurm: dict[str, str], tmp_path: Path
) -> None:
    """By Slurm, as when a node fails, and by submitit, which is told before a task's time is up."""
    waiting = run(*slow("--cluster", cluster_file(tmp_path, "tasks = 2\n"), "--wait"))
    parts = tmp_path / "there" / "parts"
    until(lambda: len(list(parts.glob("[!.]*"))) >= 3)
    first, second = queued(slurm, "RUNNING")
    ask(slurm, "scontrol", "requeue", first)
    ask(slurm, "scancel", "--signal=USR2", second)
    ended(waiting)
    assert len(errors(tmp_path / "there")) == 8
    # Of each task at most the job in hand was begun twice.
    assert 8 <= len(begun(tmp_path)) <= 10


def test_while_tasks_are_in_the_queue_nothing_is_submitted_twice(
    run: Run, slurm: dict[str, str], tmp_path: Path
) -> None:
    words = slow("--cluster", cluster_file(tmp_path, "tasks = 4\n"), "--workers", "1")
    ended(run(*words))
    until(lambda: queued(slurm, "RUNNING"))
    assert len(queued(slurm, "RUNNING")) == 1  # --workers
    _, told = ended(run(*words), 2)
    number = queued(slurm)[0].partition("_")[0]
    assert f"scancel {number}" in told
    assert ended(run("status", "there"))[0].count("array job") == 1


def test_ctrl_c_ends_the_wait_and_not_the_tasks(
    run: Run, slurm: dict[str, str], tmp_path: Path
) -> None:
    waiting = run(*slow("--cluster", cluster_file(tmp_path, "tasks = 3\n"), "--wait"))
    parts = tmp_path / "there" / "parts"
    until(lambda: list(parts.glob("[!.]*")))
    waiting.send_signal(signal.SIGINT)
    _, told = ended(waiting, 130)
    assert "aebench status there" in told
    until(lambda: not queued(slurm))
    assert len(errors(tmp_path / "there")) == 8


def test_the_printed_script_runs_the_grid_without_submitit(
    run: Run, slurm: dict[str, str], tmp_path: Path
) -> None:
    more = 'setup = ["echo set up"]\n[sbatch]\noutput = "log-%a"\n'
    file = cluster_file(tmp_path, f"tasks = 3\n{more}")
    words = ["run", *WORDS, "--latent", "2..5", "--seeds", "2", "--results", "there"]
    script, _ = ended(run(*words, "--cluster", file, "--shard", "$I/$N", "--print-sbatch"))
    script = script.replace("exec aebench", f"exec {' '.join(COMMAND)}")
    (tmp_path / "job.sh").write_text(script, "utf-8")
    ask(slurm, "sbatch", "--chdir", str(tmp_path), str(tmp_path / "job.sh"))
    until(lambda: not queued(slurm))
    assert len(errors(tmp_path / "there")) == 8
    assert sorted(path.name for path in tmp_path.glob("log-*")) == ["log-1", "log-2", "log-3"]
    assert "set up" in (tmp_path / "log-1").read_text("utf-8")


def test_what_slurm_cannot_do_is_said(run: Run, tmp_path: Path) -> None:
    file = cluster_file(tmp_path, 'partition = "nowhere"\n')
    _, told = ended(run(*slow("--cluster", file)), 2)
    assert "Slurm took no job" in told
    assert "partition" in told
    assert "Traceback" not in told
    _, told = ended(run(*slow(), PATH=str(tmp_path)), 2)
    assert "this machine has no Slurm" in told


def test_a_campaign_with_kills_loses_nothing(
    run: Run, slurm: dict[str, str], tmp_path: Path
) -> None:
    count = int(os.environ.get("AEBENCH_CLUSTER_JOBS", "16"))
    file = cluster_file(tmp_path, "tasks = 8\n")
    words = slow("--cluster", file, "--wait", "--retry-failed", count=count)
    dice, kills = random.Random(11), 0
    for _ in range(10):
        waiting = run(*words, SLOW_S="0.3")
        while waiting.poll() is None and kills < KILLS:
            time.sleep(1 + 4 * dice.random())
            if running := queued(slurm, "RUNNING"):
                ask(slurm, "scancel", "--signal=KILL", "--full", dice.choice(running))
                kills += 1
        waiting.communicate()
        if waiting.returncode == 0:
            break
        assert waiting.returncode == 1
    assert kills == KILLS
    there = errors(tmp_path / "there")
    assert len(there) == count
    local = slow(count=count)
    local = [w if w != "there" else "here" for w in local[: local.index("--on")]]
    ended(run(*local, SLOW_S="0", one_core=True))
    assert there == errors(tmp_path / "here")
