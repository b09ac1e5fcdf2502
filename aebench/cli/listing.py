"""``aebench list``: what there is to choose from, and what each is; read where it is defined."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Callable, Iterable
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from aebench import architectures, datasets, protocols
from aebench.cli import complete, formats, text
from aebench.cli.formats import Format
from aebench.cli.options import FormatOption, default
from aebench.grid import PRESETS
from aebench.job import ENGINES
from aebench.plugins import load_plugins

_HEADS = ("kind", "name", "what it is")
# As in the column `kind` of the probes table; the code that measures them loads torch.
PROBES = {
    "denoising": "test images with Gaussian noise of several amplitudes, unclipped: how near to the"
    " clean ones the model brings them",
    "out-of-distribution": "photographs and the images of other datasets: how much worse the model"
    " reconstructs what it was not trained on",
}


class Kind(StrEnum):
    """What can be listed."""

    architectures = "architectures"
    engines = "engines"
    datasets = "datasets"
    probes = "probes"
    grids = "grids"
    protocols = "protocols"
    findings = "findings"


def list_(
    kind: Annotated[Kind | None, typer.Argument(help=f"Only these. {default('all')}")] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            help="Python file with architectures of your own.", autocompletion=complete.plugin
        ),
    ] = None,
    form: FormatOption = Format.table,
) -> None:
    """List architectures, engines, datasets, probes, grids, protocols and findings."""
    load_plugins(tuple(str(path) for path in plugin or ()))
    found = {k.value: list(_LISTS[k]()) for k in ([kind] if kind else Kind)}
    if form is not Format.table:
        rows = [[name, *row] for name, listed in found.items() for row in listed]
        formats.write(form, _HEADS, rows)
        return
    for name, listed in found.items():
        heads = [name, _HEADS[-1]]
        rows = [list(row) for row in listed]
        text.stdout().print(text.table("", heads, rows, left=2, sentences=heads[1:]))


def _architectures() -> Iterable[tuple[str, str]]:
    return ((name, architectures.get(name).about) for name in architectures.names())


def _engines() -> Iterable[tuple[str, str]]:
    """The first sentence of each engine's module, which is read but not loaded: it needs torch."""
    home = resources.files("aebench") / "engines"
    for name in ENGINES:
        file = home / f"{name}.py"
        file = file if file.is_file() else home / name / "__init__.py"
        about = ast.get_docstring(ast.parse(file.read_text("utf-8"))) or ""
        yield name, " ".join(about.partition("\n\n")[0].split())


def _datasets() -> Iterable[tuple[str, str]]:
    for name in datasets.names():
        i = datasets.info(name)
        train = i.train_images - i.validation_images
        yield (
            name,
            f"{i.title}: images of {i.channels} x {i.height} x {i.width}, {train:,} to train,"
            f" {i.validation_images:,} to validate, {i.test_images:,} to test",
        )


def _grids() -> Iterable[tuple[str, str]]:
    home = resources.files("aebench") / "grids"
    for name in PRESETS:
        yield name, str(tomllib.loads((home / f"{name}.toml").read_text("utf-8"))["title"])


def _protocols() -> Iterable[tuple[str, str]]:
    for name in protocols.NAMES:
        yield name, protocols.ABOUT[name]


def _findings() -> Iterable[tuple[str, str]]:
    from aebench.analysis.findings import FINDINGS

    return ((finding.id, finding.claim) for finding in FINDINGS)


_LISTS: dict[Kind, Callable[[], Iterable[tuple[str, str]]]] = {
    Kind.architectures: _architectures,
    Kind.engines: _engines,
    Kind.datasets: _datasets,
    Kind.probes: PROBES.items,
    Kind.grids: _grids,
    Kind.protocols: _protocols,
    Kind.findings: _findings,
}
