"""What is printed: durations and ranges, tables that fit, and nothing that steers a terminal."""

from __future__ import annotations

import io
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import COMMAND, environment
from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress
from test_report_records import failure, record, stored

from aebench.cli import text
from aebench.cli.progress import _Bars
from aebench.errors import printable
from aebench.estimate import Estimator
from aebench.executors import Ending
from aebench.job import Job

STEERING = "\x1b[31mred\x1b]0;title\x07\nline\u202eright\x9b2J"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "-"),
        (float("nan"), "-"),
        (float("inf"), "-"),
        (0.823, "0.82 s"),
        (9.96, "10 s"),
        (59.7, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (3600, "1 h 00 min"),
        (7529, "2 h 05 min"),
        (7199, "2 h 00 min"),
        (360_000, "100 h 00 min"),
    ],
)
def test_durations(seconds: float | None, said: str) -> None:
    assert text.duration(seconds) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.5812, 3.6, "0.58 s to 3.6 s"),
        (41.7, 118, "42 s to 2 min"),
        (100, 101, "2 min"),
        (3000, 4300, "50 min to 1 h 10 min"),
        (7200, 108_123, "2 h to 30 h"),
        (3590, 3590, "1 h"),
    ],
)
def test_guesses_are_ranges_of_what_can_be_known(low: float, high: float, said: str) -> None:
    assert text.between(low, high) == said


# Tables


@pytest.fixture
def folder(invoke) -> str:  # which goes to an empty folder
    """Numbers of every length, a long name, and a reason that does not fit anywhere."""
    long = "a reason of many words that goes on and on " * 5 + "x" * 150
    stored(
        Path("runs"),
        record("mlp", 512, 0.6071, row={"parameters": 804_112, "images_per_s": 1_133_653.0}),
        record("conv", 16, 0.1543, seed=1, row={"protocol": "tuned", "parameters": 305}),
        record("mlp", 2**40, 123.4, row={"dataset": "folder:holiday-pictures-0a1b2c3d"}),
        failure("conv", 7, reason=long),
    )
    return "runs"


