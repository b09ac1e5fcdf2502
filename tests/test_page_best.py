"""Which family is better, in sentences: no more than the records decide, and both names in each."""

import re

import pytest
from test_report_records import MEAN_MSE, SHAPES, record, stored

from aebench.analysis import fitness, frames, words
from aebench.analysis.fights import LIMITS, PARAMETERS
from aebench.page import answers, best, definitions, stopwatch
from aebench.page.html import page
from aebench.store import Record, Results


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


def said(folder, *models: list[Record]) -> list[str]:
    (answer,) = answers.answers(ordered(folder, *(r for m in models for r in m)))
    return answers.sentences(answer)


CLEAR = (0.010, 0.0101, 0.0102)  # by seed, and twice as much:
TWICE = (0.020, 0.0203, 0.0204)


def test_a_winner_at_every_bottleneck(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *model("mlp", 8, *TWICE), *model("conv-bottleneck", 8, *CLEAR),
        *model("mlp", 32, *CLEAR), *model("conv-bottleneck", 32, 0.003, 0.0036, 0.0033),
    )  # fmt: skip
    (answer,) = answers.answers(results)
    first, *rest = answers.sentences(answer)
    surer, less_sure = (fight.p for fight in answer.fights["bottleneck"])
    assert surer < 0.001 < less_sure < 0.01
    assert first == (
        "On MNIST conv-bottleneck is better than mlp at every bottleneck from 8 to 32, by a "
        f"factor of 2.0 to 3.1 ({words.at_most(less_sure)})."
    )
    assert rest == [
        "The error of mlp is 0.50 (at 32) to 1.01 (at 8) times that of PCA with as many "
        "components, that of conv-bottleneck 0.16 (at 32) to 0.50 (at 8) times.",
        "Of published errors conv-bottleneck-32 has 0.86 times that at 30 (Hinton 2006).",
        "Trained under study.",
    ]


def test_the_mlp_may_win_and_it_may_turn(tmp_path) -> None:
    first, *_ = said(
        tmp_path,
        model("mlp", 2, *CLEAR), model("conv", 2, *TWICE),
        model("mlp", 8, *CLEAR), model("conv", 8, *CLEAR[::-1]),
        model("mlp", 32, *TWICE), model("conv", 32, *CLEAR),
        model("mlp", 64, *TWICE), model("conv", 64, *CLEAR),
    )  # fmt: skip
    told = first.removeprefix("On MNIST ").split("; ")
    assert told[0].startswith("mlp is better than conv at bottleneck 2, by a factor of 2.0 (p ")
    assert told[1] == (
        "neither is clearly better at bottleneck 8: mlp has 1.00 times the error of conv"
    )
    assert told[2].startswith("conv is better than mlp from bottleneck 32 on, by a factor of 2.0")
    assert len(told) == 3


def test_runs_at_the_beginning_and_in_the_middle_are_told_as_such(tmp_path) -> None:
    first, *_ = said(
        tmp_path,
        *(model("mlp", b, *TWICE) for b in (2, 4, 8, 16, 32)),
        *(model("conv", b, *CLEAR) for b in (2, 4, 32)),
        *(model("conv", b, *TWICE[::-1]) for b in (8, 16)),
    )  # fmt: skip
    told = first.removeprefix("On MNIST ").split("; ")
    assert "conv is better than mlp up to bottleneck 4, by" in told[0]
    assert "neither is clearly better from bottleneck 8 to 16: mlp has" in told[1]
    assert "conv is better than mlp at bottleneck 32, by" in told[2]


def test_one_seed_decides_nothing(tmp_path) -> None:
    first, *rest = said(tmp_path, model("mlp", 8, 0.09), model("conv", 8, 0.03))
    assert first == (
        "On MNIST fewer than three seeds decide nothing: mlp has 3.0 times the error of conv at "
        "bottleneck 8."
    )
    assert "PCA is better" not in " ".join(rest)


