"""Every kind of rule, with records that make it come out each of the five ways."""

import dataclasses
import math
import re
from pathlib import Path

import pytest
from test_report_records import CPU, failure, record, stored, study

from aebench.analysis import fitness
from aebench.analysis.findings import FINDINGS, evaluate
from aebench.analysis.outcomes import Outcome, headline, tally
from aebench.analysis.rules import pace_of
from aebench.store import Record


def judge(folder: Path, id: str, *records: Record) -> Outcome:
    outcomes = {o.finding.id: o for o in evaluate(stored(folder, *records))}
    return outcomes[id]


def seeds(architecture: str, latent: int, errors: list[float], **fields) -> list[Record]:
    return [
        record(architecture, latent, error, seed=seed, **fields)
        for seed, error in enumerate(errors)
    ]


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


def test_study_as_printed_replicates_all_that_is_no_time(tmp_path: Path) -> None:
    verdicts = {o.finding.id: o.verdict for o in evaluate(stored(tmp_path, *study(3)))}
    assert {id for id, v in verdicts.items() if v != "replicated"} == TIMES | RELU
    assert all(verdicts[id] == "not tested" for id in TIMES)


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


# What would decide


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


# Figures


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


# Comparisons of errors


def models(*errors: tuple[str, int, list[float]]) -> list[Record]:
    return [
        r for architecture, latent, values in errors for r in seeds(architecture, latent, values)
    ]


def test_smaller_is_worse(tmp_path: Path) -> None:
    first = ("mlp", 512, [0.60, 0.61, 0.62])
    second = ("mlp", 128, [2.1, 2.2, 2.3])
    rising = judge(
        tmp_path / "a", "mlp-smaller-worse", *models(first, second, ("mlp", 1, [9, 9.1, 9.2]))
    )
    assert rising.verdict == "replicated"
    assert rising.ours == pytest.approx(3.6, rel=0.02)  # the smaller of two steps
    falling = judge(
        tmp_path / "b", "mlp-smaller-worse", *models(first, second, ("mlp", 1, [0.9, 0.91, 0.92]))
    )
    assert falling.verdict == "not replicated"
    unclear = judge(
        tmp_path / "c", "mlp-smaller-worse", *models(first, second, ("mlp", 1, [1.5, 2.2, 3.4]))
    )
    assert unclear.verdict == "undecided"
    assert unclear.n_seeds == 3
    lacking = judge(tmp_path / "d", "mlp-smaller-worse", *models(first, second))
    assert lacking.verdict == "undecided"
    assert "needs mnist mlp-1" in lacking.note


def test_far_better_needs_half_the_error(tmp_path: Path) -> None:
    conv = ("conv", 512, [0.30, 0.31, 0.32])
    far = judge(tmp_path / "a", "conv-beats-mlp", *models(conv, ("mlp", 512, [0.75, 0.77, 0.8])))
    assert far.verdict == "replicated"
    little = judge(
        tmp_path / "b", "conv-beats-mlp", *models(conv, ("mlp", 512, [0.35, 0.36, 0.37]))
    )
    assert little.verdict == "not replicated"
    noisy = judge(tmp_path / "c", "conv-beats-mlp", *models(conv, ("mlp", 512, [0.3, 0.7, 1.6])))
    assert noisy.verdict == "undecided"
    few = judge(
        tmp_path / "d", "conv-beats-mlp", *models(("conv", 512, [0.03]), ("mlp", 512, [0.6]))
    )
    assert few.answer == "consistent, one seed"
    assert few.ours == pytest.approx(20)
    assert few.low is None
    assert "mlp-512 on MNIST: 0.600 (one seed)" in few.note
    against = models(("conv", 512, [0.6, 0.6]), ("mlp", 512, [0.6, 0.6]))
    assert judge(tmp_path / "e", "conv-beats-mlp", *against).verdict == "undecided"
    assert "the paired test needs 3" in few.note


def test_deep_is_better(tmp_path: Path) -> None:
    shallow = seeds("conv", 128, [0.041, 0.042, 0.043])
    for folder, deep, verdict in (
        ("a", [0.0040, 0.0041, 0.0042], "replicated"),
        ("b", [0.080, 0.081, 0.083], "not replicated"),
        ("c", [0.020, 0.042, 0.090], "undecided"),
    ):
        records = [*shallow, *seeds("conv", 128, deep, depth=2)]
        assert judge(tmp_path / folder, "deep-better", *records).verdict == verdict


def test_colour_is_harder(tmp_path: Path) -> None:
    grey = seeds("conv", 128, [0.041, 0.042, 0.043])
    for folder, colour, verdict in (
        ("a", [0.20, 0.21, 0.22], "replicated"),
        ("b", [0.020, 0.021, 0.022], "not replicated"),
        ("c", [0.02, 0.042, 0.11], "undecided"),
    ):
        records = [*grey, *seeds("conv", 128, colour, dataset="cifar10")]
        assert judge(tmp_path / folder, "colour-harder", *records).verdict == verdict


