"""From the words of ``aebench run`` to the axes of a grid: lists, numbers, folders, the device.

Only axes of numbers turn words into numbers: a folder may be called 2024, an architecture nan.
"""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aebench import machine
from aebench.axes import COUNTS
from aebench.cli import text
from aebench.datasets import own
from aebench.errors import RequestError, printable
from aebench.job import FRACTIONS, LEAST

_NUMBERS = (*LEAST, *FRACTIONS)
_PATHS = ("dataset", "protocol")


def axes(given: Mapping[str, str | int | None], *, here: bool = True) -> dict[str, Any]:
    """The options that were given, as `load_grid` takes them: lists of names or numbers.

    Raises:
        RequestError: an item of a list is empty, or there is no such device, or none such `here`.
    """
    return {name: _values(name, value, here) for name, value in given.items() if value is not None}


def _values(name: str, given: str | int, here: bool) -> Any:
    option = f"--{name.replace('_', '-')}"
    if not isinstance(given, str):
        return given
    if name == "device":
        return device(given, here=here)
    if name in _PATHS:
        return _paths(option, given)
    words = text.items(option, given)
    return [_number(word) for word in words] if name in _NUMBERS else words


def only(given: Sequence[str]) -> dict[str, Any]:
    """Axes and their values, ``["depth=2", "seeds=3"]``, as `selection.only` takes them.

    Raises:
        RequestError: one is not of that form, or is given twice.
    """
    named = {name.replace("-", "_"): words for name, words in named_lists("--only", given).items()}
    numbers = {name: [_number(w) for w in words] if name in _NUMBERS else words
               for name, words in named.items()}  # fmt: skip
    return numbers | {name: _number(",".join(named[name])) for name in COUNTS if name in named}


def named_lists(option: str, given: Sequence[str]) -> dict[str, list[str]]:
    """Names with their values, ``["width=16,32"]``, as `load_grid` takes options of architectures.

    Raises:
        RequestError: one is not of that form, or is given twice.
    """
    found: dict[str, list[str]] = {}
    for word in given:
        name, equals, values = (part.strip() for part in word.partition("="))
        if not (name and equals and values):
            raise RequestError(
                f"{option} takes a name and its values, like width=16,32, not {printable(word)!r}"
            )
        if name in found:
            raise RequestError(
                f"{option} {printable(name)} is given twice; write its values as"
                f" one list: {printable(name)}=A,B"
            )
        found[name] = text.items(f"{option} {printable(name)}", values)
    return found


def _number(word: str) -> int | float | str:
    """What `word` says as a number; a range like 0..4 stays as it is."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _paths(option: str, given: str) -> list[str]:
    """The items of a list some of which may be paths that hold commas: what is there is one."""
    words = given.split(",")
    items = []
    while words:
        # The longest beginning that is there as it is typed, else the first word.
        ends = (n for n in range(len(words), 1, -1) if _is_there(",".join(words[:n])))
        end = next(ends, 1)
        items.append(",".join(words[:end]).strip())
        words = words[end:]
    if not all(items):
        raise RequestError(f"{option} {given!r}: an item of the list is empty")
    return items


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long, no such user
        return False


def device(given: str, *, here: bool = True) -> str:
    """The kind of device a job names: `auto` asks the driver, and an index is no part of a job.

    Raises:
        RequestError: it is no device, or jobs are to run `here` and this machine has none such.
    """
    if given == "auto":
        return "cuda" if machine.cuda_devices() else "cpu"
    kind, colon, index = given.partition(":")
    number = index.isascii() and index.isdecimal() and len(index) < 5
    if kind not in ("cpu", "cuda") or (colon and (kind == "cpu" or not number)):
        raise RequestError(f"--device takes auto, cpu, cuda or cuda:N, not {printable(given)!r}")
    if not here:
        return kind
    present = machine.cuda_devices()
    if kind == "cuda" and int(index or 0) >= present:
        raise RequestError(
            f"--device {given}: this machine has {present or 'no'} CUDA device{'s' * (present > 1)}"
            f"{' (numbered from 0)' if present else '; use --device cpu'}"
        )
    return kind


def seconds(option: str, given: str) -> float:
    """``10m``, ``90s``, ``1.5h``, or a number of seconds, as seconds.

    Raises:
        RequestError: it is none of that, or no time at all.
    """
    unit = {"s": 1, "m": 60, "h": 3600}.get(given[-1:], 0)
    try:
        took = float(given[:-1] if unit else given) * (unit or 1)
    except ValueError:
        took = math.nan
    if not 0 < took < math.inf:
        raise RequestError(f"{option} takes a time like 10m, 90s or 1h, not {printable(given)!r}")
    return took


def part(given: str) -> tuple[int, int]:
    """``"1/4"`` as part and count.

    Raises:
        RequestError: it is not of that form.
    """
    index, slash, count = given.partition("/")
    numbers = all(n.isascii() and n.isdecimal() and len(n) < 10 for n in (index, count))
    if not (slash and numbers and int(count) > 0):
        raise RequestError(f"--shard takes a part and a count like 1/4, not {printable(given)!r}")
    return int(index), int(count)


def command(dataset: str | None, datasets: list[str], data: Path | None) -> str:
    """The command line as records keep it: data of one's own by its name, not by its path."""
    words = ["aebench", *sys.argv[1:]]
    if dataset is not None:
        found = [
            own.find(part, Path(), data) if own.is_path(part, Path()) else None for part in datasets
        ]
        names = ",".join(
            adopted.info.name if adopted else part
            for part, adopted in zip(datasets, found, strict=True)
        )
        known = {dataset: names, f"--dataset={dataset}": f"--dataset={names}"}
        words = [known.get(word, word) for word in words]
    return shlex.join(words)
