"""Values themselves, up to a stated limit: lists and texts of them, and exact counts and sums of distinct ones.

A partial row holds at most one value more than the limit, always the same ones (the earliest, or the least), so that
finalising sees that the limit was passed, however events were split. A group beyond it is VALUE_OUT_OF_RANGE alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from seamline.schemas.algebra import inspark
from seamline.schemas.algebra.float_parts import LISTED, divided
from seamline.schemas.algebra.forms import (
    AT,
    FLOATS,
    NUMBERS,
    ORDERED,
    Aggregate,
    Call,
    Exactness,
    Form,
    Part,
    canonical,
    failing,
    fill,
    problem,
    storable,
)
from seamline.schemas.algebra.sums import LIMB, avg_of, sum_of, unscaled

COLLECTED = 10_000
"""Values of one group that array_agg, collect_set and string_agg keep."""

DISTINCT_VALUES = 1_000_000
"""Distinct values of one group that count(DISTINCT x) and sum(DISTINCT x) keep."""


def _limited(
    parts: tuple[Part, ...], value: str, sql_type: str, limit: int, many: str, own: str = "", size: str = "len({})"
) -> Form:
    """`value`, of type `sql_type`, unless more than `limit` values are there; `many` says what to do then."""
    said = problem(f"more than {limit:,} {many}")
    checked = f"CASE WHEN {size} > {limit} THEN {failing(said, sql_type)} ELSE {value} END"
    check = f"CASE WHEN {size} > {limit} THEN {said} END"
    bound = f"at most {limit:,} values a group, more is VALUE_OUT_OF_RANGE"
    return Form(parts, checked, sql_type, bound=bound, check=check, own=own)


# --- values in the order of events ------------------------------------------------------------------------


def _placed(value: str, kind: str, kept: str) -> Part:
    """The earliest values, each with its place in the order of events."""
    partial = f"list_sort(list({{'a': {{at}}, 'x': {value}}}){kept})[:{COLLECTED + 1}]"
    merged = f"list_sort(flatten(list({{c}})))[:{COLLECTED + 1}]"
    merge = f"CASE WHEN count({{c}}) < 2 THEN any_value({{c}}) ELSE {merged} END"
    return Part("", partial, f"STRUCT(a {AT}, x {kind})[]", merge)


_VALUES = "list_transform({}, lambda placed__: struct_extract(placed__, 'x'))"


def _array_agg(call: Call) -> Form | None:
    if not storable(call.type):
        return None
    part = _placed(canonical("{x}", call.type), call.type, "{filter}")
    own = "list({x} ORDER BY {order}, {x}){filter}"
    return _limited((part,), _VALUES, f"{call.type}[]", COLLECTED, "values: keep a view of finer keys", own)


def _string_agg(call: Call) -> Form | None:
    if not storable(call.type):
        return None
    between = _separator(call)
    part = _placed("({x})::VARCHAR", "VARCHAR", " FILTER (WHERE {where} AND ({x}) IS NOT NULL)")
    own = f"string_agg(({{x}})::VARCHAR, {between} ORDER BY {{order}}, ({{x}})::VARCHAR){{filter}}"
    value = f"array_to_string({_VALUES}, {between})"
    return _limited((part,), value, "VARCHAR", COLLECTED, "values: keep a view of finer keys", own)


def _separator(call: Call) -> str:
    """The constant as SQL, ',' where there is none; its braces cannot be taken for a template's. Raises ValueError."""
    if not call.constants:
        return "','"
    text = call.constants[0]
    if not isinstance(text, str):
        raise ValueError("the separator must be a text, such as ', '")
    return "('" + text.replace("'", "''").replace("{", "' || chr(123) || '") + "')"


# --- distinct values -------------------------------------------------------------------------------------
#
# The least of them, sorted. Merging hashes them: of 20 partials with the same million values that takes half the memory
# of sorting all of them to drop equal neighbours, which the smaller lists of approx_count_distinct can afford.


def _distinct(value: str, kind: str, limit: int) -> Part:
    """The distinct values that are not NULL. Aggregates with the same limit share it."""
    partial = f"list_sort(list(DISTINCT {value}) FILTER (WHERE {{where}} AND ({{x}}) IS NOT NULL))[:{limit + 1}]"
    merged = f"list_sort(list_distinct(flatten(list({{c}}))))[:{limit + 1}]"
    return Part("", partial, f"{kind}[]", f"CASE WHEN count({{c}}) < 2 THEN any_value({{c}}) ELSE {merged} END")


def _count_distinct(call: Call) -> Form | None:
    if not storable(call.type):
        return None
    part = _distinct(canonical("{x}", call.type), call.type, DISTINCT_VALUES)
    many = "distinct values: use approx_count_distinct"
    form = _limited((part,), "coalesce(len({}), 0)", "BIGINT", DISTINCT_VALUES, many)
    return replace(form, spark=inspark.count_distinct(call.type, DISTINCT_VALUES, many))


