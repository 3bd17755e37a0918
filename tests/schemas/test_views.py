"""Views: what is read, what is refused and where, what is compiled, and that the answer is the SELECT's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT

from seamline.errors import Condition, SeamlineError, UserError
from seamline.kernel import kernel
from seamline.schemas.contracts.contract import Contract, event_schema, parse_contract
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.language import ALLOWED
from seamline.schemas.views.properties import PROPERTIES
from seamline.schemas.views.text import load_views, parse_views

GITHUB = ROOT / "examples/github"
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    logicalType: object
    physicalType: topic
    physicalName: orders
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: placed, logicalType: timestamp, required: true}
      - {name: Shop, logicalType: string}
      - {name: amount, logicalType: number, physicalType: "decimal(38,2)"}
      - {name: price, logicalType: number, physicalType: "decimal(10,2)"}
      - {name: pieces, logicalType: integer}
      - {name: weight, logicalType: number}
      - {name: paid, logicalType: boolean}
      - {name: day, logicalType: date}
      - {name: tags, logicalType: array, items: {logicalType: string}}
      - name: buyer
        logicalType: object
        properties:
          - {name: name, logicalType: string}
          - name: home
            logicalType: object
            properties:
              - {name: city, logicalType: string}
customProperties:
  - {property: seamline.eventTime, value: placed}
"""


@pytest.fixture(scope="module")
def orders() -> Contract:
    return parse_contract(CONTRACT, "orders.yaml")


@pytest.fixture(scope="module")
def github() -> Contract:
    path = GITHUB / "contracts/github_events.yaml"
    return parse_contract(path.read_text(), str(path))


def compiled(select: str, contract: Contract, name: str = "v") -> Definition:
    (view,) = parse_views(f"CREATE MATERIALIZED VIEW {name} AS\n{select}", "views/v.sql")
    return compile_view(view, contract)


def answer(definition: Definition, *parts: pa.Table) -> list[dict[str, Any]]:
    """The view's rows, in no order, from partials of each part."""
    partials = pa.concat_tables([kernel().run(definition.partial, {"events": part}) for part in parts])
    return rows(kernel().run(definition.merge_and_finalise, {"partials": partials}))


def own_answer(definition: Definition, events: pa.Table) -> list[dict[str, Any]]:
    """The view's own SELECT over the events. Distinct counts exact: DuckDB's sketch may be off by a few."""
    select = definition.select_over("events").replace("approx_count_distinct(", "count(DISTINCT ")
    return rows(kernel().run(select, {"events": events}))


def rows(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=repr)


def batch(contract: Contract, events: list[dict[str, Any]]) -> pa.Table:
    """Events as an Arrow table of the contract's types."""
    kinds = event_schema(contract)
    empty = kernel().run("SELECT " + ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in kinds.items()))
    return pa.Table.from_pylist(events, schema=empty.schema)


# --- what every answer is checked against -----------------------------------------------------------------

EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 10**9).map(str),
            "dt": st.datetimes(datetime(2015, 2, 22), datetime(2015, 2, 24), timezones=st.just(UTC)),
            "repo": st.sampled_from(["r1", "r2", "ünï"]),
            "type": st.sampled_from(["push", "watch", "golem", "pr"]),
            "actor": st.sampled_from([f"u{n}" for n in range(8)]),
            "commits": st.none() | st.integers(0, 2**62),
            "action": st.sampled_from([None, "opened", "closed"]),
            "age": st.none() | st.datetimes(datetime(2014, 1, 1), datetime(2015, 1, 1), timezones=st.just(UTC)),
        }
    ),
    max_size=20,
)


