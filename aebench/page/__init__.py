"""The report: stored records in, one self-contained HTML file out.

Only reads results; it trains nothing, needs no GPU, no network and no torch. Everything heavy
is imported when a report is rendered, so importing this package costs nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aebench.store import Results

__all__ = ["render"]


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
