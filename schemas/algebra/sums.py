"""Counts, sums, averages and products, truth values and bits: exact, and they cannot overflow on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from seamline.schemas.algebra import float_parts as floats
from seamline.schemas.algebra import inspark
from seamline.schemas.algebra.forms import (
    FLOATS,
    INTEGERS,
    NUMBERS,
    Aggregate,
    Call,
    Form,
    InSpark,
    Part,
    decimal_of,
    numeric,
    problem,
    single,
)

# --- count -----------------------------------------------------------------------------------------------

_ADDED = "coalesce(sum({c}), 0)::BIGINT"


def _count(_: Call) -> Form:
    return single(_ADDED, "BIGINT", "count({x}){filter}", "sum", spark=InSpark({"": "coalesce(sum({c}), 0)"}))


def _count_if(call: Call) -> Form | None:
    if call.type != "BOOLEAN":
        return None
    form = single(
        "sum({c})::BIGINT", "BIGINT", "sum(({x})::INTEGER){filter}::BIGINT", "sum", spark=inspark.merged("sum")
    )
    return replace(form, native="HUGEINT")


# --- sum -------------------------------------------------------------------------------------------------
#
# An integer of up to 64 bits summed over 2**63 rows stays below 10**38, so DECIMAL(38,0) cannot overflow; likewise
# a DECIMAL of up to 18 digits in DECIMAL(38,s). Wider values are split: unscaled = high * 10**19 + low,
# |low| < 10**19, both summed as DECIMAL(38,0). Floats: floats.py.

LIMB = "10000000000000000000::HUGEINT"


def unscaled(value: str) -> str:
    """A decimal's digits as a HUGEINT: exact for every scale, which arithmetic on decimals is not."""
    return f"replace({value}::VARCHAR, '.', '')::HUGEINT"


def _limbs(digits: str) -> tuple[Part, Part]:
    return (
        Part("high", f"sum({digits} // {LIMB}){{filter}}::DECIMAL(38,0)", "DECIMAL(38,0)", "sum({c})"),
        Part("low", f"sum({digits} % {LIMB}){{filter}}::DECIMAL(38,0)", "DECIMAL(38,0)", "sum({c})"),
    )


_JOINED = f"{{high}}::HUGEINT * {LIMB} + {{low}}::HUGEINT"


def scaled(digits: str, scale: int) -> str:
    """The DECIMAL(38,scale) whose unscaled value is `digits`, by putting a point into its text: nothing is rounded."""
    if scale == 0:
        return f"({digits})::DECIMAL(38,0)"
    padded = f"regexp_replace(({digits})::VARCHAR, '^(-?)', '\\1{'0' * 39}')"
    return f"regexp_replace({padded}, '(.{{{scale}}})$', '.\\1')::DECIMAL(38,{scale})"


def _wide_sum(digits: str, scale: int, native: str = "") -> Form:
    result = f"DECIMAL(38,{scale})"
    total = f"TRY({scaled(_JOINED, scale)})"
    said = problem(f"a sum of ' || {{high}}::VARCHAR || 'e19 units of 1e-{scale} does not fit {result}")
    value = f"CASE WHEN {{high}} IS NOT NULL THEN coalesce({total}, ({said})::{result}) END"
    check = f"CASE WHEN {{high}} IS NOT NULL AND {total} IS NULL THEN {said} END"
    return Form(
        _limbs(digits), value, result, check=check, native=native, combines=("sum",), spark=inspark.wide_sum(scale)
    )


def sum_of(call: Call) -> Form | None:
    """The form of a sum."""
    return _total(call.type)


def _total(kind: str) -> Form | None:
    added = inspark.merged("sum")
    if kind == "BOOLEAN" or kind in INTEGERS:
        cast = "::INTEGER" if kind == "BOOLEAN" else ""
        form = single("sum({c})", "DECIMAL(38,0)", f"sum(({{x}}){cast}){{filter}}::DECIMAL(38,0)", "sum", spark=added)
        return replace(form, native="HUGEINT")
    if kind in FLOATS:
        return floats.total()
    if kind == "HUGEINT":
        return _wide_sum("({x})", 0, "HUGEINT")
    if digits := decimal_of(kind):
        precision, scale = digits
        if precision <= 18:
            result = f"DECIMAL(38,{scale})"
            return single("sum({c})", result, f"sum({{x}}){{filter}}::{result}", "sum", spark=added)
        return _wide_sum(unscaled("({x})"), scale)
    return None


