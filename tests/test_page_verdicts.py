"""What stands at the head of the page."""

import re
from pathlib import Path

import pytest
from test_report_records import record, stored

from aebench.analysis import findings, fitness, frames
from aebench.page import verdicts
from aebench.page.html import page
from aebench.store import Record


def sentences(folder: Path, *records: Record) -> str:
    results = fitness.marked(frames.ordered(stored(folder, *records)))
    return " ".join(verdicts.sentences(results, findings.evaluate(results)))


def test_headline_tells_what_is_worse_than_the_mean_image(tmp_path: Path) -> None:
    worse = {"mean_mse": 0.1, "pca_mse": 0.05}
    records = [record("mlp", 1, 78 * 0.12, row=worse), record("mlp", 8, 78 * 0.09, row=worse)]
    text = sentences(tmp_path, *records)
    assert "Under the study's protocol mlp-1 on MNIST does worse than the mean image" in text
    assert "mlp-8 on MNIST does worse" not in text
    assert "have 1.80 (mlp-8 on MNIST) to 2.40 (mlp-1 on MNIST) times the error of PCA" in text
    assert "mean image" not in sentences(tmp_path / "none", records[1])


def test_headline_tells_what_the_printed_code_cannot_have_given(tmp_path: Path) -> None:
    records = [record("conv", 64, 8.8 + seed / 100, depth=2, seed=seed) for seed in range(3)]
    text = sentences(tmp_path, *records)
    assert "cannot have given the error of 0.037 that it prints at latent 64 (ours: 8.81" in text


@pytest.mark.slow
def test_where_nothing_of_the_study_was_run_its_findings_stand_behind(tmp_path: Path) -> None:
    def order(html: str) -> list[str]:
        return re.findall(r'<section id="(\w+)"', html)

    other = page(stored(tmp_path / "a", record("conv-bottleneck", 8), record("mlp", 8)))
    theirs = page(stored(tmp_path / "b", record("mlp", 512)))
    assert order(theirs)[0] == "findings"
    assert order(other)[0] == "best"
    assert order(other).index("findings") > order(other).index("pictures")
    said = "None of the study&#39;s 23 findings was tested: its models were not run here."
    assert said in other
    assert said not in theirs
    assert '<li class="not-tested">' in theirs
    assert '<li class="not-tested">' not in other
