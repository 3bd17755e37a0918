"""The types of contract fields: what JSON may hold, what the kernel makes of it, and how bounds are written.

One entry of TYPES says everything about a scalar type; `object` and `array` are built from fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from seamline.kernel import literal, quote

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""Contract and field names. A leading underscore is kept for Seamline's own columns."""

_YEAR = r"(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])"
_DAY = _YEAR + r"-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?"
_OFFSET = r"(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?"

DATE_PATTERN = _DAY
TIMESTAMP_PATTERN = f"{_DAY}[T ]{_CLOCK}{_OFFSET}"
"""ISO 8601 with an optional offset; without one it is UTC. Digits beyond microseconds are cut off."""

BIGINT = (-(2**63), 2**63 - 1)
_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_DURATION = re.compile(r"(\d{1,9})\s*(second|minute|hour|day|week)s?")
LONGEST = timedelta(days=36500)


@dataclass(frozen=True)
class Scalar:
    """One scalar type.

    json: the kinds `json_type` may report for it; raw: the type `json_transform` reads it as; sql: the column's type;
    rules: the rules it may carry; bound: a YAML value as an SQL literal, or ValueError that says what it must be.
    """

    json: tuple[str, ...]
    raw: str
    sql: str
    rules: frozenset[str]
    bound: Callable[[object], str]


@dataclass(frozen=True)
class Rule:
    """A bound on one field's values. `values` are SQL literals; several only for an enum."""

    kind: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """One field of a contract. `source` is its key in the JSON object; `fields` those of an object, `item` an array's.

    type: string, integer, number, decimal, boolean, date, timestamp, object or array; precision, scale: of decimals.
    """

    name: str
    type: str
    required: bool = False
    source: str = ""
    rules: tuple[Rule, ...] = ()
    fields: tuple[Field, ...] = ()
    item: Field | None = None
    precision: int = 0
    scale: int = 0

    @property
    def key(self) -> str:
        """The JSON key."""
        return self.source or self.name

    @property
    def sql_type(self) -> str:
        """The DuckDB type of the column."""
        if self.item:
            return f"{self.item.sql_type}[]"
        if self.type == "object":
            return "STRUCT(" + ", ".join(f"{quote(f.name)} {f.sql_type}" for f in self.fields) + ")"
        if self.type == "decimal":
            return f"DECIMAL({self.precision},{self.scale})"
        return TYPES[self.type].sql

    @property
    def raw_type(self) -> str:
        """What `json_transform` reads it as. A decimal is read with all 38 digits: those beyond its scale show."""
        if self.type == "decimal":
            return f"DECIMAL(38,{38 - self.precision + self.scale})"
        return TYPES[self.type].raw

    @property
    def converted(self) -> bool:
        """Whether the value read from JSON still needs a conversion to be the column's."""
        if self.item:
            return self.item.converted
        if self.type == "object":
            return any(f.converted or f.key != f.name for f in self.fields)
        return self.raw_type != self.sql_type


def parse_duration(text: object) -> timedelta | None:
    """`'90 minutes'`, `'1 hour'`, `'7 days'`, `'2 weeks'`, up to a century; None where it is not one."""
    match = _DURATION.fullmatch(text.strip().lower()) if isinstance(text, str) else None
    if not match or int(match[1]) * _UNITS[match[2]] > LONGEST.total_seconds():
        return None
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def parse_instant(value: object) -> datetime | None:
    """An ISO 8601 date or timestamp (or what YAML has already made of one) as an instant in UTC, else None."""
    if isinstance(value, datetime):
        instant: datetime | None = value
    elif isinstance(value, date):
        instant = datetime(value.year, value.month, value.day)
    elif isinstance(value, str) and re.fullmatch(f"{TIMESTAMP_PATTERN}|{DATE_PATTERN}", value):
        instant = _iso(value)
    else:
        return None
    if instant is None:
        return None
    try:
        return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def instant_literal(instant: datetime) -> str:
    """An SQL literal of an instant. Raises nothing: `instant` is aware and in UTC."""
    return f"TIMESTAMPTZ {literal(instant.strftime('%Y-%m-%d %H:%M:%S.%f').zfill(26) + '+00')}"


def decimal_bound(value: object, precision: int, scale: int) -> str:
    """A number as a literal of DECIMAL(precision, scale). Raises ValueError where it does not fit exactly."""
    try:
        number = Decimal(str(value)) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise ValueError("a number")
    limit = Decimal(10) ** (precision - scale)
    if abs(number) >= limit or number != round(number, scale):
        raise ValueError(f"a number that fits decimal({precision},{scale}) exactly")
    return f"{literal(f'{number:f}')}::DECIMAL({precision},{scale})"


def _iso(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _string(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("a string; put it in quotes")
    return literal(value)


def _integer(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int) or not BIGINT[0] <= value <= BIGINT[1]:
        raise ValueError("a 64-bit integer")
    return f"({value})::BIGINT" if value > BIGINT[0] else f"{literal(str(value))}::BIGINT"


def _number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("a finite number")
    return f"{literal(repr(number))}::DOUBLE"


def _date(value: object) -> str:
    if isinstance(value, str) and re.fullmatch(DATE_PATTERN, value):
        value = _iso(value)
    elif isinstance(value, datetime):
        value = None
    if not isinstance(value, date):
        raise ValueError("a date such as '2015-02-22'")
    return f"DATE '{value.year:04}-{value.month:02}-{value.day:02}'"


def _timestamp(value: object) -> str:
    instant = parse_instant(value)
    if instant is None:
        raise ValueError("a timestamp such as '2015-02-22T21:00:00Z'")
    return instant_literal(instant)


def _none(value: object) -> str:
    raise ValueError(f"nothing: this type has no bounds, got {value!r}")


_RANGE = frozenset({"min", "max", "above", "below", "enum"})

TYPES: dict[str, Scalar] = {
    "string": Scalar(
        ("VARCHAR",), "VARCHAR", "VARCHAR", frozenset({"min length", "max length", "pattern", "enum"}), _string
    ),
    "integer": Scalar(("UBIGINT", "BIGINT"), "BIGINT", "BIGINT", _RANGE, _integer),
    "number": Scalar(("DOUBLE", "UBIGINT", "BIGINT"), "DOUBLE", "DOUBLE", _RANGE, _number),
    "decimal": Scalar(("DOUBLE", "UBIGINT", "BIGINT"), "DECIMAL", "DECIMAL", _RANGE, _none),
    "boolean": Scalar(("BOOLEAN",), "BOOLEAN", "BOOLEAN", frozenset(), _none),
    "date": Scalar(("VARCHAR",), "VARCHAR", "DATE", _RANGE, _date),
    "timestamp": Scalar(("VARCHAR",), "VARCHAR", "TIMESTAMP WITH TIME ZONE", _RANGE, _timestamp),
    "object": Scalar(("OBJECT",), "", "", frozenset(), _none),
    "array": Scalar(("ARRAY",), "", "", frozenset(), _none),
}


def bound(field: Field, value: object) -> str:
    """A YAML value as an SQL literal of the field's type. Raises ValueError with what it must be."""
    if field.type == "decimal":
        return decimal_bound(value, field.precision, field.scale)
    return TYPES[field.type].bound(value)
