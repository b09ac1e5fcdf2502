"""Several results folders into one, told record by record: who brought what, and what counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from aebench.errors import RequestError, printable
from aebench.store import Store, files, kept, layout
from aebench.store.contents import gather
from aebench.store.files import Problem
from aebench.store.layout import Mask, Positions, joined

SAME = "the same record"
OK_FIRST = "ok before another ending"
LATER = "the later start"
ALIKE = "started alike, settled by content"


@dataclass(frozen=True)
class Brought:
    """What one folder brought: the records it holds, and those of them that count in the end."""

    folder: Path
    records: int
    counted: int


@dataclass(frozen=True)
class Merging:
    """What a merge did. `settled` counts the records that gave way to another, by the reason."""

    brought: Sequence[Brought]
    settled: dict[str, int]
    problems: list[Problem]


def merge(sources: Sequence[Path], into: Path) -> Merging:
    """Put the records of all `sources` into the folder `into`, beside what it holds already.

    With a record come the weights that were kept of it. The sources are read and nothing else.

    Raises:
        RequestError: a source is missing, or holds no results, or `into` lies in it; or the
            system refuses to write.
    """
    for source in sources:
        if not Store(source).exists:
            raise RequestError(f"no results at {printable(source)}; nothing was merged")
        if into.resolve().is_relative_to(source.resolve()):
            raise RequestError(
                f"--into {printable(into)} is or lies in {printable(source)}, which a merge leaves"
                " as it is; name another folder"
            )
    target = Store(into)
    folders = [*sources, into] if target.exists else [*sources]
    read = [gather(folder) for folder in folders]
    sizes = [int(each.wins.sum()) for each in read]
    if not any(sizes[: len(sources)]):
        names = ", ".join(printable(source) for source in sources)
        raise RequestError(f"no record can be read in {names}; nothing was merged")
    records = joined([each.rows.only(each.wins, each.rows.shared) for each in read])
    # Of records that are alike to the last figure the last counts: those that are there already.
    wins = layout.winners(records.jobs, np.zeros(records.jobs.num_rows, np.int64))
    origin = np.repeat(np.arange(len(read)), sizes)
    target.prepare()
    new = wins & (origin < len(sources))
    if new.any():
        target.add(records.only(new, records.shared))
    problems = [problem for each in read for problem in each.problems]
    with files.writing(into):
        problems += _copy_weights(records.jobs, new, origin, sources, into)
    told = target.compact()
    brought = [
        Brought(folder, size, int(wins[origin == i].sum()))
        for i, (folder, size) in enumerate(zip(folders, sizes, strict=True))
    ]
    return Merging(brought, _settled(records.jobs, wins), [*problems, *told])


def _copy_weights(
    jobs: pa.Table, new: Mask, origin: Positions, sources: Sequence[Path], into: Path
) -> list[Problem]:
    """Copy the weights of the records that are new in `into`, each from the folder it is from.

    Or from another that has the very same: a record may be in several, its weights in one.
    """
    keys, sums = (jobs.column(name).to_pylist() for name in ("key", "weights_sha256"))
    wanted = {keys[i]: str(sums[i] or "") for i in np.flatnonzero(new)}
    homes = {keys[i]: [sources[origin[i]], *sources] for i in np.flatnonzero(new)}
    return kept.copy_weights(wanted, homes, into)


def _settled(jobs: pa.Table, wins: Mask) -> dict[str, int]:
    """How many records gave way to another of their key, by what decided it."""
    frame = jobs.select(["key", "started_at"]).to_pandas()
    frame["ok"] = jobs.column("status").to_pandas() == "ok"
    frame["content"] = layout.content(jobs).to_pandas()
    pairs = frame[~wins].merge(frame[wins], on="key", suffixes=("", "_counted"))
    reasons = np.select(
        [
            pairs["ok"] != pairs["ok_counted"],
            pairs["content"] == pairs["content_counted"],
            pairs["started_at"].fillna("") != pairs["started_at_counted"].fillna(""),
        ],
        [OK_FIRST, SAME, LATER],
        ALIKE,
    )
    return {reason: int((reasons == reason).sum()) for reason in dict.fromkeys(reasons)}
