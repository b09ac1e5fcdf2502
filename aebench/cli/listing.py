"""``aebench list``: what there is to choose from, and what each is; read where it is defined."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from aebench import architectures, datasets, protocols, schema
from aebench.architectures import options
from aebench.cli import complete, formats, text
from aebench.cli.formats import Format
from aebench.cli.options import FormatOption, default
from aebench.engines import ENGINES, offered
from aebench.grid import PRESETS, SEARCHES
from aebench.plugins import load_plugins

_HEADS = ("kind", "name", "what it is")


def _engines() -> Iterable[tuple[str, str]]:
    return ((e.name, f"{e.about} Runs {offered(e.name)}.") for e in ENGINES.values())


def _options() -> Iterable[tuple[str, str]]:
    for name in architectures.names():
        for option in architectures.get(name).options.values():
            yield (
                f"{name} {option.name}",
                f"{option.about}; by default {options.text(option.default)}",
            )


def _datasets() -> Iterable[tuple[str, str]]:
    for i in map(datasets.info, datasets.names()):
        yield (
            i.name,
            f"{i.title}: images of {i.channels} x {i.height} x {i.width},"
            f" {i.train_images - i.validation_images:,} to train,"
            f" {i.validation_images:,} to validate, {i.test_images:,} to test",
        )


def _grids() -> Iterable[tuple[str, str]]:
    home = resources.files("aebench") / "grids"
    for name in (*PRESETS, *SEARCHES):
        yield name, str(tomllib.loads((home / f"{name}.toml").read_text("utf-8"))["title"])


def _findings() -> Iterable[tuple[str, str]]:
    from aebench.analysis.findings import FINDINGS

    return ((finding.id, finding.claim) for finding in FINDINGS)


_LISTS: dict[str, Callable[[], Iterable[tuple[str, str]]]] = {
    "architectures": lambda: ((n, architectures.get(n).about) for n in architectures.names()),
    "options": _options,
    "engines": _engines,
    "datasets": _datasets,
    "probes": schema.PROBE_KINDS.items,
    "grids": _grids,
    "protocols": protocols.ABOUT.items,
    "findings": _findings,
}
Kind = StrEnum("Kind", {name: name for name in _LISTS})  # type: ignore[misc]  # what can be listed


def list_(
    kind: Annotated[Kind | None, typer.Argument(help=f"Only these. {default('all')}")] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            help="Python file with architectures of your own.",
            metavar="FILE.py",
            autocompletion=complete.plugin,
        ),
    ] = None,
    form: FormatOption = Format.table,
) -> None:
    """List architectures, options, engines, datasets, probes, grids, protocols and findings."""
    load_plugins(tuple(str(path) for path in plugin or ()))
    found = {name: list(_LISTS[name]()) for name in ([kind.value] if kind else _LISTS)}
    if form is not Format.table:
        rows = [[name, *row] for name, listed in found.items() for row in listed]
        formats.write(form, _HEADS, rows)
        return
    for name, listed in found.items():
        heads = [name, _HEADS[-1]]
        rows = [list(row) for row in listed]
        text.stdout().print(text.table("", heads, rows, left=2, sentences=heads[1:]))
