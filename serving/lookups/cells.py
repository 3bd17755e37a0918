"""Single values of a column as JSON text, as `json_values` and `encode` write them, without making an array of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from seamline.serving.json_values import day_text, instant_text, values

CellReader = Callable[[int], str]
"""A row's number to its value."""


def cells(column: pa.Array) -> CellReader:
    """The reader of a column."""
    for fits, made in _MADE:
        if fits(column.type):
            read = made(column)
            break
    else:
        return lambda row: _json(values(column.slice(row, 1))[0])
    if not column.null_count:
        return read
    valid = _view(column.is_valid())
    return lambda row: read(row) if valid[row] else "null"


def _json(item: Any) -> str:
    return json.dumps(item, ensure_ascii=False, allow_nan=False)


def _items(column: pa.Array) -> memoryview:
    """A column of numbers; NULLs are something."""
    return _view(column.fill_null(0))


def _view(column: pa.Array) -> memoryview:
    made: Any = np.ascontiguousarray(column.to_numpy(zero_copy_only=False))
    return memoryview(made)


def _whole(column: pa.Array) -> CellReader:
    held = _items(column)
    return lambda row: str(held[row])


def _truth(column: pa.Array) -> CellReader:
    held = _items(column.cast(pa.int8()))
    return lambda row: "true" if held[row] else "false"


def _double(column: pa.Array) -> CellReader:
    held = _items(column)

    def read(row: int) -> str:
        text = repr(held[row])
        return text if text[-1].isdigit() else _json(values(column.slice(row, 1))[0])

    return read


def _texts(column: pa.Array) -> CellReader:
    wide = column.cast(pa.large_string())
    _, offsets, data = wide.buffers()
    ends = memoryview(offsets).cast("B").cast("q")[wide.offset :]
    held = memoryview(data or b"")
    return lambda row: _json(str(held[ends[row] : ends[row + 1]], "utf-8"))


def _days(column: pa.Array) -> CellReader:
    held = _items(column.cast(pa.int32()))
    return lambda row: f'"{day_text(held[row])}"'


def _instants(column: pa.Array) -> CellReader:
    held = _items(column.cast(pa.int64()))
    said = partial(instant_text, unit=column.type.unit, zoned=column.type.tz is not None)
    return lambda row: f'"{said(held[row])}"'


def _decimals(column: pa.Array) -> CellReader:
    held, first, scale = memoryview(column.buffers()[1]), column.offset, column.type.scale

    def read(row: int) -> str:
        at = 16 * (first + row)
        number = int.from_bytes(held[at : at + 16], "little", signed=True)
        digits = f"{abs(number):0{scale + 1}d}"
        point = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
        return f'"{"-" if number < 0 else ""}{point}"'

    return read


_MADE: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], CellReader]], ...] = (
    (types.is_integer, _whole),
    (types.is_boolean, _truth),
    (types.is_float64, _double),
    (lambda kind: types.is_string(kind) or types.is_large_string(kind), _texts),
    (types.is_date32, _days),
    (types.is_timestamp, _instants),
    (lambda kind: types.is_decimal128(kind) and kind.scale >= 0, _decimals),
)
"""How columns of each type are read; of others a value is an array of one."""
