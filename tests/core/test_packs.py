"""Packs: many small tables in one run of bytes, and what of it is read and kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pytest

from seamline.errors import Condition, SeamlineError
from seamline.lake import Lake
from seamline.packs import FRAME, Pack, Packs, address, body_of, carry, is_address, pack, unpacked

TABLES = {
    "plain": pa.table({"n": [1, None], "s": ["ünï", ""], "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None])}),
    "nested": pa.table({"of": [{"a": [1.5, None]}, None], "money": [Decimal("1.50"), Decimal("-2.25")]}),
    "empty": pa.table({"n": pa.array([], pa.uint32())}),
}


def numbers(rows: int, first: int = 0) -> pa.Table:
    return pa.table({"n": pa.array(range(first, first + rows), pa.int64())})


class Fetched:
    """Bodies by path, and which were fetched."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self.bodies = bodies
        self.asked: list[str] = []

    def __call__(self, path: str) -> bytes:
        self.asked.append(path)
        return self.bodies[path]


def test_every_table_comes_back_as_it_was() -> None:
    packs = Packs(Fetched({"a.pack": pack(TABLES)}), side_by_side=False)
    read = packs.tables(address("a.pack", name) for name in reversed(TABLES))
    assert [table.schema for table in read] == [table.schema for table in reversed(TABLES.values())]
    assert read == list(reversed(TABLES.values()))


def test_a_pack_without_tables_is_one_too() -> None:
    assert Pack(pack({}), "a.pack").places == {}


def test_an_address_is_no_file() -> None:
    assert is_address(address("speed/main/1.pack", "ids"))
    assert is_address(address("/lakes/my#lake/ledger/speed/main/00000000000000000007.json", "0123456789abcdef"))
    assert not is_address("/lakes/my.pack#lake/speed/main/ids/1.parquet")


@pytest.mark.parametrize("side_by_side", [False, True])
def test_a_pack_is_fetched_once_however_many_of_its_tables_are_asked_for(side_by_side: bool) -> None:
    bodies = {f"{n}.pack": pack({str(of): numbers(3, of) for of in range(300)}) for n in range(20)}
    fetched = Fetched(bodies)
    packs = Packs(fetched, side_by_side=side_by_side)
    for of in range(300):
        read = packs.tables(address(path, str(of)) for path in bodies)
        assert read == [numbers(3, of)] * 20
    assert sorted(fetched.asked) == sorted(bodies)


def test_what_is_at_hand_is_not_fetched() -> None:
    fetched = Fetched({})
    packs = Packs(fetched, side_by_side=False)
    packs.keep("1.json", pack(TABLES))
    assert packs.tables([address("1.json", "plain")]) == [TABLES["plain"]]
    assert fetched.asked == []


def test_no_more_is_kept_than_may_be_and_what_was_dropped_is_fetched_again() -> None:
    bodies = {f"{n}.pack": pack({"n": numbers(2000, n)}) for n in range(3)}
    fetched = Fetched(bodies)
    packs = Packs(fetched, side_by_side=False, kept=30_000)
    for _ in range(2):
        for n, path in enumerate(bodies):
            assert packs.tables([address(path, "n")]) == [numbers(2000, n)]
    assert fetched.asked == [*bodies, *bodies]


def test_who_wants_one_of_many_large_tables_unpacks_no_other() -> None:
    rows = FRAME // 8
    large = Pack(pack({str(of): numbers(rows, of * rows) for of in range(4)}), "a.pack")
    assert [large.place(str(of)).frame for of in range(4)] == [0, 1, 2, 3]
    assert large.frame(2).size < 1.1 * FRAME


def test_many_small_tables_share_a_frame_and_take_less_for_it() -> None:
    small = {str(of): numbers(3, of) for of in range(300)}
    together = pack(small)
    assert {place.frame for place in Pack(together, "a.pack").places.values()} == {0}
    assert len(together) < sum(len(pack({name: table})) for name, table in small.items()) / 5


