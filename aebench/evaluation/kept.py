"""What is computed of a data set once and kept beside it: files that cannot be mistaken.

A file says in itself what it belongs to and carries a checksum, so that it is taken only for what
it was computed from and as it was written. What it holds is said by who writes it. No torch here.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aebench.disk import write_whole

FOLDER = "baselines"  # within the data cache
_FORMAT = 1


class Damaged(Exception):
    """The file does not hold what was written; the text says why."""


def checksum(content: object) -> str:
    """The SHA-256 of `content`, which JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Keep `content` for everybody who reads this cache.

    Raises:
        OSError: the system refuses; what was there before stays.
    """
    content = {"format": _FORMAT, **content}
    write_whole(path, json.dumps(content | {"sha256": checksum(content)}).encode())


def read(path: Path) -> dict[str, Any]:
    """What `write` was given.

    Raises:
        OSError: there is no such file, or it may not be read.
        Damaged: it holds something else.
    """
    try:
        content = dict(json.loads(path.read_text("utf-8")))
        said = content.pop("sha256")
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Damaged(f"nothing that was kept: {type(error).__name__}") from error
    if content.pop("format", None) != _FORMAT or said != checksum({"format": _FORMAT, **content}):
        raise Damaged("its checksum differs")
    return content


def verify(directory: Path, pattern: str, right: Callable[[Path], Path]) -> dict[str, str]:
    """Look at every file of `pattern` in the data cache `directory`: its name, and what is wrong.

    `right` reads one, and says where the cache keeps what it holds. An empty text says that it is
    whole. What is wrong is never used: it is computed anew.
    """
    wrong = {}
    paths: list[Path] = []
    with contextlib.suppress(OSError):  # no such folder, nor can there be
        paths = sorted((directory / FOLDER).glob(pattern))
    for path in paths:
        try:
            name = right(path).name
            wrong[path.name] = "" if path.name == name else f"it is that of {name}"
        except (OSError, Damaged) as error:
            wrong[path.name] = str(error) if isinstance(error, Damaged) else "cannot be read"
    return wrong
