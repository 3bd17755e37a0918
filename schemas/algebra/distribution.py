"""Quantiles: by a t-digest, or exactly up to a limit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import duckdb

from seamline.kernel import kernel
from seamline.schemas.algebra.forms import (
    FLOATS,
    INTEGERS,
    Aggregate,
    Call,
    Form,
    Part,
    canonical,
    decimal_of,
    fill,
    numeric,
    problem,
    storable,
)
from seamline.schemas.algebra.pivots import let
from seamline.schemas.algebra.sums import scaled, unscaled

VALUES_LIMIT = 100_000
"""Values of one group that exact quantiles are made from; beyond it the group is out of range."""

MOST_QUANTILES = 100
_Q = f"a number from 0 to 1, or a list of at most {MOST_QUANTILES} such numbers"
TIMES = ("DATE", "TIME", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE")


@functools.cache
def engine_type(expression: str) -> str | None:
    """The type that DuckDB gives an expression without columns; None where it does not take it."""
    try:
        return kernel().describe(f"SELECT {expression} AS x")["x"]
    except duckdb.Error:
        return None


def _check_quantiles(value: Any) -> None:
    numbers = value if isinstance(value, list) else [value]
    if not 0 < len(numbers) <= MOST_QUANTILES or any(n is None or isinstance(n, (bool, str)) for n in numbers):
        raise ValueError(_Q)
    try:
        fine = all(0 <= float(n) <= 1 for n in numbers)
    except (TypeError, ValueError):
        fine = False
    if not fine:
        raise ValueError(_Q)


# --- approx_quantile -------------------------------------------------------------------------------------
#
# DuckDB's t-digest (Dunning and Ertl 2019, compression 100): its state does not depend on which quantiles are asked
# for, so one column serves all. DuckDB leaves out infinities and NaN. Values are held at +-1e280: the means of larger
# ones overflow to NaN. Its least and greatest values are means, too, once a group has some 10,000 values, and its
# greatest starts at the smallest positive double, which stays where all values are below 0, or all times before 1970:
# so the least and greatest value are kept beside it, and no quantile is beyond them. Of the digest, only the count is
# the same in whatever tree it was merged.

_STORED = "STRUCT(count BIGINT, min DOUBLE, max DOUBLE, centroids STRUCT(mean DOUBLE, weight DOUBLE)[])"
_CENTROIDS = 200
"""Twice the compression: what a merging t-digest keeps at most; 123 were seen over a million values."""
_LAYOUT = _STORED.replace("BIGINT", "UBIGINT", 1)
_BOUND_AS = {
    **dict.fromkeys(("TINYINT", "UTINYINT", "USMALLINT", "UINTEGER"), "BIGINT"),
    "UBIGINT": "HUGEINT",
    "FLOAT": "DOUBLE",
}
"""What DuckDB binds these as: an exported state is read back as the type it was bound as."""


def _digest(column: str, kind: str, quantile: str, quantile_type: str = "FLOAT") -> str:
    state = f"{column}::{_LAYOUT}"
    return f"to_aggregate_state({state}, 'approx_quantile', ['{kind}', '{quantile_type}'], [NULL, {quantile}])"


def _approx_quantile(call: Call) -> Form | None:
    if not (numeric(call.type) and call.type != "HUGEINT") and call.type not in TIMES:
        return None
    _check_quantiles(call.constants[0])
    quantile, kind = call.texts[0], _BOUND_AS.get(call.type, call.type)
    value = f"({{x}})::{kind}"
    if call.type in FLOATS:
        value = f"CASE WHEN isfinite({value}) THEN greatest(least({value}, 1e280), -1e280) END"
    partial = f"(approx_quantile({value}, 0.5){{filter}} EXPORT_STATE)::{_STORED}"
    merged = f"(combine_aggr({_digest('{c}', kind, '0.5')} ORDER BY {{c}}))::{_STORED}"
    part = Part("", partial, _STORED, merged, most=_CENTROIDS, since=5, engine=True)
    end = "DOUBLE" if call.type in FLOATS else call.type
    ends = [Part(name, f"{name}({value}){{filter}}::{end}", end, f"{name}({{c}})", since=5) for name in ("min", "max")]
    listed = isinstance(call.constants[0], list)
    native = engine_type(f"approx_quantile(NULL::{call.type}, {quantile})")
    if native is None:
        raise ValueError(_Q)
    sql_type = native.replace("HUGEINT", "DECIMAL(38,0)")
    done = f"finalize({_digest('{}', kind, quantile, 'FLOAT[]' if listed else 'FLOAT')})::{sql_type}"
    least, most = (f"{{{name}}}::{sql_type.removesuffix('[]')}" for name in ("min", "max"))
    held = f"greatest(least({'q__' if listed else done}, {most}), {least})"
    done = f"CASE WHEN {{}}.count > 0 THEN {f'list_transform({done}, lambda q__: {held})' if listed else held} END"
    bound = (
        "within 2% of the group's values by rank; 1% below the 10th and above the 90th percentile, 0.3% beyond 1 and 99"
    )
    wider = native if native != sql_type else ""
    return Form((part, *ends), done, sql_type, "approximate", bound, native=wider, audit="{}.count")


# --- exact quantiles -------------------------------------------------------------------------------------
#
# The values themselves, sorted, at most one more than the limit (the smallest), so that finalising sees that there
# were too many. DuckDB's min(x, n) would stop at n while it collects, and takes 25 times as long.

_KEPT = VALUES_LIMIT + 1


def _values(kind: str) -> Part:
    listed = f"list({canonical('{x}', kind)}) FILTER (WHERE {{where}} AND ({{x}}) IS NOT NULL)"
    merged = f"list_sort(flatten(list({{c}})))[:{_KEPT}]"
    union = f"CASE WHEN count({{c}}) < 2 THEN any_value({{c}}) ELSE {merged} END"
    return Part("", f"list_sort({listed})[:{_KEPT}]", f"{kind}[]", union)


PARTS = 10**18
"""A quantile is taken to so many parts."""


def _exactly(quantile: Any, scale: int) -> str:
    """Of the sorted decimals `v__`: between the two values around the quantile, to the nearest of their scale, halves
    away from 0. DuckDB's own goes through DOUBLE, which has 15 digits.

    Of digits low and high and a part p of PARTS it is (low * (PARTS - p) + high * p) / PARTS, with both cut into
    multiples of PARTS and the rest, so that no product leaves HUGEINT.
    """
    whole = f"{PARTS}::HUGEINT"
    place = f"((len(v__) - 1) * {round(Fraction(quantile) * PARTS)}::HUGEINT)"
    given = {
        "low": unscaled(f"v__[({place} // {whole})::BIGINT + 1]"),
        "high": unscaled(f"v__[(({place} + {whole} - 1) // {whole})::BIGINT + 1]"),
        "p": f"{place} % {whole}",
    }
    sides = {
        "a": f"(g__.low // {whole}) * ({whole} - g__.p) + (g__.high // {whole}) * g__.p",
        "b": f"(g__.low % {whole}) * ({whole} - g__.p) + (g__.high % {whole}) * g__.p",
    }
    parted = {"w": f"s__.a + s__.b // {whole}", "r": f"s__.b % {whole}"}
    up, down = (f"WHEN 2 * d__.r {sign} {whole} THEN d__.w {step} 1" for sign, step in ((">=", "+"), ("< -", "-")))
    under, over = (f"WHEN 2 * d__.r {sign} {whole} THEN d__.w {step} 1" for sign, step in (("<= -", "-"), (">", "+")))
    positive = "d__.w > 0 OR (d__.w = 0 AND d__.r >= 0)"
    digits = f"CASE WHEN {positive} THEN CASE {up} {down} ELSE d__.w END ELSE CASE {under} {over} ELSE d__.w END END"
    return scaled(let(given, "g__", let(sides, "s__", let(parted, "d__", digits))), scale)


def _of_decimals(call: Call, scale: int, sql_type: str) -> str:
    """A quantile, or a list of them, of the sorted list `{}`; NULL over nothing."""
    asked = call.constants[0] if call.constants else 0.5
    value = f"[{', '.join(_exactly(q, scale) for q in asked)}]" if isinstance(asked, list) else _exactly(asked, scale)
    return f"list_transform([{{}}], lambda v__: CASE WHEN len(v__) > 0 THEN ({value})::{sql_type} END)[1]"


def _quantile(function: str) -> Callable[[Call], Form | None]:
    def form(call: Call) -> Form | None:
        constants = "".join(f", {text}" for text in call.texts)
        sql_type = engine_type(f"{function}(NULL::{call.type}{constants if call.texts else ''})")
        if call.texts:
            plain = engine_type(f"{function}(NULL::{call.type}, 0.5)")
            if plain is None or not storable(call.type):
                return None
            _check_quantiles(call.constants[0])
        if sql_type is None or not storable(call.type):
            return None
        done, own = f"TRY(list_aggregate({{}}, '{function}'{constants}))", ""
        digits = decimal_of(call.type)
        if digits and function != "quantile_disc":
            done = _of_decimals(call, digits[1], sql_type)
            own = fill(done, {"": "list_sort(list({x}) FILTER (WHERE ({where}) AND ({x}) IS NOT NULL))"})
        many = f"len({{}}) > {VALUES_LIMIT}"
        instead = "approx_quantile" if numeric(call.type) or call.type in TIMES else "finer keys"
        said = problem(f"{function} of over {VALUES_LIMIT:,} values in one group: use {instead}")
        beyond = problem(f"{function} of values that {sql_type} does not hold")
        bad = f"len({{}}) > 0 AND {done} IS NULL"
        value = (
            f"CASE WHEN {many} THEN ({said})::{sql_type} WHEN {bad} THEN ({beyond})::{sql_type} WHEN len({{}}) > 0"
            f" THEN {done} END"
        )
        check = f"CASE WHEN {many} THEN {said} WHEN {bad} THEN {beyond} END"
        bound = f"an error for a group of over {VALUES_LIMIT:,} values"
        if call.type in INTEGERS and function != "quantile_disc":
            bound += "; interpolated in DOUBLE"
        return Form((_values(call.type),), value, sql_type, bound=bound, check=check, own=own)

    return form


_CONTINUOUS = "numbers, dates, times and timestamps"
_ONE, _TWO = ("0.25",), ("[0.5, 0, 0.9, 1]",)

DISTRIBUTION = (
    Aggregate(
        "approx_quantile",
        "state",
        _CONTINUOUS,
        _approx_quantile,
        "quantiles by a t-digest; infinities and NaN are left out",
        constants=("q",),
        needed=1,
        tried=(_ONE, _TWO),
    ),
    Aggregate("median", "plain", "any type that can be stored", _quantile("median"), "the middle value"),
    Aggregate(
        "quantile_cont",
        "plain",
        _CONTINUOUS,
        _quantile("quantile_cont"),
        "quantiles, interpolated between values",
        constants=("q",),
        needed=1,
        within="percentile_cont",
        tried=(_ONE, _TWO),
    ),
    Aggregate(
        "quantile_disc",
        "plain",
        "any type that can be stored",
        _quantile("quantile_disc"),
        "quantiles that are values of the group",
        constants=("q",),
        needed=1,
        also=("quantile",),
        within="percentile_disc",
        tried=(_ONE, _TWO),
    ),
)
