"""Distinct counts and sets, quantiles and frequencies: exact ones, and what a sketch may answer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from seamline.schemas.plainly.values import (
    OUT_OF_RANGE,
    ROUNDING,
    Asked,
    Plain,
    canonical,
    distinct,
    equal,
    exactly,
    is_finite,
    ordering,
    rounded,
)

SKETCH_SIZE = 4096
SIGMAS = 6
"""Standard errors that a sketch of hashes may be off: once in 500 million groups it is more."""

VALUES_LIMIT = 100_000
CAPACITY = 1_000
DISTINCT_LIMIT = 10_000
WHOLE = 2**63 - 1

# --- distinct values -------------------------------------------------------------------------------------


def approx_count_distinct(asked: Asked) -> Plain:
    """Exact below the sketch's size, within its error from there on."""
    error = asked.constants[0] if asked.constants else None
    size = math.ceil(1 / Decimal(str(error)) ** 2) + 2 if error is not None else SKETCH_SIZE
    found = len(distinct(asked.known))
    return Plain(found, 0.0 if found < size else SIGMAS * found / math.sqrt(size - 2))


def theta_sketch_agg(asked: Asked) -> Plain:
    """The set as a sketch: as many hashes as there are values, or so many of them that their number can be told."""
    size = asked.constants[0] if asked.constants else SKETCH_SIZE
    found = len(distinct(asked.known))

    def fits(served: Any) -> bool:
        hashes, theta = served["hashes"], served["theta"]
        if hashes != sorted(set(hashes)) or any(not 0 <= one < theta for one in hashes):
            return False
        if found < size:
            return bool(theta == WHOLE and len(hashes) == found)
        estimate = len(hashes) / (theta / 2**63)
        return len(hashes) == size - 1 and abs(estimate - found) <= SIGMAS * found / math.sqrt(size - 2)

    return Plain(found, fits=fits)


# --- quantiles -------------------------------------------------------------------------------------------


def _for_each(asked: Asked, one: Callable[[Fraction], Plain]) -> Plain:
    """The constant is one quantile, or a list of them."""
    quantile = asked.constants[0] if asked.constants else Fraction(1, 2)
    if not isinstance(quantile, list):
        return one(Fraction(quantile))
    made = [one(Fraction(each)) for each in quantile]

    def fits(served: Any) -> bool:
        return len(served) == len(made) and all(m.agrees(s) for m, s in zip(made, served, strict=True))

    return Plain([each.value for each in made], fits=fits)


def _exact(asked: Asked, one: Callable[[list[Any], Fraction], Plain]) -> Plain:
    values = sorted(asked.numbers, key=ordering)
    if not values:
        return Plain(None)
    if len(values) > VALUES_LIMIT:
        return Plain(OUT_OF_RANGE)
    return _for_each(asked, lambda quantile: one(values, quantile))


def quantile_disc(asked: Asked) -> Plain:
    """The first value that so large a part of the group is not above."""
    return _exact(asked, _disc)


def _disc(values: list[Any], quantile: Fraction) -> Plain:
    return Plain(values[max(math.ceil(quantile * len(values)), 1) - 1])


def quantile_cont(asked: Asked) -> Plain:
    """Interpolated between the two values around the quantile: decimals exactly, other numbers as DOUBLE."""
    return _exact(asked, lambda values, quantile: _cont(values, quantile, asked.type))


def median(asked: Asked) -> Plain:
    """The middle value, interpolated where values can be."""
    if asked.type in ("BOOLEAN", "VARCHAR", "BLOB") or asked.type.endswith("]") or asked.type.startswith("STRUCT("):
        return quantile_disc(asked)
    return quantile_cont(asked)


def _cont(values: list[Any], quantile: Fraction, sql_type: str) -> Plain:
    place = (len(values) - 1) * quantile
    low, high, part = values[math.floor(place)], values[math.ceil(place)], place - math.floor(place)
    if isinstance(low, Decimal):
        return Plain(_nearest(exactly(low) + (exactly(high) - exactly(low)) * part, -int(low.as_tuple().exponent)))
    if isinstance(low, date | time):
        return _cont_time(low, high, part, len(values))
    if not (is_finite(low) and is_finite(high)):
        return Plain(low) if not part else Plain(None, fits=lambda s: not is_finite(s))
    size = 2.0**-22 if sql_type == "FLOAT" else 2 * ROUNDING  # FLOAT stays FLOAT
    off = size * max(abs(float(low)), abs(float(high)))
    return rounded(exactly(low) + (exactly(high) - exactly(low)) * part, off)


def _nearest(exact: Fraction, scale: int) -> Decimal:
    """Rounded to a decimal's scale, halves away from 0."""
    digits = math.floor(abs(exact) * 10**scale + Fraction(1, 2))
    return Decimal((exact < 0 and digits > 0, tuple(map(int, str(digits))), -scale))


def _cont_time(low: Any, high: Any, part: Fraction, count: int) -> Plain:
    """To the microsecond, whose rounding is left open: the place between the two is a double, as large as the group."""
    start, end = _micros(low), _micros(high)
    exact = start + (end - start) * part

    def fits(served: Any) -> bool:
        return abs(_micros(served) - exact) <= 1 + abs(end - start) * Fraction(count, 2**51)

    return Plain(low if not part else (low, high), fits=fits)


