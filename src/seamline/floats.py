"""Sums of DOUBLE that do not depend on order, in SQL: whole numbers are added, and only the last step rounds.

A double is a whole number of units of 2**-1074, and whole numbers add up exactly in any order. It is written in digits
of 60 bits: digit b counts units of 2**(60 b - 114), from b = -16 (2**-1074) to 20. Of nearly all values only the digits
2, 1 and 0 are not zero: 0 itself, and whatever lies between 2**-62 and 2**66 (2e-19 and 7e19) in size. These three are
ordinary sums of whole numbers: `high`, `middle` and `low`. Of values beyond, all other digits are added up in a list,
`rest`, and how many are inf, -inf and NaN; it is NULL where there are none. It is a superaccumulator (Neal,
arXiv:1505.05571) of which the digits that are used are kept apart.

2**62 values keep every sum within 38 decimal digits. The result is the exact sum rounded once, to even, as by
math.fsum; beyond the largest double it is infinite; inf, -inf and NaN add up as IEEE 754 says; a zero is +0.
"""

from __future__ import annotations

BITS, UNIT = 60, 114
"""Of a digit, and of what digit 0 counts."""

FIRST, LAST = -16, 20
"""Digits, from the least bit of a double to more than the greatest sum."""

SPECIAL = ("x = 'inf'::DOUBLE", "x = '-inf'::DOUBLE", "isnan(x)")
"""What is counted after the digits."""

REST = "DECIMAL(38,0)[]"
"""The type of `rest`: the digits' sums, the lowest first, and the counts."""

_END = LAST + len(SPECIAL) + 1

LEAST = BITS * FIRST - UNIT
"""The units of the lowest digit are 2**LEAST: the least bit of a double."""

PLACES = _END - FIRST
"""How many elements `rest` has."""

_NUMBER = LAST - FIRST + 1
_BASE = f"{2**BITS}::HUGEINT"
_MASK = f"{2**BITS - 1}::HUGEINT"

# --- from values to digits -------------------------------------------------------------------------------


def _scaled(bits: int) -> str:
    return f"x::DOUBLE * {2.0**bits!r}::DOUBLE"


def _below(bits: int) -> str:
    """What is left of a value in units of 2**-bits, once the next higher digit is taken off: exact."""
    return f"{_scaled(bits)} - trunc({_scaled(bits - BITS)}) * {2**BITS}::DOUBLE"


_HIGH = f"TRY_CAST(trunc({_scaled(UNIT - 2 * BITS)}) AS BIGINT)"
_MIDDLE = f"TRY_CAST(trunc({_below(UNIT - BITS)}) AS BIGINT)"
_LOW = f"TRY_CAST({_below(UNIT)} AS BIGINT)"
_BEYOND = f"abs(x) > {2.0**66!r}::DOUBLE OR (abs(x) < {2.0**-62!r}::DOUBLE AND x <> 0)"

_OF_PLACE = f"trunc(x * root * root) - trunc(x * root * root * {2.0**-BITS!r}) * {2**BITS}::DOUBLE"
_HELD = "CASE b WHEN 2 THEN _float_high(x) WHEN 1 THEN _float_middle(x) WHEN 0 THEN _float_low(x) ELSE 0 END"
_DIGIT = f"coalesce(TRY_CAST({_OF_PLACE} AS BIGINT), 0)::HUGEINT - coalesce({_HELD}, 0)"
"""Of a value beyond: a digit, less what the three sums hold of it already. `root` is the square root of the digit's
units in 1: their number itself may be more than a double."""


def _place(function: str) -> str:
    return f"floor((log2(list_{function}(list_transform(f__, lambda x__: abs(x__)))) + {UNIT}) / {BITS})"


_SUMS = (
    f"list_transform([pow(2::DOUBLE, {UNIT // 2} - {BITS // 2} * b__)], lambda r__:"
    " list_sum(list_transform(v__.f, lambda x__: _float_digit(x__, b__, r__))))[1]"
)
_COUNTS = ", ".join(f"len(list_filter(xs, lambda x: {special}))::HUGEINT" for special in SPECIAL)
_FINITE_ONES = "list_transform(list_filter(xs, lambda x__: isfinite(x__)), lambda x__: x__::DOUBLE)"
_REST = (
    f"list_transform(list_transform([{_FINITE_ONES}], lambda f__: {{'f': f__, 'least': {_place('min')} - 1, 'most':"
    f" {_place('max')} + 1}}), lambda v__: list_concat(list_transform(range({FIRST}, {LAST + 1}), lambda b__:"
    f" CASE WHEN b__ BETWEEN v__.least AND v__.most THEN {_SUMS} ELSE 0 END), [{_COUNTS}]))[1]::{REST}"
)
"""Digits that no value of the list reaches are not looked at."""

_ADDED = f"list_transform(range(1, {PLACES + 1}), lambda i__: list_sum(list_transform(rests, lambda r__: r__[i__])))"

