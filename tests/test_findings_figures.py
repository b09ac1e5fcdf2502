"""Findings that are one figure of the study: typical, or a plausible single run."""

import math
from pathlib import Path

import pytest
from judging import judge, seeds
from test_report_records import record, stored

from aebench.analysis.findings import evaluate
from aebench.analysis.outcomes import headline


def test_each_reading_of_the_deeper_decoder_is_judged(tmp_path: Path) -> None:
    literal = seeds("conv", 64, [8.0, 8.1, 8.2], depth=2)
    relu = seeds("conv-relu", 64, [0.037, 0.037, 0.038], depth=2)
    both = evaluate(stored(tmp_path / "both", *literal, *relu))
    outcomes = {o.finding.id: o for o in both}
    assert outcomes["deep-64"].verdict == "not replicated"
    assert outcomes["deep-64-relu"].verdict == "replicated"
    assert outcomes["deep-64"].ours == pytest.approx(8.1, rel=0.001)
    assert outcomes["deep-64-relu"].n_jobs == 3
    (said,) = headline(both)
    assert said == (
        "The code that the study prints for its deeper decoder, sigmoid in every layer, cannot "
        "have given the error of 0.037 that it prints at latent 64 (ours: 8.10, 7.85 to 8.35, 3 "
        "seeds); with ReLU between its layers it does (ours: 0.0373, 0.0359 to 0.0388, 3 seeds)."
    )


@pytest.mark.parametrize(
    ("printed", "relu", "said"),
    [
        ([8.0, 8.1, 8.2], [], "; with ReLU between its layers it was not run."),
        ([8.0, 8.1, 8.2], [0.004], "is undecided (ours: 0.00400, one seed): it would take 2 more"),
        ([8.0, 8.1, 8.2], [0.037], "; with ReLU between its layers it comes near (ours: 0.0370"),
        ([8.0, 8.1, 8.2], [0.004, 0.0041, 0.0042], "; nor can it with ReLU between its layers"),
        ([8.0], [0.037] * 3, "is undecided (ours: 8.00, one seed); it would take 2 more seeds of"),
        ([8.88, 0.0063, 8.88], [], "undecided (ours: 0.00630 to 8.88 from run to run, 3 seeds)"),
        ([0.9, 0.08, 0.9], [], "undecided (ours: 0.0800 to 0.900 from run to run, 3 seeds)"),
        ([0.9, 0.1, 0.9], [], "undecided (ours: 0.433, 0.0185 to 10.1, 3 seeds); it would take"),
        ([0.037] * 3, [], "gives the error that the study prints at latent 64, 0.037."),
        ([0.037], [], ""),
        ([], [0.037] * 3, ""),
    ],
)
def test_what_the_readings_come_to(
    tmp_path: Path, printed: list[float], relu: list[float], said: str
) -> None:
    records = [*seeds("conv", 64, printed, depth=2), *seeds("conv-relu", 64, relu, depth=2)]
    told = headline(evaluate(stored(tmp_path, *records)))
    assert said in " ".join(told)
    assert bool(told) == bool(said)


def test_headline_says_that_added_layers_make_it_worse(tmp_path: Path) -> None:
    records = [
        *seeds("conv", 128, [0.042, 0.043, 0.044]),
        *seeds("conv", 128, [8.4, 8.6, 8.8], depth=2),
    ]
    *_, last = headline(evaluate(stored(tmp_path, *records)))
    assert last.endswith("reconstruction better: the error is 200 times that of depth 1.")


