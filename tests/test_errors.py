"""Text from outside, made fit to be shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aebench.errors import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("été 2024, naïve", "été 2024, naïve"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("two\nlines\r\tand", r"two\nlines\r\tand"),
        ("ab\u202etxt.exe", r"ab\u202etxt.exe"),
        ("caf\udce9", r"caf\udce9"),
        ("a\0b\x9b", r"a\x00b\x9b"),
        ("\U000e0001", r"\U000e0001"),
        ("x" * 5_000_000, "x" * 297 + "..."),
        ("\n" * 300, r"\n" * 148 + "\\..."),
        ("x" * 300, "x" * 300),
    ],
)
def test_what_would_move_a_cursor_or_break_a_line_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(), max_size=50), st.integers(3, 40))
def test_any_text_fits_on_one_line_of_any_terminal(text: str, most: int) -> None:
    shown = printable(text, most)
    # French sets a narrow no-break space before a colon: spaces of all widths stay.
    assert all(c.isprintable() or unicodedata.category(c) == "Zs" for c in shown)
    assert len(shown) <= most
    shown.encode()  # no lone surrogate is left
    if text.isprintable() and len(text) <= most:
        assert shown == text
