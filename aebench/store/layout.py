"""The seven tables and the record as Arrow sees them, and which of several records of a job counts.

A record is one row: the job's columns, and each other table's rows as a list of structs. Between
disk and answer it is held flat, as `Rows`: tables, and for each row the job it belongs to. What
counts is decided by what the records say, never by names or the order of files, so that folders
merged in any order, or twice, give the same results. Rows that are no job's but belong to a data
set and a seed, `baselines` and some of `rates`, come with every job and are kept once.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aebench import schema

if TYPE_CHECKING:  # it takes a second to import, and who only writes records does not need it
    pass

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def _arrow(columns: Iterable[schema.Column]) -> pa.Schema:
    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "binary": pa.binary(),
    }
    return pa.schema([(c.name, types[c.kind]) for c in columns])


TABLES = {
    "jobs": _arrow(schema.JOBS),
    "epochs": _arrow(schema.EPOCHS),
    "samples": _arrow(schema.SAMPLES),
    "baselines": _arrow(schema.BASELINES),
    "probes": _arrow(schema.PROBES),
    "rates": _arrow(schema.RATES),
    "codes": _arrow(schema.CODES),
}
NESTED = ("epochs", "samples", "baselines", "probes", "rates", "codes")
# The tables with rows that belong to no one job: one set of them counts for all rows that agree in
# the first columns, and within it the second tell rows apart.
SHARED = {
    "baselines": (["dataset", "seed"], ["components"]),
    "rates": (["dataset", "seed", "codec", "bottleneck"], ["bits", "quality"]),
}
RECORD = pa.schema(
    [
        *TABLES["jobs"],
        *(pa.field(f"{n}_rows", pa.list_(pa.struct(list(TABLES[n])))) for n in NESTED),
    ]
)


class Misfit(ValueError):
    """A table that is not made as ours are; the message says where."""


@dataclass(frozen=True)
class Rows:
    """Records, flat: `tables` by name, and `owner` by name: each row's place in `jobs`."""

    tables: Mapping[str, pa.Table]
    owner: Mapping[str, Positions]

    @property
    def jobs(self) -> pa.Table:
        """One row a record."""
        return self.tables["jobs"]

    @property
    def shared(self) -> dict[str, pa.Table]:
        """The rows that belong to no one record, each set of them once."""
        return {name: _sets(name, self.tables[name], self.owner[name]) for name in SHARED}

    def only(self, kept: Mask, shared: Mapping[str, pa.Table]) -> Rows:
        """The records at which `kept` is true, and `shared`, which belong to no one record."""
        position = np.cumsum(kept) - 1
        tables, owner = {"jobs": self.jobs.filter(pa.array(kept))}, {}
        for name in NESTED:
            mine = np.flatnonzero(_of_jobs(name, self.tables[name]))
            mine = mine[kept[self.owner[name][mine]]]
            tables[name] = self.tables[name].take(pa.array(mine))
            owner[name] = position[self.owner[name][mine]]
            if name in SHARED:
                tables[name] = pa.concat_tables([tables[name], shared[name]])
                nobodys = np.zeros(shared[name].num_rows, np.int64)
                owner[name] = np.concatenate([owner[name], nobodys])
        return Rows(tables, owner)


def joined(parts: Sequence[Rows]) -> Rows:
    """All records of `parts`, in their order."""
    if not parts:
        empty = {name: made.empty_table() for name, made in TABLES.items()}
        return Rows(empty, {name: np.zeros(0, np.int64) for name in NESTED})
    begins = np.cumsum([0, *(each.jobs.num_rows for each in parts)])[:-1]
    return Rows(
        {name: pa.concat_tables([each.tables[name] for each in parts]) for name in TABLES},
        {
            name: np.concatenate(
                [each.owner[name] + begin for each, begin in zip(parts, begins, strict=True)]
            )
            for name in NESTED
        },
    )


def jobs_only(jobs: pa.Table) -> Rows:
    """Records of which nothing but the row of `jobs` was read."""
    tables = {name: TABLES[name].empty_table() for name in NESTED}
    return Rows({"jobs": jobs} | tables, {name: np.zeros(0, np.int64) for name in NESTED})


def conformed(table: pa.Table, wanted: pa.Schema) -> pa.Table:
    """Give `table` the columns of `wanted`; unknown ones are dropped, missing ones null.

    Or what they mean where they are missing: see `schema.ABSENT`.

    Raises:
        Misfit: a column is of another type, or there twice.
    """
    columns = []
    for field in wanted:
        indices = table.schema.get_all_field_indices(field.name)
        if len(indices) > 1:
            raise Misfit(f"column {field.name} is there {len(indices)} times")
        if not indices:
            absent = pa.scalar(schema.ABSENT.get(field.name), field.type)
            columns.append(pa.repeat(absent, table.num_rows))
            continue
        column = table.column(indices[0])
        if column.type == field.type:
            columns.append(column)
            continue
        if not _same_kind(column.type, field.type):
            raise Misfit(f"column {field.name} holds {column.type} where {field.type} belongs")
        try:
            columns.append(column.cast(field.type))
        except pa.ArrowException as error:
            raise Misfit(f"column {field.name} does not fit: {error}") from error
    return pa.Table.from_arrays(columns, schema=wanted)


