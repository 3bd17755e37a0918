"""A view registered in Spark SQL: the answer is serving's, from the same chain, or there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from handmade import OTHER, VIEW, Handmade, Row, rows
from lakes import Bench, orders
from obstore.store import LocalStore

from seamline.entries.base import DataFile
from seamline.errors import Condition, SeamlineError
from seamline.serving.provenance import check_json
from seamline.serving.spark.view import Registered, finalise_statement, register, share_out, spark_types
from seamline.sides.spark import from_task


@pytest.fixture
def made(tmp_path: Path) -> Handmade:
    return Handmade(tmp_path)


def told(spark: Any, sql: str) -> list[dict[str, Any]]:
    """What Spark SQL answers, as Arrow: instants stay instants."""
    found: list[dict[str, Any]] = spark.sql(sql).toArrow().to_pylist()
    return found


def same_as_served(spark: Any, made: Handmade, view: str = "sales", as_of: int | None = None) -> Registered:
    """Registers a view; its rows must be those that serving answers with, and its chain must hold."""
    registered = register(spark, made.lake, view, as_of=as_of, clock=made.clock)
    served = made.serving().query(f"SELECT * FROM {view} ORDER BY ALL", as_of=as_of)
    assert told(spark, f"SELECT * FROM {view} ORDER BY 1 NULLS LAST, 2 NULLS LAST") == served.table.to_pylist()
    registered.provenance.check()
    check_json(registered.provenance.to_json())
    of_served = served.provenance[view]
    mine = registered.provenance
    assert (mine.version, mine.cut, mine.reached, mine.epochs) == (
        of_served.version, of_served.cut, of_served.reached, of_served.epochs,
    )  # fmt: skip
    return registered


def test_a_version_and_the_epochs_after_it_are_one_answer_as_serving_gives_it(spark: Any, made: Handmade) -> None:
    for n in range(4):
        made.epoch(rows(10, 10 * n))
    made.version(made.sent[:20], cut=20)
    registered = same_as_served(spark, made)
    assert (registered.provenance.version, registered.provenance.epochs) == (1, (3, 4))
    assert len(told(spark, "SELECT * FROM sales")) == len(made.truth(made.sent))


def test_epochs_alone_answer_and_a_version_alone_does(spark: Any, made: Handmade) -> None:
    made.epoch(rows(30))
    assert same_as_served(spark, made).provenance.version is None
    made.version(made.sent, cut=30)
    assert same_as_served(spark, made).provenance.epochs is None


def test_a_view_without_any_row_has_its_columns_and_no_rows(spark: Any, made: Handmade) -> None:
    made.epoch([])
    registered = same_as_served(spark, made)
    assert registered.frame.columns == [column.name for column in made.served().columns]
    assert told(spark, "SELECT count(*) AS n FROM sales") == [{"n": 0}]


NULLS = """\
CREATE MATERIALIZED VIEW nulls AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, nullif(shop, 'shop1') AS shop,
       CASE WHEN amount % 2 = 0 THEN amount END AS even, count(*) AS orders, sum(amount) AS amount
