"""Options of an architecture: the keyword arguments of its builder, read off its signature.

An option is an argument after shape, latent and depth that has a default and holds a number, a
text, true or false, one of the values of a `Literal`, or whole numbers (`tuple[int, ...]`). What is
given for one is checked here, without torch, and written in one way only: in a job, its key and its
record the options are a text like ``activation=gelu width=16``, sorted, without those that have
their default.
"""

from __future__ import annotations

import functools
import inspect
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from aebench.errors import RequestError, printable, unknown

Value = bool | int | float | str | tuple[int, ...] | None
Activation = Literal["relu", "gelu", "silu", "leaky-relu", "tanh", "sigmoid"]
"""Activation functions that the built-in families offer; see `autoencoder.activation`."""
Norm = Literal["none", "batch", "layer"]
"""What a layer's numbers pass before the activation: see `conv.build_bottleneck`."""

_GIVEN = 3  # shape, latent and depth come first
_LONGEST = 80  # characters of a text
_MOST = 2**63 - 1
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text without spaces, commas and =",
    tuple: "whole numbers joined by -, as in 400-100",
}


@dataclass(frozen=True)
class Option:
    """One option: `kind` is bool, int, float, str or tuple; `choices` are all that it may be."""

    name: str
    default: Value
    kind: type
    choices: tuple[Value, ...] = ()
    optional: bool = False

    @property
    def about(self) -> str:
        """What it takes, in words: ``one of relu, gelu``, ``a whole number, or none``."""
        one_of = f"one of {', '.join(map(text, self.choices))}"
        return (one_of if self.choices else _KINDS[self.kind]) + ", or none" * self.optional

    def value(self, given: object) -> Value:
        """What `given` means: a value, or the text of one.

        Raises:
            RequestError: it is none that the option takes.
        """
        found = self._read(given)
        if found is _NOTHING:
            shown = printable(given if isinstance(given, str) else repr(given), _LONGEST)
            raise RequestError(f"option {self.name} takes {self.about}, not {shown}")
        return found  # type: ignore[return-value]  # every other thing is a value

    def _read(self, given: object) -> object:
        if self.optional and (given is None or given == "none"):
            return None
        if self.choices:
            by_text = {text(choice): choice for choice in self.choices}
            wanted = given if isinstance(given, str) else text(given)
            return by_text.get(wanted, _NOTHING)
        if self.kind is bool:
            return {True: True, False: False, "true": True, "false": False}.get(
                given if isinstance(given, bool | str) else "", _NOTHING
            )
        if self.kind is str:
            plain = isinstance(given, str) and not set(given) & set(" ,=") and given.isprintable()
            return given if plain and 0 < len(str(given)) <= _LONGEST else _NOTHING
        if self.kind is tuple:
            if isinstance(given, str):
                given = [] if given == "none" else given.split("-")
            parts = given if isinstance(given, list | tuple) else [given]
            numbers = tuple(_whole(part) for part in parts)
            return _NOTHING if _NOTHING in numbers else numbers
        return _whole(given) if self.kind is int else _real(given)


_NOTHING = object()


def _whole(given: object) -> object:
    try:
        number = int(given) if isinstance(given, str) and len(given) < 20 else given
    except ValueError:
        return _NOTHING
    fits = isinstance(number, int) and not isinstance(number, bool) and abs(number) <= _MOST
    return number if fits else _NOTHING


def _real(given: object) -> object:
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return _NOTHING
    try:
        number = float(given)
    except (ValueError, OverflowError):
        return _NOTHING
    return number if math.isfinite(number) else _NOTHING


