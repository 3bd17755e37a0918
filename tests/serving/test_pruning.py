"""Batch files in which no row can be among those that a query asks for are not opened, and no answer shows it."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from handmade import DAY, Handmade, Row
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from seamline.errors import Condition, SeamlineError
from seamline.schemas.views.definition import Column
from seamline.serving.bounds import BatchFiles
from seamline.serving.pruning import MANY
from seamline.serving.rebound import Text
from seamline.serving.serving import Serving

KEYS = {
    "hours": "time_bucket(INTERVAL '1 hour', placed) AS key",
    "quarters": "time_bucket(INTERVAL '15 minutes', placed) AS key",
    "seconds": "date_trunc('second', placed) AS key",
    "days": "placed::DATE AS key",
    "weeks": "date_trunc('week', placed) AS key",
    "months": "time_bucket(INTERVAL '1 month', placed) AS key",
    "years": "date_trunc('year', placed) AS key",
    "seoul": "time_bucket(INTERVAL '1 day', placed, 'Asia/Seoul') AS key",
    "york": "time_bucket(INTERVAL '30 minutes', placed, 'America/New_York') AS key",
    "clock": "date_trunc('hour', placed AT TIME ZONE 'America/New_York') AS key",
    "local": "date_trunc('day', placed AT TIME ZONE 'Pacific/Apia') AS key",
    "times": "placed::DATE AS day, placed AS key",
    "odd": "placed::DATE AS day, DATE '2024-06-01' - day(placed)::INTEGER * 3 AS key",
    "numbers": "placed::DATE AS day, hour(placed) AS key",
}
"""Views by how their key is made of the event time: not each of them grows with it."""

_COUNTED = "count(*) AS orders, sum(amount) AS amount, max(amount) AS largest"
VIEWS = [
    f"CREATE MATERIALIZED VIEW {name} AS SELECT {key}, shop, {_COUNTED} FROM orders GROUP BY ALL"
    for name, key in KEYS.items()
]
NEAR = [0, 24 * 29, 24 * 184, 24 * 244, 24 * 313]
"""Rows lie in the days after these hours: of May 2024, its end, both changes of New York's clocks, a year's end."""


def day_of(row: Row) -> date:
    return (DAY + timedelta(hours=row[1])).date()


def by_unit(rows: Sequence[Row], *, hourly: bool = False, buckets: int = 1) -> dict[str, list[list[Row]]]:
    """The rows by event date, or by hour, and each unit's in some files."""
    units: dict[str, list[list[Row]]] = defaultdict(lambda: [[] for _ in range(buckets)])
    for row in rows:
        hour = f"T{(DAY + timedelta(hours=row[1])).hour:02}" if hourly else ""
        units[f"{day_of(row)}{hour}"][row[2] % buckets].append(row)
    return units


class Asked:
    """A lake of all views over the same rows, some in batch files and the last few in an epoch, and tables that plain
    DuckDB has made of all the rows by the views' own SELECTs."""

    def __init__(self, folder: Path, rows: Sequence[Row], *, hourly: bool, buckets: int, held: bool) -> None:
        made = Handmade(folder, *VIEWS)
        made.epoch(rows)
        for view in KEYS:
            made.version_of(by_unit(rows, hourly=hourly, buckets=buckets), cut=len(rows), view=view)
        made.epoch([(f"shop{n % 3}", n * 97 % 72, n) for n in range(len(rows), len(rows) + 5)])
        self.serving = made.serving()
        if held:
            self.serving.prepare()
        self.plain = duckdb.connect(":memory:")
        self.plain.execute("SET TimeZone = 'UTC'")
        self.plain.register("orders", made.events(made.sent))
        for view in VIEWS:
            self.plain.execute(view.replace("MATERIALIZED VIEW", "TABLE"))

    def check(self, sql: str) -> None:
        """Serving answers, or refuses, like plain DuckDB over all rows."""
        try:
            wanted = sorted(map(str, self.plain.execute(sql).to_arrow_table().to_pylist()))
        except duckdb.Error:
            with pytest.raises(SeamlineError):
                self.serving.query(sql)
            return
        assert sorted(map(str, self.serving.query(sql).table.to_pylist())) == wanted

    def close(self) -> None:
        self.serving.close()
        self.plain.close()


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Asked]]:
    """By the date, by the hour, with two files for each date, and with the rows of files in memory."""
    made = []
    shapes = [(False, 1, False), (True, 1, False), (False, 2, False), (False, 1, True)]
    for number, (hourly, buckets, held) in enumerate(shapes):
        chance = random.Random(number)
        rows = [(f"shop{n % 3}", NEAR[n % len(NEAR)] + chance.randrange(72), n) for n in range(120)]
        made.append(Asked(tmp_path_factory.mktemp("lake"), rows, hourly=hourly, buckets=buckets, held=held))
    yield made
    for one in made:
        one.close()


