"""What CONTRIBUTING says of the code is so: its examples run, and the way of a job is as told."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import house
import pytest

from aebench import datasets, engines
from aebench.analysis import findings
from aebench.job import Job
from aebench.page import html, subjects
from aebench.records import Circumstances
from aebench.store import Store
from aebench.worker import run_job

GUIDE = house.GUIDE.read_text("utf-8")


def example(title: str) -> str:
    """The Python of the section with this title."""
    section = GUIDE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return code


def run(title: str, name: str) -> ModuleType:
    """Run the example of a section as the module `name`."""
    module = ModuleType(name)
    sys.modules[name] = module
    exec(compile(example(title), name, "exec"), module.__dict__)
    return module


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    known, modules = dict(engines.ENGINES), set(sys.modules)
    yield
    engines.ENGINES.clear()
    engines.ENGINES.update(known)
    for name in set(sys.modules) - modules:
        if name.startswith(("guide_", "aebench.engines.patient")):
            del sys.modules[name]


@pytest.mark.parametrize(
    "title",
    [f"Add {x}" for x in ("an architecture", "a dataset", "an engine", "a chart", "a finding")],
)
def test_examples_are_short(title: str) -> None:
    lines = [line for line in example(title).splitlines() if line.strip()]
    assert len([line for line in lines if not line.startswith(("import ", "from "))]) <= 10


def test_an_architecture_of_ten_lines_trains() -> None:
    run("Add an architecture", "guide_architecture")
    row = run_job(Job("tiny", "digits", latent=3, epochs=1), Circumstances()).job
    assert (row["status"], row["bottleneck"]) == ("ok", 3), row["reason"]


def test_a_dataset_of_ten_lines_is_trained_on() -> None:
    run("Add a dataset", "guide_dataset")
    assert datasets.load("half-digits").train.shape[1:] == (1, 4, 8)
    row = run_job(Job("mlp", "half-digits", latent=3, epochs=1), Circumstances()).job
    assert (row["status"], row["input_size"]) == ("ok", 32), row["reason"]


def test_an_engine_of_ten_lines_gives_the_losses_of_eager() -> None:
    run("Add an engine", "aebench.engines.patient")
    rows = [
        run_job(Job("mlp", "digits", latent=3, epochs=2, engine=name), Circumstances()).job
        for name in ("eager", "patient")
    ]
    assert [row["status"] for row in rows] == ["ok", "ok"], rows[1]["reason"]
    assert rows[0]["mse"] == rows[1]["mse"]


@pytest.mark.slow
def test_a_chart_of_ten_lines_stands_in_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = run("Add a chart", "guide_chart")
    store = Store(tmp_path)
    store.write(run_job(Job("mlp", "digits", latent=3, epochs=1), Circumstances()))
    monkeypatch.setattr(subjects.noise, "section", added.section)
    page = html.page(store.read())
    assert "Seconds of every job" in page
    assert "Seconds from start to record, sorted" in page


def test_a_finding_of_ten_lines_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = run("Add a finding", "guide_finding").added
    assert finding.id not in {known.id for known in findings.FINDINGS}
    monkeypatch.setattr(findings, "FINDINGS", (finding,))
    store = Store(tmp_path)
    record = run_job(Job("mlp", "digits", latent=3, epochs=1), Circumstances())
    store.write(record)
    (outcome,) = findings.evaluate(store.read())
    assert outcome.verdict == "not tested"


def steps() -> list[tuple[str, str]]:
    """File and name of every step of the walk."""
    section = GUIDE.partition("\n## One job, from the command to its row\n")[2].partition("\n## ")[
        0
    ]
    found: list[Any] = re.findall(r"^\d+\. `(aebench/\S+\.py)`(?: \(`(\w+)`\))?", section, re.M)
    assert len(found) == section.count("\n1") + section.count("\n2") + len(
        re.findall(r"\n[3-9]\. ", section)
    )
    return found


def test_a_job_crosses_no_more_files_than_told_and_each_has_what_is_named() -> None:
    assert len(steps()) <= 25
    for file, name in steps():
        tree = ast.parse((house.ROOT / file).read_text("utf-8"))
        defined = {getattr(node, "name", "") for node in tree.body}
        assert not name or name in defined, f"{file} has no {name}"
