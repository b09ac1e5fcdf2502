"""Axes of a grid: from what an option or a TOML key is given to the list of its checked values.

What is wrong with any of them is collected, so that it can be said at once. How axes are combined
into jobs is the grid's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aebench import architectures, datasets, protocols
from aebench.errors import RequestError, unknown
from aebench.job import FRACTIONS, LEAST, NAMES, OPTIONS, checked, shown

OF_MODEL = "options."
"""Begins the names of axes that are options of an architecture."""
MOST_VALUES = 1_000_000
"""Of one option, or jobs of one table: far more is a slip, and would hang."""

# Options of `aebench run` that say how to run a grid, not which jobs it has.
_RUN_OPTIONS = (
    "grid", "only", "shard", "plan", "retry_failed", "plugin", "workers", "timeout", "results",
    "data", "report", "keep_weights", "retrain", "checkpoint", "budget", "repeats_in_process",
    "on", "cpus_per_job", "gpus_per_job", "cluster", "wait", "print_sbatch",
)  # fmt: skip
_LONGEST_NUMBER = 40  # digits: far beyond any that is allowed, and Python refuses thousands
COUNTS = {"seeds": "seed", "repeats": "repeat"}
"""How many, instead of a list."""
MODELS = ("given", "tuned")
"""Where depth and options come from: as given, or from the protocol's search."""
_NAMES = NAMES | {"engine": (*NAMES["engine"], "auto"), "model": MODELS}

Axes = dict[str, list[Any]]


def read_axes(
    table: Mapping[str, Any], where: str, mistakes: list[str], beside: Sequence[str] = ()
) -> Axes:
    """Turn options into lists of checked values; what is wrong goes into `mistakes`.

    An option whose value is wrong keeps its place with an empty list, so that nobody says it was
    not given. `beside` names what else may stand in the table.
    """
    axes: Axes = {}
    for written, given in table.items():
        option = written.replace("-", "_")
        name = COUNTS.get(option, option)
        if option in _RUN_OPTIONS:
            mistakes.append(
                f"{where}: {written} says how to run a grid, not which jobs it has;"
                f" give it on the command line, as --{option.replace('_', '-')}"
            )
        elif name not in (*OPTIONS, "model"):
            mistakes.append(
                f"{where}: {unknown('option', written, [*OPTIONS, 'model', *COUNTS, *beside])}"
            )
        elif name == "options":
            axes |= _options(given, where, mistakes)
        elif name in axes:
            mistakes.append(f"{where}: {name} is given twice, the second time as {written}")
        else:
            try:
                values = _first(option, given) if option in COUNTS else _listed(name, given)
                axes[name] = list(dict.fromkeys(_value(name, v) for v in values))
            except RequestError as error:
                axes[name] = []
                mistakes.append(f"{where}: {error}")
    return axes


def _options(given: Any, where: str, mistakes: list[str]) -> Axes:
    """Axes of an architecture's options, from the table of that name; jobs check the values."""
    if not isinstance(given, Mapping):
        mistakes.append(f"{where}: options is a table of names and values, as in {{ width = 16 }}")
        return {}
    axes: Axes = {}
    for name, value in given.items():
        axis = f"{OF_MODEL}{name}"
        try:
            values = list(_listed(axis, value))
            axes[axis] = [v for i, v in enumerate(values) if v not in values[:i]]
        except RequestError as error:
            axes[axis] = []
            mistakes.append(f"{where}: {error}")
    return axes


def _first(option: str, given: Any) -> Iterable[int]:
    """Seeds, or repeats, 0 to `given` - 1."""
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= MOST_VALUES:
        raise RequestError(
            f"{option} is how many, a whole number from 1 to {MOST_VALUES:,}, not {shown(given)}"
        )
    return range(given)


def _listed(name: str, given: Any) -> Iterable[Any]:
    """The values an option stands for: one, a list, or for whole numbers a range ``"0..4"``."""
    values = given if isinstance(given, list | tuple) else [given]
    if not values:
        raise RequestError(f"{name} is an empty list")
    for value in values:
        ranges = name in LEAST or (name.startswith(OF_MODEL) and ".." in str(value))
        if ranges and isinstance(value, str):
            first, dots, last = (part.strip() for part in value.partition(".."))
            if not (dots and first.isdecimal() and last.isdecimal()):
                raise RequestError(
                    f"{name} takes whole numbers or a range like 0..4, not {shown(value)}"
                )
            if max(len(first), len(last)) > _LONGEST_NUMBER:
                raise RequestError(f"{name}: a number in the range is too long")
            if int(last) < int(first):
                raise RequestError(f"{name}: the range {value} is empty")
            if int(last) - int(first) >= MOST_VALUES:
                raise RequestError(
                    f"{name}: the range {value} has more than {MOST_VALUES:,} values"
                )
            yield from range(int(first), int(last) + 1)
        else:
            yield value


def _value(name: str, value: Any) -> Any:
    """Check one value of one option, and suggest the nearest name where a name is wrong."""
    if name in LEAST or name in FRACTIONS:
        return checked(name, value)
    if not isinstance(value, str):
        quoted = f'; in a grid file names stand in quotes: "{shown(value)}"'
        hint = quoted if isinstance(value, int | float) else ""
        raise RequestError(f"{name} takes a name, not {shown(value)}{hint}")
    if name == "architecture":
        architectures.get(value)
    elif name == "dataset":
        datasets.info(value)
    elif name == "protocol" and protocols.is_file(value):
        protocols.read(Path(value))  # what is wrong with the file is said of who named it
    elif value not in _NAMES[name]:
        raise RequestError(unknown(name, value, _NAMES[name]))
    return value