WHOLE = pack(TABLES)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"SEAMPK2\n" + WHOLE[8:], WHOLE[:20], WHOLE[:-1], WHOLE + b"x", WHOLE[:15] + b"????" + WHOLE[19:]],
    ids=["nothing", "an entry", "a newer one", "cut short", "without its end", "too long", "overwritten"],
)
def test_what_is_no_whole_pack_is_refused_by_name(body: bytes) -> None:
    with pytest.raises(SeamlineError) as caught:
        Pack(body, "speed/main/1.pack")
    assert (caught.value.condition, caught.value.where) == (Condition.LEDGER_FORMAT, "speed/main/1.pack")


def test_a_damaged_frame_and_a_table_that_is_not_there_are_refused_by_name() -> None:
    damaged = Pack(WHOLE[:-60] + bytes(60), "a.pack")
    for ask in (lambda: damaged.frame(0), lambda: damaged.place("none")):
        with pytest.raises(SeamlineError) as caught:
            ask()
        assert (caught.value.condition, caught.value.where) == (Condition.LEDGER_FORMAT, "a.pack")


def test_an_entry_carries_a_pack_and_gives_it_back() -> None:
    entry = json.dumps({"kind": "epoch", "data": carry(WHOLE)}).encode()
    assert body_of(entry, "1.json") == unpacked(carry(WHOLE), "1.json") == WHOLE
    for broken in (b"{}", b"[]", b"{", b'{"data": 3}', b'{"data": "?"}'):
        with pytest.raises(SeamlineError, match="not a pack"):
            body_of(broken, "1.json")


# --- as an input of the kernel


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path))


def rows(lake: Lake, paths: list[str]) -> list[Any]:
    read = lake.read(paths)
    return lake.kernel().run("SELECT * FROM one ORDER BY n", {"one": read}).to_pylist()


@pytest.mark.parametrize("scheme", ["", "file://"], ids=["a folder", "as an object store"])
def test_files_and_tables_of_packs_are_read_as_one(tmp_path: Path, scheme: str) -> None:
    lake = Lake(f"{scheme}{tmp_path}", Lake.open(str(tmp_path)).store)
    (tmp_path / "speed/main/d").mkdir(parents=True)  # an object store has no folders
    lake.write(lake.kernel(), "SELECT 5::BIGINT AS n", {}, "speed/main/d/1.parquet")
    lake.put("speed/main/1.pack", pack({"d": numbers(2), "other": numbers(9)}))
    put = "ledger/speed/main/00000000000000000007.json"
    obstore.put(lake.store, put, json.dumps({"data": carry(pack({"d": numbers(1, 9)}))}).encode())
    entry = address(put, "d")
    assert rows(lake, ["speed/main/d/1.parquet", address("speed/main/1.pack", "d"), entry]) == [
        {"n": n} for n in (0, 1, 5, 9)
    ]
    assert rows(lake, [entry]) == [{"n": 9}]


def test_the_kernel_forgets_what_was_mixed(lake: Lake) -> None:
    lake.write(lake.kernel(), "SELECT 5::BIGINT AS n", {}, "speed/main/d/1.parquet")
    lake.put("speed/main/1.pack", pack({"d": numbers(2)}))
    before = rows(lake, ["speed/main/d/1.parquet", "speed/main/1.pack#d"])
    left = lake.kernel().run("SELECT view_name FROM duckdb_views() WHERE NOT internal").to_pylist()
    assert (len(before), left) == (3, [])


@pytest.mark.parametrize("path", ["speed/main/gone.pack", "ledger/speed/main/00000000000000000009.json"])
def test_a_pack_that_is_gone_may_be_there_again(lake: Lake, path: str) -> None:
    with pytest.raises(SeamlineError) as caught:
        lake.read([address(path, "d")])
    assert caught.value.condition is Condition.STORE_UNAVAILABLE
