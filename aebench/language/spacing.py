"""The spaces that do not break, which a language has around its signs: a catalogue has plain ones.

French sets a narrow one before the high signs and between thousands, a whole one before a colon
and inside its quotation marks; English sets none.
"""

from __future__ import annotations

import re

_NARROW, _WHOLE = "\N{NARROW NO-BREAK SPACE}", "\N{NO-BREAK SPACE}"
_SIGNS = {"fr": ((r" (?=[;?!%])|(?<=\d) (?=\d{3}(?!\d))", _NARROW), (r" (?=[:»])|(?<=«) ", _WHOLE))}


def spaced(text: str, language: str) -> str:
    """`text` with the spaces that `language` sets."""
    for sign, space in _SIGNS.get(language, ()):
        text = re.sub(sign, space, text)
    return text
