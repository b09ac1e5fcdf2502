"""`aebench check`: each doubt is raised by the rows that deserve it, and by no others."""

import json
from pathlib import Path

import pytest
from test_report_records import CPU, failure, record, stored
from typer.testing import CliRunner

from aebench.analysis import fitness, frames
from aebench.cli import app
from aebench.store import Record, Results

QUIET = {
    "noise_before_s": 0.02, "noise_after_s": 0.02, "steal_s": 0.0, "pressure_s": 0.0,
    "throttled_s": 0.0, "involuntary_switches": 3,
}  # fmt: skip


def runs(n: int = 6, latent: int = 4, seconds: float = 1.0, **row) -> list[Record]:
    """So many quiet repeats of one job, a thousandth apart; `row` overrides columns of the last."""
    return [
        record(
            "mlp", latent, repeat=i, seconds=seconds * (1 + i / 1000),
            row=QUIET | (row if i == n - 1 else {}),
        )
        for i in range(n)
    ]  # fmt: skip


def raised(results: Results) -> dict[str, list[str]]:
    """Kinds of doubt, each with the keys of its rows."""
    return {d.kind.name: [c.key for c in d.cases] for d in fitness.check(results)}


def test_quiet_repeats_raise_no_doubt(tmp_path: Path) -> None:
    results = stored(tmp_path, *runs(), *runs(latent=8, seconds=2.0))
    assert raised(results) == {}
    assert fitness.fit(results, fitness.check(results))


@pytest.mark.parametrize(
    ("kind", "row", "words"),
    [
        ("noisy", {"noise_after_s": 0.0218}, "9.0 % longer"),
        ("noisy", {"noise_before_s": 0.018}, "10 % shorter"),
        ("contended", {"load_1m": 3.5}, "load 3.5 with 2 threads"),
        ("contended", {"steal_s": 0.1}, "took 5.0 % of the CPU time"),
        ("contended", {"pressure_s": 0.2}, "waited for a CPU in 20 %"),
        ("contended", {"gpu_processes": 1}, "1 other process on the GPU"),
        ("throttled", {"throttled_s": 0.3}, "CPU quota for 0.3 s"),
        ("throttled", {"clock_events": "power_cap, thermal_slowdown"}, "thermal slowdown"),
        ("clocks", {"device_train_s": 0.95}, "5.5 % apart"),
        ("dirty-commit", {"commit": "abc+changes"}, "abc+changes"),
        ("governor", {"governor": "performance, powersave"}, "performance, powersave"),
        ("turbo", {"turbo": True}, "turbo is on"),
        ("siblings", {"physical_cores": 1}, "2 threads on 1 core"),
        ("nodes", {"numa_nodes": 2}, "2 nodes"),
        ("unwatched", {"noise_before_s": None, "noise_after_s": None}, "aebench 0.1.0"),
    ],
)
def test_one_bad_row_is_named(tmp_path: Path, kind: str, row: dict, words: str) -> None:
    records = runs(**row)
    results = stored(tmp_path, *records)
    doubts = fitness.check(results)
    assert [d.kind.name for d in doubts] == [kind]
    (case,) = doubts[0].cases
    assert case.key == records[-1].job["key"]
    assert words in case.detail
    assert fitness.fit(results, doubts) is (doubts[0].kind.grade != "unfit")


@pytest.mark.parametrize(
    "row",
    [
        {"noise_after_s": 0.0214},
        {"load_1m": 2.9},
        {"steal_s": 0.019},
        {"pressure_s": 0.04},
        {"throttled_s": 0.005},
        {"device_train_s": 0.99},
        {"clock_events": "power_cap"},  # how a large GPU works at full load
        {"gpu_processes": 0},
        {"governor": "performance", "turbo": False, "physical_cores": 2, "numa_nodes": 1},
        {"smt": True, "physical_cores": 4},  # each thread has a core for itself all the same
    ],
)
def test_what_is_usual_raises_no_doubt(tmp_path: Path, row: dict) -> None:
    assert raised(stored(tmp_path, *runs(**row))) == {}


def test_a_gpu_is_held_to_less_noise(tmp_path: Path) -> None:
    def on(device: str) -> Results:
        return stored(tmp_path / device, *(
            record("mlp", 4, repeat=i, device=device, seconds=1.0,
                   row=QUIET | {"noise_after_s": 0.021 if i == 5 else 0.02})
            for i in range(6)
        ))  # fmt: skip

    assert not frames.noisy(on("cpu").jobs).any()
    assert frames.noisy(on("cuda").jobs).sum() == 1


