"""The algebra: every aggregate a view may use, as one table.

An entry says, for each type of argument, which partial columns an aggregate has, how they are made from
events, merged, and finished. Nothing else in the code knows an aggregate by name; another one is another
entry. Two kinds:

- plain: ordinary columns that any Parquet reader understands;
- state: DuckDB's exported aggregate states, stored as an ordinary struct (`EXPORT_STATE`,
  `combine_aggr`, `finalize`).

Templates are SQL. `{x}` is the argument, `{filter}` a FILTER clause or nothing, `{where}` its condition
(or `true`); in `merge`, `{c}` is the column itself; in `finalise`, `{high}` stands for the partial column with that
suffix, `{}` for the one without, `{column}` for the view column's name. Partials and merges cannot raise on
data (law 7).

A sum out of its type's range: finishing raises `VALUE_OUT_OF_RANGE` only when that group's value is
really computed. It is written as a failing CAST, which DuckDB evaluates for the rows and columns an answer
needs and no others, and which (unlike `error()`) is not volatile: filters are still pushed through it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

LAYOUT = 1
"""Goes into every definition's hash: raise it when an entry's partial columns change."""

Exactness = Literal["exact", "approximate", "approximate (float)"]

INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
FLOATS = ("FLOAT", "DOUBLE")
FLOAT_BOUND = "relative 1e-9 of the sum of absolute values: the order of additions is free"

SKETCH_SIZE = 4096
"""Hashes kept by approx_count_distinct: standard error 1 / sqrt(k - 2) = 1.56%; below k it is exact."""


@dataclass(frozen=True)
class Part:
    """One partial column: `suffix` names it, `stored` is its type in Parquet and Arrow."""

    suffix: str
    partial: str
    stored: str
    merge: str


@dataclass(frozen=True)
class Form:
    """An aggregate over one type of argument. `check`, where there is one, is NULL or says what is out of range."""

    parts: tuple[Part, ...]
    finalise: str
    sql_type: str
    exactness: Exactness = "exact"
    bound: str = ""
    check: str = ""


@dataclass(frozen=True)
class Aggregate:
    """One entry. `form(type)` is None where the argument's type is refused; `takes` says what is allowed."""

    name: str
    kind: Literal["plain", "state"]
    takes: str
    form: Callable[[str], Form | None]
    star: bool = False


def single(merge: str, stored: str, partial: str) -> Form:
    """A form whose only partial column is the answer itself."""
    return Form((Part("", partial, stored, merge),), "{}", stored)


def fill(template: str, values: dict[str, str]) -> str:
    """Puts values for `{name}`. Other braces, such as those of struct literals, stay."""
    return re.sub(r"\{([a-z]*)\}", lambda match: values[match[1]], template)


def decimal_of(sql_type: str) -> tuple[int, int] | None:
    """(precision, scale) of DECIMAL(p,s)."""
    match = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", sql_type)
    return (int(match[1]), int(match[2])) if match else None


# --- count -----------------------------------------------------------------------------------------------


def _count(_: str) -> Form:
    return single("coalesce(sum({c}), 0)::BIGINT", "BIGINT", "count({x}){filter}")


# --- sum -------------------------------------------------------------------------------------------------
#
# An integer of up to 64 bits summed over 2**63 rows stays below 10**38, so DECIMAL(38,0) cannot overflow; likewise
# a DECIMAL of up to 18 digits in DECIMAL(38,s). Wider values are split: unscaled = high * 10**19 + low,
# |low| < 10**19, both summed as DECIMAL(38,0).

_LIMB = "10000000000000000000::HUGEINT"


def unscaled(value: str) -> str:
    """A decimal's digits as a HUGEINT: exact for every scale, which arithmetic on decimals is not."""
    return f"replace({value}::VARCHAR, '.', '')::HUGEINT"


def _limbs(digits: str) -> tuple[Part, Part]:
    return (
        Part("high", f"sum({digits} // {_LIMB}){{filter}}::DECIMAL(38,0)", "DECIMAL(38,0)", "sum({c})"),
        Part("low", f"sum({digits} % {_LIMB}){{filter}}::DECIMAL(38,0)", "DECIMAL(38,0)", "sum({c})"),
    )


_JOINED = f"{{high}}::HUGEINT * {_LIMB} + {{low}}::HUGEINT"


def _scaled(digits: str, scale: int) -> str:
    """The DECIMAL(38,scale) whose unscaled value is `digits`, by putting a point into its text: nothing is rounded."""
    if scale == 0:
        return f"({digits})::DECIMAL(38,0)"
    padded = f"regexp_replace(({digits})::VARCHAR, '^(-?)', '\\1{'0' * 39}')"
    return f"regexp_replace({padded}, '(.{{{scale}}})$', '.\\1')::DECIMAL(38,{scale})"


