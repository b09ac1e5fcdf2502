"""Jobs that have given values: those that a grid excludes, and those that `--only` asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aebench import architectures
from aebench.axes import OF_MODEL, Axes, read_axes
from aebench.errors import RequestError, printable
from aebench.job import Job


def matches(job: Job, axes: Axes) -> bool:
    """Whether a job has one of the values of every axis.

    Raises:
        RequestError: an axis is none that a job has.
    """
    family = architectures.get(job.architecture)
    given = family.values(job.options)
    for axis, values in axes.items():
        name = axis.removeprefix(OF_MODEL)
        if name == "model":
            raise RequestError("a job has depth and options, not a model; name it by these")
        if name == axis:
            here = getattr(job, axis)
        elif option := family.options.get(name):
            here = given.get(name, option.default)
            values = [option.value(value) for value in values]
        else:
            return False
        if here not in values:
            return False
    return True


def only(jobs: Sequence[Job], asked: Mapping[str, Any], grid: str) -> list[Job]:
    """The `jobs` of a `grid` that have one of the values asked for of every axis or model option.

    Raises:
        RequestError: there is no such axis, option or value, or no job that has them all.
    """
    if "options" in asked:
        raise RequestError("--only takes an option by its own name, as in --only kernel=3")
    families = (architectures.get(name) for name in {job.architecture for job in jobs})
    options = {name for family in families for name in family.options}
    of_model = {name: values for name, values in asked.items() if name in options}
    table = {name: values for name, values in asked.items() if name not in options}
    mistakes: list[str] = []
    axes = read_axes(table | ({"options": of_model} if of_model else {}), "--only", mistakes)
    if mistakes:
        raise RequestError("\n".join(mistakes))
    if found := [job for job in jobs if matches(job, axes)]:
        return found
    there = {axis: any(matches(job, {axis: axes[axis]}) for job in jobs) for axis in axes}
    lacking = [axis for axis in axes if not there[axis]] or list(axes)
    told = [f"{axis.removeprefix(OF_MODEL)} {_either(axes[axis])}" for axis in lacking]
    known = [
        f"{axis} is {_either(sorted({getattr(job, axis) for job in jobs}))}"
        for axis in lacking
        if not (there[axis] or axis.startswith(OF_MODEL))
    ]
    ends = f"; there {', '.join(known)}" if known else ""
    raise RequestError(f"--only: no job of {printable(grid)} has {' and '.join(told)}{ends}")


def _either(values: Iterable[Any]) -> str:
    *most, last = map(printable, values)
    return f"{', '.join(most)} or {last}" if most else last