def test_noise_is_judged_within_one_machine(tmp_path: Path) -> None:
    other = CPU | {"machine_id": "other"}
    slower = [
        record("mlp", 4, seed=1, repeat=i, machine=other, seconds=1.0,
               row=QUIET | {"noise_before_s": 0.06, "noise_after_s": 0.06})
        for i in range(6)
    ]  # fmt: skip
    assert "noisy" not in raised(stored(tmp_path, *runs(), *slower))


def test_a_slow_first_epoch(tmp_path: Path) -> None:
    def epochs(*seconds: float) -> Record:
        made = record("mlp", 4, epochs=len(seconds), seconds=1.0, row=QUIET)
        rows = [dict(row, train_s=s) for row, s in zip(made.epochs, seconds, strict=True)]
        return Record(made.job, rows, made.samples, made.baselines)

    def doubted(name: str, *seconds: float) -> bool:
        return "first-epoch" in raised(stored(tmp_path / name, epochs(*seconds)))

    assert doubted("leak", 1.2, 1.0, 1.01, 0.99)
    assert doubted("three", 1.2, 1.0, 1.01)
    assert not doubted("even", 1.05, 1.0, 1.01, 0.99)
    assert not doubted("hiccup", 1.2, 1.0, 1.3, 0.99)
    assert not doubted("two", 1.2, 1.0)


def test_steal_is_a_share_of_every_core_s_time(tmp_path: Path) -> None:
    for steal_s, doubts in ((0.03, {}), (0.05, {"contended"})):  # of 2 seconds on 2 cores
        results = stored(tmp_path / str(steal_s), *runs(seconds=2.0, steal_s=steal_s))
        assert set(raised(results)) == set(doubts)


def test_what_forbids_to_compare_and_what_helps() -> None:
    graded = {g: {k.name for k in fitness.KINDS if k.grade == g} for g in ("note", "left out")}
    assert graded == {
        "note": {"few-repeats", "dirty-commit", "unwatched", "untimed", "unfinished",
                 "governor", "turbo", "siblings", "nodes"},
        "left out": {"concurrent", "resumed", "other-engine"},
    }  # fmt: skip
    noisy, spread = fitness.remedies(["spread, noisy", "noisy", ""])
    assert noisy.startswith("noisy: ")
    assert spread.startswith("spread: Processes of one job differ")
    assert fitness.remedies([""]) == []


def test_spread_and_few_repeats_belong_to_a_system(tmp_path: Path) -> None:
    records = [*runs(5), record("mlp", 4, seed=1, seconds=1.06, row=QUIET)]
    found = raised(stored(tmp_path / "six", *records))
    assert set(found) == {"spread"}  # a seed is one more run of the same time
    assert len(found["spread"]) == 1
    found = raised(stored(tmp_path / "five", *records[:5], *runs(6, latent=8)))
    assert found == {"few-repeats": [records[0].job["key"]]}
    (doubt,) = fitness.check(stored(tmp_path / "five alone", *records[:5]))
    assert doubt.cases[0].detail == "5 processes"


def test_mixed_conditions(tmp_path: Path) -> None:
    with_one = [record("conv", 4, repeat=i, seconds=2.0, row=QUIET | {"threads": 1, "load_1m": 0})
                for i in range(6)]  # fmt: skip
    results = stored(tmp_path / "mixed", *runs(12), *with_one)
    (doubt,) = [d for d in fitness.check(results) if d.kind.name == "mixed"]
    assert {c.key for c in doubt.cases} == {r.job["key"] for r in with_one}
    assert doubt.cases[0].detail == "threads 1, most rows 2"


def test_every_system_with_every_engine_is_a_comparison(tmp_path: Path) -> None:
    both = [
        record(kind, 4, engine=engine, repeat=i, seconds=1 + i / 1000, row=QUIET)
        for kind in ("mlp", "conv") for engine in ("eager", "reference") for i in range(6)
    ]  # fmt: skip
    assert raised(stored(tmp_path / "crossed", *both)) == {}
    # One engine for some models only: each of its times has one of the same model to stand beside.
    assert raised(stored(tmp_path / "part", *both[6:])) == {}
    # The MLP under one engine and conv under the other: nothing to compare either with.
    torn = [*both[:6], *both[18:]]
    found = raised(stored(tmp_path / "torn", *torn))
    assert set(found) == {"mixed"}
    assert len(found["mixed"]) == 6