def _sum_distinct(call: Call) -> Form | None:
    total = sum_of(call)
    if total is None or not storable(call.type):
        return None
    part = _distinct(canonical("{x}", call.type), call.type, DISTINCT_VALUES)
    listed = "{}::INTEGER[]" if call.type == "BOOLEAN" else "{}"
    value, check = f"list_aggregate({listed}, 'sum')::{total.sql_type}", ""
    if call.type in FLOATS:
        value = LISTED
    if total.check:
        digits = {"high": _digits("//"), "low": _digits("%"), "column": "{column}"}
        value, check = fill(total.finalise, digits), fill(total.check, digits)
    form = _limited((part,), value, total.sql_type, DISTINCT_VALUES, "distinct values: count them instead")
    checks = f"coalesce({form.check}, {check})" if check else form.check
    exactness: Exactness = total.exactness
    bound = f"{total.bound}; {form.bound}" if total.bound else form.bound
    return Form(form.parts, form.finalise, form.sql_type, exactness, bound, checks, total.native)


def _avg_distinct(call: Call) -> Form | None:
    """From the sum and the number of the values, finished as avg(x) is."""
    mean, total = avg_of(call), sum_of(call)
    if mean is None or total is None or not storable(call.type):
        return None
    part = _distinct(canonical("{x}", call.type), call.type, DISTINCT_VALUES)
    values = {
        "sum": f"list_aggregate({{}}, 'sum')::{total.sql_type}",
        "count": "len({})",
        "high": _digits("//"),
        "low": _digits("%"),
    }
    made = divided(LISTED, "len({})") if call.type in FLOATS else fill(mean.finalise, values)
    form = _limited((part,), made, "DOUBLE", DISTINCT_VALUES, "distinct values: count them instead")
    bound = f"{mean.bound}; {form.bound}" if mean.bound else form.bound
    return replace(form, exactness=mean.exactness, bound=bound)


def _digits(operator: str) -> str:
    """The high or low digits of every value, added up: they cannot overflow."""
    return (
        f"list_aggregate(list_transform({{}}, lambda v__: {unscaled('v__')} {operator} {LIMB}), 'sum')::DECIMAL(38,0)"
    )


# --- distinct values as a list or text -------------------------------------------------------------------

_MANY = "distinct values: count them with approx_count_distinct"


def _array_agg_distinct(call: Call) -> Form | None:
    kind = call.type
    if not storable(kind):
        return None
    values = _distinct(canonical("{x}", kind), kind, COLLECTED)
    null = Part("null", "bool_or(({x}) IS NULL){filter}", "BOOLEAN", "bool_or({c})")
    with_null = f"list_append(coalesce({{}}, []::{kind}[]), NULL::{kind})"
    value = f"CASE WHEN {{null}} THEN {with_null} ELSE {{}} END"
    size = "coalesce(len({}), 0) + coalesce({null}::INTEGER, 0)"
    own = "list(DISTINCT {x} ORDER BY {x}){filter}"
    return _limited((values, null), value, f"{kind}[]", COLLECTED, _MANY, own, size)


def _collect_set(call: Call) -> Form | None:
    if not storable(call.type):
        return None
    part = _distinct(canonical("{x}", call.type), call.type, COLLECTED)
    own = "list(DISTINCT {x} ORDER BY {x}) FILTER (WHERE ({where}) AND ({x}) IS NOT NULL)"
    return _limited((part,), "{}", f"{call.type}[]", COLLECTED, _MANY, own)


def _string_agg_distinct(call: Call) -> Form | None:
    if not storable(call.type):
        return None
    between = _separator(call)
    part = _distinct("({x})::VARCHAR", "VARCHAR", COLLECTED)
    own = f"string_agg(DISTINCT ({{x}})::VARCHAR, {between} ORDER BY ({{x}})::VARCHAR){{filter}}"
    return _limited((part,), f"array_to_string({{}}, {between})", "VARCHAR", COLLECTED, _MANY, own)


def _entry(
    name: str, takes: str, form: Callable[[Call], Form | None], about: str, *also: str, text: bool = False
) -> Aggregate:
    """`text`: whether a separator may follow the argument."""
    constants, tried = (("separator",), (("', '",), ())) if text else ((), ((),))
    return Aggregate(name, "plain", takes, form, about, constants=constants, also=also, tried=tried)


COLLECTIONS = (
    _entry("count distinct", ORDERED, _count_distinct, "distinct values, counted exactly"),
    _entry("sum distinct", NUMBERS + ", BOOLEAN", _sum_distinct, "the sum of the distinct values"),
    _entry("avg distinct", NUMBERS, _avg_distinct, "the arithmetic mean of the distinct values"),
    _entry(
        "array_agg",
        ORDERED,
        _array_agg,
        "the values as a list, by event time and event id or position, NULLs too",
        "list",
    ),
    _entry("array_agg distinct", ORDERED, _array_agg_distinct, "the distinct values as a sorted list; NULL last"),
    _entry("collect_set", ORDERED, _collect_set, "the distinct values as a sorted list, without NULL"),
    _entry(
        "string_agg",
        ORDERED,
        _string_agg,
        "the values as text, by event time and event id or position, with a separator (',') between; NULLs left out",
        *("group_concat", "listagg"),
        text=True,
    ),
    _entry(
        "string_agg distinct",
        ORDERED,
        _string_agg_distinct,
        "the distinct values as text, sorted, with a separator (',') between them; NULL left out",
        text=True,
    ),
)
