"""What a query can see: the views that its provenance is for, and nothing else, whatever name it hides behind.

Three walls stand one behind the other, and each is tried alone: the guard on the syntax tree, the binding where only
empty tables of the query's views are, and the connection that can open its snapshot's files and no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from handmade import DAY, VIEW, Handmade, rows
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import csv, parquet

from seamline.errors import Condition, SeamlineError
from seamline.kernel import Limits
from seamline.serving.guard import check
from seamline.serving.instances import Instances
from seamline.serving.rebound import Text
from seamline.serving.serving import Serving
from seamline.sql import TREE

SECRET = "SECRET-OF-ANOTHER"
KELVIN = "\u212a"
"""The sign that Python's lower() makes a k of, and DuckDB leaves as it is."""
DOTTED = "\u0130"

FROM = ["'{csv}'", "'{parquet}'", '"{parquet}"', "'{raw}'", '"{ledger}"', "pg_tables", "duckdb_views", "sqlite_master",
        "_speed_sales", "shops", "secret"]  # fmt: skip
"""Names after FROM, the WITH names of the tricks with them: files inside and outside the lake, views of the catalogue,
what serving keeps for itself, a view that is not served, a variable of Python's."""

NAMED = [
    # in the first branch of a recursive name, the name is not yet there
    "WITH RECURSIVE {name} AS ((SELECT * FROM {name}) UNION ALL SELECT * FROM {name} WHERE false) SELECT * FROM {name}",
    "WITH RECURSIVE {name} AS (SELECT * FROM {name} UNION ALL SELECT * FROM {name} WHERE false) SELECT * FROM {name}",
    "WITH RECURSIVE {name} AS (SELECT * FROM {name} UNION SELECT * FROM {name}) SELECT 1, * FROM {name}",
    "WITH RECURSIVE {name} AS (SELECT * FROM {name}) SELECT * FROM {name}",
    "WITH RECURSIVE {name} AS (WITH q AS (SELECT * FROM {name}) SELECT * FROM q UNION ALL SELECT * FROM {name} "
    "WHERE false) SELECT * FROM {name}",
    "WITH RECURSIVE {name} AS ((WITH q AS MATERIALIZED (SELECT * FROM {name}) FROM q) UNION ALL SELECT * FROM {name} "
    "WHERE false) SELECT * FROM {name}",
    "WITH RECURSIVE {name}(a) USING KEY (a) AS ((SELECT 1 FROM {name}) UNION SELECT a FROM {name}) FROM {name}",
    # a name is seen by what stands below its WITH, and by nothing else
    "(WITH {name} AS (SELECT 1) SELECT * FROM {name}) UNION ALL SELECT * FROM {name}",
    "SELECT * FROM (WITH {name} AS (SELECT 1) SELECT * FROM {name}) AS a, {name}",
    "SELECT * FROM sales ORDER BY (WITH {name} AS (SELECT 1) SELECT 1 FROM {name}), (SELECT count(*) FROM {name})",
    "WITH a AS (SELECT * FROM {name}), {name} AS (SELECT 1) SELECT * FROM a",
    "WITH {name} AS (SELECT * FROM {name}) SELECT * FROM {name}",
    "WITH {name} AS NOT MATERIALIZED (SELECT * FROM {name}) SELECT * FROM {name}",
    # wherever a query may stand
    "SELECT * FROM {name}",
    "FROM {name}",
    "TABLE {name}",
    "VALUES ((SELECT count(*) FROM {name}))",
    "SELECT 1 LIMIT (SELECT count(*) FROM {name})",
    "SELECT 1 LIMIT 1 OFFSET (SELECT count(*) FROM {name})",
    "SELECT * FROM range((SELECT count(*) FROM {name}))",
    "SELECT * FROM sales, LATERAL (SELECT * FROM {name})",
    "SELECT * FROM sales POSITIONAL JOIN {name}",
    "SELECT * FROM sales ASOF JOIN {name} AS o ON sales.hour >= o.day",
    "SELECT * FROM sales SEMI JOIN {name} ON true",
    "SELECT shop FROM sales WHERE shop = ANY (SELECT shop FROM {name})",
    "SELECT sum(orders) OVER w FROM sales WINDOW w AS (ORDER BY (SELECT count(*) FROM {name}))",
    "SELECT count(*) FILTER ((SELECT count(*) FROM {name}) > 0) FROM sales",
    "SELECT list_transform([1], lambda x: (SELECT count(*) FROM {name}))",
    "SELECT CASE WHEN EXISTS (FROM {name}) THEN 1 END",
    "SELECT COLUMNS(x -> (SELECT count(*) FROM {name}) > 0) FROM sales",
    "SELECT shop FROM sales GROUP BY shop HAVING (SELECT count(*) FROM {name}) > 0",
    "SELECT shop FROM sales QUALIFY (SELECT count(*) FROM {name}) > 0",
    "SELECT * REPLACE ((SELECT max(x) FROM {name}) AS shop) FROM sales",
    "SELECT MEASURE(amount), (SELECT count(*) FROM {name}) FROM sales",
    "WITH {name} AS (SELECT 1) SELECT * FROM main.{name}",
    "SELECT * FROM temp.main.{name}",
]

