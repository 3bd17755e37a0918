"""MEASURE gives at any coarser grain what the view's own SELECT gives there over the raw events."""

from __future__ import annotations

import math
import re
import statistics
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from handmade import DAY, OTHER, VIEW, Handmade, Row, rows
from places import ROOT

from seamline.errors import Condition, UserError
from seamline.schemas.algebra import ALGEBRA, Aggregate, Call
from seamline.serving.query import Query
from seamline.serving.serving import Serving

pytestmark = pytest.mark.thorough

KINDS = {
    "BIGINT": ("(amount % 1000)::BIGINT", "(amount * 7 % 11)::BIGINT", "amount::BIGINT"),
    "BOOLEAN": ("(amount % 3 = 0)", "(amount % 2 = 0)", "(amount % 5 = 0)"),
    "DOUBLE": ("amount::DOUBLE", "(amount % 7)::DOUBLE", "(amount % 5)::DOUBLE"),
    "VARCHAR": ("shop", "amount::VARCHAR", "shop"),
}
"""Arguments of each type."""


def call(entry: Aggregate, constants: tuple[str, ...]) -> str:
    """A call of an entry over the first types that it takes."""
    values = tuple(_value(text) for text in constants)
    for kind, arguments in KINDS.items():
        if entry.form(Call((kind,) * max(entry.arguments, 1), values, constants)) is not None:
            name, _, distinct = entry.name.partition(" ")
            said = ", ".join([*arguments[: entry.arguments], *constants])
            return f"{name}({'DISTINCT ' if distinct else ''}{said})"
    raise AssertionError(f"{entry.name} takes none of {list(KINDS)}")


def _value(text: str) -> Any:
    from seamline.kernel import kernel

    return kernel().run(f"SELECT {text} AS x").to_pylist()[0]["x"]


CALLS = {
    f"{name.replace(' ', '_')}{n}": call(entry, constants)
    for name, entry in ALGEBRA.items()
    for n, constants in enumerate(entry.tried)
}
COMPUTED = {
    "each": "sum(amount) / nullif(count(*), 0)",
    "few": "count(*) FILTER (WHERE amount < 20)",
    "odd": "avg(amount) FILTER (WHERE amount % 2 = 1)",
    "spread": "max(amount) - min(amount)",
}
COLUMNS = CALLS | COMPUTED
LIST = ", ".join(f"{sql} AS m_{name}" for name, sql in COLUMNS.items())
HOUR = "time_bucket(INTERVAL '1 hour', placed) AS hour"
YEAR = "date_trunc('year', placed) AS year, "
"""All rows are of one year: without this key, an answer is that for all of time."""
ALL = ", ".join(f"MEASURE(m_{name}) AS m_{name}" for name in COLUMNS)

TILES = f"CREATE MATERIALIZED VIEW tiles AS SELECT {HOUR}, shop, {LIST} FROM orders GROUP BY ALL"
SHOPS = f"CREATE MATERIALIZED VIEW by_shop AS SELECT {YEAR}shop, {LIST} FROM orders GROUP BY ALL"
HOURS = f"CREATE MATERIALIZED VIEW by_hour AS SELECT {HOUR}, {LIST} FROM orders GROUP BY ALL"
TOTAL = f"CREATE MATERIALIZED VIEW total AS SELECT {YEAR}{LIST} FROM orders GROUP BY ALL"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Handmade:
    """Three epochs and a version over the first two; the other views give the truth at their grains."""
    made = Handmade(tmp_path_factory.mktemp("lake"), TILES, SHOPS, HOURS, TOTAL)
    for n in range(3):
        made.epoch(rows(25, 25 * n) + rows(5, 10 * n))
    made.version(made.sent[:60], cut=60, view="tiles")
    return made


@pytest.fixture(scope="module")
def serving(made: Handmade) -> Serving:
    return made.serving()


