"""``aebench findings``: verdicts are results, so every one of them ends with exit code 0."""

import json
from pathlib import Path

import pytest
from test_report_records import record

from aebench.analysis.findings import FINDINGS
from aebench.store import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results")
    for seed in range(3):
        Store(path).write(record("mlp", 512, 0.607 + seed / 1000, seed=seed))
        Store(path).write(record("conv", 1, 7.0 + seed / 100, seed=seed))
    return path


def test_every_verdict_ends_well_and_says_why(folder: Path, invoke) -> None:
    code, out, _ = invoke("findings", str(folder))
    assert code == 0
    lines = {line.split("│")[1].strip(): line for line in out.splitlines() if "│" in line}
    assert {finding.id for finding in FINDINGS} <= set(lines)
    assert "replicated" in lines["mlp-512"]
    assert "not replicated" in lines["conv-1"]
    assert "not tested" in lines["conv-16"]
    last = out.strip().splitlines()[-1]
    assert last == (
        "of 23 findings: 2 replicated, 0 consistent, 1 not replicated, 4 undecided and "
        "16 not tested"
    )
    assert "the study's single run lies at 3.53" in out


def test_json_has_the_rule_and_what_it_came_to(folder: Path, invoke) -> None:
    only = "mlp-512, conv-1"
    _, out, _ = invoke("findings", str(folder), "--format", "json", "--only", only)
    rows = {row["id"]: row for row in json.loads(out)}
    assert list(rows) == ["mlp-512", "conv-1"]
    assert rows["mlp-512"]["verdict"] == "replicated"
    assert rows["mlp-512"]["low"] < 0.607 < rows["mlp-512"]["high"]
    assert rows["conv-1"]["n_jobs"] == 3
    assert "two one-sided" in rows["conv-1"]["rule"]


def test_markdown_has_a_row_for_each(folder: Path, invoke) -> None:
    _, out, _ = invoke("findings", str(folder), "--format", "markdown")
    assert len(out.splitlines()) == 2 + len(FINDINGS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "mlp512"], "did you mean 'mlp-512'"),
        (["nowhere"], "no results at nowhere"),
    ],
)
def test_wrong_request(folder: Path, words: list[str], said: str, invoke) -> None:
    named = [str(folder)] if words[0].startswith("--") else []
    code, _, err = invoke("findings", *named, *words)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
