"""A view over a view: what may be said, what is refused and where, and that folding partial rows loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from handmade import CONTRACT, VIEW, Handmade, rows
from test_measure import ALL, COLUMNS, SHOPS, TILES, ask, same, truth

from seamline.entries.base import Counts
from seamline.errors import Condition, UserError
from seamline.jobs.unit import Folding
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.diff import Side, compare
from seamline.schemas.views.parsed import ParsedView
from seamline.schemas.views.project_views import compile_all, compile_for
from seamline.schemas.views.text import parse_views
from seamline.slices import Slice

HOURLY = """CREATE MATERIALIZED VIEW hourly AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount,
       avg(amount) AS mean, count(DISTINCT amount) AS amounts, sum(amount) / count(*) AS each,
       CASE WHEN shop = 'x' THEN count(*) END AS odd
FROM orders GROUP BY hour, shop"""
DAILY = """CREATE MATERIALIZED VIEW daily AS
SELECT time_bucket(INTERVAL '1 day', hour) AS day, shop, MEASURE(orders) AS orders, MEASURE(amounts) AS kinds,
       MEASURE(amount) / nullif(MEASURE(orders), 0) AS rate, MEASURE(mean) AS mean
FROM hourly WHERE shop <> 'shop9' GROUP BY ALL"""
MONTHLY = """CREATE MATERIALIZED VIEW monthly AS
SELECT date_trunc('month', day) AS month, MEASURE(rate) AS rate, measure(d.kinds) AS kinds
FROM daily AS d GROUP BY 1"""
BUCKET = "time_bucket(INTERVAL '1 day', hour) AS day"


def views(*texts: str) -> dict[str, ParsedView]:
    return {view.name: view for text in texts for view in parse_views(text, "views/v.sql")}


def compiled(*texts: str) -> dict[str, Definition]:
    found = compile_all(views(*texts), {"orders": parse_contract(CONTRACT, "orders.yaml")})
    return {name: one.definition for name, one in found.items()}


def refusal(*texts: str) -> UserError:
    with pytest.raises(UserError) as caught:
        compiled(*texts)
    return caught.value


# --- what is compiled


def test_a_derived_definition_is_a_selection_of_its_bases_partial_columns() -> None:
    made = compiled(MONTHLY, DAILY, HOURLY)
    hourly, daily, monthly = (made[name] for name in ("hourly", "daily", "monthly"))
    assert list(made) == ["hourly", "daily", "monthly"], "each after what it is derived from"
    stored = {column.name: column for column in hourly.partial_columns}
    assert {c.name for c in daily.partial_columns if stored.get(c.name) == c} == {*daily.merges, "shop"}
    assert daily.base is not None
    assert (daily.base.view, daily.base.definition, daily.bases) == ("hourly", hourly.hash, (hourly,))
    assert monthly.bases == (daily, hourly)
    assert monthly.contracts == ("orders",)


def test_the_statements_of_a_derived_view_are_golden(golden: Callable[[str, str], None]) -> None:
    daily = compiled(DAILY, HOURLY)["daily"]
    assert daily.base is not None
    for name, text in (("fold", daily.base.fold), ("merge", daily.merge), ("finalise", daily.finalise)):
        golden(f"views/derived.{name}.sql", text)


def test_a_changed_base_makes_another_definition_and_a_comment_none() -> None:
    made = compiled(HOURLY, DAILY)["daily"].hash
    spaced = HOURLY.replace("FROM orders", "\nFROM   orders").replace("hourly AS", "hourly COMMENT 'x' AS")
    assert compiled(spaced, DAILY)["daily"].hash == made
    assert compiled(HOURLY.replace("FROM orders", "FROM orders WHERE amount > 1"), DAILY)["daily"].hash != made
    assert compiled(HOURLY, DAILY.replace("shop9", "shop8"))["daily"].hash != made


def test_types_and_exactness_are_those_of_the_bases_columns() -> None:
    hourly = {o.name: o for o in compiled(HOURLY)["hourly"].columns}
    daily = {o.name: o for o in compiled(HOURLY, DAILY)["daily"].columns}
    for mine, theirs in (("orders", "orders"), ("kinds", "amounts"), ("mean", "mean")):
        of = [(o.sql_type, o.exactness, o.bound, o.aggregate, o.combines) for o in (daily[mine], hourly[theirs])]
        assert of[0] == of[1]
    assert daily["rate"].aggregate == "expression"


def test_the_ledger_alone_compiles_a_chain_of_views_again(tmp_path: Path) -> None:
    made = Handmade(tmp_path, MONTHLY + ";\n" + DAILY + ";\n" + HOURLY)
    state = Catalogue(made.lake).states["monthly"]
    alone = Catalogue(made.lake).definition(str(state.served))
    assert alone == compiled(HOURLY, DAILY, MONTHLY)["monthly"]
    assert state.definitions[0].bases == (DAILY, HOURLY)


# --- what is refused

SELECTED = f"SELECT {BUCKET}, MEASURE(orders) AS orders"
REFUSED = {
    f"SELECT {BUCKET}, sum(orders) AS n FROM hourly GROUP BY ALL": ("sum()", "write MEASURE(orders)", "sum("),
    f"SELECT {BUCKET}, avg(mean) AS n FROM hourly GROUP BY ALL": ("avg()", "write MEASURE(mean)", "avg("),
    f"SELECT {BUCKET}, max(amount) + 1 AS n FROM hourly GROUP BY ALL": ("max()", "write MEASURE(amount)", "max("),
    f"SELECT {BUCKET}, count(*) AS n FROM hourly GROUP BY ALL": ("count()", "write MEASURE(orders), ", "count("),
    f"SELECT {BUCKET}, list(orders) AS n FROM hourly GROUP BY ALL": ("list()", "write MEASURE(orders)", "list("),
    f"SELECT {BUCKET}, orders, MEASURE(mean) AS m FROM hourly GROUP BY ALL": ("in a key", "MEASURE(orders)", "orders,"),
    f"SELECT {BUCKET}, MEASURE(mean) + orders AS n FROM hourly GROUP BY ALL": ("no key", "MEASURE(orders)", "orders"),
    f"SELECT {BUCKET}, MEASURE(shop) AS n FROM hourly GROUP BY ALL": ("a key of hourly", "as it is", "MEASURE"),
    f"SELECT {BUCKET}, MEASURE(orders + 1) AS n FROM hourly GROUP BY ALL": ("no column", "compute outside", "MEASURE"),
    f"SELECT {BUCKET}, MEASURE(ordres) AS n FROM hourly GROUP BY ALL": ("unknown field", "'orders'", "ordres"),
    f"SELECT {BUCKET}, MEASURE(odd) AS n FROM hourly GROUP BY ALL": ("computed from a key", "own name", "MEASURE"),
    f"SELECT {BUCKET}, shop AS s, MEASURE(odd) AS n FROM hourly GROUP BY ALL": ("computed", "own name", "MEASURE"),
    f"SELECT {BUCKET}, MEASURE(orders) FILTER (WHERE shop = 'x') AS n FROM hourly GROUP BY ALL": (
        "after it", "WHERE", "FILTER",
    ),
    f"SELECT {BUCKET}, unnest(shop) AS s, MEASURE(orders) AS n FROM hourly GROUP BY ALL": (
        "unnest", "hourly", "unnest",
    ),
    f"SELECT {BUCKET}, shop AS orders, MEASURE(orders) AS n FROM hourly GROUP BY ALL": ("stored", "rename", "shop AS"),
    f"SELECT {BUCKET} FROM hourly GROUP BY ALL": ("no MEASURE", "add MEASURE(orders)", "time_bucket"),
    "SELECT shop, MEASURE(orders) AS n FROM hourly GROUP BY ALL": ("no time bucket", "hour) AS day", "shop"),
    f"{SELECTED} FROM hourly WHERE orders > 2 GROUP BY ALL": ("in WHERE", "HAVING", "orders > 2"),
    f"{SELECTED} FROM hourly WHERE MEASURE(orders) > 2 GROUP BY ALL": ("in WHERE", "HAVING", "MEASURE(orders) >"),
    f"{SELECTED} FROM hourly GROUP BY ALL HAVING mean > 2": ("no key", "write MEASURE(mean)", "mean"),
    f"{SELECTED} FROM hourly JOIN orders USING (shop) GROUP BY ALL": ("a join", "join in the query", "JOIN"),
    f"{SELECTED} FROM nothing GROUP BY ALL": ("reads 'nothing'", "name a contract or another view", "nothing"),
    f"{SELECTED} FROM daily GROUP BY ALL": ("derived from itself: daily from daily", "read a contract", "daily"),
}  # fmt: skip


@pytest.mark.parametrize("select", REFUSED)
def test_a_refusal_names_place_and_hint(select: str) -> None:
    text = f"CREATE MATERIALIZED VIEW daily AS\n{select}"
    error = refusal(HOURLY, text)
    got, hint, at = REFUSED[select]
    assert got in error.message, error
    assert hint in error.hint, error
    assert error.where == f"views/v.sql:2:{select.rindex(at) + 1}", error


def test_a_circle_a_name_of_both_and_a_base_with_having_are_refused_at_their_from() -> None:
    other = DAILY.replace("VIEW daily", "VIEW hourly").replace("FROM hourly", "FROM daily")
    error = refusal(DAILY, other)
    assert "derived from itself: daily from hourly from daily" in error.message
    assert error.where == "views/v.sql:4:6"
    both = HOURLY.replace("VIEW hourly", "VIEW orders")
    assert compiled(both)["orders"].contracts == ("orders",), "a view may be named as the contract it reads"
    error = refusal(both, DAILY.replace("FROM hourly", "FROM orders"))
    assert (error.message, error.where) == ("'orders' is a contract and a view", "views/v.sql:4:6")
    error = refusal(HOURLY + " HAVING count(*) > 1", DAILY)
    assert (error.condition, error.where) == (Condition.VIEW_INVALID, "views/v.sql:4:6")
    assert "hourly has a HAVING" in error.message


def test_a_base_that_is_wrong_is_told_at_its_own_place() -> None:
    assert refusal(HOURLY.replace("count(*) AS orders", "rand() AS orders"), DAILY).where == "views/v.sql:2:62"


def test_one_view_is_compiled_with_what_it_is_derived_from() -> None:
    contracts = {"orders": parse_contract(CONTRACT, "orders.yaml")}
    all_of_them = views(HOURLY, DAILY, MONTHLY)
    assert compile_for(all_of_them["daily"], contracts, all_of_them)[0] == compiled(HOURLY, DAILY)["daily"]
    with pytest.raises(UserError) as caught:
        compile_for(all_of_them["daily"], contracts)
    assert caught.value.condition is Condition.CONTRACT_UNKNOWN


# --- every entry of the algebra's table


def in_steps(definition: Definition, base: Definition, made: Handmade, sizes: list[int]) -> list[dict[str, Any]]:
    """The answer folded from the base's partial rows of a split, each part by itself and then all of them again."""
    assert definition.base is not None
    folded, at = [], 0
    for size in sizes:
        partials = made.engine.run(base.partial, {"events": made.events(made.sent[at : at + size])})
        folded.append(made.engine.run(definition.base.fold, {"partials": partials}))
        at += size
    assert at == len(made.sent)
    partials = made.engine.run(base.partial, {"events": made.events(made.sent)})
    whole = Folding(definition.base.fold, tuple(key.name for key in base.keys), Counts(), definition.merging)
    slices = [made.engine.run(whole.over(Slice(n, 3)), {"unsliced": partials}) for n in range(3)]
    if len(sizes) == 1:
        folded = slices  # as where memory does not hold one statement
    merged = made.engine.run(definition.merge, {"partials": pa.concat_tables(folded)})
    found = made.engine.run(f"SELECT * FROM ({definition.finalise}) ORDER BY shop", {"partials": merged})
    return [{name: value for name, value in row.items() if name != "year"} for row in found.to_pylist()]


