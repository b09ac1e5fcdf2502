"""What the page says of the records themselves."""

from pathlib import Path

from test_report_records import failure, record, stored

from aebench.analysis import frames
from aebench.page import records as page_records


def test_coverage_counts_every_ending(tmp_path: Path) -> None:
    results = stored(
        tmp_path, record("mlp", 4), record("mlp", 4, seed=1), failure("mlp", 4, seed=2),
        failure("mlp", 8, status="timed_out"), record("conv", 8),
    )  # fmt: skip
    table = page_records.coverage(frames.ordered(results).jobs, "caption")
    cells = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert cells == {"mlp": ["✔ 2 ok, ✘ 1 failed", "✘ 1 timed_out"], "conv": ["none", "✔ 1 ok"]}