def _wide_sum(digits: str, scale: int) -> Form:
    result = f"DECIMAL(38,{scale})"
    total = f"TRY({_scaled(_JOINED, scale)})"
    problem = _problem(f"a sum of ' || {{high}}::VARCHAR || 'e19 units of 1e-{scale} does not fit {result}")
    value = f"CASE WHEN {{high}} IS NOT NULL THEN coalesce({total}, ({problem})::{result}) END"
    check = f"CASE WHEN {{high}} IS NOT NULL AND {total} IS NULL THEN {problem} END"
    return Form(_limbs(digits), value, result, check=check)


def _problem(text: str) -> str:
    return f"'VALUE_OUT_OF_RANGE: column {{column}}: {text}'"


def _sum(kind: str) -> Form | None:
    if kind == "BOOLEAN" or kind in INTEGERS:
        cast = "::INTEGER" if kind == "BOOLEAN" else ""
        return single("sum({c})", "DECIMAL(38,0)", f"sum(({{x}}){cast}){{filter}}::DECIMAL(38,0)")
    if kind in FLOATS:
        form = single("sum({c})", "DOUBLE", "sum({x}){filter}")
        return Form(form.parts, form.finalise, "DOUBLE", "approximate (float)", FLOAT_BOUND)
    if kind == "HUGEINT":
        return _wide_sum("({x})", 0)
    if digits := decimal_of(kind):
        precision, scale = digits
        if precision <= 18:
            return single("sum({c})", f"DECIMAL(38,{scale})", f"sum({{x}}){{filter}}::DECIMAL(38,{scale})")
        return _wide_sum(unscaled("({x})"), scale)
    return None


# --- avg -------------------------------------------------------------------------------------------------
#
# Kept as sum and count; finished by DuckDB's own avg over a state made of both, so that it is DuckDB's answer
# to the bit. The one difference: where DuckDB's sum inside avg would overflow, this one still divides.

_COUNT = Part("count", "count({x}){filter}", "BIGINT", "coalesce(sum({c}), 0)::BIGINT")
_BOUND_AS = {
    "TINYINT": "BIGINT",
    "UTINYINT": "BIGINT",
    "USMALLINT": "BIGINT",
    "UINTEGER": "BIGINT",
    "UBIGINT": "HUGEINT",
    "FLOAT": "DOUBLE",
}


def _average(value: str, value_type: str, kind: str) -> str:
    state = f"{{'count': {{count}}::UBIGINT, 'value': {value}}}::STRUCT(count UBIGINT, value {value_type})"
    bound = f"finalize(to_aggregate_state({state}, 'avg', ['{_BOUND_AS.get(kind, kind)}']))"
    return f"CASE WHEN {{count}} > 0 THEN {bound} END"


def _avg(kind: str) -> Form | None:
    if kind in FLOATS:
        part = Part("sum", "sum({x}){filter}", "DOUBLE", "sum({c})")
        value = _average("{sum}", "DOUBLE", kind)
        return Form((part, _COUNT), value, "DOUBLE", "approximate (float)", FLOAT_BOUND)
    total = _sum(kind)
    if total is None or kind == "BOOLEAN":
        return None
    if len(total.parts) == 1:
        part = total.parts[0]
        scale = decimal_of(kind) is not None
        digits = unscaled("{sum}") if scale else "{sum}::HUGEINT"
        kept = Part("sum", part.partial, part.stored, part.merge)
        return Form((kept, _COUNT), _average(digits, "HUGEINT", kind), "DOUBLE")
    _, scale_of = decimal_of(kind) or (38, 0)
    inside = _average(f"TRY({_JOINED})", "HUGEINT", kind)
    beyond = f"({{high}}::DOUBLE * 1e19 + {{low}}::DOUBLE) / {{count}} / 1e{scale_of}"
    value = f"CASE WHEN {{count}} > 0 AND TRY({_JOINED}) IS NULL THEN {beyond} ELSE {inside} END"
    return Form((*total.parts, _COUNT), value, "DOUBLE")


# --- min, max --------------------------------------------------------------------------------------------


def canonical(expression: str, sql_type: str) -> str:
    """-0.0 becomes 0.0: they are equal, so which of both is kept would depend on order."""
    return f"(({expression}) + 0)" if sql_type in FLOATS else expression


def _extreme(name: str) -> Callable[[str], Form | None]:
    def form(kind: str) -> Form | None:
        if not storable(kind):
            return None
        return single(f"{name}({{c}})", kind, f"{name}({canonical('{x}', kind)}){{filter}}")

    return form


# --- approx_count_distinct -------------------------------------------------------------------------------
#
# The k smallest distinct hashes (k minimum values: Bar-Yossef et al. 2002; Beyer et al. 2007), sorted. Fewer than k:
# the count is exact. Else (k - 1) / (k-th smallest hash as a fraction of the range), unbiased, standard error
# 1 / sqrt(k - 2). DuckDB's own state has 3.3% error and costs 1 KB for the smallest group; docs/views.md has figures.

