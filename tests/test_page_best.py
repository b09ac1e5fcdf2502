"""Which family is better, in one sentence a question, and in one chart chosen from many."""

import itertools
import re
from pathlib import Path

import pytest
from test_report_records import MEAN_MSE, SHAPES, record, stored

from aebench.analysis import fights, fitness, frames, searches, words
from aebench.analysis.fights import BOTTLENECK, COSTS, PARAMETERS, STEP, TRAINING
from aebench.page import answers, best, definitions, stopwatch
from aebench.page.html import page
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
    return answers.sentence(answered(folder, *models), cost)


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
    first, *rest = answers.sentences(answer)
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
    assert answers.brief(answer, BOTTLENECK) == ["conv-bottleneck over mlp"]


def test_where_the_outcome_turns_one_sentence_says_so(tmp_path) -> None:
    answer = answered(
        tmp_path,
        model("mlp", 2, *CLEAR), model("conv", 2, *TWICE),
        model("mlp", 8, *CLEAR), model("conv", 8, *CLEAR[::-1]),
        model("mlp", 32, *TWICE), model("conv", 32, *CLEAR),
        model("mlp", 64, *TWICE), model("conv", 64, *CLEAR),
    )  # fmt: skip
    assert without_intervals(answers.sentence(answer, BOTTLENECK)) == (
        "On MNIST at equal bottleneck mlp is better than conv at 2 numbers, conv at 32 and 64 "
        "numbers, elsewhere nothing is decided: conv-2 has 2.00 times the test MSE of mlp-2 and "
        "at 64, mlp-64 has 2.00 times the test MSE of conv-64."
    )
    assert answers.brief(answer, BOTTLENECK) == ["mlp, then conv"]