def test_a_model_with_two_outcomes_may_give_the_figure_in_a_single_run(tmp_path: Path) -> None:
    low, high = [3.45, 3.5, 3.51, 3.56], [8.7, 9.1, 10.2, 11.0]
    half = judge(tmp_path / "half", "conv-1", *seeds("conv", 1, low + high))
    assert (half.verdict, half.answer) == ("replicated", "replicated, as a single run")
    for said in (
        "typical: not told yet; a plausible single draw: yes",
        "rank 4 of 9 by size (two-sided p = 0.889)",
        "with 4 of 8 of ours within a factor of 1.1 of it (Wilson: 21.5 % to 78.5 %)",
    ):
        assert said in half.note


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([0.60, 0.61, 0.62], "replicated"),
        ([1.20, 1.21, 1.22], "not replicated"),
        ([0.20, 0.21, 0.22], "not replicated"),
        ([0.40, 0.61, 0.95], "undecided"),  # the mean fits, the interval is too wide
        # One run confirms nothing, and refutes nothing either: the study's figure is one run too.
        ([0.605], "consistent"),
        ([0.605 * 1.24], "consistent"),
        ([0.605 * 1.26], "undecided"),
        ([0.605 * 0.79], "undecided"),
        ([60.5], "undecided"),
        ([0.55, 0.65], "consistent"),
        ([0.55, 0.65, 0.6], "replicated"),
    ],
)
def test_figure(tmp_path: Path, errors: list[float], verdict: str) -> None:
    outcome = judge(tmp_path, "mlp-512", *seeds("mlp", 512, errors))
    assert outcome.verdict == verdict
    assert outcome.ours == pytest.approx(math.prod(errors) ** (1 / len(errors)))
    assert (outcome.n_jobs, outcome.n_seeds) == (len(errors), len(errors))


def test_figure_of_few_seeds_has_no_interval_and_says_so(tmp_path: Path) -> None:
    outcome = judge(tmp_path, "mlp-512", *seeds("mlp", 512, [0.6]))
    assert (outcome.low, outcome.high) == (None, None)
    assert "one seed: no interval" in outcome.note
    assert outcome.answer == "consistent, one seed"
    outside = judge(tmp_path / "outside", "mlp-512", *seeds("mlp", 512, [0.9, 0.9]))
    assert (outside.answer, outside.low) == ("undecided", None)
    assert "2 seeds: no interval; outside the margin, which takes 3 seeds" in outside.note


def test_figure_shows_the_95_percent_interval_of_three_seeds(tmp_path: Path) -> None:
    outcome = judge(tmp_path, "mlp-512", *seeds("mlp", 512, [0.55, 0.6, 0.65]))
    assert outcome.low is not None
    assert outcome.high is not None
    # 4.3027: the 97.5 % quantile of t with two degrees of freedom
    logs = [math.log(x) for x in (0.55, 0.6, 0.65)]
    mean = sum(logs) / 3
    half = 4.3027 * math.sqrt(sum((x - mean) ** 2 for x in logs) / 2 / 3)
    assert math.log(outcome.low) == pytest.approx(mean - half, abs=1e-4)
    assert math.log(outcome.high) == pytest.approx(mean + half, abs=1e-4)


def test_figure_is_set_beside_exact_baselines(tmp_path: Path) -> None:
    results = [record("mlp", 1, 9.17), record("conv", 16, 0.17)]
    outcomes = {o.finding.id: o for o in evaluate(stored(tmp_path, *results))}
    assert "the mean image alone has 0.0674, better than this model" in outcomes["mlp-1"].note
    assert "PCA of the same size" in outcomes["mlp-1"].note
    assert "10,816 numbers" in outcomes["conv-16"].note
    assert "nothing is compressed" in outcomes["conv-16"].note


@pytest.mark.parametrize(
    "unfit",
    [
        {"epochs": 2},
        {"learning_rate": 1e-3},
        {"precision": "bf16"},
        {"row": {"status": "diverged", "reason": "loss is not finite"}},
        {"row": {"study_error": None}},
        {"row": {"mse": float("nan")}},
        {"row": {"modified": None}},
    ],
)
def test_only_jobs_of_the_study_count(tmp_path: Path, unfit: dict) -> None:
    outcome = judge(tmp_path, "mlp-512", record("mlp", 512, 0.605, **unfit))
    assert outcome.verdict == "not tested"
    assert outcome.n_jobs == 0


def test_engines_and_repeats_of_one_seed_are_one_value(tmp_path: Path) -> None:
    records = [
        record("mlp", 512, 0.605),
        record("mlp", 512, 0.605, engine="reference"),
        record("mlp", 512, 0.605, repeat=1),
        record("mlp", 512, 0.605, repeat=2, row={"concurrent": True}),
    ]
    outcome = judge(tmp_path, "mlp-512", *records)
    assert (outcome.n_jobs, outcome.n_seeds) == (4, 1)
    assert outcome.low is None
