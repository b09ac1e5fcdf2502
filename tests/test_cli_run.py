"""``aebench run`` as a user meets it: planned, in parts, and how it ends."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import COMMAND, environment
from test_report_records import failure, record, stored

from aebench import engines
from aebench.grid import load_grid
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
