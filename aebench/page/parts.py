"""What a page is made of: sections of charts, tables, strips of images and lists.

No HTML here, and nothing of what a section is about. A column says how its values are written, so
a row is a tuple of plain values; a `Cell` stands where one has a look of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aebench import schema
from aebench.analysis import names, words
from aebench.language import ENGLISH, now, say
from aebench.page.images import Film

if TYPE_CHECKING:
    from aebench.page.cards import Card

Show = Callable[[Any], str]

ABOUT = {column.name: column.about for column in schema.JOBS}


@dataclass(frozen=True)
class Cell:
    """What one cell shows; `value` sorts it, `look` is its class, `small` stands below.

    `model` is the `names.identity` of the model that it names, which can be looked at closer.
    """

    text: str
    value: float | str | None = None
    look: str = ""
    small: tuple[str, ...] = ()
    model: str = ""

    @property
    def sorts_as(self) -> str:
        """What a script sorts it by, empty where the text does without what stands small below.

        Six digits are enough.
        """
        if self.value is None:
            return ""
        if isinstance(self.value, str):
            return "" if self.value == self.text else self.value
        short = f"{self.value:.6g}"
        return "" if self._read() == float(short) else short

    @property
    def rounded(self) -> Cell:
        """The same with no more digits than are shown, where a script can read them."""
        read = self._read()
        return self if read is None else replace(self, value=read)

    def _read(self) -> float | None:
        """The number that the script reads off the text: digits, and English thousands."""
        read = self.text.replace(",", "") if now() == ENGLISH or self.text.isdigit() else ""
        try:
            return float(read)
        except ValueError:
            return None


@dataclass(frozen=True)
class Column:
    """One column: its name, what it holds, how its numbers are written, the class of its cells.

    A column of texts has no `show`. Name and meaning are English, and said where they are shown;
    those of a table of `stored` records stay as they are.
    """

    name: str
    about: str = ""
    show: Show | None = None
    look: str = ""
    stored: bool = False

    @property
    def head(self) -> str:
        """What stands at its head: its name, which is in no language where records have it."""
        return self.name if self.stored else say(self.name)

    @property
    def meaning(self) -> str:
        """What it holds, in words."""
        return say(self.about) if self.about else ""

    def cell(self, value: Any) -> Cell:
        """A value as this column writes it; an interval is a pair."""
        if isinstance(value, Cell):
            return value
        if isinstance(value, tuple):
            low, high = value
            return Cell(words.between(low, high), None if words.missing(low) else low, "range")
        if self.name == "settings" and not words.missing(value):
            return Cell(words.under(value))
        return Cell(words.text(value)) if self.show is None else number(value, show=self.show)


def model(row: Any, **known: Any) -> Cell:
    """The name of a row's model; `known` are its dataset and settings where the row lacks them."""
    return Cell(words.model_of(row), model=names.identity({**row, **known}))


def number(
    value: Any, look: str = "", small: tuple[str, ...] = (), show: Show = words.number
) -> Cell:
    """A number, or a dash where there is none."""
    return Cell(show(value), None if words.missing(value) else float(value), look, small)


