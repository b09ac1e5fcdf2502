"""What `compare` matches, what it refuses, and what it says of both."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from test_compare import one, side
from test_report_records import failure, record, stored
from typer.testing import CliRunner

from aebench.analysis.comparison import compare, exceeded, limit
from aebench.cli import app
from aebench.errors import RequestError
from aebench.store import Record, Results


@pytest.mark.slow
def test_each_side_is_told_what_it_has_alone(tmp_path: Path) -> None:
    a = stored(tmp_path / "a", record("mlp", 4), record("mlp", 8))
    b = stored(tmp_path / "b", record("mlp", 4), record("conv", 4), record("conv", 16))
    only = [note for note in compare(a, b).notes if note.startswith("only in")]
    assert only == [
        "only in A: 1 job, left out (mnist mlp-8)",
        "only in B: 2 jobs, left out (mnist conv-4 and mnist conv-16)",
    ]
    assert not [note for note in compare(a, a).notes if note.startswith("only in")]


@pytest.mark.slow
def test_jobs_of_one_name_and_other_settings_are_told_apart(tmp_path: Path) -> None:
    """What a protocol sets may have changed between two runs in one folder."""

    def both(name: str) -> Results:
        return stored(tmp_path / name, *(
            record("mlp", 4, seed=seed, batch_size=size, row={"modified": ""})
            for size in (32, 64) for seed in range(3)
        ))  # fmt: skip

    results = both("a")
    of = dict(zip(results.jobs["key"], results.jobs["batch_size"], strict=True))
    names = [c.job for c in compare(results, both("b")).changes if c.metric == "mse"]
    assert names[0] == "mnist mlp-4"
    found = re.fullmatch(r"mnist mlp-4 \[(\w+)\]", names[1])
    assert found
    assert of[found[1]] == 64  # the key of one of its runs
    assert names[2:] == ["overall"]


def test_what_jobs_are_matched_on_is_said(tmp_path: Path) -> None:
    a, b = stored(tmp_path / "a", record("mlp", 4)), stored(tmp_path / "b", record("conv", 4))
    with pytest.raises(RequestError, match="matched on architecture, dataset, latent, depth"):
        compare(a, b)


def test_a_limit_is_a_factor(tmp_path: Path) -> None:
    found = limit("  train_s  >  7.5 % ")
    assert (found.metric, found.text) == ("train_s", "train_s > 7.5 %")
    assert found.factor == pytest.approx(1.075, abs=1e-12)


def test_a_job_that_no_longer_ends_ok_breaks_any_limit(tmp_path: Path) -> None:
    a = stored(tmp_path / "a", record("mlp", 4), record("conv", 64))
    b = stored(tmp_path / "b", record("mlp", 4), failure("conv", 64, status="out_of_memory"))
    found = compare(a, b)
    words = "mnist conv-64 did not end ok in B (out_of_memory: a reason)"
    assert exceeded(found, [limit("mse > 5%")]) == [words]
    assert exceeded(found, []) == []
    # Where one of its seeds did, there is something to compare; what was never run is not lost.
    some = stored(tmp_path / "c", record("mlp", 4), failure("mlp", 4, seed=1))
    assert compare(a, some).lost == ()


def test_an_older_store_without_a_field_still_matches(tmp_path: Path) -> None:
    old: list[Record] = [record("mlp", 4, repeat=i) for i in range(3)]
    for each in old:
        del each.job["train_noise"]  # type: ignore[attr-defined]
    assert compare(stored(tmp_path / "a", *old), one(tmp_path / "b")).changes


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("train_s > 5", "takes a limit like"),
        ("train_s < 5%", "takes a limit like"),
        ("trainn_s > 5%", "did you mean 'train_s'"),
    ],
)
def test_a_limit_must_be_one(given: str, words: str) -> None:
    with pytest.raises(RequestError, match=re.escape(words)):
        limit(given)


def test_across_takes_known_names(tmp_path: Path) -> None:
    results = one(tmp_path)
    with pytest.raises(RequestError, match="did you mean 'engine'"):
        compare(results, results, ["engin"])


@pytest.mark.slow
def test_commands_formats_and_exit_codes(tmp_path: Path) -> None:
    draw = np.random.default_rng(8)
    side(tmp_path / "a", draw)
    side(tmp_path / "b", draw, 1.1)
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    guard = ["--fail-if", "train_s > 5%"]
    done = CliRunner().invoke(app, ["compare", a, b, *guard, "--format", "json"])
    found = json.loads(done.stdout)
    assert done.exit_code == 1
    assert [c["job"] for c in found["changes"]] == 2 * ["mnist mlp-4", "mnist mlp-8", "overall"]
    assert len(found["failed"]) == 3
    assert "failed: train_s of mnist mlp-4 grew by" in done.stderr
    done = CliRunner().invoke(app, ["compare", a, a, *guard, "--format", "markdown"])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("| metric | job | A | B | B / A |")
    assert lines[2].endswith("| no difference found |")
    done = CliRunner().invoke(app, ["compare", a, b])
    assert done.exit_code == 0
    assert "slower" in done.stdout
    done = CliRunner().invoke(app, ["compare", a, b, "--across", "weather"])
    assert isinstance(done.exception, RequestError)


@pytest.mark.slow
def test_code_is_part_of_a_system_unless_it_is_what_is_compared(tmp_path: Path) -> None:
    read = stored(tmp_path, *(record("mine", 4, 1.0, seed=s) for s in range(3)))

    def with_code(*codes: str | None) -> Results:
        return dataclasses.replace(read, jobs=read.jobs.assign(code=codes))

    before, after = with_code("aaaa", "aaaa", "aaaa"), with_code("bbbb", "bbbb", "bbbb")
    with pytest.raises(RequestError, match="no finished job in common"):
        compare(before, after)
    assert len(compare(before, after, ["code"], ["mse"]).changes) == 1
    # Two codes in one folder are two systems, never one mean; across code each side has one.
    mixed = with_code("aaaa", "aaaa", "bbbb")
    assert [c.n for c in compare(mixed, mixed, (), ["mse"]).changes][:2] == [2, 1]
    with pytest.raises(RequestError, match="each side must have one"):
        compare(before, mixed, ["code"])
    assert len(compare(with_code("", None, ""), read, (), ["mse"]).changes) == 1


@pytest.mark.slow
def test_models_with_other_options_are_compared_if_that_is_asked(tmp_path: Path) -> None:
    relu, gelu, both = (
        stored(tmp_path / name, *(record("mlp", 4, depth=2, options=o, seed=s) for o in given
                                  for s in range(3)))
        for name, given in (
            ("relu", [""]), ("gelu", ["activation=gelu"]), ("both", ["", "hidden=9"]),
        )
    )  # fmt: skip
    with pytest.raises(RequestError, match="no finished job in common"):
        compare(relu, gelu)
    (change,) = compare(relu, gelu, ["options"], ["mse"]).changes
    assert (change.job, change.n) == ("mnist mlp-4 depth 2", 3)
    with pytest.raises(RequestError, match="across options, each side must have one"):
        compare(relu, both, ["options"])
    names = [change.job for change in compare(both, both, (), ["mse"]).changes]
    assert names[:2] == ["mnist mlp-4 depth 2", "mnist mlp-4 depth 2 (hidden=9)"]


def test_errors_on_other_pixels_are_not_compared(tmp_path: Path) -> None:
    one, other, old = (
        stored(tmp_path / name, record("mlp", 4, row={"data_sha256": sha}))
        for name, sha in (("one", "aa" * 32), ("other", "bb" * 32), ("old", None))
    )
    with pytest.raises(RequestError, match="was given other pixels"):
        compare(one, other)
    assert compare(one, old).changes


def test_times_that_check_rejects_are_named(tmp_path: Path) -> None:
    quiet = stored(tmp_path / "quiet", *(record("mlp", 4, repeat=i) for i in range(3)))
    busy = stored(
        tmp_path / "busy",
        *(record("mlp", 4, repeat=i, row={"pressure_s": 50.0}) for i in range(3)),
    )
    assert not any("rejects" in note for note in compare(quiet, quiet).notes)
    (note,) = [note for note in compare(quiet, busy).notes if "rejects" in note]
    assert note.startswith("aebench check rejects 3 times of B (contended)")