def test_unpaired_seeds_decide_nothing(tmp_path: Path) -> None:
    records = [
        *(record("conv", 512, 0.024, seed=s) for s in (0, 1, 2)),
        *(record("mlp", 512, 0.605, seed=s) for s in (3, 4, 5)),
    ]
    outcome = judge(tmp_path, "conv-beats-mlp", *records)
    assert outcome.verdict == "undecided"
    assert "no seed is common to both" in outcome.note


def test_holm_holds_back_what_a_single_test_would_pass(tmp_path: Path) -> None:
    # One comparison at p of about 0.02 passes alone; among five tested ones it must not.
    shallow, deep = [0.042, 0.042, 0.042], [0.030, 0.038, 0.034]
    alone = [*seeds("conv", 128, shallow), *seeds("conv", 128, deep, depth=2)]
    assert judge(tmp_path / "a", "deep-better", *alone).verdict == "replicated"
    noisy = [
        *seeds("mlp", 512, [0.4, 0.6, 0.9]),
        *seeds("mlp", 128, [0.5, 0.6, 0.7]),
        *seeds("mlp", 1, [0.6, 0.5, 0.8]),
        *seeds("conv", 512, [0.4, 0.6, 0.5]),
        *seeds("conv", 128, [0.04, 0.042, 0.06], dataset="cifar10"),
    ]
    together = judge(tmp_path / "b", "deep-better", *alone, *noisy)
    assert together.verdict == "undecided"
    assert "after Holm's correction" in together.note


# Findings that the study rests on pictures


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([0.030, 0.031, 0.032], "replicated"),
        ([0.080, 0.081, 0.082], "not replicated"),  # below the noisy images, above the mean image
        ([0.100, 0.101, 0.102], "not replicated"),
        ([0.040, 0.070, 0.090], "undecided"),
        ([0.030], "consistent"),
        ([0.080], "undecided"),
    ],
)
def test_noise_of_03_is_removed(tmp_path: Path, errors: list[float], verdict: str) -> None:
    records = [record("conv", 64, depth=2, seed=s, denoised={0.3: e}) for s, e in enumerate(errors)]
    outcome = judge(tmp_path, "denoise-0.3", *records, record("mlp", 512))
    assert outcome.verdict == verdict
    assert (outcome.n_jobs, outcome.n_seeds) == (len(errors), len(errors))
    # The less clear of two bars: 0.09 of the noisy images, 0.0674 of the mean image.
    middle = math.prod(errors) ** (1 / len(errors))
    assert outcome.ours == pytest.approx(0.0674 / middle)
    assert "clipping to [0, 1] alone 0.0540" in outcome.note
    assert "other models: mlp-512 0.0300" in outcome.note
    assert ("better than this model" in outcome.note) == (sorted(errors)[len(errors) // 2] > 0.054)


def test_denoising_takes_the_model_that_the_study_has_at_that_point(tmp_path: Path) -> None:
    others = [
        *(record("conv", 64, seed=s) for s in range(3)),
        *(record("conv", 128, depth=2, seed=s) for s in range(3)),
        *(record("conv", 64, depth=2, seed=s, train_noise=0.3) for s in range(3)),
    ]
    outcome = judge(tmp_path, "denoise-0.3", *others)
    assert (outcome.verdict, outcome.n_jobs) == ("not tested", 0)
    assert "no finished job of mnist conv-64 depth 2" in outcome.note


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ([0.12, 0.13, 0.14], "replicated"),
        ([0.050, 0.051, 0.052], "not replicated"),
        ([0.050, 0.070, 0.090], "undecided"),
        ([0.12, 0.13], "consistent"),
    ],
)
def test_noise_of_08_is_too_much(tmp_path: Path, errors: list[float], verdict: str) -> None:
    records = [record("conv", 64, depth=2, seed=s, denoised={0.8: e}) for s, e in enumerate(errors)]
    assert judge(tmp_path, "denoise-0.8", *records).verdict == verdict


@pytest.mark.parametrize(
    ("strangers", "own", "verdict"),
    [
        ([0.20, 0.21, 0.22], 0.6, "replicated"),
        ([0.060, 0.061, 0.062], 0.6, "not replicated"),  # 8 times its own, but like the photograph
        ([0.20, 0.21, 0.22], 9.0, "not replicated"),  # unlike it, but no better on digits
        ([0.05, 0.09, 0.20], 0.6, "undecided"),
        ([0.2], 0.6, "consistent"),
    ],
)
def test_a_landscape_is_out_of_distribution(
    tmp_path: Path, strangers: list[float], own: float, verdict: str
) -> None:
    records = [record("mlp", 512, own, seed=s, stranger=e) for s, e in enumerate(strangers)]
    for each in records:  # and another picture, of which the finding does not speak
        (china,) = (row for row in each.probes if row["input"] == "china.jpg")
        each.probes.append(china | {"input": "flower.jpg", "mse": 0.06})
    outcome = judge(tmp_path, "out-of-distribution", *records)
    assert outcome.verdict == verdict
    assert "a flat grey picture has 0.0872" in outcome.note
    if strangers == [0.2]:
        assert "MSE on china.jpg 0.200, " in outcome.note


