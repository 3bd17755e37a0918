"""A log is opened from what holds all before it: what it adds up to is the same, and the entries below may go."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from seamline.clock import ManualClock
from seamline.entries.archive import Archived, Imported, Maintained, Touched
from seamline.entries.base import Claim, Counts, EntryBase
from seamline.entries.views import DefinitionRecord, Handover, Published
from seamline.errors import Condition, SeamlineError
from seamline.frontier import Frontier, Partition
from seamline.history.archive import FINE, REMEMBERED, ArchiveHistory, coarsened
from seamline.history.base import read_on
from seamline.history.views import KEPT_STATES, ViewHistory
from seamline.ledger import HELD_GRACE, Log, Writer
from seamline.streaming.archive.snapshots import SNAPSHOT_EVERY, Snapshots
from seamline.streaming.reach import Reach

NOW = datetime(2026, 1, 2, tzinfo=UTC)
DAY = date(2026, 1, 1)
BEAT = timedelta(seconds=2)


def at(offset: int) -> Frontier:
    return Frontier({Partition("t@1", 0): offset} if offset else {})


def archived(number: int, when: datetime, **named: Any) -> Archived:
    given: dict[str, Any] = {
        "start": at(10 * number - 10), "end": at(10 * number), "tables": {"a": number},
        "dates": {"a": (DAY + timedelta(number % 50),)}, "counts": {"c": Counts(read=2, counted=1, rejected=1)},
    }  # fmt: skip
    return Archived(at=when, claim=1, **{**given, **named})


class Archiving:
    """The writer of an archive's log, with a clock that is moved."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.log = Log(MemoryStore(), "archive/main")
        self.claim()
        self.written = 0

    def claim(self) -> None:
        self.writer = Writer.take(self.log, Claim(at=self.clock(), holder="archive"))
        self.history = ArchiveHistory(self.log)
        self.snapshots = Snapshots(self.history, self.writer, self.clock)

    def write(self, times: int, *, keep: bool = True) -> None:
        """So many entries, two seconds after each other, with the upkeep after each."""
        for _ in range(times):
            self.written += 1
            self.writer.put(archived(self.written, self.clock()))
            self.history.catch_up()
            if keep:
                self.snapshots.keep()
            self.clock.advance(BEAT)


def said(history: ArchiveHistory) -> tuple[object, ...]:
    return history.frontier, history.tables, history.counts, history.imports, history.claims, history.begun


# --- the archive's log


def test_an_archive_that_is_opened_from_a_snapshot_says_what_its_entries_did() -> None:
    plain, summed = Archiving(), Archiving()
    for one in (plain, summed):
        one.write(10, keep=one is summed)
        taken = Imported(source="import:x", contract="c", rows=3)
        one.writer.put(archived(10, one.clock(), start=at(100), end=at(100), imports=(taken,)))
        one.writer.put(Maintained(at=one.clock(), claim=1, tables={"b": 7}))
        one.history.catch_up()
        one.claim()
        one.write(600, keep=one is summed)
    assert plain.history.snapshot is None
    assert summed.history.snapshot is not None
    every = said(plain.history)
    assert said(summed.history) == said(ArchiveHistory(summed.log)) == every
    assert said(ArchiveHistory(summed.log))[3] == {"import:x": Imported(source="import:x", contract="c", rows=3)}
    assert Reach(summed.log).load() == plain.history.frontier


def test_what_stands_of_an_archives_log_follows_no_number_of_entries() -> None:
    stand = {}
    for entries in (3_000, 12_000):
        archiving = Archiving()
        archiving.write(entries)
        stand[entries] = len(archiving.log.numbers())
        touched = len(archiving.history.touched)
        assert touched < 250, f"{touched} parts of {entries}"
    grace = HELD_GRACE // BEAT
    assert all(number < grace + 3 * SNAPSHOT_EVERY for number in stand.values())


