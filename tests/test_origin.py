"""Where records come from: days, grid and command lines."""

from datetime import date
from pathlib import Path

import pytest
from test_report_records import record, stored

from aebench.analysis.origin import grid_of, origin


@pytest.mark.parametrize(
    ("command", "grid"),
    [
        ("aebench run --grid study --workers 2", "study"),
        ("aebench run --grid=study", "study"),
        ("aebench run -q --grid 'my grids/for class.toml'", "for class"),
        ('aebench run --grid "C:\\grids\\lab.toml"', "lab"),
        ("aebench run --no-grid x", ""),
        ("aebench run", ""),
    ],
)
def test_the_grid_is_read_off_the_command_line(command: str, grid: str) -> None:
    assert grid_of(command) == grid


def test_the_command_of_most_jobs_comes_first_and_the_grid_is_that_of_all(tmp_path: Path) -> None:
    study, lab = "aebench run --grid study", "aebench run --grid lab.toml"
    commands = [lab, study, study, study + " --workers 2", "", None]
    rows = [
        {"command": command, "started_at": f"2026-0{9 - i}-11T10:00:00+00:00"}
        for i, command in enumerate(commands)
    ]
    rows[0]["started_at"] = "not a day"
    jobs = stored(tmp_path, *(record("mlp", 4, seed=i, row=r) for i, r in enumerate(rows))).jobs
    found = origin(jobs)
    assert (found.first, found.last) == (date(2026, 4, 11), date(2026, 8, 11))
    assert found.grid == ""  # of two: the page would say that all of it is of one
    assert origin(jobs[jobs["command"].ne(lab)]).grid == "study"
    assert found.commands == (study, lab, study + " --workers 2")
    none = origin(jobs.iloc[:0])
    assert (none.first, none.last, none.grid, none.commands) == (None, None, "", ())
