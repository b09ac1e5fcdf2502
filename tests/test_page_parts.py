"""Tables: a column says how its values are written, and what sorts them."""

import math

import pytest

from aebench.page.parts import Cell, check, columns, number, table


def test_a_column_is_read_from_one_line() -> None:
    heads = columns("""
        model
        seeds ## | how many
        spread #%
        95 % interval
        ours # .ours | our figure
        note .note
        parameters ##
    """)
    assert [head.name for head in heads] == [
        "model", "seeds", "spread", "95 % interval", "ours", "note", "parameters",
    ]  # fmt: skip
    assert [head.show is not None for head in heads] == [0, 1, 1, 0, 1, 0, 1]
    assert [head.look for head in heads] == ["", "", "", "", "ours", "note", ""]
    assert [head.about for head in heads[:5]] == ["", "how many", "", "", "our figure"]
    assert heads[-1].about == "trainable parameters"  # by the schema


@pytest.mark.parametrize(
    ("head", "value", "text", "sorted_by"),
    [
        ("a #", 0.605, "0.605", 0.605),
        ("a ##", 10816, "10,816", 10816.0),
        ("a #%", 0.0952, "9.5 %", 0.0952),
        ("a #", None, "–", None),
        ("a #", math.nan, "–", None),
        ("a", "words", "words", None),
        ("a", None, "–", None),
        ("a", (0.59, 0.62), "0.590 to 0.620", 0.59),
        ("a", (None, None), "–", None),
    ],
)
def test_values_are_written_as_their_column_says(
    head: str, value: object, text: str, sorted_by: float | None
) -> None:
    ((cell,),) = table("caption", head, [(value,)]).rows
    assert (cell.text, cell.value) == (text, sorted_by)


def test_a_cell_keeps_its_look_and_a_row_its_length() -> None:
    worse = number(2.0, "warn", ("3 × own",))
    assert table("caption", "a #\nb", [(worse, "b")]).rows == ((worse, Cell("b")),)
    with pytest.raises(ValueError, match="zip"):
        table("caption", "a #\nb", [(1.0,)])


def test_what_check_says_to_a_time() -> None:
    assert check("noisy") == Cell("✘ rejected: noisy", look="warn")
    assert check("") == Cell("✔ passes", look="good")
    assert check("", 2, "spread").small == ("✘ 2 more runs rejected: spread",)
