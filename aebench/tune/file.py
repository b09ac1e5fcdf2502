"""Writes what searches chose: a file of settings for ``--protocol``, an entry for each search."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tomli_w

from aebench.disk import write_whole
from aebench.errors import RequestError
from aebench.protocols import TUNED, told
from aebench.tune.choice import Choice

_HEAD = """\
# Settings that searches chose on validation error: an entry for each search, by the family of
# architectures, the data set, the latents and the model (depth, options) that it was searched on.
# Written by `aebench tune`; aebench/tune/choice.py has the rule, aebench/protocols/entries.py which
# entry a job takes. `keys_sha256` is the hash of the sorted keys of the search's jobs, joined by
# line ends.
"""
_SAME = ("dataset", "latent", "depth", "options")  # what an entry of the same model has alike


def write(choices: Iterable[Choice], path: Path) -> None:
    """Write the chosen settings to `path`, keeping its entries of what is not chosen anew.

    A table of the older form, one a family, goes when its family has an entry.

    Raises:
        RequestError: the file there is not TOML, or it cannot be written, or is aebench's own.
    """
    check(path)
    try:
        tables = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise RequestError(f"{path} is there and cannot be read as TOML: {error}") from None
    for choice in choices:
        made = entry(choice)
        there = tables.get(choice.architecture)
        kept = [old for old in there if isinstance(old, dict)] if isinstance(there, list) else []
        others = [old for old in kept if any(old.get(n) != made.get(n) for n in _SAME)]
        tables[choice.architecture] = sorted(
            [*others, made], key=lambda e: [str(e.get("dataset")), str(e.get("latent"))]
        )
    text = f"{_HEAD}\n{tomli_w.dumps(dict(sorted(tables.items())), multiline_strings=False)}"
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise RequestError(f"cannot write {path}: {error.strerror or error}") from error


def check(path: Path) -> None:
    """Refuse a file that no search may write.

    Raises:
        RequestError: it is aebench's own.
    """
    if path.resolve() == TUNED.resolve():
        raise RequestError(
            f"{path} is aebench's own: what --protocol tuned means is the same for everybody;"
            " write another file, and use it as --protocol FILE.toml"
        )


def entry(choice: Choice) -> dict[str, Any]:
    """What a file says of a choice."""
    best, second = choice.candidates[:2]
    models = {candidate.model for candidate in (*choice.candidates, *choice.others)}
    model = {"dataset": choice.dataset, "latent": list(choice.latent), "depth": best.depth}
    return {
        **model,
        **({"options": best.options} if best.options else {}),
        **told(best.settings),
        **({"at_edge": list(choice.at_edge)} if choice.at_edge else {}),
        "ratio": best.ratio,
        **({"models": len(models)} if len(models) > 1 else {}),
        **choice.search,
        "val_mse": best.val_mse,
        "runner_up": {
            **({"depth": second.depth} if second.depth != best.depth else {}),
            **({"options": second.options} if second.options != best.options else {}),
            **told(second.settings),
            "ratio": second.ratio,
            "val_mse": second.val_mse,
        },
    }
