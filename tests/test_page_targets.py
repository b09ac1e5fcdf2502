"""The section of seconds to a target: what its sentences, tables and charts say."""

import re

import pytest
from test_report_records import failure, record, stored
from test_targets import LOSSES, curve

from aebench.analysis import fitness, frames
from aebench.page import targets
from aebench.page.html import page
from aebench.page.parts import Section, Table
from aebench.store import Record


def section(folder, *records: Record) -> Section:
    made = targets.section(fitness.marked(frames.ordered(stored(folder, *records))))
    assert made is not None
    return made


def cells(table: Table) -> list[dict[str, str]]:
    """The texts of every row by the names of their columns."""
    heads = [column.name for column in table.columns]
    return [dict(zip(heads, (c.text for c in row), strict=True)) for row in table.rows]


def two_systems() -> list[Record]:
    """Engine native takes half the time of eager for two models, and neither reaches PCA twice."""
    return [
        curve(*losses, latent=k, engine=engine, seconds=seconds)
        for k, losses in ((8, (0.3, 0.1)), (16, (0.3, 0.15)))
        for engine, seconds in (("eager", 8.0), ("native", 4.0))
    ]


@pytest.mark.usefixtures("undrawn")
def test_one_sentence_says_how_many_get_there(tmp_path) -> None:
    records = [
        curve(*LOSSES),
        curve(0.3, 0.3, latent=8),
        record("conv", 1, 3.5, row={"pca_mse": 0}),
    ]
    made = section(tmp_path, *records)
    assert made.intro[0] == (
        "Within their epochs, 2 of 3 runs reached the error of the mean image, 1 of 2 that of PCA "
        "at the same bottleneck and 1 of 1 the study's own figure."
    )
    alone = section(tmp_path / "alone", curve(0.3, 0.3, latent=700))
    assert alone.intro[0] == "Within their epochs, 0 of 1 run reached the error of the mean image."


@pytest.mark.usefixtures("undrawn")
def test_what_a_reader_must_know_is_said_where_it_matters(tmp_path) -> None:
    half, double = ({"mse": 0.05 / share} for share in (0.5, 2.0))
    made = section(
        tmp_path, curve(*LOSSES, row=half), curve(*LOSSES, latent=8, row=double), failure()
    )
    said = " ".join(made.intro)
    assert "nothing is interpolated between epochs" in said
    assert "their validation MSE is 0.500 to 2.00 times their test MSE, 1.25 in the median" in said
    assert "1 job is not among the runs" in said
    assert "cosine" not in said
    assert "78" not in said
    other = section(
        tmp_path / "other", curve(0.1, architecture="conv", latent=1, schedule="cosine")
    )
    said = " ".join(other.intro)
    assert "1 run follows a cosine schedule" in said
    assert "The study's figure is a sum over the 78 full batches" in said
    assert "not among the runs" not in said


@pytest.mark.usefixtures("undrawn")
def test_the_table_has_a_row_a_model_and_target(tmp_path) -> None:
    records = [curve(0.3, 0.3, 0.1, latent=8)]
    records += [curve(*(0.3,) * i, *(0.1,) * (6 - i), seed=i) for i in range(6)]
    records += [curve(*(0.3,) * 6, seed=6), curve(*(0.3,) * 6, seed=7, row={"concurrent": True})]
    made = section(tmp_path, *records)
    (table,) = made.tables
    assert table.caption == (
        "MNIST: until the validation MSE is at or below a target on Intel Xeon Platinum 8275CL, "
        "cpu, engine eager, fp32, 2 threads, torch 2.11.0, machine 0f1e2d3c"
    )
    narrow, _, mean, optimum = cells(table)
    assert narrow == {
        "model": "mlp-8", "settings": "study with epochs=3", "target": "mean image",
        "its MSE": "0.200", "reached": "1 of 1", "epochs": "3", "seconds": "12.0", "GFLOP": "1,287",
    }  # fmt: skip
    # Of the eight two never get there, and one of these has no seconds.
    assert (mean["reached"], mean["epochs"], mean["seconds"]) == ("6 of 8", "4.5", "16.0")
    assert optimum["target"] == "PCA"
    seconds = table.rows[2][6]
    assert seconds.small == ("4.00 to never", "of 7 runs")
    assert table.rows[0][6].small == ()


@pytest.mark.usefixtures("undrawn")
def test_never_is_a_word_and_sorts_last(tmp_path) -> None:
    (table,) = section(tmp_path, curve(0.3, 0.3)).tables
    row = table.rows[0]
    assert [row[i].text for i in (5, 6, 7)] == ["never"] * 3
    assert [row[i].value for i in (5, 6, 7)] == ["Infinity"] * 3
    # Where nothing was timed there is no time, not an endless one.
    (table,) = section(tmp_path / "c", curve(0.3, 0.3, row={"concurrent": True})).tables
    assert [table.rows[0][i].text for i in (5, 6)] == ["never", "–"]


