"""The report: stored records in, one self-contained HTML file out.

Only reads results; it trains nothing, needs no GPU, no network and no torch. Everything heavy
is imported when a report is rendered, so importing this package costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aebench.store import Results

__all__ = ["Report", "render"]


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


def render(results: Path | str | Results, output: Path) -> Path:
    """Write the report of `results`, a folder or tables already read, to the file `output`.

    The same results give the same bytes. The file appears whole or not at all.

    Raises:
        RequestError: there is no such results folder.
    """
    from aebench.page.html import page, write
    from aebench.store import read

    if isinstance(results, str | Path):
        results = read(results)
    return write(page(results), Path(output))