def ask(serving: Serving, sql: str, as_of: int | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = serving.query(sql, as_of=as_of).table.to_pylist()
    return found


def truth(made: Handmade, of: list[Row], view: str) -> list[dict[str, Any]]:
    """The view's own SELECT straight over the rows; where that is another sketch than DuckDB's, one pass of the view's
    statements over all rows at once."""
    definition = made.served(view)
    own = f"SELECT * FROM ({definition.select_over('events').replace(YEAR, '')}) ORDER BY ALL"
    found: list[dict[str, Any]] = made.engine.run(own, {"events": made.events(of)}).to_pylist()
    partials = made.engine.run(yearless(definition.partial), {"events": made.events(of)})
    finished = f"SELECT * FROM ({yearless(definition.merge_and_finalise)}) ORDER BY ALL"
    for row, other in zip(found, made.engine.run(finished, {"partials": partials}).to_pylist(), strict=True):
        row.update({o.name: other[o.name] for o in definition.columns if o.exactness == "approximate"})
    return found


def yearless(statement: str) -> str:
    """A statement without the key of a year: over no rows, it has a row."""
    return re.sub(r'\n  [^\n]*"year",', "", statement)


def same(got: Any, true: Any) -> bool:
    """Equal, floats to the bound of law 5."""
    if isinstance(got, float) and isinstance(true, float):
        return got == true or (got != got and true != true) or math.isclose(got, true, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(got, list) and isinstance(true, list):
        return len(got) == len(true) and all(map(same, got, true))
    return bool(got == true)


def agree(got: list[dict[str, Any]], true: list[dict[str, Any]]) -> None:
    assert len(got) == len(true) > 0
    for one, other in zip(got, true, strict=True):
        wrong = {name: (one[name], other[name]) for name in other if not same(one[name], other[name])}
        assert not wrong


def test_every_aggregate_at_a_coarser_grain_is_the_truth_there(made: Handmade, serving: Serving) -> None:
    agree(ask(serving, f"SELECT shop, {ALL} FROM tiles GROUP BY shop ORDER BY shop"), truth(made, made.sent, "by_shop"))
    agree(ask(serving, f"SELECT hour, {ALL} FROM tiles GROUP BY ALL ORDER BY 1"), truth(made, made.sent, "by_hour"))
    agree(ask(serving, f"SELECT {ALL} FROM tiles"), truth(made, made.sent, "total"))
    own = f"SELECT hour, shop, {ALL} FROM tiles GROUP BY hour, shop ORDER BY hour, shop"
    agree(ask(serving, own), ask(serving, "SELECT * FROM tiles ORDER BY hour, shop"))


def test_rollup_cube_and_grouping_sets_merge_for_each_grouping(made: Handmade, serving: Serving) -> None:
    found = ask(
        serving,
        f"SELECT grouping(hour, shop) AS g, hour, shop, {ALL} FROM tiles GROUP BY CUBE (hour, shop) ORDER BY 1, 2, 3",
    )
    by = [[row for row in found if row["g"] == g] for g in range(4)]
    for got, view in zip(by, ("tiles", "by_hour", "by_shop", "total"), strict=True):
        agree(got, truth(made, made.sent, view))
    few = "shop, MEASURE(m_avg0) AS mean, MEASURE(m_approx_count_distinct0) AS many FROM tiles"
    shops = [{"shop": r["shop"], "mean": r["m_avg0"], "many": r["m_approx_count_distinct0"]} for r in by[2] + by[3]]
    for grouping in ("ROLLUP (shop)", "GROUPING SETS ((shop), ())"):
        assert ask(serving, f"SELECT {few} GROUP BY {grouping} ORDER BY shop NULLS LAST") == shops


def test_a_frame_merges_the_tiles_in_it(made: Handmade, serving: Serving) -> None:
    """Each row against the answer for all of time over just the events of its frame."""
    frame = "PARTITION BY shop ORDER BY hour RANGE BETWEEN INTERVAL '2 hours' PRECEDING AND CURRENT ROW"
    framed = ALL.replace(" AS ", f" OVER ({frame}) AS ")
    found = ask(serving, f"SELECT shop, hour, {framed} FROM tiles ORDER BY shop, hour")
    assert len(found) == 15
    for row in found:
        last = (row["hour"] - DAY) // timedelta(hours=1)
        inside = [r for r in made.sent if r[0] == row["shop"] and last - 2 <= r[1] <= last]
        agree([row], truth(made, inside, "total"))


def test_filter_keeps_the_tiles_that_meet_it(made: Handmade, serving: Serving) -> None:
    kept = ", ".join(f"MEASURE(m_{name}) FILTER (WHERE hour < TIMESTAMPTZ '2024-05-01 02:00:00+00') AS m_{name}"
                     for name in COLUMNS)  # fmt: skip
    early: list[Row] = [row for row in made.sent if row[1] < 2]
    agree(ask(serving, f"SELECT {kept} FROM tiles"), truth(made, early, "total"))
    agree(
        ask(serving, f"SELECT {kept.replace(' AS ', ' OVER () AS ')} FROM tiles LIMIT 1"), truth(made, early, "total")
    )


def test_no_tiles_are_no_events(made: Handmade, serving: Serving) -> None:
    agree(ask(serving, f"SELECT {ALL} FROM tiles WHERE shop = 'none'"), truth(made, [], "total"))


def test_having_order_by_and_qualify_take_measures(made: Handmade, serving: Serving) -> None:
    means = {row["shop"]: row["m_avg0"] for row in truth(made, made.sent, "by_shop")}
    middle = sorted(means.values())[1]
    for having in (f"MEASURE(m_avg0) >= {middle}", f"m >= {middle}", f"MEASURE(m_each) >= 0 AND m >= {middle}"):
        for grouping in ("shop", "GROUPING SETS ((shop))", "ALL"):
            sql = f"SELECT shop, MEASURE(m_avg0) AS m FROM tiles GROUP BY {grouping} HAVING {having} ORDER BY shop"
            found = ask(serving, sql)
            assert [(r["shop"], r["m"]) for r in found] == [(s, m) for s, m in means.items() if m >= middle]
    found = ask(serving, "SELECT shop FROM tiles GROUP BY shop ORDER BY MEASURE(m_avg0) DESC")
    assert [row["shop"] for row in found] == sorted(means, key=lambda shop: -means[shop])
    found = ask(serving, "SELECT shop FROM tiles GROUP BY shop QUALIFY rank() OVER (ORDER BY MEASURE(m_avg0)) = 1")
    assert [row["shop"] for row in found] == [min(means, key=lambda shop: means[shop])]


def test_hopping_windows_are_a_join_with_their_starts(made: Handmade, serving: Serving) -> None:
    found = ask(serving, """
        SELECT start, MEASURE(m_avg0) AS mean, MEASURE(t.m_approx_count_distinct0) AS many
        FROM generate_series(TIMESTAMPTZ '2024-05-01 00:00:00+00', TIMESTAMPTZ '2024-05-01 04:00:00+00',
                             INTERVAL 2 HOURS) AS g(start)
        JOIN tiles AS t ON t.hour >= start AND t.hour < start + INTERVAL 3 HOURS
        GROUP BY start ORDER BY start
    """)  # fmt: skip
    assert len(found) == 3
    for n, row in enumerate(found):
        (true,) = truth(made, [r for r in made.sent if 2 * n <= r[1] < 2 * n + 3], "total")
        assert (row["mean"], row["many"]) == (true["m_avg0"], true["m_approx_count_distinct0"])


def test_measures_stand_inside_expressions_subqueries_and_joins(made: Handmade, serving: Serving) -> None:
    (total,) = truth(made, made.sent, "total")
    mean, count = total["m_avg0"], total["m_count0"]
    for sql, true in {
        "SELECT MEASURE(m_avg0) * 2 + MEASURE(m_count0) AS x FROM tiles": mean * 2 + count,
        "SELECT (SELECT MEASURE(m_avg0) FROM tiles) AS x": mean,
        "WITH d AS (SELECT shop, MEASURE(m_count0) AS n FROM tiles GROUP BY shop) SELECT sum(n)::INT x FROM d": count,
        "SELECT max(n) AS x FROM (SELECT MEASURE(m_count0) AS n FROM tiles UNION ALL SELECT 0 FROM by_shop)": count,
        "SELECT MEASURE(a.m_count0) + MEASURE(b.m_count0) AS x FROM tiles a JOIN by_shop b USING (shop) "
        "WHERE shop = 'none'": 0,
        "SELECT sum(MEASURE(m_count0)) OVER () AS x FROM tiles GROUP BY shop LIMIT 1": count,
        "WITH tiles AS (SELECT * FROM tiles) SELECT (SELECT MEASURE(m_count0) FROM by_shop) AS x FROM tiles LIMIT 1":
            count,
        "SELECT any_value((SELECT MEASURE(m_count0) FROM tiles t WHERE t.shop >= b.shop)) AS x FROM by_shop b "
        "WHERE shop = 'shop0'": count,
        "SELECT x FROM by_shop b, LATERAL (SELECT MEASURE(m_count0) AS x FROM tiles t WHERE t.shop >= b.shop) "
        "ORDER BY x DESC LIMIT 1": count,
        "SELECT shop AS x FROM (SELECT * REPLACE (MEASURE(m_count0) OVER () AS shop) FROM tiles) LIMIT 1": count,
        "SELECT MEASURE(m_count0) AS x, shop FROM tiles GROUP BY GROUPING SETS (shop, ()) ORDER BY ALL DESC": count,
        "SELECT * EXCLUDE (shop), MEASURE(m_count0) OVER () AS x FROM tiles ORDER BY ALL LIMIT 1": count,
        "SELECT MEASURE(c) AS x FROM (SELECT 1) AS q, tiles AS t(a, b, c)": count,
        "SELECT DISTINCT ON (MEASURE(m_count0)) MEASURE(m_count0) AS x FROM tiles": count,
        "SELECT list_transform([1], lambda n: n + 1)[1] * MEASURE(m_count0) AS x FROM tiles": 2 * count,
        "SELECT CASE WHEN MEASURE(m_count0) > 1 THEN MEASURE(m_avg0) END AS x FROM tiles "
        "WHERE shop IN (SELECT shop FROM by_shop) AND EXISTS (SELECT 1) AND hour = ANY (SELECT hour FROM tiles)": mean,
        "SELECT MEASURE(m_count0) OVER w AS x FROM tiles WINDOW w AS () LIMIT 1": count,
        'FROM "Tiles" SELECT "measure"("M_avg0") AS x': mean,
    }.items():  # fmt: skip
        assert ask(serving, sql)[0]["x"] == true, sql


def test_columns_have_the_names_that_the_user_gave(serving: Serving) -> None:
    def names(sql: str) -> list[str]:
        return list(serving.query(sql).table.column_names)

    assert names("SELECT MEASURE(M_avg0), MEASURE(t.m_count0) AS n FROM tiles t") == ["M_avg0", "n"]
    others = "count(*) OVER (), shop || 'x', lag(shop) OVER (ORDER BY hour), 1 + 1, (SELECT 1)"
    assert names(f"SELECT MEASURE(m_avg0) OVER (), {others} FROM tiles") == [
        "m_avg0", *names(f"SELECT {others} FROM tiles")
    ]  # fmt: skip
    assert names("SELECT MEASURE(m_avg0) + 1, (SELECT 1) FROM tiles")[0] == "(measure(m_avg0) + 1)"
    plain = names("SELECT * FROM tiles")
    assert names("SELECT *, MEASURE(m_avg0) OVER () AS x FROM tiles") == [*plain, "x"]
    assert names("SELECT t.* EXCLUDE (shop), s.shop, MEASURE(m_avg0) OVER () AS x FROM tiles t, (SELECT 1 shop) s") == [
        *(name for name in plain if name != "shop"), "shop", "x",
    ]  # fmt: skip


def test_as_of_a_past_epoch_measures_what_was_there(made: Handmade, serving: Serving) -> None:
    for epoch in (1, 2, 3):
        past = made.sent[: 30 * epoch]
        agree(ask(serving, f"SELECT shop, {ALL} FROM tiles GROUP BY shop ORDER BY shop", epoch),
              truth(made, past, "by_shop"))  # fmt: skip


def test_a_cursor_measures_each_snapshot_anew(tmp_path: Path) -> None:
    made = Handmade(tmp_path)
    made.epoch(rows(20))
    serving = made.serving()
    sql = "SELECT MEASURE(mean) AS m FROM sales"
    for n in range(1, 4):
        assert ask(serving, sql) == [{"m": statistics.fmean(amount for _, _, amount in made.sent)}]
        made.epoch(rows(10, 100 * n))
        if n == 2:
            made.version(made.sent[:20], cut=20)
        serving.catch_up()
    assert "AGGREGATE" in Query(sql, serving.pool).explain(serving.snapshot()).upper()


def test_groups_that_having_leaves_out_are_not_measured(tmp_path: Path) -> None:
    made = Handmade(tmp_path, VIEW.replace("GROUP BY ALL", "GROUP BY ALL HAVING count(*) > 2"))
    made.epoch([("a", 0, 1), ("a", 0, 2), ("a", 0, 3), ("b", 0, 100)])
    assert ask(made.serving(), "SELECT MEASURE(mean) AS m, MEASURE(orders) AS n FROM sales") == [{"m": 2.0, "n": 3}]


def test_a_sum_out_of_range_is_told_for_the_group_that_has_it(tmp_path: Path) -> None:
    made = Handmade(tmp_path)
    most = 10**38 - 1
    made.epoch([("fine", 0, 1), ("fine", 1, 2), ("huge", 0, most), ("huge", 1, most)])
    serving = made.serving()
    ask(serving, "SELECT amount FROM sales")
    with pytest.raises(UserError) as caught:
        ask(serving, "SELECT shop, MEASURE(amount) AS a FROM sales GROUP BY shop")
    assert caught.value.condition is Condition.VALUE_OUT_OF_RANGE
    fine = "SELECT MEASURE(amount)::INT AS a FROM sales WHERE shop = 'fine'"
    assert ask(serving, fine) == [{"a": 3}]
    assert ask(serving, "SELECT shop, MEASURE(orders) AS n FROM sales GROUP BY shop ORDER BY shop") == [
        {"shop": "fine", "n": 2},
        {"shop": "huge", "n": 2},
    ]


REFUSED = [
    ("SELECT\n  MEASURE(hour) FROM sales", "2:3", "as it is"),
    ("SELECT MEASURE(means) FROM sales", "1:8", "did you mean mean"),
    ("SELECT MEASURE(nothing) FROM sales", "1:8", "name one of orders, amount"),
    ("SELECT MEASURE(x.mean) FROM sales", "1:8", "sales"),
    ("SELECT MEASURE(sales.mean) FROM sales AS s", "1:8", "reads: s"),
    ("SELECT MEASURE(orders) FROM sales, shops", "1:8", "write sales.orders"),
    ("SELECT MEASURE(mean) FROM (SELECT * FROM sales)", "1:8", "inside it"),
    ("WITH s AS (SELECT * FROM sales) SELECT MEASURE(mean) FROM s", "1:40", "inside it"),
    ("WITH sales AS (SELECT * FROM sales) SELECT MEASURE(mean) FROM sales", "1:44", "inside it"),
    ("SELECT (SELECT MEASURE(s.mean)) FROM sales AS s", "1:16", "(nothing)"),
    ("SELECT MEASURE(mean + 1) FROM sales", "1:8", "compute outside"),
    ("SELECT MEASURE(mean, orders) FROM sales", "1:8", "compute outside"),
    ("SELECT MEASURE(*) FROM sales", "1:8", "compute outside"),
    ("SELECT MEASURE() FROM sales", "1:8", "compute outside"),
    ("SELECT MEASURE(1)", "1:8", "compute outside"),
    ("SELECT MEASURE(DISTINCT mean) FROM sales", "1:8", "leave DISTINCT"),
    ("SELECT MEASURE(mean ORDER BY hour) FROM sales", "1:8", "leave DISTINCT"),
    ("SELECT mean.measure() FROM sales", "1:8", "write MEASURE(column)"),
    ("SELECT * FROM sales JOIN shops ON MEASURE(mean) > 1", "1:35", "in a SELECT"),
    ("SELECT mean FROM sales UNION SELECT 1 ORDER BY MEASURE(mean)", "1:48", "in a SELECT"),
    ("SELECT s, MEASURE(mean) FROM sales AS s", "1:8", "name its columns"),
    ("SELECT (SELECT to_json(s)), MEASURE(mean) FROM sales AS s", "1:24", "name its columns"),
    ("SELECT #9, MEASURE(mean) OVER () FROM sales", "1:8", "name it"),
    ("SELECT COLUMNS('.*'), MEASURE(mean) OVER () FROM sales", "1:8", "name the columns"),
    ("SELECT MEASURE(mean) FROM sales NATURAL JOIN shops", "1:33", "USING"),
    ("SELECT MEASURE(mean) FROM _tiles_sales", "1:27", "name one of the served views"),
    # not MEASURE's own, but told at the user's place all the same
    ("SELECT MEASURE(mean),\n  ordres FROM sales", "2:3", "orders"),
    ("SELECT MEASURE(mean) FROM sales WHERE MEASURE(mean) > 1", "1:39", ""),
    ("SELECT MEASURE(mean) FROM sales GROUP BY MEASURE(mean)", "1:42", ""),
    ("SELECT sum(MEASURE(mean)) FROM sales", "1:12", ""),
    ("SELECT shop, MEASURE(mean) FROM sales", "1:8", "shop"),
]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    made = Handmade(tmp_path_factory.mktemp("lake"), VIEW, OTHER)
    made.epoch(rows(20))
    made.version(made.sent, cut=20)
    made.version(made.sent, cut=20, view="shops")
    made.epoch(rows(20, 20))
    return made.serving()


@pytest.mark.parametrize(("sql", "where", "says"), REFUSED, ids=[sql for sql, *_ in REFUSED])
def test_what_cannot_be_measured_is_refused_with_its_place_and_a_hint(
    two: Serving, sql: str, where: str, says: str
) -> None:
    with pytest.raises(UserError) as caught:
        two.query(sql)
    assert (caught.value.condition, caught.value.where) == (Condition.QUERY_INVALID, where)
    assert says in str(caught.value)
    assert caught.value.hint
    assert "_merged_" not in str(caught.value)


def test_a_column_made_from_a_key_is_refused(tmp_path: Path) -> None:
    text = VIEW.replace("max(placed) AS latest", "count(*) || shop AS said").replace("BY ALL", "BY hour, shop")
    made = Handmade(tmp_path, text)
    made.epoch(rows(5))
    with pytest.raises(UserError, match="key"):
        made.serving().query("SELECT MEASURE(said) FROM sales")


SKETCHES = """\
CREATE MATERIALIZED VIEW wide AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount,
       approx_count_distinct(amount) AS amounts, stddev(amount::DOUBLE) AS spread
FROM orders GROUP BY ALL
"""


def test_a_query_that_names_no_sketch_neither_reads_nor_merges_one(tmp_path: Path) -> None:
    made = Handmade(tmp_path, SKETCHES)
    made.epoch(rows(20))
    made.version(made.sent, cut=20, view="wide")
    made.epoch(rows(20, 20))
    serving = made.serving()

    def plan(sql: str) -> str:
        return Query(sql, serving.pool).explain(serving.snapshot())

    for sql in (
        "SELECT hour, sum(orders) AS n, sum(amount) AS a FROM wide GROUP BY hour",
        "SELECT hour, MEASURE(orders) AS n, MEASURE(amount) AS a FROM wide GROUP BY hour",
        "SELECT MEASURE(orders) OVER (ORDER BY hour) AS n, amount FROM wide",
        "WITH w AS (SELECT * FROM wide) SELECT shop, amount FROM w WHERE shop = 'shop1'",
    ):
        found = plan(sql)
        assert "Read Parquet" in found
        assert "amount" in found
        for sketch in ("amounts", "spread", "list(", "list_sort", "combine_aggr"):
            assert sketch not in found, (sql, sketch)
    for sketch in ("amounts", "spread"):  # they are named in a plan that needs them
        assert sketch in plan(f"SELECT MEASURE({sketch}) FROM wide")


def test_a_filter_on_the_bucket_reaches_the_parquet_scan_of_the_tiles(two: Serving) -> None:
    hour = "TIMESTAMPTZ '2024-05-01 02:00:00+00'"
    plan = Query(f"SELECT MEASURE(mean) FROM sales WHERE hour = {hour}", two.pool).explain(two.snapshot())
    scan = plan[plan.index("Read Parquet") :]
    assert "hour" in scan[scan.index("Filters") :]


EXAMPLE = """\
CREATE MATERIALIZED VIEW repo_activity AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop AS repo,
       CASE WHEN amount % 2 = 0 THEN 'push' ELSE 'star' END AS type, count(*) AS events,
       avg(amount) AS mean_commits, approx_count_distinct(amount) AS actors
FROM orders GROUP BY ALL;
CREATE MATERIALIZED VIEW repos AS
SELECT date_trunc('year', placed) AS year, shop AS repo, count(*) AS events FROM orders GROUP BY ALL
"""


def test_the_documents_examples_run(tmp_path: Path) -> None:
    made = Handmade(tmp_path, EXAMPLE)
    made.epoch(rows(60))
    serving = made.serving()
    text = (ROOT / "docs" / "serving.md").read_text()
    section = text[text.index("## Measures at any grain") : text.index("### Warnings")]
    examples = section.split("```sql\n")[1].split("```")[0].strip().split(";\n")
    assert len(examples) == 7
    for example in examples:
        answer = serving.query(example)
        assert answer.table.num_rows > 0
        assert answer.warnings == ()
    said = text[text.index("1:8: avg(mean_commits)") :].split("\n```")[0]
    assert serving.query("SELECT avg(mean_commits) FROM repo_activity").warnings == (said.replace("\n", " "),)
