"""Two archive processes over one lake: whatever the one that lost its claim does next, the ledger's rows stand.

A process is frozen by calling nothing of it, or inside one of its calls, while another takes the log over.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from pyarrow import parquet
from stream_parts import contract, event, open_archive, records, tasks

from seamline.clock import system_clock
from seamline.commitpoint import hooked
from seamline.entries.archive import Imported
from seamline.entries.base import Claim, Counts
from seamline.errors import Condition, ConflictError, SeamlineError, TransientError
from seamline.history.archive import ArchiveHistory
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.sides.raw import RawFile
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import file_records, make_shelves
from seamline.streaming.archive.inbox import Inbox
from seamline.streaming.archive.tables import Fence, RawTable
from seamline.streaming.gathered import gather

CLICKS = contract()
WIDER = CLICKS.text.replace(
    "      - {name: n, logicalType: integer}\n",
    "      - {name: n, logicalType: integer}\n      - {name: more, logicalType: string}\n",
)
TABLE = Lake.raw_path("clicks", CLICKS.layout)
DAY = 86_400.0


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"))


def wider() -> Contract:
    """The contract with one more field."""
    return parse_contract(WIDER, "clicks.yaml")


def opened(lake: Lake) -> Archive:
    return open_archive(lake, [CLICKS])


def file(archive: Archive, offset: int) -> Any:
    return archive.run_batch(tasks(records([event(offset)], first=offset)))


def offsets(lake: Lake) -> list[int]:
    """Of the rows that the ledger names, read by pyarrow."""
    version = ArchiveHistory(lake.archive_log("main")).tables[TABLE]
    uris = DeltaTable(lake.absolute(TABLE), version=version).file_uris()
    return sorted(n for uri in uris for n in parquet.ParquetFile(uri).read(["_offset"])["_offset"].to_pylist())


def newest(lake: Lake) -> int:
    """The newest version of the table, whoever made it."""
    return int(DeltaTable(lake.absolute(TABLE)).version())


def age(lake: Lake, days: float, pattern: str = "*.*") -> None:
    for path in Path(lake.absolute(TABLE)).rglob(pattern):
        os.utime(path, times=(time.time() - days * DAY,) * 2)


@contextmanager
def frozen_at(point: str, meanwhile: Callable[[], object]) -> Iterator[None]:
    """The first process that reaches a point stands there while something else happens."""
    waits = [point]

    def stand(reached: str) -> None:
        if reached in waits:
            waits.clear()
            meanwhile()

    with hooked(stand):
        yield


def refused(error: SeamlineError) -> bool:
    return error.condition is Condition.WRITER_CONFLICT


@pytest.mark.parametrize("writes", [False, True], ids=["only opened it", "wrote"])
@pytest.mark.parametrize("point", ["archive.before-delta", "archive.after-check"])
def test_who_wakes_before_its_delta_commit_makes_none(lake: Lake, point: str, writes: bool) -> None:
    old, new = opened(lake), list[Archive]()
    file(old, 0)
    stood = list[int]()

    def meanwhile() -> None:
        new.append(opened(lake))
        if writes:
            file(new[0], 1)
        stood.append(newest(lake))

    with frozen_at(point, meanwhile), pytest.raises(ConflictError) as caught:
        file(old, 1)
    assert refused(caught.value)
    assert [newest(lake)] == stood
    file(new[0], 2 if writes else 1)
    assert offsets(lake) == ([0, 1, 2] if writes else [0, 1])


def test_who_wakes_after_its_delta_commit_is_undone_by_who_took_over(lake: Lake) -> None:
    old = opened(lake)
    file(old, 0)
    new = list[Archive]()
    with frozen_at("archive.after-delta", lambda: new.append(opened(lake))), pytest.raises(ConflictError) as caught:
        file(old, 1)
    assert refused(caught.value)
    file(new[0], 1)
    file(new[0], 2)
    assert offsets(lake) == [0, 1, 2]


def test_who_wakes_and_begins_anew_restores_nothing(lake: Lake) -> None:
    old = opened(lake)
    file(old, 0)

    def away() -> None:
        raise TransientError(Condition.BROKER_UNAVAILABLE, "gone")

    old.check = away
    with pytest.raises(TransientError):
        file(old, 1)
    new = opened(lake)
    file(new, 1)
    stood = newest(lake)
    with pytest.raises(ConflictError) as caught:
        old.begin(old.origin)
    assert refused(caught.value)
    assert newest(lake) == stood
    file(new, 2)
    assert offsets(lake) == [0, 1, 2]


def fence(lake: Lake) -> Fence:
    """Of who claims the log now."""
    return Fence.of(Writer.take(lake.archive_log("main"), Claim(at=system_clock(), holder="test")))


def written(lake: Lake, name: str) -> list[RawFile]:
    return [RawFile(TABLE, f"{TABLE}/_event_date=2026-01-01/{name}.parquet", "2026-01-01", 10, 1, 1)]


ACTIONS: dict[str, Callable[[Lake, RawTable], object]] = {
    "adds": lambda lake, table: table.add(written(lake, "late")),
    "restores": lambda _, table: table.restore(1),
    "adds columns": lambda lake, table: table.fit(make_shelves([wider()], [], "main")[0].schema(lake.kernel())),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_delta_itself_refuses_a_commit_under_an_older_claim(lake: Lake, action: str) -> None:
    schema = make_shelves([CLICKS], [], "main")[0].schema(lake.kernel())
    mine = fence(lake)
    old = RawTable(lake, TABLE, schema, fence=mine)
    old.restore(0)
    old.add(written(lake, "a"))
    old.add(written(lake, "b"))
    new = RawTable(lake, TABLE, schema, fence=fence(lake))
    new.restore(2)
    stood = newest(lake)
    again = RawTable(lake, TABLE, schema, fence=mine)
    for attempt in (lambda: ACTIONS[action](lake, old), lambda: again.restore(1)):
        with pytest.raises(ConflictError) as caught:
            attempt()
        assert refused(caught.value)
    assert newest(lake) == stood
    assert new.add(written(lake, "c")) == stood + 1


def test_small_files_put_together_by_who_lost_its_claim_get_into_no_entry(lake: Lake) -> None:
    old = opened(lake)
    for number in range(3):
        file(old, number)
    new = opened(lake)
    table, stood = old.tables[TABLE], newest(lake)
    with pytest.raises(ConflictError) as caught:
        table.swap([(table.listed, table.join(table.listed))])
    assert refused(caught.value)
    assert newest(lake) == stood
    file(new, 3)
    assert offsets(lake) == [0, 1, 2, 3]


def rows_go(lake: Lake) -> None:
    """From the newest version, by a process that carries no claim."""
    DeltaTable(lake.absolute(TABLE)).restore(1)


def rows_come(lake: Lake) -> None:
    """To the newest version: those that stand there, once more."""
    table = RawTable(lake, TABLE)
    here = Path(lake.absolute(table.files()[0]))
    shutil.copy(here, here.with_name("copy.parquet"))
    table.add(written(lake, "copy"))


@pytest.mark.parametrize("stray", [rows_go, rows_come])
def test_a_version_that_another_process_made_is_never_named_by_upkeep(
    lake: Lake, stray: Callable[[Lake], None]
) -> None:
    archive = opened(lake)
    for number in range(25):
        file(archive, number)
    (Path(lake.absolute(TABLE)) / "_event_date=2026-01-01" / "orphan.parquet").write_bytes(b"")
    age(lake, 8)
    stray(lake)
    archive.vacuum()
    assert offsets(lake) == list(range(25))
    with pytest.raises(TransientError) as caught:
        archive.maintain()
    assert refused(caught.value)
    assert offsets(lake) == list(range(25))
    again = opened(lake)
    file(again, 25)
    assert offsets(lake) == list(range(26))


STEPS: dict[str, Callable[[Archive], object]] = {
    "records come": lambda archive: file(archive, 2),
    "a column comes": lambda archive: archive.use(make_shelves([wider()], [CLICKS], "main")),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("stray", [rows_go, rows_come])
def test_a_version_that_another_process_made_is_not_named_when(
    lake: Lake, stray: Callable[[Lake], None], step: str
) -> None:
    archive = opened(lake)
    file(archive, 0)
    file(archive, 1)
    stray(lake)
    with pytest.raises(TransientError) as caught:
        STEPS[step](archive)
    assert refused(caught.value)
    again = open_archive(lake, [wider()], [CLICKS])
    file(again, 2)
    assert offsets(lake) == [0, 1, 2]


def test_an_attempt_without_an_entry_is_given_up_before_changed_contracts_are_filed_by(lake: Lake) -> None:
    archive = opened(lake)
    refused_before = b'{"id": "7", "ts": "2026-01-02T00:00:00Z", "n": "7"}'
    archive.run_batch(tasks(records([event(0), refused_before])))

    def away() -> None:
        raise TransientError(Condition.BROKER_UNAVAILABLE, "gone")

    archive.check = away
    with pytest.raises(TransientError):
        file(archive, 2)
    archive.check = lambda: None
    archive.use(make_shelves([contract(n="string")], [CLICKS], "main"))
    assert offsets(lake) == [0, 1, 1], "filed again by the mended contract, and nothing that has no entry"
    archive.begin(archive.origin)
    file(archive, 2)
    assert offsets(lake) == [0, 1, 1, 2]


# ---------------------------------------------------------------- what is deleted


def test_who_wakes_to_delete_after_another_took_over_deletes_nothing(lake: Lake) -> None:
    old = opened(lake)
    file(old, 0)
    new = opened(lake)
    for number in range(1, 25):
        file(new, number)
    new.maintain()
    file(new, 25)
    age(lake, 8)
    stood = set(Path(lake.absolute(TABLE)).rglob("*.parquet"))
    with pytest.raises(ConflictError) as caught:
        old.vacuum()
    assert refused(caught.value)
    assert set(Path(lake.absolute(TABLE)).rglob("*.parquet")) == stood
    assert offsets(lake) == list(range(26))


def test_who_is_frozen_between_what_it_will_delete_and_doing_so_deletes_nothing(lake: Lake) -> None:
    old = opened(lake)
    file(old, 0)
    orphan = Path(lake.absolute(TABLE)) / "_event_date=2026-01-01" / "orphan.parquet"
    orphan.write_bytes(b"")
    age(lake, 8)

    def meanwhile() -> Sequence[str]:
        file(opened(lake), 1)
        age(lake, 8)
        return ()

    with pytest.raises(ConflictError) as caught:
        old.vacuum(meanwhile)
    assert refused(caught.value)
    assert orphan.exists()
    assert offsets(lake) == [0, 1]


def test_only_what_is_old_and_nobody_asks_for_is_deleted(lake: Lake) -> None:
    archive, inbox = opened(lake), Inbox(lake, "main")
    file(archive, 0)
    shelves = [shelf for shelf in archive.shelves if shelf.contract]
    seen = gather(file_records(archive.engine, lake, shelves, records([event(5)], source="import:f")))
    asked = [RawFile(**one) for one in seen.files]
    inbox.put(
        Imported(source="import:f", contract="clicks", rows=1), asked, {"clicks": Counts(read=1, counted=1)}, [TABLE]
    )
    age(lake, 8)
    folder = Path(lake.absolute(TABLE)) / "_event_date=2026-01-01"
    for name, days in (("old", 1.6), ("young", 1.4)):
        (folder / f"{name}.parquet").write_bytes(b"")
        age(lake, days, f"{name}.parquet")
    assert archive.vacuum(inbox.files) == [f"{TABLE}/_event_date=2026-01-01/old.parquet"]
    assert (folder / "young.parquet").exists()
    assert not (folder / "old.parquet").exists()
    assert archive.take_all(inbox) == 1
    assert offsets(lake) == [0, 0]


def test_what_was_put_together_lately_stays_for_those_who_read_the_version_before(lake: Lake) -> None:
    archive = opened(lake)
    for number in range(25):
        file(archive, number)
    before = archive.tables[TABLE].version
    assert archive.maintain() is not None
    age(lake, 8)
    assert archive.vacuum() == []
    uris = DeltaTable(lake.absolute(TABLE), version=before).file_uris()
    assert all(Path(uri).exists() for uri in uris)


def test_the_version_that_the_ledger_names_can_be_opened_until_the_next_one_is_named(lake: Lake) -> None:
    schema = make_shelves([CLICKS], [], "main")[0].schema(lake.kernel())
    table = RawTable(lake, TABLE, schema, fence=fence(lake))
    while table.version < 198:
        table.add(written(lake, f"f{table.version}"))
    log = Path(lake.absolute(TABLE)) / "_delta_log"
    for path in log.iterdir():  # the stream sleeps for longer than Delta keeps its log
        os.utime(path, times=(time.time() - 40 * DAY,) * 2)
    table.add(written(lake, "last"))
    assert (log / f"{199:020}.checkpoint.parquet").exists()
    assert len(DeltaTable(lake.absolute(TABLE), version=198).file_uris()) == 198
    assert len(DeltaTable(lake.absolute(TABLE)).file_uris()) == 199


def test_a_table_that_was_taken_over_stands_in_the_ledger_as_it_stands(lake: Lake) -> None:
    file(opened(lake), 0)
    for _ in range(3):
        opened(lake)
        assert ArchiveHistory(lake.archive_log("main")).tables[TABLE] == newest(lake)
    assert offsets(lake) == [0]


def test_a_ledger_that_was_put_back_to_a_copy_decides_over_what_its_tables_carry(lake: Lake, tmp_path: Path) -> None:
    file(opened(lake), 0)
    ledger, copy = Path(lake.uri) / "ledger", tmp_path / "copy"
    shutil.copytree(ledger, copy)
    for number in range(1, 4):
        file(opened(lake), number)
    shutil.rmtree(ledger)
    shutil.copytree(copy, ledger)
    archive = opened(lake)
    assert offsets(lake) == [0]
    file(archive, 1)
    assert offsets(lake) == [0, 1]