@pytest.mark.parametrize(
    ("luma", "chroma", "verdict"),
    [
        ([0.005, 0.006, 0.005], [0.004, 0.0041, 0.0042], "replicated"),
        ([0.005, 0.006, 0.005], [0.001, 0.0011, 0.0012], "not replicated"),  # colours survive
        ([0.040, 0.041, 0.042], [0.004, 0.0041, 0.0042], "not replicated"),  # shapes do not
        ([0.005, 0.006, 0.005], [0.0015, 0.0025, 0.004], "undecided"),
        ([0.005], [0.004], "consistent"),
        ([0.005], [0.001], "undecided"),
    ],
)
def test_shapes_survive_and_colours_do_not(
    tmp_path: Path, luma: list[float], chroma: list[float], verdict: str
) -> None:
    records = [
        record("mlp-shared", 512, dataset="cifar10", seed=s, row={"luma_mse": y, "chroma_mse": c})
        for s, (y, c) in enumerate(zip(luma, chroma, strict=True))
    ]
    assert judge(tmp_path, "colour-mlp", *records).verdict == verdict


def test_shares_explained_are_told(tmp_path: Path) -> None:
    outcome = judge(tmp_path, "colour-mlp", record("mlp-shared", 512, dataset="cifar10"))
    assert "89 % of the variance of luma is explained" in outcome.note  # 1 - 5 / 45
    assert "20 % of the variance of chroma is explained" in outcome.note  # 1 - 4 / 5


@pytest.mark.parametrize(
    ("errors", "sharpness", "verdict"),
    [
        ([0.83, 0.84, 0.85], [0.40, 0.41, 0.42], "replicated"),
        ([0.83, 0.84, 0.85], [0.80, 0.81, 0.82], "not replicated"),  # worse, but not blurrier
        ([0.41, 0.42, 0.43], [0.40, 0.41, 0.42], "not replicated"),  # blurrier, but not worse
        ([0.83, 0.84, 0.85], [0.30, 0.60, 0.90], "undecided"),
        ([0.83], [0.4], "consistent"),
        ([0.83], [0.8], "undecided"),
    ],
)
def test_the_wide_colour_mlp_is_blurrier(
    tmp_path: Path, errors: list[float], sharpness: list[float], verdict: str
) -> None:
    records = [
        record("mlp-separate", 8500, e, dataset="cifar10", seed=s, row={"sharpness": sharp})
        for s, (e, sharp) in enumerate(zip(errors, sharpness, strict=True))
    ]
    records += [record("mlp-shared", 512, dataset="cifar10", seed=s) for s in range(len(errors))]
    outcome = judge(tmp_path, "colour-mlp-wide", *records)
    assert outcome.verdict == verdict
    if len(errors) == 1:
        assert f"mlp-separate-8500: study error 0.830, sharpness {sharpness[0]:.3f}" in outcome.note


def test_the_rules_say_how_many_images_are_probed() -> None:
    from aebench.evaluation import probes

    rules = [f.rule for f in FINDINGS if f.id.startswith("denoise")]
    assert len(rules) == 2
    assert all(f"first {probes.IMAGES:,} test images" in rule for rule in rules)
    assert {"0.3", "0.8"} == {str(amplitude) for amplitude in probes.PICTURED}


def test_records_of_before_the_probes_are_told_from_no_records(tmp_path: Path) -> None:
    bare = dict.fromkeys(("luma_mse", "chroma_mse", "sharpness"))
    records = [
        dataclasses.replace(record("mlp", 512), probes=()),
        record("mlp-shared", 512, dataset="cifar10", row=bare),
    ]
    outcomes = {o.finding.id: o for o in evaluate(stored(tmp_path, *records))}
    assert "mnist mlp-512 has records, but of before" in outcomes["out-of-distribution"].note
    assert "has records, but of before" in outcomes["colour-mlp"].note
    assert "no finished job of cifar10 mlp-separate-8500" in outcomes["colour-mlp-wide"].note
    for id in ("out-of-distribution", "colour-mlp"):
        assert outcomes[id].verdict == "not tested"  # run, but never looked at in this respect


# Comparisons of times


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


# Pace of convergence


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


# What is told beside the verdict


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