@pytest.mark.parametrize(
    ("kind", "row", "words"),
    [
        ("concurrent", {"concurrent": True}, "others beside it"),
        ("concurrent", {"concurrent": None}, "does not say whether"),
        ("resumed", {"resumed": "after epoch 2"}, "went on after epoch 2"),
        ("other-engine", {"engine_note": "ran as eager"}, "ran as eager"),
    ],
)
def test_what_a_run_left_out_itself_speaks_against_no_time(
    tmp_path: Path, kind: str, row: dict, words: str
) -> None:
    """Not against its own, which passes for none, nor against those beside which it would stand.

    Here it would be noisy, contended and spread; most rows would have one thread, and take a fixed
    piece of work for normal that took three times as long.
    """
    trouble = {"load_1m": 9.0, "threads": 1, "noise_before_s": 0.06, "noise_after_s": 0.06}
    left_out = [record("mlp", 4, seed=i, seconds=2.0 + i, row=QUIET | trouble | row)
                for i in range(1, 13)]  # fmt: skip
    results = stored(tmp_path / "both", *left_out, *runs())
    (doubt,) = doubts = fitness.check(results)
    assert (doubt.kind.name, doubt.kind.grade) == (kind, "left out")
    assert all(words in case.detail for case in doubt.cases)
    # It is rejected wherever times are taken, and what is fit beside it stays fit.
    keys = {one.job["key"] for one in left_out}
    assert fitness.rejected(results) == dict.fromkeys(keys, (kind,))
    assert fitness.fit(results, doubts)
    alone = stored(tmp_path / "alone", *left_out)
    assert not fitness.fit(alone, fitness.check(alone))
    code, out, _ = run("check", tmp_path / "both")
    assert (code, out.strip().splitlines()[-1].split(": ", 1)[1]) == (
        0, "18 finished jobs, 6 times, fit to compare",
    )  # fmt: skip
    code, out, _ = run("check", tmp_path / "alone")
    assert (code, out.strip().endswith("12 finished jobs, no time to compare")) == (1, True)


def test_a_system_in_doubt_names_all_its_rows(tmp_path: Path) -> None:
    records = [*runs(5), record("mlp", 4, seed=1, seconds=1.06, row=QUIET), *runs(latent=8)]
    results = stored(tmp_path, *records)
    found = fitness.rejected(results)
    assert found == {r.job["key"]: ("spread",) for r in records[:6]}
    marked = fitness.marked(results).jobs.set_index("key")["doubt"]
    assert marked.loc[[r.job["key"] for r in records[:6]]].eq("spread").all()
    assert marked.loc[[r.job["key"] for r in records[6:]]].eq("").all()


def test_what_makes_a_time_unfit_is_told_first(tmp_path: Path) -> None:
    doubts = fitness.check(stored(tmp_path, *runs(5, turbo=True, pressure_s=0.5)))
    assert [doubt.kind.name for doubt in doubts] == ["contended", "turbo", "few-repeats"]


def test_runs_in_one_process_are_one_of_six(tmp_path: Path) -> None:
    """So are those of older records, which name no process, if one command asked for them."""
    for name, row in {
        "together": {"process_id": "9-a"}, "older": {"process_id": None},
        "apart": {}, "twice": {"process_id": None, "command": "another"},
    }.items():  # fmt: skip
        records = runs()
        for one in records[: 3 if name == "twice" else 6]:
            one.job.update(row)
        for one in records[3:] if name == "twice" else []:
            one.job.update({"process_id": None})
        found = {
            d.kind.name: d.cases[0].detail for d in fitness.check(stored(tmp_path / name, *records))
        }
        few = {"together": "1 process, 6 runs", "older": "1 process, 6 runs",
               "twice": "2 processes, 6 runs"}  # fmt: skip
        assert found == ({"few-repeats": few[name]} if name in few else {})


def test_processes_spread_where_the_runs_in_them_do_not(tmp_path: Path) -> None:
    def spread(seconds: list[list[float]]) -> bool:
        records = [
            record("mlp", 4, repeat=10 * p + i, seconds=s, row=QUIET | {"process_id": f"{p}-a"})
            for p, of_process in enumerate(seconds)
            for i, s in enumerate(of_process)
        ]
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        return "spread" in raised(stored(folder, *records))

    assert spread([[1.0] * 3, [1.06] * 3])
    assert not spread([[1.0, 1.01, 1.5], [1.0, 1.02, 0.5]])  # medians 1 % apart


