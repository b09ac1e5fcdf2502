"""Tables of times: like beside like, and what `aebench check` rejects in no ratio."""

from pathlib import Path

import pytest
from test_report_records import record, stored

from aebench.analysis import findings, fitness, frames, words
from aebench.page import records, timing, verdicts
from aebench.store import Results


def marked(results: Results) -> Results:
    return fitness.marked(frames.ordered(results))


def doubtful(folder: Path) -> Results:
    """conv-1 is fit, conv-4 has one fit run of two, the MLP is contended."""
    busy = {"pressure_s": 50.0}
    made = [
        record("conv", 1, seconds=1.0),
        record("conv", 4, seconds=2.0),
        record("conv", 4, seconds=2.01, repeat=1, row=busy),
        record("mlp", 512, seconds=8.0, row=busy),
    ]
    return marked(stored(folder, *made))


def test_without_the_study_the_fastest_is_the_reference(tmp_path: Path) -> None:
    records = [record("mlp", k, seconds=s) for k, s in ((4, 3.0), (8, 2.0), (16, 5.0))]
    jobs = frames.ordered(stored(tmp_path, *records)).jobs
    rows = frames.times(frames.timed(jobs))
    assert rows.iloc[timing.reference(rows)]["latent"] == 8


def test_rejected_times_are_marked_and_in_no_ratio(tmp_path: Path) -> None:
    results = doubtful(tmp_path)
    (group,) = frames.alike(frames.timed(results.jobs))
    table = timing.times(group, "caption")
    at = {column.name: i for i, column in enumerate(table.columns)}
    rows = {row[0].text: row for row in table.rows}
    mlp = rows["mlp-512"]
    assert mlp[at["check"]].text == "✘ rejected: contended"
    assert mlp[at["check"]].look == "warn"
    assert mlp[at["train_s"]].value == 8.0
    assert mlp[at["factor"]].text == words.NONE
    # mlp-512 is the usual reference; a time that is rejected cannot be.
    assert rows["conv-1"][at["factor"]].text == "1 (reference)"
    half = rows["conv-4"]
    assert (half[at["processes"]].value, half[at["train_s"]].value) == (1, 2.0)
    assert half[at["factor"]].value == pytest.approx(2.0)
    assert half[at["check"]].text == "✔ passes"
    assert half[at["check"]].small == ("✘ 1 more run rejected: contended",)


@pytest.mark.slow
def test_kernels_stand_beside_times_only_where_they_differ(tmp_path: Path) -> None:
    def timed(*kernels):
        records = [
            record("mlp", 4 + i, dataset="digits", row={"kernels": k})
            for i, k in enumerate(kernels)
        ]
        results = marked(stored(tmp_path / "-".join(map(str, kernels)), *records))
        (table,) = timing.section(results).tables
        return table, " ".join(timing.section(results).intro)

    said = "has nothing faster for"
    for alike in (["torch", "torch"], [None, None]):
        table, text = timed(*alike)
        assert "kernels" not in [c.name for c in table.columns]
        assert said not in text
    table, text = timed("linear=native", "torch", None)
    assert table.columns[-1].name == "kernels"
    assert [row[-1].text for row in table.rows] == ["linear=native", "torch", words.NONE]
    assert said in text
    # Layers of other kinds have other kernels: nothing that is unfair to either.
    table, text = timed("linear=native", "conv=native conv_transpose=native")
    assert table.columns[-1].name == "kernels"
    assert said not in text
    assert said in timed("linear=native", "conv=native conv_transpose=native+torch")[1]


def test_every_section_carries_what_check_says_to_times(tmp_path: Path) -> None:
    results = doubtful(tmp_path)
    said = " ".join(timing.section(results).lists)
    assert "aebench check rejects 2 of these 4 times" in said
    assert "contended: Something else used the machine" in said
    assert "prefer a machine of your own" in said
    head = verdicts.sentences(results, findings.evaluate(results))
    assert "Of 4 times taken with the machine to itself aebench check rejects 2" in " ".join(head)
    phases = timing.phases_section(results)
    assert phases is not None
    (chart,) = phases.charts
    assert ">✘ mlp-512<" in chart.svg
    assert ">conv-1<" in chart.svg
    assert "rejected by aebench check" in chart.svg
    checks = [cell.text for row in records.jobs(results.jobs).rows for cell in row]
    assert checks.count("✘ rejected: contended") == 2
    assert checks.count("✔ passes") == 2
    quiet = marked(stored(tmp_path / "quiet", record("conv", 1), record("mlp", 512)))
    assert timing.section(quiet).lists == ("aebench check passes all 2 of these times.",)
    assert "rejected: " not in str((timing.section(quiet), records.jobs(quiet.jobs)))