def text(value: object) -> str:
    """The one text of a value: 16, 0.5, true, relu, 400-100, none."""
    if isinstance(value, tuple):
        return "-".join(map(str, value)) or "none"
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def of(build: Callable[..., Any]) -> dict[str, Option]:
    """The options of a builder, by name, in the order of its signature.

    An argument whose annotation cannot be read, or that holds something else, is no option.
    """
    try:
        parameters = list(inspect.signature(build).parameters.values())
    except (ValueError, TypeError):  # no Python function
        return {}
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    first = [p for p in parameters if p.kind in positional][:_GIVEN]
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    rest = [p for p in parameters if p not in first and p.kind in named]
    found = (_option(p, build) for p in rest if p.default is not inspect.Parameter.empty)
    return {option.name: option for option in found if option}


def _option(parameter: inspect.Parameter, build: Callable[..., Any]) -> Option | None:
    name, default, told = parameter.name, parameter.default, parameter.annotation
    if isinstance(told, str):
        try:
            told = eval(told, _names(build))
        except Exception:  # a name that is there for type checkers only
            return None
    if told is inspect.Parameter.empty:
        told = type(default)
    optional = False
    if get_origin(told) in (Union, UnionType):
        rest = [part for part in get_args(told) if part is not NoneType]
        optional = len(rest) < len(get_args(told))
        told = rest[0] if len(rest) == 1 else None
    if get_origin(told) is Literal:
        return Option(name, default, str, get_args(told), optional)
    kind = get_origin(told) or told
    if kind not in _KINDS:
        return None
    option = Option(name, default, kind, (), optional)
    return option if option._read(default) == default else None


def _names(build: Callable[..., Any]) -> dict[str, Any]:
    """What the annotations of a builder may name."""
    while isinstance(build, functools.partial):
        build = build.func
    module = sys.modules.get(str(getattr(build, "__module__", "")))
    return dict(getattr(build, "__globals__", None) or vars(module) if module else {})


def written(given: object) -> dict[str, Any]:
    """Options by name, from a mapping or from a text like ``activation=gelu width=16``.

    Raises:
        RequestError: it is neither, or names an option twice.
    """
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}
    if not isinstance(given, str):
        raise RequestError(f"options are a text like 'width=16', not {given!r}")
    found: dict[str, Any] = {}
    for word in given.split():
        name, equals, value = word.partition("=")
        if not (name and equals and value) or name in found:
            raise RequestError(
                "options are written name=value, each once, with spaces between them, not"
                f" {printable(given, _LONGEST)!r}"
            )
        found[name] = value
    return found


def canonical(family: str, known: Mapping[str, Option] | None, given: object) -> str:
    """The one text of the options `given` for `family`; of an unknown family unchecked.

    Raises:
        RequestError: the family has no such option, or the value is none that it takes.
    """
    asked = written(given)
    values = asked if known is None else checked(family, known, asked)
    told = {name: text(values[name]) for name in sorted(values)}
    one = " ".join(f"{name}={value}" for name, value in told.items())
    if known is None and written(one) != told:  # with a space in it, say
        raise RequestError(f"{family}: no options can be {printable(asked, _LONGEST)}")
    return one


def checked(family: str, known: Mapping[str, Option], given: object) -> dict[str, Value]:
    """The values of the options `given` for `family` that are not their defaults.

    Raises:
        RequestError: as `canonical`.
    """
    values: dict[str, Value] = {}
    for name, value in written(given).items():
        if not known:
            raise RequestError(
                f"architecture {family!r} has no options, and {name} is given: options are the"
                " keyword arguments of its builder that have a default"
            )
        if name not in known:
            raise RequestError(unknown(f"option of {family}", name, known))
        try:
            found = known[name].value(value)
        except RequestError as error:
            raise RequestError(f"{family}: {error}") from None
        if found != known[name].default:
            values[name] = found
    return values


def accepts(function: Callable[..., Any], names: Mapping[str, object]) -> bool:
    """Whether a function can be called with keyword arguments of all these names."""
    parameters = inspect.signature(function).parameters
    return any(p.kind is p.VAR_KEYWORD for p in parameters.values()) or names.keys() <= {
        name for name, p in parameters.items() if p.kind is not p.POSITIONAL_ONLY
    }
