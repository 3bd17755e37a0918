"""One token sees the same rows of a view, in whatever shape it asks: those that plain Python counts of the events that
its policy leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crews import standing
from handmade import OTHER, VIEW, Handmade, rows

from seamline.errors import Condition, SeamlineError, UserError
from seamline.lake import Lake
from seamline.serving.access.authentication import Access
from seamline.serving.access.policies import parse_policy
from seamline.serving.access.store import TokenStore
from seamline.serving.callers import LOCAL, Caller
from seamline.serving.query import Query
from seamline.serving.serving import Serving

POLICIES = {
    "sales": "shop = token.shop OR token.role = 'all'",
    "shops": "list_contains(string_split(token.shop, '+'), shop)",
}


class World:
    """Both views over the same events, from batch files in two portions and from epochs, and a token for each of some
    attributes."""

    def __init__(self, folder: Path) -> None:
        self.made = Handmade(folder / "lake", VIEW, OTHER, lake=Lake.open(str(folder / "lake")))
        for first in (0, 20, 40):
            self.made.epoch(rows(20, first))
        for view in ("sales", "shops"):
            self.made.version_of({"2024-05-01": [self.made.sent[:10], self.made.sent[10:20]]}, 20, view=view)
        self.serving: Serving = self.made.serving()
        store = TokenStore(folder / "tokens.json", self.made.clock)
        self.access = Access(store, {view: parse_policy(view, text, view) for view, text in POLICIES.items()})
        self._store = store

    def caller(self, name: str, **attributes: str) -> Caller:
        return self.access.caller(self._store.create(name, views=None, attributes=attributes)[1])

    def asked(self, sql: str, caller: Caller, **more: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.serving.query(sql, caller=caller, **more).table.to_pylist()
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("policies"))


@pytest.fixture(scope="module")
def ones(world: World) -> Caller:
    return world.caller("one", shop="shop1")


SHAPES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "SELECT hour, shop, orders, amount FROM sales ORDER BY ALL": lambda t: [
        {key: one[key] for key in ("hour", "shop", "orders", "amount")} for one in t
    ],
    "SELECT sum(orders)::INT AS n FROM sales": lambda t: [{"n": sum(one["orders"] for one in t)}],
    "SELECT MEASURE(orders)::INT AS n FROM sales": lambda t: [{"n": sum(one["orders"] for one in t)}],
    "SELECT shop, MEASURE(orders)::INT AS n FROM sales GROUP BY shop ORDER BY shop": lambda t: [
        {"shop": shop, "n": sum(one["orders"] for one in t if one["shop"] == shop)}
        for shop in sorted({one["shop"] for one in t})
    ],
    "SELECT a.shop, count(*) n FROM sales a, sales b WHERE a.hour = b.hour AND a.shop <> b.shop GROUP BY 1": lambda t: [
        {"shop": shop, "n": n}
        for shop in sorted({one["shop"] for one in t})
        if (n := sum(a["hour"] == b["hour"] and shop == a["shop"] != b["shop"] for a in t for b in t))
    ],
    "SELECT (SELECT sum(orders)::INT FROM sales) AS n": lambda t: [{"n": sum(one["orders"] for one in t)}],
    "SELECT DISTINCT count(*) OVER () AS n FROM sales": lambda t: [{"n": len(t)}] if t else [],
    "SELECT shop, grouping(shop) AS g FROM sales GROUP BY ROLLUP (shop) ORDER BY ALL": lambda t: [
        *({"shop": shop, "g": 0} for shop in sorted({one["shop"] for one in t})), {"shop": None, "g": 1}
    ],
    "WITH x AS (SELECT * FROM sales) SELECT count(*) AS n FROM x": lambda t: [{"n": len(t)}],
    "SELECT count(*) AS n FROM (FROM sales UNION ALL FROM sales)": lambda t: [{"n": 2 * len(t)}],
    "SELECT count(*) AS n FROM sales WHERE hour >= '2000-01-01'": lambda t: [{"n": len(t)}],
    "SELECT count(*) AS n FROM sales WHERE shop = 'shop0' OR true": lambda t: [{"n": len(t)}],
}  # fmt: skip


@pytest.mark.parametrize("sql", SHAPES)
@pytest.mark.parametrize("attributes", [{"shop": "shop1"}, {"role": "all"}, {}], ids=str)
def test_every_shape_sees_the_same_rows(world: World, sql: str, attributes: dict[str, str]) -> None:
    caller = world.caller(f"t{len(world.access._store.read().tokens)}", **attributes)
    every = world.made.truth(world.made.sent)
    left = [one for one in every if attributes.get("role") == "all" or one["shop"] == attributes.get("shop")]
    assert [{**row} for row in _sorted(world.asked(sql, caller))] == _sorted(_none_as_null(SHAPES[sql](left)))


def _none_as_null(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A sum of no rows is NULL in SQL."""
    return [{k: None if k == "n" and v == 0 and len(one) == 1 else v for k, v in one.items()} for one in found]


