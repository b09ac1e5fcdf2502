"""Names and other texts of records, made fit to be shown and to tell apart what is not the same.

A plugin or a folder of images may be called anything, and what is called alike need not be alike.
"""

from __future__ import annotations

import hashlib
from typing import Any

import pandas as pd

from aebench.errors import printable
from aebench.job import named

_LONGEST = 300  # characters of a text in a page
# What is one model, whatever its seeds.
IDENTITY = ["dataset", "settings", "architecture", "depth", "latent"]


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy with every text on one line, bounded, and free of what no page can hold.

    A text that is cut keeps a few digits of its checksum, so that two long names stay two.
    """
    clean = {
        str(name): _cleaned(column)
        for name, column in frame.items()
        if pd.api.types.is_string_dtype(column) or column.dtype == object
    }
    return frame.assign(**clean)


def quick(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with texts as plain objects: pandas then takes rows of all such columns at once.

    There are some fifty of them, and rules, tables and charts take rows thousands of times.
    """
    return frame.astype(dict.fromkeys(frame.select_dtypes("str").columns, "object")).copy()


def _cleaned(column: pd.Series[Any]) -> pd.Series[Any]:
    if column.dtype == object:  # of anything, and not all of it can be told apart by a hash
        return column.map(_text, na_action="ignore").astype(column.dtype)
    clean = {text: _text(text) for text in column.dropna().unique()}
    if any(text != shown for text, shown in clean.items()):
        column = column.map(clean, na_action="ignore")
    return column


def _text(value: Any) -> Any:
    if not isinstance(value, str) or (len(value) <= _LONGEST and value.isprintable()):
        return value
    text = printable(value, _LONGEST)
    if len(text) < _LONGEST:
        return text
    digits = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{text[: _LONGEST - 7]}…{digits}"


def texts(jobs: pd.DataFrame, column: str) -> pd.Series[str]:
    """A column with an empty text where there is none, as in records of before there was one.

    ``code`` is the hash of a user's own code, ``pixels`` that of a user's data; both are empty
    for what is built in.
    """
    if column not in jobs:
        return pd.Series("", index=jobs.index, dtype="str")
    return jobs[column].astype("object").fillna("").astype("str")


def told_apart(jobs: pd.DataFrame) -> pd.DataFrame:
    """The same rows, with another name for each code and each data that share one name.

    An edited plugin, or another folder of images of the same name, is another system: ``mine``
    becomes ``mine (code 1a2b3c)``. Where all rows agree, names stay as they are. An architecture
    with options is always called by them: ``conv (kernel=5)``.
    """
    jobs = jobs.copy()
    options = texts(jobs, "options")
    with_options = jobs["architecture"].astype("str") + " (" + options + ")"
    jobs["architecture"] = jobs["architecture"].where(options == "", with_options)
    pairs = ("architecture", "code"), ("dataset", "pixels"), ("dataset", "data_sha256")
    for name, column in pairs:
        parts = texts(jobs, column)
        # No code and no pixels of one's own: built in. But rows that never read their data say
        # nothing against the others.
        known = parts if column != "data_sha256" else parts[parts != ""]
        kinds = known.groupby(jobs[name]).nunique()
        shared = jobs[name].isin(kinds[kinds > 1].index) & (parts != "")
        told = parts.map(named) if column == "code" else "pixels " + parts.str[:6]
        marked = jobs[name].astype("str") + " (" + told + ")"
        jobs[name] = jobs[name].where(~shared, marked)
    return jobs


def identity(row: Any) -> str:
    """A short name for the model of a row that has `IDENTITY`, fit for any address.

    Whatever the names hold; the same in every report.
    """
    numbers = ("depth", "latent")  # which pandas may have made floats
    told = [str(int(row[name]) if name in numbers else row[name]) for name in IDENTITY]
    text = "\n".join(told).encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:8]
