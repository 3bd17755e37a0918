"""PostgreSQL's types as the wire knows them: one entry each, and which of them a column of Arrow or a
type of DuckDB is.

https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/catalog/pg_type.dat has the numbers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
from pyarrow import types

from seamline.serving.wire import given, packed, said
from seamline.serving.wire.failing import WireError
from seamline.serving.wire.packed import Packed
from seamline.serving.wire.protocol import BINARY, TEXT


@dataclass(frozen=True)
class WireType:
    """One type."""

    name: str
    oid: int

    array: int
    """The number of the type of its arrays; 0: none is served."""

    size: int
    """Bytes of a value; -1 where they differ."""

    duck: str
    """DuckDB's type that a parameter is cast to."""

    text: Callable[[pa.Array], said.Texts]
    binary: Callable[[pa.Array], Packed] | None
    read_text: Callable[[str], Any] = str
    read_binary: Callable[[bytes], Any] | None = None

    sql: str = ""
    """As format_type() says it, where that is another name."""

    element: WireType | None = None

    def write(self, column: pa.Array, form: int) -> Packed:
        """A column's values in a format. Raises WireError 0A000 where the type has none that is binary."""
        if form == TEXT:
            return said.each(str.encode, self.text(column))
        if self.binary is None:
            raise WireError("0A000", f"no binary output function available for type {self.sql or self.name}")
        return self.binary(column)

    def read(self, data: bytes, form: int) -> Any:
        """A value that a client gave. Raises WireError: 22P02, 22P03 or 22003."""
        try:
            if form == TEXT:
                return self.read_text(data.decode())
            if self.read_binary is None:
                raise WireError("0A000", f"no binary input function available for type {self.sql or self.name}")
            return self.read_binary(data)
        except OverflowError:
            raise WireError("22003", f"a value is out of range for type {self.sql or self.name}") from None
        except (ValueError, ArithmeticError, struct.error, RecursionError):
            if form == TEXT:
                shown = data[:100].decode(errors="replace")
                raise WireError("22P02", f'invalid input syntax for type {self.sql or self.name}: "{shown}"') from None
            raise WireError("22P03", "incorrect binary data format") from None


_number, _integer = given.number, given.integer

BOOL = WireType("bool", 16, 1000, 1, "BOOLEAN", said.booleans, packed.by("!?"), given.boolean, given.packed_boolean,
            sql="boolean")  # fmt: skip
BYTEA = WireType("bytea", 17, 1001, -1, "BLOB", said.bytestrings, packed.bytestrings, given.bytestring, bytes)
INT8 = WireType("int8", 20, 1016, 8, "BIGINT", said.plain, packed.by("!q"), _integer(-(2**63), 2**63 - 1),
                _number("!q"), sql="bigint")  # fmt: skip
INT2 = WireType("int2", 21, 1005, 2, "SMALLINT", said.plain, packed.by("!h"), _integer(-(2**15), 2**15 - 1),
            _number("!h"), sql="smallint")  # fmt: skip
INT4 = WireType("int4", 23, 1007, 4, "INTEGER", said.plain, packed.by("!i"), _integer(-(2**31), 2**31 - 1),
                _number("!i"), sql="integer")  # fmt: skip
TEXTUAL = WireType("text", 25, 1009, -1, "VARCHAR", said.plain, packed.texts, str, bytes.decode)
OID = WireType("oid", 26, 1028, 4, "UINTEGER", said.plain, packed.by("!I"), _integer(0, 2**32 - 1), _number("!I"))
JSON = WireType("json", 114, 199, -1, "JSON", said.plain, packed.texts, given.document,
            lambda data: given.document(data.decode()))  # fmt: skip
FLOAT4 = WireType(
    "float4", 700, 1021, 4, "FLOAT", said.singles, packed.by("!f"), given.floating, _number("!f"), sql="real"
)
FLOAT8 = WireType("float8", 701, 1022, 8, "DOUBLE", said.doubles, packed.by("!d"), given.floating, _number("!d"),
              sql="double precision")  # fmt: skip
DATE = WireType("date", 1082, 1182, 4, "DATE", said.dates, packed.dates, given.day, given.packed_date)
TIME = WireType("time", 1083, 1183, 8, "TIME", said.times, packed.times, given.of_day, given.packed_time,
            sql="time without time zone")  # fmt: skip
TIMESTAMP = WireType("timestamp", 1114, 1115, 8, "TIMESTAMP", said.instants, packed.instants, given.local,
                 given.packed_local, sql="timestamp without time zone")  # fmt: skip
TIMESTAMPTZ = WireType("timestamptz", 1184, 1185, 8, "TIMESTAMP WITH TIME ZONE", said.instants, packed.instants,
                   given.instant, given.packed_instant, sql="timestamp with time zone")  # fmt: skip
INTERVAL = WireType(
    "interval", 1186, 1187, 16, "INTERVAL", said.intervals, packed.intervals, str, given.packed_interval
)
NUMERIC = WireType("numeric", 1700, 1231, -1, "", said.decimals, packed.numerics, given.decimal, given.packed_numeric)
UUID = WireType("uuid", 2950, 2951, 16, "UUID", said.plain, packed.uuids, given.identifier, given.packed_uuid)
NESTED = WireType("json", 114, 199, -1, "JSON", said.nested, lambda column: said.each(str.encode, said.nested(column)))

