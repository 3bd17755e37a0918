"""The least and the greatest, by themselves or by another value, first and last, and the k of them.

Ties are settled by the value itself (`min_by`), or by event id (`first`): never by what came first to a task.
"""

from __future__ import annotations

from collections.abc import Callable

from seamline.schemas.algebra import inspark
from seamline.schemas.algebra.forms import AT, ORDERED, Aggregate, Call, Form, Part, canonical, single, storable

MOST = 1000
"""The largest k of the k least or greatest: every partial row holds that many."""

_HEAP = 100
"""DuckDB's min(x, k) sets k places aside for each group, 16 bytes a place, before a value is there. Up to this k that
is less than what it saves (4 M rows in one group, k = 10: 0.13 s against 1.1 s for a sorted list)."""

# --- the least and the greatest, and the k of them -------------------------------------------------------


def _extreme(name: str) -> Callable[[Call], Form | None]:
    def form(call: Call) -> Form | None:
        if not storable(call.type):
            return None
        value = canonical("{x}", call.type)
        if not call.constants:
            known = inspark.merged(name) if inspark.is_scalar(call.type) else None
            return single(f"{name}({{c}})", call.type, f"{name}({value}){{filter}}", name, spark=known)
        part = _several(name, value, "({x}) IS NOT NULL", call.type, _places(call))
        return Form((part,), "{}", part.stored)

    return form


def _places(call: Call) -> int:
    """The constant k. Raises ValueError."""
    k = call.constants[0]
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MOST:
        raise ValueError(f"k must be an integer from 1 to {MOST:,}")
    return k


def _several(name: str, value: str, known: str, kind: str, k: int) -> Part:
    """The k least or greatest values as a list, best first. Lists and structs are put in order alike by both ways."""
    order = ", 'DESC'" if name == "max" else ""
    kept = f" FILTER (WHERE {{where}} AND {known})"
    partial = f"{name}({value}, {k}){kept}" if k <= _HEAP else f"list_sort(list({value}){kept}{order})[:{k}]"
    merged = f"list_sort(flatten(list({{c}})){order})[:{k}]"
    return Part("", partial, f"{kind}[]", f"CASE WHEN count({{c}}) < 2 THEN any_value({{c}}) ELSE {merged} END")


# --- by another value ------------------------------------------------------------------------------------
#
# The least or greatest of {y, x}: rows where either is NULL are left out, as DuckDB does; of rows with the same y,
# min_by takes the least x and max_by the greatest.


def _by(name: str) -> Callable[[Call], Form | None]:
    def form(call: Call) -> Form | None:
        x, y = call.types
        if not (storable(x) and storable(y)):
            return None
        pair = f"{{'y': {canonical('{y}', y)}, 'x': {canonical('{x}', x)}}}"
        known = "({x}) IS NOT NULL AND ({y}) IS NOT NULL"
        kind = f"STRUCT(y {y}, x {x})"
        own, where = "{'y': {y}, 'x': {x}}", f" FILTER (WHERE ({{where}}) AND {known})"
        if not call.constants:
            part = Part("", f"{name}({pair}) FILTER (WHERE {{where}} AND {known})", kind, f"{name}({{c}})")
            best = f"struct_extract({name}({own}){where}, 'x')"
            return Form((part,), "struct_extract({}, 'x')", x, own=best, spark=inspark.extreme_by(name, x, y))
        k = _places(call)
        values = "list_transform({}, lambda pair__: struct_extract(pair__, 'x'))"
        several = _several(name, pair, known, kind, k)
        return Form((several,), values, f"{x}[]", own=values.replace("{}", f"{name}({own}, {k}){where}"))

    return form


# --- by event time ---------------------------------------------------------------------------------------
#
# The least or greatest of {event time, event id or position, x}. Elements of one event's array, which share these, are
# put in order by value.


def _end(name: str, function: str, known: str = "") -> Callable[[Call], Form | None]:
    def form(call: Call) -> Form | None:
        if not storable(call.type):
            return None
        placed = f"{{'a': {{at}}, 'x': {canonical('{x}', call.type)}}}"
        kept = f" FILTER (WHERE {{where}} AND {known})" if known else "{filter}"
        part = Part("", f"{name}({placed}){kept}", f"STRUCT(a {AT}, x {call.type})", f"{name}({{c}})")
        own = f"{function}({{x}} ORDER BY {{order}}, {{x}})"
        own += f" FILTER (WHERE ({{where}}) AND {known})" if known else "{filter}"
        return Form((part,), "struct_extract({}, 'x')", call.type, own=own, spark=inspark.earliest(name, call.type))

    return form


_ANY = _end("min", "first", "({x}) IS NOT NULL")

_TIES = "ties by event id, or by position in the log"
_TRIED = (("2",), ())

EXTREMES = (
    Aggregate(
        "min",
        "plain",
        ORDERED,
        _extreme("min"),
        f"the least; with k (1 to {MOST:,}) the k least values as a list, least first",
        constants=("k",),
        alike=True,
        tried=_TRIED,
    ),
    Aggregate(
        "max",
        "plain",
        ORDERED,
        _extreme("max"),
        f"the greatest; with k (1 to {MOST:,}) the k greatest values as a list, greatest first",
        constants=("k",),
        alike=True,
        tried=_TRIED,
    ),
    Aggregate(
        "min_by",
        "plain",
        ORDERED,
        _by("min"),
        "x where y is least, of equal y the least x; with k a list of them, least y first; rows with NULL in"
        " either are left out",
        arguments=2,
        constants=("k",),
        also=("arg_min", "argmin"),
        alike=True,
        tried=_TRIED,
    ),
    Aggregate(
        "max_by",
        "plain",
        ORDERED,
        _by("max"),
        "x where y is greatest, of equal y the greatest x; with k a list of them, greatest y first; rows with NULL in"
        " either are left out",
        arguments=2,
        constants=("k",),
        also=("arg_max", "argmax"),
        alike=True,
        tried=_TRIED,
    ),
    Aggregate(
        "first",
        "plain",
        ORDERED,
        _end("min", "first"),
        f"x of the earliest event, NULL too; {_TIES}",
        also=("arbitrary",),
    ),
    Aggregate(
        "last",
        "plain",
        ORDERED,
        _end("max", "last"),
        f"x of the latest event, NULL too; {_TIES}",
    ),
    Aggregate("any_value", "plain", ORDERED, _ANY, f"x of the earliest event that has one; {_TIES}"),
)
