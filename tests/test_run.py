"""`aebench run` with real processes: records, failures, interruption, and what the user is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from aebench import schema
from aebench.store import read

PLUGIN = '''
import os, signal, time
import torch
from torch import nn
import aebench


class Model(nn.Module):
    def __init__(self, shape, latent, act):
        super().__init__()
        n = shape[0] * shape[1] * shape[2]
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(n, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, n), nn.Unflatten(1, shape))
        self.act = act

    def forward(self, x):
        if self.training:
            self.act(self)
        return self.decoder(self.encoder(x))


def fail(model):
    raise RuntimeError("told to fail")


def grow(model):
    with torch.no_grad():
        model.decoder[0].bias.fill_(float("inf"))


for name, act in {
    "grows": grow,
    "raises": fail,
    "dies": lambda model: os.kill(os.getpid(), signal.SIGKILL),
    "hangs": lambda model: (open("hanging", "w").close(), time.sleep(600)),
}.items():
    def build(shape, latent, depth, act=act):
        """A model that misbehaves."""
        return Model(shape, latent, act)

    build.__qualname__ = name
    aebench.architecture(name)(build)
'''


def aebench(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aebench", *words]
    path = str(Path(__file__).parents[1])
    return subprocess.run(
        command, cwd=cwd, env=os.environ | {"PYTHONPATH": path} | env, timeout=240,
        capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    """Two jobs on real digits, with their report."""
    folder = tmp_path_factory.mktemp("small")
    words = ["run", "--dataset", "digits", "--architecture", "mlp,conv", "--latent", "4"]
    return folder, aebench(*words, "--epochs", "2", "--report", cwd=folder)


def test_run_leaves_records_a_table_and_a_report(small) -> None:
    folder, done = small
    assert done.returncode == 0, done.stderr
    assert "digits conv-4" in done.stdout
    told = [line for line in done.stderr.splitlines() if "running" not in line]  # a heartbeat
    assert told[0].startswith("engines: ")
    assert [line[:6] for line in told[1:3]] == ["[1/2] ", "[2/2] "]
    assert "\x1b" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    found = read(folder / "results" / "custom")
    jobs = found.jobs
    assert list(jobs["status"]) == ["ok", "ok"]
    assert list(jobs.columns) == [c.name for c in schema.JOBS]
    assert len(found.epochs) == 4
    assert (jobs["mse"] > 0).all()
    phases = ["data_s", "build_s", "compile_s", "warmup_s", "train_s", "eval_s", "baseline_s"]
    assert (jobs[phases].sum(axis=1) <= jobs["total_s"]).all()
    assert all(png.startswith(b"\x89PNG") for png in found.samples["output_png"])
    assert (folder / "reports" / "custom.html").read_text("utf-8").lstrip().startswith("<!DOCTYPE")


@pytest.mark.slow
def test_what_is_there_is_not_run_again(small) -> None:
    folder, _ = small
    before = read(folder / "results" / "custom").jobs.set_index("key")["started_at"]
    words = ["run", "--dataset", "digits", "--architecture", "mlp,conv", "--latent", "4,5"]
    done = aebench(*words, "--epochs", "2", "--workers", "2", cwd=folder)
    assert done.returncode == 0
    assert "2 of 4 jobs are in" in done.stderr
    assert "their times cannot be compared" in done.stderr
    after = read(folder / "results" / "custom").jobs.set_index("key")
    assert (after["started_at"][before.index] == before).all()
    assert after["concurrent"].drop(before.index).all()


@pytest.mark.slow
def test_every_ending_is_a_record_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(PLUGIN)
    words = ["run", "--plugin", "bad.py", "--dataset", "digits", "--latent", "4", "--epochs", "1"]
    done = aebench(
        *words, "--architecture", "grows,raises,dies,hangs,mlp", "--timeout", "6", "--workers", "2",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    jobs = read(tmp_path / "results" / "custom").jobs.set_index("architecture")
    assert dict(jobs["status"]) == {
        "grows": "diverged", "raises": "failed", "dies": "killed", "hangs": "timed_out",
        "mlp": "ok",
    }  # fmt: skip
    assert "told to fail" in jobs["reason"]["raises"]
    assert "SIGKILL" in jobs["reason"]["dies"]
    assert "--timeout" in jobs["reason"]["hangs"]
    assert "--retry-failed" in done.stderr


def interrupted(folder: Path, times: int) -> tuple[int, str]:
    """Run a grid that hangs, press Ctrl-C so often once it does, and give exit code and stderr."""
    (folder / "bad.py").write_text(PLUGIN)
    words = ["--plugin", "bad.py", "--dataset", "digits", "--architecture", "hangs"]
    command = [sys.executable, "-m", "aebench", "run", *words, "--latent", "4,5,6"]
    path = str(Path(__file__).parents[1])
    child = subprocess.Popen(
        command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    end = time.monotonic() + 100
    while not (folder / "hanging").exists():
        assert time.monotonic() < end, "no job has begun"
        time.sleep(0.1)
    for _ in range(times):
        os.killpg(child.pid, signal.SIGINT)
        time.sleep(0.5)
    _, said = child.communicate(timeout=200)
    return child.returncode, said


POLLUTER = '''
import os, subprocess, time
from pathlib import Path
import torch
from torch import nn
import aebench
from aebench.architectures.autoencoder import Autoencoder


def model(shape, latent):
    n = shape[0] * shape[1] * shape[2]
    decoder = nn.Sequential(nn.Linear(latent, n), nn.Unflatten(1, shape))
    return Autoencoder(nn.Sequential(nn.Flatten(), nn.Linear(n, latent)), decoder)


@aebench.architecture("pollutes")
def build(shape, latent, depth):
    """Leaves behind whatever a process can keep, and a program in a session of its own."""
    with open("built", "a") as file:
        print(latent, file=file)
    made = model(shape, latent)
    subprocess.Popen(["sleep", "98765"], start_new_session=True)
    os.closerange(3, 256)
    hook = lambda module, inputs, output: output * 0.5
    nn.modules.module.register_module_forward_hook(hook)
    torch.set_num_threads(1)
    nn.Linear.reset_parameters = lambda self: None
    home = Path.cwd()
    os.chdir("/")
    if (home / "hang").exists():
        (home / "hanging").touch()
        time.sleep(600)
    return made
'''


def sleepers(folder: Path) -> list[int]:
    """Processes that the polluter has started from `folder` and that still run."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        told = process.info
        if told["cmdline"] == ["sleep", "98765"] and told["cwd"] == str(folder):
            found.append(process.pid)
    return found


