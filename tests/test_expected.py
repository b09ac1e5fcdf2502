"""One set of outcomes beside another: what is as expected, and what differs."""

import json
from pathlib import Path

import pytest

from aebench.analysis import expected, findings
from aebench.analysis.evidence import Verdict
from aebench.analysis.expected import Known, compare
from aebench.analysis.statistics import interval
from aebench.errors import RequestError
from bench import reference


def known(*values: float, verdict: Verdict = "undecided", counts: str = "seed") -> Known:
    if not values:
        return Known("x", "not tested", None, None, None, 0, counts, ())
    shown = interval(values)
    return Known("x", verdict, shown.centre, shown.low, shown.high, shown.n, counts, values)


THREE, TWO_WAYS = known(0.60, 0.61, 0.62), known(3.51, 8.73, 11.0)


@pytest.mark.parametrize(
    ("here", "there", "answer", "overlap"),
    [
        (known(0.605, 0.615, 0.62), THREE, "as expected", True),
        (known(0.70, 0.71, 0.72), THREE, "differs", False),
        (known(0.50, 0.51, 0.52), THREE, "differs", False),
        (known(8.7, 8.8, 9.0), known(*[3.45, 3.55, 8.5, 9.2] * 5), "as expected", False),
        (known(0.61), THREE, "as expected", None),
        (known(0.66), THREE, "as expected", None),  # within a factor of 1.1 of a run there
        (known(0.65), known(0.600, 0.601, 0.602), "as expected", None),  # however alike those are
        (known(0.95), THREE, "differs", None),
        (known(0.61, 0.95), THREE, "differs", None),
        (THREE, known(0.61), "as expected", None),
        (THREE, known(0.3), "differs", None),
        (known(3.5), TWO_WAYS, "as expected", None),
        (known(9.5), TWO_WAYS, "as expected", None),
        (known(0.6), known(0.62), "as expected", None),
        (known(3.5), known(9.0), "too few to tell", None),
        (known(), THREE, "not tested here", None),
        (THREE, known(), "not tested there", None),
        (THREE, None, "not tested there", None),
    ],
)
def test_figures_decide(
    here: Known, there: Known | None, answer: str, overlap: bool | None
) -> None:
    found = compare(here, there)
    assert (found.answer, found.overlap) == (answer, overlap)
    assert (found.here, found.there) == (here, there)
    assert found.why


def test_of_times_only_opposite_verdicts_differ() -> None:
    def times(*values: float, verdict: Verdict) -> Known:
        return known(*values, verdict=verdict, counts="pair")

    fast, slow = times(2, 2, 2, verdict="replicated"), times(9, 9, 9, verdict="replicated")
    assert compare(fast, slow).answer == "as expected"
    against = times(9, 9, 9, verdict="not replicated")
    assert compare(fast, against).answer == compare(against, fast).answer == "differs"
    assert compare(fast, times(9, verdict="undecided")).answer == "as expected"


def test_reference_outcomes_are_those_of_the_committed_records() -> None:
    kept = expected.REFERENCE.read_text("utf-8")
    made = json.loads(reference.outcomes_file())
    for row, other in zip(json.loads(kept), made, strict=True):
        assert row["id"] == other["id"], "python3 noxfile.py -s reference"
        for name, figure in row.items():
            assert figure == pytest.approx(other[name]), (row["id"], name)
    assert list(expected.reference()) == [finding.id for finding in findings.FINDINGS]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "outcomes.json"
    path.write_text(expected.written([THREE, known()]), "utf-8")
    assert list(expected.read(path).values()) == [known()]  # of two with one id the later
    path.write_text(expected.written([THREE]), "utf-8")
    assert expected.read(path) == {"x": THREE}


ROW = json.loads(expected.written([THREE]))[0]


@pytest.mark.parametrize(
    "content",
    [
        "", "{", "3", "{}x", "[1]", '{"a": 1}', "[[]]", "\ud800", "[" * 100_000,
        *(json.dumps([ROW | change]) for change in (
            {"verdict": "fine"}, {"ours": -1}, {"ours": "much"}, {"low": 0}, {"values": 3},
            {"values": [1, 2]}, {"values": ["a"] * 3}, {"id": 5}, {"n_seeds": None},
        )),
        json.dumps([{name: value for name, value in ROW.items() if name != "values"}]),
    ],
)  # fmt: skip
def test_a_file_of_something_else_is_refused_in_words(tmp_path: Path, content: str) -> None:
    path = tmp_path / "mine.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(RequestError, match=r"mine\.json holds no outcomes of findings"):
        expected.read(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be read: No such file"):
        expected.read(tmp_path / "gone.json")
