"""What the code of a model that is not ours is told by: edits that count, and those that do not."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aebench import architectures, fingerprint
from aebench.analysis import frames, words
from aebench.errors import RequestError
from aebench.grid import load_grid
from aebench.job import Job
from aebench.plugins import load_plugins
from aebench.records import Circumstances, ended_without_record
from aebench.store import Store
from aebench.worker import run_job

PLUGIN = """
import aebench
from sizes import HIDDEN

@aebench.architecture("tiny")
def tiny(shape, latent, depth):
    from layers.made import layer
    return layer(HIDDEN)
"""
FILES = {
    "tiny.py": PLUGIN,
    "sizes.py": "HIDDEN = 4\n",
    "layers/__init__.py": "",
    "layers/made.py": "from .base import layer\n",
    "layers/base.py": "def layer(hidden):\n    return hidden\n",
    "layers/unused.py": "x = 1\n",
    "alone.py": "y = 1\n",
}


@pytest.fixture(autouse=True)
def own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("aebench_plugin_", "sizes", "layers", "mine")):
            del sys.modules[name]


@pytest.fixture
def code_of(tmp_path: Path) -> Callable[..., str]:
    """The code of `tiny`, loaded afresh from a new folder with `FILES`, changed as given."""
    made = iter(range(100))

    def load(**changes: str) -> str:
        folder = tmp_path / str(next(made))
        for name, text in (FILES | changes).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")
        for name in [n for n in sys.modules if n.partition(".")[0] in ("sizes", "layers")]:
            del sys.modules[name]
        architectures.registry._registry.pop("tiny", None)
        sys.path[:] = [p for p in sys.path if not p.startswith(str(tmp_path))]
        importlib.invalidate_caches()
        load_plugins([str(folder / "tiny.py")])
        return architectures.code("tiny")

    return load


@pytest.mark.parametrize("name", [n for n in FILES if n not in ("alone.py", "layers/unused.py")])
def test_every_file_that_takes_part_counts(code_of: Callable[..., str], name: str) -> None:
    first = code_of()
    assert len(first) == fingerprint.DIGITS
    assert code_of(**{name: FILES[name] + "# edited\n"}) != first


def test_where_it_lies_what_else_lies_there_and_how_lines_end_do_not_count(
    code_of: Callable[..., str],
) -> None:
    first = code_of()
    assert code_of() == first
    others = {name: FILES[name] + "# edited\n" for name in ("alone.py", "layers/unused.py")}
    assert code_of(**others) == first
    assert code_of(**{"tiny.py": PLUGIN.replace("\n", "\r\n")}) == first


def test_an_edited_plugin_gives_other_jobs_and_the_old_ones_keep_their_keys(
    code_of: Callable[..., str],
) -> None:
    asked = {"architecture": ["tiny", "mlp"], "dataset": "digits", "latent": 2}

    def jobs() -> dict[str, Job]:
        return {job.architecture: job for job in load_grid(None, asked).jobs}

    code_of()
    before = jobs()
    code_of(**{"sizes.py": "HIDDEN = 32\n"})
    after = jobs()
    assert after["mlp"].key == before["mlp"].key
    assert (after["mlp"].code, after["mlp"].pixels) == ("", "")
    assert after["tiny"].key != before["tiny"].key
    assert after["tiny"].name != before["tiny"].name
    architectures.check_code(after["tiny"])
    architectures.check_code(after["mlp"])
    with pytest.raises(RequestError, match=r"'tiny' is not that of this job .* changed after the"):
        architectures.check_code(before["tiny"])
    row = run_job(before["tiny"]).job  # as by a worker that started after the edit
    assert row["status"] == "failed"
    assert "changed after the run began" in row["reason"]


def test_a_declared_version_stands_for_the_code(code_of: Callable[..., str]) -> None:
    declared = PLUGIN.replace('"tiny"', '"tiny", version="2"')
    assert code_of(**{"tiny.py": declared}) == "version 2"
    assert code_of(**{"tiny.py": declared + "# edited\n", "sizes.py": "HIDDEN = 5"}) == "version 2"
    assert code_of(**{"tiny.py": declared.replace("2", "3")}) == "version 3"
    assert Job("tiny", "digits", 2).name == "digits tiny-2 version 3"
    for wrong in (2, " 2", "two\nlines", "x" * 41):
        with pytest.raises(RequestError, match="version of an architecture is a word"):
            architectures.architecture("tiny", version=wrong)  # type: ignore[arg-type]


def test_what_ran_counts_and_not_what_was_written_since(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    text = 'import aebench\nN = 4\n@aebench.architecture("tiny")\ndef f(s, l, d):\n    return N\n'
    path.write_text(text)
    load_plugins([str(path)])
    job = Job("tiny", "digits", 2)
    stamp = path.stat().st_mtime_ns
    path.write_text(text.replace("4", "8"))
    os.utime(path, ns=(stamp, stamp))  # which Python's own compiled copy would outlive
    architectures.check_code(job)
    load_plugins([str(path)])
    assert architectures.get("tiny").build((1, 8, 8), 2, 1) == 8  # type: ignore[comparison-overlap]
    assert Job("tiny", "digits", 2).key != job.key
    with pytest.raises(RequestError, match="Run the same command again"):
        architectures.check_code(job)


def test_a_package_counts_with_what_it_imports_of_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {
        "minepack/__init__.py": "",
        "minepack/models/__init__.py": "from ..sizes import N\n",
        "minepack/models/tiny.py": "from . import N\nimport json\ndef build(s, l, d): ...\n",
        "minepack/sizes.py": "N = 4\n",
        "minepack/other.py": "",
    }
    codes = []
    for name in ("", *files):
        folder = tmp_path / f"of {name.replace('/', ' ')}"
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text + ("# edited" if file == name else ""))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(folder)
            build = importlib.import_module("minepack.models.tiny").build
            codes.append(fingerprint.of(build))
        for module in [m for m in sys.modules if m.startswith("minepack")]:
            del sys.modules[module]
    first, *edited = codes
    assert [code != first for code in edited] == [True, True, True, True, False]


NOTEBOOK = """
HIDDEN = {hidden}
class Base:
    def size(self):
        return {size}