_TEXTS = [
    WireType(name, oid, array, size, "VARCHAR", said.plain, packed.texts, str, bytes.decode, sql=sql)
    for name, oid, array, size, sql in (
        ("char", 18, 1002, 1, '"char"'), ("name", 19, 1003, 64, ""), ("unknown", 705, 0, -2, ""),
        ("bpchar", 1042, 1014, -1, "character"), ("varchar", 1043, 1015, -1, "character varying"),
        ("regclass", 2205, 2210, 4, ""), ("regtype", 2206, 2211, 4, ""),
    )
]  # fmt: skip
_JSONB = WireType("jsonb", 3802, 3807, -1, "JSON", said.plain, packed.jsonb, given.document, given.packed_jsonb)

SCALARS = (
    BOOL, BYTEA, INT8, INT2, INT4, TEXTUAL, OID, JSON, FLOAT4, FLOAT8, DATE, TIME, TIMESTAMP, TIMESTAMPTZ, INTERVAL,
    NUMERIC, UUID, *_TEXTS, _JSONB,
)  # fmt: skip


@lru_cache(maxsize=64)
def array_of(kind: WireType) -> WireType:
    """The type of its arrays."""
    read = kind.read_binary
    return WireType(
        f"_{kind.name}", kind.array, 0, -1, f"{kind.duck}[]" if kind.duck else "",
        lambda column: _spans(column, kind.text, said.array),
        kind.binary and (lambda column: _spans(column, kind.binary, lambda items: packed.array(items, kind.oid))),
        lambda text: given.array(text, kind.read_text), read and (lambda data: given.packed_array(data, read)),
        sql=f"{kind.sql or kind.name}[]", element=kind,
    )  # fmt: skip


def _spans(column: pa.Array, each: Any, made: Callable[[Any], Any]) -> list[Any]:
    """Arrays of a column, each made of its elements' values."""
    lists = column.cast(pa.list_(column.type.value_type)) if types.is_fixed_size_list(column.type) else column
    inner = each(lists.flatten())  # without what stands at NULLs
    offsets, found, at = lists.offsets.to_pylist(), list[Any](), 0
    for n, valid in enumerate(lists.is_valid().to_pylist()):
        size = offsets[n + 1] - offsets[n] if valid else 0
        found.append(made(inner[at : at + size]) if valid else None)
        at += size
    return found


BY_OID = {one.oid: one for kind in SCALARS for one in (kind, array_of(kind)) if one.oid}

_ARROW: tuple[tuple[Callable[[pa.DataType], bool], WireType], ...] = (
    (types.is_boolean, BOOL),
    (lambda kind: kind in (pa.int8(), pa.uint8(), pa.int16()), INT2),
    (lambda kind: kind in (pa.uint16(), pa.int32()), INT4),
    (lambda kind: kind in (pa.uint32(), pa.int64()), INT8),
    (lambda kind: types.is_uint64(kind) or types.is_decimal(kind), NUMERIC),
    (types.is_float32, FLOAT4),
    (types.is_float64, FLOAT8),
    (types.is_date32, DATE),
    (types.is_time, TIME),
    (lambda kind: types.is_timestamp(kind) and kind.tz is None, TIMESTAMP),
    (types.is_timestamp, TIMESTAMPTZ),
    (types.is_interval, INTERVAL),
    (lambda kind: types.is_binary(kind) or types.is_large_binary(kind), BYTEA),
    (lambda kind: types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind), TEXTUAL),
    (types.is_nested, NESTED),
)

_DUCK = {
    "BOOLEAN": BOOL, "TINYINT": INT2, "UTINYINT": INT2, "SMALLINT": INT2, "USMALLINT": INT4, "INTEGER": INT4,
    "UINTEGER": INT8, "BIGINT": INT8, "UBIGINT": NUMERIC, "HUGEINT": NUMERIC, "FLOAT": FLOAT4, "DOUBLE": FLOAT8,
    "VARCHAR": TEXTUAL, "BLOB": BYTEA, "DATE": DATE, "TIME": TIME, "TIMESTAMP": TIMESTAMP, "TIMESTAMP_S": TIMESTAMP,
    "TIMESTAMP_MS": TIMESTAMP, "TIMESTAMP_NS": TIMESTAMP, "TIMESTAMP WITH TIME ZONE": TIMESTAMPTZ,
    "INTERVAL": INTERVAL, "UUID": UUID, "JSON": JSON,
}  # fmt: skip
"""Of parameters, as DuckDB infers them."""


def of_column(kind: pa.DataType, duck: str = "", catalogue: bool = False) -> WireType:
    """The type of a column of Arrow; `duck` tells apart what Arrow holds alike. In the catalogue UINTEGER is oid."""
    if types.is_dictionary(kind):
        return of_column(kind.value_type, duck, catalogue)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        inner = of_column(kind.value_type, re.sub(r"\[\d*\]$", "", duck), catalogue)
        return array_of(inner) if inner.array and inner is not NESTED and not inner.element else NESTED
    if catalogue and kind == pa.uint32():
        return OID
    if duck in ("UUID", "JSON") and types.is_string(kind):
        return _DUCK[duck]
    return next((found for fits, found in _ARROW if fits(kind)), TEXTUAL)


def of_parameter(duck: str) -> WireType | None:
    """The type of a parameter by DuckDB's name; None where it is not known."""
    if duck.endswith("[]"):
        inner = of_parameter(duck[:-2])
        return array_of(inner) if inner is not None and inner.array else None
    return NUMERIC if duck.startswith("DECIMAL") else _DUCK.get(duck)


def modifier(kind: pa.DataType) -> int:
    """What RowDescription tells of a type besides: the precision and scale of a numeric, or of an array's."""
    if types.is_list(kind):
        return modifier(kind.value_type)
    return (kind.precision << 16 | kind.scale) + 4 if types.is_decimal(kind) else -1


def is_format(number: int) -> bool:
    """Whether a format is one."""
    return number in (TEXT, BINARY)
