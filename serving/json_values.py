"""Arrow's values as JSON's, without Python's dates, which end at year 9999 and begin at year 1: exact for every type.

What JSON numbers cannot hold exactly (decimals, NaN, infinities) is text. docs/http.md says how each type is written.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa
from pyarrow import types

INFINITE_DAY = 2**31 - 1
INFINITE = 2**63 - 1
"""What stands for infinity in DuckDB's dates, and in its timestamps of any unit; the negative for minus infinity."""

_TICKS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
"""Digits of a second by unit."""
_DAY = 86_400


def values(column: pa.Array | pa.ChunkedArray) -> list[Any]:
    """A column's values as JSON has them."""
    if isinstance(column, pa.ChunkedArray):
        return [value for chunk in column.chunks for value in values(chunk)]
    for fits, read in _READERS:
        if fits(column.type):
            return read(column)
    return list(column.to_pylist())


def day_text(days: int) -> str:
    """Days since 1970 as ISO 8601: `2024-05-01`, `+12024-05-01`; year 0 is 1 BC, `-0043-03-15` is in 44 BC."""
    if abs(days) == INFINITE_DAY:
        return "infinity" if days > 0 else "-infinity"
    return _day(days)


def instant_text(ticks: int, unit: str, zoned: bool) -> str:
    """Ticks since 1970 as ISO 8601; with `Z` where it is an instant, and with a fraction where there is any."""
    if abs(ticks) == INFINITE:
        return "infinity" if ticks > 0 else "-infinity"
    seconds, fraction = divmod(ticks, 10 ** _TICKS[unit])
    days, second = divmod(seconds, _DAY)
    return f"{_day(days)}T{_clock(second, fraction, _TICKS[unit])}{'Z' if zoned else ''}"


def time_text(ticks: int, unit: str) -> str:
    """Ticks since midnight; `24:00:00` is a time too."""
    seconds, fraction = divmod(ticks, 10 ** _TICKS[unit])
    return _clock(seconds, fraction, _TICKS[unit])


def interval_text(months: int, days: int, nanoseconds: int) -> str:
    """As DuckDB writes it: `1 year 2 months 3 days 04:05:06`."""
    years, rest = abs(months) // 12, abs(months) % 12
    sign = -1 if months < 0 else 1
    said = [(sign * years, "year"), (sign * rest, "month"), (days, "day")]
    words = [f"{count} {name}{'' if abs(count) == 1 else 's'}" for count, name in said if count]
    if nanoseconds or not words:
        seconds, fraction = divmod(abs(nanoseconds) // 1000, 10**6)
        clock = _clock(seconds, fraction, 6)
        words.append(f"{'-' if nanoseconds < 0 else ''}{clock.rstrip('0') if fraction else clock}")
    return " ".join(words)


@lru_cache(maxsize=65_536)
def _day(days: int) -> str:
    """The proleptic Gregorian calendar (Hinnant, chrono-compatible low-level date algorithms: civil_from_days)."""
    era, of_era = divmod(days + 719_468, 146_097)
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    number = (5 * of_year + 2) // 153
    day, month = of_year - (153 * number + 2) // 5 + 1, number + 3 if number < 10 else number - 9
    year += 400 * era + (month <= 2)
    sign = "-" if year < 0 else "+" if year > 9999 else ""
    return f"{sign}{abs(year):04d}-{month:02d}-{day:02d}"


def _clock(second: int, fraction: int, digits: int) -> str:
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return f"{hour:02d}:{minute:02d}:{second:02d}" + (f".{fraction:0{digits}d}" if fraction else "")


def _each(said: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    return [None if item is None else said(item) for item in items]


def _float(item: float) -> float | str:
    return item if math.isfinite(item) else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(item, "NaN")


def _decimal(item: Decimal) -> str:
    return format(item, "f")


def _bytes(item: bytes) -> str:
    return b64encode(item).decode()


def _read(said: Callable[[Any], Any], column: pa.Array) -> list[Any]:
    return _each(said, column.to_pylist())


def _single(column: pa.Array) -> list[Any]:
    """The shortest text that reads back as the same REAL: 0.1, and not 0.10000000149011612."""
    return _each(lambda text: _float(float(text)), column.cast(pa.string()).to_pylist())


def _days(column: pa.Array) -> list[Any]:
    return _each(day_text, column.cast(pa.int32()).to_pylist())


def _instants(column: pa.Array) -> list[Any]:
    said = partial(instant_text, unit=column.type.unit, zoned=column.type.tz is not None)
    return _each(said, column.cast(pa.int64()).to_pylist())


def _times(column: pa.Array) -> list[Any]:
    return _each(partial(time_text, unit=column.type.unit), column.cast(pa.int64()).to_pylist())


def _intervals(column: pa.Array) -> list[Any]:
    return _each(lambda item: interval_text(*item), column.to_pylist())


def _structs(column: pa.Array) -> list[Any]:
    names = [field.name for field in column.type]
    rows = zip(*map(values, column.flatten()), strict=True) if names else ((),) * len(column)
    return [
        dict(zip(names, row, strict=True)) if valid else None
        for valid, row in zip(column.is_valid().to_pylist(), rows, strict=True)
    ]


def _spans(column: pa.Array, inner: list[Any]) -> list[Any]:
    offsets, valid = column.offsets.to_pylist(), column.is_valid().to_pylist()
    return [inner[offsets[n] : offsets[n + 1]] if held else None for n, held in enumerate(valid)]


def _lists(column: pa.Array) -> list[Any]:
    return _spans(column, values(column.values))


def _maps(column: pa.Array) -> list[Any]:
    """Arrays of pairs: a key need not be text."""
    return _spans(column, [list(pair) for pair in zip(values(column.keys), values(column.items), strict=True)])


def _arrays(column: pa.Array) -> list[Any]:
    size, inner, valid = column.type.list_size, values(column.values), column.is_valid().to_pylist()
    starts = [(column.offset + n) * size for n in range(len(column))]
    return [inner[start : start + size] if held else None for start, held in zip(starts, valid, strict=True)]


def _unions(column: pa.Array) -> list[Any]:
    """`{tag: value}`."""
    kinds = [(field.name, values(column.field(n))) for n, field in enumerate(column.type)]
    number = {code: n for n, code in enumerate(column.type.type_codes)}
    found = [
        (kinds[number[code]][0], kinds[number[code]][1][row]) for row, code in enumerate(column.type_codes.to_pylist())
    ]
    return [None if value is None else {tag: value} for tag, value in found]


_READERS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], list[Any]]], ...] = (
    (types.is_dictionary, lambda column: values(column.dictionary_decode())),
    (types.is_float32, _single),
    (types.is_float64, partial(_read, _float)),
    (types.is_decimal, partial(_read, _decimal)),
    (types.is_date32, _days),
    (types.is_timestamp, _instants),
    (types.is_time, _times),
    (types.is_interval, _intervals),
    (lambda kind: types.is_binary(kind) or types.is_large_binary(kind), partial(_read, _bytes)),
    (types.is_struct, _structs),
    (types.is_map, _maps),
    (types.is_fixed_size_list, _arrays),
    (lambda kind: types.is_list(kind) or types.is_large_list(kind), _lists),
    (types.is_union, _unions),
)
"""How columns of each type are read, where their values are not JSON's as they stand."""