def test_claims_stay_and_a_writer_that_slept_is_refused_below_a_snapshot() -> None:
    slept = Archiving()
    slept.write(5)
    frozen = slept.writer
    slept.claim()
    slept.write(2_000)
    assert slept.log.numbers()[:2] == [1, 7], "its claim, and the one after its last entry"
    with pytest.raises(SeamlineError) as refused:
        frozen.put(archived(6, slept.clock()))
    assert refused.value.condition is Condition.WRITER_CONFLICT


def test_an_archive_that_dies_after_a_snapshot_goes_on_from_it_and_removes_what_it_holds() -> None:
    archiving = Archiving()
    archiving.write(SNAPSHOT_EVERY + 5)
    archiving.claim()
    archiving.clock.advance(2 * HELD_GRACE)
    before = archiving.log.numbers()
    archiving.snapshots.keep()
    assert archiving.history.snapshot is not None
    number = archiving.history.snapshot[0]
    assert archiving.log.numbers() == [one for one in before if one >= number or one == 1]
    assert ArchiveHistory(archiving.log).frontier == archiving.history.frontier


def test_who_follows_from_below_a_snapshot_goes_on_from_it() -> None:
    archiving = Archiving()
    archiving.write(3)
    slow, reach = ArchiveHistory(archiving.log), Reach(archiving.log)
    reach.load()
    archiving.write(2_000)
    assert not archiving.log.stands(slow.number + 1)
    assert not slow.catch_up(), "what comes next is gone"
    assert read_on([slow], beyond=True)
    assert said(slow) == said(archiving.history)
    assert slow.touched == ArchiveHistory(archiving.log).touched
    assert reach.catch_up() == archiving.history.frontier


def test_a_reader_whose_entries_go_while_it_reads_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    archiving, get = Archiving(), obstore.get
    archiving.write(20)
    done = []

    def slow(store: Any, path: str) -> Any:
        if path == archiving.log.path(12) and not done:
            done.append(path)
            archiving.write(2_000)
        return get(store, path)

    monkeypatch.setattr(obstore, "get", slow)
    assert said(ArchiveHistory(archiving.log)) == said(archiving.history)
    assert done


def test_opening_an_archive_reads_as_much_after_many_entries_as_after_few(monkeypatch: pytest.MonkeyPatch) -> None:
    read, get = Counter[int](), obstore.get
    monkeypatch.setattr(obstore, "get", lambda store, path: (read.update([total]), get(store, path))[1])
    for total in (500, 5_000):
        archiving = Archiving()
        archiving.write(total)
        read.clear()
        ArchiveHistory(archiving.log)
        assert 0 < read[total] <= SNAPSHOT_EVERY + 2


# --- what was touched, told together


def touches(number: int, seconds: int, start: int, width: int, day: int, beside: bool) -> Touched:
    when = NOW + timedelta(seconds=seconds)
    return Touched(
        number=number, since=when, at=when, start=at(start), end=at(start + width),
        dates={"a": (DAY + timedelta(day),)}, beside=beside,
    )  # fmt: skip


@st.composite
def logs_of_touches(draw: st.DrawFn) -> tuple[list[Touched], datetime]:
    random_ = random.Random(draw(st.integers(0, 2**32)))
    seconds = offset = 0
    found = []
    for number in range(1, draw(st.integers(1, 60)) + 1):
        seconds += random_.choice((1, 2, 60, 3_600, 86_400))
        width = random_.choice((0, 1, 10))
        found.append(
            touches(number, seconds, offset, width, random_.randrange(20), random_.random() < 0.2 or not width)
        )
        offset += width
    return found, found[-1].at + timedelta(seconds=draw(st.integers(0, 10**6)))


@given(logs_of_touches())
def test_parts_told_together_cover_what_each_said_and_no_more_of_the_past_than_a_share(
    given: tuple[list[Touched], datetime],
) -> None:
    touched, now = given
    parts = coarsened(touched, now)
    assert [one.number for one in parts] == sorted({one.number for one in parts})
    assert parts[-1].number == touched[-1].number
    within = {part.number: [] for part in parts}
    for one in touched:
        within[next(part.number for part in parts if one.number <= part.number)].append(one)
    for part in parts:
        mine = within[part.number]
        assert (part.start, part.end, part.beside) == (mine[0].start, mine[-1].end, any(one.beside for one in mine))
        assert (part.since, part.at) == (mine[0].at, mine[-1].at)
        old = now - part.at > REMEMBERED
        assert old == (part.dates is None)
        assert old or len(mine) == 1 or part.at - part.since <= (now - part.at) / FINE
        assert old or set(part.dates["a"]) == {day for one in mine for day in (one.dates or {})["a"]}
    assert coarsened(parts, now) == parts, "twice is as once"