TYPES = ["DATE", "TIMESTAMP", "TIMESTAMPTZ"]
moments = st.builds(
    lambda near, n: (DAY + timedelta(hours=near, minutes=30 * n)).strftime("%Y-%m-%d %H:%M"),
    st.sampled_from(NEAR),
    st.integers(-50, 200),
)


@st.composite
def constants(draw: st.DrawFn) -> str:
    moment = draw(moments)
    return draw(
        st.sampled_from(
            [
                f"'{moment}'",
                f"'{moment[:10]}'",
                *(f"{kind} '{moment}'" for kind in TYPES),
                *(f"'{moment}'::{kind}" for kind in TYPES),
                f"TIMESTAMPTZ '{moment}+09'",
                f"date_trunc('month', TIMESTAMPTZ '{moment}')",
                f"TIMESTAMPTZ '{moment}' - INTERVAL 1 MONTH",
                f"DATE '{moment[:10]}' + 3",
                f"(TIMESTAMP '{moment}' AT TIME ZONE 'Asia/Seoul')",
                f"'{moment}'::VARCHAR",
                f"strftime(TIMESTAMP '{moment}', '%Y-%m-%d')::DATE",
                "NULL",
                "'infinity'",
                "date_trunc('day', now()) - INTERVAL 2 YEAR",
                "current_date - INTERVAL 20 MONTH",
                "today()",
            ]
        )
    )


SUBJECTS = [
    "{}", "{}", "{}", "{}", "{}::DATE", "CAST({} AS TIMESTAMP)", "{}::TIMESTAMPTZ", "TRY_CAST({} AS DATE)",
    "date_trunc('week', {})", "date_trunc('month', {})", "date_trunc('decade', {})",
    "time_bucket(INTERVAL '3 days', {})",
    "time_bucket(INTERVAL '1 day', {}, 'America/New_York')", "{} + INTERVAL '36 hours'", "{} - INTERVAL 1 MONTH",
    "INTERVAL '1 day' + {}",
    "({} + to_months(1))", "({} - INTERVAL '1 month 2 days')",
    "({} AT TIME ZONE 'America/New_York')", "({} AT TIME ZONE 'Asia/Seoul')::DATE",
    "timezone('Europe/Berlin', date_trunc('hour', {}))", "last_day({})", "least({}, DATE '2024-08-01')",
    "make_date(2024, month({}), 1)", "({} AT TIME ZONE INTERVAL '40 hours')", "CASE WHEN orders > 1 THEN {} END",
]  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn, key: str, depth: int = 2) -> str:
    """A WHERE of any shape over a key."""
    if depth and draw(st.booleans()):
        parts = [draw(conditions(key, depth - 1)) for _ in range(draw(st.integers(1, 3)))]
        joined = f" {draw(st.sampled_from(['AND', 'OR']))} ".join(parts)
        return f"{draw(st.sampled_from(['', '', 'NOT ']))}({joined})"
    subject = draw(st.sampled_from(SUBJECTS)).format(key)
    a, b, c = draw(constants()), draw(constants()), draw(constants())
    sign = draw(st.sampled_from(["=", "<", "<=", ">", ">=", "<>", "IS DISTINCT FROM", "IS NOT DISTINCT FROM"]))
    return draw(
        st.sampled_from(
            [
                f"{subject} {sign} {a}",
                f"{subject} {sign} {a}",
                f"{a} {sign} {subject}",
                f"{subject} = {a}",
                f"{subject} BETWEEN {a} AND {b}",
                f"{subject} NOT BETWEEN {a} AND {b}",
                f"{subject} IN ({a}, {b}, {c})",
                f"{subject} IN ({a})",
                f"{subject} NOT IN ({a}, {b})",
                f"{a} BETWEEN {subject} AND {key}",
                f"{subject} IS NULL",
                f"({subject} > {a}) IS NULL",
                f"({subject} > {a}) = (shop = 'shop1')",
                f"month({key}) = 7",
                f"{key}::VARCHAR LIKE '2024-0%'",
                "shop = 'shop1'",
                "largest > 10",
            ]
        )
    )