def test_every_kind_teaches() -> None:
    names = [kind.name for kind in fitness.KINDS]
    assert len(names) == len(set(names))
    for kind in fitness.KINDS:
        assert min(len(kind.what), len(kind.why), len(kind.remedy)) > 10


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    return done.exit_code, done.stdout, done.stderr


def test_exit_codes_and_words(tmp_path: Path) -> None:
    stored(tmp_path / "fit", *runs())
    stored(tmp_path / "unfit", *runs(pressure_s=0.5), failure())
    stored(tmp_path / "empty", failure())
    code, out, _ = run("check", tmp_path / "fit")
    assert code == 0
    assert out.strip().endswith("6 finished jobs, 6 times, fit to compare")
    code, out, _ = run("check", tmp_path / "unfit")
    assert code == 1
    assert "mnist mlp-4 repeat 5 [" in out
    assert "End other programs" in out
    assert out.strip().endswith("6 finished jobs, 6 times, 1 of them not fit to compare: contended")
    code, out, _ = run("check", tmp_path / "empty")
    assert code == 1
    assert out.strip().endswith("0 finished jobs, no time to compare")
    assert "a reason" in out


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_results_without_a_time_have_an_answer(tmp_path: Path, invoke) -> None:
    # As records of jobs trained together are: an error each, and no time of their own.
    timeless = {"train_s": None, "images_per_s": None, "gflops": None, "concurrent": None}
    untimed = [record("mlp", 4, seed=s, row=QUIET | timeless) for s in range(3)]
    stored(tmp_path / "untimed", *untimed)
    stored(tmp_path / "failed", failure(), failure("mlp", 8, status="killed"))
    stored(tmp_path / "nothing")
    for folder, doubt, keys in (
        ("untimed", "untimed", {r.job["key"] for r in untimed}),
        ("failed", "unfinished", None),
    ):
        code, out, err = invoke("check", folder, "--format", "json")
        found = json.loads(out)
        assert (code, found["fit"], err) == (1, False, "")
        (raised,) = found["doubts"]
        assert raised["kind"] == doubt
        assert keys is None or {row["key"] for row in raised["rows"]} == keys
        assert "no time to compare" in invoke("check", folder)[1]
        assert invoke("findings", folder)[0] == 0
        assert invoke("report", folder, "-o", f"{folder}.html")[0] == 0
        html = Path(f"{folder}.html").read_text("utf-8")
        assert "No finished job has a time to compare" in html
    # Errors of timeless jobs compare; of failed ones there is nothing, said in a sentence.
    code, out, err = invoke("compare", "untimed", "untimed")
    assert (code, "mse" in out) == (0, True)
    assert "no train_s to compare on both sides" in err
    code, _, err = invoke("compare", "failed", "failed")
    assert (code, "no finished job in common" in err) == (2, True)
    for words in (["check"], ["compare", "nothing"]):
        code, _, err = invoke(*words, "nothing")
        assert code == 2
        assert "Traceback" not in err
    assert invoke("findings", "nothing")[0] == invoke("report", "nothing")[0] == 0


def test_json_names_every_row(tmp_path: Path) -> None:
    records = [record("mlp", 4, repeat=i, seconds=1.0, row=QUIET | {"load_1m": 9.0})
               for i in range(12)]  # fmt: skip
    stored(tmp_path, *records)
    code, out, _ = run("check", tmp_path, "--format", "json")
    found = json.loads(out)
    assert (code, found["fit"], found["jobs"], found["times"]) == (1, False, 12, 12)
    (doubt,) = found["doubts"]
    assert (doubt["kind"], doubt["grade"]) == ("contended", "unfit")
    assert {row["key"] for row in doubt["rows"]} == {r.job["key"] for r in records}
    _, text, _ = run("check", tmp_path)
    assert "and 2 more" in text
    assert text.strip().endswith("12 times, 12 of them not fit to compare: contended")
    spread = [*runs(5), record("mlp", 4, seed=1, seconds=1.06, row=QUIET), *runs(latent=8)]
    stored(tmp_path / "spread", *spread)
    assert "12 times, 6 of them not fit to compare: spread" in run("check", tmp_path / "spread")[1]
