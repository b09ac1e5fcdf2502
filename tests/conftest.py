"""For all tests: what a machine lacks is asked for only if need be, and skipped by name.

A test marked `cuda` needs a CUDA device; one marked `compiler`, or given an engine that compiles,
needs a C++ compiler; one that asks for `browser` needs Chromium. What torch compiles is slow.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import NAMES, Browser, executable
from checkers import unavailable
from filelock import FileLock


@pytest.hookimpl(tryfirst=True)  # before pytest chooses by marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, and mark as slow what torch compiles."""
    for needy, lacking, reason in (
        (_on_cuda, _no_cuda, "torch finds no CUDA device on this machine"),
        (_compiles, _no_compiler, "there is no C++ compiler on this machine"),
    ):
        found = [item for item in items if needy(item)]
        if found and lacking():
            for item in found:
                item.add_marker(pytest.mark.skip(reason=reason))
    for item in items:
        if _engine(item) == "compiled":
            item.add_marker(pytest.mark.slow)


def _on_cuda(item: pytest.Item) -> bool:
    return item.get_closest_marker("cuda") is not None


def _compiles(item: pytest.Item) -> bool:
    marked = item.get_closest_marker("compiler") is not None
    return marked or _engine(item) in ("compiled", "native")


def _engine(item: pytest.Item) -> object:
    return item.callspec.params.get("engine") if hasattr(item, "callspec") else None


def _no_cuda() -> bool:
    import torch

    return not torch.cuda.is_available()


def _no_compiler() -> bool:
    names = [os.environ.get("CXX"), "g++", "clang++"]
    if not any(name and shutil.which(name) for name in names):
        return True
    # What torch's inductor imports to compile brings setuptools, which warns of whatever has
    # imported distutils before, and of itself: none of our business, and an error later on.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("torch.utils.cpp_extension")
    return False


def _kept_registries() -> Iterator[None]:
    from aebench.architectures import registry
    from aebench.datasets import catalogue

    tables: tuple[dict[Any, Any], ...]
    tables = (catalogue._INFOS, catalogue._LOADERS, registry._registry, registry._codes)
    before = [dict(table) for table in tables]
    yield
    for table, content in zip(tables, before, strict=True):
        table.clear()
        table.update(content)


@pytest.fixture(autouse=True, scope="module")
def own_registries_of_a_module() -> Iterator[None]:
    """Let no module of tests meet the models and data that the fixtures of another registered."""
    yield from _kept_registries()


@pytest.fixture(autouse=True)
def own_registries() -> Iterator[None]:
    """Let no test meet the models and data that another has registered in this process."""
    yield from _kept_registries()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """For what is small, where threads would wait for each other, and its last bits."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def blank() -> Callable[[], AbstractContextManager[None]]:
    """Call it for a context in which charts are left empty: half of a page's time is drawing."""

    @contextmanager
    def charts() -> Iterator[None]:
        from matplotlib.figure import Figure
        from matplotlib.layout_engine import ConstrainedLayoutEngine

        def save(self: Figure, file: Any, *, format: str, **_: Any) -> None:
            file.write("<svg />" if format == "svg" else b"a picture")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Figure, "savefig", save)
            patch.setattr(ConstrainedLayoutEngine, "execute", lambda self, figure: None)
            yield

    return charts


@pytest.fixture
def undrawn(blank: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """Leave charts empty while the test runs."""
    with blank():
        yield


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A Chromium for all tests of this process: `with browser.open(page) as shown`."""
    if executable() is None:
        unavailable(f"no Chromium: none of {', '.join(NAMES)} is installed")
    with Browser() as started:
        yield started


@pytest.fixture(scope="session")
def rendered(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Callable[[Path], Any]], Path]:
    """The page of what a function stores in a folder, or reads of it; drawn once for all tests.

    Call it with a name for the page. Tests of other processes find it, too, for drawing is slow.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def render(name: str, results: Callable[[Path], Any]) -> Path:
        from aebench.page.html import page, write

        file = shared / f"rendered-{name}.html"
        with FileLock(shared / f"rendered-{name}.lock"):
            if not file.exists():
                write(page(results(shared / f"rendered-{name}")), file)
        return file

    return render


@pytest.fixture
def invoke(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run ``aebench WORDS`` in this process and an empty folder; gives code, stdout, stderr.

    For what ends before any work begins: a process of its own would take a hundred times longer.
    """
    from aebench.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")  # else messages in boxes are broken into lines

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["aebench", *words])
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        assert isinstance(code, int)
        return code, captured.out, captured.err

    return run


@pytest.fixture
def toml(tmp_path: Path) -> Callable[..., Any]:
    """Enumerate a grid file with the given text."""

    from aebench.grid import Grid, load_grid

    def load(text: str, **overrides: Any) -> Grid:
        path = tmp_path / "mine.toml"
        path.write_text(text, "utf-8")
        return load_grid(str(path), overrides)

    return load
