"""Columns of Arrow as PostgreSQL's texts: what each type's output function writes, with DateStyle ISO and in UTC."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any, TypeAlias

import pyarrow as pa

from seamline.serving.json_values import INFINITE, INFINITE_DAY, day_text, values

Texts: TypeAlias = list[str | None]
"""A column's texts; None for NULL."""

_TICKS = {"s": 1_000_000, "ms": 1_000, "us": 1}
"""Microseconds of a tick by unit; a nanosecond is a part of one."""
_DAY = 86_400_000_000


def each(said: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """NULLs stay."""
    return [None if item is None else said(item) for item in items]


def plain(column: pa.Array) -> Texts:
    """Integers and texts."""
    found: Texts = column.cast(pa.string()).to_pylist()
    return found


def booleans(column: pa.Array) -> Texts:
    """`t` and `f`."""
    return each(lambda item: "t" if item else "f", column.to_pylist())


def decimals(column: pa.Array) -> Texts:
    """Without an exponent."""
    return each(lambda item: format(item, "f"), column.to_pylist())


def doubles(column: pa.Array) -> Texts:
    """The shortest that reads back the same."""
    return each(partial(_float, fixed=15), column.to_pylist())


def singles(column: pa.Array) -> Texts:
    """The same of a REAL."""
    return each(lambda text: _float(float(text), 6, text), column.cast(pa.string()).to_pylist())


def _float(item: float, fixed: int, shortest: str = "") -> str:
    """`fixed`: the decimal exponent from which on it is written with one."""
    if not math.isfinite(item):
        return "NaN" if math.isnan(item) else "Infinity" if item > 0 else "-Infinity"
    sign, digits, exponent = Decimal(shortest or repr(item)).normalize().as_tuple()
    first = int(exponent) + len(digits) - 1
    minus = "-" if sign else ""
    if item == 0:
        return minus + "0"
    written = "".join(map(str, digits))
    if -5 < first < fixed:
        return format(Decimal((sign, digits, int(exponent))), "f")
    return f"{minus}{written[0]}{'.' if len(written) > 1 else ''}{written[1:]}e{first:+03d}"


def bytestrings(column: pa.Array) -> Texts:
    r"""`\x` and hexadecimal digits."""
    return each(lambda item: "\\x" + item.hex(), column.to_pylist())


def dates(column: pa.Array) -> Texts:
    """Days since 1970."""
    return each(_date, column.cast(pa.int32()).to_pylist())


def _date(days: int) -> str:
    if abs(days) == INFINITE_DAY:
        return "infinity" if days > 0 else "-infinity"
    text, era = _day(days)
    return text + era


@lru_cache(maxsize=65_536)
def _day(days: int) -> tuple[str, str]:
    """The day's text, and ` BC` where it is before year 1."""
    text = day_text(days)
    year = int(text[:-6])
    return f"{year if year > 0 else 1 - year:04d}{text[-6:]}", "" if year > 0 else " BC"


def microseconds(column: pa.Array) -> list[int | None]:
    """Ticks as microseconds; what is beyond one is cut off. Infinities stay what they are."""
    ticks, unit = column.cast(pa.int64()).to_pylist(), column.type.unit
    if unit == "ns":
        return each(lambda item: item if abs(item) == INFINITE else item // 1000, ticks)
    return each(lambda item: item if abs(item) == INFINITE else item * _TICKS[unit], ticks)


def instants(column: pa.Array) -> Texts:
    """Timestamps; with the zone where they have one: it is UTC."""
    return each(_instant if column.type.tz is None else _zoned, microseconds(column))


@lru_cache(maxsize=65_536)
def _zoned(ticks: int) -> str:
    return _instant(ticks, "+00")


def _instant(ticks: int, zone: str = "") -> str:
    if abs(ticks) == INFINITE:
        return "infinity" if ticks > 0 else "-infinity"
    days, of_day = divmod(ticks, _DAY)
    text, era = _day(days)
    return f"{text} {_clock(of_day)}{zone}{era}"


def _clock(ticks: int) -> str:
    seconds, fraction = divmod(ticks, 1_000_000)
    minutes, second = divmod(seconds, 60)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"
    return f"{text}.{fraction:06d}".rstrip("0") if fraction else text


def times(column: pa.Array) -> Texts:
    """Times of a day."""
    return each(_clock, microseconds(column))


def intervals(column: pa.Array) -> Texts:
    """As IntervalStyle postgres writes them: `1 year 2 mons -3 days +04:05:06`."""
    return each(lambda item: interval(*item), column.to_pylist())


def interval(months: int, days: int, nanoseconds: int) -> str:
    """One of them."""
    words, before = list[str](), False
    years, rest = abs(months) // 12, abs(months) % 12
    sign = -1 if months < 0 else 1
    for count, unit in ((sign * years, "year"), (sign * rest, "mon"), (days, "day")):
        if count:
            words.append(f"{'+' if before and count > 0 else ''}{count} {unit}{'' if count == 1 else 's'}")
            before = count < 0
    ticks = abs(nanoseconds) // 1000
    if ticks or not words:
        words.append(f"{'-' if nanoseconds < 0 else '+' if before else ''}{_clock(ticks)}")
    return " ".join(words)


def nested(column: pa.Array) -> Texts:
    """What PostgreSQL has no such type for, as JSON."""
    return each(lambda item: json.dumps(item, ensure_ascii=False), values(column))


def array(items: Iterable[str | None]) -> str:
    """An array's text of its elements' texts."""
    return "{" + ",".join("NULL" if item is None else _quoted(item) for item in items) + "}"


def _quoted(item: str) -> str:
    special = not item or item.upper() == "NULL" or any(one in '{}",\\' or one.isspace() for one in item)
    return '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' if special else item
