"""How a job ends, and who else computes meanwhile."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from test_worker import job

from aebench import interference, records, worker
from aebench.errors import RequestError

pytestmark = pytest.mark.usefixtures("one_thread")


class Quits(BaseException):
    def __str__(self) -> str:  # noqa: PLE0307
        sys.exit(0)


class Mute(Exception):
    def __str__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (ValueError("first\nsecond"), "failed", "ValueError: first"),
        (ValueError("a\0b \x1b[31m \udce9"), "failed", "ValueError: a\\x00b \\x1b[31m \\udce9"),
        (Mute(), "failed", "Mute: Mute that cannot be put into words"),
        (Quits(), "failed", "Quits: Quits that cannot be put into words"),
        (BaseException("own base"), "failed", "BaseException: own base"),
        (SystemExit(3), "failed", "SystemExit: 3"),
        (KeyboardInterrupt(), "failed", "KeyboardInterrupt"),
        (RequestError("say\x07 it"), "failed", "say\\x07 it"),
        (records.Diverged("nan"), "diverged", "nan"),
        (MemoryError(), "out_of_memory", "MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "out_of_memory",
         "DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)  # fmt: skip
def test_every_error_has_a_status_and_a_readable_reason(
    error: BaseException, status: str, reason: str
) -> None:
    assert records.ending(error) == {"status": status, "reason": reason}


def test_a_reason_is_bounded_and_keeps_the_place() -> None:
    try:
        raise ValueError("A" * 5_000_000)
    except ValueError as error:
        reason = records.ending(error)["reason"]
    assert len(reason) <= 500
    assert reason.startswith("ValueError: AAAA")
    assert reason.endswith(" in test_a_reason_is_bounded_and_keeps_the_place)")


def test_a_job_beside_another_of_ours_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # apart from whatever else runs here now
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import sys; from aebench import interference\n"
        "with interference.computing(): print('ready', flush=True); sys.stdin.read()"
    )
    assert not worker.run_job(job(epochs=1)).job["concurrent"]
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        assert interference.others() == 1
        assert worker.run_job(job(epochs=1)).job["concurrent"]
    finally:
        other.kill()
        other.communicate()
    assert interference.others() == 0
    assert not list((tmp_path / "aebench-computing").iterdir())


def test_what_a_killed_process_left_misleads_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(interference, "_folder", lambda: tmp_path)
    us = psutil.Process()
    parent = us.parent()
    assert parent is not None
    (tmp_path / f"{parent.pid}-{parent.create_time() - 60:.2f}").touch()  # its number, used again
    (tmp_path / f"{2**22 + 7}-1.00").touch()
    (tmp_path / "something else").touch()
    assert interference.others() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["something else"]
    with interference.computing():
        assert interference.others() == 0  # this process is no other
    (tmp_path / f"{parent.pid}-{parent.create_time():.2f}").touch()
    assert interference.others() == 1
