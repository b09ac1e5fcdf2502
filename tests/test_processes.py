"""The unit of a time is the process, in tables, findings and the stopwatch alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_report_records import record, stored

from aebench.analysis import fights, fitness, frames, processes, rules
from aebench.analysis.evidence import Evidence
from aebench.analysis.frames import Model
from aebench.store import Record, Results

SLOW, FAST = Model("mnist", "conv", 128), Model("mnist", "mlp", 512)
QUIET = {"noise_before_s": 0.02, "noise_after_s": 0.02, "load_1m": 0.0}


def pairs(folder: Path, seconds: list[tuple[str, float, float]], **fields) -> Results:
    """For each repeat its process, and the time of `SLOW` and of `FAST` in it."""
    made: list[Record] = []
    for repeat, (process, slow, fast) in enumerate(seconds):
        row = QUIET | {"process_id": process}
        made += [
            record("conv", 128, seconds=slow, repeat=repeat, engine="reference", row=row, **fields),
            record("mlp", 512, seconds=fast, repeat=repeat, engine="reference", row=row, **fields),
        ]
    return fitness.marked(frames.ordered(stored(folder, *made)))


def test_rows_without_a_process_are_of_one_a_command_and_machine(tmp_path: Path) -> None:
    older = {"process_id": None}
    results = stored(tmp_path, *(
        record("mlp", 4, repeat=n, row=row) for n, row in enumerate([
            older, older, older | {"command": "another"}, older | {"machine_id": "another"}, {}, {},
        ])
    ))  # fmt: skip
    assert processes.count(results.jobs) == 5
    assert processes.count(results.jobs.head(0)) == 0


def test_a_table_of_times_has_the_median_of_each_process(tmp_path: Path) -> None:
    results = pairs(tmp_path, [("1-a", 2.0, 1.0), ("1-a", 2.02, 1.01), ("1-a", 9.0, 1.02),
                               ("2-a", 2.04, 1.0)])  # fmt: skip
    rows = {row["architecture"]: row for row in frames.times(results.jobs).to_dict("records")}
    assert rows["conv"]["runs"] == pytest.approx([2.02, 2.04])
    assert (rows["conv"]["n"], rows["conv"]["low"], rows["conv"]["high"]) == (2, 2.02, 2.04)
    assert rows["conv"]["spread"] == pytest.approx(0.02 / 2.03)


def test_a_finding_on_times_counts_pairs_of_processes(tmp_path: Path) -> None:
    def judged(name: str, ids: list[str]) -> object:
        seconds = [(process, 2.0 + n / 100, 1.0) for n, process in enumerate(ids)]
        evidence = Evidence.of(pairs(tmp_path / name, seconds))
        return rules.times(SLOW, FAST, 1.5, "above", device="cpu")(evidence)

    apart = judged("apart", [f"{n}-a" for n in range(4)])
    assert (apart.n_seeds, apart.verdict) == (4, None)
    together = judged("together", ["1-a"] * 4)
    assert (together.n_seeds, together.verdict) == (1, "consistent")
    two = judged("two", ["1-a", "1-a", "1-a", "2-a"])
    # The slow model's training and evaluation, as `record` has it, over the fast one's.
    assert list(two.values) == pytest.approx([2.01, 2.03])


def test_the_stopwatch_counts_pairs_of_processes(tmp_path: Path) -> None:
    made = []
    for repeat, (process, slow, fast) in enumerate(
        [("1-a", 8.0, 2.0), ("1-a", 8.0, 4.0), ("1-a", 8.0, 2.0), ("2-a", 9.0, 3.0)]
    ):
        for engine, seconds in (("reference", slow), ("eager", fast)):
            row = QUIET | {"process_id": process, "loading_s": 1.0}
            made.append(record("mlp", 4, seconds=seconds, repeat=repeat, engine=engine, row=row))
    (watch,) = fights.stopwatch(frames.ordered(stored(tmp_path, *made)))
    (row,) = watch.models.to_dict("records")
    assert row["n"] == 2
    assert (row["reference_s"], row["engine_s"], row["gain"]) == (8.5, 2.5, 3.5)
