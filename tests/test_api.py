"""The Python interface does what the command line does, with values in place of words."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command_line import COMMAND, environment

import aebench
from aebench import api, executors, grid
from aebench.cli import text
from aebench.errors import RequestError
from aebench.executors import Ending, Listener, RunOptions, local
from aebench.job import Job
from aebench.plugins import load_plugins
from aebench.records import Circumstances, ended_without_record
from aebench.store import Store

AXES = {"architecture": "mlp", "dataset": "digits", "latent": [2, 4], "epochs": 2}
SCRIPT = """
from pathlib import Path
import aebench
from aebench.architectures.autoencoder import Autoencoder
from aebench import datasets
from torch import nn

@aebench.architecture("own")
def build(shape, latent, depth):
    size = shape[0] * shape[1] * shape[2]
    up = nn.Sequential(nn.Linear(latent, size), nn.Unflatten(1, shape))
    return Autoencoder(nn.Sequential(nn.Flatten(), nn.Linear(size, latent)), up)

def halves():
    whole = datasets.load("digits")
    return whole.train[:, :, :4], whole.test[:, :, :4]

datasets.register(
    datasets.DatasetInfo("half-digits", "upper halves", 1, 4, 8, 1437, 360, 140, "here"), halves
)

if __name__ == "__main__":
    axes = {"architecture": ["own", "mlp"], "dataset": ["digits", "half-digits"], "latent": 2,
            "epochs": 2, "seeds": 1}
    results = aebench.run(aebench.load_grid(None, axes), "by_python", workers=2)
    print(len(results.jobs), len(results.epochs))