def test_a_missing_side_is_named(tmp_path) -> None:
    first, alone, *_ = said(
        tmp_path, model("mlp", 8, *TWICE), model("conv", 8, *CLEAR), model("mlp", 32, *CLEAR)
    )
    assert "at bottleneck 8, by a factor" in first
    assert alone == "Only mlp has a model at bottleneck 32."
    (nothing, *_) = said(tmp_path / "b", model("mlp", 8, *TWICE), model("conv", 32, *CLEAR))
    assert nothing == "On MNIST mlp shares no bottleneck with another: mlp has 8 and conv has 32."
    (one, *_) = said(tmp_path / "c", model("conv", 8, *TWICE), model("conv", 32, *CLEAR))
    assert one == "On MNIST only conv has codes smaller than the image."


def test_only_validation_differs(tmp_path) -> None:
    # Of two settings alike in everything but validation error the better is taken, and told.
    first, *rest = said(
        tmp_path,
        model("mlp", 8, *CLEAR, losses=(0.05,), epochs=1),
        model("mlp", 8, *TWICE, losses=(0.04,), epochs=2),
        model("conv", 8, *TWICE, losses=(0.06,), epochs=1),
    )
    assert "neither is clearly better at bottleneck 8: mlp has 1.00 times" in first
    assert rest[-1] == "Trained under study with epochs=2 and study with epochs=1."


def test_pca_is_said_to_be_better_only_where_it_clearly_is(tmp_path) -> None:
    _, beside, *_ = said(
        tmp_path,
        model("mlp", 8, *TWICE, pca=0.001), model("conv", 8, *CLEAR, pca=0.001),
        model("mlp", 32, *TWICE, pca=0.015), model("conv", 32, *CLEAR, pca=0.015),
        # All but exact: no ratio to it is told.
        model("mlp", 64, *TWICE, pca=0.0006), model("conv", 64, *CLEAR, pca=0.0006),
    )  # fmt: skip
    assert beside == (
        "The error of mlp is 1.3 (at 32) to 20 (at 8) times that of PCA with as many components, "
        "that of conv 0.67 (at 32) to 10 (at 8) times; PCA is better at 8."
    )


def test_every_data_set_has_its_sentence_and_every_clause_both_names(tmp_path) -> None:
    models = [
        model(family, b, *(f * e for e in errors), dataset=dataset)
        for dataset in ("mnist", "cifar10")
        for family, f in (("mlp", 1.0), ("conv", 1.7), ("conv-bottleneck", 0.6))
        for b, errors in ((8, CLEAR), (32, CLEAR), (128, (0.01,)))
    ]
    results = ordered(tmp_path, *(r for m in models for r in m))
    section = best.section(results)
    assert section.intro[0].startswith("On MNIST ")
    assert section.intro[1].startswith("On CIFAR-10 ")
    for answer in answers.answers(results):
        told = [answers.sentences(answer)[0], *(answers.costs(answer, cost) for cost in LIMITS)]
        for clause in "; ".join(told).split("; "):
            assert "mlp" in clause
            assert re.search(r"conv\b", clause), clause
    assert len(section.lists) == 2 * len(LIMITS)
    assert [t.caption for t in section.charts[0].tables] == [
        f"{name}: {what}"
        for name in ("MNIST", "CIFAR-10")
        for what in ("the best model at each bottleneck", "families at equal bottleneck",
                     "published errors")
    ]  # fmt: skip


def test_at_equal_cost_the_models_are_named(tmp_path) -> None:
    small, large = ({"parameters": n} for n in (1000, 5000))
    (answer,) = answers.answers(
        ordered(
            tmp_path,
            *model("mlp", 32, *CLEAR, row=small),
            *model("conv", 8, *TWICE, row=large),
        )
    )
    assert answers.costs(answer, PARAMETERS).startswith(
        "MNIST, equal parameters (test MSE): mlp is better than conv at 5,000 parameters, there "
        "mlp-32 against conv-8, by a factor of 2.0 (p "
    )


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
    assert "mlp-32 has 10 times that at 30 (Hinton 2006)" in " ".join(answers.sentences(answer))
    (table,) = (t for t in best.section(results).charts[0].tables if "published" in t.caption)
    row = table.rows[0]
    assert row[0].text == "Moor 2020, as recalled, not checked"
    assert (row[2].text, row[3].text) == ("0.0343", "0.1373")
    assert [c.text for c in table.rows[1][-3:-1]] == ["mlp-32", "10.0"]


