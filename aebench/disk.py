"""Files that appear whole or not at all, and the folder for caches of this user."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path

from aebench.errors import RequestError


def user_caches() -> Path:
    """The folder for caches of this user, by the customs of the system; an absolute path.

    Raises:
        RequestError: the user has no home folder.
    """
    # Who names a folder does without it, as on machines where not everything can be installed.
    from platformdirs import user_cache_path

    # Without HOME, for a user that the system does not know, it raises; older versions of
    # platformdirs give a relative path.
    with contextlib.suppress(RuntimeError):
        folder = user_cache_path()
        if folder.is_absolute():
            return folder
    raise RequestError(
        "there is no home folder to keep data in (is HOME set?); name a folder with --data DIR"
        " or in the variable AEBENCH_DATA"
    )


def write_whole(target: Path, content: bytes | memoryview, mode: int = 0o666) -> None:
    """Put `content` at `target` in one step: who reads meanwhile finds the old file or the new.

    What a killed process leaves is beside it: a name that begins with a dot and ends like
    `target`. `mode` is who may read and write it, less what the user's umask withholds.

    Raises:
        OSError: the system refuses; what was there before stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not by tempfile, whose files only their owner may read: the umask is the user's word on it.
    unfinished = target.with_name(f".{uuid.uuid4().hex}{target.suffix}")
    try:
        unfinished.touch(mode, exist_ok=False)
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
