"""The command that trains a model again: its words, made of the rows of its jobs.

What `aebench run` makes of them are jobs of the same keys, as long as protocol and code are those
of the records.
"""

from __future__ import annotations

import shlex

import pandas as pd

from aebench.analysis.names import texts

_PLUGIN = "FILE.py"  # a record says that code or data were a user's own, not where they lay


def repeating(rows: pd.DataFrame) -> str:
    """One line for a shell, from the `jobs` rows of one model under the same `settings`."""
    first = rows.iloc[0]
    words = ["aebench", "run"]
    given = {
        "architecture": _name(first["architecture"]),
        "dataset": _name(first["dataset"]),
        "latent": first["latent"],
        "depth": first["depth"] if first["depth"] != 1 else None,
    }
    words += _options(given)
    for option in str(texts(rows, "options").iloc[0]).split():
        words += ["--option", option]
    seeds, repeats = (int(rows[name].max()) + 1 for name in ("seed", "repeat"))
    told = str(first["settings"]).partition(" with ")[2]
    changes = (change.partition("=") for change in told.split(", "))
    words += _options({
        "protocol": first["protocol"] if first["protocol"] != "study" else None,
        **{name: value for name, equals, value in changes if equals},
        "engine": _engines(rows),
        "precision": ",".join(sorted(set(rows["precision"]))),
        "device": ",".join(sorted(set(rows["device"]))),
        "seeds": seeds if seeds > 1 else None,
        "repeats": repeats if repeats > 1 else None,
    })  # fmt: skip
    if (texts(rows, "code") + texts(rows, "pixels")).ne("").any():
        words += ["--plugin", _PLUGIN]
    return shlex.join(words)


def _options(given: dict[str, object]) -> list[str]:
    named = {f"--{name.replace('_', '-')}": value for name, value in given.items()}
    return [word for name, v in named.items() if v is not None for word in (name, str(v))]


def _engines(rows: pd.DataFrame) -> str | None:
    """The engines that were asked for; None where aebench chose all of them."""
    given = rows[~texts(rows, "engine_choice").str.startswith("auto")]
    return ",".join(dict.fromkeys(given["engine"])) or None


def _name(name: str) -> str:
    """The name that was given, without what tells apart those called alike."""
    return str(name).partition(" (")[0]
