"""Whoever opens a speed log from a snapshot knows what its entries say, however they come and go meanwhile."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import obstore
import pytest
from stream_parts import memory_lake, open_speed, records
from test_speed import CLICKS, event

from seamline.clock import ManualClock
from seamline.commitpoint import hooked
from seamline.config import Settings
from seamline.entries.base import Counts
from seamline.entries.speed import Epoch, Retired, SpeedSnapshot
from seamline.errors import Condition, SeamlineError
from seamline.frontier import Frontier, Partition
from seamline.history.base import read_on
from seamline.history.speed import SpeedHistory
from seamline.ledger import HELD_GRACE
from seamline.schemas.catalogue import Catalogue
from seamline.streaming.gathered import gather
from seamline.streaming.reach import Reach
from seamline.streaming.speed.epoch import Speed, commit_epoch
from seamline.streaming.speed.maintenance import Maintenance
from seamline.streaming.tasks import POSITIONS, Job, Task, decode_task

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
BEAT = timedelta(minutes=1)
EVERY = 5
"""Entries from one snapshot to the next."""


PARTITION = Partition("clicks@1", 0)


def at(offset: int) -> Frontier:
    return Frontier({PARTITION: offset})


class Killed(Exception):
    """The process is gone."""


class Speeding:
    """The writer of a speed log, with a clock that is moved: an epoch a minute, four segments put together to one."""

    def __init__(self, every: int = EVERY) -> None:
        self.lake, self.clock = memory_lake(), ManualClock(NOW)
        self.log, self.every, self.written = self.lake.speed_log("main"), every, 0
        self.claim()
        read = Task(self.speed.plan, partial(decode_task, job=Job(self.speed.frontier)))
        self.like = gather(read(records([event(0)])))
        """What the tasks make of one record: each epoch has the same."""

    def claim(self) -> None:
        """A new process takes the log over."""
        self.speed = open_speed(self.lake, [CLICKS], self.clock)
        settings = Settings(speed={"compact_epochs": 4})
        self.upkeep = Maintenance(self.speed, Catalogue(self.lake), settings, snapshot_every=self.every)

    def write(self, times: int, *, upkeep: bool = True) -> None:
        """So many epochs of one record, with the upkeep after each."""
        for _ in range(times):
            self.written += 1
            seen = replace(self.like, end=at(self.written), newest={PARTITION: self.clock()})
            commit_epoch(self.speed, seen, POSITIONS.empty_table(), self.clock())
            if upkeep:
                self.upkeep.after_epoch()
                self.upkeep.between_batches()
            self.clock.advance(BEAT)

    def kinds(self) -> Counter[str]:
        return Counter(type(entry).__name__ for _, entry in self.log.entries())


def said(history: SpeedHistory) -> dict[str, object]:
    """All that a reader makes use of."""
    (definition,) = next(iter(history.epochs.values())).files
    return {
        "reached": (history.frontier, history.last_epoch, history.beginning, history.origin),
        "epochs": {n: one.model_dump(exclude={"data"}) for n, one in history.epochs.items()},
        "ends": [(n, history.end_of(n)) for n in history.ends],
        "since": history.epochs.since(history.last_epoch),
        "segments": history.segments(definition),
        "chain": history.segments(definition, history.epochs[history.last_epoch].start, history.frontier),
        "ids": history.ids(1),
        "counted": (history.counts, history.newest, history.handovers),
    }


def plain(log: Any) -> dict[str, object]:
    """What all entries that stand say, without any snapshot."""
    return said(SpeedHistory(log, every=True))


# --- what it says


def test_a_log_that_is_opened_from_a_snapshot_says_what_all_its_entries_do() -> None:
    speeding, begun = Speeding(), 0
    for number in range(150):
        speeding.write(1)
        if number in (40, 90):
            speeding.claim()
        if number % 3 == 0:
            opened = SpeedHistory(speeding.log)
            assert said(opened) == plain(speeding.log) == said(speeding.speed.history)
            begun += bool(opened.snapshots)
    assert begun > 45
    assert {segment.level for segment in speeding.speed.history.compacted.values()} == {1, 2, 3}
    assert speeding.speed.history.snapshots.keys() <= set(speeding.log.numbers())
    assert speeding.kinds()["SpeedSnapshot"] < 12, "those before the newest go after ten minutes"


def test_a_snapshot_holds_no_data_and_what_it_names_can_be_read() -> None:
    speeding = Speeding()
    speeding.write(11)
    held = [one for _, one in speeding.log.entries() if isinstance(one, SpeedSnapshot)][-1]
    epochs, segments = held.opened("")
    assert epochs
    assert segments
    assert not [one for one in (*epochs, *segments) if one.data]
    assert not [one for one in segments if one.epochs]
    history = SpeedHistory(speeding.log)
    another_process = type(speeding.lake)(speeding.lake.uri, speeding.lake.store)
    (name,) = history.epochs[1].files
    for number in history.epochs:
        (table,) = another_process.packs.tables([history.epochs[number].file(name).path])
        assert table.num_rows == 1


def test_what_is_retired_after_a_snapshot_stands_no_more() -> None:
    speeding = Speeding()
    speeding.write(EVERY + 2)
    last = speeding.speed.history.last_epoch
    speeding.speed.writer.put(Retired(at=speeding.clock(), claim=speeding.speed.writer.claim, last=last - 1))
    opened = SpeedHistory(speeding.log)
    assert opened.snapshots
    assert (list(opened.epochs), dict(opened.compacted)) == ([last], {})
    speeding.speed.history.catch_up()
    speeding.upkeep.snapshot()
    again = SpeedHistory(speeding.log)
    assert said(again) | {"counted": again.counts} == said(opened) | {"counted": {"clicks": Counts(read=1, counted=1)}}


def test_opening_reads_as_many_entries_after_many_epochs_as_after_few(monkeypatch: pytest.MonkeyPatch) -> None:
    speeding, get, read = Speeding(), obstore.get, list[str]()
    monkeypatch.setattr(obstore, "get", lambda store, path: (read.append(path), get(store, path))[1])
    for _ in range(8):
        speeding.write(12)
        read.clear()
        SpeedHistory(speeding.log)
        assert len(set(read)) <= EVERY + 2
    read.clear()
    SpeedHistory(speeding.log, every=True)
    assert len(set(read)) > 3 * EVERY


# --- while entries come and go


def test_who_follows_from_below_a_snapshot_goes_on_from_it() -> None:
    speeding = Speeding()
    speeding.write(3)
    slow, follower = SpeedHistory(speeding.log), SpeedHistory(speeding.log)
    reach = Reach(speeding.log)
    reach.load()
    for _ in range(145):
        speeding.write(1)
        assert follower.catch_up()
    assert not speeding.log.stands(slow.number + 1)
    assert not slow.catch_up(), "what comes next is gone"
    assert read_on([slow], beyond=True)
    assert said(slow) == said(follower) == plain(speeding.log)
    assert reach.catch_up() == slow.frontier


@pytest.mark.parametrize("place", [0, 1, 2, 4])
def test_a_reader_whose_entries_go_while_it_reads_starts_over(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    speeding, get, asked = Speeding(), obstore.get, list[str]()
    speeding.write(30)

    def slow(store: Any, path: str) -> Any:
        asked.append(path)
        if len(asked) == place + 1:
            speeding.write(90)
        return get(store, path)

    with monkeypatch.context() as patched:
        patched.setattr(obstore, "get", slow)
        opened = SpeedHistory(speeding.log)
    read_on([opened], beyond=True)
    assert len(asked) > place
    assert said(opened) == plain(speeding.log)


def test_a_listing_of_before_a_removal_and_one_of_after_it_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """At each moment, entries after the newest snapshot that was there ten minutes ago all stand."""
    speeding = Speeding()
    for _ in range(120):
        speeding.write(1)
        history, now = speeding.speed.history, speeding.clock()
        found = [number for number, put in history.snapshots.items() if now - put > HELD_GRACE]
        if found:
            after = range(max(found), history.number + 1)
            assert set(after) <= set(speeding.log.numbers())


def test_an_idle_stream_puts_a_snapshot_before_what_stands_after_the_newest_goes() -> None:
    speeding = Speeding(every=20)
    speeding.write(24)
    before = speeding.kinds()
    assert before["SpeedSnapshot"] == 1
    stood = SpeedHistory(speeding.log)
    for _ in range(12):
        speeding.clock.advance(HOUR / 4)
        speeding.upkeep.between_batches()
        assert said(SpeedHistory(speeding.log)) == plain(speeding.log)
    after = speeding.kinds()
    assert (after["Epoch"], before["Epoch"]) == (len(speeding.speed.history.epochs.alone), 24)
    assert after["SpeedSnapshot"] == 1, "and no more of them"
    number = speeding.log.last()
    speeding.clock.advance(HOUR)
    speeding.upkeep.between_batches()
    assert speeding.log.last() == number, "at rest nothing is put"
    assert SpeedHistory(speeding.log).frontier == stood.frontier


@pytest.mark.parametrize("point", ["snapshot.after-entry", "sweep.after-files", "sweep.after-held"])
def test_a_process_that_dies_between_snapshot_and_removal_leaves_a_log_that_its_successor_goes_on_with(
    point: str,
) -> None:
    speeding = Speeding()
    speeding.write(40)
    deaths = 0

    def dies(reached: str) -> None:
        if reached == point:
            raise Killed

    while deaths < 6:
        try:
            with hooked(dies):
                speeding.write(1)
        except Killed:
            deaths += 1
            assert said(SpeedHistory(speeding.log)) == plain(speeding.log)
            speeding.claim()
            speeding.clock.advance(HELD_GRACE)
    speeding.write(20)
    assert said(SpeedHistory(speeding.log)) == plain(speeding.log) == said(speeding.speed.history)
    assert speeding.speed.history.counts["clicks"].counted == speeding.speed.history.last_epoch


def test_a_writer_that_slept_is_refused_below_a_snapshot() -> None:
    slept = Speeding()
    slept.write(2)
    frozen = slept.speed
    slept.claim()
    slept.write(90)
    assert frozen.writer.last + 1 in slept.log.numbers(), "the claim after its last entry stays"
    assert frozen.writer.last not in slept.log.numbers()
    for put in (frozen.history.summed(1, slept.clock()), epoch_of(frozen)):
        with pytest.raises(SeamlineError) as refused:
            frozen.writer.put(put)
        assert refused.value.condition is Condition.WRITER_CONFLICT
    assert SpeedHistory(slept.log).last_epoch == 92


def epoch_of(speed: Speed) -> Epoch:
    return Epoch(at=NOW, number=3, claim=1, start=speed.history.frontier, end=speed.history.frontier, files={})


def test_epochs_whose_segment_is_gone_since_the_log_was_read_are_told_as_gone() -> None:
    speeding = Speeding()
    speeding.write(11)
    asleep = SpeedHistory(speeding.log)
    speeding.write(15)
    for _ in range(4):
        speeding.clock.advance(HOUR)
        speeding.upkeep.between_batches()
    with pytest.raises(SeamlineError) as gone:
        asleep.epochs[2]
    assert gone.value.condition is Condition.OUT_OF_RETENTION
