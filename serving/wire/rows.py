"""Batches of Arrow as DataRow messages, or as lines and tuples of COPY: a column at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types

from seamline.serving.wire.kinds import WireType, modifier, of_column
from seamline.serving.wire.packed import Packed
from seamline.serving.wire.protocol import BINARY, NULL, TEXT, Shown, message

AT_ONCE = 500
"""Rows that are written before the loop may turn to others."""


@dataclass(frozen=True)
class WireColumn:
    """A column of an answer."""

    name: str
    kind: WireType
    modifier: int = -1

    def shown(self, form: int = TEXT) -> Shown:
        """As RowDescription tells it."""
        return Shown(self.name, self.kind.oid, self.kind.size, self.modifier, form)


def columns(schema: pa.Schema, ducks: Sequence[str] = (), catalogue: bool = False) -> tuple[WireColumn, ...]:
    """The columns of an answer; `ducks`: DuckDB's types of them, where they are known."""
    named = ducks or [""] * len(schema)
    return tuple(
        WireColumn(field.name, of_column(field.type, duck, catalogue), modifier(field.type))
        for field, duck in zip(schema, named, strict=True)
    )


def written(batch: pa.RecordBatch, kinds: Sequence[WireType], formats: Sequence[int]) -> list[Packed]:
    """A batch's values, by column."""
    made = []
    for column, kind, form in zip(batch.columns, kinds, formats, strict=True):
        flat = column.dictionary_decode() if types.is_dictionary(column.type) else column
        made.append(kind.write(flat, form))
    return made


def data_rows(batch: pa.RecordBatch, kinds: Sequence[WireType], formats: Sequence[int]) -> bytes:
    """DataRow messages."""
    sizes = struct.Struct("!i").pack
    found = [
        [NULL if item is None else sizes(len(item)) + item for item in column]
        for column in written(batch, kinds, formats)
    ]
    count = struct.pack("!h", len(kinds))
    bodies = map(b"".join, zip(*found, strict=True)) if found else [b""] * batch.num_rows
    return b"".join(b"D" + sizes(len(body) + 6) + count + body for body in bodies)


def copy_text(batch: pa.RecordBatch, kinds: Sequence[WireType], delimiter: bytes, null: bytes) -> Iterator[bytes]:
    """Lines of COPY's format text."""
    special = _escaped(delimiter)
    for row in _by_row(batch, kinds, TEXT):
        yield delimiter.join(null if item is None else special(item) for item in row) + b"\n"


def copy_csv(
    batch: pa.RecordBatch,
    kinds: Sequence[WireType],
    delimiter: bytes,
    null: bytes,
    quote: bytes = b'"',
    every: bool = False,
) -> Iterator[bytes]:
    """Lines of COPY's format csv."""
    for row in _by_row(batch, kinds, TEXT):
        yield csv_line(row, delimiter, null, quote, every)


def csv_line(row: Sequence[bytes | None], delimiter: bytes, null: bytes, quote: bytes, every: bool) -> bytes:
    """One of them."""

    def cell(item: bytes | None) -> bytes:
        if item is None:
            return null
        needs = every or item == null or any(one in item for one in (delimiter, quote, b"\n", b"\r"))
        needs = needs or (len(row) == 1 and item == b"\\.")
        return quote + item.replace(quote, quote * 2) + quote if needs else item

    return delimiter.join(map(cell, row)) + b"\n"


def copy_binary(batch: pa.RecordBatch, kinds: Sequence[WireType]) -> Iterator[bytes]:
    """Tuples of COPY's format binary."""
    count = struct.pack("!h", len(kinds))
    for row in _by_row(batch, kinds, BINARY):
        yield count + b"".join(NULL if item is None else struct.pack("!i", len(item)) + item for item in row)


COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
COPY_TAIL = struct.pack("!h", -1)


def copy_data(begun: bytes, pieces: Iterator[bytes]) -> bytes:
    """CopyData messages, one a piece. What begins the whole is one of its own, but for the binary format: there it
    stands before the first piece, where clients look for it."""
    made = []
    if begun and begun != COPY_HEAD:
        made, begun = [message(b"d", begun)], b""
    for piece in pieces:
        made.append(message(b"d", begun + piece))
        begun = b""
    return b"".join(made)


def _by_row(batch: pa.RecordBatch, kinds: Sequence[WireType], form: int) -> Iterator[tuple[bytes | None, ...]]:
    found = written(batch, kinds, [form] * len(kinds))
    return zip(*found, strict=True) if found else iter([()] * batch.num_rows)


def _escaped(delimiter: bytes) -> Callable[[bytes], bytes]:
    table = {b"\\": b"\\\\", b"\b": b"\\b", b"\f": b"\\f", b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t", b"\v": b"\\v"}
    table.setdefault(delimiter, b"\\" + delimiter)

    def escape(item: bytes) -> bytes:
        for one, written_as in table.items():
            if one in item:
                item = item.replace(one, written_as)
        return item

    return escape
