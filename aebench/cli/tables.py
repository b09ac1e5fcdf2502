"""Tables that fit: where the columns do not, the least important are left out, and named below.

A number or a name is never split over two lines; only sentences, such as the reason of a failure,
are broken, between words. Columns have their natural width, nothing is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table as RichTable
from rich.text import Text

from aebench.errors import printable

_SENTENCE = 24  # columns that a sentence needs at least, to be read at all
_FRAME, _BETWEEN = 1, 3  # of the table: its left edge; a space on each side of a cell and a line


@dataclass(frozen=True)
class Table:
    """Rows of texts under `heads`; the first `left` columns are names, the others numbers.

    `sentences` names the heads of columns that may be broken between words. `least` names heads
    in the order in which their columns are left out; then goes the last of the rest, never the
    first. `title` and `caption` stand above and below.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    sentences: Sequence[str] = ()
    least: Sequence[str] = ()
    caption: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render for the width at hand."""
        cells = [[printable(cell) for cell in row] for row in self.rows]
        widths = [
            max([_longest_word(head), *(cell_len(row[i]) for row in cells)])
            for i, head in enumerate(self.heads)
        ]
        shown = self._fitting(widths, options.max_width)
        if self.title:
            yield Text(printable(self.title), style="bold", no_wrap=True, overflow="ignore")
        yield self._framed(cells, widths, shown, options.max_width)
        if self.caption:
            yield Text(printable(self.caption, most=1000))
        dropped = [head for i, head in enumerate(self.heads) if i not in shown]
        if dropped:
            yield Text(f"not shown at this width ({options.max_width}): {', '.join(dropped)}")

    def _needed(self, i: int, width: int) -> int:
        return min(width, _SENTENCE) if self.heads[i] in self.sentences else width

    def _fitting(self, widths: Sequence[int], room: int) -> list[int]:
        """Which columns are shown."""
        shown = list(range(len(self.heads)))
        given = [self.heads.index(head) for head in self.least if head in self.heads]
        order = given + [i for i in reversed(shown) if i not in given]
        for i in [i for i in order if i]:
            if _total(self._needed(j, widths[j]) for j in shown) <= room:
                break
            shown.remove(i)
        return shown

    def _framed(
        self, cells: list[list[str]], widths: Sequence[int], shown: Sequence[int], room: int
    ) -> RichTable:
        width = {i: self._needed(i, widths[i]) for i in shown}
        spare = room - _total(width.values())
        for i in shown:  # what is left goes to sentences, then to heads of several words
            if self.heads[i] in self.sentences:
                more = max(0, min(spare, max(widths[i], cell_len(self.heads[i])) - width[i]))
                width[i], spare = width[i] + more, spare - more
        for i in shown:
            more = cell_len(self.heads[i]) - width[i]
            if 0 < more <= spare:
                width[i], spare = width[i] + more, spare - more
        made = RichTable(header_style="bold", box=box.HEAVY_HEAD, width=_total(width.values()))
        for i in shown:
            sentence = self.heads[i] in self.sentences
            made.add_column(
                _broken(self.heads[i], width[i]),
                justify="left" if i < self.left or sentence else "right",
                width=width[i],
                no_wrap=True,
                overflow="crop",  # of which there is nothing: `width` is the widest cell's
            )
        for row in cells:
            made.add_row(
                *(
                    Text(_broken(row[i], width[i]) if self.heads[i] in self.sentences else row[i])
                    for i in shown
                )
            )
        return made


def _total(widths: Iterable[int]) -> int:
    return _FRAME + sum(width + _BETWEEN for width in widths)


def _longest_word(words: str) -> int:
    return max(map(cell_len, words.split()), default=0)


def _broken(words: str, width: int) -> str:
    """`words` in lines of at most `width` cells, broken between words where that can be."""
    lines: list[str] = []
    line = ""
    for word in words.split(" "):
        joined = f"{line} {word}" if line else word
        if cell_len(joined) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        while cell_len(word) > width:  # a path, a hash: longer than the whole column
            fits = next(n for n in range(len(word), 0, -1) if cell_len(word[:n]) <= width or n == 1)
            lines.append(word[:fits])
            word = word[fits:]
        line = word
    return "\n".join([*lines, line])
