"""The language of a report: English texts stand in the source, a catalogue has those of another.

English is its own catalogue. That of another language is one file of gettext's format beside this
module, named after it, which is read when a page is rendered; how its numbers are written Babel
knows. What programs read is in no language: columns, commands, names, the files of a report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from aebench.errors import RequestError, unknown

__all__ = ["ENGLISH", "LANGUAGES", "later", "now", "numeral", "plural", "say", "sense", "use"]

_HERE = Path(__file__).parent
_Texts = TypeVar("_Texts")
ENGLISH = "en"
LANGUAGES = (ENGLISH, *sorted(file.stem for file in _HERE.glob("*.po")))


@dataclass(frozen=True)
class _Catalogue:
    """The texts of a language by context, None where there is none, and English text.

    `form` tells which of the forms of a text belongs to a number.
    """

    language: str
    texts: dict[tuple[str | None, str], tuple[str, ...]]
    form: Callable[[int], int]
    decimal: str
    group: str


_NOW: ContextVar[_Catalogue | None] = ContextVar("language", default=None)


@contextmanager
def use(language: str) -> Iterator[None]:
    """Say everything in `language` meanwhile.

    Raises:
        RequestError: there is no catalogue of it.
    """
    if language not in LANGUAGES:
        raise RequestError(unknown("language", language, LANGUAGES))
    token = _NOW.set(None if language == ENGLISH else _catalogue(language))
    try:
        yield
    finally:
        _NOW.reset(token)


def now() -> str:
    """The language in use."""
    catalogue = _NOW.get()
    return ENGLISH if catalogue is None else catalogue.language


def say(text: str, **values: Any) -> str:
    """`text` in the language in use, with `values` for what it has in braces.

    A text that the catalogue lacks stays English: users have findings and statuses of their own.
    """
    return _filled(_found(None, text), values)


def sense(context: str, text: str, **values: Any) -> str:
    """The same for a `text` that means something else elsewhere: `context` tells which it is."""
    return _filled(_found(context, text), values)


def plural(n: int, one: str, several: str, **values: Any) -> str:
    """`one` or `several`, as the language has it for `n`, which stands for itself in braces."""
    catalogue = _NOW.get()
    if catalogue is not None and (forms := catalogue.texts.get((None, one))):
        return _filled(forms[min(catalogue.form(n), len(forms) - 1)], {"n": n, **values})
    return _filled(one if n == 1 else several, {"n": n, **values})


def later(texts: _Texts) -> _Texts:
    """The same text, or several, to be said when the language is known: marks those of constants.

    Of a dictionary these are the values.
    """
    return texts


def numeral(value: float | str, spec: str = "") -> str:
    """A number written by the format `spec`, with the language's own decimal and thousands."""
    written, catalogue = format(value, spec), _NOW.get()
    if catalogue is None:
        return written
    return written.translate({ord(","): catalogue.group, ord("."): catalogue.decimal})


def _found(context: str | None, text: str) -> str:
    catalogue = _NOW.get()
    return text if catalogue is None else catalogue.texts.get((context, text), (text,))[0]


def _filled(text: str, values: dict[str, Any]) -> str:
    return text.format(**values) if values else text


@cache
def _catalogue(language: str) -> _Catalogue:
    from gettext import c2py

    from babel import Locale
    from babel.messages.pofile import read_po

    from aebench.language.spacing import spaced

    with (_HERE / f"{language}.po").open("rb") as file:
        read = read_po(file, locale=language)
    texts: dict[tuple[str | None, str], tuple[str, ...]] = {}
    for message in read:
        english, *_ = [message.id] if isinstance(message.id, str) else message.id
        forms = [message.string] if isinstance(message.string, str) else message.string or [""]
        if english and all(forms):
            texts[message.context, english] = tuple(spaced(text, language) for text in forms)
    symbols = Locale.parse(language).number_symbols["latn"]
    form = c2py(read.plural_expr)
    return _Catalogue(language, texts, form, symbols["decimal"], symbols["group"])