# --- a view's log


def published(version: int, when: datetime, **named: Any) -> Published:
    records = (DefinitionRecord(definition="d", sql="", contracts={}),)
    given: dict[str, Any] = {"definitions": records, "live": ("d",), "served": "d", "version": version}
    return Published(at=when, view="v", **{**given, **named})


def put(log: Log, *states: EntryBase) -> ViewHistory:
    for state in states:
        history = ViewHistory(log)
        log.put_last(history.number + 1, history.whole(state) if isinstance(state, Published) else state)
    return ViewHistory(log)


def test_the_newest_state_of_a_view_holds_those_before_it() -> None:
    log = Log(MemoryStore(), "views/v")
    handed = DefinitionRecord(definition="e", sql="", contracts={}, handovers={"c": (Handover(id="h", before=""),)})
    history = put(
        log, published(1, NOW, reason="applied"), published(2, NOW), published(3, NOW, definitions=(handed,)),
        published(2, NOW), published(4, NOW),
    )  # fmt: skip
    every = dict(history.states)
    for number in (1, 2, 3, 4):
        log.remove(number)
    alone = ViewHistory(log)
    assert dict(alone.states) == every
    assert [(one.version, one.reason, one.handovers) for one in every.values()] == [
        (1, "applied", {}), (2, "", {}), (3, "", {"e": ("h",)}), (2, "", {}), (4, "", {}),
    ]  # fmt: skip
    assert alone.definitions == {"d", "e"}
    assert alone.stood("d") == {1, 2, 4}, "3 was gone back from"


def test_a_state_holds_so_many_of_those_before_it_and_no_more() -> None:
    log = Log(MemoryStore(), "views/v")
    history = ViewHistory(log)
    for number in range(1, KEPT_STATES + 20):
        log.put_last(number, history.whole(published(number, NOW)))
        history.catch_up()
    assert [one.version for one in ViewHistory(log).states.values()] == list(range(19, KEPT_STATES + 20))


def test_who_decided_on_a_state_and_slept_while_it_went_is_refused_and_read_by_nobody() -> None:
    log = Log(MemoryStore(), "views/v")
    put(log, published(1, NOW), published(2, NOW))
    asleep = ViewHistory(log)
    late = asleep.whole(published(99, NOW))
    put(log, published(3, NOW), published(4, NOW), published(5, NOW))
    for number in (1, 2, 3, 4):
        log.remove(number)
    with pytest.raises(SeamlineError) as refused:
        log.put_last(3, late)
    assert refused.value.condition is Condition.LEDGER_CONFLICT


def test_who_slept_between_its_look_and_its_put_is_refused_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log(MemoryStore(), "views/v")
    put(log, published(1, NOW), published(2, NOW))
    asleep = ViewHistory(log)
    late, follower, last = asleep.whole(published(99, NOW)), ViewHistory(log), Log.last

    def then_sleeps(self: Log) -> int:
        found = last(self)
        monkeypatch.setattr(Log, "last", last)
        put(log, published(3, NOW), published(4, NOW), published(5, NOW))
        for number in (1, 2, 3, 4):
            log.remove(number)
        return found

    monkeypatch.setattr(Log, "last", then_sleeps)
    with pytest.raises(SeamlineError) as refused:
        log.put_last(3, late)
    assert refused.value.condition is Condition.LEDGER_CONFLICT
    assert log.stands(3), "it stands, and counts for nothing"
    assert follower.catch_up()
    for history in (follower, ViewHistory(log)):
        assert history.state is not None
        assert history.state.version == 5
        assert 99 not in [one.version for one in history.states.values()]
