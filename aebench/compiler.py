"""The C++ compiler of this machine: which one it is, and shared libraries made by it, once.

What is compiled is for this very processor, so a library is named by everything that it depends
on: sources, options, compiler, and the instructions that the compiler may use here. No torch.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from aebench.errors import RequestError

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
_IF_THERE = ["-fopenmp"]  # not every compiler comes with it


def find() -> list[str]:
    """The command of a C++ compiler: that in the variable CXX, else the first there is, or none."""
    return list(_found(os.environ.get("CXX", ""), os.environ.get("PATH")))


@lru_cache  # asked for every job of a grid
def _found(given: str, path: str | None) -> list[str]:
    words = given.split()
    if words:
        return words if shutil.which(words[0], path=path) else []
    return next(([found] for name in _NAMES if (found := shutil.which(name, path=path))), [])


def shared_library(source: Path, headers: Sequence[Path], folder: Path) -> Path:
    """Path of `source` compiled for this processor, in `folder`; compiled now if it is not there.

    Raises:
        RequestError: there is no compiler, or it cannot compile this.
    """
    command = find()
    if not command:
        raise RequestError(
            "engine 'native' needs a C++ compiler, and there is none: install g++ or clang (or"
            " name one in the variable CXX), or use --engine eager"
        )
    digest = hashlib.sha256(repr((command, _OPTIONS, _IF_THERE)).encode())
    digest.update(_told(tuple(command)))
    for path in (source, *headers):
        digest.update(path.read_bytes())
    made = folder / f"{source.stem}-{digest.hexdigest()[:16]}.so"
    if not made.is_file():
        _compile([*command, *_OPTIONS, str(source)], made)
    return made


@lru_cache
def _told(command: tuple[str, ...]) -> bytes:
    """What a compiler says of itself and of the processor: its version and its macros."""
    said = b""
    for question in (["--version"], ["-march=native", "-dM", "-E", "-x", "c++", os.devnull]):
        try:
            said += subprocess.run([*command, *question], capture_output=True).stdout
        except OSError as error:
            raise RequestError(f"the C++ compiler {command[0]} does not start: {error}") from error
    return said


def _compile(command: list[str], made: Path) -> None:
    """Compile beside the place and rename, so that nobody ever loads half a library."""
    made.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=".compiling-") as work:
        result = Path(work) / made.name
        for options in (_IF_THERE, []):
            whole = [*command, *options, "-o", str(result)]
            told = subprocess.run(whole, capture_output=True, text=True)
            if not told.returncode:
                break
        else:
            lines = [line for line in told.stderr.splitlines() if "error" in line]
            raise RequestError(
                f"engine 'native': {command[0]} could not compile it:"
                f" {(lines or told.stderr.splitlines() or ['no word why'])[0]}; use --engine eager"
            )
        result.replace(made)