def test_a_threshold_is_told_where_nothing_changes_between_budgets(tmp_path) -> None:
    answer = answered(
        tmp_path,
        model("mlp", 8, *CLEAR, row=SMALL), model("conv", 8, *TWICE, row=SMALL),
        model("conv", 32, *(e / 2 for e in CLEAR), row=LARGE),
    )  # fmt: skip
    assert without_intervals(answers.sentence(answer, PARAMETERS)) == (
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
    assert without_intervals(answers.sentence(answer, PARAMETERS)) == (
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
        answers.sentence(middle, PARAMETERS)
    )
    assert answers.brief(middle, PARAMETERS) == ["conv over mlp, in part"]


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
    assert without_intervals(answers.sentence(answer, TRAINING)) == (
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
        answers.sentence(whole, TRAINING)
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
    first, *rest = answers.sentences(answer)
    assert first == (
        "On MNIST at equal bottleneck fewer than three seeds decide nothing: at 8 numbers mlp-8 "
        "has 3.00 times the test MSE of conv-8."
    )
    assert "PCA is better" not in " ".join(rest)
    assert answers.brief(answer, BOTTLENECK) == ["mlp or conv: too few seeds"]
    assert "nothing: with at most" in answers.sentence(answer, PARAMETERS)


def test_several_opponents_have_a_clause_each_and_what_is_decided_comes_first(tmp_path) -> None:
    answer = answered(
        tmp_path,
        model("mlp", 8, *CLEAR), model("conv", 8, *CLEAR[::-1]),
        model("conv-bottleneck", 8, *TWICE),
        [record("mlp-shared", 8, 0.78, row={"bottleneck": 8}, dataset="mnist")],
    )  # fmt: skip
    assert without_intervals(answers.sentence(answer, BOTTLENECK)) == (
        "On MNIST at equal bottleneck mlp is better than conv-bottleneck at 8 numbers: "
        "conv-bottleneck-8 has 2.00 times the test MSE of mlp-8; neither mlp nor conv is clearly "
        "better: at 8 numbers mlp-8 has 1.00 times the test MSE of conv-8; fewer than three seeds "
        "decide nothing: at 8 numbers mlp-8 has 1.01 times the test MSE of mlp-shared-8."
    )
    assert answers.brief(answer, BOTTLENECK) == [
        "mlp over conv-bottleneck", "mlp or conv: undecided", "mlp or mlp-shared: too few seeds",
    ]  # fmt: skip
    few = answered(tmp_path / "b", *(model(f, 8, 0.1) for f in ("mlp", "conv", "conv-bottleneck")))
    assert answers.brief(few, BOTTLENECK) == ["too few seeds"]


def test_without_an_opponent_the_sentence_says_so(tmp_path) -> None:
    apart = answered(tmp_path, model("mlp", 8, *TWICE), model("conv", 32, *CLEAR))
    assert answers.sentence(apart, BOTTLENECK) == (
        "On MNIST mlp shares no bottleneck with another: mlp has 8 and conv has 32."
    )
    assert answers.brief(apart, BOTTLENECK) == []
    one = answered(tmp_path / "c", model("conv", 8, *TWICE), model("conv", 32, *CLEAR))
    assert answers.sentence(one, STEP) == "On MNIST only conv has codes smaller than the image."
    both = answered(tmp_path / "d", model("conv", 8, 0.1), model("conv-bottleneck", 8, 0.1))
    assert answers.sentence(both, PARAMETERS) == (
        "On MNIST there is no mlp to set beside conv and conv-bottleneck."
    )
    shared = {"row": {"concurrent": True}}
    busy = answered(tmp_path / "e", model("mlp", 8, 0.1, **shared), model("conv", 8, 0.1, **shared))
    assert answers.sentence(busy, fights.TIME) == (
        "On MNIST nothing can be compared at equal training time."
    )


def test_a_winner_at_both_ends_is_told_apart_from_the_middle(tmp_path) -> None:
    answer = answered(
        tmp_path,
        *(model("mlp", b, *TWICE) for b in (2, 4, 8, 16, 32)),
        *(model("conv", b, *CLEAR) for b in (2, 4, 32)),
        *(model("conv", b, *TWICE[::-1]) for b in (8, 16)),
    )  # fmt: skip
    assert answers.sentence(answer, BOTTLENECK).startswith(
        "On MNIST at equal bottleneck conv is better than mlp at 2 and 4 numbers, conv at 32 "
        "numbers, elsewhere nothing is decided: "
    )
    many = answered(
        tmp_path / "many",
        *(model(family, b, *errors) for b in (2, 4, 8, 16, 32)
          for family, errors in (("mlp", TWICE), ("conv", CLEAR))),
    )  # fmt: skip
    assert "conv is better than mlp at 2 to 32 numbers: " in answers.sentence(many, BOTTLENECK)


def test_every_data_set_has_its_sentence(tmp_path) -> None:
    models = [
        model(family, 8, *errors, dataset=dataset)
        for dataset in ("mnist", "cifar10")
        for family, errors in (("mlp", TWICE), ("conv", CLEAR))
    ]
    section = best.section(ordered(tmp_path, *(r for m in models for r in m)))
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
    first, *rest = answers.sentences(answer)
    assert "neither mlp nor conv is clearly better: at 8 numbers mlp-8 has 1.00 times" in first
    assert rest[-1] == "Trained under study with epochs=2 and study with epochs=1."


def test_pca_is_said_to_be_better_only_where_it_clearly_is(tmp_path) -> None:
    answer = answered(
        tmp_path,
        model("mlp", 8, *TWICE, pca=0.001), model("conv", 8, *CLEAR, pca=0.001),
        model("mlp", 32, *TWICE, pca=0.015), model("conv", 32, *CLEAR, pca=0.015),
        # All but exact: no ratio to it is told.
        model("mlp", 64, *TWICE, pca=0.0006), model("conv", 64, *CLEAR, pca=0.0006),
    )  # fmt: skip
    _, beside, *_ = answers.sentences(answer)
    assert beside == (
        "The error of mlp is 1.35 (at 32) to 20.2 (at 8) times that of PCA with as many "
        "components, that of conv 0.673 (at 32) to 10.1 (at 8) times; PCA is better at 8."
    )


@pytest.mark.parametrize("name", ["best", "hour", "quick"])
def test_what_is_said_of_the_committed_records(name: str) -> None:
    results = searches.without(fitness.marked(frames.ordered(read(RESULTS / f"reference-{name}"))))
    told = set()
    for answer in (*answers.answers(results), *answers.by_protocol(results)):
        for cost in COSTS:
            met = [f for f in answer.fights[cost.name] if f.ratio]
            sentence = answers.sentence(answer, cost)
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


def test_protocols_are_told_apart_where_there_are_several(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *model("mlp", 8, *TWICE), *model("conv", 8, *CLEAR),
        *model("mlp", 8, *(e / 4 for e in CLEAR), protocol="tuned"),
        *model("conv", 8, *(e / 2 for e in CLEAR), protocol="tuned"),
        *model("mlp", 8, *TWICE, dataset="cifar10"), *model("conv", 8, *CLEAR, dataset="cifar10"),
        *model("mlp", 8, *TWICE, dataset="digits"),
        *model("mlp", 8, *CLEAR, dataset="digits", protocol="tuned"),
    )  # fmt: skip
    made = answers.by_protocol(results)
    assert [(answer.dataset, answer.protocol) for answer in made] == [
        ("mnist", "study"), ("mnist", "tuned"),
    ]  # fmt: skip
    study, tuned = (answers.sentence(answer, BOTTLENECK) for answer in made)
    assert study.startswith("On MNIST under protocol study at equal bottleneck conv is better")
    assert tuned.startswith("On MNIST under protocol tuned at equal bottleneck mlp is better")


def test_one_chart_is_shown_and_the_others_are_chosen(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *model("mlp", 8, *TWICE), *model("conv", 8, *CLEAR),
        *model("mlp", 8, *CLEAR, protocol="tuned"), *model("conv", 8, *TWICE, protocol="tuned"),
        *model("mlp", 8, *TWICE, dataset="cifar10"), *model("conv", 8, *CLEAR, dataset="cifar10"),
        *model("mlp", 8, *TWICE, dataset="digits"),
    )  # fmt: skip
    section = best.section(results)
    chooser = section.chooser
    assert chooser.questions == (
        ("Data set", ("MNIST", "CIFAR-10")),
        ("Trained under", ("whatever is best", "protocol study", "protocol tuned")),
        ("Held equal", tuple(cost.name for cost in COSTS)),
    )
    everywhere = list(itertools.product((0, 1), (0,), range(len(COSTS))))
    here = list(itertools.product((0,), (1, 2), range(len(COSTS))))
    assert list(chooser.choices) == everywhere + here
    assert len(section.charts) == len(chooser.ids) == len(chooser.answers) == len(chooser.choices)
    assert chooser.ids[0] == "best-mnist-any-bottleneck"
    assert chooser.ids[-1] == "best-mnist-tuned-time"
    assert chooser.answers[0].startswith("On MNIST at equal bottleneck ")
    assert "On digits (scikit-learn) only mlp has codes smaller than the image." in section.intro
    assert "Times are of Intel" in section.charts[4].reading
    (overview,) = section.tables
    assert [row[0].text for row in overview.rows] == ["MNIST", "CIFAR-10"]
    assert [row[1].text for row in overview.rows] == ["mlp or conv: undecided", "conv over mlp"]
    captions = [t.caption for t in section.all_tables()]
    assert len(captions) == len(set(captions))


def test_at_equal_bottleneck_a_chart_has_two_models_or_more(tmp_path) -> None:
    # One chart of a single point would say no more than the sentence.
    results = ordered(
        tmp_path,
        *model("mlp", 8, *TWICE), *model("conv", 8, *TWICE),
        *model("mlp", 8, *TWICE, dataset="digits"),
        *model("mlp", 8, *TWICE, dataset="cifar10"), *model("mlp", 16, *TWICE, dataset="cifar10"),
    )  # fmt: skip
    titles = [chart.title for chart in best.section(results).charts]
    assert "CIFAR-10, equal bottleneck" in titles
    assert not [title for title in titles if "digits" in title]


@pytest.mark.usefixtures("undrawn")
def test_hostile_names_are_text_and_links_stay_links(tmp_path) -> None:
    name = '"><script>alert(1)</script> $\\frac$ \u202e'
    made = [
        record(family, 8, 7.8, dataset="digits", seed=s, row={"dataset": d, "bottleneck": 8})
        for s, d in enumerate((name, name.upper()))
        for family in ("mlp", "conv")
    ]
    results = stored(tmp_path, *made)
    section = best.section(frames.ordered(results))
    assert len(set(section.chooser.ids)) == len(section.charts)
    assert all(re.fullmatch(r"[a-z0-9-]+", id) for id in section.chooser.ids)
    html = page(results)
    assert "<script>alert(1)" not in html
    assert "<SCRIPT>" not in html
    others = html.index("<details><summary>All 10 charts")
    kept = html[html.rindex("<noscript>", 0, others) : html.index("</noscript>", others)]
    assert kept.count('class="view"') == 9
    assert kept.count("<noscript>") == 1  # what folds inside would end it


def test_published_errors_stand_beside_our_best_by_validation(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *model("mlp", 32, 0.0383, losses=(0.3,), epochs=1),
        *model("conv", 32, 0.01, losses=(0.4,), epochs=1),
    )
    (answer,) = answers.answers(results)
    two, thirty = answers.matched(answer)
    assert two[1] is None
    assert thirty[1]["family"] == "mlp"  # though the other has the lesser test error
    assert "mlp-32 has 10.0 times that at 30 (Hinton 2006)" in " ".join(answers.sentences(answer))
    (table,) = (t for t in best.section(results).charts[0].tables if "published" in t.caption)
    row = table.rows[0]
    assert row[0].text == "Moor 2020, as recalled, not checked"
    assert (row[2].text, row[3].text) == ("0.0343", "0.1373")
    assert [c.text for c in table.rows[1][-3:-1]] == ["mlp-32", "10.0"]


def test_the_chart_at_equal_bottleneck_has_pca_and_what_others_published(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *model("mlp", 8, *CLEAR), *model("mlp", 16, *CLEAR), *model("conv", 8, *TWICE),
    )  # fmt: skip
    svg = best.section(results).charts[0].svg
    for text in ("mlp", "conv", "PCA", "mean image", "published", "published, not checked"):
        assert svg.count(f">{text}</text>") == 1, text
    for text in ("mlp-8", "mlp-16", "conv-8", "Hinton 2006"):
        assert svg.count(f">{text}</text>") == 1, text
    assert "95" not in svg.partition("aria-label")[0]


def test_families_are_told_apart_without_colour(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *(r for f in ("mlp", "conv", "conv-bottleneck") for k in (8, 16) for r in model(f, k, 0.1)),
    )
    for chart in best.section(results).charts:
        lines = re.findall(r'style="fill: none; ([^"]*var\(--series-(\d)\)[^"]*)"', chart.svg)
        dashes = {i: set() for _, i in lines}
        for style, i in lines:
            found = re.search(r"stroke-dasharray: ([0-9., ]+)", style)
            dashes[i].add(found[1].strip() if found else "solid")
        assert sorted(dashes) == ["0", "1", "2"]
        assert len(set.union(*dashes.values())) == 3, chart.title


def test_tables_tell_models_settings_and_verdicts(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *model("mlp", 8, *TWICE, epochs=2), *model("conv", 8, *CLEAR), *model("conv", 16, *CLEAR),
    )  # fmt: skip
    charts = {chart.title: chart for chart in best.section(results).charts}
    met, _ = charts["MNIST, equal bottleneck"].tables
    both, alone = met.rows
    assert [both[i].text for i in (0, 1, 3, 5, 9, 8)] == [
        "8", "mlp-8", "conv-8", "2.00", "3 and 3", "conv",
    ]  # fmt: skip
    assert both[1].small == ("study with epochs=2",)
    assert [alone[i].text for i in (0, 1, 3, 5, 9, 8)] == [
        "16", "no mlp", "conv-16", "–", "0 and 3", "one side only",
    ]  # fmt: skip
    (limited,) = charts["MNIST, equal parameters"].tables
    assert limited.rows[-1][1].small == ("code of 8 numbers", "study with epochs=2")


def test_sources_name_what_others_published_of_the_data_sets_shown(tmp_path) -> None:
    sources = " ".join(definitions.sources(ordered(tmp_path, record("mlp", 8))).lists)
    assert "Hinton" in sources
    assert "Topological autoencoders" in sources
    assert "UvA" not in sources


def test_codes_as_large_as_the_image_are_left_out_and_named(tmp_path) -> None:
    results = ordered(tmp_path, *model("mlp", 8, 0.1), *model("conv", 8, 0.1), record("conv", 16))
    text = " ".join(best.section(results).chooser.notes)
    assert "Left out are conv where the code is no smaller than the image" in text


def test_times_of_two_machines_do_not_meet(tmp_path) -> None:
    results = ordered(
        tmp_path,
        record("mlp", 16, seconds=1.0),
        record("conv", 1, seconds=5.0, row={"machine_id": "another"}),
    )
    titles = [chart.title for chart in best.section(results).charts]
    assert not any("training time" in title for title in titles)
    assert any("parameters" in title for title in titles)


def test_times_that_check_rejects_are_in_no_fight_and_no_ratio(tmp_path) -> None:
    row = {"pressure_s": 50.0, "bottleneck": 64}
    records = [
        record(kind, latent, seconds=s, engine=engine, row=row | {"loading_s": 1.0})
        for kind, latent, s in (("mlp", 512, 100.0), ("conv", 128, 125.0))
        for engine in ("reference", "eager")
    ]
    results = fitness.marked(ordered(tmp_path, *records))
    fought, watch = best.section(results), stopwatch.section(results)
    titles = " ".join(chart.title for chart in fought.charts)
    assert "training arithmetic" in titles
    assert "training time" not in titles
    notes = " ".join(fought.chooser.notes)
    assert "4 times that aebench check rejects are not among them" in notes
    text = " ".join(watch.intro)
    assert "aebench check rejects the times of mlp-512 and conv-128: no ratio of them" in text
    assert "prefer a machine of your own" in text
    assert "times as long" not in text
    (chart,) = watch.charts
    assert "✘ mlp-512" in chart.svg
    for table_row in chart.tables[0].rows:
        assert table_row[-2].text == "–"
        assert table_row[-1].text == "✘ rejected: contended"
    # One more run that passes: the ratio is of that one.
    more = [
        record(kind, latent, seconds=s, engine=engine, repeat=1, row={"loading_s": 1.0})
        for kind, latent, s in (("mlp", 512, 100.0), ("conv", 128, 126.0))
        for engine in ("reference", "eager")
    ]
    watch = stopwatch.section(fitness.marked(ordered(tmp_path, *more)))
    assert "conv-128 takes 1.26 times as long" in " ".join(watch.intro)


@pytest.mark.usefixtures("undrawn")
def test_sections_without_data_say_what_they_take(tmp_path) -> None:
    html = page(stored(tmp_path, record("conv", 16)))
    assert "This takes an MLP and another family" in html
    assert "This takes a finished model with a real bottleneck" in html
    assert "aebench run --engine reference,eager" in html
