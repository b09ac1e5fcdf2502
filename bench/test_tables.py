"""What the harness does without a device: planning, reading records, rendering a report.

Each runs beside the same with a tenth of the jobs, and the ratio compares the time per job: 1
where cost grows with the number of jobs, less where it grows faster.
"""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aebench import render
from aebench.grid import load_grid
from aebench.job import Job
from aebench.store import Store, read
from aebench.worker import run_job
from bench.conftest import SideBySide

JOBS = 10_000
REPORTED = 200


@pytest.fixture(scope="module")
def one_record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with one real job in it, folded."""
    store = Store(tmp_path_factory.mktemp("one"))
    record = run_job(Job.create(architecture="mlp", dataset="digits", latent=4, epochs=2))
    assert record.job["status"] == "ok", record.job["reason"]
    store.write(record)
    store.compact()
    return store.path


def multiply(source: Path, jobs: list[Job], target: Path) -> Path:
    """Fill `target` with the one record in `source`, once under the name of each of `jobs`."""
    target.mkdir()
    keys = [job.key for job in jobs]
    for name in ("jobs", "epochs", "samples", "baselines"):
        table = pq.read_table(source / f"{name}.parquet")
        metadata = table.schema.metadata
        if name != "baselines":  # one curve for all, since all share a split
            each = table.num_rows
            table = table.take(pa.array(list(range(each)) * len(jobs)))
            table = replaced(table, "key", [key for key in keys for _ in range(each)])
        if name == "jobs":
            for field in ("architecture", "latent", "seed", "repeat"):
                table = replaced(table, field, [getattr(job, field) for job in jobs])
            # No two trainings end alike, and figures of equal values are no fair sample.
            draw = random.Random(0)
            for field in ("study_error", "mse", "val_mse", "train_s", "eval_s"):
                value = table.column(field)[0].as_py()
                table = replaced(table, field, [value * draw.uniform(0.9, 1.1) for _ in jobs])
        pq.write_table(table.replace_schema_metadata(metadata), target / f"{name}.parquet")
    return target


def replaced(table: pa.Table, name: str, values: list[object]) -> pa.Table:
    at = table.schema.get_field_index(name)
    return table.set_column(
        at, table.schema.field(at), pa.array(values, table.schema.field(at).type)
    )


def seeded(count: int) -> list[Job]:
    """`count` jobs: two architectures, five latent sizes, as many seeds as it takes."""
    options = {"architecture": ["mlp", "conv"], "latent": [1, 4, 8, 16, 32], "dataset": "digits"}
    return list(load_grid(None, options | {"seeds": count // 10, "epochs": 2}).jobs)


def test_planning(side_by_side: SideBySide) -> None:
    """Enumerate, check and order 10,000 jobs."""
    assert len(seeded(JOBS)) == JOBS
    side_by_side(
        ("planning", f"{JOBS:,} jobs", "load_grid", f"{JOBS // 10:,} jobs"),
        lambda: seeded(JOBS),
        lambda: seeded(JOBS // 10),
        unit="jobs",
        units=JOBS,
        against_units=JOBS // 10,
    )


def test_reading(one_record: Path, tmp_path: Path, side_by_side: SideBySide) -> None:
    """Read 10,000 records, folded into four tables, as data frames."""
    many = multiply(one_record, seeded(JOBS), tmp_path / "many")
    few = multiply(one_record, seeded(JOBS // 10), tmp_path / "few")
    found = read(many)
    assert len(found.jobs) == JOBS
    assert not found.problems
    side_by_side(
        ("reading", f"{JOBS:,} records", "store.read", f"{JOBS // 10:,} records"),
        lambda: read(many),
        lambda: read(few),
        unit="records",
        units=JOBS,
        against_units=JOBS // 10,
    )


@pytest.mark.slow
def test_rendering(one_record: Path, tmp_path: Path, side_by_side: SideBySide) -> None:
    """Render the report of 200 records to HTML."""
    many = read(multiply(one_record, seeded(REPORTED), tmp_path / "many"))
    few = read(multiply(one_record, seeded(REPORTED // 10), tmp_path / "few"))
    side_by_side.rounds = (side_by_side.rounds + 1) // 2
    side_by_side(
        ("report", f"{REPORTED} records", "render", f"{REPORTED // 10} records"),
        lambda: render(many, tmp_path / "many.html"),
        lambda: render(few, tmp_path / "few.html"),
        unit="records",
        units=REPORTED,
        against_units=REPORTED // 10,
    )
