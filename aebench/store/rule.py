"""Which of several records of one job counts, and which of several curves of baselines.

The rule looks at what the records say, never at names or the order of files, so that folders
merged in any order, or twice, give the same results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aebench.store.layout import Mask, Places

if TYPE_CHECKING:  # it takes a second to import, and who only writes records does not need it
    import pandas as pd

_CURVE = ["dataset", "seed"]


def winners(jobs: pa.Table, standing: Places) -> Mask:
    """Mark one row of `jobs` for each key.

    `ok` goes before any other ending; then the later start; then the higher `standing`; then
    what differs between the rows, in a fixed order. Rows alike in all of it are one record.
    """
    if not jobs.num_rows:
        return np.zeros(0, np.bool_)
    key = _codes(jobs.column("key"))
    ok = pc.fill_null(pc.equal(jobs.column("status"), "ok"), False).to_numpy()
    started = _codes(jobs.column("started_at"))
    ranks = [standing, started, ok.astype(np.int64), key]
    order = np.lexsort(ranks)
    last = np.append(np.diff(key[order]) != 0, True)
    sorted_ranks = np.stack([rank[order] for rank in ranks])
    like_next = np.append((np.diff(sorted_ranks, axis=1) == 0).all(axis=0), False)
    # Only a draw between the best two of a key has to be settled by all that they say.
    drawn = np.isin(key, key[order][:-1][like_next[:-1] & last[1:]])
    if drawn.any():
        draw = np.zeros(len(key), np.int64)
        draw[drawn] = _codes(content(jobs.filter(pa.array(drawn))))
        order = np.lexsort([draw, *ranks])
        last = np.append(np.diff(key[order]) != 0, True)
    marked = np.zeros(len(key), np.bool_)
    marked[order[last]] = True
    return marked


def curves(baselines: pa.Table, owner: Places) -> pa.Table:
    """One whole curve for each data set and seed: the longest; of these the first by its figures.

    `owner` tells apart the curves that several records have brought. A curve is never put
    together from two, which machines may have computed with other roundings.
    """
    if not baselines.num_rows:
        return baselines
    import pandas as pd

    frame = pd.DataFrame({name: _codes(baselines.column(name)) for name in _CURVE})
    frame["owner"] = owner
    for name in ("components", "mse"):
        frame[name] = baselines.column(name).cast("float64").to_numpy()
    frame = frame.sort_values([*_CURVE, "owner", "components", "mse"])
    frame = frame[~frame.duplicated([*_CURVE, "owner", "components"])]
    best: dict[object, tuple[int, bytes, pd.Index[int]]] = {}
    for (dataset, seed, _), curve in frame.groupby([*_CURVE, "owner"], sort=False):
        # Some order that is the same everywhere: that is all it takes.
        figures = curve[["components", "mse"]].to_numpy().astype(">f8").tobytes()
        candidate = (-len(curve), figures, curve.index)
        if (dataset, seed) not in best or candidate[:2] < best[dataset, seed][:2]:
            best[dataset, seed] = candidate
    rows = np.concatenate([index.to_numpy() for _, _, index in best.values()])
    return baselines.take(pa.array(rows))


def _codes(column: pa.ChunkedArray) -> Places:
    """Whole numbers in the order of the values; missing ones come first."""
    import pandas as pd

    codes, _ = pd.factorize(column.to_pandas(), sort=True)
    return np.asarray(codes, np.int64)


def content(jobs: pa.Table) -> pa.ChunkedArray:
    """Everything that each row says, as one text; alike only for rows alike in every column."""
    texts = [pc.fill_null(column.cast(pa.string()), "\0") for column in jobs.columns]
    return pc.binary_join_element_wise(*texts, "\x1f")