_HASHES = "list(DISTINCT (hash({x}) >> 1)::BIGINT) FILTER (WHERE {where} AND ({x}) IS NOT NULL)"
_SORTED = "list_sort(flatten(list({c})))"
_UNEQUAL = f"list_transform(list_zip({_SORTED}, {_SORTED}[2:]), lambda pair: pair[1] IS DISTINCT FROM pair[2])"
_MERGED = f"list_where({_SORTED}, {_UNEQUAL})[:{SKETCH_SIZE}]"
_UNION = f"CASE WHEN count({{c}}) < 2 THEN any_value({{c}}) ELSE {_MERGED} END"
"""Equal hashes are neighbours once sorted: five times faster than list_distinct. One sketch alone is kept as it is."""


def _approx_count_distinct(kind: str) -> Form | None:
    if not storable(kind):
        return None
    part = Part("", f"list_sort({_HASHES})[:{SKETCH_SIZE}]", "BIGINT[]", _UNION)
    estimate = f"round({SKETCH_SIZE - 1} / ({{}}[{SKETCH_SIZE}] / 9223372036854775808.0::DOUBLE))::BIGINT"
    value = f"CASE WHEN len({{}}) >= {SKETCH_SIZE} THEN {estimate} ELSE coalesce(len({{}}), 0) END"
    bound = f"exact below {SKETCH_SIZE}; standard error 1.56% above"
    return Form((part,), value, "BIGINT", "approximate", bound)


# --- states ----------------------------------------------------------------------------------------------
#
# DuckDB keeps count, mean and squared deviations (Welford) and combines them by Chan et al. 1979, which stays right
# where a sum of squares does not. Spark has no unsigned types, so the count is stored signed.


def _moments(function: str) -> Callable[[str], Form | None]:
    stored = "STRUCT(count BIGINT, mean DOUBLE, dsquared DOUBLE)"

    def state(column: str) -> str:
        layout = "STRUCT(count UBIGINT, mean DOUBLE, dsquared DOUBLE)"
        return f"to_aggregate_state({column}::{layout}, '{function}', ['DOUBLE'])"

    def form(kind: str) -> Form | None:
        if kind not in (*INTEGERS, *FLOATS, "HUGEINT") and not decimal_of(kind):
            return None
        partial = f"({function}(({{x}})::DOUBLE){{filter}} EXPORT_STATE)::{stored}"
        part = Part("", partial, stored, f"(combine_aggr({state('{c}')}))::{stored}")
        problem = _problem(f"{function} over infinities, NaN or values whose squares are out of range")
        done = f"TRY(finalize({state('{}')}))"
        bad = f"{done} IS NULL AND struct_extract({{}}, 'count') > 1"
        value = f"CASE WHEN {bad} THEN ({problem})::DOUBLE ELSE {done} END"
        check = f"CASE WHEN {bad} THEN {problem} END"
        return Form((part,), value, "DOUBLE", "approximate (float)", FLOAT_BOUND, check)

    return form


# --- the table -------------------------------------------------------------------------------------------

_NUMBERS = "numbers: integers, decimals, FLOAT, DOUBLE"
_ORDERED = "any type that can be stored (docs/views.md)"

ALGEBRA: dict[str, Aggregate] = {
    entry.name: entry
    for entry in (
        Aggregate("count", "plain", "* or any expression", _count, star=True),
        Aggregate("sum", "plain", _NUMBERS + ", BOOLEAN", _sum),
        Aggregate("avg", "plain", _NUMBERS, _avg),
        Aggregate("min", "plain", _ORDERED, _extreme("min")),
        Aggregate("max", "plain", _ORDERED, _extreme("max")),
        Aggregate("approx_count_distinct", "plain", _ORDERED, _approx_count_distinct),
        Aggregate("var_pop", "state", _NUMBERS, _moments("var_pop")),
        Aggregate("var_samp", "state", _NUMBERS, _moments("var_samp")),
        Aggregate("stddev_pop", "state", _NUMBERS, _moments("stddev_pop")),
        Aggregate("stddev_samp", "state", _NUMBERS, _moments("stddev_samp")),
    )
}

_STORABLE = {
    *("BOOLEAN", "VARCHAR", "BLOB", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
    *INTEGERS,
    *FLOATS,
}


def storable(sql_type: str) -> bool:
    """Whether values survive Arrow and Parquet unchanged: HUGEINT, INTERVAL, JSON, UUID and others do not."""
    if sql_type.endswith("[]"):
        return storable(sql_type[:-2])
    if sql_type.startswith("STRUCT("):
        return not re.search(r"\b(U?HUGEINT|INTERVAL|JSON|UUID|ENUM|MAP|UNION|BIT|BIGNUM|TIMETZ)\b", sql_type)
    return sql_type in _STORABLE or decimal_of(sql_type) is not None
