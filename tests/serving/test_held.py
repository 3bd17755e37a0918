"""Rows of many small files are held in memory: no question opens those files, and no answer shows it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from handmade import DAY, Handmade, Row

from seamline.errors import SeamlineError
from seamline.schemas.views.definition import Definition
from seamline.serving.bounds import BatchFiles
from seamline.serving.held import FEWEST, held
from seamline.serving.serving import Serving
from seamline.serving.snapshot import Snapshot

VIEW = "CREATE MATERIALIZED VIEW {} AS SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, {} count(*) AS orders"
SALES = f"{VIEW.format('sales', 'shop,')}, sum(amount) AS amount FROM orders GROUP BY ALL"
HOURS = f"{VIEW.format('hours', '')} FROM orders GROUP BY ALL"
DATES = 10
ROWS = [(f"shop{hour % 2}", hour, hour) for hour in range(24 * DATES)]
ASKED = "SELECT sum(orders) AS orders, sum(amount) AS amount FROM sales WHERE shop = 'shop1'"
WANTED = [{"orders": 120, "amount": sum(range(1, 240, 2))}]


def units(rows: list[Row]) -> dict[str, list[list[Row]]]:
    """The rows by date, a file each."""
    found: dict[str, list[list[Row]]] = {}
    for row in rows:
        found.setdefault(f"{(DAY + timedelta(hours=row[1])).date()}", [[]])[0].append(row)
    return found


def lake(folder: Path, rows: list[Row] = ROWS, *views: str) -> Handmade:
    made = Handmade(folder, *(views or (SALES,)))
    made.epoch(rows)
    for view in made.catalogue.states:
        made.version_of(units(rows), cut=len(rows), view=view)
    return made


def batch(snapshot: Snapshot, view: str = "sales") -> BatchFiles:
    found = snapshot.view(view).batch
    assert isinstance(found, BatchFiles)
    return found


def unlink(serving: Serving) -> None:
    for path in batch(serving.snapshot()).paths:
        Path(path).unlink()


def test_no_file_is_opened_once_their_rows_are_held(tmp_path: Path) -> None:
    serving = lake(tmp_path).serving()
    assert serving.query(ASKED).table.to_pylist() == WANTED
    serving.prepare()
    unlink(serving)
    assert serving.query(ASKED).table.to_pylist() == WANTED
    texts = (
        "SELECT sum(orders) AS n FROM sales WHERE {}",
        "SELECT MEASURE(orders) AS n FROM sales WHERE {}",
        "WITH sales AS (SELECT * FROM sales WHERE {}) SELECT sum(orders) AS n FROM sales",
    )
    reached = {
        "hour = '2024-05-03 05:00'": 1, "hour < '2024-05-03'": 48, "hour >= '2030-01-01'": 0,
        "hour > now() - INTERVAL 50 YEAR": 240,
    }  # fmt: skip
    for where, orders in reached.items():
        for text in texts:
            assert (serving.query(text.format(where)).table["n"].to_pylist()[0] or 0) == orders, text
    serving.close()


def test_a_version_of_few_files_is_read_in_place(tmp_path: Path) -> None:
    serving = lake(tmp_path, ROWS[: 24 * (FEWEST - 1)]).serving()
    serving.prepare()
    assert not batch(serving.snapshot()).held
    unlink(serving)
    with pytest.raises(SeamlineError, match="view sales"):
        serving.query(ASKED)
    serving.close()


def test_nothing_is_held_where_nothing_may_be(tmp_path: Path) -> None:
    serving = lake(tmp_path).serving(held_mb=0)
    serving.prepare()
    assert not batch(serving.snapshot()).held
    assert serving.query(ASKED).table.to_pylist() == WANTED
    serving.close()


def test_what_does_not_fit_is_read_in_place_and_the_smallest_are_held(tmp_path: Path) -> None:
    serving = lake(tmp_path, ROWS, SALES, HOURS).serving()
    read: list[str] = []

    def rows(definition: Definition, path: str) -> pa.Table:
        read.append(path)
        return pa.table({"x": pa.array([0] * 24, pa.int64())})

    size = DATES * 24 * 8
    for room, views in [
        (2 * size, {"sales", "hours"}),
        (2 * size - 1, {"hours"}),
        (size, {"hours"}),
        (size - 1, set()),
    ]:
        read.clear()
        found = held(serving.snapshot(), room, rows)
        assert {view for view in ("sales", "hours") if batch(found, view).held} == views, room
        assert len(read) == DATES * len(views) + (2 - len(views)), "of a view that does not fit, one is read"
        assert held(found, room, rows) is found, "it is decided once"
    serving.close()


def test_the_smallest_file_shows_that_a_version_does_not_fit(tmp_path: Path) -> None:
    serving = lake(tmp_path, [row for row in ROWS if row[1] != 24 * 5]).serving()
    files = batch(serving.snapshot())
    read: list[str] = []

    def rows(definition: Definition, path: str) -> pa.Table:
        read.append(path)
        return pa.table({"x": pa.array([0] * 23, pa.int64())})

    assert not batch(held(serving.snapshot(), 8 * sum(files.rows) - 1, rows)).held
    assert read == [files.paths[5]]
    serving.close()


def test_files_that_the_next_version_keeps_are_not_read_again(tmp_path: Path) -> None:
    made = lake(tmp_path)
    serving = made.serving()
    serving.prepare()
    unlink(serving)
    late: list[Row] = [("shop1", 5, 1000)]
    made.epoch(late)
    made.version_of({"2024-05-01": [[*ROWS[:24], *late]]}, cut=len(ROWS) + 1, base=1)
    assert serving.catch_up()
    serving.prepare()
    assert batch(serving.snapshot()).held
    assert serving.query(ASKED).table.to_pylist() == [{"orders": 121, "amount": WANTED[0]["amount"] + 1000}]
    serving.close()


def test_an_epoch_leaves_what_is_held(tmp_path: Path) -> None:
    made = lake(tmp_path)
    serving = made.serving()
    serving.prepare()
    before = batch(serving.snapshot())
    made.epoch([("shop1", 5, 1000)])
    assert serving.catch_up()
    serving.prepare()
    assert batch(serving.snapshot()) is before
    unlink(serving)
    assert serving.query(ASKED).table.to_pylist() == [{"orders": 121, "amount": WANTED[0]["amount"] + 1000}]
    serving.close()