SHAPES = [
    "SELECT * FROM {view} WHERE {alone}",
    "SELECT * FROM {view} WHERE {alone}",
    "SELECT v.* FROM {view} AS v WHERE {qualified}",
    "SELECT count(*) AS n, sum(orders) AS orders FROM {view} AS v WHERE {qualified} AND {alone}",
    "SELECT shop AS key, key AS shop FROM {view} WHERE {alone}",
    "SELECT v.key, w.largest FROM {view} AS v JOIN {view} AS w USING (shop) WHERE {qualified}",
    "SELECT v.key, w.key AS other FROM {view} v, {view} w WHERE {qualified} AND v.largest = w.largest",
    "SELECT v.key, w.key AS other FROM {view} w LEFT JOIN {view} v ON v.largest = w.largest + 1 WHERE {qualified}",
    "SELECT v.key, w.key AS other FROM {view} v RIGHT JOIN {view} w ON v.largest = w.largest + 1 WHERE {qualified}",
    "SELECT v.key, w.key AS other FROM {view} v LEFT JOIN {view} w ON v.largest = w.largest + 1 WHERE {qualified}",
    "SELECT v.key FROM {view} v FULL JOIN {view} w ON v.largest = w.largest + 1 WHERE {qualified}",
    "SELECT v.key FROM {view} v ANTI JOIN {view} w ON v.largest = w.largest + 1 WHERE {qualified}",
    "SELECT w.key FROM {view} w WHERE NOT EXISTS (SELECT 1 FROM {view} v WHERE v.largest = w.largest AND {qualified})",
    "SELECT * FROM (SELECT *, row_number() OVER (ORDER BY largest) AS n FROM {view}) WHERE {alone}",
    "WITH v AS (SELECT * FROM {view}) SELECT * FROM v WHERE {qualified}",
    "WITH {view} AS (SELECT * FROM {view} WHERE {alone}) SELECT * FROM {view}",
    "SELECT * FROM {view} WHERE {alone} UNION ALL SELECT * FROM {view} AS v WHERE NOT ({qualified})",
    "SELECT a.key FROM {view} AS a({names}) WHERE shop <> 'shop9'",
    "SELECT max(key) AS m FROM {view} WHERE largest > (SELECT avg(largest) FROM {view} AS v WHERE {qualified})",
    "SELECT shop, count(*) FILTER (WHERE {alone}) AS n FROM {view} GROUP BY shop",
    "SELECT shop, max(key) AS m FROM {view} GROUP BY shop HAVING m IS NOT NULL ORDER BY ALL",
    "SELECT v.shop FROM {view} v POSITIONAL JOIN (SELECT key AS k FROM {view} ORDER BY ALL) w WHERE w.k IS NULL",
]


@pytest.mark.thorough
@given(st.data())
def test_an_answer_is_the_same_as_from_every_file(lakes: list[Asked], data: st.DataObject) -> None:
    asked = data.draw(st.sampled_from(lakes))
    for _ in range(20):
        view, shape = data.draw(st.sampled_from(list(KEYS))), data.draw(st.sampled_from(SHAPES))
        alone, qualified = data.draw(conditions("key")), data.draw(conditions("v.key"))
        names = "shop, key" if view not in ("times", "odd", "numbers") else "day, key, shop"
        asked.check(shape.format(view=view, alone=alone, qualified=qualified, names=names))


