"""What `aebench run` is told of a cluster, without one: files, refusals, scripts; and `status`."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from aebench.cli import cluster
from aebench.cli.example import examples
from aebench.errors import RequestError
from aebench.executors import Listener, on_slurm
from aebench.executors.leases import Leases
from aebench.job import Job
from aebench.records import Circumstances, ended_without_record
from aebench.store import Store
from aebench.worker import run_job

Invoke = Callable[..., tuple[int, str, str]]
WORDS = ["run", "--dataset", "digits", "--architecture", "mlp", "--latent", "2..5"]


def refused(invoke: Invoke, *words: str) -> str:
    code, out, told = invoke(*WORDS, *words)
    assert (code, out) == (2, "")
    return " ".join(told.split())


def written(tmp_path: Path, text: str) -> str:
    file = tmp_path / "cluster.toml"
    file.write_text(text, "utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--on", "slurm=here"], "takes no address"),
        (["--on", "pbs"], "takes ray, ray=ADDRESS or slurm"),
        (["--wait"], "--wait is of use with --on slurm only"),
        (["--on", "ray", "--wait"], "--wait is of use with --on slurm only"),
        (["--cluster", "c.toml"], "--cluster is of use with --on slurm only"),
        (["--cpus-per-job", "2"], "--cpus-per-job is of use with --on only"),
        (["--gpus-per-job", "2"], "--gpus-per-job is of use with --on only"),
        (["--on", "slurm", "--print-sbatch"], "instead of --on"),
        (["--print-sbatch", "--wait"], "--wait is of use with --on slurm only"),
        (["--print-sbatch", "--shard", "1/4"], "shares out the whole grid"),
        (["--shard", "$I/$N"], "is for --print-sbatch"),
        (["--on", "slurm", "--budget", "1h"], "--budget is not for --on slurm"),
        (["--on", "slurm", "--report"], "needs --wait"),
        (["--print-sbatch", "--report"], "every task"),
        (["--on", "slurm", "--cluster", "none.toml"], "aebench example cluster > none.toml"),
    ],
)
def test_what_cannot_be_meant_of_a_cluster_is_refused(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: True)
    assert said in refused(invoke, *words)


@pytest.mark.parametrize(("kind", "package"), [("ray", "Ray"), ("slurm", "submitit")])
def test_without_its_extra_a_cluster_is_asked_for_in_vain(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, kind: str, package: str
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)
    told = refused(invoke, "--on", kind)
    assert f"needs {package}" in told
    assert f"pip install 'aebench[{kind}]'" in told
    assert ("--print-sbatch" in told) == (kind == "slurm")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("partitoin = 'gpu'", "unknown key 'partitoin'; did you mean 'partition'?"),
        ("cpus = 0", "cpus takes a whole number from 1 on, not 0"),
        ("cpus = true", "cpus takes a whole number from 1 on, not True"),
        ("gpus = -1", "gpus takes a whole number from 0 on"),
        ("tasks = 1.5", "tasks takes a whole number"),
        ("time = 4", 'time takes a time like "4h", not 4'),
        ("time = '4 hours'", "time takes a time like 10m, 90s or 1h, not '4 hours'"),
        ('partition = "a\\nb"', "partition takes a text in one line"),
        ("memory = ' '", "memory takes a text in one line"),
        ("setup = 'module load x'", "setup takes a list of lines of shell"),
        ("setup = ['a\\nb', 3]", "setup takes a list of lines of shell"),
        ("sbatch = 3", "sbatch takes a table [sbatch] of options"),
        ("[sbatch]\nx = [1]", "sbatch.x takes a text, a whole number or true"),
        ("[sbatch]\n'x y' = 1", "sbatch has no option --x y"),
        ("cpus = ", "is not valid TOML"),
    ],
)
def test_mistakes_in_a_cluster_file_are_named(
    invoke: Invoke, tmp_path: Path, text: str, said: str
) -> None:
    assert said in refused(invoke, "--print-sbatch", "--cluster", written(tmp_path, text))


def test_all_mistakes_in_a_cluster_file_are_named_at_once(invoke: Invoke, tmp_path: Path) -> None:
    told = refused(invoke, "--print-sbatch", "--cluster", written(tmp_path, "cpus = 0\nzeit = 1"))
    assert "cpus takes" in told
    assert "unknown key 'zeit'" in told


def directives(script: str) -> dict[str, str]:
    lines = [line.removeprefix("#SBATCH --") for line in script.splitlines() if "#SBATCH" in line]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_a_script_asks_for_what_the_file_and_the_options_say(
    invoke: Invoke, tmp_path: Path
) -> None:
    file = written(
        tmp_path,
        'partition = "main"\ntime = "90m"\ncpus = 4\nmemory = "2G"\ntasks = 3\n'
        'setup = ["module load x"]\n[sbatch]\nexclusive = true\nnice = 10\nhold = false\n',
    )
    words = [f"--cluster={file}", "--workers", "2", "--shard", "$I/$N", "--cpus-per-job", "8"]
    code, script, _ = invoke(*WORDS, *words, "--print-sbatch", "--results", "a b")
    assert code == 0
    assert directives(script) == {
        "job-name": "aebench", "array": "1-3%2", "requeue": "", "time": "90",
        "cpus-per-task": "8", "mem": "2G", "partition": "main", "exclusive": "", "nice": "10",
    }  # fmt: skip
    lines = script.splitlines()
    assert lines[0] == "#!/bin/bash"
    assert lines[-1] == (
        "exec aebench run --dataset digits --architecture mlp --latent 2..5 --results 'a b'"
        ' --shard "$I/$N"'
    )
    assert lines.index("module load x") < lines.index(f"cd {Path.cwd()} || exit 1")
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


def test_a_task_holds_a_gpu_where_its_jobs_use_one(invoke: Invoke, tmp_path: Path) -> None:
    def gpus(*words: str) -> str | None:
        code, script, told = invoke(*WORDS, "--print-sbatch", *words)
        assert code == 0, told
        return directives(script).get("gpus-per-node")

    assert gpus("--device", "cpu") is None
    assert gpus("--device", "cuda") == "1"
    assert gpus("--device", "cuda", "--gpus-per-job", "2") == "2"
    two = written(tmp_path, "gpus = 2")
    assert gpus("--cluster", two) == "2"  # without --device its jobs are for them
    told = refused(invoke, "--print-sbatch", "--cluster", two, "--device", "cpu")
    assert "2 GPUs, and no job uses one" in told
    none = written(tmp_path, "gpus = 0")
    told = refused(invoke, "--print-sbatch", "--cluster", none, "--device", "cuda")
    assert "need a GPU, and gpus is 0" in told


def test_the_example_is_a_cluster_file(invoke: Invoke, tmp_path: Path) -> None:
    text = examples()["cluster"]
    keys = set(tomllib.loads(text))
    commented = {line[2:].partition(" = ")[0] for line in text.splitlines() if " = " in line[:20]}
    assert keys | commented >= set(cluster._KEYS) - {"sbatch"}
    code, script, _ = invoke(*WORDS, "--print-sbatch", "--cluster", written(tmp_path, text))
    assert code == 0
    assert directives(script)["partition"] == "gpu"
    assert directives(script)["time"] == "240"


def submitted(folder: Path, tasks: dict[str, list[str]]) -> None:
    (folder / on_slurm.FOLDER).mkdir(parents=True)
    made = on_slurm.Submission("7", "2026-01-01T00:00:00+00:00", tasks)
    (folder / on_slurm.FOLDER / "7.json").write_text(json.dumps(asdict(made)), "utf-8")


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = Store(tmp_path_factory.mktemp("records"))
    for latent in (2, 3, 4, 5):
        store.write(run_job(Job("mlp", "digits", latent, epochs=1)))
    return store.path


@pytest.fixture
def trained(records: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(records, tmp_path / "there"))


def test_status_of_a_folder_without_clusters(invoke: Invoke, trained: Path) -> None:
    code, out, _ = invoke("status", str(trained))
    assert (code, out) == (0, f"{trained}: 4 records: 4 ok\n")
    held = Leases(Store(trained).parts)
    assert held.take("a1")
    assert "1 job in training" in invoke("status", str(trained))[1]
    assert json.loads(invoke("status", str(trained), "--format", "json")[1])["training_here"] == [
        "a1"
    ]
    held.close()
    assert "in training" not in invoke("status", str(trained))[1]


def test_status_tells_what_tasks_have_left_undone(
    invoke: Invoke, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = sorted(Store(trained).statuses())
    submitted(trained, {"7_0": keys[:2], "7_1": [*keys[2:], "x1"], "7_2": ["x2", "x3"]})
    monkeypatch.setattr(on_slurm, "queue", lambda: {"7_2": "RUNNING", "8_1": "PENDING"})
    code, out, _ = invoke("status", str(trained))
    assert code == 0  # one of its tasks goes on
    said = " ".join(out.split())
    assert "4 of 7 jobs recorded (4 ok); tasks: 1 running of 3 in the queue" in said
    assert "task 7_1 is over and left 1 job undone" in said
    assert "7_2" not in said
    monkeypatch.setattr(on_slurm, "queue", dict)
    code, out, _ = invoke("status", str(trained))
    assert code == 1
    assert "task 7_2 is over and left 2 jobs undone" in " ".join(out.split())
    assert "again submits what is missing" in out
    code, out, _ = invoke("status", str(trained), "--format", "json")
    (array,) = json.loads(out)["array_jobs"]
    assert array["undone"] == {"7_1": ["x1"], "7_2": ["x2", "x3"]}


def test_status_where_slurm_is_not_to_be_asked(
    invoke: Invoke, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submitted(trained, {"7_0": ["x1"]})
    monkeypatch.setenv("PATH", str(trained))
    code, out, _ = invoke("status", str(trained))
    assert code == 0
    assert "this machine has no Slurm" in " ".join(out.split())
    assert "undone" not in out


def test_what_a_task_asks_is_the_same_by_script_and_by_submitit(
    invoke: Invoke, tmp_path: Path
) -> None:
    """`hold = false` is no option at all, where `hold=False` would be a wrong one."""
    words = ["--cluster", written(tmp_path, "cpus = 2\n[sbatch]\nhold = false\nnice = 3\n")]
    said = {"cluster": tmp_path / "cluster.toml", "cpus_per_job": None, "gpus_per_job": None}
    made = cluster.allocation(cluster.asked(said), [])
    assert made.options() == {"requeue": True, "cpus-per-task": 2, "nice": 3}
    script = directives(invoke(*WORDS, "--print-sbatch", *words)[1])
    assert script.keys() - {"job-name", "array", "time"} == made.options().keys()


def test_a_wait_outlasts_a_controller_that_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Job("mlp", "digits", 2)
    store, asked = Store(tmp_path), []

    def restarted() -> dict[str, str]:
        asked.append(len(asked))
        if asked[-1] == 0:
            raise RequestError("Slurm does not answer")
        store.write(ended_without_record(one, Circumstances(), "failed", "why", 1.0))
        return {}

    monkeypatch.setattr(on_slurm, "queue", restarted)
    monkeypatch.setattr(on_slurm, "_ASK_S", 0.0)
    store.prepare()
    made = on_slurm.Submission("7", "2026-01-01T00:00:00+00:00", {"7_0": [one.key]})
    assert on_slurm._wait([one], store, made, Listener(), {})
    assert asked == [0, 1]


@pytest.mark.parametrize(
    "text", ["{", "[1]", '{"number": 1}', '{"number": "1", "submitted_at": "x", "tasks": [1]}']
)
def test_a_file_that_tells_of_no_array_job_is_named(
    invoke: Invoke, trained: Path, text: str
) -> None:
    submitted(trained, {"7_0": ["x1"]})
    (trained / on_slurm.FOLDER / "8.json").write_text(text, "utf-8")
    code, _, told = invoke("status", str(trained))
    assert code == 2
    assert "8.json tells of no array job" in " ".join(told.split())


def test_status_of_nothing_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    code, _, told = invoke("status", str(tmp_path / "nowhere"))
    assert code == 2
    assert "nothing was submitted" in " ".join(told.split())