"""


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Sequence[Job], RunOptions]]:
    """What was to be run, where no worker runs it: latent 4 fails, the others end well."""
    told: list[tuple[Sequence[Job], RunOptions]] = []

    def run(
        jobs: Sequence[Job], store: Store, options: RunOptions, listener: Listener | None = None
    ) -> bool:
        told.append((jobs, options))
        for job in jobs:
            status = "failed" if job.latent == 4 else "ok"
            where = Circumstances(command=options.command)
            store.write(ended_without_record(job, where, status, "as asked", 1.0))
            if listener:
                listener.ended(0, job, Ending(status, "as asked"))
        return len(told) < 3

    monkeypatch.setattr(local, "run", run)
    return told


@pytest.mark.slow
def test_a_script_and_the_command_line_leave_the_same_errors_under_the_same_keys(
    tmp_path: Path,
) -> None:
    (tmp_path / "both.py").write_text(SCRIPT)

    def do(*words: str) -> str:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=200
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert do(sys.executable, "both.py") == "4 8\n"
    do(
        *(*COMMAND, "run", "--plugin", "both.py", "--architecture", "own,mlp", "--latent", "2"),
        *("--dataset", "digits,half-digits", "--epochs", "2", "--results", "by_command"),
        *("--workers", "2"),
    )
    python, command = (aebench.read(tmp_path / name) for name in ("by_python", "by_command"))
    assert set(python.jobs["status"]) == {"ok"}
    for one, other in ((python.jobs, command.jobs), (python.epochs, command.epochs)):
        names = [n for n in ("key", "epoch", "study_error", "mse", "val_mse", "train_mse", "code",
                             "pixels", "engine", "pca_mse") if n in one]  # fmt: skip
        sides = [f[names].sort_values(names[:2]).reset_index(drop=True) for f in (one, other)]
        pd.testing.assert_frame_equal(*sides, check_exact=True)
    assert python.jobs["code"].ne("").sum() == python.jobs["pixels"].ne("").sum() == 2


def test_a_grid_of_python_is_that_of_the_command_line() -> None:
    assert (
        aebench.load_grid("quick").jobs
        == grid.load_grid(
            "quick", defaults={"device": aebench.load_grid("quick").jobs[0].device}
        ).jobs
    )
    (job,) = aebench.load_grid(None, {"architecture": "mlp", "latent": 2}).jobs
    assert job.dataset == "mnist"
    with pytest.raises(RequestError, match=r"the axes given: unknown .*'latnet'.*'latent'"):
        aebench.load_grid(None, {"architecture": "mlp", "latnet": 2})


def test_an_unset_device_is_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for devices, kind in ((0, "cpu"), (1, "cuda")):
        monkeypatch.setattr(api.machine, "cuda_devices", lambda devices=devices: devices)
        assert {job.device for job in aebench.load_grid(None, AXES).jobs} == {kind}
        assert {j.device for j in aebench.load_grid(None, AXES | {"device": "cpu"}).jobs} == {"cpu"}


def test_a_run_trains_what_is_missing_and_gives_the_rows_of_its_jobs(
    ran: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = sorted(aebench.load_grid(None, AXES).jobs, key=lambda job: job.latent)
    first = aebench.run(jobs[:1], tmp_path, keep_weights=True, timeout_s=9, data=tmp_path / "data")
    assert list(first.jobs["latent"]) == [2]
    assert "[1/1]" in capsys.readouterr().err
    both = aebench.run(iter(jobs), str(tmp_path), progress=False)
    assert [(len(told), options.keep_weights) for told, options in ran] == [(1, True), (1, False)]
    assert (ran[0][1].timeout_s, ran[0][1].data) == (9, tmp_path / "data")
    assert dict(zip(both.jobs["latent"], both.jobs["status"], strict=True)) == {
        2: "ok",
        4: "failed",
    }
    assert capsys.readouterr() == ("", "")
    assert not text.stderr().quiet  # but for that one run
    assert aebench.run(jobs[:1], tmp_path).jobs["latent"].to_list() == [2]
    assert "1 of 1 jobs are in" in capsys.readouterr().err
    assert len(ran) == 2
    with pytest.raises(KeyboardInterrupt, match="the same call goes on"):
        aebench.run(jobs, tmp_path, retry_failed=True, progress=False)
    assert [job.latent for job in ran[2][0]] == [4]
    assert capsys.readouterr() == ("", "")


def test_a_file_that_is_imported_for_its_models_starts_no_run(
    ran: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unguarded.py").write_text("import aebench\naebench.run('quick', 'out')\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RequestError, match=r"unguarded.py is imported .* put what runs it below"):
        load_plugins(["unguarded.py"])
    monkeypatch.setattr(executors, "in_worker", True)  # whatever way a worker came to import it
    with pytest.raises(RequestError, match="put what runs it below"):
        aebench.run("quick", tmp_path / "out")
    assert not ran
    assert not (tmp_path / "out").exists()


def test_a_preset_by_name_has_a_folder_of_its_own(
    ran: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        'architecture = "mlp"\ndataset = "digits"\nlatent = 2\nepochs = 1\n'
    )
    assert len(aebench.run("mine.toml").jobs) == 1
    assert aebench.read("results/mine").jobs["command"].to_list() == ["aebench.run in Python"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"workers": 0}, "workers takes a whole number from 1, not 0"),
        ({"workers": 1.5}, "workers takes a whole number from 1, not 1.5"),
        ({"workers": None}, "workers takes a whole number"),
        ({"threads": "2"}, "threads takes a whole number from 1, not '2'"),
        ({"timeout_s": -1}, "timeout_s takes a number of seconds above 0, not -1"),
        ({"checkpoint_s": float("nan")}, "checkpoint_s takes a number of seconds"),
        ({"retrain": True}, "with keep_weights only"),
        ({"grid": ["mlp"]}, "takes a grid or its jobs, not str; what aebench.load_grid gives"),
        ({"grid": "quikc"}, "did you mean 'quick'"),
        ({"results": ""}, "results takes the path of a folder, not ''"),
        ({"results": Store("x")}, "results takes the path of a folder, not <aebench.store.Store"),
    ],
)
def test_a_wrong_argument_is_told_before_anything_runs(
    ran: list[Any], tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    given = {"grid": aebench.load_grid(None, AXES), "results": tmp_path / "out"} | wrong
    with pytest.raises(RequestError, match=said):
        aebench.run(**given)
    assert not ran
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_findings_and_report_are_shown_in_a_notebook(
    ran: list[Any], tmp_path: Path, undrawn: None
) -> None:
    results = aebench.run(aebench.load_grid(None, AXES), tmp_path, progress=False)
    outcomes = aebench.findings(results)
    assert list(outcomes.table["finding"]) == [
        o.finding.id for o in aebench.findings(str(tmp_path))
    ]
    shown = outcomes._repr_html_()
    assert "<td>mlp-512</td>\n      <td>not tested</td>\n      <td>0.605</td>" in shown
    report = aebench.report(tmp_path)
    assert report.write(tmp_path / "page.html").read_text("utf-8") == report.html
    assert aebench.render(results, tmp_path / "two.html").read_text("utf-8") == report.html
    frame = report._repr_html_()
    assert frame.startswith('<iframe srcdoc="')
    assert frame.count("<") == 2  # the page is escaped, and cannot end its frame
    assert "allow-same-origin" not in frame