DATES = 10
"""Of the lake of two views whose every file is known: one for each date, a row in each hour."""


@pytest.fixture(scope="module")
def dated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = Handmade(tmp_path_factory.mktemp("dated"), VIEWS[list(KEYS).index("hours")], VIEWS[list(KEYS).index("days")])
    made.epoch([("shop0", hour, hour) for hour in range(24 * DATES)])
    for view in ("hours", "days"):
        made.version_of(by_unit(made.sent), cut=len(made.sent), view=view)
    serving = made.serving()
    yield serving
    serving.close()


def opened(serving: Serving, sql: str, view: str = "hours") -> list[int]:
    """The dates, from 0, whose files a query reads of a view."""
    snapshot = serving.snapshot()
    served = snapshot.view(view)
    found = serving.pool.prunings(sql, tuple(snapshot.view(name).definition for name in ("hours", "days"))).get(view)
    if found is None:
        return list(range(DATES))
    with serving.pool.cursor(snapshot.files, frozenset([view])) as cursor:
        paths = cursor.pruned(view, served.batch, found, 10)
    return [n for n, path in enumerate(served.batch.paths) if paths is None or path in paths]


ALL = list(range(DATES))
OPENED: list[tuple[str, list[int]]] = [
    ("key = '2024-05-03'", [2]),
    ("key = TIMESTAMPTZ '2024-05-03 23:00:00Z' AND shop = 'shop0'", [2]),
    ("key = TIMESTAMPTZ '2024-05-03 23:30:00Z'", []),
    ("'2024-05-03 05:00' = key", [2]),
    ("key < '2024-05-03'", [0, 1]),
    ("key <= '2024-05-03'", [0, 1, 2]),
    ("key > '2024-05-08 22:00'", [7, 8, 9]),
    ("key > '2024-05-08 23:00'", [8, 9]),
    ("key >= '2024-05-08 23:00'", [7, 8, 9]),
    ("'2024-05-03' > key", [0, 1]),
    ("'2024-05-08 23:00' <= key", [7, 8, 9]),
    ("key BETWEEN '2024-05-03' AND TIMESTAMPTZ '2024-05-05'", [2, 3, 4]),
    ("key NOT BETWEEN '2024-05-02' AND '2024-05-09 23:00'", [0, 9]),
    ("key IN ('2024-05-02', TIMESTAMP '2024-05-09 03:00')", [1, 8]),
    ("key IN ('2024-5-2'::VARCHAR)", ALL),
    ("key IN ('2024-05-02', '2024-5-9'::VARCHAR)", ALL),
    ("key >= strftime(DATE '2024-05-09', '%Y-%m-%d')::DATE", [8, 9]),
    ("key NOT IN ('2024-05-02')", ALL),
    ("key <> '2024-05-02'", ALL),
    ("NOT (key < '2024-05-03' OR key >= '2024-05-05')", [2, 3]),
    ("NOT (key >= '2024-05-03' AND shop = 'shop0')", ALL),
    ("key < '2024-05-02' OR (key > '2024-05-09' AND shop = 'shop0')", [0, 8, 9]),
    ("key < '2024-05-02' OR shop = 'shop0'", ALL),
    ("key::DATE = '2024-05-03'", [2]),
    ("date_trunc('day', key) IN ('2024-05-03', '2024-05-04')", [2, 3]),
    ("time_bucket(INTERVAL '2 days', key) = '2024-05-02'", [1, 2]),
    ("key + INTERVAL '1 day' < '2024-05-03'", [0]),
    ("key - INTERVAL '1 day' >= '2024-05-09'", [9]),
    ("key + INTERVAL 1 MONTH > '2024-06-09'", [7, 8, 9]),
    ("key - to_days(1) >= '2024-05-09'", [9]),
    ("(key AT TIME ZONE 'Asia/Seoul')::DATE = '2024-05-05'", [3, 4, 5]),
    ("date_trunc('month', key) = '2024-06-01'", []),
    ("key > now() - INTERVAL 1 DAY", []),
    ("key <= current_date", ALL),
    ("key IS NULL", ALL),
    ("key IS DISTINCT FROM '2024-05-03'", ALL),
    ("hour(key) = 5", ALL),
    ("CASE WHEN key = '2024-05-03' THEN true END", ALL),
    ("time_bucket(INTERVAL '1 day', key, 'Asia/Seoul') = '2024-05-03'", ALL),
    ("time_bucket(INTERVAL '1 day', key, origin := TIMESTAMPTZ '2024-05-01 12:00') = '2024-05-02 12:00'", ALL),
    ("date_trunc(part := 'day', key) = '2024-05-03'", ALL),
    ("shop = 'shop0'", ALL),
]


