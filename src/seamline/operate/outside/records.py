"""A view's rows as outside readers get them: of types that Delta has, and as keys and values of a topic in JSON.

Delta has no unsigned integers (the next wider type takes their place, DECIMAL(20,0) that of UBIGINT), times of day,
intervals, arrays of a fixed length, enums or unions; both outlets say these alike.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b

import pyarrow as pa
from pyarrow import types

from seamline.errors import Condition, UserError
from seamline.schemas.views.definition import Definition
from seamline.serving.json_values import values

Record = tuple[bytes, bytes]
"""A group's key, and its row."""

Upsert = tuple[bytes, bytes | None]
"""The same; None: the group is no more."""

WIDER: dict[pa.DataType, pa.DataType] = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
}
"""What takes the place of a type that Delta has not."""

PLAIN: tuple[Callable[[pa.DataType], bool], ...] = (
    types.is_boolean, types.is_signed_integer, types.is_float32, types.is_float64, types.is_decimal128,
    types.is_string, types.is_binary, types.is_date32,
)  # fmt: skip
"""Types that stay as they are."""

TEXT: tuple[Callable[[pa.DataType], bool], ...] = (types.is_time, types.is_interval)
"""Types that become text, as JSON has them."""


def published_type(kind: pa.DataType, column: str) -> pa.DataType:
    """The type of a column that outside readers get. Raises INPUT_INVALID where there is none."""
    found = _scalar(kind)
    if found is not None:
        return found
    if types.is_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(published_type(kind.value_type, column))
    if types.is_map(kind):
        return pa.map_(published_type(kind.key_type, column), published_type(kind.item_type, column))
    if types.is_struct(kind):
        return pa.struct([pa.field(one.name, published_type(one.type, column)) for one in kind])
    raise UserError(
        Condition.INPUT_INVALID,
        f"column {column!r} holds {kind}, for which Delta has no type",
        detail="scalars, lists, maps and structs",
        hint="cast it in the view, such as to VARCHAR",
    )


def _scalar(kind: pa.DataType) -> pa.DataType | None:
    if types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz and "UTC")
    if types.is_dictionary(kind) or any(fits(kind) for fits in TEXT):
        return pa.string()
    return kind if any(fits(kind) for fits in PLAIN) else WIDER.get(kind)


def published(rows: pa.RecordBatch | pa.Table) -> pa.Table:
    """A view's rows as outside readers get them. Raises INPUT_INVALID for a type that they cannot."""
    table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
    fields = [pa.field(one.name, published_type(one.type, one.name)) for one in table.schema]
    columns = [_cast(table.column(number), field.type) for number, field in enumerate(fields)]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if column.type == kind:
        return column
    if any(fits(column.type) for fits in TEXT):
        return pa.chunked_array([pa.array(values(column), pa.string())], pa.string())
    return column.cast(kind)


@dataclass(frozen=True)
class Keyed:
    """How rows become records."""

    keys: tuple[str, ...]
    """The columns that make a group's key, in the order in which a key has them."""

    def records(self, rows: pa.Table) -> Iterator[Record]:
        """Published rows, each as its key and itself: JSON objects without blanks."""
        names = rows.column_names
        places = [names.index(name) for name in self.keys]
        for row in zip(*(values(column) for column in rows.columns), strict=True):
            key = {names[place]: _one_zero(row[place]) for place in places}
            yield _json(key), _json(dict(zip(names, row, strict=True)))

    def key_records(self, groups: pa.Table) -> Iterator[bytes]:
        """The keys of some groups."""
        for key, _ in self.records(published(groups)):
            yield key


def _one_zero(value: object) -> object:
    """-0.0 is in one group with 0.0."""
    return 0.0 if isinstance(value, float) and value == 0 else value


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")


def digest(value: bytes) -> bytes:
    """Tells rows apart."""
    return blake2b(value, digest_size=16).digest()


def key_columns(definition: Definition) -> tuple[str, ...]:
    """The columns that make a group's key: of one order, whatever the view's text says first."""
    return tuple(sorted(key.name for key in definition.keys))


def pieces(reader: pa.RecordBatchReader, rows: int) -> Iterator[pa.Table]:
    """Batches put together to published tables of about so many rows; one at least."""
    batches = iter(reader)
    taken = list(_worth(batches, rows))
    yield published(pa.Table.from_batches(taken, schema=reader.schema))
    while taken := list(_worth(batches, rows)):
        yield published(pa.Table.from_batches(taken))


def _worth(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    found = 0
    for batch in batches:
        yield batch
        found += batch.num_rows
        if found >= rows:
            return


def differing(rows: Iterable[Record], known: dict[bytes, bytes | None], always: set[bytes]) -> Iterator[Upsert]:
    """What is to be sent so that who knows some rows (key to digest; None: gone) knows these instead.

    `always`: groups of which a row, or a tombstone, is sent whatever is known. Takes apart what it was given.
    """
    for key, value in rows:
        before = known.pop(key, None)
        if key in always or before != digest(value):
            yield key, value
        always.discard(key)
    gone = always | {key for key, before in known.items() if before is not None}
    for key in sorted(gone):
        yield key, None
