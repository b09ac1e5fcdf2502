"""Which family is better, in one sentence a question, and in one chart chosen from many."""

import re
from pathlib import Path

import pytest
from test_report_records import MEAN_MSE, SHAPES, record, stored

from aebench.analysis import fights, fitness, frames, searches, words
from aebench.analysis.fights import BOTTLENECK, COSTS, PARAMETERS, STEP, TRAINING
from aebench.page import answers, best
from aebench.page import best_sentences as spoken
from aebench.store import Record, Results, read

RESULTS = Path(__file__).resolve().parent.parent / "results"


def ordered(folder, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def model(
    family: str, bottleneck: int, *errors: float, dataset: str = "mnist", pca: float = 0.02, **more
) -> list[Record]:
    """A model with so many numbers in its code: its MSE by seed; validation errors are alike."""
    size = SHAPES[dataset][0] * SHAPES[dataset][1] ** 2
    row = {"bottleneck": bottleneck, "compression": size / bottleneck, "pca_mse": pca}
    row |= {"mean_mse": MEAN_MSE[dataset]} | more.pop("row", {})
    return [
        record(family, bottleneck, 78 * e, dataset=dataset, seed=s, row=row, **more)
        for s, e in enumerate(errors)
    ]


def answered(folder, *models: list[Record]) -> answers.Answer:
    (answer,) = answers.answers(ordered(folder, *(r for m in models for r in m)))
    return answer


def said(folder, *models: list[Record], cost: fights.Cost = BOTTLENECK) -> str:
    return spoken.sentence(answered(folder, *models), cost)


def without_intervals(sentence: str) -> str:
    return re.sub(r" \(95 % interval [0-9.]+ to [0-9.]+\)", "", sentence)


CLEAR = (0.010, 0.0101, 0.0102)  # by seed, and twice as much:
TWICE = (0.020, 0.0203, 0.0204)
SMALL, MIDDLE, LARGE = ({"parameters": n} for n in (1000, 2000, 5000))


def test_a_winner_at_every_bottleneck(tmp_path) -> None:
    answer = answered(
        tmp_path,
        model("mlp", 8, *TWICE), model("conv-bottleneck", 8, *CLEAR),
        model("mlp", 32, *CLEAR), model("conv-bottleneck", 32, 0.003, 0.0036, 0.0033),
    )  # fmt: skip
    first, *rest = spoken.sentences(answer)
    ratio = answer.fights["bottleneck"][1].ratio
    assert first == (
        "On MNIST at equal bottleneck conv-bottleneck is better than mlp at 8 and 32 numbers: at "
        f"32, mlp-32 has {words.number(ratio.centre)} times the test MSE of conv-bottleneck-32 "
        f"(95 % interval {words.between(ratio.low, ratio.high)})."
    )
    assert rest == [
        "The error of mlp is 0.505 (at 32) to 1.01 (at 8) times that of PCA with as many "
        "components, that of conv-bottleneck 0.165 (at 32) to 0.505 (at 8) times.",
        "Of published errors conv-bottleneck-32 has 0.860 times that at 30 (Hinton 2006).",
        "Trained under study.",
    ]
    assert spoken.brief(answer, BOTTLENECK) == ["conv-bottleneck over mlp"]


def test_where_the_outcome_turns_one_sentence_says_so(tmp_path) -> None:
    answer = answered(
        tmp_path,
        model("mlp", 2, *CLEAR), model("conv", 2, *TWICE),
        model("mlp", 8, *CLEAR), model("conv", 8, *CLEAR[::-1]),
        model("mlp", 32, *TWICE), model("conv", 32, *CLEAR),
        model("mlp", 64, *TWICE), model("conv", 64, *CLEAR),
    )  # fmt: skip
    assert without_intervals(spoken.sentence(answer, BOTTLENECK)) == (
        "On MNIST at equal bottleneck mlp is better than conv at 2 numbers, conv at 32 and 64 "
        "numbers, elsewhere nothing is decided: conv-2 has 2.00 times the test MSE of mlp-2 and "
        "at 64, mlp-64 has 2.00 times the test MSE of conv-64."
    )
    assert spoken.brief(answer, BOTTLENECK) == ["mlp, then conv"]


def test_a_threshold_is_told_where_nothing_changes_between_budgets(tmp_path) -> None:
    answer = answered(
        tmp_path,
        model("mlp", 8, *CLEAR, row=SMALL), model("conv", 8, *TWICE, row=SMALL),
        model("conv", 32, *(e / 2 for e in CLEAR), row=LARGE),
    )  # fmt: skip
    assert without_intervals(spoken.sentence(answer, PARAMETERS)) == (
        "On MNIST at equal parameters mlp is better than conv below 5,000 parameters, conv from "
        "there on: conv-8 has 2.00 times the test MSE of mlp-8 and mlp-8 has 2.00 times the test "
        "MSE of conv-32."
    )


def test_a_threshold_after_which_nothing_is_decided_is_no_from_there_on(tmp_path) -> None:
    answer = answered(
        tmp_path,
        model("mlp", 8, *CLEAR, row=SMALL), model("conv", 8, *TWICE, row=SMALL),
        model("conv", 16, *CLEAR[::-1], row=MIDDLE),
        model("conv", 32, *(e / 2 for e in CLEAR), row=LARGE),
    )  # fmt: skip
    assert without_intervals(spoken.sentence(answer, PARAMETERS)) == (
        "On MNIST at equal parameters mlp is better than conv below 2,000 parameters, conv from "
        "5,000 parameters on, elsewhere nothing is decided: conv-8 has 2.00 times the test MSE "
        "of mlp-8 and mlp-8 has 2.00 times the test MSE of conv-32."
    )
    middle = answered(
        tmp_path / "middle",
        model("mlp", 8, *CLEAR, row=SMALL), model("conv", 8, *CLEAR[::-1], row=SMALL),
        model("conv", 16, *(e / 2 for e in CLEAR), row=MIDDLE),
        model("mlp", 16, *(e / 2 for e in CLEAR[::-1]), row=LARGE),
    )  # fmt: skip
    assert "conv is better than mlp from 2,000 to below 5,000 parameters, elsewhere" in (
        spoken.sentence(middle, PARAMETERS)
    )
    assert spoken.brief(middle, PARAMETERS) == ["conv over mlp, in part"]


def test_what_is_spent_by_epoch_is_told_at_the_budgets_looked_at(tmp_path) -> None:
    # The MLP is there at once, the other is better in the end: 0.429 TFLOP an epoch.
    fast, slow = (0.01, 0.01, 0.01, 0.01), (0.02, 0.02, 0.02, 0.005)
    scatter = (1.0, 1.01, 1.02)
    answer = answered(
        tmp_path,
        *(
            [record(family, 8, seed=s, losses=tuple(e * f for e in curve), epochs=4,
                    row={"bottleneck": 8})]
            for family, curve in (("mlp", fast), ("conv", slow))
            for s, f in enumerate(scatter)
        ),
    )  # fmt: skip
    assert without_intervals(spoken.sentence(answer, TRAINING)) == (
        "On MNIST at equal training arithmetic mlp is better than conv up to 1.21 TFLOP, conv at "
        "1.72 TFLOP: at 1.21, conv-8 has 2.00 times the validation MSE of mlp-8 and mlp-8 has 2.00 "
        "times the validation MSE of conv-8."
    )
    whole = answered(
        tmp_path / "b",
        *(
            [record(family, 8, seed=s, losses=tuple(e * f for e in curve), epochs=4,
                    row={"bottleneck": 8})]
            for family, curve in (("mlp", fast), ("conv", (0.03, 0.02, 0.02, 0.02)))
            for s, f in enumerate(scatter)
        ),
    )  # fmt: skip
    assert "mlp is better than conv at 5 budgets from 0.429 to 1.72 TFLOP: at 1.72, conv-8" in (
        spoken.sentence(whole, TRAINING)
    )


def test_a_tie_is_told_with_its_interval(tmp_path) -> None:
    sentence = said(tmp_path, model("mlp", 8, *CLEAR), model("conv", 8, *CLEAR[::-1]))
    assert re.fullmatch(
        "On MNIST at equal bottleneck neither mlp nor conv is clearly better: at 8 numbers mlp-8 "
        r"has 1.00 times the test MSE of conv-8 \(95 % interval 0.9\d+ to 1.0\d+\).",
        sentence,
    )


def test_an_interval_apart_from_one_that_decides_nothing_is_explained(tmp_path) -> None:
    # One comparison of five would be clear by itself, and is not among them.
    apart = (0.42, 0.40, 0.45), (0.38, 0.38, 0.40)
    models = [
        model(family, b, *errors)
        for b in (2, 8, 32, 128, 256)
        for family, errors in zip(("mlp", "conv"), apart, strict=True)
    ]
    alone = said(tmp_path / "one", *models[:2])
    assert "conv is better than mlp at 2 numbers" in alone
    assert "adjusted" not in alone
    many = said(tmp_path / "many", *models)
    assert "neither mlp nor conv is clearly better: at 256 numbers" in many
    assert re.search(r"\(95 % interval 1\.0\d+ to 1\.\d+, adjusted p ≤ 0\.\d+\)", many)


@pytest.mark.parametrize("n", [1, 2])
def test_few_seeds_decide_nothing(tmp_path, n: int) -> None:
    answer = answered(tmp_path, model("mlp", 8, *[0.09] * n), model("conv", 8, *[0.03] * n))
    first, *rest = spoken.sentences(answer)
    assert first == (
        "On MNIST at equal bottleneck fewer than three seeds decide nothing: at 8 numbers mlp-8 "
        "has 3.00 times the test MSE of conv-8."
    )
    assert "PCA is better" not in " ".join(rest)
    assert spoken.brief(answer, BOTTLENECK) == ["mlp or conv: too few seeds"]
    assert "nothing: with at most" in spoken.sentence(answer, PARAMETERS)


def test_several_opponents_have_a_clause_each_and_what_is_decided_comes_first(tmp_path) -> None:
    answer = answered(
        tmp_path,
        model("mlp", 8, *CLEAR), model("conv", 8, *CLEAR[::-1]),
        model("conv-bottleneck", 8, *TWICE),
        [record("mlp-shared", 8, 0.78, row={"bottleneck": 8}, dataset="mnist")],
    )  # fmt: skip
    assert without_intervals(spoken.sentence(answer, BOTTLENECK)) == (
        "On MNIST at equal bottleneck mlp is better than conv-bottleneck at 8 numbers: "
        "conv-bottleneck-8 has 2.00 times the test MSE of mlp-8; neither mlp nor conv is clearly "
        "better: at 8 numbers mlp-8 has 1.00 times the test MSE of conv-8; fewer than three seeds "
        "decide nothing: at 8 numbers mlp-8 has 1.01 times the test MSE of mlp-shared-8."
    )
    assert spoken.brief(answer, BOTTLENECK) == [
        "mlp over conv-bottleneck", "mlp or conv: undecided", "mlp or mlp-shared: too few seeds",
    ]  # fmt: skip
    few = answered(tmp_path / "b", *(model(f, 8, 0.1) for f in ("mlp", "conv", "conv-bottleneck")))
    assert spoken.brief(few, BOTTLENECK) == ["too few seeds"]


@pytest.mark.slow
def test_without_an_opponent_the_sentence_says_so(tmp_path) -> None:
    apart = answered(tmp_path, model("mlp", 8, *TWICE), model("conv", 32, *CLEAR))
    assert spoken.sentence(apart, BOTTLENECK) == (
        "On MNIST mlp shares no bottleneck with another: mlp has 8 and conv has 32."
    )
    assert spoken.brief(apart, BOTTLENECK) == []
    one = answered(tmp_path / "c", model("conv", 8, *TWICE), model("conv", 32, *CLEAR))
    assert spoken.sentence(one, STEP) == "On MNIST only conv has codes smaller than the image."
    both = answered(tmp_path / "d", model("conv", 8, 0.1), model("conv-bottleneck", 8, 0.1))
    assert spoken.sentence(both, PARAMETERS) == (
        "On MNIST there is no mlp to set beside conv and conv-bottleneck."
    )
    shared = {"row": {"concurrent": True}}
    busy = answered(tmp_path / "e", model("mlp", 8, 0.1, **shared), model("conv", 8, 0.1, **shared))
    assert spoken.sentence(busy, fights.TIME) == (
        "On MNIST nothing can be compared at equal training time."
    )


@pytest.mark.slow
def test_a_winner_at_both_ends_is_told_apart_from_the_middle(tmp_path) -> None:
    answer = answered(
        tmp_path,
        *(model("mlp", b, *TWICE) for b in (2, 4, 8, 16, 32)),
        *(model("conv", b, *CLEAR) for b in (2, 4, 32)),
        *(model("conv", b, *TWICE[::-1]) for b in (8, 16)),
    )  # fmt: skip
    assert spoken.sentence(answer, BOTTLENECK).startswith(
        "On MNIST at equal bottleneck conv is better than mlp at 2 and 4 numbers, conv at 32 "
        "numbers, elsewhere nothing is decided: "
    )
    many = answered(
        tmp_path / "many",
        *(model(family, b, *errors) for b in (2, 4, 8, 16, 32)
          for family, errors in (("mlp", TWICE), ("conv", CLEAR))),
    )  # fmt: skip
    assert "conv is better than mlp at 2 to 32 numbers: " in spoken.sentence(many, BOTTLENECK)


@pytest.mark.slow
def test_every_data_set_has_its_sentence(tmp_path) -> None:
    models = [
        model(family, 8, *errors, dataset=dataset)
        for dataset in ("mnist", "cifar10")
        for family, errors in (("mlp", TWICE), ("conv", CLEAR))
    ]
    results = ordered(tmp_path, *(r for m in models for r in m))
    section = best.section(results, answers.answers(results))
    assert section.chooser is not None
    for name in ("MNIST", "CIFAR-10"):
        said = [text for text in section.chooser.answers if text.startswith(f"On {name} ")]
        assert any("at equal bottleneck conv is better than mlp" in text for text in said)
        assert any("at equal parameters" in text for text in said)


def test_only_validation_differs(tmp_path) -> None:
    # Of two settings alike in everything but validation error the better is taken, and told.
    answer = answered(
        tmp_path,
        model("mlp", 8, *CLEAR, losses=(0.05,), epochs=1),
        model("mlp", 8, *TWICE, losses=(0.04,), epochs=2),
        model("conv", 8, *TWICE, losses=(0.06,), epochs=1),
    )
    first, *rest = spoken.sentences(answer)
    assert "neither mlp nor conv is clearly better: at 8 numbers mlp-8 has 1.00 times" in first
    assert rest[-1] == "Trained under study with epochs=2 and study with epochs=1."


def test_pca_is_said_to_be_better_only_where_it_clearly_is(tmp_path) -> None:
    answer = answered(
        tmp_path,
        model("mlp", 8, *TWICE, pca=0.001), model("conv", 8, *CLEAR, pca=0.001),
        model("mlp", 32, *TWICE, pca=0.015), model("conv", 32, *CLEAR, pca=0.015),
        model("mlp", 64, *TWICE, pca=0.0006), model("mlp", 96, 0.04, pca=0.0006),  # all but exact
    )  # fmt: skip
    _, beside, *_ = spoken.sentences(answer)
    assert beside == (
        "The error of mlp is 1.35 (at 32) to 20.2 (at 8) times that of PCA with as many components"
        ", that of conv 0.673 (at 32) to 10.1 (at 8) times; PCA is better at 8 and "
        "64."
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["best", "study", "quick"])
def test_what_is_said_of_the_committed_records(name: str) -> None:
    results = searches.without(fitness.marked(frames.ordered(read(RESULTS / f"reference-{name}"))))
    told = set()
    for answer in (*answers.answers(results), *answers.by_protocol(results)):
        for cost in COSTS:
            met = [f for f in answer.fights[cost.name] if f.ratio]
            sentence = spoken.sentence(answer, cost)
            if not met:
                continue
            # One sentence; every clause has both names, and an outcome that a fight has.
            assert sentence.startswith(f"On {answer.name} ")
            assert sentence not in told
            told.add(sentence)
            assert len(sentence) < 700
            body = sentence.removesuffix(".").partition(f"equal {cost.name} ")[2]
            few = "fewer than three seeds decide nothing: "
            for clause in body.split("; "):
                pairs = [f.families for f in met if all(x in clause for x in f.families)]
                assert pairs, clause
                assert "times the" in clause
                better = re.match(r"(\S+) is better than (\S+) ", clause)
                if better:
                    assert any(f.ahead == better[1] for f in met if better[2] in f.families)
                    assert "95 % interval" in clause
                else:
                    assert clause.startswith(("neither ", few)), clause
    assert bool(told)
