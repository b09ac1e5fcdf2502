"""Which results folder a command means: the one named, or the user's newest.

Names of reference results (``results/reference-*``) are committed with aebench: a fresh clone
gives them today's date, and they are never meant unless they are named.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aebench.cli import text
from aebench.errors import RequestError, printable

if TYPE_CHECKING:
    from aebench.store import Results

_REFERENCE = "reference-*"


def meant(given: Path | None) -> Path:
    """The results folder that `given` names, or is a file in; without it the user's newest.

    Raises:
        RequestError: none is given and there is none below ``results/``.
    """
    if given is None:
        folder = newest()
        text.stderr().print(f"results: {folder}, the newest of yours", soft_wrap=True)
        return folder
    if given.name == "parts" and given.is_dir() and _is_ours(given.parent):
        return given.parent
    if given.is_file():
        for folder in (given.parent, given.parent.parent):
            if _is_ours(folder):
                return folder
    return given


def _is_ours(folder: Path) -> bool:
    return (folder / "parts").is_dir() or (folder / "jobs.parquet").exists()


def read(given: Path | None) -> tuple[Path, Results]:
    """The results folder that is meant and what is in it, having said what could not be read.

    Raises:
        RequestError: there are no results.
    """
    from aebench.store import Store

    folder = meant(given)
    results = Store(folder).read()
    text.warn(results.problems)
    return folder, results


def newest() -> Path:
    """The results folder of the user's that was written to last.

    Raises:
        RequestError: there is none below ``results/``; the reference results there are named.
    """
    files = [
        *((path, path.parent) for path in text.RESULTS.glob("*/jobs.parquet")),
        # All that a run leaves whose own process was killed.
        *((path, path.parents[1]) for path in text.RESULTS.glob("*/parts/[!.]*.parquet")),
    ]
    own = [(path, folder) for path, folder in files if not folder.match(_REFERENCE)]
    if own:
        return max(own, key=lambda each: (_written_at(each[0]), str(each[1])))[1]
    reference = sorted({str(folder) for _, folder in files})
    raise RequestError(
        "no results of yours yet below results/: run `aebench run` first, or name a results folder"
        + (f", such as {', '.join(reference)}" if reference else "")
    )


def _written_at(path: Path) -> float:
    """When a file was written; of one that a run has folded meanwhile, long ago."""
    try:
        return path.lstat().st_mtime  # of a link itself, which may lead nowhere
    except OSError:
        return 0.0


def below_results() -> list[str]:
    """Every results folder below ``results/``, reference results last."""
    results = [folder for folder in text.RESULTS.glob("*") if _is_ours(folder)]
    return [str(f) for f in sorted(results, key=lambda f: (f.match(_REFERENCE), f.name))]


def current() -> Path:
    """The current folder.

    Raises:
        RequestError: it was deleted, or cannot be read.
    """
    try:
        return Path.cwd()
    except OSError as error:
        raise RequestError(
            f"the current folder cannot be read ({error.strerror or error}); go to another"
        ) from None


def check_utf8(path: Path) -> None:
    """Refuse a folder in which nothing could be written, before anything is trained.

    Raises:
        RequestError: its name is no UTF-8, which the libraries that write Parquet insist on.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise RequestError(
            f"results folder {printable(path)}: its name holds bytes that are no UTF-8;"
            " choose another with --results"
        ) from None