def test_the_chart_has_every_data_set_with_pca_and_what_others_published(tmp_path) -> None:
    known = answers.answers(
        ordered(
            tmp_path,
            *model("mlp", 8, *CLEAR), *model("conv", 8, *TWICE),
            *model("mlp", 64, *CLEAR, dataset="cifar10"),
        )
    )  # fmt: skip
    svg = best.chart(known, "a label")
    for text in ("MNIST", "CIFAR-10", "Hinton 2006", "UvA 2020", "Moor 2020", "PCA", "mean image"):
        assert f">{text}</text>" in svg, text
    assert svg.count(">UvA 2020</text>") == 1
    for text in ("mlp", "conv", "published", "published, not checked"):
        assert svg.count(f">{text}</text>") == 1, text


def test_tables_tell_models_settings_and_verdicts(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *model("mlp", 8, *TWICE, epochs=2), *model("conv", 8, *CLEAR), *model("conv", 16, *CLEAR),
    )  # fmt: skip
    codes, met, _ = best.section(results).charts[0].tables
    assert [row[0].text for row in codes.rows] == ["mlp-8", "conv-8", "conv-16"]
    assert codes.rows[0][2].text == "study with epochs=2"
    assert codes.rows[1][7].text == "0.505"
    both, alone = met.rows
    assert [both[i].text for i in (0, 1, 3, 5, 9, 8)] == [
        "8", "mlp-8", "conv-8", "2.00", "3 and 3", "conv",
    ]  # fmt: skip
    assert both[1].small == ("study with epochs=2",)
    assert [alone[i].text for i in (0, 1, 3, 5, 9, 8)] == [
        "16", "no mlp", "conv-16", "–", "0 and 3", "one side only",
    ]  # fmt: skip


def test_sources_name_what_others_published_of_the_data_sets_shown(tmp_path) -> None:
    sources = " ".join(definitions.sources(ordered(tmp_path, record("mlp", 8))).lists)
    assert "Hinton" in sources
    assert "Topological autoencoders" in sources
    assert "UvA" not in sources


def test_codes_as_large_as_the_image_are_left_out_and_named(tmp_path) -> None:
    results = ordered(tmp_path, *model("mlp", 8, 0.1), *model("conv", 8, 0.1), record("conv", 16))
    text = " ".join(best.section(results).intro)
    assert "Left out are conv where the code is no smaller than the image" in text


def test_times_of_two_machines_do_not_meet(tmp_path) -> None:
    results = ordered(
        tmp_path,
        record("mlp", 16, seconds=1.0),
        record("conv", 1, seconds=5.0, row={"machine_id": "another"}),
    )
    section = best.section(results)
    assert not any("training time" in line for line in section.lists)
    assert any("parameters" in line for line in section.lists)


def test_times_that_check_rejects_are_in_no_fight_and_no_ratio(tmp_path) -> None:
    row = {"pressure_s": 50.0, "bottleneck": 64}
    records = [
        record(kind, latent, seconds=s, engine=engine, row=row | {"loading_s": 1.0})
        for kind, latent, s in (("mlp", 512, 100.0), ("conv", 128, 125.0))
        for engine in ("reference", "eager")
    ]
    results = fitness.marked(ordered(tmp_path, *records))
    fought, watch = best.section(results), stopwatch.section(results)
    assert any("training arithmetic" in line for line in fought.lists)
    assert not any("training time" in line for line in fought.lists)
    assert any("4 times that aebench check rejects are not among them" in t for t in fought.intro)
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