@pytest.mark.parametrize(("where", "dates"), OPENED)
def test_only_files_in_which_a_row_may_be_asked_for_are_read(dated: Serving, where: str, dates: list[int]) -> None:
    assert opened(dated, f"SELECT * FROM hours WHERE {where}") == dates


def test_a_long_list_of_values_leaves_no_file_out(dated: Serving) -> None:
    for more, dates in [(MANY, [1]), (MANY + 1, ALL)]:
        listed = ", ".join(["TIMESTAMPTZ '2024-05-02'"] * more)
        assert opened(dated, f"SELECT * FROM hours WHERE key IN ({listed})") == dates


W = "key = '2024-05-03'"
READ: list[tuple[str, list[int]]] = [
    (f"SELECT * FROM hours AS h WHERE h.{W}", [2]),
    (f"SELECT key + INTERVAL '5 days' AS key FROM hours WHERE {W}", [2]),
    (f"SELECT a.* FROM hours a, hours b WHERE a.{W} AND b.key = '2024-05-05'", [2, 4]),
    (f"SELECT a.* FROM hours a JOIN days b ON a.shop = b.shop WHERE a.{W}", [2]),
    (f"SELECT a.* FROM days b LEFT JOIN hours a ON a.shop = b.shop WHERE a.{W}", [2]),
    (f"SELECT b.* FROM days b ANTI JOIN hours a ON a.shop = b.shop WHERE b.{W}", ALL),
    (f"SELECT a.* FROM hours a POSITIONAL JOIN days b WHERE a.{W}", ALL),
    (f"SELECT a.* FROM hours a ASOF JOIN days b ON a.key >= b.key WHERE a.{W}", ALL),
    (f"SELECT * FROM (SELECT *, row_number() OVER (ORDER BY key) AS n FROM hours) WHERE {W}", ALL),
    (f"SELECT *, row_number() OVER (ORDER BY key) AS n FROM hours WHERE {W}", [2]),
    (f"SELECT * FROM hours WHERE {W} UNION ALL SELECT * FROM hours WHERE key = '2024-05-07'", [2, 6]),
    (f"SELECT * FROM hours WHERE {W} UNION ALL SELECT * FROM hours", ALL),
    (f"WITH hours AS (SELECT * FROM hours WHERE {W}) SELECT * FROM hours WHERE key = '2024-05-07'", [2]),
    (f"WITH days AS (SELECT * FROM hours WHERE {W}) SELECT * FROM days WHERE key = '2024-05-07'", [2]),
    (f"SELECT * FROM hours AS t(shop, key) WHERE {W}", ALL),
    (f"SELECT * FROM days WHERE EXISTS (SELECT 1 FROM hours WHERE {W})", [2]),
    ("SELECT * FROM days AS d WHERE EXISTS (SELECT 1 FROM hours AS h WHERE h.key = d.key)", ALL),
    ("SELECT (SELECT max(key) FROM hours WHERE key < current_date) AS m, shop AS current_date FROM days", ALL),
    (f"SELECT MEASURE(orders) AS n FROM hours WHERE {W} GROUP BY ALL", [2]),
    (f"SELECT MEASURE(orders) AS n FROM hours HAVING max({W})", ALL),
]


@pytest.mark.parametrize(("sql", "dates"), READ)
def test_a_where_counts_only_beside_the_name_whose_rows_it_filters(dated: Serving, sql: str, dates: list[int]) -> None:
    assert opened(dated, sql) == dates
    assert dated.query(sql).table.num_rows >= 0


