"""The report: stored records in, one self-contained HTML file out, or a document made of it.

Only reads results; it trains nothing, needs no GPU, no network and no torch. Everything heavy
is imported when a report is rendered, so importing this package costs nothing.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from aebench.language import ENGLISH, use

if TYPE_CHECKING:
    from aebench.store import Results

__all__ = ["Form", "Report", "render"]


class Form(StrEnum):
    """What a report is written as."""

    html = "html"
    pdf = "pdf"
    markdown = "markdown"

    @property
    def ending(self) -> str:
        """How its files end."""
        return ".md" if self is Form.markdown else f".{self}"


@dataclass(frozen=True)
class Report:
    """One self-contained HTML page; a notebook shows it in a frame of its own."""

    html: str

    def write(self, output: Path | str) -> Path:
        """Write the page to the file `output`, which appears whole or not at all.

        Raises:
            OSError: the system refuses.
        """
        from aebench.page.html import write

        return write(self.html, Path(output))

    def __repr__(self) -> str:
        return f"Report of {len(self.html):,} characters; .write(path) makes a file of it"

    def _repr_html_(self) -> str:
        # Its own frame, so that neither style sheet reaches the other's page. Same origin is not
        # granted: the page's script sorts tables and needs nothing of the notebook.
        page = escape(self.html)
        return f'<iframe srcdoc="{page}" {_FRAME}></iframe>'


_FRAME = 'sandbox="allow-scripts allow-downloads" style="width: 100%; height: 600px; border: 0"'


def render(
    results: Path | str | Results,
    output: Path,
    form: Form | str = Form.html,
    language: str = ENGLISH,
) -> Path:
    """Write the report of `results`, a folder or tables already read, to the file `output`.

    The same results give the same bytes, except as a PDF, which says when it was made. The file
    appears whole or not at all; pictures of Markdown lie in a folder beside it, there before it.

    Raises:
        RequestError: there is no such results folder or language, or no browser to print a PDF.
        OSError: the system refuses.
    """
    from aebench.store import read

    form = Form(form)
    with use(language):
        if isinstance(results, str | Path):
            results = read(results)
        return _written(results, output, form)


def _written(results: Results, output: Path, form: Form) -> Path:
    """Write it, in the language in use."""
    from aebench.page.html import page, write

    if form is Form.markdown:
        from aebench.page.markdown import document

        folder = output.with_name(f"{output.stem}-files")
        made = document(results, folder.name)
        for name, picture in made.pictures.items():
            write(picture, folder / name)
        return write(made.text, output)
    if form is Form.pdf:
        from aebench.page import printing

        printing.browser()  # what cannot be is said at once: rendering takes a while
        folder = _folder(output)
        return write(printing.pdf(page(results), folder), output)
    return write(page(results), output)


def _folder(output: Path) -> Path:
    """Where to make what `output` is to be: its folder, unless it is a device or a pipe."""
    if output.exists() and not output.is_file():
        return Path(tempfile.gettempdir())
    output.parent.mkdir(parents=True, exist_ok=True)
    return output.parent