@pytest.mark.parametrize("path", sorted(GITHUB.glob("views/*.sql")), ids=lambda path: path.stem)
def test_an_example_views_answer_is_its_own_select_over_the_events(path: Path, github: Contract) -> None:
    (view,) = parse_views(path.read_text(), str(path))
    definition = compile_view(view, github)

    @given(EVENTS, EVENTS)
    def equal(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
        parts = batch(github, one), batch(github, other)
        both = pa.concat_tables(parts)
        assert answer(definition, *parts) == own_answer(definition, both)

    equal()


CASES = {
    "everything": """SELECT time_bucket(INTERVAL '15 minutes', placed) AS quarter, Shop, lower(buyer.home.city) AS city,
        count(*) AS orders, count(pieces) AS counted, sum(pieces) AS pieces, sum(price) AS price, sum(amount) AS amount,
        sum(weight) AS weight, avg(pieces) AS mean_pieces, avg(amount) FILTER (WHERE paid) AS mean_paid,
        min(day) AS first_day, max(weight) AS heaviest, approx_count_distinct(buyer.name) AS buyers,
        stddev_samp(weight) AS spread
        FROM orders WHERE pieces > 0 AND Shop IS NOT NULL GROUP BY ALL""",
    "yearly": "SELECT date_trunc('year', placed) AS year, count(*) AS n, sum(pieces) FILTER (WHERE paid) AS paid,"
    " approx_count_distinct(Shop) AS shops FROM orders GROUP BY ALL",
    "calendar": """SELECT time_bucket(INTERVAL '1 month', placed, 'America/New_York') AS month,
        time_bucket(INTERVAL '2 weeks', placed, 'Asia/Seoul') AS weeks, date_trunc('quarter', placed) AS quarter,
        (placed AT TIME ZONE 'Australia/Lord_Howe')::DATE AS date, count(*) AS n FROM orders GROUP BY ALL""",
    "unnested": """SELECT date_trunc('day', placed) AS day, lower(unnest(o.tags)) AS tag, Shop, count(*) AS n,
        sum(len(tags)) AS tags, max(buyer.name) FILTER (WHERE len(o.tags) > 1) AS last_name, count(*) / sum(pieces) AS r
        FROM orders AS o WHERE id <> '9' GROUP BY 1, lower(unnest("tags")), Shop HAVING tag <> 'z'""",
    "explicit_group": "SELECT Shop, paid AS settled, day, count(*) AS n FROM orders AS o GROUP BY o.shop, 2, o.day",
    "nested": "SELECT cast(placed AS DATE) AS date, orders.buyer.home.city, tags[1] AS tag,"
    " max(buyer.name) AS last_name FROM orders GROUP BY ALL",
    "expressions": """SELECT placed::DATE AS date, Shop, pieces, sum(price) AS total,
        sum(price) / nullif(count(*), 0) AS rate, sum(pieces) // 2 AS half, round(avg(weight), 1)::VARCHAR || ' kg'
        AS weight, pieces * count(*) AS together, every(paid) AS settled
        FROM orders GROUP BY date, Shop, pieces
        HAVING count(*) FILTER (WHERE pieces > 2) >= 1 AND orders.pieces < 100 AND total IS NULL""",
    "guarded": "SELECT day, cast(Shop AS INTEGER) AS number, sum(pieces // 0) AS none, count(*) AS n FROM orders"
    " WHERE pieces::TINYINT > 1 GROUP BY ALL",
}


@pytest.mark.parametrize("case", CASES)
def test_the_three_statements_are_golden(case: str, orders: Contract, golden: Callable[[str, str], None]) -> None:
    definition = compiled(CASES[case], orders)
    for name in ("partial", "merge", "finalise"):
        golden(f"views/{case}.{name}.sql", getattr(definition, name))


ORDER = {
    "id": "1",
    "placed": datetime(2026, 1, 1, 10, 7, tzinfo=UTC),
    "Shop": "a",
    "pieces": 3,
    "paid": True,
    "tags": ["x", "y"],
    "buyer": {"name": "Ann", "home": {"city": "Oslo"}},
}
ORDERS = [
    ORDER,
    ORDER | {"id": "2", "Shop": "b", "pieces": 5, "paid": False, "tags": []},
    ORDER
    | {"id": "3", "buyer": {"name": "Bo", "home": {"city": "Rome"}}, "weight": 1.5, "tags": ["X", None, "x", "z"]},
    ORDER | {"id": "4", "Shop": None, "pieces": None, "buyer": None},
    {
        "id": "5",
        "placed": datetime(2026, 1, 1, 10, 31, tzinfo=UTC),
        "pieces": 7,
        "Shop": "a",
        "paid": None,
        "weight": 2.5,
    },
]


@pytest.mark.parametrize("case", [case for case in CASES if case != "guarded"])
def test_each_shape_of_view_answers_as_its_own_select(case: str, orders: Contract) -> None:
    definition = compiled(CASES[case], orders)
    parts = [batch(orders, ORDERS[:2]), batch(orders, []), batch(orders, ORDERS[2:])]
    assert answer(definition, *parts) == own_answer(definition, pa.concat_tables(parts))


def test_an_event_counts_once_for_each_element_and_not_at_all_without_one(orders: Contract) -> None:
    definition = compiled("SELECT day, unnest(tags) AS tag, count(*) AS n FROM orders GROUP BY ALL", orders)
    lists = (["x", "y", "x"], [None], [], None)
    events = [ORDER | {"day": date(2026, 1, 1), "tags": tags} for tags in lists]
    counted = {row["tag"]: row["n"] for row in answer(definition, batch(orders, events[:2]), batch(orders, events[1:]))}
    assert counted == {"x": 2, "y": 1, None: 2}


def test_an_array_that_cannot_be_made_has_no_elements(orders: Contract) -> None:
    select = "SELECT day, unnest([Shop::INTEGER, 7]) // 2 AS half, count(*) AS n FROM orders GROUP BY ALL"
    events = [ORDER | {"Shop": shop} for shop in ("4", "not a number")]
    assert answer(compiled(select, orders), batch(orders, events)) == [
        {"day": None, "half": 2, "n": 1},
        {"day": None, "half": 3, "n": 1},
    ]


def test_what_is_unnested_is_part_of_the_definition_and_its_spelling_is_not(orders: Contract) -> None:
    select = "SELECT day, unnest(tags) AS tag, count(*) AS n FROM orders GROUP BY ALL"
    same = select.replace("unnest(tags)", 'UNNEST( orders."tags" )').replace("ALL", "1, unnest(TAGS)")
    assert compiled(select, orders).hash == compiled(same, orders).hash
    assert compiled(select, orders).hash != compiled(select.replace("(tags)", "([Shop])"), orders).hash


@pytest.mark.thorough
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Seoul", "Australia/Lord_Howe", "Europe/London"])
def test_buckets_in_a_zone_begin_at_its_midnights_through_daylight_saving(zone: str, orders: Contract) -> None:
    units = ("day", "week", "month", "quarter", "year")
    buckets = ", ".join(f"time_bucket(INTERVAL '1 {unit}', placed, '{zone}') AS {unit}s" for unit in units)
    definition = compiled(f"SELECT {buckets}, placed, count(*) AS n FROM orders GROUP BY ALL", orders)
    halves = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=30 * n) for n in range(2 * 24 * 366)]
    found = kernel().run(definition.partial, {"events": batch(orders, [{"placed": at} for at in halves])}).to_pylist()
    assert len(found) == len(halves)
    for row in found:
        assert all(row[f"{unit}s"] == _begins(unit, row["placed"], ZoneInfo(zone)) for unit in units), row


