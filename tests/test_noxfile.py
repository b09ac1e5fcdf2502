"""The arithmetic of the set-up in noxfile.py: nothing here installs anything."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOLD = ("AEBENCH_PYTHON", "AEBENCH_VENV", "AEBENCH_CONSTRAINTS", "CI")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout under a path with a space, in which set-up installs by writing down its calls."""
    for name in TOLD:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "a check out"
    folder.mkdir()
    for name in ("noxfile.py", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return load(folder, monkeypatch)


def load(folder, monkeypatch):
    spec = importlib.util.spec_from_file_location("noxfile_under_test", folder / "noxfile.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "nox", mock.MagicMock())  # the sessions are not meant here
    spec.loader.exec_module(module)
    module.calls = []

    def make_venv():
        module.calls.append("make")
        (module.VENV / "half").touch()

    # Whether an environment stands is read off a file, so that none has to be made.
    monkeypatch.setattr(module, "make_venv", make_venv)
    monkeypatch.setattr(module, "install", lambda lock: module.calls.append("install"))
    monkeypatch.setattr(
        module, "venv_version", lambda: "3.11" if (module.VENV / "half").exists() else ""
    )
    monkeypatch.setattr(module, "NEEDED_GB", 0)
    return module


def run_noxfile(*arguments, python=sys.executable, **variables):
    env = {name: value for name, value in os.environ.items() if name not in TOLD}
    return subprocess.run(
        [python, ROOT / "noxfile.py", *arguments],
        check=False,
        env=env | {name: str(value) for name, value in variables.items()},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_set_up_happens_once(checkout):
    assert checkout.interpreter() == str(checkout.PYTHON)
    assert checkout.interpreter() == str(checkout.PYTHON)
    assert checkout.calls == ["make", "install"]


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_dependencies_are_installed_into_the_same_environment(checkout, name):
    checkout.interpreter()
    with (checkout.ROOT / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    checkout.interpreter()
    assert checkout.calls == ["make", "install", "install"]


def test_moved_checkout_is_brought_up_to_date(checkout, monkeypatch):
    checkout.interpreter()
    moved = load(checkout.ROOT.rename(checkout.ROOT.with_name("moved")), monkeypatch)
    moved.interpreter()
    assert moved.calls == ["install"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"CI": "true"}, True),
        ({"CI": "false"}, False),
        ({"AEBENCH_CONSTRAINTS": "1"}, True),
        ({"CI": "true", "AEBENCH_CONSTRAINTS": "0"}, False),
    ],
)
def test_constraints_are_for_ci_and_on_request(checkout, monkeypatch, variables, expected):
    free = checkout.stamp("3.11")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert checkout.constrained() is expected
    assert (checkout.stamp("3.11") != free) is expected


def test_cut_install_is_made_again_from_nothing(checkout, monkeypatch):
    def cut(lock):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(checkout, "install", cut)
        with pytest.raises(SystemExit) as ended:
            checkout.interpreter()
    assert ended.value.code == 130
    (checkout.VENV / "torn").mkdir()
    assert not checkout.is_ready()
    checkout.interpreter()
    assert checkout.calls == ["make", "make", "install"]
    assert not (checkout.VENV / "torn").exists()


def test_new_python_under_the_environment_makes_it_again(checkout, monkeypatch):
    checkout.interpreter()
    monkeypatch.setattr(
        checkout, "venv_version", lambda: "3.12" if (checkout.VENV / "half").exists() else ""
    )
    checkout.interpreter()
    assert checkout.calls == ["make", "install"] * 2


def test_environment_made_by_someone_else_is_left_alone(checkout, capsys):
    checkout.VENV.mkdir()
    (checkout.VENV / "half").touch()
    with pytest.raises(SystemExit) as ended:
        checkout.interpreter()
    assert ended.value.code == 2
    assert (checkout.VENV / "half").exists()
    assert "was not made by this file" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="asks fcntl whether the lock is held")
def test_one_set_up_at_a_time(checkout):
    with checkout.locked(), checkout.VENV.with_name(".venv.lock").open("a+b") as second:
        assert not checkout.try_lock(second)
    with checkout.VENV.with_name(".venv.lock").open("a+b") as second:
        assert checkout.try_lock(second)


def test_full_disk_says_what_is_needed_and_what_is_there(checkout, capsys):
    checkout.check_disk(7.1, 7.0)
    with pytest.raises(SystemExit) as ended:
        checkout.check_disk(1.24, 7.0)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "needs 7.0 GB" in told
    assert "1.2 GB are free" in told
    assert "AEBENCH_VENV" in told


def test_full_disk_is_found_before_anything_is_made(checkout, monkeypatch):
    monkeypatch.setattr(checkout, "NEEDED_GB", 1e6)
    with pytest.raises(SystemExit):
        checkout.interpreter()
    assert checkout.calls == []
    assert not checkout.VENV.exists()


