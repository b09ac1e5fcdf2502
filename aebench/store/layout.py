"""The five tables and the record as Arrow sees them, and the way from one to the other.

A record is one row: the job's columns, and each other table's rows as a list of structs. Between
disk and answer it is held flat, as `Rows`: tables, and for each row the job it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aebench import schema

Places = npt.NDArray[np.int64]
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
}
NESTED = ("epochs", "samples", "baselines", "probes")
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
    owner: Mapping[str, Places]

    @property
    def jobs(self) -> pa.Table:
        """One row a record."""
        return self.tables["jobs"]

    def only(self, kept: Mask, curves: pa.Table) -> Rows:
        """The records at which `kept` is true, and `curves`, which belong to no one record."""
        place = np.cumsum(kept) - 1
        tables = {"jobs": self.jobs.filter(pa.array(kept)), "baselines": curves}
        owner = {"baselines": np.zeros(curves.num_rows, np.int64)}
        for name in NESTED:
            if name != "baselines":
                rows = kept[self.owner[name]]
                tables[name] = self.tables[name].filter(pa.array(rows))
                owner[name] = place[self.owner[name][rows]]
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
        found = table.schema.get_all_field_indices(field.name)
        if len(found) > 1:
            raise Misfit(f"column {field.name} is there {len(found)} times")
        if not found:
            absent = pa.scalar(schema.ABSENT.get(field.name), field.type)
            columns.append(pa.repeat(absent, table.num_rows))
            continue
        column = table.column(found[0])
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


def _same_kind(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether `found` is another width or encoding of `wanted`, as other tools may write it."""
    if pa.types.is_dictionary(found):
        found = found.value_type
    same = (
        (pa.types.is_integer, pa.types.is_integer),
        (pa.types.is_floating, pa.types.is_floating),
        (pa.types.is_string, pa.types.is_large_string),
        (pa.types.is_binary, pa.types.is_large_binary),
    )
    return bool(
        pa.types.is_null(found)
        or any(one(wanted) and (one(found) or other(found)) for one, other in same)
    )


def unnested(column: pa.ChunkedArray, name: str) -> tuple[pa.Table, Places]:
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
