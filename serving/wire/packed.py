"""Columns of Arrow in PostgreSQL's binary formats: what each type's send function writes. NULL is None."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa

from seamline.serving.json_values import INFINITE, INFINITE_DAY
from seamline.serving.wire.failing import WireError
from seamline.serving.wire.protocol import NULL
from seamline.serving.wire.said import each, microseconds

Packed: TypeAlias = list[bytes | None]

DAYS_2000 = 10_957
"""Days from 1970 to 2000, where PostgreSQL's time begins."""
MICROSECONDS_2000 = DAYS_2000 * 86_400_000_000


def by(form: str) -> Any:
    """What packs values as one number."""
    pack = struct.Struct(form).pack

    def packed(column: pa.Array) -> Packed:
        return each(pack, column.to_pylist())

    return packed


def texts(column: pa.Array) -> Packed:
    """UTF-8."""
    return each(str.encode, column.to_pylist())


def bytestrings(column: pa.Array) -> Packed:
    """As they are."""
    found: Packed = column.to_pylist()
    return found


def jsonb(column: pa.Array) -> Packed:
    """A version before the text."""
    return each(lambda item: b"\x01" + item.encode(), column.to_pylist())


def uuids(column: pa.Array) -> Packed:
    """16 bytes of the text."""
    return each(lambda item: uuid.UUID(item).bytes, column.to_pylist())


def dates(column: pa.Array) -> Packed:
    """Days since 2000."""
    return each(_date, column.cast(pa.int32()).to_pylist())


def _date(days: int) -> bytes:
    if abs(days) == INFINITE_DAY:
        return struct.pack("!i", 2**31 - 1 if days > 0 else -(2**31))
    return struct.pack("!i", days - DAYS_2000)


def instants(column: pa.Array) -> Packed:
    """Microseconds since 2000."""
    return each(_instant, microseconds(column))


def _instant(ticks: int) -> bytes:
    if abs(ticks) == INFINITE:
        return struct.pack("!q", 2**63 - 1 if ticks > 0 else -(2**63))
    try:
        return struct.pack("!q", ticks - MICROSECONDS_2000)
    except struct.error:
        raise WireError("22008", "timestamp out of range") from None


def times(column: pa.Array) -> Packed:
    """Microseconds since midnight."""
    return each(struct.Struct("!q").pack, microseconds(column))


def intervals(column: pa.Array) -> Packed:
    """Microseconds, days, months."""
    return each(lambda item: struct.pack("!qii", item[2] // 1000, item[1], item[0]), column.to_pylist())


def numerics(column: pa.Array) -> Packed:
    """Digits of base 10,000."""
    return each(numeric, column.to_pylist())


def numeric(item: Decimal | int) -> bytes:
    """One number: its digits, the weight of the first, its sign, and how many decimals it shows."""
    sign, digits, exponent = Decimal(item).as_tuple()
    scale = max(0, -int(exponent))
    text = "".join(map(str, digits)) + "0" * max(0, int(exponent))
    whole, part = (text[:-scale], text[-scale:].rjust(scale, "0")) if scale else (text, "")
    whole = whole.zfill(-(-len(whole) // 4) * 4)
    part = part.ljust(-(-len(part) // 4) * 4, "0")
    groups = [int((whole + part)[at : at + 4]) for at in range(0, len(whole + part), 4)]
    weight = len(whole) // 4 - 1
    while groups and not groups[0]:
        groups, weight = groups[1:], weight - 1
    while groups and not groups[-1]:
        groups.pop()
    weight = weight if groups else 0
    return struct.pack(f"!hhHh{len(groups)}h", len(groups), weight, 0x4000 if sign and groups else 0, scale, *groups)


def array(items: Sequence[bytes | None], oid: int) -> bytes:
    """One array of one dimension, of its packed elements."""
    if not items:
        return struct.pack("!iiI", 0, 0, oid)
    head = struct.pack("!iiIii", 1, any(item is None for item in items), oid, len(items), 1)
    return head + b"".join(NULL if item is None else struct.pack("!i", len(item)) + item for item in items)
