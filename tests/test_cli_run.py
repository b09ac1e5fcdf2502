"""``aebench run`` as a user meets it: on a terminal, stopped and continued, planned, in parts."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, environment
from test_report_records import failure, record, stored

from aebench import engines
from aebench.executors import child, warming
from aebench.grid import load_grid
from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Store

EAGER = ["--device", "cpu", "--engine", "eager"]
MLP = ["--architecture", "mlp", "--dataset", "digits", *EAGER]
# A model whose training waits, so that what happens meanwhile does not depend on the machine.
WAITING = '''
import time
from pathlib import Path
from torch import nn
import aebench


class Model(nn.Module):
    def __init__(self, pixels, latent):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, latent))
        self.decoder = nn.Sequential(nn.Linear(latent, pixels), nn.Unflatten(1, (1, 8, 8)))

    def forward(self, images):
        while self.training and not Path("go").exists():
            time.sleep(0.05)
        return self.decoder(self.encoder(images))


@aebench.architecture("waiting")
def build(shape, latent, depth):
    """A linear model that trains once there is a file called `go`."""
    return Model(shape[1] * shape[2], latent)
'''


# Requests


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--latent", "4,"], "latent"),
        (["--latent", "1.5"], "whole number of at least 1"),
        (["--latent", "9..4"], "empty"),
        (["--latent"], "requires an argument"),
        (["--seeds", "0"], "--seeds"),
        (["--workers", "0"], "--workers"),
        (["--timeout", "0"], "--timeout"),
        (["--learning-rate", "nan"], "learning_rate"),
        (["--device", "cpu:1"], "auto, cpu, cuda or cuda:N"),
        (["--device", "cuda:99"], "CUDA device"),
        (["--shard", "half"], "like 1/4"),
        (["--on", "slurm=x"], "takes no address"),
        (["--on", "ray="], "takes ray, ray=ADDRESS or slurm"),
        (["--on", "ray", "--checkpoint", "1m"], "lost with the node"),
        (["--on", "ray", "--budget", "1h"], "needs --workers"),
        (["--cpus-per-job", "2"], "with --on only"),
        (["--gpus-per-job", "2"], "with --on only"),
        (["--shard", "1/0"], "like 1/4"),
        (["--plugin", "missing.py"], "no plugin file"),
        (["--plugin", "broken.py"], "broken.py, line 1 fails"),
        (["--results", "file"], "cannot write results to"),
        (["--results", "file/below"], "file/below (Not a directory)"),
        (["--latents", "4"], "No such option"),
        (["stray"], "stray"),
        (["--option", "hidden"], "takes a name and its values, like width=16,32, not 'hidden'"),
        (["--option", "hidden="], "takes a name and its values"),
        (["--option", "hidden=3,"], "--option hidden"),
        (["--option", "hidden=3", "--option", "hidden=4"], "hidden is given twice; write its"),
        (["--option", "hiden=3"], "did you mean 'hidden'"),
        (["--option", "hidden=many"], "option hidden takes whole numbers joined by -"),
        (["--option", "hidden=3"], "an mlp of depth 1 has none: give a greater depth"),
        (["--optimizer", "adamww"], "did you mean 'adamw'"),
        (["--momentum", "0.9"], "momentum belongs to sgd and rmsprop"),
        (["--warmup", "2"], "warmup must be a number from 0 to 1, not 2"),
        (["--engine", "native", "--optimizer", "sgd"], "'native' trains by plain Adam"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_message_and_leaves_nothing(
    words: list[str], said: str, invoke
) -> None:
    Path("file").touch()
    Path("broken.py").write_text("import nothing_of_this_name")
    before = sorted(Path().iterdir())
    code, out, err = invoke("run", *MLP, "--latent", "4", *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err
    assert sorted(p for p in Path().iterdir() if p.name != "__pycache__") == before


EMPTY = {
    "run": [
        *(["--dataset", ""], ["--dataset="], ["--dataset", " "], ["--dataset", "digits,,mnist"]),
        *(
            ["--grid", ""],
            ["--results", ""],
            ["--data", ""],
            ["--plugin", ""],
            ["--latent", "1,,2"],
        ),
        *(["--architecture", ""], ["--architecture", "mlp,"], ["--engine", ",eager"]),
        *(["--protocol", ""], ["--device", ""], ["--shard", ""], ["--seeds", ""]),
    ],
    "show": [[""], ["--format", ""]],
    "findings": [["--only", ""], ["--only", "mlp-1,,mlp-512"]],
    "report": [["--output", ""], ["-o", ""]],
    "compare": [["", "runs"], ["runs", ""], ["runs", "runs", "--across", "engine,"]],
    "tune": [["runs", "--out", ""]],
    "data": [["list", "--data", ""], ["fetch", ""], ["add", "mnist", ""]],
    "": [[""]],
}


@pytest.mark.parametrize(
    ("command", "words"), [(c, words) for c, each in EMPTY.items() for words in each]
)
def test_what_is_empty_is_refused_and_named(command: str, words: list[str], invoke) -> None:
    """Not the current folder, nor whatever an empty name may mean."""
    stored(Path("runs"), record("mlp", 4, dataset="digits", device="cpu"))
    before = sorted(Path().rglob("*"))
    code, out, err = invoke(*command.split(), *words)
    assert (code, out) == (2, "")
    said = " ".join(err.split())
    assert "empty" in said
    option = next((w.partition("=")[0] for w in words if w.startswith("-")), "argument")
    assert option in said
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dataset", "2024"], "unknown dataset '2024'"),
        (["--dataset", "1e5"], "unknown dataset '1e5'"),
        (["--architecture", "nan"], "unknown architecture 'nan'"),
        (["--engine", "1"], "unknown engine '1'"),
        (["--grid", "X.TOML"], "no grid file at X.TOML"),
        (["--timeout", "nan"], "--timeout"),
        (["--timeout", "inf"], "--timeout"),
        (["--seeds", "9" * 30], "seeds is how many"),
        (["--device", "cuda:" + "9" * 5000], "--device"),
        (["--device", "cuda:²"], "--device"),
        (["--shard", "1/" + "9" * 5000], "--shard"),
        (["--latent", "9" * 5000], "latent"),
        (["--results", "caf\udce9"], "--results holds bytes that are no UTF-8"),
        (["--dataset=\udcff"], "--dataset holds bytes that are no UTF-8"),
    ],
    ids=lambda value: ascii(" ".join(value))[:30] if isinstance(value, list) else "",
)
def test_words_are_names_and_numbers_where_they_should_be(
    words: list[str], said: str, invoke
) -> None:
    code, out, err = invoke("run", *MLP, "--latent", "4", *words, "--plan")
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def pictures(folder: str) -> None:
    """A folder of twenty small real images."""
    from PIL import Image
    from sklearn.datasets import load_digits

    Path(folder).mkdir()
    for i, image in enumerate(load_digits().images[:20]):
        Image.fromarray((image * 15).astype("uint8")).save(Path(folder, f"{i}.png"))


@pytest.mark.parametrize("name", ["2024", "nan", "mine,yours", "digits,old"])
def test_a_folder_may_be_called_as_it_likes(name: str, invoke) -> None:
    pictures(name)
    Path("X.TOML").write_text('architecture = "mlp"\nlatent = 4')
    for words in (["--architecture", "mlp", "--latent", "4"], ["--grid", "X.TOML"]):
        code, out, err = invoke(
            "run", *words, "--batch-size", "4", "--dataset", f"{name},digits", "--plan",
            "--data", "cache",
        )  # fmt: skip
        assert code == 0, err
        assert f"folder:{name.replace(',', '-')}-" in out
        assert "to do: 2 jobs" in out


# Plans


def test_a_plan_leaves_out_what_has_ended_and_what_cannot_exist(invoke) -> None:
    deep = {"dataset": "digits", "device": "cpu", "depth": 4}
    words = ["run", "--architecture", "mlp,conv", "--depth", "4", "--dataset", "digits",
             *EAGER, "--latent", "1..4", "--results", "runs", "--plan"]  # fmt: skip
    _, out, _ = invoke(*words)
    assert "to do: 4 jobs" in out
    assert "impossible: conv" in out
    stored(
        Path("runs"),
        *(record("mlp", k, **deep, row={"cpu_name": "another"}) for k in (1, 2)),
        failure("mlp", 3, **deep),
    )

    def most_s(out: str) -> float:
        """The upper end of the range of all jobs that are to do."""
        return float(re.search(r"jobs?, about (?:[\d.]+ s to )?([\d.]+) s", out)[1])

    _, later, _ = invoke(*words)
    assert "to do: 1 job, about" in later
    assert "1 job did not end ok; --retry-failed runs them again" in later
    assert most_s(later) < most_s(out)
    assert "to do: 2 jobs" in invoke(*words, "--retry-failed")[1]


def test_options_of_an_architecture_are_planned_as_systems_of_their_own(invoke) -> None:
    words = ["--depth", "2", "--option", "hidden=20,30-30", "--option", "activation=gelu,relu"]
    code, out, err = invoke("run", *MLP, "--latent", "4", *words, "--plan")
    assert (code, err) == (0, "")
    assert "digits mlp-4 depth 2 (activation=gelu hidden=20)" in out
    assert "digits mlp-4 depth 2 (hidden=20)" in out
    assert "to do: 2 jobs" in out
    assert "impossible: hidden gives the widths 30, 30, and an mlp of depth 2 takes 1" in out


def test_a_plan_says_which_engines_run_and_why(invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "trouble", lambda *_: "")
    Path("mine.py").write_text(WAITING)
    words = ["run", "--plugin", "mine.py", "--architecture", "mlp,waiting", "--dataset", "digits",
             "--latent", "1..3", "--depth", "1,2", "--device", "cpu", "--plan"]  # fmt: skip
    _, out, _ = invoke(*words)
    assert (
        "engines: eager 6 jobs (auto: what layers waiting has is not declared), native 6 jobs"
        " (auto: the fastest known for chains of layers on a CPU)"
    ) in " ".join(out.split())
    _, out, _ = invoke(*words, "--engine", "reference", "--latent", "1", "--depth", "1")
    assert "engines: reference 2 jobs (as given)" in " ".join(out.split())


def test_what_another_engine_has_trained_is_not_trained_again_unsaid(
    invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aebench.executors import local

    monkeypatch.setattr(engines, "trouble", lambda *_: "")
    digits = {"dataset": "digits", "device": "cpu"}
    stored(
        Path("runs"),
        *(record("mlp", k, **digits) for k in (1, 2)),
        record("mlp", 2, engine="reference", **digits),
        record("mlp", 3, engine="native", **digits),  # this very job: nothing to do
        record("mlp", 3, **digits),
        failure("mlp", 4, **digits),
    )
    words = ["run", "--architecture", "mlp", "--dataset", "digits", "--device", "cpu"]
    words += ["--latent", "1..5", "--results", "runs"]
    code, out, _ = invoke(*words, "--plan")
    said = " ".join(out.split())
    assert code == 0
    assert "2 of these jobs are here already, trained by eager with the same errors" in said
    assert "1 of these jobs is here already, trained by reference" in said
    assert "to do: 4 jobs" in said
    # With what it advises, these are not to do; and who names an engine wants that engine.
    assert "to do: 1 job," in " ".join(invoke(*words, "--plan", "--engine", "eager")[1].split())
    assert "here already" not in invoke(*words, "--plan", "--engine", "native")[1]
    # A run says it before it trains anything.
    monkeypatch.setattr(local, "run", lambda *_: True)
    _, _, err = invoke(*words)
    before, _, after = err.partition("engines: native 4 jobs (auto: ")
    assert "warning: 2 of these jobs are here already, trained by eager" in before
    assert after


# The end of a run


def test_a_record_that_cannot_be_read_is_missed(invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lost it: the end of a run believes records alone, not who says that it has run."""
    from aebench.executors import local

    store = Store(Path("runs"))

    def forgetful(jobs, _store, options, listener) -> bool:
        store.write(record("mlp", 1, dataset="digits", device="cpu"))
        torn = next(job for job in jobs if job.latent == 9)
        Path("runs/parts", f"{torn.key}.parquet").write_bytes(b"no Parquet")
        return True

    monkeypatch.setattr(local, "run", forgetful)
    code, out, err = invoke("run", *MLP, "--latent", "1..9", "--results", "runs")
    assert code == 1, err
    assert "digits mlp-1" in out, err
    said = " ".join(err.split())
    assert "8 of 9 jobs have no readable record in runs" in said
    named = re.search(r"cannot be read\): (.*?) and 3 more", said)
    assert len(re.findall(r"digits mlp-[2-9]", named[1])) == 5
    assert "unreadable" in said
    # The second time it is there from the beginning, and told then, not once more at the end.
    again = invoke("run", *MLP, "--latent", "1..9", "--results", "runs")[2]
    assert again.count("unreadable") == 1

    def forgetful_of_all(*_: object) -> bool:
        shutil.rmtree("runs")
        return True

    monkeypatch.setattr(local, "run", forgetful_of_all)
    code, _, err = invoke("run", *MLP, "--latent", "1..9", "--results", "runs")
    assert code == 1
    assert "9 of 9 jobs have no readable record" in err
    assert "Traceback" not in err


