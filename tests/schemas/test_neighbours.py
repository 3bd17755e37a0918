"""An expression sees its own row: whatever gives a struct that is missing gives one whose fields are missing, too, with
thousands of rows in a vector as with one.

DuckDB's list_zip and list_select give NULL structs with another row's fields. The kernel guards both; everything else
of the language that can give a NULL struct is asked here, so that a new engine's next one is seen."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from handmade import Handmade, rows

from seamline.errors import Condition, SeamlineError
from seamline.kernel import Kernel, Limits

MANY = 6_000


def struct(n: int, at: int) -> dict[str, Any] | None:
    return None if (n + at) % 3 == 0 else {"a": n * 31 + at, "b": f"x{n}{at}"}


def row(n: int) -> dict[str, Any]:
    """Lists of structs of several lengths, empty and NULL ones, with NULLs inside; and a struct that may be NULL."""
    return {
        "n": n,
        "l": None if n % 7 == 0 else [struct(n, at) for at in range(n % 5)],
        "m": None if n % 4 == 0 else [struct(n + 1, at) for at in range(n % 3)],
        "s": struct(n, 1),
        "f": {"a": n, "b": f"y{n}"},
        "i": [n % 5 + 1, 9, 1],
        "w": [n % 2 == 0, True, n % 3 == 0],
    }


STRUCT = pa.struct([("a", pa.int64()), ("b", pa.string())])
KINDS = {
    "n": pa.int64(), "l": pa.list_(STRUCT), "m": pa.list_(STRUCT), "s": STRUCT, "f": STRUCT, "i": pa.list_(pa.int64()),
    "w": pa.list_(pa.bool_()),
}  # fmt: skip
ROWS = [row(n) for n in range(MANY)]
TABLE = pa.table({name: pa.array([one[name] for one in ROWS], kind) for name, kind in KINDS.items()})


@pytest.fixture(scope="module")
def engine() -> Any:
    made = Kernel(Limits(threads=1))
    yield made
    made.close()


def padded(*lists: list[Any] | None) -> list[tuple[Any, ...]]:
    """NULL is a list of nothing here."""
    return list(zip_longest(*(one or [] for one in lists)))


def chosen(one: list[Any] | None, at: list[int]) -> list[Any] | None:
    return None if one is None else [one[i - 1] if i <= len(one) else None for i in at]


def field(found: list[Any] | None, at: int, side: int | None = None) -> int | None:
    """The field `a` of an element, or of one side of it."""
    element = found[at] if found is not None and at < len(found) else None
    element = element[side] if element is not None and side is not None else element
    return None if element is None else int(element["a"])


PLAIN = {
    "list_zip(l, m)[1][2].a": lambda r: field(padded(r["l"], r["m"]), 0, 1),
    "list_zip(l, m)[3][2].a": lambda r: field(padded(r["l"], r["m"]), 2, 1),
    "list_zip(m, l)[2][1].a": lambda r: field(padded(r["m"], r["l"]), 1, 0),
    "array_zip(l, m)[4][2].a": lambda r: field(padded(r["l"], r["m"]), 3, 1),
    "list_zip(l, m, n % 2 = 0)[2][2].a": lambda r: (
        field(padded(r["l"], r["m"]), 1, 1) if r["n"] % 2 or len(r["l"] or ()) > 1 else None
    ),
    "l.list_zip(m)[3][2].a": lambda r: field(padded(r["l"], r["m"]), 2, 1),
    "list_select(l, i)[1].a": lambda r: field(chosen(r["l"], r["i"]), 0),
    "list_select(l, i)[2].a": lambda r: field(chosen(r["l"], r["i"]), 1),
    "array_select(m, i)[3].a": lambda r: field(chosen(r["m"], r["i"]), 2),
    "list_zip(l, l[2:])[n % 5][2].a": lambda r: (
        field(padded(r["l"], (r["l"] or [])[1:]), r["n"] % 5 - 1, 1) if r["l"] and r["n"] % 5 else None
    ),
}  # fmt: skip


def test_what_lists_lack_is_missing_in_thousands_of_rows(engine: Kernel) -> None:
    select = ", ".join(f"{call} AS c{number}" for number, call in enumerate(PLAIN))
    table = engine.run(f"SELECT {select} FROM t", {"t": TABLE})
    for number, (call, plainly) in enumerate(PLAIN.items()):
        assert table[f"c{number}"].to_pylist() == [plainly(one) for one in ROWS], call


STRUCTS = """
l[9]  l[n % 6]  l[-7]  l[2:9][3]  list_extract(l, 4)  list_element(m, 3)  list_first(l)  list_last(l)  list_any_value(l)
list_append(l, NULL)[-1]  list_prepend(NULL, l)[1]  list_append(l, s)[-1]  list_concat(l, m)[n % 6]
list_where(l, w[:len(l)])[1]  list_resize(l, 6)[6]  list_resize(l, 6, s)[6]  array_resize(m, 9)[8]
list_min(l)  list_max(l)  list_sort(l)[1]  list_reverse_sort(l)[1]  list_reverse(l)[1]
list_distinct(l)[1]  list_intersect(l, m)[1]  flatten([l, m])[3]  list_value(s, f)[3]  list_pack(s)[1]
list_transform(l, lambda e: e)[3]  list_filter(l, lambda e: e IS NULL)[1]  list_slice(l, 2, 3)[2]  array_extract(l, 5)
map([n % 3, 5], [f, NULL])[n % 4]  map_extract(map([n % 3], [f]), n % 4)[1]  element_at(map([n % 3], [s]), n % 4)[1]
map_extract_value(map([n % 3], [s]), n % 4)  map_values(map([n % 3], [s]))[2]  map_entries(map([n % 3], [s]))[1].value
CASE WHEN n % 2 = 0 THEN f END  if(n % 2 = 0, f, NULL)  coalesce(s, l[1])  nullif(s, f)  TRY(l[n % 3])
struct_pack(q := s).q  struct_pack(q := l[9]).q  row(s, 1)[1]  struct_insert(f, c := s).c  greatest(s, l[1])
least(s, m[1])  ifnull(s, l[9])  s::STRUCT(a BIGINT, b VARCHAR)  {'q': s}.q  [s][1]  (l || m)[5]
list_zip(l, m)[n % 4][2]  list_select(l, [n % 9 + 1])[1]
json_transform(CASE WHEN n % 2 = 0 THEN '{"a": 1}' END, '{"a": "INT", "b": "VARCHAR"}')
"""
QUERIES = """
SELECT lag(s, 2) OVER (ORDER BY n) AS v FROM t
SELECT lead(f, 99) OVER (PARTITION BY n % 40 ORDER BY n) AS v FROM t
SELECT nth_value(f, 5) OVER (PARTITION BY n // 3 ORDER BY n) AS v FROM t
SELECT last_value(s IGNORE NULLS) OVER (PARTITION BY n // 2 ORDER BY n) AS v FROM t
SELECT b.f AS v FROM t AS a LEFT JOIN (SELECT n + 3 AS n, f FROM t WHERE n % 3 = 1) AS b USING (n)
SELECT b.f AS v FROM (FROM t WHERE n % 2 = 0) AS a FULL JOIN (SELECT n, f FROM t WHERE n % 3 = 1) AS b USING (n)
SELECT unnest(range(4)) AS x, unnest(m) AS v FROM t
SELECT (SELECT f FROM t AS b WHERE b.n = a.n * 3) AS v FROM t AS a
SELECT arg_min(s, n) AS v FROM t GROUP BY n
SELECT first(f) FILTER (WHERE n % 2 = 0) AS v FROM t GROUP BY n
SELECT list(s)[9] AS v FROM t GROUP BY n // 2
SELECT max(s, 2)[2] AS v FROM t GROUP BY n
SELECT s AS v FROM t UNION ALL SELECT NULL FROM t
SELECT b.f AS v FROM t AS a ASOF LEFT JOIN (SELECT n + 5 AS n, f FROM t WHERE n > 100) AS b ON a.n >= b.n
SELECT q.v FROM t LEFT JOIN LATERAL (SELECT unnest(m) AS v) AS q ON true
SELECT f AS v, count(*) FROM t GROUP BY ROLLUP (f)
"""
EXPRESSIONS = [call for line in STRUCTS.splitlines() for call in line.split("  ") if call]


def test_a_struct_that_is_missing_has_no_fields_whatever_gave_it(engine: Kernel) -> None:
    stale = ", ".join(
        f"count(*) FILTER (WHERE ({e}) IS NULL AND ({e}).a IS NOT NULL) AS c{n}" for n, e in enumerate(EXPRESSIONS)
    )
    missing = ", ".join(f"count(*) FILTER (WHERE ({e}) IS NULL) AS m{n}" for n, e in enumerate(EXPRESSIONS))
    (found,) = engine.run(f"SELECT {stale}, {missing} FROM t", {"t": TABLE}).to_pylist()
    assert {e: found[f"c{n}"] for n, e in enumerate(EXPRESSIONS) if found[f"c{n}"]} == {}
    assert sum(found[f"m{n}"] > 0 for n in range(len(EXPRESSIONS))) > len(EXPRESSIONS) - 3  # else it asks nothing
    for query in filter(None, QUERIES.splitlines()):
        statement = f"SELECT count(*) AS c FROM ({query}) WHERE v IS NULL AND v.a IS NOT NULL"
        assert engine.run(statement, {"t": TABLE}).to_pylist() == [{"c": 0}], query


@pytest.mark.parametrize("call", ["system.main.list_zip(l, l)", "system.list_zip(l, l)", "memory.main.list_zip(l, l)"])
def test_a_query_cannot_name_the_unguarded_ones(call: str, tmp_path: Path) -> None:
    made = Handmade(tmp_path)
    made.epoch(rows(3))
    with pytest.raises(SeamlineError) as caught:
        made.serving().query(f"SELECT {call} FROM (SELECT list(shop) AS l FROM sales)")
    assert caught.value.condition is Condition.QUERY_REFUSED
    assert "a function by its name alone" in caught.value.detail
