"""Real runs in a terminal: stopped, killed, and out of room."""

from __future__ import annotations

import os
import re
import select
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
from test_cli_run import MLP, WAITING
from test_report_records import record, stored

from aebench.executors import child, warming
from aebench.job import Job
from aebench.records import Circumstances
from aebench.store import Store


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


@pytest.mark.slow
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


@pytest.mark.slow
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
