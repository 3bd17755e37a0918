"""One snapshot gives one answer, bit for bit: what is merged is a set of partial rows, whatever order they come in.

Threads come to rows in another order each time; here the rows are shuffled, which shows the same at once.
"""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pytest
from algebra_laws import Case, cases_of
from lakes import Bench, order

from seamline.config import Settings
from seamline.errors import Condition, SeamlineError
from seamline.kernel import kernel, quote
from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.algebra.forms import fill
from seamline.serving.query import Query
from seamline.serving.serving import Serving

GROUPS, PARTS, VALUES = 300, 9, 4
ORDERS = 3

FLOATING = [
    case for name, entry in ALGEBRA.items() for case in cases_of(name, entry.tried[0]) if set(case.types) == {"DOUBLE"}
]
"""Every entry that takes DOUBLE."""


def events() -> pa.Table:
    """Values whose sums are rounded: nearly equal ones, and others of all sizes; of each group, nine parts."""
    chance = random.Random(5)
    places = [(k, part) for k in range(GROUPS) for part in range(PARTS) for _ in range(VALUES)]
    return pa.table(
        {
            "k": [k for k, _ in places],
            "part": [part for _, part in places],
            "x": [_value(chance, k) for k, _ in places],
            "y": [_value(chance, k + 1) for k, _ in places],
            "f": [True] * len(places),
            "o": range(len(places)),
        }
    )


def _value(chance: random.Random, k: int) -> float:
    return chance.gauss(1e6, 1.0) if k % 2 else chance.choice([-1, 1]) * 10 ** chance.uniform(-1.0, 1.0)


@pytest.mark.parametrize("case", FLOATING, ids=str)
def test_an_answer_does_not_depend_on_the_order_of_partial_rows(case: Case, tmp_path: Path) -> None:
    form, engine = case.form, kernel()
    at = "{'t': TIMESTAMPTZ '2026-01-01', 's': 's', 'p': 0, 'o': o}"
    values = {"x": "x", "y": "y", "filter": " FILTER (WHERE f)", "where": "f", "at": at}
    names = {part.suffix: quote(f"v{part.suffix}") for part in form.parts}
    made = ", ".join(f"{fill(part.partial, values)} AS {names[part.suffix]}" for part in form.parts)
    merged = ", ".join(f"{fill(part.merge, {'c': names[part.suffix]})} AS {names[part.suffix]}" for part in form.parts)
    partials = engine.run(f"SELECT k, part, {made} FROM events GROUP BY ALL ORDER BY ALL", {"events": events()})
    finished = fill(form.finalise, {**names, "column": "v"})
    answer = f"SELECT k, ({finished})::VARCHAR AS v FROM (SELECT k, {merged} FROM p GROUP BY ALL) ORDER BY k"
    said = set()
    for seed in range(ORDERS):
        rows = list(range(partials.num_rows))
        random.Random(seed).shuffle(rows)
        said.add(tuple(engine.run(answer, {"p": partials.take(rows)})["v"].to_pylist()))
    assert len(said) == 1


# --- a view is evaluated once in a query -----------------------------------------------------------------

TWICE = [
    "SELECT count(*) AS n FROM sales AS a JOIN sales AS b USING (hour, shop) WHERE a.weight = b.weight",
    "SELECT count(*) AS n FROM sales WHERE weight <= (SELECT max(weight) FROM sales)",
    "WITH a AS (SELECT * FROM sales) SELECT count(*) AS n FROM a JOIN sales AS b USING (hour, shop)",
    "/* both */ WITH RECURSIVE a AS (FROM Sales) SELECT count(*) AS n FROM a JOIN SALES AS b USING (hour, shop)",
    "-- each\n(SELECT count(*) AS n FROM sales) INTERSECT (SELECT count(*) FROM sales)",
]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    bench = Bench(tmp_path_factory.mktemp("lake"))
    bench.send(*(order(str(n), shop="abcd"[n % 4], weight=n / 10) for n in range(40)))
    bench.both()
    bench.batch.rebuild("sales")
    return Serving(bench.lake, Settings(), bench.clock)


@pytest.mark.parametrize("sql", TWICE)
def test_a_view_that_is_named_twice_is_read_once(serving: Serving, sql: str) -> None:
    assert serving.query(sql).table.to_pylist() == [{"n": 4}]
    plan = Query(sql, serving.pool).explain(serving.snapshot())
    assert plan.count("READ_PARQUET") == 1, plan


def test_a_view_that_is_named_once_is_read_through_the_filter(serving: Serving) -> None:
    plan = Query("SELECT * FROM sales WHERE shop = 'a'", serving.pool).explain(serving.snapshot())
    assert plan.count("READ_PARQUET") == 1
    assert "CTE" not in plan


def test_a_with_name_that_is_a_views_hides_it_as_it_did(serving: Serving) -> None:
    sql = "WITH sales AS (SELECT * FROM sales WHERE shop = 'a') SELECT count(*) AS n FROM sales, sales AS b"
    assert serving.query(sql).table.to_pylist() == [{"n": 1}]


def test_a_query_that_names_a_view_twice_says_where_it_is_wrong(serving: Serving) -> None:
    with pytest.raises(SeamlineError) as caught:
        serving.query("SELECT a.shop,\n  b.nothing FROM sales AS a, sales AS b")
    assert caught.value.condition is Condition.QUERY_INVALID
    assert "2:" in caught.value.where or "line 2" in caught.value.where