@pytest.mark.slow
def test_nothing_of_a_plugin_reaches_other_jobs_or_outlives_its_own(small, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLLUTER)
    words = ["run", "--plugin", "mine.py", "--dataset", "digits", "--results", "there"]
    done = aebench(
        *words, "--architecture", "pollutes,mlp,conv", "--latent", "4", "--epochs", "2",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sleepers(tmp_path) == []
    clean = read(small[0] / "results" / "custom").jobs.set_index("architecture")
    jobs = read(tmp_path / "there").jobs.set_index("architecture")
    assert set(jobs.index) == {"pollutes", "mlp", "conv"}
    for name in ("mlp", "conv"):
        ours, theirs = jobs.loc[name], clean[clean["key"] == jobs["key"][name]].iloc[0]
        assert (ours["mse"], ours["threads"]) == (theirs["mse"], theirs["threads"])
    assert jobs["code"]["pollutes"]
    assert jobs["code"]["mlp"] == ""


@pytest.mark.slow
def test_a_killed_run_takes_all_that_it_started_along(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLLUTER)
    (tmp_path / "hang").touch()
    words = ["run", "--plugin", "mine.py", "--dataset", "digits", "--architecture", "pollutes"]
    words += ["--latent", "4", "--epochs", "1"]
    run = subprocess.Popen(
        [sys.executable, "-m", "aebench", *words], cwd=tmp_path, stderr=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    until(lambda: (tmp_path / "hanging").exists() and sleepers(tmp_path))
    family = psutil.Process(run.pid).children(recursive=True)
    assert len(family) >= 3  # a keeper, its worker, and what the worker started
    run.kill()
    run.wait()
    until(lambda: not any(p.is_running() and p.status() != "zombie" for p in family), 10)
    assert sleepers(tmp_path) == []


def until(holds: Callable[[], object], seconds: float = 100) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_two_runs_on_one_folder_share_the_jobs(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLLUTER)
    words = ["run", "--plugin", "mine.py", "--dataset", "digits", "--architecture", "pollutes"]
    command = [sys.executable, "-m", "aebench", *words, "--latent", "2,3", "--epochs", "1"]
    runs = [
        subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [run.communicate(timeout=250)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    built = [line.split()[0] for line in (tmp_path / "built").read_text().splitlines()]
    assert sorted(built) == ["2", "3"]
    assert all(f"pollutes-{n}" in text for n in built for text in said)
    jobs = read(tmp_path / "results" / "custom").jobs
    assert list(jobs["status"]) == ["ok"] * 2
    assert not list((tmp_path / "results" / "custom").rglob(".*.lock"))


@pytest.mark.slow
def test_ctrl_c_twice_kills_and_says_how_to_go_on(tmp_path: Path) -> None:
    code, said = interrupted(tmp_path, times=2)
    assert code == 130, said
    assert "to continue: aebench run" in said.strip().splitlines()[-1]
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--architecture", "mpl", "--latent", "4"], "did you mean 'mlp'"),
        (["--architecture", "mlp", "--latent", "0"], "at least 1"),
        (["--architecture", "mlp", "--latent", "x"], "latent"),
        (["--architecture", "mlp", "--latent", "4", "--dataset", "mnits"], "did you mean 'mnist'"),
        (["--architecture", "mlp-shared", "--latent", "4"], "grey"),
        (["--architecture", "conv", "--latent", "4", "--depth", "20"], "greatest depth"),
        (["--architecture", "mlp", "--latent", "4", "--engine", "egaer"], "did you mean 'eager'"),
        (["--architecture", "mlp", "--latent", "4", "--device", "gpu"], "auto, cpu, cuda"),
        (["--grid", "quik"], "did you mean 'quick'"),
        (["--grid", "none.toml"], "no grid file"),
        (["--grid", "quick", "--shard", "5/4"], "numbered from 1 to 4"),
        (["--architecture", "mlp", "--latent", "4", "--protocol", "tunde"], "did you mean 'tuned'"),
    ],
)
def test_wrong_requests_are_one_message_and_exit_code_2(
    words: list[str], said: str, invoke
) -> None:
    code, out, err = invoke("run", *words)
    assert (code, out) == (2, ""), err
    assert said in err
    assert "Traceback" not in err
    assert not Path("results").exists()
