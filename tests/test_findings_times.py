"""Findings that compare times, and the pace of convergence."""

from pathlib import Path

import pytest
from judging import judge
from test_report_records import CPU, failure, record, stored

from aebench.analysis import fitness
from aebench.analysis.findings import evaluate
from aebench.analysis.rules import pace_of
from aebench.store import Record


def timed(conv: list[float], mlp: list[float], **fields) -> list[Record]:
    fields = {"device": "cuda", "engine": "reference"} | fields
    return [
        record(architecture, latent, seconds=seconds, repeat=repeat, **fields)
        for architecture, latent, times in (("conv", 128, conv), ("mlp", 512, mlp))
        for repeat, seconds in enumerate(times)
    ]


@pytest.mark.parametrize(
    ("conv", "verdict"),
    [
        ([25.0, 25.1, 25.2], "replicated"),
        ([60.0, 60.1, 60.2], "not replicated"),
        ([30.0, 29.5, 31.0], "undecided"),
        ([25.0], "consistent"),
        ([60.0], "undecided"),
    ],
)
def test_conv_is_not_slower(tmp_path: Path, conv: list[float], verdict: str) -> None:
    mlp = [20.0, 20.1, 20.2][: len(conv)]
    outcome = judge(tmp_path, "conv-not-slower", *timed(conv, mlp))
    assert outcome.verdict == verdict
    assert "engine reference" in outcome.note
    if verdict == "consistent":
        assert outcome.answer == "consistent, one pair"


@pytest.mark.parametrize(
    ("row", "doubt"),
    [
        ({"pressure_s": 20.0}, "contended"),
        ({"throttled_s": 9.0}, "throttled"),
        ({"device_train_s": 21.0}, "clocks"),
    ],
)
def test_times_that_check_rejects_support_no_verdict(tmp_path: Path, row: dict, doubt: str) -> None:
    fit = timed([25.0, 25.1, 25.2], [20.0, 20.1, 20.2])
    assert judge(tmp_path / "fit", "conv-not-slower", *fit).verdict == "replicated"
    results = stored(tmp_path / "unfit", *timed([25.0, 25.1, 25.2], [20.0, 20.1, 20.2], row=row))
    assert doubt in {d.kind.name for d in fitness.check(results)}
    outcome = {o.finding.id: o for o in evaluate(results)}["conv-not-slower"]
    assert (outcome.verdict, outcome.ours, outcome.n_jobs) == ("undecided", None, 6)
    assert "6 times left out that aebench check rejects" in outcome.note


def test_times_of_too_wide_a_spread_support_no_verdict(tmp_path: Path) -> None:
    outcome = judge(tmp_path, "conv-not-slower", *timed([20.0, 30.0, 45.0], [20.0, 20.1, 20.2]))
    assert (outcome.verdict, outcome.ours) == ("undecided", None)
    assert "3 times left out that aebench check rejects" in outcome.note


@pytest.mark.parametrize(
    ("deep", "verdict"),
    [
        ([40.0, 40.1, 40.2], "replicated"),
        ([10.0, 10.1, 10.2], "not replicated"),
        ([24.7, 25.1, 25.8], "undecided"),
    ],
)
def test_deep_is_slower(tmp_path: Path, deep: list[float], verdict: str) -> None:
    records = [
        record("conv", 128, seconds=s, repeat=i, depth=depth, device="cuda", engine="reference")
        for depth, times in ((1, [25.0, 25.1, 25.2]), (2, deep))
        for i, s in enumerate(times)
    ]
    assert judge(tmp_path, "deep-slower", *records).verdict == verdict


def test_times_of_other_engines_are_told_but_decide_nothing(tmp_path: Path) -> None:
    slow, fast = [90.0, 91.0, 92.0], [10.0, 10.1, 10.2]
    outcome = judge(tmp_path, "conv-not-slower", *timed(slow, fast, device="cpu", engine="eager"))
    assert outcome.verdict == "not tested"
    assert outcome.ours is None
    assert "9.0" in outcome.note
    assert "eager" in outcome.note


@pytest.mark.slow
def test_each_kind_of_device_is_judged_by_itself(tmp_path: Path) -> None:
    on_cpu = timed([90.0, 91.0, 92.0], [10.0, 10.1, 10.2], device="cpu")
    alone = {o.finding.id: o for o in evaluate(stored(tmp_path / "cpu", *on_cpu))}
    assert alone["conv-not-slower-cpu"].verdict == "not replicated"
    assert alone["conv-not-slower-cpu"].ours == pytest.approx(9.0, rel=0.01)
    waiting = alone["conv-not-slower"]
    assert waiting.verdict == "not tested"
    assert waiting.note.startswith("waits for a GPU: no comparable times")
    assert waiting.needs == (
        "3 pairs of mnist conv-128 and mnist mlp-512 by engine reference on a CUDA device, with "
        "nothing else on the machine"
    )
    both = [*on_cpu, *timed([25.0, 25.1, 25.2], [20.0, 20.1, 20.2])]
    outcomes = {o.finding.id: o for o in evaluate(stored(tmp_path / "both", *both))}
    assert outcomes["conv-not-slower"].verdict == "replicated"
    assert outcomes["conv-not-slower-cpu"].verdict == "not replicated"
    other = judge(tmp_path / "gpu", "conv-not-slower", record("mlp", 512, device="cuda"))
    assert other.note.startswith("no comparable times")


