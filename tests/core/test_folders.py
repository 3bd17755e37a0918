"""Where a lake lies says nothing of what is in it, and what a file holds says nothing of the next one."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import Bench, order
from pyarrow import fs

from seamline.config import Settings
from seamline.kernel import Limits, kernel
from seamline.serving.serving import Serving
from seamline.stores import read_parquet

ASKED = "SELECT shop, orders, amount, weight FROM sales ORDER BY shop"
SENT = (order("1", shop="a", amount=5), order("2", shop="b", amount=7, weight=2.5))
TRUTH = [
    {"shop": "a", "orders": 1, "amount": 5, "weight": 0.5},
    {"shop": "b", "orders": 1, "amount": 7, "weight": 2.5},
]


@pytest.mark.parametrize("above", ["shop=zz/orders=7/weight=9", "_source=x/_offset=0", "events=3/a b=c"])
def test_a_lake_below_folders_named_like_its_columns_answers_with_its_own_values(tmp_path: Path, above: str) -> None:
    bench = Bench(tmp_path / above)
    serving = Serving(bench.lake, Settings(), bench.clock)
    bench.send(*SENT, SENT[0])
    bench.both()
    serving.catch_up()
    assert serving.query(ASKED).table.to_pylist() == TRUTH  # of epochs
    assert bench.batch.rebuild("sales").version is not None
    serving.catch_up()
    assert serving.query(ASKED).table.to_pylist() == TRUTH  # of a batch version
    bench.send(order("3", shop="a", amount=1, weight=1.5))
    bench.both()
    bench.batch.refresh("sales")
    serving.catch_up()
    assert serving.query(ASKED).table.to_pylist() == [
        {"shop": "a", "orders": 2, "amount": 6, "weight": 1.0}, TRUTH[1]
    ]  # fmt: skip


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_files_have_the_columns_of_every_file_from_a_store_as_from_a_folder(tmp_path: Path, order: list[int]) -> None:
    """A field that was added to a contract stands in its newer files only, whichever of them is read first."""
    tables = [{"a": [1], "b": ["x"]}, {"a": [2], "b": ["y"], "added": [0.5]}, {"other": [3], "a": [3]}]
    paths = []
    for number in order:
        paths.append(str(tmp_path / f"{number}.parquet"))
        pq.write_table(pa.table(tables[number]), paths[-1])
    one = read_parquet(fs.LocalFileSystem(), paths)
    two = kernel(Limits((str(tmp_path),))).run("SELECT * FROM files", {"files": paths})
    for read in (one, two):
        rows = sorted(read.select(["a", "b", "added", "other"]).to_pylist(), key=lambda row: row["a"])
        assert rows == [
            {"a": 1, "b": "x", "added": None, "other": None},
            {"a": 2, "b": "y", "added": 0.5, "other": None},
            {"a": 3, "b": None, "added": None, "other": 3},
        ]
    assert read_parquet(fs.LocalFileSystem(), paths, ["a"]).column_names == ["a"]
