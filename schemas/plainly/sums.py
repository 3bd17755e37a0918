"""Counts, sums, averages and products, truth values and bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import and_, or_, xor
from typing import Any

from seamline.schemas.plainly.values import (
    OUT_OF_RANGE,
    ROUNDING,
    Asked,
    Plain,
    anything,
    distinct,
    double,
    exactly,
    rounded,
)

FLOATS = ("FLOAT", "DOUBLE")
PRODUCT_OFF = 1e-9
LARGEST = math.log2(1.7e308)
DISTINCT_VALUES = 1_000_000


def count(asked: Asked) -> Plain:
    """Rows, or those where the argument is not NULL."""
    return Plain(sum(not row or row[0] is not None for row in asked.rows))


def count_if(asked: Asked) -> Plain:
    """How many are true; NULL over no value."""
    return Plain(sum(asked.known) if asked.known else None)


def total(asked: Asked) -> Plain:
    """The sum: a decimal of 38 digits, or for floats a double."""
    return _total(asked, asked.numbers)


def total_distinct(asked: Asked) -> Plain:
    """The sum of the distinct values."""
    values = distinct(asked.numbers)
    return _total(asked, values) if len(values) <= DISTINCT_VALUES else Plain(OUT_OF_RANGE)


def _total(asked: Asked, values: list[Any]) -> Plain:
    if not values:
        return Plain(None)
    if asked.type in FLOATS:
        return _float_total(values)
    exact = sum(map(exactly, values), Fraction())
    scale = _scale(asked.type)
    if abs(exact) * 10**scale >= 10**38:
        return Plain(OUT_OF_RANGE)
    return Plain(_decimal(exact, scale))


def _float_total(values: list[float]) -> Plain:
    """The exact sum, rounded once; infinities and NaN add up as IEEE 754 says."""
    special = sum(value for value in values if not math.isfinite(value))
    return Plain(double(sum(map(exactly, values), Fraction())) if math.isfinite(special) else special)


def _scale(sql_type: str) -> int:
    return int(sql_type.rstrip(")").split(",")[1]) if sql_type.startswith("DECIMAL(") else 0


def _decimal(exact: Fraction, scale: int) -> Decimal:
    digits = int(exact * 10**scale)
    return Decimal((digits < 0, tuple(map(int, str(abs(digits)))), -scale))


def average(asked: Asked) -> Plain:
    """The arithmetic mean, as a double."""
    return _average(asked, asked.numbers)


def average_distinct(asked: Asked) -> Plain:
    """The mean of the distinct values."""
    values = distinct(asked.numbers)
    return _average(asked, values) if len(values) <= DISTINCT_VALUES else Plain(OUT_OF_RANGE)


def _average(asked: Asked, values: list[Any]) -> Plain:
    if not values:
        return Plain(None)
    if asked.type in FLOATS:
        return Plain(_float_total(values).value / len(values))
    mean = sum(map(exactly, values), Fraction()) / len(values)
    return rounded(mean, ROUNDING * abs(double(mean)))


def product(asked: Asked) -> Plain:
    """The product, as a double. Where a part of it leaves the range of DOUBLE, the order decides."""
    values = [float(value) for value in asked.numbers]
    if not values:
        return Plain(None)
    finite = [value for value in values if math.isfinite(value)]
    sizes = [math.log2(abs(value)) for value in finite if value]
    widest = max(sum(size for size in sizes if size > 0), -sum(size for size in sizes if size < 0))
    if widest > LARGEST or (0.0 in values and len(finite) < len(values)):
        return anything()
    if len(finite) < len(values):
        return Plain(math.prod(values))
    exact = math.prod(map(exactly, finite), start=Fraction(1))
    return rounded(exact, PRODUCT_OFF * abs(double(exact)))


def truth(of: Callable[[Iterable[Any]], bool]) -> Callable[[Asked], Plain]:
    """Whether all, or any, are true; NULL over no value."""
    return lambda asked: Plain(of(asked.known) if asked.known else None)


def bits(of: Callable[[int, int], int]) -> Callable[[Asked], Plain]:
    """Whole numbers, bit by bit; NULL over no value."""
    return lambda asked: Plain(reduce(of, asked.numbers) if asked.known else None)


bit_and, bit_or, bit_xor = bits(and_), bits(or_), bits(xor)