def test_fewer_epochs_than_the_study_s_tell_the_ratio(tmp_path: Path) -> None:
    """Of as many on both sides; and no error of theirs speaks about the study."""
    short = timed([9.0, 9.1, 9.2], [1.0, 1.01, 1.02], device="cpu", epochs=1)
    results = stored(tmp_path / "short", *short)
    outcomes = {o.finding.id: o for o in evaluate(results)}
    judged = outcomes["conv-not-slower-cpu"]
    assert judged.verdict == "not replicated"
    assert judged.ours == pytest.approx(9.0, rel=0.01)
    assert ", 1 epoch; " in judged.note
    assert {outcomes[id].verdict for id in ("mlp-512", "conv-128")} == {"not tested"}
    unlike = [*timed([9.0] * 3, [], device="cpu", epochs=1),
              *timed([], [1.0] * 3, device="cpu", epochs=3)]  # fmt: skip
    assert judge(tmp_path / "unlike", "conv-not-slower-cpu", *unlike).ours is None
    tuned = timed([9.0] * 3, [1.0] * 3, device="cpu", epochs=1, batch_size=64)
    assert judge(tmp_path / "tuned", "conv-not-slower-cpu", *tuned).verdict == "not tested"


def test_of_several_numbers_of_epochs_most_pairs_decide_and_then_most_epochs(
    tmp_path: Path,
) -> None:
    def of(n: int, ratio: float, epochs: int) -> list[Record]:
        seconds = [1 + i / 100 for i in range(n)]
        return timed([ratio * s for s in seconds], seconds, device="cpu", epochs=epochs)

    more = judge(tmp_path / "pairs", "conv-not-slower-cpu", *of(4, 9.0, 1), *of(3, 1.1, 3))
    assert more.ours == pytest.approx(9.0)
    assert "1.10 on" in more.note
    assert "3 epochs (3 pairs)" in more.note
    equal = judge(tmp_path / "epochs", "conv-not-slower-cpu", *of(3, 9.0, 1), *of(3, 1.1, 3))
    assert equal.ours == pytest.approx(1.1)


def test_times_of_shared_machines_do_not_count(tmp_path: Path) -> None:
    records = timed([25.0] * 3, [20.0] * 3, row={"concurrent": True})
    outcome = judge(tmp_path, "conv-not-slower", *records)
    assert outcome.verdict == "not tested"
    assert "no comparable times" in outcome.note


def test_times_of_different_machines_are_not_paired(tmp_path: Path) -> None:
    other = CPU | {"machine_id": "ffff", "device_name": "another GPU"}
    records = [*timed([25.0] * 3, []), *timed([], [20.0] * 3, machine=other)]
    outcome = judge(tmp_path, "conv-not-slower", *records)
    assert outcome.verdict == "undecided"
    assert outcome.ours is None


def curve(rate: float, level: float = 1.0) -> tuple[float, ...]:
    return tuple(level * (1 + 9 * rate**epoch) for epoch in range(1, 16))


def paces(conv: list[float], mlp: list[float]) -> list[Record]:
    return [
        record(architecture, latent, seed=seed, losses=curve(rate, level))
        for architecture, latent, rates, level in (("conv", 128, conv, 0.01), ("mlp", 512, mlp, 1))
        for seed, rate in enumerate(rates)
    ]


@pytest.mark.parametrize(
    ("conv", "verdict"),
    [
        ([0.60, 0.61, 0.62], "replicated"),  # a hundred times lower, but at the same pace
        ([0.20, 0.21, 0.22], "not replicated"),
        ([0.30, 0.60, 0.80], "undecided"),
        ([0.60], "consistent"),
        ([0.20], "undecided"),
    ],
)
def test_same_convergence(tmp_path: Path, conv: list[float], verdict: str) -> None:
    mlp = [0.60, 0.61, 0.62][: len(conv)]
    outcome = judge(tmp_path, "same-convergence", *paces(conv, mlp))
    assert outcome.verdict == verdict
    assert "epochs of mlp-512" in outcome.note


def test_a_curve_that_does_not_fall_has_no_pace(tmp_path: Path) -> None:
    flat = record("conv", 128, losses=(1.0,) * 15)
    outcome = judge(tmp_path, "same-convergence", flat, record("mlp", 512))
    assert outcome.verdict == "undecided"
    assert "no learning curve that falls from mnist conv-128" in outcome.note


def test_pace_is_read_between_epochs() -> None:
    assert pace_of([10, 0], 0.9) == pytest.approx(1.9)
    assert pace_of([10, 5, 0], 0.5) == 2
    assert pace_of([10, 5, 0], 0.75) == 2.5
    assert pace_of([1, 2], 0.9) is None
    assert pace_of([1], 0.9) is None
    assert pace_of([], 0.9) is None


def test_failed_jobs_alone_test_nothing(tmp_path: Path) -> None:
    outcomes = evaluate(stored(tmp_path, failure("mlp", 512)))
    assert {o.verdict for o in outcomes} == {"not tested"}