def test_what_cannot_exist_is_no_failure_for_ever(invoke) -> None:
    deep = {"dataset": "digits", "device": "cpu", "depth": 4}
    stored(Path("runs"), record("mlp", 4, **deep))
    words = ["run", "--dataset", "digits", *EAGER, "--latent", "4", "--depth", "4"]
    words += ["--results", "runs"]
    for more in ([], [], ["--retry-failed"]):
        code, out, err = invoke(*words, "--architecture", "mlp,conv", *more)
        assert code == 0, err
        assert "1 of 2 jobs cannot exist: conv" in err
        assert "--retry-failed" not in err
        assert "skipped: conv" in " ".join(out.split())
    code, _, err = invoke(*words, "--architecture", "conv")
    assert code == 2
    assert "greatest depth" in err
    # Alone in their part of a grid they are as impossible.
    shards = [invoke(*words, "--architecture", "mlp,conv", "--shard", f"{i}/64") for i in
              {1 + int(job.key, 16) % 64 for job in load_grid(None, {
                  "architecture": ["mlp", "conv"], **deep, "latent": 4, "engine": "eager"},
                  ).jobs}]  # fmt: skip
    assert sorted(code for code, _, _ in shards) == [0, 2]
    assert "nothing to run" in "".join(err for _, _, err in shards)


