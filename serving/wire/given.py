"""Values that a client gives for parameters, in PostgreSQL's texts and binary formats, as Python's.

What DuckDB reads alike is left as text where Python has no value for it (infinity, years before Christ, intervals): the
parameter is cast to its type in any case.
"""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

_BEGIN = datetime(2000, 1, 1)
_TRUE = ("t", "tr", "tru", "true", "y", "ye", "yes", "on", "1")
_FALSE = ("f", "fa", "fal", "fals", "false", "n", "no", "of", "off", "0")


def boolean(text: str) -> bool:
    """What PostgreSQL takes for one."""
    said = text.strip().lower()
    if (said not in _TRUE and said not in _FALSE) or said == "o":
        raise ValueError(text)
    return said in _TRUE


def integer(least: int, greatest: int) -> Callable[[str], int]:
    """A reader of whole numbers; OverflowError for one that is out of range."""

    def read(text: str) -> int:
        if "_" in text or not text.strip().lstrip("+-").isascii() or len(text) > 40:
            raise ValueError(text)
        found = int(text)
        if not least <= found <= greatest:
            raise OverflowError(text)
        return found

    return read


def floating(text: str) -> float:
    """NaN and infinities too."""
    if "_" in text:
        raise ValueError(text)
    return float(text)


def decimal(text: str) -> Decimal:
    """A finite one of at most 38 digits."""
    found = Decimal(text) if "_" not in text else Decimal("NaN")
    if not found.is_finite():
        raise ValueError(text)
    return found


def bytestring(text: str) -> bytes:
    r"""`\x…`."""
    if not text.startswith("\\x"):
        raise ValueError(text)
    return bytes.fromhex(text[2:])


def day(text: str) -> date | str:
    """ISO 8601; else as DuckDB reads it."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return text


def local(text: str) -> datetime | str:
    """A timestamp without a zone."""
    try:
        return datetime.fromisoformat(text.strip()).replace(tzinfo=None)
    except ValueError:
        return text


def instant(text: str) -> datetime | str:
    """A timestamp with a zone; in UTC where it says none."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        return text
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def of_day(text: str) -> time | str:
    """A time."""
    try:
        return time.fromisoformat(text.strip())
    except ValueError:
        return text


def document(text: str) -> str:
    """JSON, as it is. Raises ValueError for what is none."""
    json.loads(text)
    return text


def identifier(text: str) -> uuid.UUID:
    """A UUID."""
    return uuid.UUID(text.strip())


def number(form: str) -> Callable[[bytes], Any]:
    """A reader of one packed number."""
    return lambda data: struct.unpack(form, data)[0]


def packed_boolean(data: bytes) -> bool:
    """One byte."""
    return bool(number("!b")(data))


def packed_numeric(data: bytes) -> Decimal:
    """Digits of base 10,000. Raises ValueError for NaN and infinities."""
    count, weight, sign, scale = struct.unpack("!HhHH", data[:8])
    if sign not in (0, 0x4000) or scale > 16_383:
        raise ValueError("not a finite numeric")
    digits = struct.unpack(f"!{count}H", data[8:])
    whole = 0
    for digit in digits:
        if digit > 9999:
            raise ValueError("a digit beyond 9999")
        whole = whole * 10_000 + digit
    at = 4 * (weight - count + 1)
    if abs(at) > 65_536 or count > 40:
        raise OverflowError("a numeric of more than 38 digits")
    found = Decimal(-whole if sign else whole).scaleb(at)
    return found.quantize(Decimal(1).scaleb(-scale)) if -at > scale or count == 0 else found


def packed_date(data: bytes) -> date | str:
    """Days since 2000."""
    days = number("!i")(data)
    if days in (2**31 - 1, -(2**31)):
        return "infinity" if days > 0 else "-infinity"
    return (_BEGIN + timedelta(days=days)).date()


def packed_local(data: bytes) -> datetime | str:
    """Microseconds since 2000."""
    ticks = number("!q")(data)
    if ticks in (2**63 - 1, -(2**63)):
        return "infinity" if ticks > 0 else "-infinity"
    return _BEGIN + timedelta(microseconds=ticks)


def packed_instant(data: bytes) -> datetime | str:
    """The same, in UTC."""
    found = packed_local(data)
    return found if isinstance(found, str) else found.replace(tzinfo=UTC)


def packed_time(data: bytes) -> time:
    """Microseconds since midnight."""
    return (_BEGIN + timedelta(microseconds=number("!q")(data))).time()


def packed_interval(data: bytes) -> str:
    """As DuckDB reads one."""
    ticks, days, months = struct.unpack("!qii", data)
    return f"{months} months {days} days {ticks} microseconds"


def packed_uuid(data: bytes) -> uuid.UUID:
    """16 bytes."""
    return uuid.UUID(bytes=data)


def packed_jsonb(data: bytes) -> str:
    """A version, then the text."""
    if data[:1] != b"\x01":
        raise ValueError("jsonb of another version")
    return document(data[1:].decode())


def array(text: str, read: Callable[[str], Any]) -> list[Any]:
    """`{a,"b c",NULL}`, of one dimension."""
    if len(text) < 2 or text[0] != "{" or text[-1] != "}":
        raise ValueError(text)
    items, item, quoted, at = list[Any](), list[str](), False, 1
    was_quoted = False
    if text[1:-1].strip() == "":
        return []
    while at < len(text):
        one = text[at]
        if one == "\\" and at + 1 < len(text):
            item.append(text[at + 1])
            at += 1
            was_quoted = True
        elif one == '"':
            quoted, was_quoted = not quoted, True
        elif quoted or one not in ",{}":
            item.append(one)
        elif one == "{" or (one == "}" and at != len(text) - 1):
            raise ValueError(text)
        else:
            items.append(_element("".join(item), was_quoted, read))
            item, was_quoted = [], False
        at += 1
    if quoted:
        raise ValueError(text)
    return items


def _element(text: str, quoted: bool, read: Callable[[str], Any]) -> Any:
    said = text if quoted else text.strip()
    if not quoted and said.upper() == "NULL":
        return None
    if not quoted and not said:
        raise ValueError(text)
    return read(said)


def packed_array(data: bytes, read: Callable[[bytes], Any]) -> list[Any]:
    """Of one dimension."""
    dimensions, _, _ = struct.unpack("!iiI", data[:12])
    if dimensions == 0:
        return []
    if dimensions != 1:
        raise ValueError("an array of several dimensions")
    (count,), at, items = struct.unpack("!i", data[12:16]), 20, list[Any]()
    for _ in range(count):
        (size,) = struct.unpack("!i", data[at : at + 4])
        at += 4
        items.append(None if size == -1 else read(_exactly(data, at, size)))
        at += max(size, 0)
    if at != len(data):
        raise ValueError("an array of another length")
    return items


def _exactly(data: bytes, at: int, size: int) -> bytes:
    if size < 0 or at + size > len(data):
        raise ValueError("an array of another length")
    return data[at : at + size]
