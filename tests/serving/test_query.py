"""What a query may be: one SELECT over views and allowed functions, inside its time, with its groups in range."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import pytest
from handmade import OTHER, VIEW, Handmade, rows
from places import ROOT
from waiting import wait_until

from seamline.errors import Condition, SeamlineError
from seamline.serving.allowed import BY_NAME, FUNCTIONS, WORDS
from seamline.serving.query import Query
from seamline.serving.serving import Serving

REFUSED = [
    "SELECT 1; SELECT 2",
    "SELECT * FROM sales; DROP VIEW sales",
    "SELECT * FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_parquet('x.parquet')",
    "SELECT * FROM parquet_scan('x.parquet')",
    "SELECT * FROM parquet_metadata('x.parquet')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/etc/passwd')",
    "SELECT * FROM read_json_auto('x.json')",
    "SELECT * FROM sniff_csv('x.csv')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('sales')",
    "SELECT * FROM json_execute_serialized_sql('{}')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_tables()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM duckdb_functions()",
    "SELECT * FROM pragma_version()",
    "SELECT * FROM sales, LATERAL (SELECT * FROM duckdb_views()) AS v",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM pg_catalog.pg_tables",
    "SELECT * FROM main.sales",
    "SELECT * FROM memory.main.sales",
    "SELECT getenv('HOME')",
    "SELECT current_setting('memory_limit')",
    "SELECT getvariable('x')",
    "SELECT nextval('s')",
    "SELECT version()",
    "SELECT random()",
    "SELECT sleep_ms(1000)",
    "SELECT write_log('x')",
    "SELECT shop.getenv() FROM sales",
    "SELECT list_transform([1], lambda x: getenv('HOME'))",
    "SELECT (SELECT max(getenv('HOME')) FROM sales)",
    "SELECT * FROM sales WHERE shop IN (SELECT getenv('HOME'))",
    "SELECT count(*) FILTER (WHERE current_setting('threads') > 1) FROM sales",
    "SELECT * FROM sales ORDER BY getenv('HOME')",
    "WITH t AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM t",
    "WITH t AS (INSERT INTO sales VALUES (1) RETURNING *) SELECT * FROM t",
    "SELECT json_serialize_sql('SELECT 1')",
    "COPY (SELECT 1) TO '/tmp/out.csv'",
    "COPY sales FROM '/tmp/in.csv'",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP VIEW t AS SELECT 1",
    "CREATE MACRO f() AS 1",
    "INSERT INTO sales VALUES (1)",
    "UPDATE sales SET orders = 1",
    "DELETE FROM sales",
    "DROP VIEW sales",
    "ALTER VIEW sales RENAME TO t",
    "ATTACH '/tmp/x.db'",
    "DETACH memory",
    "USE memory",
    "PRAGMA database_list",
    "SET memory_limit = '10GB'",
    "RESET memory_limit",
    "SET VARIABLE x = 1",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CALL pragma_version()",
    "EXPLAIN EXPLAIN SELECT 1",
    "PREPARE q AS SELECT 1",
    "EXPORT DATABASE '/tmp/x'",
    "CHECKPOINT",
    "BEGIN",
    "VACUUM",
    "DESCRIBE sales",
    "SUMMARIZE sales",
    "SHOW TABLES",
    "SELECT * FROM (DESCRIBE sales)",
    "SELECT * FROM (SUMMARIZE sales)",
    "PIVOT sales ON shop USING sum(orders)",
    "SELECT * FROM sales AT (VERSION => 1)",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "WITH a AS (" * 9 + "SELECT 1" + ")" * 9,
    "with a as (/* ) */" * 3000,
    "SELECT " + "NOT " * 20_000 + "true",
    "SELECT " + "1 + " * 20_000 + "1",
    "SELECT * FROM " + "(SELECT * FROM " * 5000 + "sales" + ")" * 5000,
    "SELECT * FROM sales" + ", sales" * 10_000,
    "SELECT 1 " + "-- " + "x" * 100_000,
    "",
    "-- nothing",
    "SELECT '\ud800'",
    "SELECT * FROM sales USING SAMPLE 3",
    "SELECT * FROM sales USING SAMPLE 10 PERCENT (bernoulli, 1)",
    "SELECT * FROM sales TABLESAMPLE reservoir(20%)",
    "SELECT * FROM (SELECT * FROM sales USING SAMPLE 3)",
    *(f"SELECT {word} FROM sales" for word in WORDS),
    *(f'SELECT shop FROM sales WHERE "{word}" > shop' for word in WORDS),
    "SELECT list_transform([1], lambda x: user)",
    "SELECT MEASURE(orders), max(CURRENT_USER) FROM sales",
    "SELECT current_user()",
    *(f"SELECT {name}([1.0, 2], 'reservoir_quantile', 0.5)" for name in sorted(BY_NAME)),
    "SELECT [1.0, 2].list_aggr('RESERVOIR_QUANTILE', 0.5)",
    "SELECT list_aggregate([1, 2], concat('reservoir_', 'quantile'), 0.5)",
    "SELECT list_aggregate([1, 2], shop) FROM sales",
    "SELECT list_aggregate([1, 2], 'no_aggregate')",
    "SELECT list_aggregate([1, 2], 'histogram_exact', [1])",
]

UNKNOWN = [
    "SELECT * FROM sale",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM 'https://example.com/x.parquet'",
    'SELECT * FROM "x.csv"',
    "SELECT * FROM pg_tables",
    "SELECT * FROM sqlite_master",
    "SELECT * FROM duckdb_settings",
    "SELECT * FROM _speed_sales",
    "WITH pg_tables AS (SELECT * FROM pg_tables) SELECT * FROM pg_tables",
    "SELECT * FROM (WITH pg_tables AS (SELECT 1) SELECT * FROM pg_tables) a, pg_tables",
    "WITH a AS (SELECT * FROM b), b AS (SELECT 1) SELECT * FROM a",
]

ALLOWED = [
    "SELECT * FROM sales",
    "select Shop, SUM(orders) from Sales group by all order by 1 desc nulls last limit 3 offset 1",
    "FROM sales SELECT shop",
    "FROM sales",
    "(SELECT shop FROM sales) UNION ALL (SELECT shop FROM shops)",
    "SELECT shop FROM sales EXCEPT SELECT shop FROM shops",
    "WITH sales AS (SELECT 1 AS x) SELECT * FROM sales",
    "WITH s AS (SELECT * FROM sales), t AS MATERIALIZED (SELECT * FROM s) SELECT count(*) FROM t JOIN s USING (shop)",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n",
    "SELECT a.shop, b.orders FROM sales AS a LEFT JOIN shops AS b ON a.shop = b.shop",
    "SELECT shop, row_number() OVER (PARTITION BY shop ORDER BY hour) AS n FROM sales QUALIFY n = 1",
    "SELECT shop, lag(orders) OVER w FROM sales WINDOW w AS (ORDER BY hour ROWS 2 PRECEDING)",
    "SELECT count(DISTINCT shop), sum(orders) FILTER (WHERE shop LIKE 'shop%') FROM sales HAVING count(*) > 0",
    "SELECT date_trunc('day', hour), quantile_cont(orders, 0.5) FROM sales GROUP BY 1",
    "SELECT CASE WHEN orders > 1 THEN 'many' ELSE 'few' END, orders BETWEEN 1 AND 2, orders IN (1, 2) FROM sales",
    "SELECT * FROM sales WHERE hour >= TIMESTAMPTZ '2024-05-01 02:00:00+00' AND shop ILIKE '%1' AND NOT orders IS NULL",
    "SELECT * FROM sales WHERE hour > now() - INTERVAL 3 DAYS OR hour < current_timestamp OR current_date IS NULL",
    "SELECT list_transform([1, 2], lambda x: x + 1), {'a': 1}.a, [1, 2][1], MAP {'k': 1}, 7 // 2, 2 ** 3, -1",
    "SELECT shop.upper(), shop || '!', shop[1:2], extract(hour FROM hour), hour AT TIME ZONE 'UTC' FROM sales",
    "SELECT h.hour, coalesce(s.orders, 0) FROM generate_series(TIMESTAMPTZ '2024-05-01', TIMESTAMPTZ '2024-05-02', "
    "INTERVAL 1 HOUR) AS h(hour) LEFT JOIN sales AS s USING (hour)",
    "SELECT unnest([1, 2]), * EXCLUDE (shop) REPLACE (orders + 1 AS orders) FROM sales",
    "SELECT COLUMNS('o.*') FROM sales",
    "WITH a AS (WITH b AS (WITH c AS (SELECT shop FROM sales) FROM c) FROM b) SELECT * FROM a, "
    "(WITH d AS (FROM a) FROM d)",
    "SELECT * FROM (VALUES (1, 'x')) AS v(a, b), sales WHERE EXISTS "
    "(SELECT 1 FROM shops WHERE shops.shop = sales.shop)",
    "SELECT shop, sum(orders) FROM sales GROUP BY ROLLUP (shop)",
    "SELECT TRY_CAST('x' AS INTEGER), '{\"a\": 1}'->>'a', regexp_matches('a', '^a$'), strftime(hour, '%Y') FROM sales",
    "SELECT list_aggregate([1, 2], 'SUM'), [1, 2].list_aggr('quantile_cont', 0.5), array_aggr([1], 'min')",
    "SELECT user, current_user FROM (SELECT shop AS user, 1 AS current_user FROM sales) WHERE user > 'a'",
    "SELECT list_transform([1], lambda user: user + 1)",
    "SELECT 1 -- a comment; DROP VIEW sales",
    "SELECT '; DROP VIEW sales' AS \"read_csv\", $$getenv('x')$$",
]


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    made = Handmade(tmp_path_factory.mktemp("lake"), VIEW, OTHER)
    made.epoch(rows(20))
    made.version(made.sent, cut=20)
    made.epoch(rows(20, 20))
    return made.serving()


def error_of(serving: Serving, sql: str) -> SeamlineError:
    with pytest.raises(SeamlineError) as caught:
        serving.query(sql)
    return caught.value


@pytest.mark.parametrize("sql", REFUSED, ids=lambda sql: sql[:50])
def test_more_than_one_select_over_views_is_refused(serving: Serving, sql: str) -> None:
    error = error_of(serving, sql)
    assert error.condition is Condition.QUERY_REFUSED
    assert error.detail
    assert error.hint


@pytest.mark.parametrize("sql", UNKNOWN)
def test_a_name_that_is_no_view_is_told_with_the_views_there_are(serving: Serving, sql: str) -> None:
    error = error_of(serving, sql)
    assert error.condition is Condition.QUERY_INVALID
    assert error.detail == "sales, shops"
    assert error.where


@pytest.mark.parametrize("sql", ALLOWED)
def test_a_select_over_views_is_answered(serving: Serving, sql: str) -> None:
    assert serving.query(sql).table.num_rows >= 0


@pytest.mark.parametrize(
    ("sql", "condition", "where", "says"),
    [
        ("SELECT shop,\n  getenv('x') FROM sales", Condition.QUERY_REFUSED, "2:3", "getenv"),
        ("SELECT 'é', * FROM sale", Condition.QUERY_INVALID, "1:20", "did you mean sales"),
        ("SELECT shop\nFROM sales\nWHERE WHERE", Condition.QUERY_INVALID, "3:7", "WHERE"),
        ("SELECT shop,\n  ordres FROM sales", Condition.QUERY_INVALID, "2:3", "orders"),
        ("SELECT a FROM sales,\n read_csv('x')", Condition.QUERY_REFUSED, "2:2", "read_csv"),
        ("SELECT shop::INTEGER FROM sales", Condition.QUERY_INVALID, "", "shop"),
    ],
)
def test_errors_name_line_and_column(serving: Serving, sql: str, condition: Condition, where: str, says: str) -> None:
    error = error_of(serving, sql)
    assert (error.condition, error.where or where) == (condition, where or error.where)
    assert says in str(error)


def test_a_query_that_runs_too_long_is_interrupted_and_the_next_one_runs(tmp_path: Path) -> None:
    made = Handmade(tmp_path)
    made.epoch(rows(5))
    serving = made.serving()
    serving.pool.seconds = 0.2
    endless = "SELECT count(*) FROM range(10000000000) AS a(i), range(1000) AS b(j) WHERE i * j % 7 = 3"
    for _ in range(2):
        assert error_of(serving, endless).condition is Condition.QUERY_TIMEOUT
        assert serving.query("SELECT sum(orders) AS n FROM sales").table.to_pylist() == [{"n": 5}]


def test_a_query_is_interrupted_until_it_ends(tmp_path: Path) -> None:
    """DuckDB forgets interrupts that fall before the statement, or between its binding and its running."""
    made = Handmade(tmp_path)
    made.epoch(rows(5))
    serving = made.serving()
    endless = "SELECT count(*) FROM range(10000000000) AS a(i), range(1000) AS b(j) WHERE i * j % 7 = {n}"
    serving.pool.seconds = 1e-9  # the first interrupts come before anything runs
    for n in range(3):
        caught: list[SeamlineError] = []
        asking = partial(lambda sql, caught: caught.append(error_of(serving, sql)), endless.format(n=n), caught)
        thread = threading.Thread(target=asking, daemon=True)
        thread.start()
        thread.join(20)
        assert [error.condition for error in caught] == [Condition.QUERY_TIMEOUT]
    serving.pool.seconds = 30
    assert serving.query("SELECT sum(orders) AS n FROM sales").table.to_pylist() == [{"n": 5}]


def test_an_answer_too_large_is_refused_and_the_next_query_runs(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seamline.serving.cursor.LARGEST", 1_000_000)
    assert error_of(serving, "SELECT * FROM range(10000000)").condition is Condition.QUERY_REFUSED
    assert serving.query("SELECT * FROM sales").table.num_rows


@pytest.mark.thorough
def test_a_long_query_does_not_block_another(tmp_path: Path) -> None:
    made = Handmade(tmp_path)
    made.epoch(rows(5))
    serving = made.serving(query_seconds=3)
    endless = "SELECT count(*) FROM range(10000000000) AS a(i), range(1000) AS b(j) WHERE i * j % 7 = 3"
    caught: list[SeamlineError] = []
    thread = threading.Thread(target=lambda: caught.append(error_of(serving, endless)))
    thread.start()
    answered = 0
    while thread.is_alive():
        answered += serving.query("SELECT * FROM sales").table.num_rows > 0
        if answered >= 3:
            break
    assert answered >= 3
    assert thread.is_alive() or answered > 3
    thread.join()
    wait_until(lambda: caught, 1, "the long query's error")
    assert caught[0].condition is Condition.QUERY_TIMEOUT


def test_a_group_out_of_range_is_an_error_only_where_it_is_in_the_answer(tmp_path: Path) -> None:
    made = Handmade(tmp_path)
    most = 10**38 - 1
    made.epoch([("fine", 0, 1), ("huge", 0, most)])
    made.version(made.sent, cut=2)
    made.epoch([("huge", 0, most), ("fine", 0, 2)])
    serving = made.serving()
    error = error_of(serving, "SELECT * FROM sales")
    assert error.condition is Condition.VALUE_OUT_OF_RANGE
    assert "column amount" in error.message
    assert "sales: (hour 2024-05-01T00:00:00Z, shop huge)" in error.message
    assert "(hour 2024-05-01T00:00:00Z, shop huge)" in error_of(serving, "SELECT sum(amount) FROM sales AS s").message
    fine = serving.query("SELECT shop, amount::INT AS amount FROM sales WHERE shop = 'fine'")
    assert fine.table.to_pylist() == [{"shop": "fine", "amount": 3}]
    other = serving.query("SELECT shop, orders FROM sales ORDER BY shop")
    assert other.table.to_pylist() == [{"shop": "fine", "orders": 2}, {"shop": "huge", "orders": 2}]


def test_an_error_after_the_first_rows_is_told_like_any_other(serving: Serving) -> None:
    late = "SELECT CASE WHEN range = 900000 THEN ('VALUE_OUT_OF_RANGE: ' || range)::INT ELSE 1 END FROM range(1000000)"
    assert error_of(serving, late).condition is Condition.VALUE_OUT_OF_RANGE


def test_a_filter_on_the_bucket_reaches_the_parquet_scan(serving: Serving) -> None:
    hour = "TIMESTAMPTZ '2024-05-01 02:00:00+00'"
    for sql in (
        f"SELECT * FROM sales WHERE hour = {hour} AND shop = 'shop1'",
        f"WITH s AS (SELECT * FROM sales) SELECT sum(orders) FROM s WHERE hour = {hour} AND shop = 'shop1'",
    ):
        plan = Query(sql, serving.pool).explain(serving.snapshot())
        scan = plan[plan.index("Read Parquet") :]
        assert "Filters" in scan
        assert "hour" in scan[scan.index("Filters") :]
        assert "shop" in scan[scan.index("Filters") :]


def test_as_of_over_views_of_one_stream_is_one_epoch_for_all(serving: Serving) -> None:
    sql = "SELECT (SELECT sum(orders) FROM sales) AS a, (SELECT sum(orders) FROM shops) AS b"
    assert serving.query(sql, as_of=1).table.to_pylist() == [{"a": 20, "b": 20}]
    assert serving.query(sql).table.to_pylist() == [{"a": 40, "b": 40}]


def test_the_documents_list_every_function_that_is_allowed() -> None:
    text = (ROOT / "docs" / "serving.md").read_text()
    listed = text[text.index("## Allowed functions") : text.index("## Figures")]
    blocks = listed.split("```")[1::2]
    assert {word for block in blocks for word in block.removeprefix("text").split()} == FUNCTIONS
