"""How far models are from the linear optimum, in sentences."""

import pytest
from test_report_records import failure, record, stored

from aebench.analysis import frames
from aebench.page import reconstruction, trained
from aebench.store import Record, Results


def ordered(folder, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def test_distance_to_the_optimum_counts_only_what_compresses(tmp_path) -> None:
    records = [
        record("mlp", 16, 78 * 0.02, seed=s, row={"pca_mse": 0.01, "mean_mse": 0.015})
        for s in range(3)
    ]
    near = record("mlp", 700)  # a code of nine tenths of the image: PCA is all but exact there
    results = ordered(tmp_path, *records, near, record("conv", 16), failure())
    text = " ".join(trained.section(results).intro)
    assert "the error is 2.00 (mlp-16 on MNIST) times PCA's; 0 of 1 such model beat it" in text
    assert "of these mlp-16 on MNIST does worse than the mean image" in text
    assert not trained.section(results).charts  # of one model the sentence says it all


@pytest.mark.usefixtures("undrawn")
def test_its_figures_stand_in_the_table_of_all_models_and_nowhere_else(tmp_path) -> None:
    models = [("mlp", 16), ("mlp", 32), ("conv-bottleneck", 16)]
    results = ordered(
        tmp_path,
        *(
            record(f, k, s / 10 + 1, seed=s, row={"pca_mse": 0.01})
            for f, k in models
            for s in (0, 1)
        ),
    )
    section = trained.section(results)
    assert [chart.title for chart in section.charts] == ["MNIST"]
    assert not section.all_tables()
    (every,) = reconstruction.sections(results)[0].folded
    assert [row[0].text for row in every.rows] == ["mlp-16", "mlp-32", "conv-bottleneck-16"]