def test_of_what_no_row_can_be_asked_for_nothing_is_opened(tmp_path: Path) -> None:
    made = Handmade(tmp_path, VIEWS[list(KEYS).index("hours")])
    made.epoch([("shop0", hour, hour) for hour in range(24 * DATES)])
    made.version_of(by_unit(made.sent), cut=len(made.sent), view="hours")
    serving = made.serving()
    asked = "SELECT orders FROM hours WHERE key = '2024-05-03 05:00'"
    assert serving.query(asked).table.to_pylist() == [{"orders": 1}]
    paths = serving.snapshot().view("hours").batch.paths
    for path in (*paths[:2], *paths[3:]):
        Path(path).unlink()
    assert serving.query(asked).table.to_pylist() == [{"orders": 1}]
    assert serving.query(asked, as_of=1).table.to_pylist() == [{"orders": 1}], "of a past epoch, too, they are known"
    with pytest.raises(SeamlineError, match="view hours"):
        serving.query("SELECT sum(orders) AS orders FROM hours")
    serving.close()


def test_a_file_that_does_not_say_what_it_holds_is_told_until_it_does(tmp_path: Path) -> None:
    made = Handmade(tmp_path, VIEWS[list(KEYS).index("hours")])
    made.epoch([("shop0", hour, hour) for hour in range(24 * DATES)])
    made.version_of(by_unit(made.sent), cut=len(made.sent), view="hours")
    serving = made.serving()
    one = Path(serving.snapshot().view("hours").batch.paths[5])
    kept = one.read_bytes()
    one.write_bytes(b"PAR1")
    serving.prepare()
    asked = "SELECT orders FROM hours WHERE key = '2024-05-03 05:00'"
    with pytest.raises(SeamlineError) as told:
        serving.query(asked)
    assert told.value.condition == Condition.STORE_UNAVAILABLE
    assert told.value.where == str(one)
    one.write_bytes(kept)
    assert serving.query(asked).table.to_pylist() == [{"orders": 1}]
    serving.close()


def test_times_of_another_zone_are_found_where_its_clocks_go_back(tmp_path: Path) -> None:
    """In one file 05:30:45Z comes first and is 01:30:45 in New York; 06:00:10Z comes later and is 01:00:10."""
    made = Handmade(tmp_path, VIEWS[list(KEYS).index("seconds")])
    back = 24 * 186
    rows = [("shop0", back + 5, 45), ("shop0", back + 6, 10), ("shop0", 0, 70)]
    made.epoch(rows)
    made.version_of(by_unit(rows), cut=3, view="seconds")
    serving = made.serving()
    for local in ("01:00:45", "01:00:10"):
        where = f"(key AT TIME ZONE 'America/New_York') = '2024-11-03 {local}'"
        assert serving.query(f"SELECT orders FROM seconds WHERE {where}").table.num_rows == 1
    serving.close()


def test_a_month_later_the_30th_and_the_31st_are_one_day(tmp_path: Path) -> None:
    """In one file May 30 21:00 of New York comes first and is June 30 21:00; May 31 10:00 later, and June 30 10:00."""
    made = Handmade(tmp_path, VIEWS[list(KEYS).index("clock")])
    rows = [("shop0", 24 * 30 + 1, 1), ("shop0", 24 * 30 + 14, 2), ("shop0", 0, 3)]
    made.epoch(rows)
    made.version_of(by_unit(rows), cut=3, view="clock")
    serving = made.serving()
    for later in ("INTERVAL 1 MONTH", "INTERVAL '1 month'", "to_months(1)"):
        for hour in ("21:00", "10:00"):
            where = f"key + {later} = '2024-06-30 {hour}'"
            assert serving.query(f"SELECT orders FROM clock WHERE {where}").table.num_rows == 1
    serving.close()


def test_in_one_moment_it_is_one_time(dated: Serving) -> None:
    with dated.pool.cursor() as cursor:
        with cursor.moment():
            first, second = (cursor.run(Text("SELECT now() AS at"), 10)["at"][0].as_py() for _ in range(2))
        third = cursor.run(Text("SELECT now() AS at"), 10)["at"][0].as_py()
    assert first == second < third


