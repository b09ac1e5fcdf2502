"""``aebench show``: a table for people, every column for a pipe, and peace with ``| head``."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command_line import COMMAND, environment
from test_report_records import failure, record, stored

from aebench import schema
from aebench.errors import printable
from aebench.store import Store

KIND = {column.name: column.kind for column in schema.JOBS}
ODD = 'a | b, [/red] [bold] "quoted" \n second line é'


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parts only, as a killed run leaves them: a job that ended ok, and a failure in odd words."""
    folder = tmp_path_factory.mktemp("cwd") / "results" / "killed"
    good = record("mlp", 4, dataset="digits", row={"mse": 0.1 + 2**-56, "psnr_db": math.inf})
    Store(folder).write(good)
    Store(folder).write(failure("conv", 7, dataset="digits", reason=ODD))
    return folder


def parsed(form: str, out: str) -> list[dict[str, Any]]:
    """What was printed as rows of Python values; an empty cell is None."""
    if form == "json":
        return json.loads(out)
    if form == "csv":
        rows = list(csv.reader(io.StringIO(out)))
    else:
        lines = [line.replace(r"\|", "\0") for line in out.splitlines()]
        rows = [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines]
        rows = [[cell.replace("\0", "|") for cell in row] for row in rows]
        assert set(rows.pop(1)) == {"---"}
    value: dict[str, Callable[[str], Any]] = {
        "string": str, "int64": int, "float64": float, "bool": {"True": True, "False": False}.get,
    }  # fmt: skip
    return [
        {name: value[KIND[name]](cell) if cell else None for name, cell in pairs}
        for pairs in (list(zip(rows[0], row, strict=True)) for row in rows[1:])
    ]


@pytest.mark.parametrize("form", ["csv", "json", "markdown"])
def test_a_pipe_gets_what_is_stored(form: str, results: Path, invoke) -> None:
    """Every column, every digit, and whole numbers whole though other rows lack them."""
    code, out, err = invoke("show", str(results), "--format", form)
    assert (code, err) == (0, "")
    rows = parsed(form, out)
    assert [list(row) for row in rows] == [list(KIND)] * 2
    for row in rows:
        (part,) = results.glob(f"parts/{row['key']}-*.parquet")
        (stored,) = pd.read_parquet(part, dtype_backend="pyarrow")[list(KIND)].to_dict("records")
        for name, value in stored.items():
            if value is pd.NA or value == "":
                assert row[name] in (None, ""), name
            elif value == math.inf and form == "json":  # which cannot say it
                assert row[name] is None
            elif name == "reason" and form == "markdown":  # one line a row
                assert row[name] == printable(value)
            else:
                assert (row[name], type(row[name])) == (value, type(value)), name


def test_the_table_shows_odd_words_as_they_are(results: Path, invoke) -> None:
    code, out, _ = invoke("show", str(results))
    assert code == 0
    assert "digits mlp-4" in out
    assert r'a | b, [/red] [bold] "quoted" \n second line' in out


def test_options_are_shown_where_there_are_any(invoke) -> None:
    plain = record("conv", 4, dataset="digits", depth=2)
    stored(Path("plain"), plain)
    stored(Path("both"), plain, record("conv", 4, dataset="digits", depth=2, options="kernel=2"))
    assert "options" not in invoke("show", "plain")[1]
    _, out, _ = invoke("show", "both")
    assert " options " in out
    assert out.index(" kernel=2 ") > out.index("digits conv-4")