@pytest.mark.usefixtures("undrawn")
def test_conditions_stand_where_they_differ(tmp_path) -> None:
    (table,) = section(tmp_path, curve(*LOSSES), curve(*LOSSES, engine="native")).tables
    assert "engine" not in table.caption
    assert table.caption.endswith("cpu, fp32, 2 threads, torch 2.11.0, machine 0f1e2d3c")
    told = [row[0].small for row in table.rows]
    assert told == [("engine eager",)] * 2 + [("engine native",)] * 2


@pytest.mark.usefixtures("undrawn")
def test_the_profile_is_told_in_words_and_numbers(tmp_path) -> None:
    made = section(tmp_path, *two_systems())
    (chart,) = made.charts  # by arithmetic there is one system, and nothing to compare
    assert chart.title == "Performance profile, by seconds"
    assert "these 2 systems all ran these 4" in chart.reading
    systems, tasks = chart.tables
    assert [tuple(row.values()) for row in cells(systems)] == [
        ("mlp, native", "3", "4", "3", "75.0 %", "0.750"),
        # Twice the least in three tasks of four: 3/4 from 2 to 4, of 3 in all.
        ("mlp, eager", "3", "4", "0", "75.0 %", "0.500"),
    ]
    assert cells(tasks)[-1] == {
        "task": "MNIST, latent 16, PCA-16", "mlp, native": "never", "mlp, eager": "never",
    }  # fmt: skip
    assert cells(tasks)[0]["mlp, eager"] == "2.00"
    assert made.lists == (
        "By seconds on Intel Xeon Platinum 8275CL, cpu, fp32, 2 threads, torch 2.11.0, machine "
        "0f1e2d3c, 2 systems in 4 tasks: mlp, native has the highest score, 0.750; the target of "
        "1 task is reached by none.",
    )


@pytest.mark.usefixtures("undrawn")
def test_where_nobody_gets_anywhere_nobody_is_first(tmp_path) -> None:
    records = [curve(0.3, latent=k, depth=d) for k in (8, 16) for d in (1, 2)]
    made = section(tmp_path, *records)
    assert len(made.lists) == 2
    assert all(text.endswith("2 systems in 4 tasks: none reaches a target.") for text in made.lists)


def test_the_chart_draws_steps_and_ends_beyond_the_last(tmp_path, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr(targets.svg, "inline", lambda figure, *_: drawn.append(figure) or "")
    section(tmp_path, *two_systems())
    axes = drawn[0].axes[0]
    native, eager, limit = axes.lines
    assert axes.get_xscale() == "log"
    end = axes.get_xlim()[1]
    assert end > 4
    assert [list(native.get_xdata()), list(native.get_ydata())] == [[1, end], [0.75, 0.75]]
    assert [list(eager.get_xdata()), list(eager.get_ydata())] == [[1, 2, end], [0, 0.75, 0.75]]
    assert eager.get_drawstyle() == native.get_drawstyle() == "steps-post"
    assert list(limit.get_xdata()) == [4, 4]  # up to where the score counts


@pytest.mark.usefixtures("undrawn")
def test_only_so_many_systems_are_drawn_and_all_are_in_the_table(tmp_path) -> None:
    records = [
        curve(0.3, 0.1, latent=k, depth=d, seconds=float(d)) for k in (8, 16) for d in range(1, 11)
    ]
    seconds, _ = section(tmp_path, *records).charts
    systems, tasks = seconds.tables
    assert len(systems.rows) == 10
    assert len(tasks.columns) == 1 + 8
    assert "Drawn are the 8 with the highest score" in seconds.reading
    assert [column.name for column in tasks.columns][1:3] == ["mlp", "mlp depth 2"]


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_a_long_table_is_folded(tmp_path) -> None:
    records = [curve(0.3, latent=k) for k in range(2, 53)]
    made = section(tmp_path, *records[:50])
    assert ([len(table.rows) for table in made.tables], made.folded) == ([100], ())
    made = section(tmp_path, *records)
    assert (made.tables, [len(table.rows) for table in made.folded]) == ((), [102])


@pytest.mark.usefixtures("undrawn")
def test_without_a_curve_there_is_no_section(tmp_path) -> None:
    assert targets.section(frames.ordered(stored(tmp_path, failure()))) is None
    assert 'id="targets"' not in page(stored(tmp_path / "page", failure()))


@pytest.mark.slow
def test_the_page_shows_it(tmp_path) -> None:
    text = page(stored(tmp_path, *two_systems()))
    found = re.search(r'<section id="targets".*?</section>', text, re.DOTALL)
    assert found is not None
    assert found[0].count("<svg") == 1
    assert not re.search(r"\b(nan|inf|None)\b", re.sub(r"<[^>]*>", " ", found[0]))