def test_thousands_of_jobs_are_counted_and_not_listed(
    invoke: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from aebench.cli import run

    words = ["run", *MLP, "--architecture", "mlp", "--latent", "2,3", "--epochs", "1", "-q"]
    code, out, _ = invoke(*words, "--results", "a b")
    assert (code, out.count("digits mlp-")) == (0, 2)
    monkeypatch.setattr(run, "_LISTED", 1)
    assert invoke(*words, "--results", "a b") == (
        0, "a b: 2 jobs, too many to list here; aebench show 'a b'\n", "",
    )  # fmt: skip


def test_a_plugin_that_goes_elsewhere_takes_no_record_with_it(tmp_path: Path) -> None:
    """When it is imported, by the run and by its worker, and when it builds a model."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "go").touch()
    (tmp_path / "g.toml").write_text("epochs = 1")
    leave = "import os\nos.chdir(os.environ['ELSEWHERE'])\n"
    (tmp_path / "plugins" / "mine.py").write_text(leave + WAITING.replace("go", "../go"))
    ended = subprocess.run(
        [*COMMAND, "run", *MLP, "--plugin", "plugins/mine.py", "--architecture", "waiting",
         "--latent", "2", "--grid", "g.toml", "--results", "out", "--data", "cache"],
        cwd=tmp_path, env=environment(ELSEWHERE=str(tmp_path / "elsewhere")),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert set(Store(tmp_path / "out").statuses().values()) == {"ok"}
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert "results: out" in ended.stderr


def test_plan_counts_what_is_there_and_parts_make_the_whole(invoke) -> None:
    stored(Path("runs"), *(record("mlp", k, dataset="digits", device="cpu") for k in (1, 2)))
    words = ["run", *MLP, "--latent", "1..9", "--results", "runs", "--plan"]

    def planned(*more: str) -> tuple[int, list[str]]:
        code, out, err = invoke(*words, *more)
        assert (code, err) == (0, "")
        jobs = int(re.search(r"to do: (\d+) jobs?", out)[1])
        return jobs, re.findall(r"digits mlp-\d+", out)

    to_do, systems = planned()
    assert (to_do, len(systems)) == (7, 9)
    parts = [planned("--shard", f"{i}/2") for i in (1, 2)]
    assert sum(jobs for jobs, _ in parts) == 7
    assert sorted(name for _, names in parts for name in names) == sorted(systems)
    assert all(names for _, names in parts)
    assert len(list(Path("runs/parts").iterdir())) == 2


def test_what_trains_nothing_loads_no_torch(tmp_path: Path) -> None:
    """Help, lists, plans, and the commands that read results; no plan leaves anything."""
    stored(tmp_path / "runs", *(record("mlp", 4, dataset="digits", seed=s) for s in (0, 1)))
    code = (
        "import sys\n"
        "from aebench.cli import main\n"
        "def aebench(*words):\n"
        "    sys.argv = ['aebench', *words]\n"
        "    try:\n        main()\n"
        "    except SystemExit as end:\n        code = end.code or 0\n"
        "    assert code in (0, 1), (words, code)\n"  # 1: not fit to compare
        "    assert 'torch' not in sys.modules, words\n"
        "aebench('--version')\n"
        "aebench('--help')\n"
        "aebench('data', 'list')\n"
        "aebench('run', '--grid', 'full', '--plan')\n"
        "aebench('run', *sys.argv[1:], '--latent', '4', '--plan')\n"
        "aebench('show', 'runs')\n"
        "aebench('show', 'runs', '--format', 'json')\n"
        "aebench('findings', 'runs')\n"
        "aebench('check', 'runs')\n"
        "aebench('compare', 'runs', 'runs')\n"
        "aebench('report', 'runs')\n"
    )
    code = code.replace("*sys.argv[1:]", ", ".join(map(repr, MLP)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "report: reports/runs.html" in done.stderr
    assert not (tmp_path / "results").exists()


# Real runs


class Terminal:
    """A command on a pseudo-terminal of its own, and all that it has shown."""

    def __init__(self, *words: str, cwd: Path, **changes: str) -> None:
        import pty

        self.screen, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=cwd,
            env=environment(COLUMNS="120", TERM="xterm-256color", **changes),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.screen)

    def wait_for(self, shown: str) -> None:
        """Read on until `shown` is shown, from now on."""
        self._read_until(lambda new: shown in new)

    def press_ctrl_c(self) -> None:
        """As the terminal does it: a signal to all processes in front."""
        os.killpg(self.process.pid, signal.SIGINT)

    def ended(self) -> int:
        """Read to the end, and give the exit code."""
        self._read_until(lambda _: False)
        return self.process.wait(timeout=30)

    def _read_until(self, enough: Callable[[str], bool]) -> None:
        start, end = len(self.shown), time.monotonic() + 100
        while not enough(self.shown[start:]):
            assert time.monotonic() < end, f"waited in vain: {self.shown}"
            if select.select([self.screen], [], [], 1)[0]:
                try:
                    read = os.read(self.screen, 65536)
                except OSError:  # how Linux says that nobody writes any more
                    read = b""
                if not read:
                    return
                self.shown += read.decode("utf-8", "replace")


def coloured(shown: str) -> bool:
    """Whether a control sequence chose a colour; bold and cursor movements are none."""
    chosen = (int(n) for s in re.findall(r"\x1b\[([\d;]*)m", shown) for n in s.split(";") if n)
    return any(30 <= n <= 49 or 90 <= n <= 107 for n in chosen)


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_bars_ctrl_c_and_the_same_command_again(tmp_path: Path) -> None:
    (tmp_path / "waiting.py").write_text(WAITING)
    words = ["run", "--plugin", "waiting.py", *MLP, "--architecture", "waiting"]
    words += ["--latent", "1,2", "--epochs", "1"]
    store = Store(tmp_path / "results" / "custom")

    # Ctrl-C once: the running job is finished, no other begun, the last line tells how to go on.
    with Terminal(*words, cwd=tmp_path) as run:
        run.wait_for("digits waiting-")
        run.press_ctrl_c()
        run.wait_for("1 running job is finished first; Ctrl-C again kills it")
        (tmp_path / "go").touch()
        assert run.ended() == 130, run.shown
    assert "all jobs" in run.shown
    assert "━" in run.shown
    assert coloured(run.shown)
    assert "Traceback" not in run.shown
    last = run.shown.strip().splitlines()[-1]
    assert last == f"stopped with 1 job to go; to continue: aebench {' '.join(words)}"
    (first,) = store.read().jobs.itertuples()
    assert first.status == "ok"

    # The same command again runs what is missing, and nothing else.
    with Terminal(*words, cwd=tmp_path, NO_COLOR="1") as run:
        assert run.ended() == 0, run.shown
    assert "1 of 2 jobs are in results/custom already" in run.shown
    assert "1/1 job" in run.shown
    assert "━" in run.shown
    assert not coloured(run.shown)
    jobs = store.read().jobs.set_index("key")
    assert jobs["status"].tolist() == ["ok"] * 2
    assert jobs["started_at"][first.key] == first.started_at


def test_a_worker_whose_run_was_killed_stores_nothing_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run would leave out what is stored as failed."""

    class Tells(child._Channel):
        def __init__(self) -> None:
            self.ours, theirs = os.pipe()
            self._file = os.fdopen(theirs, "wb", buffering=0)

        def epoch(self, *words: Any) -> None:
            os.close(self.ours)  # the run is killed while its job trains
            super().epoch(*words)

    monkeypatch.setattr(warming, "warm_process", lambda: None)
    job, where = Job("mlp", "digits", 4, epochs=1), Circumstances(data=tmp_path / "data")
    asked = {"job": asdict(job), "where": asdict(where), "data": str(where.data), "code": None}
    tell = Tells()
    with pytest.raises(child.ParentGone):
        child.serve(tmp_path / "results", tell, [asked])
    tell._file.close()
    assert Store(tmp_path / "results").statuses() == {}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sets no limit on the size of files")
def test_a_full_disk_is_said_in_a_sentence_and_loses_nothing(tmp_path: Path) -> None:
    import resource

    results = tmp_path / "results"
    stored(results, record("mlp", 512, 0.6))
    Store(results).compact()  # so that the job's own record is the first that must be written
    before = len(Store(results).read().jobs)

    def no_room() -> None:  # files of 4 KiB at most: a record is larger, and its writing fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    words = [*MLP, "--latent", "2", "--epochs", "1", "--results", str(results)]
    ended = subprocess.run(
        [*COMMAND, "run", *words],
        cwd=tmp_path,
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=no_room,
    )
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "cannot write a record" in ended.stderr
    assert "run the same command again" in " ".join(ended.stderr.split())
    assert len(Store(results).read().jobs) == before