def test_without_a_folder_the_newest_is_shown_even_of_a_killed_run(
    results: Path, invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(results.parents[1])
    code, out, _ = invoke("show")
    assert code == 0
    assert "results/killed: 2 jobs" in out


def test_the_newest_is_found_where_a_link_leads_nowhere(invoke) -> None:
    stored(Path("results/mine"), record("mlp", 5, dataset="digits"))
    Path("results/mine/parts/away.parquet").symlink_to("no such file")
    code, out, err = invoke("show")
    assert (code, "results/mine: 1 job" in out) == (0, True), err
    assert "a link that leads nowhere" in err


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_file_in_a_results_folder_means_the_folder(invoke) -> None:
    store = Store(Path("mine"))
    store.write(record("mlp", 4, dataset="digits"))
    store.compact()
    store.write(record("mlp", 5, dataset="digits"))
    Path("mine/notes.txt").touch()
    files = [p for p in Path("mine").rglob("*") if p.is_file() or p.name == "parts"]
    assert len(files) > 6
    every = [["findings"], ["report", "-o", "page.html"], ["compare", "mine"]]
    for path in files:
        # All commands ask in the same place; rendering a page for each file would take long.
        for command, *more in [["show"], *(every if path.name == "notes.txt" else [])]:
            code, out, err = invoke(command, *more, str(path))
            assert code == 0, err
        code, out, _ = invoke("show", str(path))
        assert "mine: 2 jobs" in out, path


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_reference_results_are_never_meant_without_their_name(invoke) -> None:
    stored(Path("results/reference-quick"), record("mlp", 4, dataset="digits"))
    for command in ("show", "findings", "check", "report"):
        code, out, err = invoke(command)
        assert (code, out) == (2, "")
        assert "no results of yours yet below results/" in err
        assert "results/reference-quick" in err
    stored(Path("results/mine"), record("mlp", 5, dataset="digits"))
    stored(Path("results/reference-lab"), record("mlp", 4, dataset="digits"))
    for command in ("show", "findings", "check", "report"):
        assert "results: results/mine, the newest of yours" in invoke(command)[2]
    assert "results/reference-lab: 1 job" in invoke("show", "results/reference-lab")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no results of yours yet below results/"),
        (["missing"], "no results at missing"),
        (["file"], "no results at file"),
        (["foreign"], "no results at foreign"),
        (["foreign", "--format", "xml"], "xml"),
    ],
)
def test_a_wrong_request_is_one_message_and_2(words: list[str], said: str, invoke) -> None:
    Path("file").touch()
    Path("foreign/photos").mkdir(parents=True)
    code, out, err = invoke("show", *words)
    assert (code, out) == (2, "")
    assert said in " ".join(err.split())
    assert "Traceback" not in err


def test_a_run_stopped_before_its_first_record_has_no_rows(invoke) -> None:
    Path("stopped/parts").mkdir(parents=True)
    assert "stopped: 0 jobs" in invoke("show", "stopped")[1]
    for form in ("csv", "json", "markdown"):
        code, out, _ = invoke("show", "stopped", "--format", form)
        assert (code, parsed(form, out)) == (0, [])


@pytest.mark.parametrize("form", ["table", "csv", "markdown"])
def test_a_reader_that_leaves_is_no_failure(form: str, results: Path) -> None:
    """Met by rich, by pandas, or at the end, when the last lines leave Python's buffer."""
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [*COMMAND, "show", str(results), "--format", form],
        env=environment(),
        stdout=theirs,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (0, b"")


def test_another_encoding_costs_letters_not_the_output(results: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "show", str(results)],
        env=environment(PYTHONIOENCODING="ascii"),
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert rb"second line \xe9" in done.stdout


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gets to its mean image after two epochs, and another that never does."""
    folder = tmp_path_factory.mktemp("cwd") / "timed"
    for latent, losses in ((8, (0.3, 0.1, 0.05)), (700, (0.3, 0.3, 0.3))):
        row = {"mean_mse": 0.1, "pca_mse": 0.01}
        Store(folder).write(record("mlp", latent, losses=losses, epochs=3, seconds=6.0, row=row))
    return folder


def test_targets_are_told_by_model(timed: Path, invoke) -> None:
    code, out, _ = invoke("show", str(timed), "--targets")
    assert code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines()]
    assert [row for row in rows if row] == [
        ["mnist mlp-8", "mean image", "0.1", "1 of 1", "2", "4", "858"],
        ["mnist mlp-8", "PCA", "0.01", "0 of 1", "never", "never", "never"],
        ["mnist mlp-700", "mean image", "0.1", "0 of 1", "never", "never", "never"],
    ]


def test_a_pipe_gets_a_row_a_run_and_target(timed: Path, invoke) -> None:
    rows = json.loads(invoke("show", str(timed), "--targets", "--format", "json")[1])
    assert [row["reached"] for row in rows] == [True, False, False]
    assert [row["train_s"] for row in rows] == [4.0, None, None]  # JSON knows no infinity
    assert rows[1]["task"] == "MNIST, latent 8, PCA-8"
    plain = invoke("show", str(timed), "--targets", "--format", "csv")[1]
    lines = list(csv.DictReader(io.StringIO(plain)))
    assert [line["epochs"] for line in lines] == ["2.0", "inf", "inf"]
    assert list(lines[0]) == list(rows[0])


def test_without_a_curve_there_is_no_target(tmp_path: Path, invoke) -> None:
    Store(tmp_path / "r").write(failure())
    assert invoke("show", str(tmp_path / "r"), "--targets", "--format", "json")[:2] == (0, "[]\n")
    code, out, _ = invoke("show", str(tmp_path / "r"), "--targets")
    assert (code, "mnist" in out) == (0, False)
