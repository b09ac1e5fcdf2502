"""What lies beside the tables of a results folder: trained weights, and checkpoints of jobs.

Decides names and places, what belongs to which record, and what is copied or removed. What is in
such a file is the business of `models`; nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from aebench.disk import write_whole
from aebench.store.files import UNFINISHED, Problem

WEIGHTS = "weights"
CHECKPOINTS = "checkpoints"
SUFFIX = ".safetensors"


def weights(results: Path, key: str) -> Path:
    """Where the weights of the job `key` lie, if they were kept."""
    return results / WEIGHTS / f"{key}{SUFFIX}"


def checkpoint(results: Path, key: str) -> Path:
    """Where the checkpoint of the job `key` lies, if there is one."""
    return results / CHECKPOINTS / f"{key}{SUFFIX}"


def keys(results: Path, kind: str) -> set[str]:
    """Keys of the jobs of which a file of this kind is there, `WEIGHTS` or `CHECKPOINTS`."""
    try:
        names = [path.name for path in (results / kind).iterdir()]
    except OSError:  # no such folder, or one that may not be read: then there is none to be had
        return set()
    whole = (n for n in names if n.endswith(SUFFIX) and not n.startswith(UNFINISHED))
    return {name.removesuffix(SUFFIX) for name in whole}


def remove_checkpoint(results: Path, key: str) -> None:
    """Remove the checkpoint of a job that needs it no more, if there is one."""
    with contextlib.suppress(OSError):  # another user's, or a folder that is read-only by now
        checkpoint(results, key).unlink(missing_ok=True)


def remove_finished(results: Path, statuses: Mapping[str, str]) -> None:
    """Remove what a process killed between its record and its checkpoint's end has left."""
    for key in keys(results, CHECKPOINTS):
        if statuses.get(key) == "ok":
            remove_checkpoint(results, key)


def sha256(path: Path) -> str:
    """Checksum of a file; empty where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def problems(results: Path, sums: Mapping[str, str]) -> list[Problem]:
    """Weights that belong to no record, and records whose weights are not there or are others.

    `sums` maps the key of every record that counts to its `weights_sha256`, empty without weights.
    """
    there, found = keys(results, WEIGHTS), []
    for key in sorted(there | {key for key, known in sums.items() if known}):
        path, known = weights(results, key), sums.get(key)
        if known is None:
            found.append(
                Problem(path, "weights without a record", "nothing uses them; remove them")
            )
        elif not known:
            what = "not of the record that counts, which kept no weights"
            found.append(Problem(path, what, "nothing uses them; remove them"))
        elif key not in there:
            found.append(Problem(path, "missing, though its record says that it was kept", _AGAIN))
        elif sha256(path) != known:
            found.append(Problem(path, "damaged, or not the weights of its record", _AGAIN))
    return found


_AGAIN = "copy it from where it is whole, or train again with --keep-weights --retrain"


def copy_weights(
    sums: Mapping[str, str], sources: Mapping[str, Iterable[Path]], into: Path
) -> list[Problem]:
    """Copy the weights of the records in `sums`, by key, from the first source that has them.

    `sources` are results folders by key. What `into` has already stays.

    Raises:
        OSError: the system refuses to write.
    """
    missing = []
    for key, known in sums.items():
        target = weights(into, key)
        if not known or sha256(target) == known:
            continue
        for source in sources[key]:
            with contextlib.suppress(OSError):
                content = weights(source, key).read_bytes()
                if hashlib.sha256(content).hexdigest() == known:
                    break
        else:
            what = "weights that a merged record says were kept are not there, or are others"
            missing.append(Problem(weights(next(iter(sources[key])), key), what, _AGAIN))
            continue
        write_whole(target, content)
    return missing
