"""Reads the file of a space into checked searches, each with one winner.

A file has tables ``[[search]]``; what stands above them holds for all of them. A field of the
training settings, `depth` or an option of the architecture is one value, a list of choices, or a
range ``{ from = 3e-4, to = 1e-2 }``; `model` is a list of tables that each set several at once.
All mistakes are told at once, as those of grids are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aebench import architectures, datasets
from aebench.axes import read_axes
from aebench.errors import RequestError, printable, unknown
from aebench.grid import SEARCHES, read_toml, with_own_data
from aebench.job import checked, shown
from aebench.protocols import STUDY
from aebench.tune.space import (
    FIELDS,
    OPTION,
    Choices,
    Dimension,
    Dimensions,
    Range,
    Search,
    ends,
    points,
)

_ONE = ("dataset", "architecture", "latent", "seed")
_PLAIN = {"engine": "eager", "precision": "fp32", "device": "cpu"}  # which trains any model
_COUNTED = {"keep": 2, "candidates": 2}  # and the least of each
_KEYS = (*_ONE, "epochs", *_COUNTED, *FIELDS, "depth", "options", "model")
_MODELS = (*FIELDS, "depth", "options")  # what one choice of a model may set


@dataclass(frozen=True)
class Space:
    """The searches of a file, its name and its title."""

    name: str
    title: str
    searches: tuple[Search, ...]


def load(source: str, data: Path | None = None) -> Space:
    """Read a space, of the presets or a TOML file; a data set may be a path, as in grids.

    Raises:
        RequestError: every mistake found, one a line, with its place and the nearest valid name.
    """
    table, where = read_toml(source), printable(source)
    tables = table.pop("search", None)
    if not (isinstance(tables, list) and tables and all(isinstance(t, dict) for t in tables)):
        raise RequestError(
            f"{where} describes no search: write [[search]] tables, as in `aebench tune --grid"
            f" {SEARCHES[0]}`; a grid is run by `aebench run`"
        )
    title = str(table.pop("title", ""))
    mistakes: list[str] = []
    searches = []
    for number, one in enumerate(tables, start=1):
        named = f"{where}, [[search]] {number}"
        given = {k.replace("-", "_"): v for k, v in (table | one).items()}
        given = with_own_data(given, Path(source).parent, data, {})
        found = list(_searches(given, named, mistakes))
        searches += found
    if mistakes:
        raise RequestError("\n".join(dict.fromkeys(mistakes)))
    return Space(Path(source).stem, title, tuple(searches))


def _searches(given: Mapping[str, Any], where: str, mistakes: list[str]) -> Iterator[Search]:
    """The search that a table describes, or nothing, and what is wrong with it in `mistakes`."""
    before = len(mistakes)
    mistakes += [f"{where}: {unknown('key', n, _KEYS)}" for n in given if n not in _KEYS]
    if missing := [n for n in ("dataset", "architecture", "latent", "epochs") if n not in given]:
        mistakes.append(f"{where}: {', '.join(missing)} not given")
    axes = read_axes({n: given[n] for n in _ONE if n in given}, where, mistakes)
    for name in ("dataset", "architecture", "seed"):
        if len(axes.get(name, ())) > 1:
            mistakes.append(f"{where}: {name} has one value in a search; write another [[search]]")
    rungs = read_axes({n: given[n] for n in ("epochs",) if n in given}, where, mistakes)
    epochs = tuple(rungs.get("epochs", ()))
    if list(epochs) != sorted(epochs) or _repeats(given.get("epochs")):
        mistakes.append(f"{where}: epochs are rungs, each longer than the one before")
    counts = {"keep": 3, "candidates": 18} | {n: given[n] for n in _COUNTED if n in given}
    for name, least in _COUNTED.items():
        if type(counts[name]) is not int or counts[name] < least:
            mistakes.append(
                f"{where}: {name} is a whole number of at least {least}, not {shown(counts[name])}"
            )
    if len(mistakes) > before:
        return
    family = axes["architecture"][0]
    dims = _dimensions(given, family, where, mistakes)
    if len(mistakes) > before:
        return
    if points(dims) < 2:
        mistakes.append(
            f"{where}: searches over nothing; give at least one field two values, or a range as in"
            " learning_rate = { from = 3e-4, to = 1e-2 }"
        )
        return
    seed = axes.get("seed", [0])[0]
    search = Search(
        axes["dataset"][0], family, tuple(axes["latent"]), epochs, **counts, dims=dims, seed=seed
    )
    if why := search.impossible(dims, _PLAIN):
        mistakes.append(
            f"{where}: {why}; choices that must fit each other are one choice of model ="
            ' [{ depth = 2, options = "hidden=1000" }, ...]'
        )
    elif images := _too_large_batch(search):
        mistakes.append(f"{where}: batch_size goes beyond the {images:,} training images")
    else:
        yield search


def _repeats(epochs: object) -> bool:
    return isinstance(epochs, list) and len({str(e) for e in epochs}) < len(epochs)


def _too_large_batch(search: Search) -> int:
    """The number of training images, if a batch of the space is larger; else 0."""
    info = datasets.info(search.dataset)
    images = info.train_images - info.validation_images
    sizes = search.dims.get("batch_size", Choices((STUDY.batch_size,)))
    return images if max(ends(sizes)) > images else 0


def _dimensions(
    given: Mapping[str, Any], family: str, where: str, mistakes: list[str]
) -> dict[str, Dimension]:
    dims: dict[str, Dimension] = {}
    options = given.get("options", {})
    if not isinstance(options, dict):
        mistakes.append(f"{where}: options is a table, as in {{ norm = ['none', 'batch'] }}")
        options = {}
    asked = {n: given[n] for n in (*FIELDS, "depth") if n in given}
    asked |= {OPTION + name: value for name, value in options.items()}
    for name, value in asked.items():
        try:
            dims[name] = _dimension(family, name, value)
        except RequestError as error:
            mistakes.append(f"{where}: {error}")
    if "model" in given:
        try:
            dims["model"] = _models(family, given["model"], dims)
        except RequestError as error:
            mistakes.append(f"{where}, model: {error}")
    return dims


def _dimension(family: str, name: str, value: Any) -> Dimension:
    if isinstance(value, dict):
        return _range(family, name, value)
    values = value if isinstance(value, list) else [value]
    if not values:
        raise RequestError(f"{name} is an empty list")
    read = [_value(family, name, v) for v in values]
    return Choices(tuple(v for i, v in enumerate(read) if v not in read[:i]))


def _value(family: str, name: str, value: Any) -> Any:
    if name.startswith(OPTION):
        known = architectures.get(family).options
        option = name.removeprefix(OPTION)
        if option not in known:
            raise RequestError(unknown(f"option of {family}", option, known))
        return known[option].value(value)
    return checked(name, value)


def _range(family: str, name: str, table: Mapping[str, Any]) -> Range:
    written = f"{name} = {{ from = 3e-4, to = 1e-2 }}"
    if table.keys() != {"from", "to"}:
        raise RequestError(f"{name}: a range is written as in {written}, not {shown(dict(table))}")
    low, high = (_value(family, name, table[end]) for end in ("from", "to"))
    if any(isinstance(end, bool) or not isinstance(end, int | float) for end in (low, high)):
        raise RequestError(f"{name} is no number, so it has no range; give a list of its values")
    if low >= high:
        raise RequestError(f"{name}: the range from {low:g} to {high:g} is upside down or empty")
    return Range(low, high, isinstance(low, int) and isinstance(high, int))


def _models(family: str, given: Any, dims: Dimensions) -> Choices:
    if not (isinstance(given, list) and given and all(isinstance(m, dict) for m in given)):
        raise RequestError('a list of tables, as in [{ depth = 2, options = "hidden=1000" }, ...]')
    models: list[dict[str, Any]] = []
    for table in given:
        model: dict[str, Any] = {}
        for name, value in table.items():
            if name not in _MODELS:
                raise RequestError(unknown("key", name, _MODELS))
            if name == "options":
                text = architectures.canonical(family, value)
                values = architectures.get(family).values(text)
                model |= {OPTION + option: v for option, v in values.items()}
            else:
                model[name] = checked(name, value)
        if both := sorted(model.keys() & dims.keys()):
            raise RequestError(f"{', '.join(both)} is set beside model as well; leave one out")
        models.append(model)
    return Choices(tuple(m for i, m in enumerate(models) if m not in models[:i]))