def _same_kind(given: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether `given` is another width or encoding of `wanted`, as other tools may write it."""
    if pa.types.is_dictionary(given):
        given = given.value_type
    same = (
        (pa.types.is_integer, pa.types.is_integer),
        (pa.types.is_floating, pa.types.is_floating),
        (pa.types.is_string, pa.types.is_large_string),
        (pa.types.is_binary, pa.types.is_large_binary),
    )
    return bool(
        pa.types.is_null(given)
        or any(one(wanted) and (one(given) or other(given)) for one, other in same)
    )


def unnested(column: pa.ChunkedArray, name: str) -> tuple[pa.Table, Positions]:
    """Rows of table `name` out of the lists in `column`, and the place of each row's list.

    Raises:
        Misfit: there are no such lists, or their columns are of other types.
    """
    kind = column.type
    if not (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)):
        if pa.types.is_null(kind):
            return TABLES[name].empty_table(), np.zeros(0, np.int64)
        raise Misfit(f"column {name}_rows holds {kind} where lists of rows belong")
    tables, owners, begin = [], [], 0
    for lists in column.chunks:
        tables.append(pa.Table.from_struct_array(lists.flatten()))
        # Not list_parent_indices, which counts from the start of what a slice was cut from.
        lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
        owners.append(np.repeat(np.arange(len(lists), dtype=np.int64) + begin, lengths))
        begin += len(lists)
    if not tables:
        return TABLES[name].empty_table(), np.zeros(0, np.int64)
    return conformed(pa.concat_tables(tables), TABLES[name]), np.concatenate(owners)


def nested(records: Rows) -> pa.Table:
    """`records` as they are stored: one row each, every other table's rows in a list."""
    count = records.jobs.num_rows
    columns = [*records.jobs.columns]
    for name in NESTED:
        rows, owner = records.tables[name], records.owner[name]
        if (np.diff(owner) < 0).any():
            order = np.argsort(owner, kind="stable")
            rows = rows.take(pa.array(order))
        ends = np.cumsum(np.bincount(owner, minlength=count))
        offsets = pa.array(np.concatenate([[0], ends]).astype(np.int32))
        arrays = [_whole(column) for column in rows.columns]
        structs = pa.StructArray.from_arrays(arrays, fields=list(TABLES[name]))
        columns.append(pa.ListArray.from_arrays(offsets, structs))
    return pa.Table.from_arrays(columns, schema=RECORD)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


# Which record of a job counts, and which set of what belongs to no job


def winners(jobs: pa.Table, standing: Positions) -> Mask:
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


def _of_jobs(name: str, table: pa.Table) -> Mask:
    """Mark the rows of the table `name` that are some job's."""
    if name not in SHARED:
        return np.ones(table.num_rows, np.bool_)
    if "key" not in table.column_names:
        return np.zeros(table.num_rows, np.bool_)
    return np.asarray(pc.is_valid(table.column("key")).to_numpy(), np.bool_)


def _sets(name: str, table: pa.Table, owner: Positions) -> pa.Table:
    """One whole set of the shared rows for all that it is of: the longest; the first by figures.

    `owner` tells apart the sets that several records have brought. A set is never put together
    from two, which machines may have computed with other roundings.
    """
    mine = ~_of_jobs(name, table)
    table, owner = table.filter(pa.array(mine)), owner[mine]
    if not table.num_rows:
        return table
    import pandas as pd

    of, within = SHARED[name]
    frame = pd.DataFrame({column: _codes(table.column(column)) for column in of})
    frame["owner"] = owner
    figures = [*within, *(n for n in table.column_names if n not in {"key", *of, *within})]
    for column in figures:
        frame[column] = table.column(column).cast("float64").to_numpy()
    frame = frame.sort_values([*of, "owner", *figures])
    frame = frame[~frame.duplicated([*of, "owner", *within])]
    labels = frame[[*of, "owner"]].to_numpy()
    begins = np.flatnonzero(np.append(True, (labels[1:] != labels[:-1]).any(axis=1)))
    said = frame[figures].to_numpy().astype(">f8")
    places = frame.index.to_numpy()
    best: dict[tuple[int, ...], tuple[int, bytes, Positions]] = {}
    for begin, end in itertools.pairwise([*begins, len(frame)]):
        # Some order that is the same everywhere: that is all it takes.
        what = tuple(labels[begin, :-1])
        candidate = (begin - end, said[begin:end].tobytes(), places[begin:end])
        if what not in best or candidate[:2] < best[what][:2]:
            best[what] = candidate
    chosen = np.concatenate([rows for _, _, rows in best.values()])
    return table.take(pa.array(chosen))


def _codes(column: pa.ChunkedArray) -> Positions:
    """Whole numbers in the order of the values; missing ones come first."""
    import pandas as pd

    codes, _ = pd.factorize(column.to_pandas(), sort=True)
    return np.asarray(codes, np.int64)


def content(jobs: pa.Table) -> pa.ChunkedArray:
    """Everything that each row says, as one text; alike only for rows alike in every column."""
    texts = [pc.fill_null(column.cast(pa.string()), "\0") for column in jobs.columns]
    return pc.binary_join_element_wise(*texts, "\x1f")