# --- avg -------------------------------------------------------------------------------------------------
#
# Kept as sum and count; finished by DuckDB's own avg over a state made of both, so that it is DuckDB's answer
# to the bit. The one difference: where DuckDB's sum inside avg would overflow, this one still divides.

_COUNT = Part("count", "count({x}){filter}", "BIGINT", _ADDED)
_BOUND_AS = {
    "TINYINT": "BIGINT",
    "UTINYINT": "BIGINT",
    "USMALLINT": "BIGINT",
    "UINTEGER": "BIGINT",
    "UBIGINT": "HUGEINT",
}


def _average(value: str, value_type: str, kind: str) -> str:
    state = f"{{'count': {{count}}::UBIGINT, 'value': {value}}}::STRUCT(count UBIGINT, value {value_type})"
    bound = f"finalize(to_aggregate_state({state}, 'avg', ['{_BOUND_AS.get(kind, kind)}']))"
    return f"CASE WHEN {{count}} > 0 THEN {bound} END"


def avg_of(call: Call) -> Form | None:
    """The form of an average."""
    kind = call.type
    if kind in FLOATS:
        return floats.average(_COUNT)
    total = _total(kind)
    if total is None or kind == "BOOLEAN":
        return None
    if len(total.parts) == 1:
        part = total.parts[0]
        scale = decimal_of(kind) is not None
        digits = unscaled("{sum}") if scale else "{sum}::HUGEINT"
        kept = Part("sum", part.partial, part.stored, part.merge)
        return Form((kept, _COUNT), _average(digits, "HUGEINT", kind), "DOUBLE", spark=inspark.average("{sum}", "sum"))
    _, scale_of = decimal_of(kind) or (38, 0)
    inside = _average(f"TRY({_JOINED})", "HUGEINT", kind)
    beyond = f"({{high}}::DOUBLE * 1e19 + {{low}}::DOUBLE) / {{count}} / 1e{scale_of}"
    value = f"CASE WHEN {{count}} > 0 AND TRY({_JOINED}) IS NULL THEN {beyond} ELSE {inside} END"
    return Form(
        (*total.parts, _COUNT), value, "DOUBLE", spark=inspark.average(inspark.wide_text(scale_of), "high", "low")
    )


# --- product, truth values, bits -------------------------------------------------------------------------


def _product(call: Call) -> Form | None:
    if not numeric(call.type):
        return None
    form = single("product({c} ORDER BY {c})", "DOUBLE", "product(({x})::DOUBLE){filter}", "product")
    return replace(form, exactness="approximate (float)", bound="relative 1e-9: the order of multiplications is free")


def _truth(function: str) -> Callable[[Call], Form | None]:
    def form(call: Call) -> Form | None:
        if call.type != "BOOLEAN":
            return None
        made = single(
            f"{function}({{c}})", "BOOLEAN", f"{function}({{x}}){{filter}}", function, spark=inspark.merged(function)
        )
        return replace(made, own=f"{function}({{x}}){{filter}}")

    return form


def _bits(function: str) -> Callable[[Call], Form | None]:
    def form(call: Call) -> Form | None:
        if call.type not in INTEGERS:
            return None
        known = inspark.merged(function) if call.type != "UBIGINT" else None  # a decimal to Spark, which has no bits
        return single(f"{function}({{c}})", call.type, f"{function}({{x}}){{filter}}", function, spark=known)

    return form


SUMS = (
    Aggregate("count", "plain", "* or any expression", _count, "rows where the argument is not NULL", star=True),
    Aggregate("count_if", "plain", "BOOLEAN", _count_if, "rows where the condition holds", also=("countif",)),
    Aggregate("sum", "plain", NUMBERS + ", BOOLEAN", sum_of, "the sum"),
    Aggregate("avg", "plain", NUMBERS, avg_of, "the arithmetic mean", also=("mean",)),
    Aggregate("product", "plain", NUMBERS, _product, "the product, as DOUBLE"),
    Aggregate("bool_and", "plain", "BOOLEAN", _truth("bool_and"), "whether all are true", also=("every",), alike=True),
    Aggregate(
        "bool_or", "plain", "BOOLEAN", _truth("bool_or"), "whether any is true", also=("any", "some"), alike=True
    ),
    Aggregate("bit_and", "plain", "integers up to 64 bits", _bits("bit_and"), "bits set in all", alike=True),
    Aggregate("bit_or", "plain", "integers up to 64 bits", _bits("bit_or"), "bits set in any", alike=True),
    Aggregate("bit_xor", "plain", "integers up to 64 bits", _bits("bit_xor"), "bits set in an odd number"),
)
