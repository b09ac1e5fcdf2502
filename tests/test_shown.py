"""Results as a notebook shows them."""

from __future__ import annotations

from pathlib import Path

from aebench.job import Job
from aebench.records import Circumstances, ended_without_record
from aebench.store import Store


def test_results_are_shown_as_a_table_of_what_one_looks_for_first(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for latent, status, reason in ((2, "ok", ""), (4, "failed", "<script>\x1b[31m")):
        job = Job.create(architecture="mlp", dataset="digits", latent=latent, epochs=1)
        record = ended_without_record(job, Circumstances(), status, reason, 1.0)
        store.write(record.__class__(record.job | {"mse": 0.0123456 if latent == 2 else None}))
    (tmp_path / "parts" / "torn.parquet").write_bytes(b"no table")
    results = store.read()
    shown = results._repr_html_()
    heads = [line.strip()[4:-5] for line in shown.splitlines() if "<th>" in line]
    assert heads[:5] == ["dataset", "architecture", "latent", "status", "reason"]
    assert {"mse", "pca_mse", "train_s"} < set(heads)
    assert "seed" not in heads  # of which there is one
    assert "<td>0.01235</td>" in shown
    assert "<td>-</td>" in shown
    assert r"<td>&lt;script&gt;\x1b[31m</td>" in shown
    assert ".jobs: 2 rows; .epochs: 0 rows" in shown
    assert "torn.parquet" in shown
    assert "nan" not in shown
