"""The unit of a time: the process that it was measured in.

Runs in one process share its address layout, its allocator and what its caches came to hold, so
they agree more than runs of the same program do; an interval over them would promise too much
(A. Georges, D. Buytaert and L. Eeckhout, OOPSLA 2007). So they are one value, their median.
"""

from __future__ import annotations

import pandas as pd

_UNIT = "process"


def unit(rows: pd.DataFrame) -> pd.Series[str]:
    """What process each row was measured in.

    Records of before version 6 of the schema name none. A run had one process for all jobs of our
    own then, so such rows of one command on one machine count as one process.
    """
    run = rows["machine_id"].astype("str") + " " + rows["command"].astype("str")
    found = rows["process_id"].astype("object").where(rows["process_id"].notna(), run)
    return found.rename(_UNIT)


def count(rows: pd.DataFrame) -> int:
    """In how many processes `rows` were measured."""
    return int(unit(rows).nunique())


def per_process(rows: pd.DataFrame, column: str) -> pd.Series[float]:
    """One figure for each process: the median over its runs, NaN left out."""
    figures = rows[column].astype("float64")
    medians: pd.Series[float] = figures.groupby(unit(rows), sort=False).median()
    return medians.dropna()
