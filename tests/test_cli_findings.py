"""``aebench findings``: a verdict is a result, whichever it is; --against says what differs."""

import csv
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
        "of 30 findings: 2 replicated, 0 consistent, 1 not replicated, 4 undecided and "
        "23 not tested"
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


def test_a_figure_is_shown_beside_that_of_the_reference(folder: Path, invoke) -> None:
    _, out, _ = invoke("findings", str(folder), "--only", "mlp-512,conv-16")
    lines = {line.split("│")[1].strip(): line for line in out.splitlines() if "│" in line}
    assert "as expected: 0.6" in lines["mlp-512"]
    assert "expected" not in lines["conv-16"]
    _, out, _ = invoke("findings", str(folder), "--only", "mlp-512,conv-16", "--format", "json")
    rows = {row["id"]: row for row in json.loads(out)}
    assert rows["mlp-512"]["expected"] == "as expected"
    assert rows["conv-16"]["expected"] == "not tested here"
    assert rows["mlp-512"]["values"] == pytest.approx([0.607, 0.608, 0.609])
    assert rows["conv-16"]["needs"] == "3 seeds of mnist conv-16"


@pytest.mark.slow
def test_own_outcomes_are_as_expected(folder: Path, invoke, tmp_path: Path) -> None:
    _, written, _ = invoke("findings", str(folder), "--format", "json")
    (tmp_path / "mine.json").write_text(written, "utf-8")
    for there in ("mine.json", str(folder)):
        code, out, _ = invoke("findings", str(folder), "--against", there)
        assert code == 0
        last = out.strip().splitlines()[-1]
        assert last == (
            "of 30 findings: 3 as expected, 0 differs, 0 too few to tell, 27 not tested here and "
            "0 not tested there"
        )


@pytest.mark.parametrize("form", ["table", "json", "csv", "markdown"])
def test_what_differs_is_named_with_both_figures(
    folder: Path, invoke, tmp_path: Path, form: str
) -> None:
    _, written, _ = invoke("findings", str(folder), "--format", "json", "--only", "mlp-512,conv-1")
    rows = json.loads(written)
    rows[1] |= {"ours": 3.5, "low": 3.4, "high": 3.6, "values": [3.48, 3.5, 3.52]}
    (tmp_path / "there.json").write_text(json.dumps(rows), "utf-8")
    words = ["--against", "there.json", "--only", "mlp-512,conv-1", "--format", form]
    code, out, _ = invoke("findings", str(folder), *words)
    assert code == 1
    if form in ("table", "markdown"):
        found = {line.split()[1]: line for line in out.splitlines() if len(line.split()) > 2}
        assert "as expected" in found["mlp-512"]
        for said in ("differs", "7.01" if form == "table" else "7.0099", "3.5", "do not overlap"):
            assert said in found["conv-1"]
        return
    plain = json.loads(out) if form == "json" else list(csv.DictReader(out.splitlines()))
    assert [row["answer"] for row in plain] == ["as expected", "differs"]
    assert float(plain[1]["ours_here"]) == pytest.approx(7.01, rel=1e-3)
    assert float(plain[1]["ours_there"]) == 3.5
    assert str(plain[1]["overlap"]) == "False"
    code, *_ = invoke("findings", str(folder), *words, "--only", "mlp-512")
    assert code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--against", "nowhere"], "no results at nowhere"),
        (["--against", "torn.json"], "torn.json holds no outcomes of findings"),
        (["--only", "mlp512"], "did you mean 'mlp-512'"),
        (["nowhere"], "no results at nowhere"),
    ],
)
def test_wrong_request(folder: Path, words: list[str], said: str, invoke) -> None:
    named = [str(folder)] if words[0].startswith("--") else []
    Path("torn.json").write_text('{"id": 3')
    code, _, err = invoke("findings", *named, *words)
    assert code == 2
    assert said in err
    assert "Traceback" not in err
