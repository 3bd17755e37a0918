"""Files of a date are few however long it grows, each row is written few times over, and no row is lost on the way."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from math import log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from raw_world import CLICKS, DAY, TABLE, World
from stream_parts import NOW, open_archive

from seamline.commitpoint import hooked
from seamline.lake import Lake
from seamline.schemas.contracts.contract import parse_contract
from seamline.sides.raw import RawFile
from seamline.streaming.archive.merges import FRESH, GROWING, REST, RESTING, WHOLE, Growth, merges


def raw_file(name: str, rows: int, size: int = 0, table: str = TABLE) -> RawFile:
    return RawFile(table, name, DAY, size or rows * 150, rows, rows)


def joined(group: tuple[RawFile, ...], name: str) -> RawFile:
    return raw_file(name, sum(one.rows for one in group), sum(one.size for one in group))


def settled(files: list[RawFile], ratio: int) -> list[RawFile]:
    """After all that is due is done."""
    for number, group in enumerate(merges(files, ratio)):
        files = [one for one in files if one not in group] + [joined(group, f"{len(files)} {number} {group[0].path}")]
    return files


def test_a_day_of_small_files_ends_in_few_of_a_good_size() -> None:
    """100 events a second, a file from each of two tasks every 2 s, 150 bytes a record."""
    growth, files, most, written, now = Growth(), list[RawFile](), 0, 0, NOW
    for batch in range(43_200):
        now += timedelta(seconds=2)
        fresh = [raw_file(f"{batch} {task}", 100) for task in range(2)]
        files += fresh
        growth.add(fresh, now)
        if growth.due(now):
            assert growth.due(now) == {(TABLE, DAY): GROWING}
            before = {one.path for one in files}
            files = settled(files, GROWING)
            written += sum(one.rows for one in files if one.path not in before)
            growth.looked_at(TABLE, DAY, GROWING)
        most = max(most, len(files))
    rows = sum(one.rows for one in files)
    assert rows == 43_200 * 200
    assert most <= 30
    assert written <= 10 * rows
    assert growth.due(now + REST) == {}
    later = now + REST + timedelta(seconds=1)
    assert growth.due(later) == {(TABLE, DAY): RESTING}
    growth.looked_at(TABLE, DAY, RESTING)
    assert growth.due(later + REST) == {}
    files = settled(files, RESTING)
    assert sum(one.rows for one in files) == rows
    assert len([one for one in files if one.size >= WHOLE]) == 3
    assert len(files) <= 8


@given(st.lists(st.integers(1, 10_000), max_size=60), st.sampled_from([GROWING, RESTING]))
def test_what_is_left_has_more_rows_than_all_that_is_smaller(sizes: list[int], ratio: int) -> None:
    files = [raw_file(str(number), rows) for number, rows in enumerate(sizes)]
    groups = merges(files, ratio)
    assert all(len(group) > 1 for group in groups)
    merged = [one.path for group in groups for one in group]
    assert len(set(merged)) == len(merged)
    left = sorted(one.rows for one in settled(files, ratio))
    assert sum(left) == sum(sizes)
    assert all(rows > ratio * sum(left[:number]) for number, rows in enumerate(left) if number)
    assert merges(settled(files, ratio), ratio) == []


@given(st.lists(st.integers(1, 500), min_size=1, max_size=200), st.integers(1, 20), st.sampled_from([GROWING, RESTING]))
def test_a_row_is_written_again_no_more_often_than_its_files_can_grow(rows: list[int], every: int, ratio: int) -> None:
    files, again = list[RawFile](), Counter[str]()
    held: dict[str, set[str]] = {}
    for number, count in enumerate(rows):
        files.append(raw_file(f"first {number}", count))
        held[f"first {number}"] = {f"first {number}"}
        if number % every == 0:
            for at, group in enumerate(merges(files, ratio)):
                name = f"{number} {at}"
                held[name] = set().union(*(held[one.path] for one in group))
                again.update(held[name])
                files = [one for one in files if one not in group] + [joined(group, name)]
    assert max(again.values(), default=0) <= log2(sum(rows)) / log2(1 + 1 / ratio)


def test_a_whole_file_is_left_alone_and_groups_end_where_they_are_whole() -> None:
    whole = raw_file("whole", 1, WHOLE)
    parts = [raw_file(f"{number:02}", 10, WHOLE // 4) for number in range(10)]
    assert [len(group) for group in merges([whole, *parts], GROWING)] == [4, 4, 2]
    assert merges([whole, replace(whole, path="other"), parts[0]], RESTING) == []


def test_a_date_is_looked_at_after_some_files_and_once_more_when_it_rests() -> None:
    growth, other = Growth(), replace(raw_file("b", 1), day="2026-01-02")
    growth.add([raw_file("a", 1)] * (FRESH - 1), NOW)
    growth.add([other], NOW + REST)
    assert growth.due(NOW + REST) == {}
    assert growth.due(NOW + REST + timedelta(seconds=1)) == {(TABLE, DAY): RESTING}
    growth.add([raw_file("a", 1)], NOW + REST)
    assert growth.due(NOW + REST) == {(TABLE, DAY): GROWING}


# ---------------------------------------------------------------- with real tables


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"))


def test_rows_stand_by_position_whatever_is_put_together(lake: Lake) -> None:
    world = World(lake)
    pinned: dict[int, int] = {}
    for number in range(60):
        world.batch(number)
        if number % 10 == 0:
            pinned[world.newest()] = len(world.truth)
        if world.archive.maintain():
            world.check()
    world.check()
    world.now += REST + timedelta(seconds=1)
    assert world.archive.maintain() is not None
    world.check()
    days = Counter(file.day for file in world.archive.tables[TABLE].listed)
    assert set(days.values()) <= {1, 2, 3}, "four dates rest"
    assert world.archive.maintain() is None
    for version, rows in pinned.items():
        assert world.rows(version) == world.truth[:rows], "who reads an older version reads what it read"
    file = next(one for one in world.archive.tables[TABLE].listed if one.rows > 20)
    metadata = parquet.read_metadata(lake.absolute(file.path))
    assert (metadata.num_rows, file.size) == (file.rows, Path(lake.absolute(file.path)).stat().st_size)


@pytest.mark.parametrize("point", ["archive.after-joined", "archive.after-swap"])
def test_killed_while_files_are_put_together_it_goes_on_with_the_same_rows(lake: Lake, point: str) -> None:
    class Killed(BaseException):
        pass

    def die(reached: str) -> None:
        if reached == point:
            raise Killed

    world = World(lake)
    for number in range(FRESH):
        world.batch(number)
    with hooked(die), pytest.raises(Killed):
        world.archive.maintain()
    world.check()
    world.restarted()
    world.check()
    world.batch(FRESH)
    assert world.archive.maintain() is not None
    world.check()


def test_a_file_that_cannot_be_read_is_left_and_the_others_go_on(lake: Lake) -> None:
    world = World(lake)
    for number in range(FRESH):
        world.batch(number)
    lost = next(file for file in world.archive.tables[TABLE].listed if file.day == DAY and file.rows == 1)
    path = Path(lake.absolute(lost.path))
    kept = path.read_bytes()
    path.write_bytes(b"")
    world.archive.maintain()
    path.write_bytes(kept)
    world.check()
    world.batch(FRESH)
    world.check()


def test_a_table_that_got_a_column_meanwhile_is_put_together(lake: Lake) -> None:
    world = World(lake)
    for number in range(FRESH // 2):
        world.batch(number)
    line = "      - {name: n, logicalType: integer}\n"
    wider = parse_contract(CLICKS.text.replace(line, line + line.replace("n, logical", "m, logical")), "clicks.yaml")
    world.archive = open_archive(lake, [wider], [CLICKS], clock=lambda: world.now)
    for number in range(FRESH // 2, FRESH + 6):
        world.batch(number)
    assert world.archive.maintain() is not None
    world.check()
    file = max(world.archive.tables[TABLE].listed, key=lambda one: one.rows)
    read = parquet.ParquetFile(lake.absolute(file.path)).read().to_pylist()
    assert {(row["n"], row["m"]) for row in read} == {(row["n"], None) for row in read}
