"""Set sketches in queries: exact while small, within the published error above, and nothing else within reach."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from handmade import Handmade, rows
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT

from seamline.errors import Condition, SeamlineError
from seamline.kernel import Limits
from seamline.schemas.algebra import ALGEBRA, Call
from seamline.schemas.algebra.forms import fill
from seamline.serving.functions import MACROS, WHOLE
from seamline.serving.pool import Pool
from seamline.serving.rebound import Text
from seamline.serving.serving import Serving

pytestmark = pytest.mark.thorough

VIEW = """\
CREATE MATERIALIZED VIEW sets AS
SELECT date_trunc('year', placed) AS year, shop, theta_sketch_agg(amount) AS amounts,
       theta_sketch_agg(amount, 64) AS few, theta_sketch_agg(amount) FILTER (WHERE amount % 2 = 0) AS even
FROM orders GROUP BY ALL
"""

OPERATIONS = {"union": set.union, "intersection": set.intersection, "difference": set.difference}


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    pool = Pool(Limits(memory="1GB"), 60)
    yield pool
    pool.close()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    made = Handmade(tmp_path_factory.mktemp("lake"), VIEW)
    made.epoch(rows(300))
    made.version(made.sent, cut=300, view="sets")
    made.epoch(rows(100, 250))
    made.epoch(rows(50, 350))
    return made.serving()


def ask(pool: Pool, sql: str) -> list[dict[str, Any]]:
    """The rows of a query that the guard lets pass."""
    assert pool.asked(sql).references == ()
    with pool.cursor() as cursor:
        return cursor.run(Text(sql), 60).to_pylist()


def written(hashes: set[int], theta: int = WHOLE) -> str:
    """A sketch as SQL."""
    listed = ", ".join(map(str, sorted(hashes)))
    return f"{{'theta': {theta}, 'hashes': [{listed}]}}"


# --- through serving --------------------------------------------------------------------------------------


GROUPED = "SELECT shop, theta_sketch_estimate(theta_union_agg(amounts)) AS n FROM sets GROUP BY shop"
UNITED = "theta_sketch_estimate(theta_union_agg(amounts))"


@pytest.mark.parametrize(
    "sql",
    [
        f"{GROUPED} HAVING {UNITED} > 133",
        f"{GROUPED} HAVING n > 133 AND theta_sketch_error(theta_union_agg(amounts)) = 0",
        f"{GROUPED} HAVING theta_sketch_estimate(MEASURE(amounts)) > 133",
        f"{GROUPED} HAVING theta_sketch_estimate(theta_union(theta_union_agg(even), theta_union_agg(amounts))) > 133",
        f"{GROUPED} HAVING theta_sketch_estimate(theta_intersection(MEASURE(even), MEASURE(amounts))) >= 67"
        f" AND {UNITED} > 133",
        f"{GROUPED} HAVING theta_sketch_estimate(theta_difference(MEASURE(amounts), MEASURE(even))) = 67"
        f" AND {UNITED} > 133",
        f"{GROUPED} QUALIFY row_number() OVER (ORDER BY {UNITED} DESC) = 1",
        f"{GROUPED} ORDER BY {UNITED} DESC LIMIT 1",
    ],
)
def test_sets_can_stand_wherever_a_query_has_aggregates(serving: Serving, sql: str) -> None:
    assert serving.query(sql).table.to_pylist() == [{"shop": "shop0", "n": 134}]


def test_sets_of_both_layers_are_combined_in_a_query(serving: Serving) -> None:
    """Events are (shop n % 3, amount n) for n < 400, some of them twice."""
    answer = serving.query(
        "SELECT theta_sketch_estimate(theta_intersection(a.even, b.amounts)) AS none,"
        " theta_sketch_estimate(theta_intersection(a.amounts, a.even)) AS even,"
        " theta_sketch_estimate(theta_difference(a.amounts, a.even)) AS odd,"
        " theta_sketch_estimate(theta_union(a.amounts, b.amounts)) AS either,"
        " theta_sketch_error(theta_union(a.amounts, b.amounts)) AS error"
        " FROM sets AS a, sets AS b WHERE a.shop = 'shop0' AND b.shop = 'shop1'"
    )
    first, second = set(range(0, 400, 3)), set(range(1, 400, 3))
    even = sum(n % 2 == 0 for n in first)
    assert answer.table.to_pylist() == [
        {"none": 0, "even": even, "odd": len(first) - even, "either": len(first | second), "error": 0.0}
    ]
    assert answer.provenance["sets"].columns


def test_sketches_of_many_groups_are_united(serving: Serving) -> None:
    sql = "SELECT theta_sketch_estimate(theta_union_agg(amounts)) AS n FROM sets"
    assert serving.query(sql).table.to_pylist() == [{"n": 400}]
    frames = "SELECT theta_sketch_estimate(theta_union_agg(amounts) OVER (ORDER BY shop)) AS n FROM sets ORDER BY shop"
    assert [row["n"] for row in serving.query(frames).table.to_pylist()] == [134, 267, 400]


def test_the_documented_query_runs(tmp_path: Path) -> None:
    """The one in docs/serving.md, over a view of the same columns."""
    page = (ROOT / "docs" / "serving.md").read_text()
    (sql,) = re.findall(r"```sql\n((?:(?!```).)*?theta_intersection.*?)```", page, re.DOTALL)
    made = Handmade(
        tmp_path,
        "CREATE MATERIALIZED VIEW daily_actors AS SELECT time_bucket(INTERVAL '1 day', placed) AS day,"
        " if(shop = 'shop0', 'PushEvent', 'WatchEvent') AS type, theta_sketch_agg(amount % 10) AS actors"
        " FROM orders GROUP BY ALL",
    )
    made.epoch(rows(60))
    assert made.serving().query(sql).table.to_pylist() == [{"both": 10, "error": 0.0}]


def test_a_sketch_above_the_grain_is_merged_by_measure(serving: Serving) -> None:
    """A sketch of 64 hashes again, where theta_union_agg keeps all that it is given."""
    sql = "SELECT len(MEASURE(few).hashes) AS few, theta_sketch_estimate(MEASURE(amounts)) AS n FROM sets"
    assert serving.query(sql).table.to_pylist() == [{"few": 63, "n": 400}]
    frames = "SELECT theta_sketch_estimate(MEASURE(amounts) OVER (ORDER BY shop)) AS n FROM sets ORDER BY shop"
    assert [row["n"] for row in serving.query(frames).table.to_pylist()] == [134, 267, 400]


def test_a_sketch_over_its_size_answers_with_its_error(serving: Serving) -> None:
    sql = "SELECT theta_sketch_estimate(few) AS n, theta_sketch_error(few) AS e, len(few.hashes) AS kept FROM sets"
    for row in serving.query(sql).table.to_pylist():
        assert row["kept"] == 63
        assert 0 < row["e"] < 1 / math.sqrt(62)
        assert row["n"] == pytest.approx(133, rel=4.5 * row["e"])


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT theta_union(1, 2)",
        "SELECT theta_union(amounts) FROM sets",
        "SELECT theta_sketch_estimate(shop) FROM sets",
        "SELECT theta_union_agg(DISTINCT amounts) FROM sets",
    ],
)
def test_what_is_no_sketch_is_told(serving: Serving, sql: str) -> None:
    with pytest.raises(SeamlineError) as caught:
        serving.query(sql)
    assert caught.value.condition is Condition.QUERY_INVALID


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM duckdb_functions()",
        "SELECT * FROM theta_union(NULL, NULL)",
        "CREATE MACRO theta_union(a, b) AS a",
        "DROP MACRO theta_union",
        "SELECT theta_union(getenv('HOME'), NULL)",
        "SELECT theta_union((SELECT function_name FROM duckdb_functions()), NULL)",
    ],
)
def test_the_functions_open_nothing_else(serving: Serving, sql: str) -> None:
    with pytest.raises(SeamlineError) as caught:
        serving.query(sql)
    assert caught.value.condition is Condition.QUERY_REFUSED


def test_every_function_there_is_can_be_asked(pool: Pool) -> None:
    for call in MACROS:
        name, arguments = call.removesuffix(")").split("(")
        nulls = ", ".join("NULL" for _ in arguments.split(","))
        assert len(ask(pool, f"SELECT {name}({nulls}) AS x")) == 1


# --- what the operations are --------------------------------------------------------------------------------

SKETCHES = st.tuples(st.sets(st.integers(0, 20)), st.sampled_from([5, 12, WHOLE]))


@given(SKETCHES, SKETCHES)
def test_below_the_smaller_theta_an_operation_is_that_of_the_sets(a: Any, b: Any) -> None:
    """What a sketch holds is its set below theta; so is what an operation gives, in order."""
    theta = min(a[1], b[1])
    texts = [written({h for h in hashes if h < t}, t) for hashes, t in (a, b)]
    (row,) = ask(shared(), "SELECT " + ", ".join(f"theta_{o}({texts[0]}, {texts[1]}) AS {o}" for o in OPERATIONS))
    for operation, of_sets in OPERATIONS.items():
        want = sorted(h for h in of_sets(a[0], b[0]) if h < theta)
        assert row[operation] == {"theta": theta, "hashes": want}, operation


@cache
def shared() -> Pool:
    return Pool(Limits(), 60)


def test_nothing_is_the_empty_set(pool: Pool) -> None:
    """A missing row of an outer join."""
    one, none = written({1, 2}), {"theta": WHOLE, "hashes": []}
    (row,) = ask(
        pool,
        f"SELECT theta_union(NULL, {one}) AS u, theta_intersection({one}, NULL) AS i,"
        f" theta_difference({one}, NULL) AS d, theta_difference(NULL, {one}) AS n,"
        " theta_sketch_estimate(NULL) AS e, theta_sketch_error(NULL) AS r",
    )
    whole = {"theta": WHOLE, "hashes": [1, 2]}
    assert row == {"u": whole, "i": none, "d": whole, "n": none, "e": 0, "r": 0.0}


def test_no_hash_left_has_no_known_error(pool: Pool) -> None:
    (row,) = ask(
        pool, f"SELECT theta_sketch_estimate({written(set(), 5)}) AS n, theta_sketch_error({written(set(), 5)}) AS e"
    )
    assert row == {"n": 0, "e": None}


# --- errors -------------------------------------------------------------------------------------------------

SIZE, SEEDS = 512, 100


@cache
def measured(first: int, second: int, both: int) -> dict[str, list[dict[str, Any]]]:
    """Estimates and errors of each operation over sketches of two sets of so many values, `both` of them in common."""
    form = ALGEBRA["theta_sketch_agg"].form(Call(("BIGINT",), (SIZE,), (str(SIZE),)))
    assert form is not None

    def sketch(condition: str) -> str:
        return fill(form.own, {"x": "x", "where": condition, "filter": f" FILTER (WHERE {condition})"})

    values = f"SELECT k, n, k * 10000000 + n AS x FROM range({SEEDS}) AS ks(k), range({first + second - both}) AS ns(n)"
    made = f"SELECT k, {sketch(f'n < {first}')} AS a, {sketch(f'n >= {first - both}')} AS b FROM ({values}) GROUP BY k"
    found = {}
    for operation in OPERATIONS:
        s = f"theta_{operation}(a, b)"
        asked = f"SELECT theta_sketch_estimate({s}) AS n, theta_sketch_error({s}) AS e FROM ({made})"
        with shared().cursor() as cursor:
            found[operation] = cursor.run(Text(asked), 60).to_pylist()
    return found


@pytest.mark.parametrize("sizes", [(8_000, 8_000, 2_000), (12_000, 2_400, 1_200), (4_000, 12_000, 2_000)], ids=str)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_estimates_stay_within_the_published_error(operation: str, sizes: tuple[int, int, int]) -> None:
    """Dasgupta et al. 2016: unbiased, with a variance of at most |result| |A ∪ B| / (k - 2); and the error that is told
    is the one that is met. A deviation over so many seeds is itself uncertain by 1 / sqrt(2 seeds) of it."""
    first, second, both = sizes
    union = first + second - both
    true = {"union": union, "intersection": both, "difference": first - both}[operation]
    found = measured(*sizes)[operation]
    errors = [row["n"] / true - 1 for row in found]
    deviation = math.sqrt(statistics.fmean(error * error for error in errors))
    slack = 3 / math.sqrt(2 * SEEDS)
    published = math.sqrt(union / true / (SIZE - 2))
    assert deviation <= published * (1 + slack)
    assert abs(statistics.fmean(errors)) <= 4 * published / math.sqrt(SEEDS)
    told = statistics.fmean(row["e"] for row in found)
    assert told <= published * 1.1
    assert deviation == pytest.approx(told, rel=slack)