FOLDED = [
    f'WITH RECURSIVE "{KELVIN}" AS (SELECT 1 AS x) SELECT * FROM k',
    f'WITH "{KELVIN}" AS (SELECT 1 AS x) SELECT * FROM "k"',
    f'WITH k AS (SELECT 1 AS x) SELECT * FROM "{KELVIN}"',
    f'WITH "{DOTTED}" AS (SELECT 1 AS x) SELECT * FROM "i\u0307"',
    'WITH "STRASSE" AS (SELECT 1 AS x) SELECT * FROM "stra\u00dfe"',
    f'SELECT * FROM sales WHERE EXISTS (WITH "{KELVIN}" AS (SELECT 1) SELECT * FROM k)',
]

CATALOGUE = [
    "SELECT * FROM duckdb_tables()", "SELECT * FROM duckdb_views()", "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_databases()", "SELECT * FROM duckdb_temporary_files()", "SELECT * FROM duckdb_memory()",
    "SELECT * FROM pragma_database_list", "SELECT * FROM pragma_table_info('sales')", "SELECT * FROM pragma_version()",
    "SELECT * FROM pragma_storage_info('sales')", "SELECT * FROM pragma_show('sales')", "SELECT * FROM duckdb_logs()",
    "SELECT * FROM information_schema.tables", "SELECT * FROM pg_catalog.pg_class", "SELECT * FROM system.main.sales",
    "SELECT * FROM arrow_scan(1, 2, 3)", "SELECT * FROM pandas_scan(1)", "SELECT * FROM python_map_function()",
    "SELECT * FROM seq_scan('sales')", "SELECT * FROM repeat_row(1, num_rows => 3)", "SELECT * FROM test_all_types()",
    "SELECT * FROM read_parquet((SELECT '{parquet}'))", "SELECT * FROM sales, read_text(shop)",
    "SELECT * FROM glob('{lake}/**')", "SELECT * FROM read_blob('{ledger}')", "SELECT * FROM parquet_schema('{raw}')",
    "SELECT * FROM query_table(['sales'])", "SELECT * FROM query('FROM sales')", "FROM read_duckdb('{lake}/x.duckdb')",
    "SELECT currval('s')", "SELECT pg_typeof(1)", "SELECT current_schemas(true)", "SELECT txid_current()",
    "SELECT pg_get_viewdef(1)", "SELECT obj_description(1)", "SELECT has_table_privilege('sales', 'SELECT')",
    "SELECT in_search_path('a', 'b')", "SELECT getvariable('secret')", "SELECT current_query()",
    "SELECT current_database()", "SELECT current_schema()", "SELECT current_connection_id()",
]  # fmt: skip

