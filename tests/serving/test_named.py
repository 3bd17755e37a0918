"""A query pays for the columns that it can name, and is answered as if all were there."""

from __future__ import annotations

import json
from collections.abc import Iterator

import duckdb
import pytest
from handmade import OTHER, VIEW, Handmade, rows

from seamline.errors import SeamlineError
from seamline.schemas.catalogue import Catalogue
from seamline.serving.cursor import light
from seamline.serving.named import Names, named
from seamline.serving.serving import Serving
from seamline.sql import TREE


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    made = Handmade(tmp_path_factory.mktemp("named"), VIEW, OTHER)
    made.epoch(rows(40))
    with_views = made.serving()
    yield with_views
    with_views.close()


ASKED: list[tuple[str, Names]] = [
    ("SELECT count(*) FROM sales", frozenset()),
    ("SELECT shop, sum(orders) AS n FROM sales WHERE hour > '2024-05-01' GROUP BY shop", {"shop", "orders", "hour"}),
    ('SELECT s."Orders" AS n FROM sales AS s', {"s", "orders"}),
    ("SELECT s.orders FROM sales s JOIN shops USING (shop)", {"s", "orders", "shop"}),
    ("SELECT t.shop FROM (SELECT shop FROM sales) AS t", {"t", "shop"}),
    ("WITH t(a, b) AS (SELECT shop, orders FROM sales) SELECT sum(b) AS n FROM t", {"shop", "orders", "b"}),
    ("SELECT shop FROM shops WHERE orders = (SELECT max(orders) FROM sales)", {"shop", "orders"}),
    ("SELECT max(orders) OVER (ORDER BY latest) AS n FROM sales", {"orders", "latest"}),
    ("SELECT list_transform([orders], lambda amounts: amounts + 1) AS n FROM sales", {"orders", "amounts"}),
    ("SELECT orders AS amounts FROM sales ORDER BY amounts", {"orders", "amounts"}),
    ("SELECT shop FROM sales GROUP BY ALL HAVING sum(amount) > 1", {"shop", "amount"}),
    ("SELECT shop FROM sales UNION SELECT shop FROM shops", {"shop"}),
    ("SELECT * FROM sales", None),
    ("FROM sales", None),
    ("SELECT sales.* FROM sales", None),
    ("SELECT * EXCLUDE (amounts) FROM sales", None),
    ("SELECT max(COLUMNS('amo.*')) FROM sales", None),
    ("SELECT #3 AS third FROM sales", None),
    ("SELECT sales FROM sales", None),
    ("SELECT s FROM sales AS s", None),
    ("SELECT row_to_json(s) AS j FROM sales AS s", None),
    ("SELECT x FROM sales AS t(x)", None),
    ("SELECT count(*) FROM sales NATURAL JOIN shops", None),
    ("SELECT shop FROM shops WHERE EXISTS (FROM sales)", None),
    ("SELECT shop FROM sales ORDER BY ALL", None),
]


@pytest.mark.parametrize(("sql", "names"), ASKED)
def test_a_query_is_answered_as_if_every_column_were_there(serving: Serving, sql: str, names: Names) -> None:
    with duckdb.connect(":memory:") as plain:
        plain.execute("SET TimeZone = 'UTC'")
        tree = json.loads(str(plain.execute(TREE, [sql]).fetchall()[0][0]))["statements"][0]["node"]
        assert named(tree) == names
        for view in ("sales", "shops"):
            plain.register(view, serving.query(f"SELECT * FROM {view}").table)
        wanted = plain.execute(sql).to_arrow_table()
    found = serving.query(sql).table
    assert found.schema.names == wanted.schema.names
    assert sorted(map(str, found.to_pylist())) == sorted(map(str, wanted.to_pylist()))


def test_only_what_is_made_of_lists_or_states_is_left_out(serving: Serving) -> None:
    (definition,) = (one for one in Catalogue(serving.lake).live() if one.view == "sales")
    lean = light(definition, frozenset({"orders"}))
    assert [column.name for column in lean.columns] == ["hour", "shop", "orders"]
    assert {column.name for column in lean.partial_columns} == {"hour", "shop", "orders"}
    assert light(definition, frozenset({"amounts"})) == definition, "the others are plain: binding them costs little"
    assert light(definition, None) == definition


def test_a_name_that_is_none_is_answered_with_those_that_may_be_meant(serving: Serving) -> None:
    with pytest.raises(SeamlineError) as caught:
        serving.query("SELECT amountz FROM sales")
    assert "amounts" in caught.value.hint
    assert caught.value.where == "1:8"
    assert serving.query("SELECT count(*) AS n FROM sales").table.to_pylist()[0]["n"] > 0
