"""EXPLAIN says in words what a query reads, and nothing of what who asks may not see."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade import OTHER, VIEW, Handmade, rows
from test_http import Role
from test_http import reading as reading_role  # noqa: F401 - a fixture

from seamline.errors import Condition, UserError
from seamline.lake import Lake
from seamline.serving.callers import LOCAL, Caller, RowRule
from seamline.serving.query import described
from seamline.serving.serving import Serving


@pytest.fixture
def serving(tmp_path: Path) -> Any:
    made = Handmade(tmp_path, VIEW, OTHER, lake=Lake.open(str(tmp_path / "lake")))
    sent = rows(30)
    made.epoch(sent)
    units = {f"2024-05-0{hour + 1}": [[row for row in sent if row[1] == hour]] for hour in range(5)}
    made.version_of(units, cut=30)
    made.epoch(rows(4, 100))
    made.epoch(rows(4, 200))
    found = made.serving()
    yield found
    found.close()


def plan(serving: Serving, sql: str, **more: Any) -> list[str]:
    answer = serving.query(sql, **more)
    assert answer.table.column_names == ["plan"]
    found: list[str] = answer.table.column("plan").to_pylist()
    return found


def test_it_says_what_is_read_and_what_is_left_out(serving: Serving) -> None:
    files, runs, columns = plan(serving, "explain SELECT shop, orders FROM sales WHERE hour >= '2024-05-01T03:00:00Z'")
    assert files == (
        "view sales: batch version 1, up to orders/0:30: "
        "2 of 5 files on disk are read, 3 can hold no row that is asked for"
    )
    assert "epochs 2 to 3" in runs
    assert "1 run in memory, 8 partial rows" in runs
    assert columns == "columns that are made: hour, orders, shop, and keys"
    every = plan(serving, "EXPLAIN SELECT * FROM sales a JOIN sales b USING (hour, shop)")
    assert "5 of 5 files on disk are read" in every[0]
    assert "view sales: named more than once, made once" in every
    assert plan(serving, "/* why? */ EXPLAIN SELECT 1") == ["no view is read"]


def test_it_binds_as_the_query_would_and_says_the_same_of_itself(serving: Serving) -> None:
    sql = "SELECT shop FROM sales WHERE orders > $1"
    there, here = serving.query(sql, [3]), serving.query(f"EXPLAIN {sql}", [3])
    assert here.provenance["sales"].reached == there.provenance["sales"].reached
    assert here.table.num_rows == 3
    for wrong, condition, where in (
        ("EXPLAIN SELECT nothing FROM sales", Condition.QUERY_INVALID, "1:16"),
        ("EXPLAIN SELECT * FROM nope", Condition.QUERY_INVALID, "1:23"),
        ("EXPLAIN ANALYZE SELECT 1", Condition.QUERY_INVALID, None),
        ("EXPLAIN DROP TABLE sales", Condition.QUERY_REFUSED, None),
        ("EXPLAIN EXPLAIN SELECT 1", Condition.QUERY_REFUSED, None),
        ("EXPLAIN SELECT 1; SELECT 2", Condition.QUERY_REFUSED, None),
        ("EXPLAIN SELECT * FROM read_csv('/etc/passwd')", Condition.QUERY_REFUSED, None),
        ("EXPLAIN", Condition.QUERY_REFUSED, None),
    ):
        with pytest.raises(UserError) as refused:
            serving.query(wrong)
        assert refused.value.condition in (condition, Condition.QUERY_INVALID), wrong
        assert where is None or refused.value.where == where
    columns = described(f"EXPLAIN {sql}", serving.pool, serving.snapshot())
    assert columns.columns.names == ["plan"]


def test_it_names_no_file_and_nothing_that_is_not_seen(serving: Serving, tmp_path: Path) -> None:
    some = Caller("some", frozenset(["sales"]), rows=(("sales", RowRule("shop = 'shop1'", frozenset(["shop"]))),))
    said = plan(serving, "EXPLAIN SELECT * FROM sales", caller=some)
    assert "view sales: the rows that a policy shows, chosen before they are merged" in said
    assert not any(word in line for line in said for word in ("shop1", "shops", ".parquet", str(tmp_path), "lake/"))
    with pytest.raises(UserError, match="no view is named 'shops'"):
        serving.query("EXPLAIN SELECT * FROM shops", caller=some)
    assert plan(serving, "EXPLAIN SELECT * FROM shops", caller=LOCAL)


def test_it_is_asked_over_http_in_every_format(reading_role: Role) -> None:  # noqa: F811
    sql = "EXPLAIN SELECT shop, orders FROM sales"
    said = reading_role.query(sql).json()
    assert [column["name"] for column in said["columns"]] == ["plan"]
    assert "no batch version yet" in said["rows"][0][0]
    assert reading_role.query(sql, format="csv").text.splitlines()[0] == "plan"
