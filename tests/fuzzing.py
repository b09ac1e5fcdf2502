"""What the fuzz tests share: how many examples there are, and a command line that is watched.

`AEBENCH_FUZZ=1000` gives every test a thousand examples, others each time (`noxfile.py -s fuzz`);
without it a test has a few, the same each time, so that the suite's answer is always the same.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings

EXAMPLES = int(os.environ.get("AEBENCH_FUZZ") or 0)
LONGEST_S = 60  # an answer that takes longer is none: something waits for ever
CODES = {0, 1, 2, 130}

# What writes, of the events that Python tells an audit hook, and which arguments are paths.
_WRITES = {
    "os.mkdir": (0,), "os.remove": (0,), "os.rmdir": (0,), "os.rename": (0, 1), "os.link": (1,),
    "os.symlink": (1,), "os.truncate": (0,), "os.chmod": (0,), "shutil.rmtree": (0,),
}  # fmt: skip
_HARMLESS = ("/dev/null", "/dev/full", "/proc/self/", "/dev/tty")


def fuzzed(examples: int) -> Callable[[Any], Any]:
    """Settings of a fuzz test that has so many examples by default."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        deadline=None,
        # The suite shows a failure as it was found; to make it smaller may take minutes.
        phases=[Phase.explicit, Phase.reuse, Phase.generate, *([Phase.shrink] if EXAMPLES else [])],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@dataclass(frozen=True)
class Answer:
    """What a command gave back; `beyond` tells what it tried to do outside its folder."""

    code: object
    out: str
    err: str
    beyond: tuple[str, ...]
    trace: str

    def check(self) -> None:
        """Hold what every command promises, whatever it was given."""
        assert not self.trace, self.trace
        assert self.code in CODES, f"exit code {self.code}\n{self.err}"
        assert "Traceback" not in self.out + self.err, self.err
        assert not self.beyond, self.beyond
        if self.code == 2:
            assert (self.err + self.out).strip(), "refused without a word"


class _Watch:
    """Told by Python of every file that is opened; it forbids what leaves the folder."""

    folder: Path | None = None

    def __init__(self) -> None:
        self.beyond: list[str] = []
        sys.addaudithook(self)  # for ever: there is no way to take one off

    def __call__(self, event: str, given: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        if event in ("socket.connect", "subprocess.Popen"):
            raise ConnectionRefusedError(f"{event}: not in a fuzz test")
        if event == "open":
            path, mode, flags = given
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if flags else 0
            if not (writes or set(str(mode or "")) & set("wax+")):
                return
            paths = [path]
        elif event in _WRITES:
            paths = [given[index] for index in _WRITES[event]]
        else:
            return
        for path in paths:
            if not isinstance(path, str | bytes | os.PathLike):
                continue  # an open file
            name = os.path.abspath(os.fsdecode(path))
            if "__pycache__" in name or name.startswith(sys.pycache_prefix or "\0"):
                continue  # what Python compiles, wherever it is told to keep it
            if event == "open" and name.startswith(_HARMLESS):
                continue
            if event == "os.mkdir" and os.path.isdir(name):
                continue  # it is there, and stays as it is
            if not Path(name).is_relative_to(self.folder):
                self.beyond.append(f"{event} {name}")
                raise PermissionError(13, "outside the folder of a fuzz test", name)


_watch = _Watch()


class World:
    """A folder with a home, a data cache and a current folder that is made anew for each example.

    What lies in `template` is in the current folder when a command starts.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.template = base / "template"
        self.here = base / "a" / "b" / "here"
        self.template.mkdir()
        self.here.mkdir(parents=True)
        for name in ("home", "data", "tmp"):
            (base / name).mkdir()

    def renewed(self) -> Path:
        """The current folder, as the template has it."""
        os.chdir(self.base)
        shutil.rmtree(self.here)
        shutil.copytree(self.template, self.here, symlinks=True)
        os.chdir(self.here)
        return self.here

    def answer(self, *words: str) -> Answer:
        """Run ``aebench WORDS`` in this process and the current folder, under watch."""
        from aebench.cli import main

        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in _ERRORS)
        kept = sys.argv, sys.stdout, sys.stderr
        sys.argv, sys.stdout, sys.stderr = ["aebench", *words], out, err
        code: object = 0
        trace = ""
        _watch.beyond, _watch.folder = [], self.base
        try:
            with bounded(self.here):
                main()
        except SystemExit as end:
            code = 0 if end.code is None else end.code
        except BaseException:
            trace = traceback.format_exc()
        finally:
            _watch.folder = None
            sys.argv, sys.stdout, sys.stderr = kept
        texts = []
        for stream in (out, err):
            stream.flush()
            texts.append(stream.buffer.getvalue().decode("utf-8"))  # type: ignore[attr-defined]
        return Answer(code, *texts, tuple(_watch.beyond), trace)


# As Python opens them: what stdout cannot say is an error, stderr says it in other letters.
_ERRORS = ("strict", "backslashreplace")


@contextmanager
def bounded(folder: Path) -> Iterator[None]:
    """Raise where the block takes too long, or reads from a named pipe below `folder`.

    Code in C is not interrupted by a signal, so whoever waits at a pipe is let go by a thread.
    """

    def late(*_: object) -> None:
        raise AssertionError(f"no answer within {LONGEST_S} s")

    waited: list[str] = []
    done = threading.Event()

    def let_go() -> None:
        while not done.wait(3):
            for path in folder.rglob("*"):
                with contextlib.suppress(OSError):  # no such pipe, or nobody who reads from it
                    if path.is_fifo():
                        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
                        waited.append(path.name)

    if not hasattr(signal, "setitimer"):
        yield
        return
    handler = signal.signal(signal.SIGALRM, late)
    left, _ = signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
    thread = threading.Thread(target=let_go, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, left)  # pytest's own limit goes on
    assert not waited, f"waits for whoever writes to {waited[0]}"


@contextmanager
def world(base: Path, patch: Any) -> Iterator[World]:
    """A world below `base` whose registries and environment end with it; nothing is trained."""
    from aebench import architectures
    from aebench.datasets import catalogue
    from aebench.executors import local

    def trains(*_: object, **__: object) -> None:
        raise SystemExit(0)  # as far as a test goes: the request was a right one

    made = World(base)
    patch.setattr(architectures.registry, "_registry", dict(architectures.registry._registry))
    patch.setattr(catalogue, "_INFOS", dict(catalogue._INFOS))
    patch.setattr(catalogue, "_LOADERS", dict(catalogue._LOADERS))
    patch.setattr(local, "run", trains)
    patch.setattr(tempfile, "tempdir", str(base / "tmp"))
    for name in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR"):
        patch.setenv(name, str(base / "home"))
    patch.setenv("TMPDIR", str(base / "tmp"))
    patch.setenv("AEBENCH_DATA", str(base / "data"))
    patch.setenv("COLUMNS", "200")
    before = Path.cwd()
    try:
        yield made
    finally:
        os.chdir(before)


# What no terminal should be sent: all control characters but the end of a line and a tab.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def controls(text: str) -> list[str]:
    """Characters in `text` that would steer a terminal, or turn its letters round."""
    return sorted(set(_CONTROLS.findall(text)))