@pytest.mark.thorough
def test_every_aggregate_derived_is_the_measure_and_the_coarser_view_over_raw(tmp_path: Path) -> None:
    """From any split, composed over raw events, served, and asked of the base: one answer."""
    select = f"SELECT date_trunc('year', hour) AS year, shop, {ALL} FROM tiles GROUP BY ALL"
    made = Handmade(tmp_path, TILES, SHOPS, f"CREATE MATERIALIZED VIEW derived AS {select}")
    for n in range(3):
        made.epoch(rows(25, 25 * n) + rows(5, 10 * n))
    serving = made.serving()
    true, base, definition = truth(made, made.sent, "by_shop"), made.served("tiles"), made.served("derived")
    measured = ask(serving, f"SELECT shop, {ALL} FROM tiles GROUP BY shop ORDER BY shop")
    served = ask(serving, "SELECT * EXCLUDE (year) FROM derived ORDER BY shop")
    own = f"SELECT * EXCLUDE (year) FROM ({definition.select_over('events')}) ORDER BY shop"
    composed = made.engine.run(own, {"events": made.events(made.sent)}).to_pylist()
    again = ask(serving, f"SELECT shop, {ALL} FROM derived GROUP BY shop ORDER BY shop")
    folded = [in_steps(definition, base, made, sizes) for sizes in ([90], [1, 2, 40, 30, 17])]
    direct = {o.name: (o.sql_type, o.exactness, o.bound) for o in made.served("by_shop").columns}
    assert {o.name: (o.sql_type, o.exactness, o.bound) for o in definition.columns if o.name != "year"} == {
        name: about for name, about in direct.items() if name != "year"
    }
    for name in ("shop", *(f"m_{name}" for name in COLUMNS)):
        want = [row[name] for row in measured]
        for got in (served, composed, again, *folded, true):
            assert same([row[name] for row in got], want), name


