"""What holds for findings of every kind: readings, what would decide them, what is told."""

import dataclasses
import math
import re
from pathlib import Path

import pytest
from judging import judge, seeds
from test_report_records import record, stored, study

from aebench.analysis.findings import FINDINGS, evaluate
from aebench.analysis.outcomes import Outcome, tally


def test_every_finding_says_what_it_needs(tmp_path: Path) -> None:
    assert len({f.id for f in FINDINGS}) == len(FINDINGS)
    for outcome in evaluate(stored(tmp_path)):
        assert outcome.verdict == outcome.answer == "not tested"
        assert outcome.ours is None
        assert outcome.n_jobs == outcome.n_seeds == 0
        assert outcome.note
        for text in (outcome.finding.claim, outcome.finding.rule, outcome.finding.minimum):
            assert text.strip()


TIMES = {f"{id}{device}" for id in ("conv-not-slower", "deep-slower") for device in ("", "-cpu")}
RELU = {finding.id for finding in FINDINGS if "-relu" in finding.id}


def test_every_reading_belongs_to_a_finding_of_the_study() -> None:
    own = {finding.id for finding in FINDINGS if not finding.reading_of}
    assert len(own) == 23
    assert {f.reading_of for f in FINDINGS} - {""} < own
    claims = {f.id: f.claim for f in FINDINGS}
    for id in ("deep-128", "deep-64", "deep-better", "deep-slower"):
        assert "as printed, sigmoid in every layer" in claims[id]
        assert "with ReLU between the layers" in claims[f"{id}-relu"]


@pytest.mark.slow
def test_study_as_printed_replicates_all_that_is_no_time(tmp_path: Path) -> None:
    verdicts = {o.finding.id: o.verdict for o in evaluate(stored(tmp_path, *study(3)))}
    assert {id for id, v in verdicts.items() if v != "replicated"} == TIMES | RELU
    assert all(verdicts[id] == "not tested" for id in TIMES)


@pytest.mark.slow
def test_one_seed_of_the_study_as_printed_replicates_nothing(tmp_path: Path) -> None:
    outcomes = {o.finding.id: o for o in evaluate(stored(tmp_path, *study(1)))}
    answers = {id: o.answer for id, o in outcomes.items()}
    assert {id for id, a in answers.items() if a != "consistent, one seed"} == TIMES | RELU
    counts = tally(outcomes.values())
    assert counts == {
        "replicated": 0, "consistent": 21, "not replicated": 0, "undecided": 1, "not tested": 8,
    }  # fmt: skip
    two = [*study(1), *(record("conv", 16, 0.168, seed=s) for s in (1, 2))]
    grown = {o.finding.id: o for o in evaluate(stored(tmp_path, *two))}
    assert grown["conv-16"].verdict == "replicated"
    assert grown["conv-1"].answer == "consistent, one seed"


@pytest.mark.slow
def test_what_is_not_decided_says_what_would_decide_it(tmp_path: Path) -> None:
    nothing = stored(tmp_path / "nothing")
    some = stored(tmp_path / "some", *study(1), record("mlp", 512, 0.9, seed=1))
    for outcome in [*evaluate(nothing), *(o for o in evaluate(some) if not _decided(o))]:
        assert outcome.needs, outcome.finding.id
        assert outcome.why.endswith(f"; it would take {outcome.needs}")
    three = [record("mlp", 512, 0.605, seed=seed) for seed in range(3)]
    assert judge(tmp_path / "decided", "mlp-512", *three).needs == ""


def _decided(outcome: Outcome) -> bool:
    return outcome.verdict in ("replicated", "not replicated")


@pytest.mark.slow
def test_lacking_seeds_are_counted_for_each_model(tmp_path: Path) -> None:
    records = [
        *seeds("conv", 512, [0.024]),
        *seeds("conv", 128, [0.042, 0.043]),
        *seeds("conv", 16, [0.17] * 3),
    ]
    outcomes = {o.finding.id: o for o in evaluate(stored(tmp_path, *records))}
    assert outcomes["conv-512"].needs == "2 more seeds of mnist conv-512"
    assert outcomes["conv-1"].needs == "3 seeds of mnist conv-1"
    assert outcomes["conv-smaller-worse"].needs == (
        "2 more seeds of mnist conv-512, 1 more seed of mnist conv-128 and 3 seeds of mnist conv-1"
    )
    apart = [
        *(record("conv", 512, 0.024, seed=s) for s in (0, 1, 2)),
        *(record("mlp", 512, 0.605, seed=s) for s in (2, 3, 4)),
    ]
    few = judge(tmp_path / "apart", "conv-beats-mlp", *apart)
    assert few.answer == "consistent, one seed"
    assert few.needs == "2 more seeds common to mnist conv-512 and mnist mlp-512"


def test_undecided_findings_say_how_many_more_seeds_they_need(tmp_path: Path) -> None:
    first = judge(tmp_path / "figure", "mlp-512", *seeds("mlp", 512, [0.50, 0.60, 0.80]))
    assert first.verdict == "undecided"
    assert re.fullmatch(r"about \d+ more seeds of mnist mlp-512", first.needs)
    deep = seeds("conv", 128, [0.030, 0.045, 0.039], depth=2)
    pair = [*seeds("conv", 128, [0.042] * 3), *deep]
    second = judge(tmp_path / "pair", "deep-better", *pair)
    assert second.verdict == "undecided"
    assert re.fullmatch(
        r"about \d+ more seeds of mnist conv-128 depth 2 and mnist conv-128", second.needs
    )


def test_what_takes_too_many_seeds_says_so(tmp_path: Path) -> None:
    pair = [
        *seeds("conv", 128, [0.042, 0.042, 0.042]),
        *seeds("conv", 128, [0.030, 0.0420, 0.0588], depth=2),  # whose mean is the same
    ]
    assert judge(tmp_path, "deep-better", *pair).needs == "more than 1,000 seeds"


def test_only_runs_within_a_tenth_count_as_near(tmp_path: Path) -> None:
    errors = [3.53 * factor for factor in (0.5, 0.90, 0.92, 1.09, 1.11)]
    note = judge(tmp_path, "conv-1", *seeds("conv", 1, errors)).note
    assert "with 2 of 5 of ours within a factor of 1.1 of it" in note


def test_one_statistic_for_one_model(tmp_path: Path) -> None:
    # Mean, median and geometric mean of these differ in the first digit.
    errors = [3.5, 8.7, 11.0]
    middle = math.prod(errors) ** (1 / 3)
    outcome = judge(tmp_path, "conv-1", *seeds("conv", 1, errors))
    assert outcome.ours == pytest.approx(middle)
    assert f"MSE {middle / 78:.4f}"[:10] in outcome.note


def test_code_that_is_not_ours_says_nothing_about_the_study(tmp_path: Path) -> None:
    results = stored(tmp_path, *seeds("mlp", 512, [0.6, 0.61, 0.62]))
    own = dataclasses.replace(results, jobs=results.jobs.assign(code=["", None, "1a2b3c4d"]))
    outcome = {o.finding.id: o for o in evaluate(own)}["mlp-512"]
    assert (outcome.n_seeds, outcome.answer) == (2, "consistent, 2 seeds")
    # Not even where it alone has the name, and so keeps it.
    alone = dataclasses.replace(results, jobs=results.jobs.assign(code="1a2b3c4d"))
    assert {o.finding.id: o for o in evaluate(alone)}["mlp-512"].answer == "not tested"
