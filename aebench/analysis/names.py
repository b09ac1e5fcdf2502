"""Names and other texts of records, made fit to be shown and to tell apart what is not the same.

A plugin or a folder of images may be called anything, and what is called alike need not be alike.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import Any

import pandas as pd

from aebench.errors import printable
from aebench.job import named
from aebench.language import later
from aebench.protocols import SETTINGS

_LONGEST = 300  # characters of a text in a page
# What is one model, whatever its seeds.
IDENTITY = ["dataset", "settings", "architecture", "depth", "latent"]
EXACT = ("fp32", "tf32", "bf16x3")  # precisions that count as the study's: see `settings`
_UNKNOWN = later("unknown changes")
_MODEL = ["dataset", "architecture", "options", "depth", "latent"]


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


def settings(jobs: pd.DataFrame, *, without: str = "") -> pd.Series[str]:
    """What an error depends on besides model, dataset and seed: ``study``, ``study with epochs=2``.

    Neither engine nor device, nor tf32 beside fp32: torch's own defaults, which the study used, mix
    the two; nor bf16x3, which keeps more. bf16 rounds to three digits: not the study's experiment,
    beyond it the same: see `optimum.precisions`. Changes of the field `without` are not told.

    A protocol may change: a new search chooses other settings for `tuned`. Where trainings of one
    model differ under one name, what differs is told: ``tuned with learning_rate=0.003``.
    """

    @cache
    def text(protocol: str, modified: Any, precision: str) -> str:
        # `Job.modified` writes each change as field=value.
        changes = _UNKNOWN if modified is None or modified != modified else modified
        told = [c for c in changes.split(", ") if c and c.partition("=")[0] != without]
        if protocol == "study" and precision not in EXACT and without != "precision":
            told.append(precision)
        return f"{protocol} with {', '.join(told)}" if told else str(protocol)

    rows = zip(jobs["protocol"], jobs["modified"], jobs["precision"], strict=True)
    told = pd.Series([text(*row) for row in rows], index=jobs.index, dtype="str")
    return _since_changed(jobs, told, without)


def _since_changed(jobs: pd.DataFrame, told: pd.Series[str], without: str) -> pd.Series[str]:
    """`told`, with the settings in which trainings of one model differ though their names agree."""
    model = [*(name for name in _MODEL if name in jobs), "told"]
    own = [name for name in SETTINGS if name in jobs and name != without]
    every = jobs[[*model[:-1], *own]].assign(told=told)
    kinds = every.drop_duplicates()
    for _, group in kinds[kinds.duplicated(model, keep=False)].groupby(model, dropna=False):
        differ = [name for name in own if group[name].nunique(dropna=False) > 1]
        for _, kind in group.iterrows():
            changes = ", ".join(f"{name}={kind[name]}" for name in differ)
            joint = ", " if " with " in kind["told"] else " with "
            same = (every == kind) | (every.isna() & kind.isna())
            told = told.mask(same.all(axis="columns"), f"{kind['told']}{joint}{changes}")
    return told


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
