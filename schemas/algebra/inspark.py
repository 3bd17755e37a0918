"""What entries say in Spark SQL, where it gives the kernel's own answer: for engines that have no Seamline at hand.

Nothing in these texts depends on Spark's ANSI mode: what could overflow is put together as text, and a value out of
range is an error by its own word, never NULL or a rounded number.
"""

from __future__ import annotations

from seamline.floats import LEAST, PLACES
from seamline.schemas.algebra.forms import InSpark, decimal_of

SAME_DIGITS = "relative 1e-15: the kernel divides in more digits than DOUBLE has, and Spark does not"

_LIMB = "10000000000000000000"


def is_scalar(sql_type: str) -> bool:
    """Whether Spark orders values of a type as the kernel does: in lists and structs, it has NULL in another place."""
    return not sql_type.endswith(("[]", ")")) or decimal_of(sql_type) is not None


def merged(function: str) -> InSpark:
    """One partial column that is merged by an aggregate of Spark's, and is the answer."""
    return InSpark({"": f"{function}({{c}})"})


def _let(value: str, name: str, body: str) -> str:
    """`body` with a name for a value, which is computed once."""
    return f"transform(array({value}), {name} -> {body})[0]"


def wide_text(scale: int) -> str:
    """The text of {high} * 10**19 + {low} units of 10**-scale, every digit of it: that may be more than 38.

    It is brought to h * 10**19 + l with 0 <= l < 10**19, and from there to what is put after a sign. A sign is taken
    off the text: Spark's unary minus and abs() keep 34 digits of a decimal.
    """
    borrow = f"CASE WHEN {{low}} % {_LIMB} < 0 THEN 1 ELSE 0 END"
    even = (
        f"named_struct('h', {{high}} + ({{low}} div {_LIMB}) - {borrow}, 'l', {{low}} % {_LIMB} + {borrow} * {_LIMB})"
    )
    below = _joined("v.h + 1", f"{_LIMB} - v.l")
    digits = f"CASE WHEN v.h < 0 AND v.l > 0 THEN {below} ELSE {_joined('v.h', 'v.l')} END"
    if scale:
        padded = f"concat(repeat('0', {scale}), {digits})"
        digits = _let(padded, "d", f"concat(left(d, length(d) - {scale}), '.', right(d, {scale}))")
    return _let(even, "v", f"concat(CASE WHEN v.h < 0 THEN '-' ELSE '' END, {digits})")


def _joined(high: str, low: str) -> str:
    return f"concat(replace(CAST({high} AS STRING), '-', ''), lpad(CAST({low} AS STRING), 19, '0'))"


def wide_sum(scale: int) -> InSpark:
    """A sum in two limbs: an error where it does not fit DECIMAL(38,scale)."""
    result = f"DECIMAL(38,{scale})"
    said = f"'VALUE_OUT_OF_RANGE: column {{column}}: a sum does not fit {result}'"
    value = f"coalesce(try_cast({wide_text(scale)} AS {result}), CAST(raise_error({said}) AS {result}))"
    limbs = {"high": "sum({c})", "low": "sum({c})"}
    return InSpark(limbs, f"CASE WHEN {{high}} IS NOT NULL THEN {value} END")


def average(total: str, *sums: str, bound: str = SAME_DIGITS) -> InSpark:
    """`total` as DOUBLE, divided by the partial column `count`."""
    merges = {**dict.fromkeys(sums, "sum({c})"), "count": "coalesce(sum({c}), 0)"}
    value = f"CASE WHEN {{count}} > 0 THEN CAST({total} AS DOUBLE) / CAST({{count}} AS DOUBLE) END"
    return InSpark(merges, value, bound)


def extreme_by(name: str, *types: str) -> InSpark | None:
    """The x of the least or greatest {y, x}, neither of which is NULL."""
    return InSpark({"": f"{name}({{c}})"}, "{}.x") if all(map(is_scalar, types)) else None


def earliest(name: str, sql_type: str) -> InSpark | None:
    """The x of the least or greatest {time and position, x}; NULL is above every x, as in the kernel."""
    if not is_scalar(sql_type):
        return None
    placed = "named_struct('a', {c}.a, 'n', {c}.x IS NULL, 'x', {c}.x)"
    return InSpark({"": f"{name}(CASE WHEN {{c}} IS NOT NULL THEN {placed} END)"}, "{}.x")


def count_distinct(sql_type: str, limit: int, many: str) -> InSpark | None:
    """How many values are in the union of sorted lists, each of at most one more than the limit."""
    if not is_scalar(sql_type):
        return None
    said = f"'VALUE_OUT_OF_RANGE: column {{column}}: more than {limit:,} {many}'"
    value = f"CASE WHEN {{}} > {limit} THEN CAST(raise_error({said}) AS BIGINT) ELSE {{}} END"
    return InSpark({"": "CAST(size(array_distinct(flatten(collect_list({c})))) AS BIGINT)"}, value)


FLOAT_BOUND = "relative 1e-14 of the sum of absolute values: Spark adds the digits of the exact sum as doubles"


_NEAR = " + ".join(
    f"CAST({{{digit}}} AS DOUBLE) * {2.0**bits!r}D" for digit, bits in (("high", 6), ("middle", -54), ("low", -114))
)
"""The sum's three digits, from units of 2**6, 2**-54 and 2**-114."""

_DIGITS_OF_REST = (
    f"transform(sequence(0, {PLACES - 1}), i -> aggregate({{rest}}, CAST(0 AS DECIMAL(38,0)),"
    " (a, r) -> CAST(a + r[i] AS DECIMAL(38,0))))"
)
_OF_DIGIT = f"CAST(d[i] AS DOUBLE) * power(2D, 30 * i - {-LEAST // 2}) * power(2D, 30 * i - {-LEAST // 2})"
"""In two steps: the units of the highest digits are more than a double holds."""

_FAR = (
    f"CASE WHEN d[{PLACES - 1}] > 0 OR (d[{PLACES - 3}] > 0 AND d[{PLACES - 2}] > 0) THEN DOUBLE('NaN')"
    f" WHEN d[{PLACES - 3}] > 0 THEN DOUBLE('Infinity') WHEN d[{PLACES - 2}] > 0 THEN DOUBLE('-Infinity')"
    f" ELSE aggregate(sequence(0, {PLACES - 4}), coalesce({_NEAR}, 0D),"
    f" (a, i) -> a + CASE WHEN d[i] = 0 THEN 0D ELSE {_OF_DIGIT} END) END"
)


def _float_total() -> str:
    """The three digits, and where there were values beyond them, the others and what is no number (seamline.floats)."""
    return f"CASE WHEN size({{rest}}) = 0 THEN {_NEAR} ELSE {_let(_DIGITS_OF_REST, 'd', _FAR)} END"


_FLOAT_MERGES = {**dict.fromkeys(("high", "middle", "low"), "sum({c})"), "rest": "collect_list({c})"}


def float_sum() -> InSpark:
    """A sum of doubles."""
    return InSpark(_FLOAT_MERGES, _float_total(), FLOAT_BOUND)


def float_average() -> InSpark:
    """An average of doubles."""
    merges = {**_FLOAT_MERGES, "count": "coalesce(sum({c}), 0)"}
    value = f"CASE WHEN {{count}} > 0 THEN ({_float_total()}) / CAST({{count}} AS DOUBLE) END"
    return InSpark(merges, value, FLOAT_BOUND)
