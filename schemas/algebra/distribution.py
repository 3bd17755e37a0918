"""Quantiles: by a t-digest, or exactly up to a limit."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import duckdb

from seamline.kernel import kernel
from seamline.schemas.algebra.forms import FLOATS, Aggregate, Call, Form, Part, canonical, numeric, problem, storable

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
# ones overflow to NaN. Its least and greatest values are means, too, once a group has some 10,000 values, so only the
# count is the same in whatever tree digests were merged.

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
    part = Part("", partial, _STORED, f"(combine_aggr({_digest('{c}', kind, '0.5')}))::{_STORED}", most=_CENTROIDS)
    listed = isinstance(call.constants[0], list)
    native = engine_type(f"approx_quantile(NULL::{call.type}, {quantile})")
    if native is None:
        raise ValueError(_Q)
    sql_type = native.replace("HUGEINT", "DECIMAL(38,0)")
    done = f"finalize({_digest('{}', kind, quantile, 'FLOAT[]' if listed else 'FLOAT')})::{sql_type}"
    bound = (
        "within 2% of the group's values by rank; 1% below the 10th and above the 90th percentile, 0.3% beyond 1 and 99"
    )
    wider = native if native != sql_type else ""
    return Form((part,), done, sql_type, "approximate", bound, native=wider, audit="{}.count")


# --- exact quantiles -------------------------------------------------------------------------------------
#
# The values themselves, sorted, at most one more than the limit (the smallest), so that finishing sees that there
# were too many. DuckDB's min(x, n) would stop at n while it collects, and takes 25 times as long.

_KEPT = VALUES_LIMIT + 1


def _values(kind: str) -> Part:
    listed = f"list({canonical('{x}', kind)}) FILTER (WHERE {{where}} AND ({{x}}) IS NOT NULL)"
    merged = f"list_sort(flatten(list({{c}})))[:{_KEPT}]"
    union = f"CASE WHEN count({{c}}) < 2 THEN any_value({{c}}) ELSE {merged} END"
    return Part("", f"list_sort({listed})[:{_KEPT}]", f"{kind}[]", union)


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
        done = f"TRY(list_aggregate({{}}, '{function}'{constants}))"
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
        return Form((_values(call.type),), value, sql_type, bound=bound, check=check)

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