def test_buckets_with_an_origin_begin_there_business_days_of_a_zones_clocks_too(orders: Contract) -> None:
    paris, origin = ZoneInfo("Europe/Paris"), datetime(2000, 1, 4, 6, tzinfo=UTC)
    keys = (
        "time_bucket(INTERVAL '1 week', placed, TIMESTAMPTZ '2000-01-04 06:00:00Z') AS weeks",
        "time_bucket(INTERVAL '3 months', placed, TIMESTAMPTZ '2000-02-01') AS quarters",
        "time_bucket(INTERVAL '1 day', placed AT TIME ZONE 'Europe/Paris', TIMESTAMP '2000-01-01 02:00:00') AS days",
    )
    definition = compiled(f"SELECT {', '.join(keys)}, placed, count(*) AS n FROM orders GROUP BY ALL", orders)
    times = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(24 * 366)]
    found = kernel().run(definition.partial, {"events": batch(orders, [{"placed": at} for at in times])}).to_pylist()
    assert len(found) == len(times)
    for row in found:
        at = row["placed"]
        local = at.astimezone(paris).replace(tzinfo=None)
        assert row["weeks"] == origin + (at - origin) // timedelta(weeks=1) * timedelta(weeks=1)
        months = (at.year * 12 + at.month - 2) // 3 * 3 + 1
        assert row["quarters"] == datetime(months // 12, months % 12 + 1, 1, tzinfo=UTC)
        assert row["days"] == datetime.combine((local - timedelta(hours=2)).date(), time(2)), at


def _begins(unit: str, at: datetime, zone: ZoneInfo) -> datetime:
    """When the day, week, month, quarter or year of an instant begins on a zone's clocks."""
    local = at.astimezone(zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    first = {
        "day": local,
        "week": local - timedelta(days=local.weekday()),
        "month": local.replace(day=1),
        "quarter": local.replace(day=1, month=(local.month - 1) // 3 * 3 + 1),
        "year": local.replace(day=1, month=1),
    }[unit]
    return first.replace(tzinfo=zone).astimezone(UTC)


@pytest.mark.parametrize(
    "key",
    [
        "day",
        "placed::DATE",
        "cast(placed AS DATE)",
        "try_cast(o.placed AS DATE)",
        "date_trunc('second', placed)",
        "datetrunc('year', day)",
        "time_bucket(INTERVAL '90 seconds', placed)",
        "time_bucket(INTERVAL 2 years, day)",
        "time_bucket(INTERVAL '6' MONTH, placed, 'America/New_York')",
        "date_trunc('day', placed AT TIME ZONE 'Asia/Seoul')",
        "time_bucket(INTERVAL '1 day', to_timestamp(pieces))",
    ],
)
def test_a_key_that_is_a_bucket_or_a_date_makes_a_view(key: str, orders: Contract) -> None:
    definition = compiled(f"SELECT Shop, {key} AS bucket, count(*) AS n FROM orders AS o GROUP BY ALL", orders)
    events = batch(orders, [event | {"day": date(2026, 1, 1)} for event in ORDERS])
    assert answer(definition, events.slice(0, 2), events.slice(2)) == own_answer(definition, events)


def test_an_expression_that_fails_on_a_row_is_null_and_a_condition_that_fails_leaves_it_out(orders: Contract) -> None:
    definition = compiled(CASES["guarded"], orders)
    events = [
        ORDER | {"Shop": "7", "pieces": 2},
        ORDER | {"Shop": "x", "pieces": 2},
        ORDER | {"Shop": "8", "pieces": 10**9},
    ]
    assert answer(definition, batch(orders, events)) == rows(
        pa.Table.from_pylist(
            [{"day": None, "number": 7, "none": None, "n": 1}, {"day": None, "number": None, "none": None, "n": 1}]
        )
    )


def test_a_column_computed_from_a_sum_out_of_range_is_that_groups_error_too(orders: Contract) -> None:
    select = "SELECT day, Shop, count(*) AS n, sum(amount) / 2 AS half FROM orders GROUP BY ALL"
    large = Decimal("9" * 36 + ".00")
    part = batch(orders, [ORDER | {"amount": large}, ORDER | {"Shop": "b", "amount": Decimal("3.00")}])
    for having in ("", " HAVING sum(amount) > 0"):
        definition = compiled(select + having, orders)
        partials = pa.concat_tables([kernel().run(definition.partial, {"events": part})] * 2)
        merged = kernel().run(definition.merge, {"partials": partials})
        with pytest.raises(SeamlineError, match="VALUE_OUT_OF_RANGE: column"):
            kernel().run(definition.finalise, {"partials": merged})
        fine = f"SELECT * FROM ({definition.finalise}) WHERE \"Shop\" = 'b'"
        assert kernel().run(fine, {"partials": merged}).to_pylist() == [{"day": None, "Shop": "b", "n": 2, "half": 3.0}]


def test_an_audit_compares_what_is_out_of_range_as_null_and_the_rest_as_it_is(orders: Contract) -> None:
    select = "SELECT day, Shop, sum(amount) AS total, sum(amount) / count(*) AS mean FROM orders GROUP BY ALL"
    definition = compiled(f"{select} HAVING max(pieces) > 0", orders)
    assert [one.name for one in definition.compared] == [
        *("(events)", "total", "mean: count(*)", 'HAVING: max(events."pieces")')
    ]
    large = Decimal("9" * 36 + ".00")
    part = batch(orders, [ORDER | {"amount": large}, ORDER | {"Shop": "b", "amount": Decimal("1.50")}])
    partials = pa.concat_tables([kernel().run(definition.partial, {"events": part})] * 2)
    merged = kernel().run(definition.merge, {"partials": partials})
    rows_ = kernel().run(definition.compare_over("partials"), {"partials": merged}).to_pylist()
    found = {row["Shop"]: tuple(row[f"_{n}"] for n in range(1, 5)) for row in rows_}
    assert found == {"a": (2, None, 2, 3), "b": (2, Decimal("3.00"), 2, 3)}


def test_names_types_and_exactness_are_known_before_there_is_data(orders: Contract) -> None:
    definition = compiled(CASES["everything"], orders)
    partials = kernel().run(definition.partial, {"events": batch(orders, [])})
    declared = {column.name: column.sql_type for column in definition.columns}
    assert kernel().describe(definition.finalise, {"partials": partials}) == declared
    stored = {column.name: column.sql_type for column in definition.partial_columns}
    assert kernel().describe(definition.merge, {"partials": partials}) == stored
    own = kernel().describe(definition.select_over("events"), {"events": batch(orders, [])})
    assert declared == {k: "DECIMAL(38,0)" if t == "HUGEINT" else t for k, t in own.items()}
    assert [key.name for key in definition.keys] == ["quarter", "Shop", "city"]
    exactness = {c.name: c.exactness for c in definition.columns}
    assert exactness["amount"] == "exact"
    assert exactness["weight"] == "exact"
    assert exactness["spread"] == "approximate (float)"
    assert exactness["buyers"] == "approximate"


# --- the definition's hash ---------------------------------------------------------------------------------

PLAIN = "SELECT day, Shop, sum(pieces + 1) AS n FROM orders WHERE paid GROUP BY ALL"


@pytest.mark.parametrize(
    "same",
    [
        "select  DAY,shop,\n -- a comment\n SUM( pieces+1 ) as N from ORDERS where PAID group by all",
        'SELECT day, "Shop", sum(o."pieces" + 1) AS n FROM orders o WHERE /* that is */ paid GROUP BY 1, 2',
        "SELECT day, Shop, sum(pieces + 1) AS n, FROM orders WHERE paid GROUP BY shop, day",
        "SELECT day, Shop, sum(pieces + 1) n FROM orders WHERE paid GROUP BY ALL",
        'SELECT day, Shop "Shop", sum(pieces + 1) "n" FROM orders WHERE paid GROUP BY ALL',
    ],
)
def test_spelling_does_not_change_the_definition(same: str, orders: Contract) -> None:
    one, other = compiled(PLAIN, orders), compiled(same, orders)
    assert (one.hash, one.normalised) == (other.hash, other.normalised)
    assert (one.partial, one.merge, one.finalise) == (other.partial, other.merge, other.finalise)
    own = kernel().describe(other.select_over("events"), {"events": batch(orders, [])})
    assert [name.lower() for name in own] == ["day", "shop", "n"]


@pytest.mark.parametrize(
    "other",
    [
        PLAIN.replace("+ 1", "+ 2"),
        PLAIN.replace("AS n", "AS m"),
        PLAIN.replace("WHERE paid ", ""),
        PLAIN.replace("sum", "max"),
        PLAIN.replace("Shop", "upper(Shop) AS Shop"),
    ],
)
def test_a_changed_expression_is_another_definition(other: str, orders: Contract) -> None:
    assert compiled(PLAIN, orders).hash != compiled(other, orders).hash


def test_a_changed_contract_is_another_definition_and_properties_are_not(orders: Contract) -> None:
    changed = parse_contract(CONTRACT.replace("decimal(10,2)", "decimal(12,2)"), "orders.yaml")
    assert compiled(PLAIN, orders).hash != compiled(PLAIN, changed).hash
    text = f"CREATE MATERIALIZED VIEW v TBLPROPERTIES ('owner' = 'me') AS {PLAIN}"
    (owned,) = parse_views(text, "v.sql")
    assert owned.properties == {"owner": "me"}
    assert compile_view(owned, orders).hash == compiled(PLAIN, orders).hash
    assert re.fullmatch(r"[0-9a-f]{16}", compiled(PLAIN, orders).hash)


def test_a_definition_is_made_again_from_its_own_text(orders: Contract) -> None:
    definition = compiled(CASES["everything"], orders)
    (again,) = parse_views(definition.text, "ledger")
    assert compile_view(again, orders) == definition


# --- refusals ----------------------------------------------------------------------------------------------

REFUSED = [
    ("median(DISTINCT pieces) AS n FROM orders", "2:8", "median.DISTINCT"),
    ("count(*) AS n, row_number() OVER () AS r FROM orders", "2:23", "window function"),
    ("count(*) AS n FROM orders JOIN other USING (id)", "2:34", "a join"),
    ("count(*) AS n FROM orders, other", "2:35", "join"),
    ("count(*) AS n FROM (SELECT 1)", "2:", "one contract|subquery"),
    ("sum((SELECT 1)) AS n FROM orders", "2:", "subquery"),
    ("count(*) AS n FROM orders ORDER BY 1", "2:34", "ORDER BY"),
    ("count(*) AS n FROM orders LIMIT 5", "2:34", "LIMIT"),
    ("Shop, count(*) AS n FROM orders GROUP BY ALL HAVING pieces > 1", "2:60", "neither a key nor inside"),
    ("Shop, count(*) AS n FROM orders GROUP BY ALL HAVING peices > 1", "2:60", "did you mean 'pieces'"),
    ("Shop, count(*) AS n FROM orders GROUP BY ALL HAVING n", "2:60", "BOOLEAN|condition"),
    ("DISTINCT Shop, count(*) AS n FROM orders GROUP BY ALL", "2:8", "DISTINCT"),
    ("count(*) AS n FROM orders WHERE peices > 1", "2:40", "did you mean 'pieces'"),
    ("buyer.nme AS x, count(*) AS n FROM orders GROUP BY ALL", "2:8", "nme"),
    ("mad(pieces) AS n FROM orders", "2:8", "aggregate mad"),
    ("summ(pieces) AS n FROM orders", "2:8", r"unknown function summ[\s\S]*did you mean 'sum'"),
    ("var(pieces) AS n FROM orders", "2:8", r"unknown function var\(\)[\s\S]*write var_samp\(x\) or var_pop\(x\)"),
    ("approx_median(pieces) AS n FROM orders", "2:8", r"write approx_quantile\(x, 0.5\)"),
    ("1 + uppr(Shop) AS n, count(*) AS m FROM orders GROUP BY ALL", "2:12", "did you mean 'upper'"),
    ("sum(Shop) AS n FROM orders", "2:8", r"sum\(\) of VARCHAR[\s\S]*cast it: \(expression\)::DECIMAL\(18,2\)"),
    ("sum(placed) AS n FROM orders", "2:8", r"sum\(\) of TIMESTAMP[\s\S]*give it an expression of such a type"),
    (
        "count(*) AS n FROM orders GROUP BY ALL\nCREATE MATERIALIZED VIEW w AS SELECT count(*) AS n FROM orders",
        "3:1",
        "end the statement before it with ';'",
    ),
    (
        "Shop, sum(pieces) AS pieces FROM orders GROUP BY ALL HAVING pieces > 1",
        "2:68",
        "the field here, not the view's",
    ),
    ("day, count(*) AS n FROM orders GROUP BY day, n", "2:", "GROUP BY n, which aggregates"),
    ("count(*) AS n, max(random()) AS r FROM orders", "2:27", "not give the same value"),
    ("count(*) AS n FROM orders WHERE placed < now()", "2:49", "not give the same value"),
    ("count(*) AS n FROM orders WHERE placed < current_timestamp", "2:49", "not give the same value"),
    ("max(uuid()) AS n FROM orders", "2:12", "not give the same value"),
    ("sum(pieces) / pieces AS n FROM orders", "2:22", "neither a key nor inside"),
    ("now() - max(placed) AS age FROM orders", "2:8", "not give the same value"),
    ("mad(pieces) + count(*) AS n FROM orders", "2:8", "aggregate mad"),
    ("sum(max(pieces)) AS n FROM orders", "2:12", "each event"),
    ("* FROM orders", "2:8", r"SELECT \*"),
    ("Shop || 'x', count(*) AS n FROM orders GROUP BY ALL", "2:8", "without a name"),
    ("count(*) FROM orders", "2:8", "without a name"),
    ("placed::DATE day, count(*) AS n FROM orders GROUP BY ALL", "2:21", "AS before a name"),
    ("n: count(*) FROM orders", "2:8", "without a name"),
    ("day, Shop, count(*) n FROM orders GROUP BY ROLLUP (day, Shop)", "2:", "ROLLUP is not part"),
    ("day, Shop, count(*) n FROM orders GROUP BY CUBE (day, Shop)", "2:", "CUBE is not part"),
    ("day, count(*) n FROM orders GROUP BY GROUPING SETS ((day), ())", "2:", "GROUPING SETS is not part"),
    ("day, string_agg(Shop ORDER BY placed) AS n FROM orders GROUP BY ALL", "2:", "ORDER BY within an aggregate"),
    ("Shop, count(*) AS shop FROM orders GROUP BY ALL", "2:14", "twice"),
    ("count(*) AS _n FROM orders", "2:8", "kept for Seamline"),
    ("count(*) AS a__b FROM orders", "2:8", "kept for Seamline"),
    ("Shop FROM orders GROUP BY ALL", "2:8", "no aggregate"),
    ("Shop, count(*) AS n FROM orders", "2:8", "GROUP BY"),
    ("Shop, paid, count(*) AS n FROM orders GROUP BY Shop", "2:14", "'paid' is not in GROUP BY"),
    (
        "upper(Shop) AS Shop, count(*) AS n FROM orders GROUP BY Shop",
        "2:64",
        r"the field here, not the key[\s\S]*detail: no keys",
    ),
    ("time_bucket(INTERVAL '0 days', placed) AS t, count(*) AS n FROM orders GROUP BY ALL", "2:8", "one number"),
    ("time_bucket(INTERVAL '1 decade', placed) AS t, count(*) AS n FROM orders GROUP BY ALL", "2:8", "one number"),
    ("time_bucket(to_days(pieces), placed) AS t, count(*) AS n FROM orders GROUP BY ALL", "2:8", "one number"),
    ("time_bucket(INTERVAL '1 day') AS t, count(*) AS n FROM orders GROUP BY ALL", "2:8", "n second.*, timestamp"),
    (
        "time_bucket(INTERVAL '1 day', placed, day) AS t, count(*) AS n FROM orders GROUP BY ALL",
        "2:46",
        "where a bucket begins",
    ),
    ("time_bucket(INTERVAL '1 day', placed, DATE 'soon') AS t, count(*) AS n FROM orders GROUP BY ALL", "2:51", "soon"),
    (
        "time_bucket(INTERVAL '1 day', placed, DATE '20260101T0000') AS t FROM orders GROUP BY ALL",
        "2:51",
        "a timestamp",
    ),
    (
        "time_bucket(INTERVAL '1 month', placed, DATE '2000-01-15') AS t, count(*) AS n FROM orders GROUP BY ALL",
        "2:53",
        "midnight of the first",
    ),
    (
        "time_bucket(INTERVAL '1 day', placed, 'asia/seul') AS t, count(*) AS n FROM orders GROUP BY ALL",
        "2:46",
        "did you mean 'Asia/Seoul'",
    ),
    ("count(*) FILTER (WHERE placed AT TIME ZONE 'Mars' > day) AS n FROM orders", "2:51", "unknown time zone 'Mars'"),
    ("time_bucket(INTERVAL '1 day', day, 'UTC') AS t, count(*) AS n FROM orders GROUP BY ALL", "2:8", "candidate"),
    ("count(*) AS n FROM orders", "2:8", "no time bucket"),
    ("Shop, count(*) AS n FROM orders GROUP BY ALL", "2:8", "add time_bucket.INTERVAL '1 hour', placed. AS hour"),
    ("count(*) AS n, placed FROM orders GROUP BY ALL", "2:8", "no time bucket"),
    ("coalesce(day, placed::DATE) AS d, count(*) AS n FROM orders GROUP BY ALL", "2:8", "no time bucket"),
    ("date_trunc('millisecond', placed) AS d, count(*) AS n FROM orders GROUP BY ALL", "2:8", "no time bucket"),
    ("pieces::DATE + 1 AS d, count(*) AS n FROM orders GROUP BY ALL", "2:8", "Unimplemented|no time bucket"),
    ("month(placed) AS month, max(date_trunc('day', placed)) AS d FROM orders GROUP BY ALL", "2:8", "no time bucket"),
    ("unnest(tags) AS t, unnest(tags) AS u, count(*) AS n FROM orders GROUP BY ALL", "2:27", "second unnest"),
    ("unnest(tags) || unnest(tags) AS t, count(*) AS n FROM orders GROUP BY ALL", "2:24", "second unnest"),
    ("unnest(Shop) AS t, count(*) AS n FROM orders GROUP BY ALL", "2:15", "unnest.. of VARCHAR"),
    ("unnest(buyer) AS t, count(*) AS n FROM orders GROUP BY ALL", "2:15", "unnest.. of STRUCT"),
    ("unnest(tgs) AS t, count(*) AS n FROM orders GROUP BY ALL", "2:15", "did you mean 'tags'"),
    ("unlist() AS t, count(*) AS n FROM orders GROUP BY ALL", "2:8", "unnest.. of nothing"),
    ("unnest(unnest([tags])) AS t, count(*) AS n FROM orders GROUP BY ALL", "2:", "second unnest"),
    ("unnest(tags) AS t, count(*) AS n FROM orders GROUP BY unnest([Shop])", "2:62", "another array"),
    ("unnest(tags) AS t, count(*) AS n FROM orders GROUP BY unnest(", "2:", "VIEW_INVALID"),
    ("max(unnest(tags)) AS n FROM orders", "2:12", "one value"),
    ("count(*) AS n FROM orders WHERE unnest(tags) = 'x'", "2:40", "one value"),
    ("count(*) FILTER (WHERE unnest(tags) = 'x') AS n FROM orders", "2:31", "one value"),
    ("unnest([1]) || count(*) AS n FROM orders", "2:8", "one value"),
    ("unnest(tags) AS t, max(t) AS n FROM orders GROUP BY ALL", "2:31", "write its expression out"),
    ("day, sum(gone) AS gone FROM orders GROUP BY ALL", "2:17", "add it to the contract"),
    ("day, sum(gone) AS gone FROM orders WHERE gone > 1 GROUP BY ALL", "2:17", "add it to the contract"),
    ("day, max(pieces) AS made FROM orders WHERE made > 1 GROUP BY ALL", "2:51", "write its expression out"),
    ("count(*) AS n FROM orders, unnest(tags) AS u(tag)", "2:", "VIEW_INVALID"),
    ("hash(Shop) AS h, count(*) AS n FROM orders GROUP BY ALL", "2:8", "hash.. is not in the list"),
    ("max(age(placed)) AS n FROM orders", "2:12", "age.. does not give the same value"),
    ("max(levenshtein(Shop, Shop)) AS n FROM orders", "2:12", "levenshtein.. is not in the list"),
    ("lpad(Shop, 9, '0') AS h, count(*) AS n FROM orders GROUP BY ALL", "2:8", "lpad.. is not in the list"),
    ("list_filter(tags, x) AS h, count(*) AS n FROM orders GROUP BY ALL", "2:", "VIEW_INVALID"),
    ("sum(Shop) AS n FROM orders", "2:8", "VARCHAR"),
    ("sum(pieces, 2) AS n FROM orders", "2:", "argument"),
    ("sum(*) AS n FROM orders", "2:8", r"sum\(\*\)"),
    ("pieces::HUGEINT AS big, count(*) AS n FROM orders GROUP BY ALL", "2:8", r"DECIMAL\(38,0\)"),
    ("1 AS one, count(*) AS n FROM orders GROUP BY ALL", "2:8", "uses no field"),
    ("count(*) AS n FROM orders WHERE pieces", "2:40", "condition"),
    ("count(*) AS n FROM orders WHERE Shop + 1 > tags", "2:40", "VIEW_INVALID"),
    ("count(*) AS n FROM orders WHERE read_text('/etc/passwd') = ''", "2:40", "read_text"),
    ("count(*) AS n FROM orders WHERE _offset > 1", "2:40", "unknown field"),
    ("count(*) FILTER (paid) AS n FROM orders", "2:", "WHERE|parsed|Expecting"),
    ("count(*) AS n FROM nowhere", "2:27", "unknown contract"),
    ("count(*) AS n FROM orders UNION ALL SELECT 1", "2:34", "would stand several times"),
    ("count(*) AS n FROM orders WHERE (((", "2:", "VIEW_INVALID"),
    ("list_transform(tags, x -> upper(x)) AS t, count(*) AS n FROM orders GROUP BY ALL", "2:", "lambda|list"),
    ("pieces AS p, count(*) FILTER (WHERE p > 1) AS n FROM orders GROUP BY ALL", "2:44", "write its expression out"),
]


@pytest.mark.parametrize(("select", "place", "says"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_a_view_cannot_have_is_refused_at_its_place(select: str, place: str, says: str, orders: Contract) -> None:
    with pytest.raises(UserError) as refused:
        compiled(f"SELECT {select}", orders)
    assert refused.value.condition is Condition.VIEW_INVALID
    assert re.search(says, str(refused.value)), refused.value
    assert refused.value.where.startswith(f"views/v.sql:{place}"), refused.value
    assert refused.value.detail or refused.value.hint


STATEMENTS = [
    ("SELECT 1", "1:1", "CREATE MATERIALIZED VIEW"),
    ("CREATE VIEW v AS SELECT count(*) AS n FROM t", "1:1", "CREATE MATERIALIZED VIEW"),
    ("CREATE MATERIALIZED VIEW Über AS SELECT count(*) AS n FROM t", "1:26", "letters"),
    ("CREATE MATERIALIZED VIEW v TBLPROPERTIES ('ownr' = 'x') AS SELECT count(*) AS n FROM t", "1:43", "'owner'"),
    ("CREATE MATERIALIZED VIEW v TBLPROPERTIES ('speed.retention' = 'long') AS SELECT 1", "1:63", "7 days"),
    ("CREATE MATERIALIZED VIEW v TBLPROPERTIES (owner = x) AS SELECT 1", "1:42", "quote"),
    ("CREATE MATERIALIZED VIEW v AS VALUES (1)", "1:28", "AS SELECT"),
    ("CREATE MATERIALIZED VIEW v AS SELECT count(*) AS n", "1:31", "no FROM"),
    ("CREATE MATERIALIZED VIEW v AS SELECT 'x", "1:38", "quote"),
    ("CREATE MATERIALIZED VIEW v AS SELECT 'x''", "1:38", "quote"),
    ("CREATE MATERIALIZED VIEW v COMMENT 'ü' AS SELECT e'x\\'", "1:50", "quote"),
    ('CREATE MATERIALIZED VIEW v AS SELECT n\nFROM "t', "2:6", "quote"),
    ("CREATE MATERIALIZED VIEW v AS SELECT $a$x$b$", "1:38", "quote"),
    ("CREATE MATERIALIZED VIEW v AS SELECT 1 /* '", "1:40", "comment"),
    ("", "1:1", "no view"),
    ("-- nothing", "1:1", "no view"),
    ("CREATE", "1:1", "CREATE MATERIALIZED VIEW"),
    ("CREATE MATERIALIZED VIEW v AS SELECT", "1:", "VIEW_INVALID"),
]


@pytest.mark.parametrize(("text", "place", "says"), STATEMENTS, ids=lambda value: str(value)[:40])
def test_a_statement_that_is_no_view_is_refused_at_its_place(text: str, place: str, says: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_views(text, "v.sql")
    assert says in str(refused.value)
    assert refused.value.where.startswith(f"v.sql:{place}"), refused.value


@given(st.text(max_size=60), st.integers(0, 200), st.integers(0, 30))
def test_mutated_text_raises_nothing_but_its_own_error(orders: Contract, noise: str, at: int, cut: int) -> None:
    whole = f"CREATE MATERIALIZED VIEW v AS {CASES['everything']}"
    try:
        for view in parse_views(whole[:at] + noise + whole[at + cut :], "v.sql"):
            compile_view(view, orders)
    except UserError as error:
        assert error.condition is Condition.VIEW_INVALID


# --- folders and documentation -----------------------------------------------------------------------------


def test_a_folder_of_views_may_hold_several_in_a_file_but_no_name_twice(tmp_path: Path) -> None:
    one = "CREATE MATERIALIZED VIEW {} AS SELECT count(*) AS n FROM orders;\n"
    (tmp_path / "a.sql").write_text(one.format("a") + "\n" + one.format("b"))
    (tmp_path / "c.sql").write_text(one.format("c"))
    assert list(load_views(tmp_path)) == ["a", "b", "c"]
    assert load_views(tmp_path)["b"].source.place(0) == f"{tmp_path}/a.sql:3:1"
    (tmp_path / "d.sql").write_text("\n" + one.format("a"))
    with pytest.raises(UserError, match=re.escape(f"{tmp_path}/d.sql:2:1")) as refused:
        load_views(tmp_path)
    assert f"{tmp_path}/a.sql:1:1" in str(refused.value)


def test_the_examples_compile(github: Contract) -> None:
    views = load_views(GITHUB / "views")
    assert list(views) == ["daily_reach", "repo_activity", "type_minutes"]
    assert all(compile_view(view, github).contracts == ("github_events",) for view in views.values())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sum(Shop::INT)", "max(Shop::INT * 2)"),
        ("sum(Shop::INT + 1)", "sum(Shop::INT + 2)"),
        ("count(*) FILTER (WHERE Shop::INT > 1)", "count(*) FILTER (WHERE Shop::INT > 2)"),
        ("max(map_keys(map([Shop], tags)))", "max(map_values(map([Shop], tags)))"),
    ],
)
def test_what_two_columns_share_may_fail_on_a_row_and_is_null_there_alone(
    one: str, other: str, orders: Contract
) -> None:
    events = batch(orders, [*ORDERS, {**ORDERS[0], "Shop": "7"}])
    together = compiled(f"SELECT day, {one} AS a, {other} AS b FROM orders GROUP BY ALL", orders)
    alone = [
        {
            row["day"]: row["n"]
            for row in answer(compiled(f"SELECT day, {call} AS n FROM orders GROUP BY ALL", orders), events)
        }
        for call in (one, other)
    ]
    assert {row["day"]: [row["a"], row["b"]] for row in answer(together, events)} == {
        day: [of[day] for of in alone] for day in alone[0]
    }


def test_the_reference_page_lists_every_function_and_property() -> None:
    text = (ROOT / "docs/views.md").read_text()
    assert all(f"`{name}`" in text for name in ALLOWED)
    assert all(f"| `{name}` | {known.about} |" in text for name, known in PROPERTIES.items())