# --- from digits to a double -----------------------------------------------------------------------------

_TWO = f"high::HUGEINT * {_BASE} + middle::HUGEINT + (low::HUGEINT >> {BITS})"
_LEFT = f"(low::HUGEINT & {_MASK})"
_NEAR = (
    f"list_transform([{_TWO}], lambda t__: CASE WHEN abs(t__) < {2**58} THEN (t__ * {_BASE} + {_LEFT})::DOUBLE"
    f" * {2.0**-UNIT!r} ELSE (2 * t__ + ({_LEFT} <> 0)::INTEGER)::DOUBLE * {2.0 ** (BITS - UNIT - 1)!r} END)[1]"
)
"""What does not fit into one HUGEINT has bits to spare below a double's: there, an odd last bit stands for whatever is
left, and rounds as it does."""

_HELD_APART = " ".join(
    f"WHEN {digit + 1 - FIRST} THEN coalesce({name}, 0)" for digit, name in enumerate(("low", "middle", "high"))
)
_ALL = (
    f"list_transform(range(1, {_NUMBER + 1}), lambda i__: {{'c': coalesce(rest[i__], 0)::HUGEINT"
    f" + CASE i__ {_HELD_APART} ELSE 0 END::HUGEINT, 'd': []::HUGEINT[]}})"
)
_OVER = f"((a__.c + e__.c + {2 ** (BITS - 1)}) >> {BITS})"
_PROPER = (
    f"list_reduce({_ALL}, lambda a__, e__: {{'c': {_OVER},"
    f" 'd': list_append(a__.d, a__.c + e__.c - {_OVER} * {_BASE})}}, {{'c': 0::HUGEINT, 'd': []::HUGEINT[]}}).d"
)
"""Digits from -2**59 on and below 2**59, the lowest first: the highest that is not 0 has the sum's sign."""

_SIGN = "CASE WHEN t__ > 2 THEN sign(coalesce(list_filter(d__[1:t__ - 2], lambda z__: z__ <> 0)[-1], 0)) ELSE 0 END"
_HIGHEST = (
    f"(2 * (d__[t__] * {_BASE} + coalesce(d__[t__ - 1], 0)) + {_SIGN}::HUGEINT)::DOUBLE * {2.0 ** (-BITS - 1)!r}"
    f" * pow(2::DOUBLE, {BITS} * (t__ + {FIRST - 1}) - {UNIT})"
)
_TOP = f"list_max(list_filter(range(1, {_NUMBER + 1}), lambda i__: d__[i__] <> 0))"
_FINITE = (
    f"list_transform([{_PROPER}], lambda d__: list_transform([{_TOP}], lambda t__: coalesce({_HIGHEST}, 0))[1])[1]"
)
_INF, _MINUS, _NAN = (f"rest[{_NUMBER + n}] > 0" for n in (1, 2, 3))
_WHOLE = (
    f"CASE WHEN {_NAN} OR ({_INF} AND {_MINUS}) THEN 'NaN'::DOUBLE WHEN {_INF} THEN 'inf'::DOUBLE"
    f" WHEN {_MINUS} THEN '-inf'::DOUBLE ELSE {_FINITE} END"
)

_LISTED = (
    "{"
    + ", ".join(f"'{n}': list_sum(list_transform(xs, lambda x__: _float_{n}(x__)))" for n in ("high", "middle", "low"))
    + ", 'rest': list_filter(xs, lambda x__: _float_beyond(x__))}"
)
_LIST = (
    f"list_transform([{_LISTED}], lambda s__: _float_sum(s__.high, s__.middle, s__.low,"
    " CASE WHEN len(s__.rest) > 0 THEN _float_rest(s__.rest) END))[1]"
)

MACROS = (
    f"_float_high(x) AS {_HIGH}",
    f"_float_middle(x) AS {_MIDDLE}",
    f"_float_low(x) AS {_LOW}",
    f"_float_beyond(x) AS {_BEYOND}",
    f"_float_digit(x, b, root) AS {_DIGIT}",
    f"_float_rest(xs) AS CASE WHEN xs IS NOT NULL THEN {_REST} END",
    f"_float_added(rests) AS CASE WHEN rests IS NOT NULL THEN {_ADDED} END::{REST}",
    f"_float_sum(high, middle, low, rest) AS CASE WHEN rest IS NULL AND (high IS NULL OR abs(high) < {2**64}::HUGEINT)"
    f" THEN {_NEAR} ELSE {_WHOLE} END",
    f"_float_list(xs) AS {_LIST}",
)
"""What statements over DOUBLE call, each after CREATE MACRO. Of a value: its three digits, and whether it is beyond
them; `_float_rest` is what a list of such values comes to, `_float_added` merges what several came to, `_float_sum`
finishes (NULL where there was no value), and `_float_list` is all of it for the elements of a list."""