def _sorted(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(({k: v or None for k, v in one.items()} for one in found), key=str)


def test_an_attribute_may_name_several(world: World) -> None:
    caller = world.caller("both", shop="shop1+shop2")
    assert [one["shop"] for one in world.asked("SELECT DISTINCT shop FROM shops ORDER BY shop", caller)] == [
        "shop1",
        "shop2",
    ]


def test_workers_limit_rows_alike(world: World, ones: Caller, tmp_path: Path) -> None:
    """The rule goes to another process with the question."""

    async def seen() -> list[Any]:
        async with standing(tmp_path, query_seconds=30) as there:
            shapes = ("SELECT shop, MEASURE(orders) AS n FROM sales GROUP BY shop", "SELECT DISTINCT shop FROM sales")
            found = [(await there.table(sql, caller=ones))[0].to_pylist() for sql in shapes]
            past = await there.table("SELECT DISTINCT shop FROM sales", caller=ones, as_of=1)
            marks = {there.crew.snapshot(one).mark for one in (ones, world.caller("other", shop="shop2"), LOCAL)}
            return [*found, past[0].to_pylist(), len(marks)]

    measured, plain, past, marks = asyncio.run(seen())
    assert [one["shop"] for one in measured] == ["shop1"]
    assert plain == past == [{"shop": "shop1"}]
    assert marks == 3


def test_past_answers_are_limited_too(world: World, ones: Caller) -> None:
    (past,) = world.asked("SELECT count(DISTINCT shop) AS n FROM sales", ones, as_of=2)
    assert past == {"n": 1}


LEAKS = [
    "SELECT count(*) FROM shops WHERE CAST(shop AS INT) > 0",  # cheaper than the policy: DuckDB would try it first
    "SELECT MEASURE(orders) FROM shops WHERE CAST(shop AS INT) > 0",
    "SELECT count(*) FROM shops a JOIN shops b ON a.day = b.day WHERE CAST(b.shop AS INT) > 0",
    "SELECT * FROM sales WHERE CAST(substr(shop, 5) AS INT) = 1 AND 1 // (CAST(substr(shop, 5) AS INT) - 1) IS NULL",
    "SELECT * FROM sales WHERE error('seen: ' || shop) IS NULL",
    "SELECT CAST(CASE WHEN shop = 'shop1' THEN '1' ELSE shop END AS INT) FROM sales",
    "SELECT count(*) FROM sales WHERE CAST(CASE WHEN shop = 'shop1' THEN '1' ELSE shop END AS INT) > 0",
    "SELECT MEASURE(orders) FROM sales WHERE CAST(CASE WHEN shop = 'shop1' THEN '1' ELSE shop END AS INT) > 0",
    "SELECT a.shop FROM sales a, sales b WHERE CAST(CASE WHEN b.shop = 'shop1' THEN '1' ELSE b.shop END AS INT) = 1",
    "SELECT count(*) FROM sales GROUP BY CAST(CASE WHEN shop = 'shop1' THEN '1' ELSE shop END AS INT)",
    "SELECT count(*) FROM sales JOIN (SELECT 1 x) ON CAST(CASE WHEN shop = 'shop1' THEN '1' ELSE shop END AS INT) = x",
]


@pytest.mark.parametrize("sql", LEAKS)
def test_no_error_tells_of_a_row_that_is_hidden(world: World, ones: Caller, sql: str) -> None:
    """A condition that fails for hidden rows must not be tried on them."""
    for _ in range(3):
        try:
            world.asked(sql, ones)
        except SeamlineError as error:
            assert "shop0" not in str(error)
            assert "shop2" not in str(error)
            assert error.condition in (Condition.QUERY_REFUSED, Condition.QUERY_INVALID)


@pytest.mark.parametrize("view", POLICIES)
def test_no_condition_of_a_query_comes_before_the_policys(world: World, ones: Caller, view: str) -> None:
    """Whichever of them DuckDB holds to be cheap, or to be safe."""
    sql = f"SELECT count(*) FROM {view} WHERE shop <> 'zzz9'"
    plan = Query(sql, world.serving.pool).explain(world.serving.snapshot().seen_by(ones))
    assert plan.count("zzz9") == 1
    assert plan.index("zzz9") < plan.index("Streaming Limit") < plan.index("shop1")
    whole = Query(sql, world.serving.pool).explain(world.serving.snapshot())
    assert "Limit" not in whole


def test_a_policy_over_what_is_no_key_answers_nobody(world: World, tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "tokens.json", world.made.clock)
    access = Access(store, {"sales": parse_policy("sales", "orders > 5", "x")})
    caller = access.caller(store.create("x", views=None)[1])
    with pytest.raises(UserError, match=r"the policy of view sales names orders") as caught:
        world.asked("SELECT * FROM sales", caller)
    assert caught.value.condition is Condition.CONFIG_INVALID
    assert world.asked("SELECT count(*) > 0 AS n FROM shops", caller) == [{"n": True}]


def test_where_there_are_no_tokens_there_are_no_policies(world: World) -> None:
    answer = world.serving.query("SELECT count(DISTINCT shop) AS n FROM sales")
    assert json.dumps(answer.table.to_pylist()) == '[{"n": 3}]'
