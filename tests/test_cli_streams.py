"""Full disks, closed streams, too little memory, folders that went away: one sentence each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
from command_line import COMMAND, environment
from test_report_records import record, stored

from aebench.cli import guard

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
needs_posix = pytest.mark.skipif(sys.platform == "win32", reason="streams are closed otherwise")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results/mine."""
    path = tmp_path_factory.mktemp("cwd")
    stored(path / "results" / "mine", record("mlp", 4, dataset="digits", device="cpu"))
    return path


def aebench(
    *words: str,
    cwd: Path,
    stdout: IO[str] | int = subprocess.PIPE,
    stderr: IO[str] | int = subprocess.PIPE,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        cwd=cwd, env=environment(), stdout=stdout, stderr=stderr, text=True, timeout=120,
        preexec_fn=before,
    )  # fmt: skip


@needs_full
@pytest.mark.parametrize(
    "words", [["show"], ["show", "--format", "json"], ["list", "grids"], ["--help"]], ids=" ".join
)
def test_a_full_disk_behind_stdout_is_one_sentence(words: list[str], folder: Path) -> None:
    with FULL.open("w") as full:
        done = aebench("-q", *words, cwd=folder, stdout=full)
    assert done.returncode == 1
    assert done.stderr == "aebench: writing the output: No space left on device\n"


@needs_full
@pytest.mark.parametrize(
    ("words", "code"),
    [(["show"], 0), (["show", "nowhere"], 2), (["no-command"], 2), (["show", "--no"], 2)],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_full_disk_behind_stderr_changes_no_exit_code(
    words: list[str], code: int, folder: Path
) -> None:
    with FULL.open("w") as full:
        done = aebench(*words, cwd=folder, stderr=full)
    assert done.returncode == code
    assert ("mlp-4" in done.stdout) == (code == 0)


@pytest.mark.slow
@needs_posix
def test_closed_streams_are_no_failure(folder: Path) -> None:
    """And no file of ours, a results table say, gets the number of one."""
    for closed in ((0,), (0, 1, 2)):

        def close(numbers: tuple[int, ...] = closed) -> None:
            for number in numbers:
                os.close(number)

        done = aebench("show", cwd=folder, before=close)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert ("mlp-4" in done.stdout) == (1 not in closed)


@needs_posix
@pytest.mark.skipif(sys.platform == "darwin", reason="macOS sets no limit on address space")
def test_too_little_memory_is_one_sentence(folder: Path) -> None:
    import resource

    def little() -> None:  # enough for Python and typer, not for pandas
        resource.setrlimit(resource.RLIMIT_AS, (200 * 2**20,) * 2)

    done = aebench("-q", "show", cwd=folder, before=little)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert said[-1].startswith("aebench: not enough memory"), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "not enough memory"),
        (OSError(12, "Cannot allocate memory"), "not enough memory"),
        (RuntimeError("can't start new thread"), "not enough memory"),
        (ImportError("x.so: failed to map segment from shared object"), "not enough memory"),
        (PermissionError(13, "Permission denied", "results/a\x1bb"), r"results/a\x1bb: Permission"),
        (OSError(28, "No space left on device"), "writing the output: No space left"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(
    error: Exception, said: str, invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aebench.cli import folders

    def refused(_: object) -> None:
        raise error

    monkeypatch.setattr(folders, "read", refused)
    code, out, err = invoke("show")
    assert (code, out) == (1, "")
    assert err.startswith(f"aebench: {said}")
    assert err.count("\n") == 1
    assert "Traceback" in invoke("-v", "show")[2]  # for whoever wants to know


def test_a_defect_of_ours_keeps_its_traceback(invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    from aebench.cli import folders

    def broken(_: object) -> None:
        raise KeyError("defect")

    monkeypatch.setattr(folders, "read", broken)
    with pytest.raises(KeyError):
        invoke("show")


@needs_posix
def test_a_current_folder_that_went_away(invoke) -> None:
    Path("gone").mkdir()
    os.chdir("gone")
    Path("../gone").rmdir()
    for words, said in ((["run"], "the current folder cannot be read"), (["show"], "no results")):
        code, out, err = invoke(*words)
        assert (code, out) == (2, "")
        assert said in err


def test_a_parser_short_of_memory_finds_mistakes_in_what_is_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guard, "_is_limited", lambda: True)
    mistakes = [SyntaxError("expected ':'"), SystemError("error return without exception set")]
    assert all(map(guard._short_of_memory, mistakes))
    monkeypatch.undo()
    assert not any(map(guard._short_of_memory, mistakes))
