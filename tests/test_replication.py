"""The study's printed figures beside our runs, as ratios."""

from pathlib import Path

import pytest
from test_report_records import record, stored, study

from aebench.analysis import findings
from aebench.analysis.replication import not_run, replications


def test_each_run_is_set_over_the_printed_figure(tmp_path: Path) -> None:
    errors = (0.605, 1.21, 2.42)  # 1, 2 and 4 times the 0.605 that the study prints
    records = [record("mlp", 512, e, seed=s) for s, e in enumerate(errors)]
    (found,) = replications(findings.evaluate(stored(tmp_path, *records)))
    assert found.outcome.finding.id == "mlp-512"
    assert found.printed == 0.605
    assert sorted(found.ratios) == pytest.approx([1, 2, 4])
    assert found.centre == pytest.approx(2)  # the geometric mean, where the arithmetic one is 7 / 3


def test_figures_stand_in_the_study_s_order_and_those_not_run_are_told(tmp_path: Path) -> None:
    outcomes = findings.evaluate(stored(tmp_path, *study(2)))
    assert [r.model.name for r in replications(outcomes)] == [
        "mnist mlp-512", "mnist mlp-128", "mnist mlp-1", "mnist conv-512", "mnist conv-128",
        "mnist conv-16", "mnist conv-1", "mnist conv-128 depth 2", "mnist conv-64 depth 2",
        "cifar10 conv-128",
    ]  # fmt: skip
    lacking = [model.name for model in not_run(outcomes)]
    assert lacking == ["mnist conv-relu-128 depth 2", "mnist conv-relu-64 depth 2"]


def test_where_nothing_was_run_there_is_no_ratio(tmp_path: Path) -> None:
    outcomes = findings.evaluate(stored(tmp_path, record("conv-bottleneck", 8)))
    assert replications(outcomes) == []
    assert len(not_run(outcomes)) == 12