FROM orders GROUP BY ALL
"""


def test_keys_that_are_null_are_one_group(spark: Any, tmp_path: Path) -> None:
    made = Handmade(tmp_path, NULLS)
    for n in range(3):
        made.epoch(rows(20, 20 * n))
    made.version(made.sent[:20], cut=20, view="nulls")
    registered = register(spark, made.lake, "nulls")
    found = registered.frame.toArrow().to_pylist()
    served = made.serving().query("SELECT * FROM nulls").table.to_pylist()
    assert sorted(found, key=str) == sorted(served, key=str)
    assert any(row["shop"] is None and row["even"] is None for row in found)


def test_a_past_answer_is_the_one_up_to_that_epoch(spark: Any, made: Handmade) -> None:
    for n in range(4):
        made.epoch(rows(10, 10 * n))
    made.version(made.sent[:20], cut=20)
    assert (
        same_as_served(spark, made, as_of=3).provenance.reached == same_as_served(spark, made).provenance.links[0].end
    )
    with pytest.raises(SeamlineError) as caught:
        register(spark, made.lake, "sales", as_of=9)
    assert caught.value.condition is Condition.OUT_OF_RETENTION


def refuses(spark: Any, made: Handmade, condition: Condition, view: str = "sales", **how: Any) -> str:
    with pytest.raises(SeamlineError) as caught:
        register(spark, made.lake, view, **how)
    assert caught.value.condition is condition
    return str(caught.value)


def test_a_hole_is_named_and_nothing_is_registered(spark: Any, made: Handmade) -> None:
    made.epoch(rows(10))
    made.version(made.sent[:10], cut=10)
    made.epoch(rows(10, 10), skip=[made.served().hash])
    made.epoch(rows(10, 20))
    spark.catalog.dropTempView("sales")
    assert "20" in refuses(spark, made, Condition.SEAM_HOLE)
    assert not spark.catalog.tableExists("sales")


def test_what_cannot_answer_says_why(spark: Any, made: Handmade) -> None:
    refuses(spark, made, Condition.VIEW_NOT_READY)
    assert "did you mean 'sales'" in refuses(spark, made, Condition.VIEW_UNKNOWN, "slaes")
    made.epoch(rows(10))
    assert "did you mean 'orders'" in refuses(spark, made, Condition.QUERY_INVALID, columns=("order",))
    made.version(made.sent, cut=10, kernel="duckdb-1.4")
    refuses(spark, made, Condition.KERNEL_VERSION)


HUGE: Row = ("huge", 0, 10**38 - 1)


def test_a_value_out_of_range_fails_the_action_unless_its_column_is_left_out(spark: Any, made: Handmade) -> None:
    made.epoch([*rows(10), HUGE])
    made.epoch([HUGE])
    registered = register(spark, made.lake, "sales")
    with pytest.raises(Exception, match="VALUE_OUT_OF_RANGE: column amount") as caught:
        registered.frame.collect()
    error = from_task(caught.value)
    assert error is not None
    assert error.condition is Condition.VALUE_OUT_OF_RANGE
    some = register(spark, made.lake, "sales", name="some", columns=("shop", "orders"))
    assert some.frame.columns == ["shop", "orders"]
    assert told(spark, "SELECT orders FROM some WHERE shop = 'huge'") == [{"orders": 2}]


def test_a_file_that_is_gone_fails_the_action_by_name(spark: Any, made: Handmade) -> None:
    made.epoch(rows(10))
    registered = register(spark, made.lake, "sales")
    for file in (Path(made.lake.uri) / "speed").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(Exception, match=r"STORE_UNAVAILABLE.*parquet") as caught:
        registered.frame.collect()
    error = from_task(caught.value)
    assert error is not None
    assert error.condition is Condition.STORE_UNAVAILABLE


def test_what_entries_carry_is_there_after_they_are_gone(spark: Any, tmp_path: Path) -> None:
    bench = Bench(tmp_path, store=LocalStore(str(tmp_path)))
    for number in range(3):
        bench.send(*orders(4, f"o{number}"))
        bench.speed()
    frame = register(spark, bench.lake, "sales").frame
    for path in (tmp_path / "ledger/speed/main").glob("*.json"):
        path.unlink()
    assert sum(row["orders"] for row in frame.collect()) == 12


def test_only_the_partials_of_the_wanted_columns_are_read(made: Handmade) -> None:
    definition = made.served()
    wanted = [column for column in definition.columns if column.name in ("shop", "mean")]
    stored = definition.needed(wanted)
    assert stored == ("hour", "shop", "amount__high", "amount__low", "mean__count")  # its sum is amount's
    statement = finalise_statement(definition, wanted, spark_types(wanted), stored)
    assert 'NULL::BIGINT[] AS "amounts"' in statement


TYPES = {
    "small": ("(amount % 200)::UTINYINT", "smallint"),
    "middle": ("(amount % 200)::USMALLINT", "int"),
    "wide": ("(amount % 200)::UINTEGER", "bigint"),
    "widest": ("(18446744073709551615::UBIGINT - (amount % 200)::UBIGINT)", "decimal(20,0)"),
    "signed": ("(amount % 100)::TINYINT", "tinyint"),
    "half": ("(amount / 4)::FLOAT", "float"),
    "money": ("amount::DECIMAL(18,2)", "decimal(18,2)"),
    "clock": ("placed::TIME", "time(6)"),
    "civil": ("placed::TIMESTAMP", "timestamp_ntz"),
    "instant": ("placed - INTERVAL '1900 years'", "timestamp"),
    "early": ("(placed - INTERVAL '1500 years')::DATE", "date"),
    "bytes": ("shop::BLOB", "binary"),
    "texts": ("[shop, NULL, 'ünï']", "array<string>"),
    "row": (
        "{'a b': (amount % 9)::UBIGINT, 'c': [{'d': placed}]}",
        "struct<`a b`:decimal(20,0),c:array<struct<d:timestamp>>>",
    ),
}
"""An expression of each type, and what it is in Spark."""


def test_every_type_is_known_before_any_data_is_read_and_its_values_arrive(spark: Any, tmp_path: Path) -> None:
    listed = ", ".join(
        f"{sql} AS {name}, max({sql}) AS most_{name}, array_agg({sql}) AS all_{name}"
        for name, (sql, _) in TYPES.items()
    )
    select = f"SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, {listed} FROM orders GROUP BY ALL"
    made = Handmade(tmp_path, f"CREATE MATERIALIZED VIEW kinds AS {select}")
    made.epoch(rows(12))
    made.epoch(rows(12))
    frame = register(spark, made.lake, "kinds").frame
    kinds = dict(frame.dtypes)
    for name, (_, kind) in TYPES.items():
        plain = kind.replace("`", "")
        assert (kinds[name], kinds[f"most_{name}"], kinds[f"all_{name}"]) == (plain, plain, f"array<{plain}>")
    served = made.serving().query("SELECT * FROM kinds").table
    assert sorted(frame.toArrow().to_pylist(), key=str) == sorted(served.to_pylist(), key=str)


def test_several_views_stand_beside_each_other_under_names_of_ones_own(spark: Any, tmp_path: Path) -> None:
    made = Handmade(tmp_path, VIEW, OTHER)
    made.epoch(rows(50))
    register(spark, made.lake, "sales", name="s")
    register(spark, made.lake, "shops", name="d", partitions=1)
    joined = "SELECT d.shop, d.orders, sum(s.orders) AS n FROM d JOIN s ON d.shop = s.shop GROUP BY ALL"
    found = told(spark, joined)
    assert len(found) == 3
    assert all(row["orders"] == row["n"] for row in found)


def test_files_are_shared_out_whole_and_evenly() -> None:
    files = [DataFile(path=str(n), rows=n) for n in range(1, 10)]
    shares = share_out(files, 3)
    assert sorted(path for share in shares for path in share) == sorted(file.path for file in files)
    assert {sum(map(int, share)) for share in shares} <= {14, 15, 16}
    assert share_out(files[:2], 3) == [["2"], ["1"]]
    assert share_out([], 3) == []
