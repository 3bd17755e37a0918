"""Parquet as JSON: columns are a contract's fields, each row is the JSON object of its cells. Pure but for reading.

Values are written as JSON has them, with every digit; what JSON cannot write (NaN, infinities) is a string, which the
contract rejects by name. A cell that is null is a field that is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from io import BufferedIOBase
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from seamline.errors import Condition, UserError
from seamline.operate.csvrows import NamedFields, json_or_text, name_fields
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.types import EPOCHS, Field

ROWS = 1000
"""Rows that are held at once."""

_UNITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
"""Digits between a second and a unit of Arrow's."""

Spelling = Callable[[Any], str]


def read_parquet(raw: BufferedIOBase, contract: Contract, where: str) -> tuple[NamedFields, Iterator[bytes]]:
    """The columns by the contract, and each row as a JSON object.

    Raises UserError INPUT_INVALID where no column is the event time, or one has a type that JSON has no word for; what
    Arrow raises, now or as rows are asked for, where the file is damaged.
    """
    file = _open(raw)
    named = name_fields(file.schema_arrow.names, contract, where, "name the columns as the contract does")
    return named, _rows(file, named.columns, where)


def look_parquet(raw: BufferedIOBase, where: str) -> Iterator[bytes]:
    """Each row as a JSON object by its columns' names, before there is a contract. Raises as `read_parquet` does."""
    file = _open(raw)
    yield from _rows(file, [(name, None) for name in file.schema_arrow.names], where)


def _open(raw: BufferedIOBase) -> pq.ParquetFile:
    return pq.ParquetFile(
        raw, buffer_size=1 << 20, pre_buffer=False, coerce_int96_timestamp_unit="us", page_checksum_verification=True
    )


def _rows(file: pq.ParquetFile, columns: Sequence[tuple[str, Field | None]], where: str) -> Iterator[bytes]:
    writers = [
        _column(kind.type, field, f"{where}: column {name}")
        for kind, (name, field) in zip(file.schema_arrow, columns, strict=True)
    ]
    keys = [json.dumps(key, ensure_ascii=False) for key, _ in columns]
    for batch in file.iter_batches(ROWS):
        cells = [write(column) for write, column in zip(writers, batch.columns, strict=True)]
        for row in zip(*cells, strict=True):
            members = (f"{key}:{cell}" for key, cell in zip(keys, row, strict=True) if cell is not None)
            yield ("{" + ",".join(members) + "}").encode("utf-8", "surrogateescape")


def _column(kind: pa.DataType, field: Field | None, where: str) -> Callable[[pa.Array], list[str | None]]:
    """What writes a whole column; None for what is null."""
    if pa.types.is_timestamp(kind):
        return lambda column: _instants(column, field)
    write = _writer(kind, where)
    if field is not None and field.type in ("object", "array") and _is_text(kind):
        write = json_or_text
    return lambda column: [None if value is None else write(value) for value in column.to_pylist()]


def _instants(column: pa.Array, field: Field | None) -> list[str | None]:
    """Timestamps: text in ISO 8601, in UTC where they are instants; a count where the field is one."""
    unit, zoned = column.type.unit, column.type.tz is not None
    if field is not None and field.epoch:
        digits = EPOCHS[field.epoch] - _UNITS[unit]
        counts = column.cast(pa.int64()).to_pylist()
        return [None if count is None else _decimal(Decimal(count).scaleb(digits)) for count in counts]
    plain = column.cast(pa.timestamp(unit, "UTC")) if zoned else column
    return [
        None if text is None else _quoted(text.replace(" ", "T", 1)) for text in plain.cast(pa.string()).to_pylist()
    ]


def _writer(kind: pa.DataType, where: str) -> Spelling:
    """What writes one value of a type. Raises UserError INPUT_INVALID for one that JSON has no word for."""
    if isinstance(kind, pa.BaseExtensionType):
        return _quoted if _is_text(kind.storage_type) else lambda value: _quoted(str(value))
    of = pa.types
    if of.is_dictionary(kind):
        return _writer(kind.value_type, where)
    if of.is_map(kind):
        item = _writer(kind.item_type, where)
        return lambda value: _object((str(key), item, one) for key, one in value)
    if of.is_struct(kind):
        inside = [(one.name, _writer(one.type, where)) for one in kind]
        return lambda value: _object((name, write, value[name]) for name, write in inside)
    if of.is_list(kind) or of.is_large_list(kind) or of.is_fixed_size_list(kind):
        item = _writer(kind.value_type, where)
        return lambda value: "[" + ",".join("null" if one is None else item(one) for one in value) + "]"
    for holds, write in _PLAIN:
        if holds(kind):
            return write
    raise UserError(
        Condition.INPUT_INVALID,
        f"holds {kind}, which JSON has no word for",
        detail="text, numbers, booleans, dates, times, and structs, lists and maps of them",
        hint="cast or leave out the column",
        where=where,
    )


def _object(members: Iterator[tuple[str, Spelling, Any]]) -> str:
    return "{" + ",".join(f"{_quoted(k)}:{'null' if v is None else write(v)}" for k, write, v in members) + "}"


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    """Text of writers that do not call it so, too."""
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_timestamp(kind))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _decimal(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _float(value: float) -> str:
    return repr(value) if isfinite(value) else _quoted(str(value))


_PLAIN: tuple[tuple[Callable[[pa.DataType], bool], Spelling], ...] = (
    (_is_text, _quoted),
    (_is_binary, lambda value: _quoted(value.decode("utf-8", "surrogateescape"))),
    (pa.types.is_boolean, lambda value: "true" if value else "false"),
    (pa.types.is_integer, str),
    (pa.types.is_floating, _float),
    (pa.types.is_decimal, lambda value: f"{value:f}"),
    (_is_time, lambda value: _quoted(value.isoformat())),
    (pa.types.is_null, lambda value: "null"),
)
