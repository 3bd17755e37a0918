"""Distinct values, by a sketch that is exact while it is small: their number, or the sketch itself for set operations.

The sketch is the k smallest distinct hashes (k minimum values: Bar-Yossef et al. 2002; Beyer et al. 2007), sorted, as a
list of BIGINT; with the k-th of them, theta, as a fraction of the range, (k - 1) / theta is unbiased with a standard
error of at most 1 / sqrt(k - 2). Fewer than k hashes are all there are. DuckDB's own state has 3.3% error and costs
1 KB for the smallest group; docs/views.md has figures.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from seamline.kernel import ZIP
from seamline.schemas.algebra.forms import ORDERED, Aggregate, Call, Form, Part, fields_of, storable

SKETCH_SIZE = 4096
"""Hashes kept where nothing else is asked for: a standard error of 1.56%."""

FINEST, COARSEST = 0.008, 0.1
"""Standard errors that can be asked for; the coarsest is still exact below 102."""

SMALLEST, LARGEST = 64, 16_384
"""Hashes that a set sketch can keep."""

HASHES = 2**63
"""Hashes are 63 bits of DuckDB's, so that BIGINT holds them: they belong to the kernel's version, as states do. Equal
values hash alike: -0.0 as 0.0, and every NaN."""

NESTED_SINCE = 5
"""The layout from which on lists and structs are hashed by `plain_hash`."""

THETA_SKETCH = "STRUCT(theta BIGINT, hashes BIGINT[])"
"""A set sketch (Dasgupta et al. 2016): every hash of the set below theta; the largest BIGINT where that is all."""


def plain_hash(value: str, kind: str, depth: int = 0) -> str:
    """DuckDB's hash of a value that is not NULL. Its hash of a list tells neither [] from [NULL] nor [0, NULL], that of
    a struct not which field is NULL: of these it is taken of a text, with each element hashed by itself, or '-'."""
    inner = f"v{depth}__"
    if kind.endswith("[]"):
        each = f"list_transform({value}, lambda {inner}: {_or_null(inner, kind[:-2], depth)})"
        return f"hash('[' || array_to_string({each}, ',') || ']')"
    fields = fields_of(kind)
    if not fields:
        return f"hash({value})"
    taken = (_or_null(f"struct_extract({value}, '{name}')", of, depth) for name, of in fields.items())
    return f"hash({COMMA.join(taken)})"


COMMA = " || ',' || "


def _or_null(value: str, kind: str, depth: int) -> str:
    return f"CASE WHEN {value} IS NULL THEN '-' ELSE ({plain_hash(value, kind, depth + 1)})::VARCHAR END"


_FEW = 1024
"""Hashes up to which list_distinct is quicker than looking at neighbours (five times slower over a million)."""

_LISTS = "list({c})"
_ALL = f"flatten({_LISTS})"
_SORTED = f"list_sort({_ALL})"
_UNEQUAL = f"list_transform({ZIP}({_SORTED}, {_SORTED}[2:]), lambda pair__: pair__[1] IS DISTINCT FROM pair__[2])"
_MERGED = (
    f"CASE WHEN len({_ALL}) <= {_FEW} THEN list_sort(list_distinct({_ALL})) ELSE list_where({_SORTED}, {_UNEQUAL}) END"
)


def _sketch(size: int, kind: str) -> Part:
    """The partial column over values of one type. A bounded heap takes the smallest from a long list: sorting it takes
    twice the memory and three times as long, and a heap for every small group would take `size` hashes each. One sketch
    alone is merged as it is."""
    hashed = plain_hash("({x})", kind)
    hashes = f"list(DISTINCT ({hashed} >> 1)::BIGINT) FILTER (WHERE {{where}} AND ({{x}}) IS NOT NULL)"
    cut = f"CASE WHEN len({hashes}) > {size} THEN list_aggregate({hashes}, 'min', {size}) ELSE list_sort({hashes}) END"
    merged = f"CASE WHEN len({_LISTS}) = 1 THEN {_LISTS}[1] ELSE ({_MERGED})[:{size}] END"
    nested = kind.endswith("[]") or fields_of(kind)
    return Part("", cut, "BIGINT[]", merged, since=NESTED_SINCE if nested else 0, engine=True)


def _bound(size: int) -> str:
    return f"exact below {size}; standard error {100 / math.sqrt(size - 2):.2f}% above"


# --- approx_count_distinct -------------------------------------------------------------------------------


def _approx_count_distinct(call: Call) -> Form | None:
    if not storable(call.type):
        return None
    size = _size_for(call.constants[0]) if call.constants else SKETCH_SIZE
    estimate = f"round({size - 1} / ({{}}[{size}] / {HASHES}.0::DOUBLE))::BIGINT"
    value = f"CASE WHEN len({{}}) >= {size} THEN {estimate} ELSE coalesce(len({{}}), 0) END"
    own = "approx_count_distinct({x}){filter}" if call.constants else ""
    return Form((_sketch(size, call.type),), value, "BIGINT", "approximate", _bound(size), own=own)


def _size_for(error: Any) -> int:
    """The fewest hashes whose standard error is at most `error`."""
    number = isinstance(error, int | float | Decimal) and not isinstance(error, bool)
    if not number or not FINEST <= float(error) <= COARSEST:
        raise ValueError(f"error is a standard error as a fraction, from {FINEST} to {COARSEST}: 0.01 is one percent")
    return math.ceil(1 / (Decimal(str(error)) ** 2)) + 2


# --- theta_sketch_agg ------------------------------------------------------------------------------------


def _theta_sketch_agg(call: Call) -> Form | None:
    if not storable(call.type):
        return None
    size = call.constants[0] if call.constants else SKETCH_SIZE
    if not isinstance(size, int) or isinstance(size, bool) or not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size is the number of hashes kept, a whole number from {SMALLEST} to {LARGEST:,}")
    part = _sketch(size, call.type)
    sampled = f"struct_pack(theta := {{}}[{size}], hashes := {{}}[:{size - 1}])"
    whole = f"struct_pack(theta := {HASHES - 1}::BIGINT, hashes := coalesce({{}}, []::BIGINT[]))"
    value = f"CASE WHEN len({{}}) >= {size} THEN {sampled} ELSE {whole} END"
    own = value.replace("{}", f"({part.partial})")
    return Form((part,), value, THETA_SKETCH, "approximate", _bound(size), own=own)


DISTINCT = (
    Aggregate(
        "approx_count_distinct", "plain", ORDERED, _approx_count_distinct,
        "how many distinct values, by a sketch; `error` is the standard error wanted, as a fraction",
        constants=("error",), alike=True, tried=(("0.05",), ()),
    ),
    Aggregate(
        "theta_sketch_agg", "plain", ORDERED, _theta_sketch_agg,
        "the set of distinct values as a sketch, for set operations in queries; `size` is how many hashes it keeps",
        constants=("size",), alike=True, tried=(("64",), ()),
    ),
)  # fmt: skip