def test_a_cursor_answers_after_a_moment_in_which_a_query_failed(dated: Serving) -> None:
    recent = "key > now() - INTERVAL 50 YEAR"
    for _ in range(2):
        with pytest.raises(SeamlineError) as told:
            dated.query(f"SELECT (shop || orders)::INTEGER AS x FROM hours WHERE {recent}")
        assert told.value.condition == Condition.QUERY_INVALID
        assert dated.query(f"SELECT sum(orders) AS n FROM hours WHERE {recent}").table.to_pylist() == [{"n": 240}]
        assert dated.query("SELECT sum(orders) AS n FROM hours").table.to_pylist() == [{"n": 240}]


@pytest.mark.parametrize("head", ["", "WITH t AS (SELECT 1) ", "/* x */ WITH t AS (\n  SELECT 1\n) "])
def test_the_place_of_an_error_is_in_the_users_own_text(dated: Serving, head: str) -> None:
    text = f"{head}SELECT\n  (shop || orders)::INTEGER AS x FROM hours WHERE key = '2024-05-03'"
    with pytest.raises(SeamlineError) as told:
        dated.query(text)
    line = text[: text.index("::INTEGER")].count("\n") + 1
    assert told.value.where.split(":")[0] == str(line)


def test_footers_are_read_once(tmp_path: Path) -> None:
    read: list[str] = []

    def footer(path: str) -> Any:
        read.append(path)
        return parquet.read_metadata(path)

    stamps = pa.array([datetime(2024, 5, day, tzinfo=UTC) for day in (3, 1, 2)], pa.timestamp("us", "UTC"))
    for name in "abc":
        parquet.write_table(pa.table({"key": stamps}), tmp_path / name)
    key = (Column("key", "TIMESTAMP WITH TIME ZONE"),)
    first = BatchFiles((str(tmp_path / "a"), str(tmp_path / "b")), (3, 3), key, footer)
    assert first.found == {}, "nothing is read before it is asked for"
    assert first.bounds.to_pylist()[1] == {"number": 1, "least0": stamps[1].as_py(), "most0": stamps[0].as_py()}
    second = BatchFiles((str(tmp_path / "b"), str(tmp_path / "c")), (3, 3), key, footer, first.found)
    assert second.bounds.num_rows == 2
    assert read == [str(tmp_path / name) for name in "abc"]


def test_a_file_that_does_not_say_what_it_holds_may_hold_anything(tmp_path: Path) -> None:
    stamps = pa.array([datetime(2024, 5, 1, tzinfo=UTC)], pa.timestamp("us", "UTC"))
    told = pa.table({"key": stamps})
    tables: list[tuple[pa.Table, dict[str, Any]]] = [
        (told, {}),
        (told, {"write_statistics": False}),
        (told.set_column(0, "key", stamps.cast(pa.timestamp("ms", "UTC"))), {}),
        (told.set_column(0, "key", stamps.cast(pa.timestamp("us"))), {}),
        (told.set_column(0, "key", pa.nulls(1, stamps.type)), {}),
        (told.rename_columns(["other"]), {}),
        (told.append_column("k", pa.array([{"ey": 1}])), {}),
    ]
    paths = tuple(str(tmp_path / str(number)) for number in range(len(tables)))
    for path, (table, options) in zip(paths, tables, strict=True):
        parquet.write_table(table, path, **options)
    files = BatchFiles(paths, (1,) * 7, (Column("key", "TIMESTAMP WITH TIME ZONE"),), parquet.read_metadata)
    assert [row["least0"] is not None for row in files.bounds.to_pylist()] == [True, *[False] * 5, True]
    nested = tmp_path / "nested"
    parquet.write_table(pa.table({"a.b": stamps, "a": pa.array([{"b": 1}])}), nested)
    (row,) = BatchFiles(
        (str(nested),), (1,), (Column("a.b", "TIMESTAMP WITH TIME ZONE"),), parquet.read_metadata
    ).bounds.to_pylist()
    assert row["least0"] is None, "two columns have that path"
