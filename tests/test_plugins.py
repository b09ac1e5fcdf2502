"""A stranger's own autoencoder, in a file of their own, from import to record."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from aebench import architectures
from aebench.errors import RequestError
from aebench.grid import load_grid
from aebench.job import Job
from aebench.plugins import load_plugins
from aebench.records import Circumstances
from aebench.worker import run_job

# Under ten lines and no fork.
TINY = '''
import aebench
from collections import OrderedDict
from torch import nn
@aebench.architecture("tiny")
def tiny(shape, latent, depth):
    """One linear layer each way."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(shape[1] * shape[2], latent))
    decoder = nn.Sequential(nn.Linear(latent, shape[1] * shape[2]), nn.Unflatten(1, shape))
    return nn.Sequential(OrderedDict(encoder=encoder, decoder=decoder))
'''.strip()


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("aebench_plugin_"):
            del sys.modules[name]


@pytest.fixture
def where(tmp_path: Path) -> Circumstances:
    return Circumstances(data=tmp_path / "data")


def write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return str(path)


def test_an_architecture_of_under_ten_lines_trains(tmp_path: Path, where: Circumstances) -> None:
    assert len(TINY.splitlines()) < 10
    load_plugins([write(tmp_path / "tiny.py", TINY)])
    table = {"architecture": "tiny", "dataset": "digits", "latent": 4, "epochs": 1}
    (job,) = load_grid(None, table).jobs
    record = run_job(job, where)
    row = record.job
    assert (row["status"], row["reason"]) == ("ok", "")
    assert (row["bottleneck"], row["parameters"]) == (4, 2 * 64 * 4 + 64 + 4)
    assert row["steps"] == 9
    assert 0 < row["mse"] < 1
    assert len(record.epochs) == 1
    assert "reconstruction" in {row["kind"] for row in record.samples}


def test_a_plugin_is_loaded_once_and_its_namesake_too(tmp_path: Path) -> None:
    one = write(tmp_path / "a" / "model.py", TINY)
    two = write(tmp_path / "b" / "model.py", TINY.replace("tiny", "small"))
    load_plugins([one, one])
    load_plugins([two])
    assert {"tiny", "small"} <= set(architectures.names())


def test_two_plugins_may_not_take_one_name(tmp_path: Path) -> None:
    load_plugins([write(tmp_path / "one.py", TINY)])
    other = write(tmp_path / "two.py", TINY)
    for _ in range(2):  # a failed plugin is not taken for loaded at the second attempt
        with pytest.raises(RequestError, match="'tiny' exists already"):
            load_plugins([other])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import aebench\n\n1 / 0\n", r"bad\.py, line 3 fails when imported: ZeroDivisionError"),
        ("import no_such_module_of_anybody", r"line 1 fails when imported: ModuleNotFoundError"),
        ("def f(:\n", "fails when imported: SyntaxError"),
    ],
)
def test_a_plugin_that_fails_says_where(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path / "bad.py", text)
    for _ in range(2):
        with pytest.raises(RequestError, match=says):
            load_plugins([path])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import sys\nsys.exit(0)\n", r"ends\.py ends the program \(0\) when imported"),
        ("raise SystemExit\n", r"ends\.py ends the program when imported"),
        (
            "import argparse\nparser = argparse.ArgumentParser('theirs')\n"
            "parser.add_argument('needed')\nparser.parse_args()\n",
            r"ends\.py ends the program \(2\) when imported: put .* `if __name__ == \"__main__\":`",
        ),
    ],
)
def test_a_plugin_that_ends_the_program_is_named(
    tmp_path: Path, text: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RequestError, match=says):
        load_plugins([write(tmp_path / "ends.py", text)])
    assert capsys.readouterr().err == ""  # not the usage text of another program


def test_a_command_ended_by_its_plugin_was_a_wrong_request(tmp_path: Path, invoke: Any) -> None:
    path = write(tmp_path / "ends.py", "import sys\nsys.exit(0)\n")
    code, out, err = invoke("run", "--plugin", path, "--plan")
    assert (code, out) == (2, "")
    assert "ends.py ends the program" in err


def test_a_plugin_reads_no_words_of_ours_and_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["aebench", "run", "--latent", "4"])
    text = (
        "import argparse, logging, sys\nsys.stderr.write('made ready\\n')\n"
        "log = logging.getLogger('of a plugin')\nlog.addHandler(logging.StreamHandler())\n"
        "parser = argparse.ArgumentParser()\nparser.add_argument('--latent', default='own')\n"
        "given = parser.parse_args()\n"
    )
    load_plugins([write(tmp_path / "reads.py", text)])
    assert sys.argv[1] == "run"
    (plugin,) = (m for n, m in sys.modules.items() if n.startswith("aebench_plugin_reads"))
    assert plugin.given.latent == "own"
    plugin.log.warning("later")
    assert capsys.readouterr().err == "made ready\nlater\n"


def test_a_plugin_that_is_not_there_or_no_python(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"no plugin file at .*none\.py"):
        load_plugins([str(tmp_path / "none.py")])
    for odd in ("x" * 300 + ".py", "a\0b.py"):
        with pytest.raises(RequestError, match=r"cannot read the plugin|no plugin file at"):
            load_plugins([odd])
    with pytest.raises(RequestError, match="is no Python file"):
        load_plugins([write(tmp_path / "notes.txt", TINY)])


def test_random_numbers_of_a_model_depend_on_the_job_alone(
    tmp_path: Path, where: Circumstances
) -> None:
    noisy = TINY.replace("nn.Flatten(),", "nn.Flatten(), nn.Dropout(),")
    load_plugins([write(tmp_path / "noisy.py", noisy)])
    job = Job("tiny", "digits", 4, epochs=1)
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first = run_job(job, where).job["mse"]
    assert torch.equal(torch.rand(1), expected)  # and the caller's are left alone
    assert run_job(job, where).job["mse"] == first


def test_a_model_that_ends_in_nan_has_diverged(tmp_path: Path, where: Circumstances) -> None:
    # The loss of a step is that of the weights before it, so the last step may break them unseen.
    text = TINY + (
        "\nclass Breaks(nn.Sequential):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x) * (1 if self.training else float('nan'))\n"
    )
    text = text.replace("return nn.Sequential(Ord", "return Breaks(Ord")
    load_plugins([write(tmp_path / "breaks.py", text)])
    row = run_job(Job("tiny", "digits", 4, epochs=1), where).job
    assert row["status"] == "diverged"
    assert "test error" in row["reason"]


def test_a_plugin_that_ends_the_process_itself_is_named(tmp_path: Path) -> None:
    (tmp_path / "ends.py").write_text("import os\nos._exit(0)\n")
    before = os._exit
    with pytest.raises(RequestError, match=r"ends\.py ends the program"):
        load_plugins([str(tmp_path / "ends.py")])
    assert os._exit is before
