"""What is told of raw files without a statement is what plain Python counts in them, or nothing is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from seamline.frontier import Frontier, Partition
from seamline.jobs.holding import Tally, Whole, tally_of
from seamline.lake import Lake

Row = tuple[str, str | None, int, int, str | None]
"""Source, decoding, partition, offset, why it is rejected."""

SCHEMA = pa.schema(
    [
        ("_source", pa.string()),
        ("_contract_version", pa.string()),
        ("_partition", pa.int32()),
        ("_offset", pa.int64()),
        ("_reject", pa.string()),
    ]
)
TOPIC, IMPORT = "orders@i", "import:f"
ENDS = {0: 60, 1: 10**12}
WHOLE = Whole(Frontier({Partition(TOPIC, number): end for number, end in ENDS.items()}), (IMPORT,), ("new", "newer"))


def written(lake: Lake, files: Sequence[Sequence[Row]], group: int = 1000) -> list[str]:
    paths = []
    for number, rows in enumerate(files):
        table = pa.Table.from_arrays([pa.array(column, field.type) for column, field in
                                      zip(zip(*rows, strict=True), SCHEMA, strict=True)], schema=SCHEMA)  # fmt: skip
        paths.append(f"{number}.parquet")
        parquet.write_table(table, lake.absolute(paths[-1]), row_group_size=group)
    return paths


def plainly(files: Sequence[Sequence[Row]]) -> Tally | None:
    """None where a row is out of range or of another decoding, or a file holds rows of several sources or decodings."""
    rows = [row for file in files for row in file]
    for source, decoding, partition, offset, _ in rows:
        if decoding not in WHOLE.decodings or (source == TOPIC and offset >= ENDS.get(partition, 0)):
            return None
    if any(len({row[:2] for row in file}) != 1 for file in files):
        return None
    places = {row[0:1] + row[2:4] for row in rows}
    return Tally(len(rows), 0, sum(row[4] is not None for row in rows), len(places), len(rows))


offsets = st.integers(0, 70) | st.integers(0, 10**12 + 3)
kinds = st.tuples(st.sampled_from([TOPIC] * 6 + [IMPORT]), st.sampled_from(["new"] * 8 + ["newer", "old", None]))
rows_of_one = kinds.flatmap(
    lambda kind: st.lists(
        st.tuples(
            st.just(kind[0]),
            st.just(kind[1]),
            st.integers(0, 1) if kind[0] == TOPIC else st.just(0),
            offsets,
            st.none() | st.just("bad"),
        ),
        min_size=1,
        max_size=8,
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(rows_of_one, min_size=1, max_size=3), mixed=st.booleans(), group=st.integers(1, 3))
def test_what_is_told_is_what_stands_there(tmp_path: Path, files: list[list[Row]], mixed: bool, group: int) -> None:
    if mixed:
        files = [[row for file in files for row in file]]
    lake = Lake.open(str(tmp_path))
    assert tally_of(lake, WHOLE, written(lake, files, group)) == plainly(files)


def row(offset: int, partition: int = 0, source: str = TOPIC, decoding: str = "new") -> Row:
    return source, decoding, partition, offset, None


@pytest.mark.parametrize("spread", [1, 10**9])
def test_a_position_that_stands_twice_is_seen_within_a_file_and_across_files(tmp_path: Path, spread: int) -> None:
    lake = Lake.open(str(tmp_path))
    one, other = [row(3 * spread, 1), row(1 * spread, 1), row(2 * spread, 1)], [row(2, 0), row(5 * spread, 1)]
    told = tally_of(lake, WHOLE, written(lake, [one, other]))
    assert told == Tally(5, 0, 0, 5, 5)
    assert told.plain
    for files in ([[*one, row(2 * spread, 1)]], [one, [*other, row(1 * spread, 1)]]):
        told = tally_of(lake, WHOLE, written(lake, files))
        assert told is not None
        assert told.positions == told.stood - 1
        assert not told.plain


def test_nothing_is_told_where_footers_leave_it_open(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path))
    assert tally_of(lake, WHOLE, written(lake, [[row(1)]])) is not None
    assert tally_of(lake, None, ["0.parquet"]) is None
    table = parquet.read_table(lake.absolute("0.parquet"))
    parquet.write_table(table, lake.absolute("blind.parquet"), write_statistics=False)
    parquet.write_table(table.slice(0, 0), lake.absolute("empty.parquet"))
    parquet.write_table(table.drop_columns(["_reject"]), lake.absolute("other.parquet"))
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    for name in ("blind", "empty", "other", "damaged", "gone"):
        assert tally_of(lake, WHOLE, [f"{name}.parquet"]) is None, name
