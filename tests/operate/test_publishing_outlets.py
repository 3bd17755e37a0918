"""Where and as what a view is published: places, types, the command without a broker, and following."""

from __future__ import annotations

import json
import os
import re
import threading
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from lakes import VIEW, Bench, order, project

from seamline.cli.main import execute
from seamline.errors import Condition, SeamlineError
from seamline.frontier import START
from seamline.operate.outside.delta_table import ViewTable
from seamline.operate.outside.marks import DeltaBase, Mark, Marker
from seamline.operate.outside.records import Keyed, differing, digest, published
from seamline.operate.publishing import Outlets, Publication, follow_view, outlets
from seamline.schemas.project import load_project


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = project(tmp_path)
    made.send(order("a"), order("b", shop="b"))
    made.both()
    return made


def test_a_table_needs_no_broker_and_says_its_cut(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["publish", "sales", "--delta-only", "--project", str(tmp_path), "--json"]
    assert execute(command) == 0
    assert json.loads(capsys.readouterr().out)["table"] is None, "no batch version yet"
    bench.batch.refresh("sales")
    assert execute(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["table"]["version"], said["table"]["rows_written"], said["topic"]) == (0, 2, None)
    assert said["cut"] == {bench.source: {"0": 2}}
    table = DeltaTable(tmp_path / "published/sales")
    assert said["table"]["uri"] == str(tmp_path / "published/sales")
    assert [(row["shop"], row["orders"]) for row in sorted(table.to_pyarrow_table().to_pylist(), key=str)] == [
        ("a", 1),
        ("b", 1),
    ]
    assert execute([word for word in command if word != "--json"]) == 0
    assert "version 1 stood already" in capsys.readouterr().out.replace(f"version {said['version']}", "version 1")


def test_it_follows_the_ledger_until_it_is_stopped(bench: Bench, tmp_path: Path) -> None:
    to, stop, told = Outlets(str(tmp_path / "reports"), None), threading.Event(), list[Publication]()
    bench.batch.refresh("sales")

    def tell(found: Publication) -> None:
        told.append(found)
        if len(told) == 1:
            bench.send(order("c", shop="c"))
            bench.both()
            bench.batch.refresh("sales")
        else:
            stop.set()

    follow_view(load_project(tmp_path), "sales", to, 0.05, stop, tell)
    assert [one.table and one.table.rows for one in told] == [2, 3]
    assert DeltaTable(to.table).version() == 1


def test_places_are_as_told_else_as_the_view_says_else_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    project(folder)

    def found(table: str | None = None, topic: str | None = None, *, delta_only: bool = False) -> Outlets:
        return outlets(load_project(folder), "sales", table, topic, delta_only=delta_only)

    assert found() == Outlets(str(folder / "published/sales"), "shop.sales")
    assert found("s3://bucket/x", "y", delta_only=True) == Outlets("s3://bucket/x", None)
    said = "TBLPROPERTIES ('publish.table' = 'out', 'publish.topic' = 'sold') AS"
    (folder / "views/sales.sql").write_text(VIEW.replace(" AS\n", f" {said}\n", 1))
    assert found() == Outlets(str(folder / "out"), "sold")
    assert found("/else/where", "y") == Outlets("/else/where", "y")
    with pytest.raises(SeamlineError) as caught:
        found(topic="not a name")
    assert caught.value.condition is Condition.INPUT_INVALID


def test_a_view_that_is_not_there_makes_nothing(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["publish", "nothing", "--delta-only", "--project", str(tmp_path)]) == 2
    assert "VIEW_UNKNOWN" in capsys.readouterr().err
    assert not (tmp_path / "published").exists()


INSTANT = pa.timestamp("us", "UTC")

TYPES: dict[str, tuple[pa.DataType, object, pa.DataType, object]] = {
    "unsigned": (pa.uint64(), 2**64 - 1, pa.decimal128(20, 0), "18446744073709551615"),
    "small": (pa.uint8(), 255, pa.int16(), 255),
    "money": (pa.decimal128(12, 2), Decimal("-3.10"), pa.decimal128(12, 2), "-3.10"),
    "day": (pa.date32(), date(2024, 5, 1), pa.date32(), "2024-05-01"),
    "at": (INSTANT, datetime(2024, 5, 1, tzinfo=UTC), INSTANT, "2024-05-01T00:00:00Z"),
    "plain": (pa.timestamp("us"), datetime(2024, 5, 1, 1), pa.timestamp("us"), "2024-05-01T01:00:00"),
    "clock": (pa.time64("us"), time(1, 2, 3), pa.string(), "01:02:03"),
    "span": (pa.month_day_nano_interval(), pa.MonthDayNano([0, 2, 0]), pa.string(), "2 days"),
    "kind": (pa.dictionary(pa.uint8(), pa.string()), "x", pa.string(), "x"),
    "list": (pa.list_(pa.uint32()), [1, None], pa.list_(pa.int64()), [1, None]),
    "pair": (pa.list_(pa.int32(), 2), [1, 2], pa.list_(pa.int32()), [1, 2]),
    "inside": (pa.struct([("n", pa.uint16())]), {"n": 7}, pa.struct([("n", pa.int32())]), {"n": 7}),
    "odd": (pa.float64(), float("nan"), pa.float64(), "NaN"),
}  # fmt: skip
"""Type and value as they are served, the type in Delta, and the value in JSON."""


def test_every_type_has_one_in_delta_and_one_in_json(tmp_path: Path) -> None:
    arrays = {name: pa.array([value, None], kind) for name, (kind, value, _, _) in TYPES.items()}
    rows = published(pa.table(arrays))
    assert {field.name: field.type for field in rows.schema} == {name: one[2] for name, one in TYPES.items()}
    found = [json.loads(value) for _, value in Keyed(("day",)).records(rows)]
    assert found == [{name: one[3] for name, one in TYPES.items()}, dict.fromkeys(TYPES)]
    table = ViewTable(str(tmp_path / "typed"))
    table.hold(mark(1), lambda: [pa.table({"day": [1]})])
    table.hold(mark(2), lambda: [rows])  # of other columns, and with times that have no zone
    stored = DeltaTable(table.uri).to_pyarrow_table()
    assert stored.num_rows == 2
    assert stored["plain"].to_pylist() == rows["plain"].to_pylist()
    assert [one.column_names for one in table.read(0)] == [["day"]]


def test_a_type_that_delta_has_not_is_refused() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(SeamlineError) as caught:
        published(pa.table({"either": union}))
    assert caught.value.condition is Condition.INPUT_INVALID


def mark(state: int) -> Mark:
    return Mark("sales", "main", "d", state, state, START, ("day",))


def test_zero_has_one_key_and_a_key_one_order() -> None:
    rows = pa.table({"b": [0.0, -0.0], "a": ["x", "x"]})
    keys = {key for key, _ in Keyed(("a", "b")).records(rows)}
    assert keys == {b'{"a":"x","b":0.0}'}


def test_what_differs_is_sent_and_what_is_asked_for() -> None:
    stands = {b"same": b"1", b"other": b"2", b"left": b"3", b"always": b"5"}
    known: dict[bytes, bytes | None] = {**{key: digest(value) for key, value in stands.items()}, b"gone": None}
    rows = [(b"same", b"1"), (b"other", b"9"), (b"new", b"4"), (b"always", b"5")]
    sent = list(differing(rows, known, {b"always", b"hidden"}))
    assert sent == [(b"other", b"9"), (b"new", b"4"), (b"always", b"5"), (b"hidden", None), (b"left", None)]


def test_a_marker_says_all_of_itself() -> None:
    one = Marker(mark(3), START, 7, 2, DeltaBase("s3://x/y", 4), (5, 6), 8, 9)
    assert Marker.from_bytes(one.to_bytes()) == one
    assert not one.goes_on(one.mark, DeltaBase("s3://x/other", 4)), "readers begin from another table"
    assert one.goes_on(one.mark, one.base)


def test_what_was_overwritten_long_ago_goes_and_the_rest_can_be_read_by_its_number(tmp_path: Path) -> None:
    table = ViewTable(str(tmp_path / "many"))
    for state in range(1, 25):
        if state == 12:  # by then a week has passed
            for file in Path(table.uri).glob("*.parquet"):
                os.utime(file, (0, 0))
            for commit in Path(table.uri, "_delta_log").glob("*.json"):
                commit.write_text(re.sub(r'"deletionTimestamp":\d+', '"deletionTimestamp":0', commit.read_text()))
        held = table.hold(mark(state), lambda: [pa.table({"day": [state]})])  # noqa: B023
    newest = table.newest()
    assert newest is not None
    assert newest.base == held.base
    assert newest.mark == mark(24)
    assert [one["day"].to_pylist() for one in table.read(12)] == [[13]]
    with pytest.raises(OSError, match="No such file"):
        list(table.read(3))
