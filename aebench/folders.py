"""Where this user's programs keep what can be made anew. Makes nothing, and imports nothing big."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from aebench.errors import RequestError


def user_caches() -> Path:
    """The folder for caches of this user, by the customs of the system; an absolute path.

    Raises:
        RequestError: the user has no home folder.
    """
    if sys.platform == "win32":
        return _absolute("LOCALAPPDATA") or _home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return _home() / "Library" / "Caches"
    # By the XDG Base Directory Specification a relative path counts for none.
    return _absolute("XDG_CACHE_HOME") or _home() / ".cache"


def _absolute(variable: str) -> Path | None:
    value = os.environ.get(variable, "")
    return Path(value) if value.startswith("/") or Path(value).is_absolute() else None


def _home() -> Path:
    try:
        home = Path.home()
    except RuntimeError:  # HOME is not set, and the system does not know this user
        home = Path()
    if not (home.is_absolute() or str(home).startswith("/")):
        raise RequestError(
            "there is no home folder to keep data in (is HOME set?); name a folder with --data DIR"
            " or in the variable AEBENCH_DATA"
        )
    return home
