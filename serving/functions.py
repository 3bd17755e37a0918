"""Functions over set sketches, for queries: DuckDB macros, made once on serving's connection, before any query.

A sketch is every hash of its set below theta, or all of them where theta is the whole range (theta sketch framework:
Dasgupta, Lang, Rhodes, Thaler 2016). Of two sets, the hashes below the smaller theta of both are known wholly: among
these the set operation is exact, and what it gives is a sketch again. NULL, such as the missing row of an outer join,
is the empty set.

Each argument is evaluated once, as the field of a struct inside a list of one; the lambdas capture nothing, since
DuckDB copies what a lambda captures for each element. Fields are taken by p__['name']: in HAVING, DuckDB takes p__.name
for a column that is not grouped by.
"""

from __future__ import annotations

from seamline.kernel import ZIP
from seamline.schemas.algebra.distinct import HASHES, THETA_SKETCH

WHOLE = HASHES - 1
"""Theta of a sketch that holds every hash of its set."""

_EMPTY = f"struct_pack(theta := {WHOLE}::BIGINT, hashes := []::BIGINT[])"


def _sketch(argument: str) -> str:
    return f"coalesce(({argument})::{THETA_SKETCH}, {_EMPTY})"


def _steps(first: str, *steps: str) -> str:
    """`first`, then each step over `p__`, the value of the step before it."""
    value = f"[{first}]"
    for step in steps:
        value = f"list_transform({value}, lambda p__: {step})"
    return f"({value})[1]"


_PAIR = f"struct_pack(a := {_sketch('a')}, b := {_sketch('b')})"
_THETA = "least(p__['a']['theta'], p__['b']['theta'])"
_BOTH = f"struct_pack(t := {_THETA}, s := list_sort(p__['a']['hashes'] || p__['b']['hashes'] || [{_THETA}]))"
_COMMON = (
    f"struct_pack(t := {_THETA}, s := list_sort(list_intersect(p__['a']['hashes'], p__['b']['hashes']) || [{_THETA}]))"
)
_FIRST = f"struct_pack(t := {_THETA}, s := list_sort(p__['a']['hashes'] || [{_THETA}]), b := p__['b']['hashes'])"
_BELOW = "p__['s'][:list_position(p__['s'], p__['t']) - 1]"
"""Of sorted hashes with theta itself among them, those below theta."""
_LEFT = f"struct_pack(t := p__['t'], s := {_BELOW}, b := p__['b'])"
_TWICE = "struct_pack(t := p__['t'], s := list_sort(p__['s'] || list_intersect(p__['s'], p__['b'])))"
"""A sorted set in which every hash of the second set stands twice."""
_NEXT = f"{ZIP}(p__['s'], p__['s'][2:])"
_AROUND = f"{ZIP}(p__['s'], p__['s'][2:], [NULL] || p__['s'][:-2])"
_ONCE = f"list_where(p__['s'], list_transform({_NEXT}, lambda q__: q__[1] IS DISTINCT FROM q__[2]))"
_ALONE = f"list_transform({_AROUND}, lambda q__: q__[1] IS DISTINCT FROM q__[2] AND q__[1] IS DISTINCT FROM q__[3])"
_DISTINCT = f"struct_pack(t := p__['t'], s := {_ONCE})"
_MADE = f"struct_pack(theta := p__['t'], hashes := {_BELOW})"
_LEFT_ALONE = f"struct_pack(theta := p__['t'], hashes := list_where(p__['s'], {_ALONE}))"

_LISTED = f"coalesce(list({_sketch('s')}), [])"
"""The one aggregate of theta_union_agg: DuckDB lets such a macro stand before OVER."""
_ALL = (
    f"struct_pack(t := coalesce(list_min(list_transform(p__, lambda q__: q__['theta'])), {WHOLE}),"
    " s := flatten(list_transform(p__, lambda q__: q__['hashes'])))"
)
_UNITED = "struct_pack(t := p__['t'], s := list_sort(p__['s'] || [p__['t']]))"

_FRACTION = f"(p__['theta'] / {HASHES}.0::DOUBLE)"
_ESTIMATE = (
    f"CASE WHEN p__['theta'] >= {WHOLE} THEN len(p__['hashes'])"
    f" ELSE TRY_CAST(round(len(p__['hashes']) / {_FRACTION}) AS BIGINT) END"
)
_ERROR = (
    f"CASE WHEN p__['theta'] >= {WHOLE} THEN 0::DOUBLE"
    f" WHEN len(p__['hashes']) > 0 THEN sqrt((1 - {_FRACTION}) / greatest(len(p__['hashes']) - 1, 1)) END"
)

MACROS: dict[str, str] = {
    "theta_union(a, b)": _steps(_PAIR, _BOTH, _DISTINCT, _MADE),
    "theta_intersection(a, b)": _steps(_PAIR, _COMMON, _MADE),
    "theta_difference(a, b)": _steps(_PAIR, _FIRST, _LEFT, _TWICE, _LEFT_ALONE),
    "theta_union_agg(s)": _steps(_LISTED, _ALL, _UNITED, _DISTINCT, _MADE),
    "theta_sketch_estimate(s)": _steps(_sketch("s"), _ESTIMATE),
    "theta_sketch_error(s)": _steps(_sketch("s"), _ERROR),
}
"""Each function's body by how it is called; `allowed` lists the names. The error is the standard error relative to the
estimate, NULL where no hash is left to tell."""


def statements() -> tuple[str, ...]:
    """What makes the functions."""
    return tuple(f"CREATE MACRO {call} AS {body}" for call, body in MACROS.items())