# --- what is said of it


def test_provenance_names_the_views_and_definitions_it_is_derived_from(tmp_path: Path) -> None:
    made = Handmade(tmp_path, HOURLY, DAILY, MONTHLY)
    made.epoch(rows(20))
    told = made.serving().query("SELECT d.orders, m.rate FROM daily AS d, monthly AS m").provenance.to_json()
    hourly, daily = ({"view": name, "definition": made.served(name).hash} for name in ("hourly", "daily"))
    assert (told["daily"]["derived_from"], told["monthly"]["derived_from"]) == ([hourly], [daily, hourly])
    assert "derived_from" not in made.serving().query("SELECT * FROM hourly").provenance.to_json()["hourly"]


def test_bases_come_before_what_is_derived_from_them_whatever_their_names(tmp_path: Path) -> None:
    made = Handmade(tmp_path, MONTHLY.replace("monthly", "a_monthly"), HOURLY, DAILY, VIEW)
    order = made.catalogue.in_order()
    assert sorted(order) == ["a_monthly", "daily", "hourly", "sales"]
    assert order.index("hourly") < order.index("daily") < order.index("a_monthly")


def test_a_difference_of_bases_is_told(tmp_path: Path) -> None:
    contracts = (parse_contract(CONTRACT, "orders.yaml"),)
    old, new = compiled(HOURLY, DAILY)["daily"], compiled(HOURLY.replace("avg(", "max("), DAILY)["daily"]
    found = compare(Side(old, contracts, old.hash), Side(new, contracts, new.hash))
    assert found.needs == "rebuild"
    assert ("derived from", f"hourly ({old.bases[0].hash})", f"hourly ({new.bases[0].hash})") in [
        (change.what, change.old, change.new) for change in found.changes
    ]
