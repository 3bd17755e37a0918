"""Values as Python has them: how they are put in order, when two are equal, and what an answer may be.

A value is what comes out of Arrow: None, bool, int, float, Decimal, str, bytes, dates and times, lists, and structs as
dicts; a map is a list of pairs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

EPSILON: Final = 2.0**-53
"""Half a unit in the last place of a double, relative to it."""

ROUNDING: Final = 16 * EPSILON
"""What a few operations in DOUBLE may round away of a value that does not cancel."""

OUT_OF_RANGE: Final = "VALUE_OUT_OF_RANGE"
"""In place of a value: the group has none, and asking for it is this error."""


@dataclass(frozen=True)
class Asked:
    """One group of one aggregate."""

    types: tuple[str, ...]
    """Of its arguments."""

    constants: tuple[Any, ...]
    """Their values."""

    rows: Sequence[tuple[Any, ...]]
    """The arguments of every event that FILTER leaves."""

    places: Sequence[Any] = ()
    """Beside them: each event's place in the order of events, for those whose answer depends on it."""

    @property
    def type(self) -> str:
        """The first argument's type."""
        return self.types[0]

    @property
    def known(self) -> list[Any]:
        """The first argument's values without NULL, -0.0 as 0.0."""
        return [canonical(row[0]) for row in self.rows if row[0] is not None]

    @property
    def numbers(self) -> list[Any]:
        """The same as numbers: decimals that stand for whole numbers as int."""
        return [number(value, self.type) for value in self.known]


@dataclass(frozen=True)
class Plain:
    """What an aggregate answers."""

    value: Any

    off: float = 0.0
    """By how much a number may differ and be right all the same: 0 where it is exact, else what rounding may do, or a
    sketch's bound."""

    fits: Callable[[Any], bool] | None = field(default=None, compare=False)
    """The rule where that is no distance."""

    or_error: bool = False
    """Whether the error VALUE_OUT_OF_RANGE is right, too (values near the ends of DOUBLE)."""

    def agrees(self, served: Any) -> bool:
        """Whether a served value, or OUT_OF_RANGE, is right."""
        if isinstance(served, str) and served == OUT_OF_RANGE and self.or_error:
            return True
        if self.fits is not None:
            return self.fits(served)
        return equal(self.value, served, self.off)


def rounded(value: Fraction | float, off: float, *, or_error: bool = False) -> Plain:
    """A number as DOUBLE."""
    return Plain(double(value), off, or_error=or_error)


def anything(value: Any = None) -> Plain:
    """Where the order of roundings decides: every answer is right."""
    return Plain(value, fits=lambda _: True, or_error=True)


def double(value: Fraction | float) -> float:
    """The nearest double; an infinity beyond."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def number(value: Any, sql_type: str) -> Any:
    """A HUGEINT comes out of Arrow as a decimal, and out of text as text."""
    return int(value) if sql_type == "HUGEINT" else value


def exactly(value: Any) -> Fraction:
    """A finite number, or a truth value, without rounding."""
    return Fraction(value)


def is_finite(value: Any) -> bool:
    """Whether a number is neither an infinity nor NaN."""
    return not isinstance(value, float) or math.isfinite(value)


def ordering(value: Any) -> tuple[Any, ...]:
    """A key that sorts values as the kernel does, and is the same for equal ones: NULL above all, NaN above every other
    number, texts by their bytes, lists and structs from left to right."""
    if value is None:
        return (2,)
    if isinstance(value, float):
        return (1,) if math.isnan(value) else (0, value + 0.0)
    if isinstance(value, dict):
        return (0, tuple(map(ordering, value.values())))
    if isinstance(value, list | tuple):
        return (0, tuple(map(ordering, value)))
    return (0, value)


def canonical(value: Any) -> Any:
    """-0.0 as 0.0, inside lists and structs, too."""
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, list):
        return [canonical(one) for one in value]
    if isinstance(value, dict):
        return {name: canonical(one) for name, one in value.items()}
    return value


def distinct(values: Iterable[Any]) -> list[Any]:
    """The distinct values, in order."""
    found = {ordering(value): value for value in values}
    return [found[key] for key in sorted(found)]


def equal(mine: Any, served: Any, off: float = 0.0) -> bool:
    """Equal, or numbers within `off` of each other; NaN equals itself, -0.0 equals 0.0."""
    if isinstance(mine, list | tuple) and isinstance(served, list | tuple):
        return len(mine) == len(served) and all(equal(a, b, off) for a, b in zip(mine, served, strict=True))
    if isinstance(mine, dict) and isinstance(served, dict):
        return mine.keys() == served.keys() and all(equal(mine[name], served[name], off) for name in mine)
    if _is_number(mine) and _is_number(served):
        if not (is_finite(mine) and is_finite(served)):
            return ordering(float(mine)) == ordering(float(served))
        return bool(mine == served) or abs(exactly(mine) - exactly(served)) <= off
    return type(mine) is type(served) and bool(mine == served)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