INTERNAL = [
    "WITH _tiles_sales AS (SELECT 1 AS x) SELECT MEASURE(orders) FROM sales",
    "WITH _tiles_sales AS (SELECT TIMESTAMPTZ '2024-05-01' AS hour, 'x' AS shop, 5 AS _merged_orders) "
    "SELECT MEASURE(orders) FROM sales",
    'WITH "_TILES_SALES" AS (SELECT 7 AS _merged_orders) SELECT MEASURE(orders) FROM sales',
    "WITH RECURSIVE _tiles_sales AS (SELECT 7 AS _merged_orders UNION SELECT 7 FROM _tiles_sales) "
    "SELECT MEASURE(orders) FROM sales",
    "WITH _speed_sales AS (SELECT 1 AS x) SELECT * FROM sales",
    "WITH _batch_sales AS (SELECT 1 AS x) SELECT * FROM sales",
    "SELECT MEASURE(orders) FROM sales, (SELECT 1) AS _tiles_sales",
    "SELECT s._merged_orders FROM (SELECT 1 AS _merged_orders) AS s",
    "SELECT MEASURE(orders), * RENAME (_merged_orders AS o) FROM sales",
    "SELECT * FROM (SELECT 1) AS t(_merged_orders)",
    "WITH w(_merged_orders) AS (SELECT 1) SELECT * FROM w",
    "SELECT MEASURE(mean), _merged_mean__sum FROM sales",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Handmade:
    made = Handmade(tmp_path_factory.mktemp("lake"), VIEW)
    made.epoch(rows(20))
    made.version(made.sent, cut=20)
    made.epoch(rows(20, 20))
    return made


@pytest.fixture(scope="module")
def serving(made: Handmade) -> Serving:
    return made.serving()


@pytest.fixture(scope="module")
def paths(made: Handmade, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files that hold the secret: beside the lake, and in the lake's folders, where its kernel may read."""
    outside, lake = tmp_path_factory.mktemp("outside"), Path(made.lake.uri)
    table = pa.table({"x": [SECRET], "day": [DAY], "shop": [SECRET]})
    found = {
        "csv": outside / "ok.csv", "parquet": outside / "s.parquet", "raw": lake / "raw" / "orders-1" / "s.parquet",
        "ledger": lake / "ledger" / "views" / "sales" / "s.json",
    }  # fmt: skip
    for path in found.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            parquet.write_table(table, path)
        elif path.suffix == ".csv":
            csv.write_csv(table, path)
        else:
            path.write_text(f'{{"x": "{SECRET}"}}')
    return {name: str(path) for name, path in found.items()} | {"lake": str(lake)}


def filled(sql: str, paths: dict[str, str]) -> Iterator[str]:
    """A trick with each name."""
    for name in FROM if "{name}" in sql else [""]:
        yield sql.replace("{name}", name).format(**paths)


@pytest.mark.parametrize("sql", [*NAMED, *FOLDED, *CATALOGUE, *INTERNAL], ids=lambda sql: ascii(sql[:60]))
def test_no_name_reaches_what_is_not_served(serving: Serving, paths: dict[str, str], sql: str) -> None:
    for text in filled(sql, paths):
        with pytest.raises(SeamlineError) as caught:
            print(serving.query(text).table.to_pylist())
        assert caught.value.condition in (Condition.QUERY_REFUSED, Condition.QUERY_INVALID), text
        assert SECRET not in str(caught.value)


def test_python_folds_more_than_duckdb_and_the_guard_does_not(serving: Serving, paths: dict[str, str]) -> None:
    hidden = paths["csv"].replace("k", KELVIN)
    assert hidden.lower() == paths["csv"]
    with pytest.raises(SeamlineError) as caught:
        serving.query(f'WITH "{hidden}" AS (SELECT 1 AS x) SELECT * FROM "{paths["csv"]}"')
    assert caught.value.condition is Condition.QUERY_INVALID


def test_what_a_former_query_read_answers_no_other(made: Handmade) -> None:
    serving = made.serving()
    assert serving.query("SELECT sum(orders)::INT AS n FROM sales", as_of=1).table.to_pylist() == [{"n": 20}]
    for text in (
        "WITH RECURSIVE sales AS ((SELECT * FROM sales) UNION ALL SELECT * FROM sales WHERE false) "
        "SELECT sum(orders)::INT AS n FROM sales",
        "WITH sales AS (SELECT * FROM sales) SELECT sum(orders)::INT AS n FROM sales",
    ):
        answer = serving.query(text)
        assert answer.table.to_pylist() == [{"n": 40}]
        assert answer.provenance["sales"].epochs == (2, 2)


def test_internal_names_of_a_measure_cannot_be_stood_in_for(serving: Serving) -> None:
    whole = serving.query("SELECT MEASURE(orders)::INT AS n, MEASURE(mean) AS m FROM sales").table.to_pylist()
    aliased = (
        "WITH partials AS (SELECT 7 AS orders) SELECT MEASURE(s.orders)::INT AS n, MEASURE(s.mean) AS m FROM sales s"
    )
    assert serving.query(aliased).table.to_pylist() == whole == [{"n": 40, "m": 19.5}]
    other = "SELECT MEASURE(orders)::INT AS n, MEASURE(mean) AS m FROM sales AS partials"
    assert serving.query(other).table.to_pylist() == whole


NAMES = st.sampled_from(["a", "b", "k", "A", "B", "K"])


def queries(depth: int) -> st.SearchStrategy[str]:
    """WITH in WITH, recursive or not, in every place where a query may stand, over few names."""
    table = NAMES.map(lambda name: f"SELECT x FROM {name}")
    if not depth:
        return table
    inner = queries(depth - 1)
    entry = st.builds("{} AS ({})".format, NAMES, inner)
    kinds = st.sampled_from(
        [" AS (({}) UNION ALL ({}))", " AS (({}) UNION ({}))", " USING KEY (x) AS (({}) UNION ({}))"]
    )
    recursive = st.builds(
        lambda name, kind, left, right: f"{name}(x)" + kind.format(left, right), NAMES, kinds, inner, inner
    )
    both = st.lists(st.one_of(entry, recursive), min_size=1, max_size=2).map(", ".join)
    return st.one_of(
        table,
        st.builds("WITH {} {}".format, entry, inner),
        st.builds("WITH RECURSIVE {} {}".format, both, inner),
        st.builds("({}) UNION ALL ({})".format, inner, inner),
        st.builds("SELECT s.x FROM ({}) AS s, {}".format, inner, NAMES),
        st.builds("SELECT x FROM {} WHERE x IN ({})".format, NAMES, inner),
        st.builds("SELECT x FROM {} ORDER BY (SELECT max(x) FROM ({}))".format, NAMES, inner),
        st.builds("SELECT t.x FROM {} AS t, LATERAL ({}) AS u".format, NAMES, inner),
    )


@given(queries(3))
def test_the_guard_finds_every_table_that_duckdb_finds(sql: str) -> None:
    with duckdb.connect() as connection:
        for name in "abk":
            connection.execute(f"CREATE TABLE {name} (x INTEGER)")
        try:
            connection.execute(f"EXPLAIN {sql}").fetchall()
        except duckdb.Error:
            return  # a recursive branch that may not look so
        tree = connection.execute(TREE, [sql]).fetchall()[0][0]
        read = {name.lower() for name in connection.get_table_names(sql)}
    assert read <= {reference.name for reference in check(sql, tree).references}


# each wall alone


@pytest.mark.parametrize("sql", NAMED, ids=lambda sql: ascii(sql[:60]))
def test_bound_over_empty_tables_a_text_that_reads_anything_else_is_refused(
    made: Handmade, serving: Serving, paths: dict[str, str], sql: str
) -> None:
    for text in filled(sql, paths):
        with pytest.raises(SeamlineError) as caught:
            serving.pool.bound(Text(text), (made.served(),), ())
        assert caught.value.condition in (Condition.QUERY_REFUSED, Condition.QUERY_INVALID), text


@pytest.mark.parametrize("sql", [sql for sql in CATALOGUE if "FROM" in sql and "'{" not in sql and "query" not in sql])
def test_bound_over_empty_tables_no_other_table_function_passes(made: Handmade, serving: Serving, sql: str) -> None:
    with pytest.raises(SeamlineError) as caught:
        serving.pool.bound(Text(sql), (made.served(),), ())
    assert caught.value.condition in (Condition.QUERY_REFUSED, Condition.QUERY_INVALID)


@pytest.mark.parametrize("read", ["'{}'", "read_text('{}')", "read_blob(['{}'])", "read_parquet('{}*')", "glob('{}')"])
@pytest.mark.parametrize("file", ["csv", "parquet", "raw", "ledger"])
def test_the_connection_opens_no_file_but_its_snapshots(
    serving: Serving, paths: dict[str, str], read: str, file: str
) -> None:
    with serving.pool.cursor(serving.snapshot().files) as cursor, pytest.raises(SeamlineError) as caught:
        cursor.run(Text(f"SELECT * FROM {read.format(paths[file])}"), 10)
    assert "operations are disabled" in str(caught.value)


def test_the_connection_of_another_version_opens_other_files(tmp_path: Path) -> None:
    made = Handmade(tmp_path)
    made.epoch(rows(20))
    serving = made.serving()
    made.version(made.sent, cut=20)
    serving.catch_up()
    (former,) = before = serving.snapshot().files
    made.version(made.sent, cut=20)
    serving.catch_up()
    (newer,) = serving.snapshot().files
    count = "SELECT sum(orders)::INT AS n FROM '{}'"
    with serving.pool.cursor(before) as cursor:
        assert cursor.run(Text(count.format(former)), 10).to_pylist() == [{"n": 20}]
        with pytest.raises(SeamlineError):
            cursor.run(Text(count.format(newer)), 10)


def test_names_of_python_are_no_tables(serving: Serving) -> None:
    secret = pa.table({"x": [SECRET]})
    with serving.pool.cursor() as cursor, pytest.raises(SeamlineError):
        cursor.run(Text("SELECT * FROM secret"), 10)
    assert secret.num_rows == 1


def test_three_sets_of_files_stand_at_a_time_and_an_idle_one_makes_room() -> None:
    instances = Instances(Limits(memory="100MB", threads=1), 0.1)
    sets = [frozenset([f"/nowhere/{n}.parquet"]) for n in range(4)]
    with ExitStack() as held:
        for files in sets[:3]:
            held.enter_context(instances.cursor(files, frozenset()))
        with pytest.raises(SeamlineError) as caught, instances.cursor(sets[3], frozenset()):
            pass
        assert (caught.value.condition, caught.value.hint) == (Condition.STORE_UNAVAILABLE, "ask again")
        with instances.cursor(sets[0], frozenset()) as again:  # what stands is shared
            assert again.run(Text("SELECT 1 AS x"), 10).num_rows == 1
    with instances.cursor(sets[3], frozenset()) as cursor:
        assert cursor.run(Text("SELECT 1 AS x"), 10).num_rows == 1
    instances.close()