@dataclass(frozen=True)
class Table:
    """A caption, columns and rows; the first `headings` cells of a row are its headings.

    Numbers of a `rounded` one are kept as they are shown, and nothing finer behind them: of the
    data of a chart, which are many, the records have every digit.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    headings: int = 1
    id: str = ""
    rounded: bool = False


_SHOWS: dict[str, Show] = {"#": words.number, "##": words.count, "#%": words.percent}


def columns(text: str, *, stored: bool = False) -> tuple[Column, ...]:
    """Read lines ``name # .look | about``.

    ``#`` heads a column of numbers, ``##`` of whole ones, ``#%`` of shares in percent, and
    ``.look`` names a class for all of its cells. What is not told of a column of the `jobs` table
    is told by the schema. `stored` are columns of records, whose names are in no language.
    """
    made = []
    for line in text.strip().splitlines():
        head, _, about = (part.strip() for part in line.partition("|"))
        marks = re.fullmatch(r"(.*?)( #[#%]?)?( \.\w+)?", head)
        assert marks is not None
        name, show, look = marks[1], (marks[2] or "").strip(), (marks[3] or "").strip(" .")
        made.append(Column(name, about or ABOUT.get(name, ""), _SHOWS.get(show), look, stored))
    return tuple(made)


def table(
    caption: str,
    heads: str | Sequence[Column],
    rows: Iterable[Sequence[Any]],
    *,
    rounded: bool = False,
    **more: Any,
) -> Table:
    """A table of plain values or cells; `heads` as `columns` reads them."""
    head = columns(heads) if isinstance(heads, str) else tuple(heads)
    made = [tuple(c.cell(v) for c, v in zip(head, row, strict=True)) for row in rows]
    if rounded:
        made = [
            tuple(c.rounded if of.show else c for of, c in zip(head, row, strict=True))
            for row in made
        ]
    return Table(caption, head, tuple(made), rounded=rounded, **more)


def check(doubt: str, left_out: int = 0, why: str = "") -> Cell:
    """What `aebench check` says to a time: why it rejects it, if it does, and runs left out."""
    if doubt:
        return Cell(say("✘ rejected: {doubt}", doubt=words.doubts(doubt)), look="warn")
    more: tuple[str, ...] = ()
    if left_out:
        runs = words.counted(left_out, "more run")
        more = (say("✘ {runs} rejected: {why}", runs=runs, why=words.doubts(why)),)
    return Cell(say("✔ passes"), look="good", small=more)


@dataclass(frozen=True)
class Chart:
    """A drawn chart with its title, a sentence that says how to read it, and its data."""

    title: str
    svg: str
    reading: str
    tables: tuple[Table, ...]


@dataclass(frozen=True)
class Strip:
    """One strip of images: what it shows, its error where it has one, and where it is.

    `model` is the `names.identity` of the model that made them, if one did.
    """

    caption: str
    detail: str
    film: Film
    model: str = ""


def seen(caption: str, images: int, detail: str) -> str:
    """A strip of so many images in words, for whoever does not see them."""
    told = say("{n} images", n=images)
    return words.headed(caption, f"{told}, {detail}" if detail else told)


@dataclass(frozen=True)
class Strips:
    """Strips of one dataset and kind of input: the originals first, then what models made.

    `note` says how to read them and what the errors are over.
    """

    title: str
    strips: tuple[Strip, ...]
    note: str


@dataclass(frozen=True)
class Chooser:
    """What a reader chooses one of a section's charts by: questions, each with its options.

    For every chart of the section `choices` has an option of each question, by number, `ids` its
    name in links, and `answers` what it shows, in a sentence. The first chart is shown until
    another is chosen. `notes` are on demand.
    """

    questions: tuple[tuple[str, tuple[str, ...]], ...]
    choices: tuple[tuple[int, ...], ...]
    ids: tuple[str, ...]
    answers: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A section: introduction, cards, then charts, tables, strips of images and a list, in order.

    With a `chooser` one of the charts is shown at a time. `folded` tables are shown on demand; the
    rows of a `filtered` one can be searched. `message` is what it comes to, in a sentence that also
    stands where the section itself is folded away.
    """

    id: str
    title: str
    intro: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    strips: tuple[Strips, ...] = ()
    lists: tuple[str, ...] = ()
    folded: tuple[Table, ...] = ()
    filtered: bool = False
    cards: tuple[Card, ...] = ()
    chooser: Chooser | None = None
    message: str = ""

    @property
    def label(self) -> str:
        """What the navigation calls it: its title up to the first question mark or colon."""
        return re.split(r"(?<=\?)|:", self.title, maxsplit=1)[0].strip()

    @property
    def empty(self) -> bool:
        """Whether it only says that there is nothing to show."""
        return not (
            self.charts or self.tables or self.strips or self.lists or self.folded or self.cards
        )

    def all_tables(self) -> list[Table]:
        """Every table, in order."""
        return [*(t for c in self.charts for t in c.tables), *self.tables, *self.folded]
