"""What a lookup asks for: rows of one view by the values of its keys, as texts; read to values, and as the SQL that
gives the same rows.

Keys are told in the order of `key_order`: the view's keys as it shows them, the first time bucket last. So the keys
before it are a prefix, and `since` and `until` a range within it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from seamline.errors import Condition, UserError
from seamline.kernel import fold, quote
from seamline.schemas.views.definition import Column, Definition
from seamline.serving.bounds import time_keys

MOST = 10_000
"""Rows of one answer."""

NULL = "\\N"
"""What stands for NULL among keys; a text that begins with a backslash has one more before it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INTEGER = re.compile(r"[+-]?[0-9]{1,39}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIME = re.compile(_DAY.pattern + r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?")
_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64}

KeyValue = int | bytes | None
"""A key as an index orders it: a number, the bytes of a text, or NULL."""


@dataclass(frozen=True)
class RowsAsked:
    """The rows of a view with these first keys, and its bucket from `since` (included) to `until` (not)."""

    view: str
    key: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None

    columns: tuple[str, ...] = ()
    """None: all."""

    limit: int | None = None
    """Rows at most, the first in the keys' order. None: all, of which there may be MOST."""


@dataclass(frozen=True)
class KeyRange:
    """A lookup's keys as an index orders them."""

    key: tuple[KeyValue, ...]
    since: KeyValue
    until: KeyValue


def key_order(definition: Definition) -> tuple[Column, ...]:
    """The keys by which a view's rows are looked up, in order: those that it shows, its first time bucket last."""
    shown = {output.name for output in definition.columns}
    keys = [key for key in definition.keys if key.name in shown]
    last = time_keys(definition)[:1]
    return (*(key for key in keys if key not in last), *last)


def chosen(definition: Definition, asked: RowsAsked) -> tuple[str, ...]:
    """The columns of the answer. Raises INPUT_INVALID for one that the view has not."""
    every = {fold(output.name): output.name for output in definition.columns}
    if not asked.columns:
        return tuple(every.values())
    if unknown := [name for name in asked.columns if fold(name) not in every]:
        raise _wrong(f"column {unknown[0]!r} of view {definition.view}", ", ".join(every.values()), "name its columns")
    return tuple(every[fold(name)] for name in asked.columns)


def as_sql(definition: Definition, asked: RowsAsked) -> tuple[str, dict[str, str]]:
    """The SELECT that gives the same rows, and its parameters. Raises INPUT_INVALID."""
    ranged(definition, asked)
    conditions, given = list[str](), dict[str, str]()
    order = key_order(definition)

    def compare(column: Column, sign: str, text: str) -> None:
        if text == NULL:
            conditions.append(f"{quote(column.name)} IS NULL")
            return
        name = f"key{len(given) + 1}"
        given[name] = _sql_text(column, text)
        conditions.append(f"{quote(column.name)} {sign} ${name}::{column.sql_type}")

    for column, text in zip(order, asked.key, strict=False):
        compare(column, "=", text)
    for sign, bound in ((">=", asked.since), ("<", asked.until)):
        if bound is not None:
            compare(order[-1], sign, bound)
    select = ", ".join(map(quote, chosen(definition, asked)))
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    by = f" ORDER BY {', '.join(f'{quote(key.name)} NULLS LAST' for key in order)}" if order else ""
    limit = "" if asked.limit is None else f" LIMIT {asked.limit}"
    return f"SELECT {select} FROM {quote(definition.view)}{where}{by}{limit}", given


def ranged(definition: Definition, asked: RowsAsked) -> KeyRange:
    """The keys' values. Raises INPUT_INVALID, which says which key takes what."""
    order = key_order(definition)
    if len(asked.key) > len(order):
        names = ", ".join(key.name for key in order) or "(it has none)"
        raise _wrong(f"{len(asked.key)} keys of view {definition.view}", names, "give at most so many, in this order")
    key = tuple(_value(column, text) for column, text in zip(order, asked.key, strict=False))
    if asked.since is None and asked.until is None:
        return KeyRange(key, None, None)
    if not time_keys(definition) or len(asked.key) == len(order):
        why = "whose bucket is a key of it already" if time_keys(definition) else "which has no time bucket"
        raise _wrong(f"a range of view {definition.view}, {why}", "from and to with the keys before the bucket", "")
    since, until = (None if one is None else _bound(order[-1], one) for one in (asked.since, asked.until))
    return KeyRange(key, since, until)