def test_old_python_is_told_in_one_line(checkout, capsys):
    checkout.check_python((3, 11, 0))
    with pytest.raises(SystemExit) as ended:
        checkout.check_python((3, 10, 13))
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("aebench: needs Python 3.11 or later; this is 3.10")
    assert told.count("\n") == 1


def test_given_python_is_used_and_nothing_is_installed(tmp_path):
    pytest.importorskip("nox", reason="nox lists the sessions")
    done = run_noxfile("--list", AEBENCH_PYTHON=sys.executable, AEBENCH_VENV=tmp_path / "venv")
    assert done.returncode == 0, done.stderr
    assert "- tests ->" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_tests_keep_what_python_compiles_and_leave_nothing(tmp_path):
    pytest.importorskip("nox", reason="nox runs the session")
    told = tmp_path / "told"
    (tmp_path / "test_it.py").write_text(
        "import json, pathlib, sys\n"
        "def test_it():\n"
        "    found = [sys.dont_write_bytecode, sys.pycache_prefix]\n"
        f"    pathlib.Path({str(told)!r}).write_text(json.dumps(found))\n",
        encoding="utf-8",
    )
    words = ("-s", "tests", "--", "-p", "no:cacheprovider", tmp_path / "test_it.py")
    done = run_noxfile(*words, AEBENCH_PYTHON=sys.executable, PYTHONDONTWRITEBYTECODE=1)
    assert done.returncode == 0, done.stdout + done.stderr
    without, folder = json.loads(told.read_text(encoding="utf-8"))
    assert not without
    assert folder
    assert not Path(folder).exists()
    assert not (tmp_path / "__pycache__").exists()


def test_given_python_that_is_none_ends_with_a_word():
    done = run_noxfile("-s", "tests", AEBENCH_PYTHON="no-such-python")
    assert done.returncode == 2
    assert "AEBENCH_PYTHON=no-such-python is not an interpreter" in done.stderr


def test_help_names_every_session_and_needs_no_set_up(tmp_path):
    pytest.importorskip("nox", reason="nox lists the sessions")
    done = run_noxfile(AEBENCH_VENV=tmp_path / "venv")
    assert done.returncode == 0
    listed = run_noxfile("--list", AEBENCH_PYTHON=sys.executable).stdout
    sessions = re.findall(r"^- (\S+)", listed, re.MULTILINE)
    assert {"quickstart", "tests", "lint", "types"} <= set(sessions)
    assert {"bench-cpu", "bench-cuda", "bench-peers", "bench-compare"} <= set(sessions)
    assert "bench" not in sessions  # it did the same as bench-cpu
    assert [name for name in sessions if name not in done.stdout] == []


def test_saved_runs_come_oldest_first(checkout):
    folder = checkout.ROOT / ".benchmarks" / "Linux"
    folder.mkdir(parents=True)
    for age, name in enumerate(["0003_c.json", "0001_a.json", "0002_b.json"]):
        (folder / name).touch()
        os.utime(folder / name, (age, age))
    names = [path.name for path in checkout.saved_runs()]
    assert names == ["0003_c.json", "0001_a.json", "0002_b.json"]


def test_constraints_name_versions_only():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if not re.match(r"[a-z0-9-]+==[\w.]+( ; [^:/]+)?$", pin)] == []
    assert [pin for pin in pins if re.match(r"(torch|torchvision|triton|nvidia-|cuda-)", pin)] == []


CARELESS = {
    "heap-buffer-overflow": "new int[n - 1]",
    "signed integer overflow": "new int[n]{2147483647}",
}


@pytest.mark.compiler
@pytest.mark.parametrize("said", CARELESS)
def test_sanitizers_stop_what_reads_beyond_its_memory_or_overflows(said, checkout, tmp_path):
    if why := checkout.without_sanitizers():
        pytest.skip(why)
    source = tmp_path / "careless.cpp"
    source.write_text(
        f'extern "C" int f(int n) {{ int *p = {CARELESS[said]}; return p[n - 1] + p[0] + n; }}\n'
    )
    code = (
        "import sys; from pathlib import Path; from aebench.engines import compiler\n"
        "compiler.shared_library(Path(sys.argv[1])).f(2); print('unnoticed')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(source)],
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(tmp_path)}
        | checkout.sanitizers(),
        capture_output=True,
        text=True,
    )
    assert ran.returncode
    assert said in ran.stderr
    assert "unnoticed" not in ran.stdout


@pytest.mark.parametrize(
    ("cxx", "says"),
    [
        ("no-such-compiler", "there is no no-such-compiler: install g++"),
        ("echo clang version 15", "CXX is clang"),
        ("echo", "echo comes without the sanitizer of memory"),
    ],
)
def test_without_sanitizers_it_says_why(cxx, says, checkout, monkeypatch):
    monkeypatch.setenv("CXX", cxx)
    assert says in checkout.without_sanitizers()
