"""Tables as a notebook shows them: few columns, few digits, and somebody's words as words."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from aebench.errors import printable

if TYPE_CHECKING:
    import pandas as pd

    from aebench.store import Results

_ROWS = 60  # pandas leaves out the middle of longer tables
_ALWAYS = ("dataset", "architecture", "latent")
_VARYING = ("depth", "options", "protocol", "engine", "precision", "seed", "repeat", "status")
_FIGURES = ("study_error", "mse", "mean_mse", "pca_mse", "bottleneck", "parameters", "train_s")


def results(found: Results) -> str:
    """The columns of `jobs` that a person looks for first, and how many rows the tables have."""
    jobs, told = found.jobs, []
    varies = [c for c in _VARYING if jobs[c].nunique() > 1]
    if jobs["status"].ne("ok").any():
        varies = [*(c for c in varies if c != "status"), "status", "reason"]
    columns = [*_ALWAYS, *varies, *_FIGURES]
    for name in ("jobs", "epochs", "samples", "probes", "rates", "codes"):
        told.append(f".{name}: {len(getattr(found, name)):,} rows")
    told += [printable(str(problem)) for problem in found.problems]
    return table(jobs[columns].sort_values([*_ALWAYS, *varies])) + escape("; ".join(told))


def table(frame: pd.DataFrame) -> str:
    """A frame as HTML: numbers of four digits, a dash for what does not exist."""
    return frame.map(_cell).to_html(index=False, max_rows=_ROWS, border=0)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))