@pytest.mark.parametrize("columns", [80, 100, 120, 200])
@pytest.mark.parametrize(
    "words",
    [
        ["show", "runs"],
        ["findings", "runs"],
        ["run", "--grid", "full", "--plan"],
        ["data", "list"],
        ["list"],
        ["compare", "runs", "runs"],
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_tables_fit_and_split_no_number(
    words: list[str], columns: int, folder: str, invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # which makes rich take a pipe for a terminal
    monkeypatch.setenv("COLUMNS", "10000")
    whole = cells(invoke(*words)[1])
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = invoke(*words)
    assert code == 0
    framed = [line for line in plain(out).splitlines() if line[:1] in "┏┃┡│└"]
    assert framed
    assert max(map(cell_len, framed)) <= columns
    # Whatever word or number stands in a cell stands in one on a terminal without an edge: none is
    # split, but for the one that is longer than the whole terminal.
    known = {word for row in whole for cell in row for word in cell.split()}
    found = {word for row in cells(out) for cell in row for word in cell.split()}
    assert {word for word in found - known if not set(word) <= {"x", "."}} == set()
    assert found & known


def plain(out: str) -> str:
    return re.sub(r"\x1b\[[\d;]*m", "", out)


def cells(out: str) -> list[list[str]]:
    rows = (line for line in plain(out).splitlines() if line.startswith("│"))
    return [[c for cell in row.split("│") if (c := cell.strip())] for row in rows]


def test_what_is_left_out_is_named_the_least_important_first(folder: str, invoke, monkeypatch):
    heads = {}
    for columns in (90, 120, 250):
        monkeypatch.setenv("COLUMNS", str(columns))
        _, out, _ = invoke("show", folder)
        found = re.search(rf"not shown at this width \({columns}\): (.*)", " ".join(out.split()))
        heads[columns] = found[1].split(", ") if found else []
        assert "folder:holiday-pictures-0a1b2c3d mlp-1099511627776" in out  # in one line
    assert heads[250] == []
    assert set(heads[120]) < set(heads[90])
    assert "images/s" in heads[120]
    assert not {"system", "status", "study error"} & set(heads[90])


@pytest.mark.slow
def test_a_pipe_has_200_columns_unless_told_otherwise(tmp_path: Path) -> None:
    stored(tmp_path / "runs", failure(reason="word " * 100))
    for changes, width in (({}, 200), ({"COLUMNS": "90"}, 90), ({"FORCE_COLOR": "1"}, 200)):
        done = subprocess.run(
            [*COMMAND, "show", "runs"],
            cwd=tmp_path, env=environment(**changes), capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        framed = [line for line in plain(done.stdout).splitlines() if line[:1] in "┏┃│"]
        assert width - 8 < max(map(len, framed)) <= width, changes


# Other people's words


def test_controls_are_shown_as_escapes() -> None:
    assert printable(STEERING) == (r"\x1b[31mred\x1b]0;title\x07\nline\u202eright\x9b2J")
    assert printable("naïve, 東京, a\u00a0b, 🙂 [bold]") == "naïve, 東京, a\u00a0b, 🙂 [bold]"
    assert printable("\udcff") == r"\udcff"
    assert printable("x" * 500, most=10) == "xxxxxxx..."


def test_nothing_steers_the_terminal(invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """In names of folders, reasons, architectures, and the words of the command itself."""
    monkeypatch.setenv("COLUMNS", "1000")
    name = STEERING.replace("/", "")
    failed = failure(reason=STEERING)
    good = record("mlp", 4, row={"architecture": STEERING})
    stored(Path(name), replace(failed, job=failed.job | {"architecture": STEERING}), good)
    for words in (
        ["show", name],
        ["show", name, "--format", "markdown"],
        ["findings", name],
        ["check", name],
        ["show", f"no-{name}"],
        ["run", "--architecture", name, "--latent", "4"],
        ["run", "--grid", name],
        ["run", "--plugin", name],
        ["run", "--device", name],
        ["list", name],
        ["show", name, name],
        ["show", f"--{name}"],
        [f"--{name}", "show"],
    ):
        _, out, err = invoke(*words)
        assert not set("\x1b\x07\u202e\x9b") & set(out + err), words
        assert r"\x1b" in out + err or words[0] in ("findings", "check"), words
    assert r"\x1b[31mred\x1b]0;title\x07\nline" in invoke("show", name)[1]
    assert "\\u001b" in invoke("show", name, "--format", "json")[1]  # exact, by JSON's own rule


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("report --format x", "'--format': 'x' is not one of 'html', 'pdf', 'markdown'."),
        ("list x", "'kind': 'x' is not one of 'architectures', "),
        ("run --workers x", "'--workers': it must be a valid integer "),
    ],
)
def test_a_wrong_value_is_told_in_words_for_people(invoke, words: str, said: str) -> None:
    code, _, err = invoke(*words.split())
    assert code == 2
    assert f"Invalid value for {said}" in err
    assert "Value error" not in err
    assert "Input should" not in err


# Bars


def test_the_overall_bar_never_overshoots_and_ends_full() -> None:
    jobs = [Job("mlp", "digits", k, epochs=3) for k in (1, 2, 3)]
    console = Console(file=io.StringIO(), force_terminal=True)
    ok = Ending("ok", "", 1.0, 1.0, 1.0)
    with Progress(console=console, auto_refresh=False) as progress:
        bars = _Bars(jobs, Estimator(), progress)
        overall = progress.tasks[0]

        def share() -> float:
            assert 0 <= overall.completed <= overall.total
            return overall.completed / overall.total

        bars.started(0, jobs[0])
        for epoch in (1, 2, 3, 3, 4):  # told twice, and once too often
            bars.epoch(0, jobs[0], epoch, 0.5)
            assert share() <= bars.shares.cost[jobs[0]] / overall.total + 1e-9
        bars.ended(0, jobs[0], ok)
        first = share()
        assert first == pytest.approx(1 / 3, rel=0.1)
        bars.started(0, jobs[1])
        bars.epoch(0, jobs[1], 1, 0.5)
        assert first < share() < 0.5
        bars.ended(0, jobs[1], Ending("failed", "early"))
        assert share() == pytest.approx(2 / 3, rel=0.1)
        bars.ended(1, jobs[2], ok)  # trained by another run: it was never started here
        assert overall.completed == overall.total
        assert overall.fields["note"] == "3/3 jobs"
