"""What a lake promises of its data files, in a folder and in an object store alike."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pyarrow as pa
import pytest
from obstore.store import LocalStore
from places import ROOT
from pyarrow import parquet

from seamline.errors import Condition, TransientError, UserError
from seamline.kernel import GROUP_BYTES
from seamline.lake import BATCH, INBOX, LEASES, RAW, RUNS, SPEED, Lake
from seamline.schemes import SCHEMES, spark_uri
from seamline.stores import GROUP_ROWS

SOURCES = [
    file
    for folder in ("src/seamline", "schemas", "streaming", "jobs", "serving")
    for file in (ROOT / folder).rglob("*.py")
]
ROWS = pa.table({"a": [1, 2, 3]})
ONE, OTHER = (Lake.batch_path("d", "u", name) for name in ("one", "other"))


@pytest.fixture(params=["", "file://"], ids=["folder", "object store"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A URI with a scheme is read and written through pyarrow and the store's client, as that of any object store."""
    (tmp_path / ONE).parent.mkdir(parents=True)  # an object store has no folders that must stand
    return Lake(f"{request.param}{tmp_path}", LocalStore(str(tmp_path)))


def write(lake: Lake, path: str, rows: pa.Table = ROWS) -> None:
    assert lake.write(lake.kernel(), "SELECT * FROM t", {"t": rows}, path) == rows.num_rows


def test_what_is_written_is_read_and_measured_alike(lake: Lake, tmp_path: Path) -> None:
    write(lake, ONE)
    assert parquet.read_table(tmp_path / ONE, partitioning=None).equals(ROWS)
    assert lake.kernel().run("SELECT * FROM t ORDER BY a", {"t": lake.read([ONE])}).equals(ROWS)
    assert lake.size(ONE) == (tmp_path / ONE).stat().st_size
    assert lake.footer(ONE).num_rows == 3
    assert (lake.exists(ONE), lake.exists(OTHER)) == (True, False)
    assert {item["path"]: item["size"] for item in lake.listed(lake.batch_prefix("d"))} == {ONE: lake.size(ONE)}


def test_files_are_joined_in_order_with_the_columns_of_all(lake: Lake, tmp_path: Path) -> None:
    write(lake, ONE)
    write(lake, OTHER, pa.table({"b": ["x", None], "a": [9, 8]}))
    into = Lake.batch_path("d", "u", "joined")
    lake.join([OTHER, ONE], into)
    found = parquet.read_table(tmp_path / into, partitioning=None).to_pylist()
    assert [(row["a"], row["b"]) for row in found] == [(9, "x"), (8, None), (1, None), (2, None), (3, None)]


def test_joined_files_have_row_groups_that_a_reader_can_hold(lake: Lake, tmp_path: Path) -> None:
    write(lake, ONE, pa.table({"a": [bytes([n]) * (5 << 20) for n in range(12)]}))
    write(lake, OTHER, pa.table({"a": [b""] * 300_000}))
    into = Lake.batch_path("d", "u", "joined")
    lake.join([ONE, OTHER], into)
    file = parquet.ParquetFile(tmp_path / into)
    assert [len(value) for value in file.read()["a"].to_pylist()] == [5 << 20] * 12 + [0] * 300_000
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    assert all(group.num_rows <= 2 * GROUP_ROWS for group in groups)
    assert all(group.total_byte_size < 1.1 * GROUP_BYTES for group in groups)


def test_what_cannot_be_joined_is_told(lake: Lake, tmp_path: Path) -> None:
    write(lake, ONE)
    for damage in (lambda: (tmp_path / ONE).write_bytes(b"PAR1"), lambda: (tmp_path / ONE).unlink()):
        damage()
        with pytest.raises(TransientError) as caught:
            lake.join([ONE], OTHER)
        assert caught.value.condition is Condition.STORE_UNAVAILABLE


def test_a_file_that_is_gone_may_be_deleted(lake: Lake, tmp_path: Path) -> None:
    write(lake, ONE)
    write(lake, OTHER)
    lake.delete([ONE])
    assert not (tmp_path / ONE).exists()
    lake.delete([ONE, OTHER])
    assert not (tmp_path / OTHER).exists()
    lake.delete([])


def test_a_file_put_in_place_again_has_another_stamp(lake: Lake) -> None:
    write(lake, ONE)
    first = lake.stamp(ONE)
    assert lake.stamp(ONE) == first
    lake.delete([ONE])
    write(lake, ONE, ROWS.slice(1))
    assert lake.stamp(ONE) != first


def test_the_same_bytes_are_seen_in_a_folder_only(lake: Lake) -> None:
    write(lake, ONE)
    write(lake, OTHER)
    assert lake.is_same(ONE, OTHER) is ("://" not in lake.uri)
    lake.delete([OTHER])
    write(lake, OTHER, ROWS.slice(1))
    assert not lake.is_same(ONE, OTHER)


def test_an_object_store_is_not_asked_what_to_sync(tmp_path: Path) -> None:
    lake = Lake(f"file://{tmp_path}", LocalStore(str(tmp_path)))
    lake.sync(1 / 0 for _ in range(1))  # type: ignore[misc]


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("/lake/a", "file:///lake/a"), ("file:///lake/a", "file:///lake/a"), ("s3://bucket/a", "s3a://bucket/a"),
        ("gs://bucket/a", "gs://bucket/a"), ("abfss://c@a.dfs.core.windows.net/a", "abfss://c@a.dfs.core.windows.net/a"),
    ],
)  # fmt: skip
def test_spark_is_told_of_a_place_by_its_own_clients_scheme(place: str, named: str) -> None:
    assert spark_uri(place) == named


@pytest.mark.parametrize("uri", ["http://host/lake", "gcs://bucket", "S4://bucket"])
def test_a_store_that_not_every_reader_knows_is_refused(uri: str) -> None:
    with pytest.raises(UserError) as caught:
        Lake.open(uri)
    assert caught.value.condition is Condition.CONFIG_INVALID


def test_paths_in_the_lake_are_named_in_one_place() -> None:
    """Any string of the package, f-strings' parts too, that begins as a path in the lake does."""
    begins = re.compile(rf"/?({'|'.join(one.rstrip('/') for one in (RAW, SPEED, BATCH, RUNS, INBOX, LEASES))})/")
    ledger = re.compile("/?ledger/")
    named = {
        (file.name, node.value)
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if (begins.match(node.value) and file.name != "lake.py")
        or (ledger.match(node.value) and file.name not in ("lake.py", "ledger.py"))
    }
    assert not named


def test_only_one_place_asks_what_kind_of_store_a_uri_names() -> None:
    kinds = re.compile(rf"(\^?({'|'.join(SCHEMES)}|s3a))?://")
    asked = {
        file.name
        for file in SOURCES
        for node in ast.walk(ast.parse(file.read_text()))
        if (isinstance(node, ast.Attribute) and node.attr == "from_uri")
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and kinds.fullmatch(node.value))
    }
    assert asked == {"schemes.py", "gate.py"}, "the gate's is an HTTP origin"