class Net(Base):
    width = {width}
def helper(n):
    return n * {factor}
def make(extra):
    def build(shape, latent, depth, more={more}):
        return [helper(HIDDEN) for _ in range(2)], Net(), extra
    return build
build = make({extra})
"""
VALUES = {"hidden": 4, "size": 1, "width": 2, "factor": 3, "more": 5, "extra": 6}


def typed(**changes: int) -> str:
    """The code of a function as a prompt defines it: without a file, and without its source."""
    space: dict[str, Any] = {"__name__": "__main__"}
    before = sys.modules["__main__"]
    sys.modules["__main__"] = type(sys)("__main__")  # as at a prompt, where it has no file
    try:
        exec(compile(NOTEBOOK.format(**VALUES | changes), "<stdin>", "exec"), space)
        return fingerprint.of(space["build"])
    finally:
        sys.modules["__main__"] = before


@pytest.mark.parametrize("name", VALUES)
def test_a_function_without_a_file_counts_with_all_that_it_names(name: str) -> None:
    assert typed() == typed()
    assert typed(**{name: 77}) != typed()


@pytest.mark.slow
def test_the_hash_is_the_same_in_every_process(tmp_path: Path) -> None:
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_fingerprint as t;"
    program += "print(t.typed(), t.fingerprint.of(t.typed))"
    # Of the order of sets: this process has another seed.
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    told = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.split() == [typed(), fingerprint.of(typed)]


def test_what_is_ours_is_ours() -> None:
    ours = [name for name in architectures.names() if architectures.is_ours(name)]
    assert {"mlp", "conv", "conv-bottleneck", "mlp-shared"} <= set(ours)
    assert {architectures.code(name) for name in ours} == {""}

    @architectures.architecture("guest")
    def guest(shape: object, latent: int, depth: int) -> Any: ...

    assert not architectures.is_ours("guest")
    assert not architectures.is_ours("nobody's")
    # Our builder under a user's name is a user's: no worker knows it without the plugin.
    architectures.architecture("renamed")(architectures.get("mlp").build)
    assert not architectures.is_ours("renamed")
    assert architectures.code("guest")
    with pytest.raises(RequestError, match="'guest' is not that of this job"):
        architectures.check_code(Job("guest", "digits", 2, code="0123456789ab"))


def test_two_states_of_one_model_are_told_apart_wherever_rows_are_grouped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    own = Job("tiny", "digits", 2, code="3fa2c1d2e3f4", pixels="91b0d2e3f4a5")
    edited = replace(own, code="version 2", seed=1)
    alone = replace(own, architecture="other")
    for job in (own, edited, alone, Job("mlp", "digits", 2)):
        store.write(ended_without_record(job, Circumstances(), "failed", "", total_s=1.0))
    results = store.read()
    jobs = frames.ordered(results).jobs
    models = dict(zip(jobs["key"], jobs["architecture"], strict=True))
    assert models[own.key] == "tiny (code 3fa2c1)"
    assert models[edited.key] == "tiny (version 2)"
    assert models[alone.key] == "other"
    datasets = dict(zip(jobs["key"], jobs["dataset"], strict=True))
    assert datasets[own.key] == "digits (pixels 91b0d2)"
    names = {words.job(row) for row in results.jobs.to_dict("records")}
    assert names == {
        "digits tiny-2 code 3fa2c1",
        "digits tiny-2 version 2 seed 1",
        "digits other-2 code 3fa2c1",
        "digits mlp-2",
    }
    assert not any("code 3fa2c1) code" in words.job(row) for row in jobs.to_dict("records"))
    assert list(results.jobs["architecture"]).count("tiny") == 2  # what is stored keeps its names
