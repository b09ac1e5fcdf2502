"""Fair fights in sentences: who is ahead, by how much, and what is in no fight."""

import pytest
from test_report_records import record, stored

from aebench.analysis import fitness, frames
from aebench.page import fair, stopwatch
from aebench.page.html import page
from aebench.store import Record, Results


def ordered(folder, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def test_times_of_two_machines_do_not_meet(tmp_path) -> None:
    results = ordered(
        tmp_path,
        record("mlp", 16, seconds=1.0),
        record("conv", 4, seconds=5.0, row={"machine_id": "another"}),
    )
    section = fair.section(results)
    assert not any("training time" in line for line in section.lists)
    assert any("parameters" in line for line in section.lists)


def test_verdict_follows_the_errors(tmp_path) -> None:
    better = ordered(tmp_path / "a", record("mlp", 1000, 1.0), record("conv", 1, 2.0))
    worse = ordered(tmp_path / "b", record("mlp", 1000, 2.0), record("conv", 1, 1.0))
    said = [fair.section(r).lists[0] for r in (better, worse)]
    assert said[0] == (
        "MNIST, equal bottleneck, mlp against conv: mlp is ahead at every budget. mlp-1000 0.0128 "
        "against conv-1 0.0256 (one seed each), a factor of 2.0, at 1,000 numbers (test MSE)."
    )
    assert said[1] == (
        "MNIST, equal bottleneck, mlp against conv: conv is ahead at every budget. conv-1 0.0128 "
        "against mlp-1000 0.0256 (one seed each), a factor of 2.0, at 1,000 numbers (test MSE)."
    )


def test_every_fight_names_both_sides_and_tells_where_it_turns(tmp_path) -> None:
    records = [
        record("mlp", 700, 1.0), record("conv", 1, 2.0), record("conv", 16, 0.1),
        record("conv-bottleneck", 128, 3.0),
    ]  # fmt: skip
    section = fair.section(ordered(tmp_path, *records))
    for sentence in section.lists:
        family = sentence.split("mlp against ")[1].split(":")[0]
        told = sentence.split(". ", 1)[1].split("; ")
        assert family in ("conv", "conv-bottleneck")
        for meeting in told:
            sides = meeting.split(" against ")
            assert sorted(side.rpartition("-")[0].split()[-1] for side in (
                sides[0].split(" 0.")[0], sides[1].split(" 0.")[0]
            )) == sorted(["mlp", family])  # fmt: skip
    (turning,) = [s for s in section.lists if "equal bottleneck, mlp against conv:" in s]
    assert "who is ahead depends on the budget" in turning
    assert turning.index("mlp-700 0.0128 against conv-1") < turning.index("conv-16 0.00128 against")
    (both,) = [s for s in section.lists if "equal bottleneck, mlp against conv-bottleneck" in s]
    assert "mlp is ahead at every budget" in both


def test_times_that_check_rejects_are_in_no_fight_and_no_ratio(tmp_path) -> None:
    row = {"pressure_s": 50.0}
    records = [
        record(kind, latent, seconds=s, engine=engine, row=row | {"loading_s": 1.0})
        for kind, latent, s in (("mlp", 512, 100.0), ("conv", 128, 125.0))
        for engine in ("reference", "eager")
    ]
    results = fitness.marked(ordered(tmp_path, *records))
    fought, watch = fair.section(results), stopwatch.section(results)
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
    assert "This takes a finished model whose code is at most two thirds" in html
    assert "aebench run --engine reference,eager" in html