def _micros(value: Any) -> int:
    """Microseconds since 1970, or since midnight."""
    if isinstance(value, time):
        return _micros(datetime.combine(date(1970, 1, 1), value))
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    since: timedelta = value.replace(tzinfo=value.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return since // timedelta(microseconds=1)


def approx_quantile(asked: Asked) -> Plain:
    """A value whose rank is within the digest's bound; none over infinities and NaN, which are left out."""
    values = sorted((value for value in asked.numbers if is_finite(value)), key=ordering)
    if not values:
        return Plain(None)
    return _for_each(asked, lambda quantile: _about(values, quantile))


def _allowed(quantile: Fraction) -> Fraction:
    outer = min(quantile, 1 - quantile)
    return Fraction(3, 1000) if outer < Fraction(1, 100) else Fraction(1 if outer < Fraction(1, 10) else 2, 100)


def _about(values: list[Any], quantile: Fraction) -> Plain:
    """Between the values at both ends of the bound, and one more on each side: a digest interpolates."""
    count, off = len(values), _allowed(quantile)
    low = values[max(math.floor((quantile - off) * count) - 1, 0)]
    high = values[min(math.ceil((quantile + off) * count), count - 1)]
    if isinstance(low, date | time):
        tick = 1 if isinstance(low, time | datetime) else 86_400_000_000
        start, end = _micros(low) - tick, _micros(high) + tick
        return Plain((low, high), fits=lambda s: start <= _micros(s) <= end)
    unit = Fraction(10) ** int(low.as_tuple().exponent) if isinstance(low, Decimal) else Fraction(isinstance(low, int))
    slack = [unit + Fraction(2, 10**7) * abs(exactly(value)) for value in (low, high)]
    least, most = exactly(low) - slack[0], exactly(high) + slack[1]
    return Plain((low, high), fits=lambda s: is_finite(s) and least <= exactly(s) <= most)


# --- frequencies -----------------------------------------------------------------------------------------


def counted(asked: Asked) -> list[tuple[Any, int]]:
    """Distinct values in order, and how often each comes."""
    counts = Counter(ordering(value) for value in asked.known)
    return [(value, counts[ordering(value)]) for value in distinct(asked.known)]


def approx_top_k(asked: Asked) -> Plain:
    """The k most frequent, the lesser first of equally frequent ones; beyond the capacity, any that are frequent."""
    pairs = counted(asked)
    often = sorted(pairs, key=lambda pair: -pair[1])[: asked.constants[0]]
    values = [value for value, _ in often]
    if not pairs or len(pairs) <= CAPACITY:
        return Plain(values or None)
    counts = {ordering(value): count for value, count in pairs}
    off = sum(counts.values()) / (CAPACITY + 1)

    def fits(served: Any) -> bool:
        named = [counts.get(ordering(value), 0) for value in served]
        missed = [count for value, count in often if ordering(value) not in set(map(ordering, served))]
        enough = len(served) == len(often) or all(count <= off for count in missed)
        return enough and all(one >= max(missed, default=0) - off for one in named)

    return Plain(values, fits=fits)


def _limited(asked: Asked, value: Callable[[list[tuple[Any, int]]], Plain]) -> Plain:
    pairs = counted(asked)
    return Plain(OUT_OF_RANGE) if len(pairs) > DISTINCT_LIMIT else value(pairs)


def mode(asked: Asked) -> Plain:
    """The most frequent value, the least of equally frequent ones."""
    return _limited(asked, lambda pairs: Plain(max(pairs, key=lambda pair: pair[1])[0] if pairs else None))


def entropy(asked: Asked) -> Plain:
    """In bits; 0 over nothing."""

    def value(pairs: list[tuple[Any, int]]) -> Plain:
        total = sum(count for _, count in pairs)
        bits = math.fsum(count / total * math.log2(total / count) for _, count in pairs)
        return Plain(bits, 1e-12 * (1 + bits))

    return _limited(asked, value)


def histogram(asked: Asked) -> Plain:
    """How many of each value; with bounds, how many above one bound up to the next, and above all."""
    if not asked.constants:
        return _limited(asked, lambda pairs: Plain(pairs or None))
    bounds, values = _bounds(asked), [value for value in asked.numbers]
    if not values:
        return Plain(None)
    keys = [ordering(bound) for bound in bounds]
    counts = [0] * (len(keys) + 1)
    for value in values:
        counts[next((n for n, key in enumerate(keys) if ordering(value) <= key), len(keys))] += 1
    kept = counts if counts[-1] else counts[:-1]

    def fits(served: Any) -> bool:
        """Bins of times are named by text, and what is above all has a name that its type decides."""
        if served is None or [count for _, count in served] != kept:
            return False
        named = [key for key, _ in served][: len(bounds)]
        return all(isinstance(key, str) or equal(bound, key, 1e-6) for bound, key in zip(bounds, named, strict=True))

    return Plain(list(zip([*bounds, None], kept, strict=False)), fits=fits)


def _bounds(asked: Asked) -> list[Any]:
    """Distinct, in order, as numbers of the argument's type are compared with them."""
    values = asked.constants[0]
    if asked.type in ("FLOAT", "DOUBLE"):
        values = [float(value) for value in values]
    elif not isinstance(asked.known[0] if asked.known else "", str | date | time):
        values = [_whole(value) if asked.type.endswith("INT") or asked.type == "INTEGER" else value for value in values]
    return [canonical(value) for value in distinct(values)]


def _whole(value: Any) -> int:
    """As the kernel makes a whole number of a decimal: the nearest, halves away from 0."""
    return int(_nearest(exactly(value), 0))
