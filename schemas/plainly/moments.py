"""Variance, shape, covariance, correlation and regression: in fractions, rounded once."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from seamline.schemas.plainly.values import (
    OUT_OF_RANGE,
    Asked,
    Plain,
    anything,
    double,
    exactly,
    is_finite,
    rounded,
)

OFF = 1e-9
"""How far these may be off, relative to their value, or to what cancels in it."""

LEAST, MOST = Fraction(1, 10**290), Fraction(10) ** 290
"""Powers of deviations outside are near the ends of DOUBLE: digits or the value itself may be lost there."""


def _floats(values: list[Any]) -> list[float]:
    return [float(value) for value in values]


def _powers(values: list[float], power: int) -> Fraction:
    mean = sum(map(exactly, values), Fraction()) / len(values)
    return sum(((exactly(value) - mean) ** power for value in values), Fraction())


def _unsafe(*sums: Fraction) -> bool:
    return any(one and not LEAST < abs(one) < MOST for one in sums)


def _root(value: Fraction) -> float:
    """The square root, without leaving the range of DOUBLE on the way."""
    if not value:
        return 0.0
    shift = (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    return math.ldexp(math.sqrt(value / Fraction(4) ** shift), shift)


# --- one argument ----------------------------------------------------------------------------------------


def variance(*, sample: bool = False, root: bool = False) -> Callable[[Asked], Plain]:
    """Variance or standard deviation; NULL below one value, of a sample below two."""

    def evaluate(asked: Asked) -> Plain:
        values = _floats(asked.numbers)
        if len(values) < 1 + sample:
            return Plain(None)
        if len(values) == 1:
            return Plain(0.0)
        if not all(map(math.isfinite, values)):
            return Plain(math.nan)
        squares = _powers(values, 2)
        exact = squares / (len(values) - sample)
        found = _root(exact) if root else double(exact)
        return anything(found) if _unsafe(squares) else Plain(found, OFF * found)

    return evaluate


def skewness(asked: Asked) -> Plain:
    """Of the sample; NULL below three values, or where all are equal."""
    values = _floats(asked.numbers)
    n = len(values)
    if (odd := _odd(values, 3)) is not None:
        return odd
    m2, m3, m4 = (_powers(values, power) for power in (2, 3, 4))
    if _unsafe(m2, m3, m2**3):
        return anything()
    found = math.sqrt(n * (n - 1)) / (n - 2) * double(m3 / m2) / _root(m2) * math.sqrt(n)
    return Plain(found, _shape_off(found, m2, m4, n))


def kurtosis(asked: Asked) -> Plain:
    """Excess kurtosis of the sample; NULL below four values, or where all are equal."""
    values = _floats(asked.numbers)
    n = len(values)
    if (odd := _odd(values, 4)) is not None:
        return odd
    m2, m4 = _powers(values, 2), _powers(values, 4)
    if _unsafe(m2, m4, m2**2):
        return anything()
    exact = Fraction(n - 1, (n - 2) * (n - 3)) * ((n + 1) * (m4 * n / m2**2 - 3) + 6)
    return rounded(exact, _shape_off(double(exact), m2, m4, n))


def kurtosis_pop(asked: Asked) -> Plain:
    """Excess kurtosis of the population; NULL below two values, or where all are equal."""
    values = _floats(asked.numbers)
    if (odd := _odd(values, 2)) is not None:
        return odd
    m2, m4 = _powers(values, 2), _powers(values, 4)
    if _unsafe(m2, m4, m2**2):
        return anything()
    exact = m4 * len(values) / m2**2 - 3
    return rounded(exact, _shape_off(double(exact), m2, m4, len(values)))


def _odd(values: list[float], least: int) -> Plain | None:
    """What there is to say where no shape can be computed."""
    if len(values) < least:
        return Plain(None)
    if not all(map(math.isfinite, values)):
        return Plain(OUT_OF_RANGE)
    return Plain(None) if len(set(values)) == 1 else None


def _shape_off(found: float, m2: Fraction, m4: Fraction, n: int) -> float:
    return 4 * OFF * (abs(found) + 3 + _root(m4 * n / m2**2))


# --- two arguments: y, x ---------------------------------------------------------------------------------


class Pairs:
    """The pairs without NULL, and sums of products of their deviations."""

    def __init__(self, asked: Asked) -> None:
        pairs = [(y, x) for y, x in asked.rows if y is not None and x is not None]
        self.n = len(pairs)
        self.y, self.x = ([float(pair[at]) for pair in pairs] for at in (0, 1))

    def is_finite(self, *sides: list[float]) -> bool:
        """Whether no infinity or NaN is there, in both or in one."""
        return all(is_finite(value) for side in sides or (self.y, self.x) for value in side)

    def is_flat(self, side: list[float]) -> bool:
        """Whether all values are equal; one alone is, whatever it is."""
        return self.n == 1 or (len(set(side)) == 1 and self.is_finite(side))

    def product(self, one: list[float], other: list[float]) -> Fraction:
        """The sum of products of deviations."""
        means = [sum(map(exactly, side), Fraction()) / self.n for side in (one, other)]
        pairs = zip(one, other, strict=True)
        return sum(((exactly(a) - means[0]) * (exactly(b) - means[1]) for a, b in pairs), Fraction())


def _paired(value: Callable[[Pairs], Plain], least: int = 1) -> Callable[[Asked], Plain]:
    def evaluate(asked: Asked) -> Plain:
        pairs = Pairs(asked)
        return Plain(None) if pairs.n < least else value(pairs)

    return evaluate


def _spread(pairs: Pairs) -> float:
    return _root(pairs.product(pairs.y, pairs.y) * pairs.product(pairs.x, pairs.x))


def _codeviation(divisor: Callable[[int], int]) -> Callable[[Pairs], Plain]:
    def value(pairs: Pairs) -> Plain:
        if not pairs.is_finite():
            return Plain(math.nan)
        if pairs.is_flat(pairs.y) or pairs.is_flat(pairs.x):
            return Plain(0.0)
        exact = pairs.product(pairs.y, pairs.x)
        if _unsafe(pairs.product(pairs.y, pairs.y), pairs.product(pairs.x, pairs.x)):
            return anything()
        n = divisor(pairs.n)
        return rounded(exact / n, 4 * OFF * (_spread(pairs) / n))

    return value


covar_pop = _paired(_codeviation(lambda n: n))
covar_samp = _paired(_codeviation(lambda n: n - 1), 2)
regr_sxy = _paired(_codeviation(lambda n: 1))


def _deviation(side: Callable[[Pairs], list[float]]) -> Callable[[Pairs], Plain]:
    def value(pairs: Pairs) -> Plain:
        values = side(pairs)
        if pairs.is_flat(values):
            return Plain(0.0)
        if not pairs.is_finite(values):
            return Plain(math.nan)
        exact = pairs.product(values, values)
        return anything() if _unsafe(exact) else rounded(exact, OFF * double(exact))

    return value


regr_sxx = _paired(_deviation(lambda pairs: pairs.x))
regr_syy = _paired(_deviation(lambda pairs: pairs.y))


def _mean(side: Callable[[Pairs], list[float]]) -> Callable[[Pairs], Plain]:
    def value(pairs: Pairs) -> Plain:
        values = side(pairs)
        if len(set(values)) == 1:
            return Plain(values[0])
        if not pairs.is_finite(values):
            return Plain(sum(value for value in values if not is_finite(value)))
        exact = sum(map(exactly, values), Fraction()) / pairs.n
        return rounded(exact, OFF * max(map(abs, values)), or_error=_unsafe(pairs.product(values, values)))

    return value


regr_avgx = _paired(_mean(lambda pairs: pairs.x))
regr_avgy = _paired(_mean(lambda pairs: pairs.y))


def regr_count(asked: Asked) -> Plain:
    """Pairs without NULL."""
    return Plain(Pairs(asked).n)


def _corr(pairs: Pairs) -> Plain:
    if not pairs.is_finite() or pairs.is_flat(pairs.y) or pairs.is_flat(pairs.x):
        return Plain(math.nan)
    squares = [pairs.product(side, side) for side in (pairs.y, pairs.x)]
    if _unsafe(*squares):
        return anything()
    return Plain(double(pairs.product(pairs.y, pairs.x) / 1) / _spread(pairs), 4 * OFF)


corr = _paired(_corr)


def _r2(pairs: Pairs) -> Plain:
    if pairs.is_flat(pairs.x):
        return Plain(None)
    if pairs.is_flat(pairs.y):
        return Plain(1.0)
    found = _corr(pairs)
    return found if found.fits else Plain(found.value**2, 8 * OFF)


regr_r2 = _paired(_r2)


def _slope(pairs: Pairs) -> Plain:
    if not pairs.is_finite() or pairs.is_flat(pairs.x):
        return Plain(math.nan)
    if pairs.is_flat(pairs.y):
        return Plain(0.0)
    sxx, syy = pairs.product(pairs.x, pairs.x), pairs.product(pairs.y, pairs.y)
    if _unsafe(sxx, syy):
        return anything()
    return rounded(pairs.product(pairs.y, pairs.x) / sxx, 4 * OFF * _root(syy / sxx))


def _intercept(pairs: Pairs) -> Plain:
    if not pairs.is_finite() or pairs.is_flat(pairs.x):
        return Plain(None)
    sxx, syy = pairs.product(pairs.x, pairs.x), pairs.product(pairs.y, pairs.y)
    if _unsafe(sxx, *([syy] if not pairs.is_flat(pairs.y) else [])):
        return anything()
    means = [sum(map(exactly, side), Fraction()) / pairs.n for side in (pairs.y, pairs.x)]
    exact = means[0] - pairs.product(pairs.y, pairs.x) / sxx * means[1]
    height = max(map(abs, pairs.y)) + _root(syy / sxx) * max(map(abs, pairs.x))
    return rounded(exact, 4 * OFF * height)


regr_slope, regr_intercept = _paired(_slope), _paired(_intercept)
