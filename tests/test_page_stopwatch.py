"""What the stopwatch timed, in sentences."""

from test_report_records import record, stored

from aebench.analysis import fights, frames
from aebench.page import stopwatch
from aebench.store import Record, Results


def ordered(folder, *records: Record) -> Results:
    return frames.ordered(stored(folder, *records))


def test_stopwatch_sets_the_loop_beside_the_engine(tmp_path) -> None:
    slow = {"engine": "reference"}
    results = ordered(
        tmp_path,
        record("mlp", 512, seconds=100.0, row={"loading_s": 80.0}, **slow),
        record("conv", 128, seconds=125.0, row={"loading_s": 80.0}, **slow),
        record("mlp", 512, seconds=4.0),
        record("conv", 128, seconds=40.0),
        record("conv", 16, seconds=9.0),  # no reference run: nothing to set it beside
    )
    [watch] = fights.stopwatch(results)
    assert watch.engine == "eager"
    rows = watch.models
    assert dict(zip(rows["architecture"], rows["gain"], strict=True)) == {"mlp": 25, "conv": 3.125}
    text = " ".join(stopwatch.section(results).intro)
    assert "conv-128 takes 1.25 times as long to train as mlp-512 under reference" in text
    assert "10.0 times under eager" in text
    assert "71.1 %" in text
