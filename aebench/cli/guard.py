"""How all commands read their words, and end: by a sentence and an exit code for what went wrong.

An empty value, or bytes that are no UTF-8, mean nothing anywhere: not the current folder, not a
name. ``-q`` and ``-v`` are read wherever they stand. Standard streams may be closed or full,
memory may be short, the current folder may be gone: none of it is a reason for sixty lines of
Python. Defects keep their traceback.
"""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import IO, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from aebench.cli import text
from aebench.errors import RequestError, printable

if sys.platform != "win32":
    import resource  # now: where memory is short, there may be none to load it with

# typer brings its own Click; this is its class for what is wrong with the words of a command.
_UsageError: Any = typer.BadParameter.__base__


def _refuse(args: list[str]) -> None:
    """Refuse words that no command takes.

    Raises:
        UsageError: naming the option or the place.
    """
    for i, word in enumerate(args):
        option = args[i - 1] if i and args[i - 1].startswith("-") else f"argument {i + 1}"
        name, equals, value = word.partition("=")
        if word.startswith("--") and equals:
            option, word = name, value
        if not word.strip():
            raise _UsageError(f"{printable(option)} is empty; give a value, or leave it out.")
        try:
            word.encode()
        except UnicodeEncodeError:
            raise _UsageError(
                f"{printable(option)} holds bytes that are no UTF-8: {printable(word)}"
            ) from None


def _in_words(message: str) -> str:
    """A message for people: it steers no terminal, and says nothing of who checked the value."""
    said = printable(message, most=2000).removeprefix("Value error, ")  # pydantic's, within typer
    return re.sub(r"^Input should be (.*?)(, unable to parse .*)?$", r"it must be \1", said)


class _Words:
    """What commands and groups of commands have in common."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Check the words before they are read; what is shown of them cannot steer a terminal."""
        try:
            _refuse(args)
            return super().parse_args(ctx, args)  # type: ignore[misc, no-any-return]
        except _UsageError as error:
            error.ctx = error.ctx or ctx
            error.message = _in_words(error.message)
            raise

    def get_params(self, ctx: Any) -> list[Any]:
        """All options and arguments; flags show no type in help: there is nothing to give."""
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if getattr(param, "is_flag", False) and param.metavar is None:
                param.metavar = ""
        return params


class Command(_Words, TyperCommand):
    """One command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take out ``-q`` and ``-v``, which belong to every command."""
        end = args.index("--") if "--" in args else len(args)
        said = {word for word in args[:end] if word in _QUIET | _VERBOSE}
        if said:
            text.say(bool(said & _QUIET), bool(said & _VERBOSE))
        return super().parse_args(ctx, [w for w in args[:end] if w not in said] + args[end:])


_QUIET, _VERBOSE = {"-q", "--quiet"}, {"-v", "--verbose"}


class Commands(_Words, TyperGroup):
    """A group of commands."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what is wrong with its words is shown without controls."""
        try:
            return super().invoke(ctx)
        except _UsageError as error:
            error.message = _in_words(error.message)
            raise
        except BrokenPipeError as error:  # typer itself would end with 1
            raise ReaderLeft from error


class ReaderLeft(Exception):
    """The reader of what is printed has gone."""


def guarded(command: Callable[[], None]) -> None:
    """Run `command` and exit: 0, its own code, 2 for a request that is wrong, 1 for what failed."""
    text.say()
    _open_streams()
    before, sys.stderr = sys.stderr, cast("IO[str]", Tolerant(sys.stderr))
    try:
        code, told = _run(command)
        code = _flushed(code, told)
    finally:
        sys.stderr = before
    sys.exit(code)


def _flushed(code: int, told: bool) -> int:
    """Flush stdout, else Python meets a closed pipe or a full disk at exit, and complains there."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        text.silence(sys.stdout)
    except OSError as error:
        text.silence(sys.stdout)
        if not told:
            _tell(error)
        return code or 1
    return code


def _open_streams() -> None:
    """Put the null device where a standard stream is closed, or a file would take its place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number free, which is this one
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As stderr does by itself: a letter that the encoding lacks is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")


def _run(command: Callable[[], None]) -> tuple[int, bool]:
    """The exit code, and whether the user has been told of a failure of the system's."""
    try:
        command()
    except SystemExit as end:
        if isinstance(end.code, int) or end.code is None:
            return end.code or 0, False
        text.fail(str(end.code))
        return 1, False
    except RequestError as error:
        text.fail(str(error))
        return 2, False
    except ReaderLeft:
        text.silence(sys.stdout)
    except KeyboardInterrupt:
        return 130, False
    except Exception as error:
        if not isinstance(error, OSError) and not _short_of_memory(error):
            raise
        _tell(error)
        return 1, True
    return 0, False


# How libraries say it that raise something else than MemoryError.
_NO_MEMORY = ("llocate memory", "failed to map segment", "can't start new thread", "bad_alloc",
    "launch worker thread",
)  # fmt: skip


def _short_of_memory(error: BaseException) -> bool:
    """Whether `error`, or what led to it, says that no more memory was to be had."""
    known: BaseException | None = error
    while known is not None:
        if isinstance(known, MemoryError) or any(words in str(known) for words in _NO_MEMORY):
            return True
        # Python itself, short of memory, finds mistakes in what is right, or in itself.
        if isinstance(known, SyntaxError | SystemError) and _is_limited():
            return True
        known = known.__cause__ or known.__context__
    return False


def _is_limited() -> bool:
    """Whether this process may not take all the memory that there is."""
    if sys.platform == "win32":
        return False
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _tell(error: BaseException) -> None:
    if text.verbose():
        traceback.print_exception(error)
    if isinstance(error, OSError) and error.errno != errno.ENOMEM:
        why = error.strerror or str(error)
        what = "writing the output" if error.filename is None else printable(error.filename)
        text.fail(f"{what}: {why}")
    else:
        text.fail("not enough memory: close other programs, or raise the limit (ulimit -v)")


class Tolerant:
    """A text file that falls silent where it cannot be written: a log is no reason to fail."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, words: str) -> int:
        try:
            return self._file.write(words)
        except OSError:
            text.silence(self._file)
            return len(words)

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError:
            text.silence(self._file)
