"""The types of contract fields: what JSON may hold, what the kernel makes of it, and how bounds are written.

One entry of TYPES says everything about a scalar type; `object` and `array` are built from fields.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from seamline.kernel import literal, quote

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""Contract and field names. A leading underscore is kept for Seamline's own columns."""

_YEAR = r"(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])"
_MONTH, _OF_MONTH, _HOUR = r"(?:0[1-9]|1[0-2])", r"(?:0[1-9]|[12]\d|3[01])", r"(?:[01]\d|2[0-3])"
_DAY = f"{_YEAR}-{_MONTH}-{_OF_MONTH}"
_CLOCK = _HOUR + r":[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?"
_OFFSET = f"(?:Z|[+-]{_HOUR}(?::?[0-5]\\d)?)?"

DATE_PATTERN = _DAY
TIMESTAMP_PATTERN = f"{_DAY}[T ]{_CLOCK}{_OFFSET}"
"""ISO 8601 with an optional offset; without one it is UTC. Digits beyond microseconds are cut off."""

_SAID = f"(?:[Zz]| UTC|[+-]{_HOUR}(?::?[0-5]\\d)?)?"
_FRACTION = r"(?:[.,]\d{1,9})?"

OTHER_SPELLINGS = (
    rf"\d{{4}}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d{_FRACTION})?{_SAID})?"
    rf"|\d{{8}}[Tt]\d{{4}}(?:\d\d{_FRACTION})?{_SAID}"
)
"""Shapes of timestamps as they are written besides, whose digits the cast judges: a date alone, basic ISO 8601, a comma
before the fraction, t and z, ` UTC`, and 24:00 as the end of a day."""

LEAP_SECOND = rf"\d{{4}}-\d\d-\d\d[Tt ]\d\d:\d\d:60{_FRACTION}{_SAID}|\d{{8}}[Tt]\d{{4}}60{_FRACTION}{_SAID}"
"""A second that is counted as 60: no instant here, since days have 86,400 seconds."""

BIGINT = (-(2**63), 2**63 - 1)

EPOCHS = {"epoch_seconds": 0, "epoch_millis": 3, "epoch_micros": 6, "epoch_nanos": 9}
"""Ways of counting from 1970 in UTC, by their `physicalType`: digits between a second and the unit."""

FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Of the years 1 to 9999, counted from 1970."""

_UNITS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_DURATION = re.compile(r"(\d{1,9})\s*(second|minute|hour|day|week)s?")
LONGEST = timedelta(days=36500)


@dataclass(frozen=True)
class Scalar:
    """One scalar type."""

    json: tuple[str, ...]
    """The kinds that `json_type` may report for it."""

    raw: str
    """The type that `json_transform` reads it as."""

    sql: str
    """The column's type."""

    rules: frozenset[str]
    """The rules it may carry."""

    bound: Callable[[object], str]
    """A YAML value as an SQL literal, or ValueError that says what it must be."""


@dataclass(frozen=True)
class Rule:
    """A bound on one field's values."""

    kind: str

    values: tuple[str, ...]
    """SQL literals; several only for an enum."""


@dataclass(frozen=True)
class Field:
    """One field of a contract."""

    name: str

    type: str
    """string, integer, number, decimal, boolean, date, timestamp, object or array."""

    required: bool = False

    source: str = ""
    """Its key in the JSON object."""

    rules: tuple[Rule, ...] = ()

    fields: tuple[Field, ...] = ()
    """Those of an object."""

    item: Field | None = None
    """An array's."""

    precision: int = 0
    """Of decimals, with `scale`."""

    scale: int = 0

    epoch: str = ""
    """How a timestamp counts from 1970, of EPOCHS; '' where it is text."""

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
        return f"DECIMAL(38,{self.epoch_scale})" if self.epoch else TYPES[self.type].raw

    @property
    def epoch_scale(self) -> int:
        """Digits after the point of a count from 1970: the rest of 38 holds ten times the years there are."""
        return 25 - EPOCHS[self.epoch]

    @property
    def converted(self) -> bool:
        """Whether the value read from JSON still needs a conversion to be the column's."""
        if self.item:
            return self.item.converted
        if self.type == "object":
            return any(f.converted or f.key != f.name for f in self.fields)
        return self.raw_type != self.sql_type


COUNT_PATTERN = r"-?\d{1,22}(?:\.\d{1,16})?"
"""Digits of a count from 1970 in a string."""


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
    elif isinstance(value, str) and re.fullmatch(f"{TIMESTAMP_PATTERN}|{OTHER_SPELLINGS}", value):
        instant = _iso(value)
    else:
        return None
    if instant is None:
        return None
    try:
        return instant.replace(tzinfo=instant.tzinfo or UTC).astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def parse_count(value: object, epoch: str) -> datetime | None:
    """A count from 1970 (a number, or a string of its digits) as an instant in UTC, cut to microseconds, else None."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    if isinstance(value, str) and not re.fullmatch(COUNT_PATTERN, value):
        return None
    count = Decimal(value)
    if not Decimal(-1).scaleb(22) < count < Decimal(1).scaleb(22):
        return None
    micros = math.floor(Fraction(count) * 10**6 / 10 ** EPOCHS[epoch])
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    except OverflowError:
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
    """Of a text that matches one of the patterns."""
    plain = re.sub(r"^(\d{4})(\d\d)(\d\d)T", r"\1-\2-\3T", text.upper().replace(",", ".").replace(" UTC", "Z"))
    late = plain[11:13] == "24"
    try:
        instant = datetime.fromisoformat(plain[:11] + "00" + plain[13:] if late else plain)
        if late and instant.time() != time():
            return None
        return instant + timedelta(days=late)
    except (OverflowError, ValueError):
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
