"""Of raw tables goes what nobody reads any more, and nothing else: whoever may read a version reads what it read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from batch_parts import version
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st
from raw_world import TABLE, World
from stream_parts import NOW, event, records

from seamline.commitpoint import hooked
from seamline.entries.archive import Imported
from seamline.entries.base import Counts
from seamline.entries.batch import Reserved, Version, Withdrawn
from seamline.errors import ConflictError
from seamline.frontier import START
from seamline.lake import Lake
from seamline.sides.raw import RawFile
from seamline.streaming.archive.archive import RETENTION
from seamline.streaming.archive.filing import file_records
from seamline.streaming.archive.inbox import Inbox
from seamline.streaming.archive.vacuum import Standing
from seamline.streaming.gathered import gather

HOUR = timedelta(hours=1)
LATER = RETENTION * 1.5 + HOUR
"""After so long without a reader, what is not needed goes."""


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(Lake.open(str(tmp_path / "lake")))


def pin(world: World, entry: Version | Reserved | Withdrawn) -> None:
    log = world.lake.batch_log("d")
    log.put(max(log.numbers(), default=0) + 1, entry)


def reserved(world: World, until: datetime) -> Reserved:
    tables = {TABLE: world.newest()}
    return Reserved(at=world.now, run="run", cut=START, until=until, archive_entry=1, tables=tables)


def growing(world: World, batches: int = 14) -> None:
    """So many, put together on the way, so that files go."""
    for number in range(batches):
        world.batch(number)
    world.archive.maintain()
    world.stamp()


def data(world: World) -> set[Path]:
    return set(world.folder.rglob("_event_date=*/*"))


def live(world: World) -> set[Path]:
    return {Path(uri) for uri in DeltaTable(str(world.folder)).file_uris()}


def readable(world: World) -> list[int]:
    """Versions that the ledger has named within retention."""
    ends = [at for at, _ in [*world.named.values()][1:]]
    return [one for one, end in zip(world.named, [*ends, world.now], strict=True) if end >= world.now - RETENTION]


def can_read(world: World, at: int) -> bool:
    """A version with all its files."""
    try:
        uris = DeltaTable(str(world.folder), version=at).file_uris()
    except Exception:  # noqa: BLE001 - deltalake raises its own kinds
        return False
    return all(Path(uri).exists() for uri in uris)


# ---------------------------------------------------------------- days of it


@pytest.mark.thorough
def test_over_days_objects_follow_retention_and_every_version_that_may_be_read_is_whole(world: World) -> None:
    """A version that was named within retention, and each that a batch version read, of which one is withdrawn."""
    pins, step, most = dict[int, int](), timedelta(minutes=40), 0
    for number in range(140):
        world.batch(number, step)
        if number in (20, 100):
            pins[world.newest()] = len(world.truth)
            pin(world, version(0, tables={TABLE: world.newest()}))
        world.archive.maintain()
        world.stamp()
        if number % 16 == 15:
            world.archive.vacuum()
            world.check()
            for one in readable(world)[::9]:
                assert world.rows(one) == world.truth[: world.named[one][1]]
            most = max(most, len(data(world)))
    for one, rows in pins.items():
        assert world.rows(one) == world.truth[:rows]
    batches = RETENTION // step
    assert most <= 2 * 1.5 * batches * 1.2 + 4 * 12 * (1 + len(pins)), "two files a batch, and what is put together"
    first, second = sorted(pins)
    commits = {int(path.stem) for path in world.folder.glob("_delta_log/*.json")}
    assert {one for one in commits if one < 100} == set(range(first + 1)), "what only the older pin needs"
    assert set(range(100, world.newest() + 1)) <= commits
    assert first < 99 < second
    pin(world, Withdrawn(at=world.now, definition="d", below=2))
    world.archive.vacuum()
    assert [can_read(world, one) for one in sorted(pins)] == [False, True]
    assert min(int(path.stem) for path in world.folder.glob("_delta_log/*.json")) == 100
    world.check()


# ---------------------------------------------------------------- what holds a version


def test_what_was_put_together_goes_once_retention_is_over(world: World) -> None:
    growing(world)
    before = data(world)
    assert world.archive.vacuum() == []
    world.batch(20, HOUR)
    world.now += RETENTION * 1.4
    assert world.archive.vacuum() == []
    world.now += RETENTION
    gone = world.archive.vacuum()
    assert {world.folder.parent.parent / path for path in gone} == before - live(world) != set()
    assert data(world) == live(world)
    world.check()


HOLDS: dict[str, Callable[[World], object]] = {
    "a batch version": lambda world: pin(world, version(0, tables={TABLE: world.newest()})),
    "a reservation": lambda world: pin(world, reserved(world, world.now + 3 * LATER)),
}


@pytest.mark.parametrize("held", HOLDS)
def test_a_version_stays_whole_for(world: World, held: str) -> None:
    for number in range(11):
        world.batch(number)
    HOLDS[held](world)
    at, rows = world.newest(), len(world.truth)
    growing(world)
    world.batch(90, LATER)
    world.batch(91, LATER)
    assert world.archive.vacuum() != []
    assert world.rows(at) == world.truth[:rows]
    world.check()


LETS_GO: dict[str, Callable[[World], object]] = {
    "a version that is withdrawn": lambda world: (
        pin(world, version(0, tables={TABLE: world.newest()})),
        pin(world, Withdrawn(at=world.now, definition="d", below=2)),
    ),
    "a reservation that has run out": lambda world: pin(world, reserved(world, world.now + HOUR)),
}


@pytest.mark.parametrize("held", LETS_GO)
def test_a_version_is_not_held_by(world: World, held: str) -> None:
    for number in range(11):
        world.batch(number)
    LETS_GO[held](world)
    at = world.newest()
    growing(world)
    world.batch(90, LATER)
    world.batch(91, LATER)
    world.archive.vacuum()
    assert not can_read(world, at)
    world.check()


def test_a_reservation_put_while_files_are_chosen_finds_its_version(world: World) -> None:
    """It was decided while that version was the newest, less than a retention ago."""
    growing(world)
    world.batch(20, RETENTION * 0.9)
    at, rows = world.newest(), len(world.truth)
    growing(world)
    world.now += RETENTION * 0.9

    def meanwhile() -> Sequence[str]:
        pin(world, reserved(world, world.now + HOUR))
        return ()

    world.archive.vacuum(meanwhile)
    assert world.rows(at) == world.truth[:rows]


def test_old_files_that_were_put_together_lately_stay(world: World) -> None:
    """Nothing but the log says that they went a short while ago."""
    for number in range(14):
        world.batch(number)
    at = world.newest()
    world.now += 10 * RETENTION
    world.archive.maintain()
    world.stamp()
    world.batch(20, RETENTION / 2)
    world.now += RETENTION / 4
    world.archive.vacuum()
    assert world.rows(at) == world.truth[: world.named[at][1]]
    world.now += RETENTION
    world.archive.vacuum()
    assert not can_read(world, at)


def test_a_version_that_was_named_until_the_entry_after_a_commit_stays(world: World) -> None:
    """The commit is older than retention, and the entry that names it is not."""
    for number in range(14):
        world.batch(number)
    at = world.newest()
    world.now += 10 * RETENTION

    def slowly(reached: str) -> None:
        if reached == "archive.after-swap":
            world.stamp()
            world.now += 2 * HOUR

    with hooked(slowly):
        world.archive.maintain()
    world.stamp()
    world.now += RETENTION - HOUR
    world.archive.vacuum()
    assert world.rows(at) == world.truth[: world.named[at][1]]


def test_a_stream_that_slept_keeps_the_version_that_is_named(world: World) -> None:
    growing(world)
    world.now += 40 * RETENTION
    world.archive.vacuum()
    world.check()
    world.restarted()
    world.check()
    world.batch(50)
    world.check()


# ---------------------------------------------------------------- deaths


class Killed(BaseException):
    pass


@pytest.mark.parametrize("point", ["archive.after-delta", "archive.after-settled", "archive.after-swap"])
def test_killed_and_started_again_long_after_it_has_the_same_rows(world: World, point: str) -> None:
    def die(reached: str) -> None:
        if reached == point:
            raise Killed

    growing(world)
    world.batch(20, LATER)
    truth = list(world.truth)
    steps: dict[str, Callable[[], Any]] = {
        "archive.after-delta": lambda: world.batch(21),
        "archive.after-settled": world.archive.vacuum,
        "archive.after-swap": lambda: growing(world),
    }
    with hooked(die), pytest.raises(Killed):
        steps[point]()
    world.stamp()
    if point == "archive.after-swap":
        truth = list(world.truth)
    world.now += LATER
    world.restarted()
    assert world.rows() == truth
    world.now += LATER
    world.archive.vacuum()
    assert world.rows() == truth
    world.truth = truth
    world.batch(22)
    world.check()
    world.now += LATER
    world.batch(23)
    world.archive.vacuum()
    world.check()
    assert data(world) == live(world), "what the dead one left goes too"


def test_an_import_that_waited_long_is_written_anew(world: World) -> None:
    world.batch(0)
    archive, inbox = world.archive, Inbox(world.lake, "main")
    shelves = [shelf for shelf in archive.shelves if shelf.contract]
    seen = gather(file_records(archive.engine, world.lake, shelves, records([event(5)], source="import:f")))
    asked = [RawFile(**one) for one in seen.files]
    counts = {"clicks": Counts(read=1, counted=1)}
    inbox.put(Imported(source="import:f", contract="clicks", rows=1), asked, counts, [TABLE])
    world.stamp()
    (request,) = inbox.requests()
    world.now = max(world.now, request.at) + RETENTION / 4 + HOUR
    assert archive.take_all(inbox) == 1
    world.stamp()
    paths = {file.path for file in archive.tables[TABLE].listed}
    assert not paths & {file.path for file in asked}
    assert ("import:f", 0, 0, event(5)) in world.rows()


def test_a_table_whose_commits_do_not_say_what_was_named_is_left_alone(world: World) -> None:
    growing(world)
    for path in (world.folder / "_delta_log").glob("*.json"):
        path.write_text(path.read_text().replace("seamline.named", "other"))
    world.now += 3 * LATER
    assert world.archive.vacuum() == []


def test_who_lost_its_claim_deletes_nothing(world: World) -> None:
    growing(world)
    world.batch(20, LATER)
    world.batch(21, LATER)
    old = world.archive
    world.restarted()
    stood = data(world)
    with pytest.raises(ConflictError):
        old.vacuum()
    assert data(world) == stood
    assert world.archive.vacuum() != []


# ---------------------------------------------------------------- of Delta's log


@given(
    st.integers(1, 60),
    st.sets(st.integers(0, 59), max_size=8),
    st.integers(0, 59),
    st.sets(st.integers(0, 59), max_size=4),
)
def test_of_the_log_stays_what_is_needed_to_read_and_no_commit_more(
    commits: int, checkpoints: set[int], oldest: int, pins: set[int]
) -> None:
    oldest %= commits
    checkpoints = {one for one in checkpoints if one < commits}
    pins = {one for one in pins if one < oldest}
    stands = Standing("t", {}, dict.fromkeys(range(commits), NOW), frozenset(checkpoints))
    gone = stands.log_unneeded(oldest, pins)
    left = [n for n in range(commits) if f"t/_delta_log/{n:020}.json" not in gone]
    bases = frozenset(n for n in checkpoints if f"t/_delta_log/{n:020}.checkpoint.parquet" not in gone)
    after = Standing("t", {}, dict.fromkeys(left, NOW), bases)
    assert all(after.can_be_read(one) for one in (*pins, *range(oldest, commits)))
    for one in [n for n in left if n <= stands.base(oldest)]:  # each of the older ones is of use
        without = Standing("t", {}, dict.fromkeys(set(left) - {one}, NOW), bases)
        assert not all(without.can_be_read(read) for read in (*pins, *range(oldest, commits)))
    assert after.log_unneeded(oldest, pins) == []