def _bound(column: Column, text: str) -> KeyValue:
    if text == NULL:
        raise _wrong(f"a range of {column.name} to NULL", "a time", f"ask key={NULL} for the rows without one")
    return _value(column, text)


def _value(column: Column, text: str) -> KeyValue:
    if text == NULL:
        return None
    kind = column.sql_type.partition("(")[0]
    if kind not in _READ:
        allowed = "BOOLEAN, numbers, VARCHAR, DATE, TIMESTAMP, TIMESTAMP WITH TIME ZONE"
        raise _wrong(f"key {column.name} is {column.sql_type}", f"keys of {allowed}", "ask by /v1/query")
    read, allowed = _READ[kind]
    try:
        return read(column.sql_type, text)
    except (ValueError, ArithmeticError) as error:
        raise _wrong(f"{column.name}={text[:200]!r}", f"{column.sql_type}: {allowed}", f"{NULL} is NULL") from error


def _integer(kind: str, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    value, bits = int(text), _BITS[kind.removeprefix("U")]
    least, most = (0, 2**bits) if kind.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    if not least <= value < most:
        raise ValueError(text)
    return value


def _truth(_: str, text: str) -> int:
    return ("false", "true").index(text.lower())


def _text(_: str, text: str) -> bytes:
    return (text[1:] if text.startswith("\\\\") else text).encode()


def _day(_: str, text: str) -> int:
    if not _DAY.fullmatch(text):
        raise ValueError(text)
    return (date.fromisoformat(text) - date(1970, 1, 1)).days


def _moment(kind: str, text: str) -> int:
    if not _TIME.fullmatch(text):
        raise ValueError(text)
    found = datetime.fromisoformat(text)
    if found.tzinfo is not None and kind == "TIMESTAMP":
        raise ValueError(text)
    return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def _number(_: str, text: str) -> bytes:
    if not _NUMBER.fullmatch(text):
        raise ValueError(text)
    return str(Decimal(text)).encode()


_ZONED = "such as 2024-05-01T12:00:00Z; without a zone it is UTC"
_READ: Mapping[str, tuple[Callable[[str, str], KeyValue], str]] = {
    **{kind: (_integer, "a whole number") for size in _BITS for kind in (size, f"U{size}")},
    "BOOLEAN": (_truth, "true or false"),
    "VARCHAR": (_text, "a text"),
    "DATE": (_day, "such as 2024-05-01"),
    "TIMESTAMP": (_moment, "such as 2024-05-01T12:00:00"),
    "TIMESTAMP WITH TIME ZONE": (_moment, _ZONED),
    **dict.fromkeys(("DECIMAL", "FLOAT", "DOUBLE"), (_number, "a number")),
}
"""By a key's type: how its text is read, and what it may be."""

SORTED = frozenset(_READ) - {"DECIMAL", "FLOAT", "DOUBLE", "UBIGINT"}
"""Types of keys that an index orders: 64 bits hold them, or they are texts."""


def _sql_text(column: Column, text: str) -> str:
    """A value as its type's cast reads it."""
    value: Any = _value(column, text)
    if column.sql_type == "VARCHAR":
        return bytes(value).decode()
    if column.sql_type.startswith("TIMESTAMP"):
        zone = "+00" if column.sql_type != "TIMESTAMP" else ""
        at: datetime = _EPOCH + value * _MICROSECOND
        return f"{at:%Y-%m-%d %H:%M:%S.%f}".rjust(26, "0") + zone
    return text


def _wrong(message: str, detail: str, hint: str) -> UserError:
    return UserError(Condition.INPUT_INVALID, message, detail=detail, hint=hint or "docs/http.md describes lookups")
