"""How all commands read their words: what no command takes is refused here, once for all.

An empty value, or bytes that are no UTF-8, mean nothing anywhere: not the current folder, not a
name. ``-q`` and ``-v`` are read wherever they stand.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from aebench.cli import text
from aebench.errors import printable

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


def _flags(params: list[Any]) -> list[Any]:
    """`params`, of which flags show no type in help: there is nothing to give."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params


class _Words:
    """What commands and groups of commands have in common."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Check the words before they are read; what is shown of them cannot steer a terminal."""
        try:
            _refuse(args)
            return super().parse_args(ctx, args)  # type: ignore[misc, no-any-return]
        except _UsageError as error:
            error.ctx = error.ctx or ctx
            error.message = printable(error.message, most=2000)
            raise

    def get_params(self, ctx: Any) -> list[Any]:
        """All options and arguments, that for help among them."""
        return _flags(super().get_params(ctx))  # type: ignore[misc]


class Command(_Words, TyperCommand):
    """One command."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take out ``-q`` and ``-v``, which belong to every command."""
        end = args.index("--") if "--" in args else len(args)
        said = {word for word in args[:end] if word in _LEVELS}
        kept = [word for word in args[:end] if word not in _LEVELS] + args[end:]
        if said:
            text.say(bool(said & _QUIET), bool(said & _VERBOSE))
        return super().parse_args(ctx, kept)


_QUIET, _VERBOSE = {"-q", "--quiet"}, {"-v", "--verbose"}
_LEVELS = _QUIET | _VERBOSE


class Commands(_Words, TyperGroup):
    """A group of commands."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what is wrong with its words is shown without controls."""
        try:
            return super().invoke(ctx)
        except _UsageError as error:
            error.message = printable(error.message, most=2000)
            raise
        except BrokenPipeError as error:  # typer itself would end with 1
            raise ReaderLeft from error


class ReaderLeft(Exception):
    """The reader of what is printed has gone."""
