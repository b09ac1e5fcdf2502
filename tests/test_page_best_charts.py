"""The charts and tables of which model is better: what is shown, chosen and left out."""

import itertools
import re

import pytest
from test_page_best import CLEAR, TWICE, model, ordered
from test_report_records import record, stored

from aebench.analysis import fitness, frames
from aebench.analysis.fights import BOTTLENECK, COSTS
from aebench.page import answers, best, definitions, stopwatch
from aebench.page import best_sentences as spoken
from aebench.page.html import page
from aebench.page.parts import Section
from aebench.store import Results


def section_of(results: Results) -> Section:
    return best.section(results, answers.answers(results))


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
    study, tuned = (spoken.sentence(answer, BOTTLENECK) for answer in made)
    assert study.startswith("On MNIST under protocol study at equal bottleneck conv is better")
    assert tuned.startswith("On MNIST under protocol tuned at equal bottleneck mlp is better")


@pytest.mark.slow
def test_one_chart_is_shown_and_the_others_are_chosen(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *model("mlp", 8, *TWICE), *model("conv", 8, *CLEAR),
        *model("mlp", 8, *CLEAR, protocol="tuned"), *model("conv", 8, *TWICE, protocol="tuned"),
        *model("mlp", 8, *TWICE, dataset="cifar10"), *model("conv", 8, *CLEAR, dataset="cifar10"),
        *model("mlp", 8, *TWICE, dataset="digits"),
    )  # fmt: skip
    section = section_of(results)
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


@pytest.mark.slow
def test_at_equal_bottleneck_a_chart_has_two_models_or_more(tmp_path) -> None:
    # One chart of a single point would say no more than the sentence.
    results = ordered(
        tmp_path,
        *model("mlp", 8, *TWICE), *model("conv", 8, *TWICE),
        *model("mlp", 8, *TWICE, dataset="digits"),
        *model("mlp", 8, *TWICE, dataset="cifar10"), *model("mlp", 16, *TWICE, dataset="cifar10"),
    )  # fmt: skip
    titles = [chart.title for chart in section_of(results).charts]
    assert "CIFAR-10, equal bottleneck" in titles
    assert not [title for title in titles if "digits" in title]


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_hostile_names_are_text_and_links_stay_links(tmp_path) -> None:
    name = '"><script>alert(1)</script> $\\frac$ \u202e'
    made = [
        record(family, 8, 7.8, dataset="digits", seed=s, row={"dataset": d, "bottleneck": 8})
        for s, d in enumerate((name, name.upper()))
        for family in ("mlp", "conv")
    ]
    results = stored(tmp_path, *made)
    section = section_of(frames.ordered(results))
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
    assert "mlp-32 has 10.0 times that at 30 (Hinton 2006)" in " ".join(spoken.sentences(answer))
    (table,) = (t for t in section_of(results).charts[0].tables if "published" in t.caption)
    row = table.rows[0]
    assert row[0].text == "Moor 2020, as recalled, not checked"
    assert (row[2].text, row[3].text) == ("0.0343", "0.1373")
    assert [c.text for c in table.rows[1][-3:-1]] == ["mlp-32", "10.0"]


@pytest.mark.slow
def test_the_chart_at_equal_bottleneck_has_pca_and_what_others_published(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *model("mlp", 8, *CLEAR), *model("mlp", 16, *CLEAR), *model("conv", 8, *TWICE),
    )  # fmt: skip
    svg = section_of(results).charts[0].svg
    for text in ("mlp", "conv", "PCA", "mean image", "published", "published, not checked"):
        assert svg.count(f">{text}</text>") == 1, text
    for text in ("mlp-8", "mlp-16", "conv-8", "Hinton 2006"):
        assert svg.count(f">{text}</text>") == 1, text
    assert "95" not in svg.partition("aria-label")[0]


@pytest.mark.slow
def test_families_are_told_apart_without_colour(tmp_path) -> None:
    results = ordered(
        tmp_path,
        *(r for f in ("mlp", "conv", "conv-bottleneck") for k in (8, 16) for r in model(f, k, 0.1)),
    )
    for chart in section_of(results).charts:
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
    charts = {chart.title: chart for chart in section_of(results).charts}
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
    text = " ".join(section_of(results).chooser.notes)
    assert "Left out are conv where the code is no smaller than the image" in text


def test_times_of_two_machines_do_not_meet(tmp_path) -> None:
    results = ordered(
        tmp_path,
        record("mlp", 16, seconds=1.0),
        record("conv", 1, seconds=5.0, row={"machine_id": "another"}),
    )
    titles = [chart.title for chart in section_of(results).charts]
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
    fought, watch = section_of(results), stopwatch.section(results)
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
