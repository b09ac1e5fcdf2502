"""The C++ compiler of this machine: which one it is, and shared libraries made by it, once.

What is compiled is for this very processor, so a library is named by everything that it depends
on: sources, options, compiler, and the instructions that the compiler may use here. It is kept in a
folder that only this user can write to, apart from the data, since data are shared and copied
between machines and people; and its name holds its checksum, which is compared each time. Where
there is no such folder, or nothing can be run from it, the library is made in a temporary folder
and is gone with the process. No torch.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

from aebench.disk import user_caches, write_whole
from aebench.errors import RequestError, printable

_NAMES = ("c++", "g++", "clang++")
# No fast-math: what is not a number must stay so, or no training could be seen to diverge.
_OPTIONS = [
    "-std=gnu++17",
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
    "-pthread",
]
_MORE = "AEBENCH_CXXFLAGS"  # the variable with further options, behind ours
_IF_THERE = ["-fopenmp"]  # not every compiler comes with it
_FOLDER = "aebench-native"  # among the user's caches, beside that of the data, never in it
_PATIENCE_S = 300.0  # what is called a compiler may wait for something for ever
_PROBE = Path(__file__).with_name("cpp") / "probe.cpp"


class CompilerError(RequestError):
    """There is no compiler, or it cannot make what it should; the message says why."""


def find() -> list[str]:
    """The command of a C++ compiler: that in the variable CXX, else the first there is, or none."""
    try:
        return _command()
    except CompilerError:
        return []


def _command() -> list[str]:
    given = os.environ.get("CXX", "")
    if not given.strip():
        for name in _NAMES:
            if command := shutil.which(name):
                return [command]
        raise CompilerError(
            "there is no C++ compiler: install g++ or clang, or name one in the variable CXX"
        )
    if shutil.which(given):  # a path may have spaces in it
        return [given]
    try:
        words = shlex.split(given)
    except ValueError as error:
        raise CompilerError(
            f"the variable CXX is no command ({error}): {printable(given)}"
        ) from error
    if words and shutil.which(words[0]):
        return words
    raise CompilerError(f"the variable CXX names {printable(given)}, and there is no such program")


def _options() -> list[str]:
    """What a compiler is called with: our options, and then those in the variable.

    Raises:
        CompilerError: the variable holds no words of a command line.
    """
    given = os.environ.get(_MORE, "")
    try:
        return [*_OPTIONS, *shlex.split(given)]
    except ValueError as error:
        raise CompilerError(
            f"the variable {_MORE} is no list of options ({error}): {printable(given)}"
        ) from error


def shared_library(source: Path) -> ctypes.CDLL:
    """`source`, with the headers beside it, compiled for this processor, and loaded.

    Compiled now if it has not been.

    Raises:
        CompilerError: there is no compiler, it cannot compile this, or the system loads nothing
            that it has made.
    """
    digest = _digest(_command(), source)
    try:
        return _made(source, digest)
    except OSError as error:
        raise CompilerError(_nowhere(error)) from error


def _nowhere(error: OSError) -> str:
    return f"nothing can be compiled here ({error.strerror or error})"


def trouble(source: Path) -> str:
    """Why `library` would not work here; empty if it would. Quick: compiles at most a trifle.

    The compiler reads `source` without translating it, and what it makes of a few words is loaded
    and called. That too is kept, so this takes some seconds once, and then no time.
    """
    named = tuple(os.environ.get(name) for name in ("CXX", "PATH", _MORE))
    return _trouble(named, source)


@lru_cache
def _trouble(_named: tuple[str | None, ...], source: Path) -> str:
    try:
        command = _command()
        # Named by the source as well, so that a probe that is there says that it could be read.
        digest = _digest(command, source)
        if (probe := _kept(_PROBE.stem, digest)) is None:
            _compile([*command, *_options(), "-fsyntax-only", str(source)])
            probe = _made(_PROBE, digest)
        if probe.aebench_probe(41) != 42:
            return f"what {_shown(command)} compiles computes nonsense"
    except CompilerError as error:
        return str(error)
    except OSError as error:
        return _nowhere(error)
    return ""


def _digest(command: Sequence[str], source: Path) -> str:
    digest = hashlib.sha256(repr((list(command), _options(), _IF_THERE)).encode(errors="replace"))
    digest.update(_told(tuple(command)))
    for path in (source, *sorted(source.parent.glob("*.h"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@lru_cache
def _told(command: tuple[str, ...]) -> bytes:
    """What a compiler says of itself and of the processor: its version and its macros."""
    questions = (["--version"], ["-march=native", "-dM", "-E", "-x", "c++", os.devnull])
    return b"".join(_asked([*command, *question]).stdout for question in questions)


def _asked(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PATIENCE_S
        )
    except OSError as error:
        why = error.strerror or str(error)
        raise CompilerError(f"{_shown(command)} does not start: {why}") from error
    except subprocess.TimeoutExpired as error:
        raise CompilerError(f"{_shown(command)} gave no answer in {_PATIENCE_S:g} s") from error


def _shown(command: Sequence[str]) -> str:
    return printable(Path(command[0]).name)


def _compile(command: Sequence[str], result: Path | None = None) -> None:
    """Compile with what options the compiler takes.

    Raises:
        CompilerError: it cannot.
    """
    output = ["-o", str(result)] if result else []
    for options in (_IF_THERE, []):
        told = _asked([*command, *options, *output])
        if not told.returncode and (result is None or result.is_file()):
            return
    words = told.stderr.decode(errors="replace").splitlines()
    why = next((line for line in words if "error" in line), (words or ["no word why"])[0])
    raise CompilerError(f"{_shown(command)} cannot compile: {printable(why)}")


def _made(source: Path, digest: str) -> ctypes.CDLL:
    """The library of `source` that is kept, or one made now."""
    if (kept := _kept(source.stem, digest)) is not None:
        return kept
    command = _command()
    with tempfile.TemporaryDirectory(prefix="aebench-native-", ignore_cleanup_errors=True) as work:
        result = Path(work) / f"{source.stem}.so"
        _compile([*command, *_options(), str(source)], result)
        _keep(result, source.stem, digest)
        if (kept := _kept(source.stem, digest)) is not None:
            return kept
        try:
            return ctypes.CDLL(str(result))  # which stays loaded when its file is gone
        except OSError as error:
            raise CompilerError(
                f"what {_shown(command)} compiles cannot be loaded: {printable(str(error))}"
            ) from error


def _kept(stem: str, digest: str) -> ctypes.CDLL | None:
    """The library of that name that is kept and whole, and that the system loads."""
    folder = private_folder()
    if folder is None:
        return None
    for path in sorted(folder.glob(f"{stem}-{digest}-*.so")):
        try:
            whole = _is_ours(path.lstat(), stat.S_ISREG) and path.name == _name(stem, digest, path)
            if whole:
                return ctypes.CDLL(str(path))
            path.unlink()
        except OSError:  # on a file system that runs nothing, for one
            continue
    return None


def _keep(result: Path, stem: str, digest: str) -> None:
    """Put a library where it is kept, in one step, so that nobody ever loads half of it."""
    folder = private_folder()
    if folder is None:
        return
    with contextlib.suppress(OSError):  # full, or read-only: it is made again next time
        # No other user may write to it, whatever the umask says: it is loaded as code.
        write_whole(folder / _name(stem, digest, result), result.read_bytes(), mode=0o600)


def _name(stem: str, digest: str, path: Path) -> str:
    return f"{stem}-{digest}-{hashlib.sha256(path.read_bytes()).hexdigest()}.so"


def private_folder() -> Path | None:
    """A folder that nobody but this user can write to, made if it is not there; None without."""
    try:
        folder = user_caches() / _FOLDER
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder if _is_ours(folder.lstat(), stat.S_ISDIR) else None
    except (OSError, RequestError):
        return None


def _is_ours(seen: os.stat_result, is_type: Callable[[int], bool]) -> bool:
    """Whether it is of this user, no link, and for nobody else to write."""
    if not is_type(seen.st_mode):
        return False
    return os.name != "posix" or (seen.st_uid == os.geteuid() and not seen.st_mode & 0o022)
