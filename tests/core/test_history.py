"""What a log adds up to: epochs, archive, topics, versions and views, each told by its own entries alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore

from seamline.entries.archive import Archived, Imported, Maintained
from seamline.entries.base import Claim, Counts, DataFile, EntryBase
from seamline.entries.batch import Reserved, Version
from seamline.entries.speed import Compacted, Epoch, Memory, Retired
from seamline.entries.topics import Gone, TopicRead, Topics
from seamline.entries.views import Published
from seamline.errors import Condition, SeamlineError
from seamline.frontier import START, Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.topics import TopicsHistory
from seamline.history.views import ViewHistory
from seamline.ledger import Log

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def log_of(*entries: EntryBase) -> Log:
    log = Log(MemoryStore(), "one/log")
    for number, entry in enumerate(entries, 1):
        log.put(number, entry)
    return log


def at(offset: int) -> Frontier:
    return Frontier({Partition("t@1", 0): offset} if offset else {})


def file(path: str, rows: int = 1) -> DataFile:
    return DataFile(path=path, rows=rows)


def epoch(number: int, **named: Any) -> Epoch:
    """Epoch n covers (10(n-1), 10n] of one partition."""
    given: dict[str, Any] = {"start": at(10 * number - 10), "end": at(10 * number), "files": {"d": None}}
    return Epoch(at=NOW, number=number, claim=1, **{**given, **named})


def compacted(first: int, last: int, **named: Any) -> Compacted:
    given: dict[str, Any] = {"start": at(10 * first - 10), "end": at(10 * last), "files": {"d": None}}
    return Compacted(at=NOW, claim=1, first=first, last=last, **{**given, **named})


def retired(last: int, *replaced: tuple[int, int]) -> Retired:
    return Retired(at=NOW, claim=1, last=last, replaced=replaced)


def speed(*entries: EntryBase) -> SpeedHistory:
    return SpeedHistory(log_of(*entries))


# --- following a log


def test_a_look_takes_each_entry_once_however_it_looks() -> None:
    counted = {"c": Counts(read=1, counted=1)}
    log = log_of(Claim(at=NOW, holder="first"), epoch(1, counts=counted))
    history = SpeedHistory(log)
    assert history.claim is not None
    assert (history.claim[0], history.claim[1].holder) == (1, "first")
    for look in (history.load, history.catch_up):
        assert not look()
        log.put(log.last() + 1, epoch(log.last(), counts=counted))
        assert look()
        assert not look()
    assert history.counts == {"c": Counts(read=3, counted=3)}


@pytest.mark.parametrize("gone", [1, 2])
def test_an_entry_that_is_removed_between_listing_and_reading_was_not_read(
    gone: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, get = log_of(epoch(1), epoch(2)), obstore.get

    def removed(store: Any, path: str) -> Any:
        if path == log.path(gone):
            raise FileNotFoundError(path)
        return get(store, path)

    monkeypatch.setattr(obstore, "get", removed)
    history = SpeedHistory(log)
    assert (list(history.epochs), history.number) == ([3 - gone], {1: 2, 2: 1}[gone])


# --- the speed log


def test_epochs_add_up_to_a_frontier_counts_and_the_newest_timestamp() -> None:
    history = speed(
        epoch(1, counts={"c": Counts(read=2, counted=2)}, newest=NOW),
        epoch(2, counts={"c": Counts(read=1, rejected=1), "e": Counts(read=1, counted=1)}, newest=NOW - HOUR),
        epoch(3),
    )
    assert (history.frontier, history.last_epoch, history.origin, history.newest) == (at(30), 3, START, NOW)
    assert history.counts == {"c": Counts(read=3, counted=2, rejected=1), "e": Counts(read=1, counted=1)}
    assert speed(epoch(1, newest=NOW), epoch(2, newest=NOW + HOUR)).newest == NOW + HOUR
    assert (speed().last_epoch, speed().frontier, speed().newest) == (0, START, None)


def test_only_the_first_epoch_or_a_segment_of_it_says_where_the_stream_began() -> None:
    begun = {"start": at(5)}
    assert speed(epoch(1, **begun), epoch(2)).origin == at(5)
    assert speed(epoch(2)).origin is None
    assert speed(epoch(2), compacted(2, 3)).beginning is None
    assert speed(compacted(2, 3), compacted(1, 3, **begun)).beginning == at(5)
    assert speed(epoch(1, **begun), compacted(1, 3)).beginning == at(5)


def test_what_is_retired_stands_no_more_and_the_segment_that_stands_for_it_does() -> None:
    entries = (*(epoch(n) for n in range(1, 8)), compacted(1, 2), compacted(1, 3), compacted(4, 6))
    history = speed(*entries, retired(2, (4, 5)))
    assert sorted(history.epochs) == [3, 6, 7]
    assert sorted(history.compacted) == [(1, 3), (4, 6)]
    assert history.last_epoch == 7
    assert [n for n in range(10) if history.covers(n)] == [1, 2, 3, 4, 5, 6, 7]
    assert history.starts() == {1: at(0), 3: at(20), 4: at(30), 6: at(50), 7: at(60)}


def test_a_run_up_to_the_newest_epoch_ends_where_one_is_gone_or_does_not_hold() -> None:
    history = speed(epoch(1), epoch(3), epoch(4, files={}), epoch(5), epoch(6))
    assert [e.number for e in history.trailing(lambda e: True)] == [3, 4, 5, 6]
    assert [e.number for e in history.trailing(lambda e: "d" in e.files)] == [5, 6]
    assert history.trailing(lambda e: False) == []


def test_a_copy_may_be_unknown_where_an_epoch_does_not_say_that_its_decoding_remembers_all() -> None:
    def memory(whole: bool) -> Memory:
        return Memory(horizon=1, identity="i", spans=((1, "d"),), start=START, whole=whole)

    history = speed()
    for whole in (True, False):
        said = epoch(1, decodings=("d", "e"), memories={"d": memory(whole)})
        assert history.lacks(said, "d") is not whole
        assert history.lacks(said, "e"), "no ids of it are remembered"
    before = epoch(1, decodings=("d",))
    assert not history.lacks(before, "d"), "written before: the ids of every epoch that stands"
    assert history.lacks(before, "e")


def test_segments_of_a_definition_are_those_entries_that_list_it_and_have_a_range() -> None:
    listed, rest = {"d": file("p", 7)}, {"e": None}
    wide = {"first": 2, "last": 3}
    history = speed(
        epoch(1, files=listed), epoch(2, files=rest), epoch(3, end=at(20)), compacted(**wide, files=listed),
        compacted(4, 5, files=rest), compacted(6, 7, end=at(50)),
    )  # fmt: skip
    found = {(s.first, s.last): (s.start, s.end, s.files, s.rows) for s in history.segments("d")}
    assert found == {(1, 1): (at(0), at(10), ("p",), 7), (2, 3): (at(10), at(30), ("p",), 7)}
    (empty,) = speed(epoch(1)).segments("d")
    assert (empty.files, empty.rows) == ((), 0)


def ids(history: SpeedHistory, since: int) -> list[str]:
    return sorted(one.path for one in history.ids(since))


def test_ids_are_in_the_widest_files_that_hold_them() -> None:
    epochs = [epoch(n, ids=file(f"{n}")) for n in range(1, 9)]
    history = speed(*epochs, compacted(1, 3, ids=file("1-3")), compacted(4, 6, ids=file("4-6")))
    assert ids(history, 1) == ["1-3", "4-6", "7", "8"]
    assert ids(history, 3) == ["1-3", "4-6", "7", "8"]
    assert ids(history, 4) == ["4-6", "7", "8"]
    assert ids(history, 8) == ["8"]
    replaced = speed(*epochs, compacted(1, 3, ids=file("1-3")), compacted(1, 6, ids=file("1-6")), retired(0, (1, 6)))
    assert ids(replaced, 1) == ["1-6", "7", "8"]
    assert ids(speed(epoch(1), epoch(2, ids=file("2")), compacted(1, 2)), 1) == ["2"], "one without ids holds none"


# --- the other logs


def test_an_archive_stands_where_its_entries_leave_it() -> None:
    day, more = date(2026, 1, 1), {"c": Counts(read=1, counted=1)}
    taken = Imported(source="import:x", contract="c", rows=3)
    first = Archived(
        at=NOW, claim=1, start=at(0), end=at(10), tables={"a": 1, "b": 1}, dates={"a": (day,)}, counts=more
    )
    second = first.model_copy(update={"end": at(20), "tables": {"a": 2}, "imports": (taken,)})
    history = ArchiveHistory(log_of(first, second, Maintained(at=NOW, claim=1, tables={"b": 7})))
    assert (history.frontier, history.tables, history.imports) == (at(20), {"a": 2, "b": 7}, {"import:x": taken})
    touched = [(one.number, one.start, one.end, one.dates, one.beside) for one in history.touched]
    assert touched == [(1, at(0), at(10), {"a": (day,)}, False), (2, at(0), at(20), {"a": (day,)}, True)]
    assert history.counts == {"c": Counts(read=2, counted=2)}


def lost(source: str, start: int, end: int) -> Gone:
    return Gone(source=source, partition=0, start=start, end=end, known="lost", at=NOW)


def test_what_is_gone_is_told_of_the_contracts_that_read_it_below_where_one_has_come() -> None:
    read = tuple(TopicRead(source=f"{name}@1", contracts={name: ""}, origin=START) for name in "tu")
    gone = (lost("t@1", 3, 7), lost("t@1", 10, 12), lost("u@1", 0, 4))
    history = TopicsHistory(log_of(Topics(at=NOW, read=read[:1]), Topics(at=NOW, read=read, gone=gone)))
    assert list(history.read) == ["t@1", "u@1"]
    assert history.accepted == Frontier({Partition("t@1", 0): 12, Partition("u@1", 0): 4})
    far = history.accepted
    assert history.gone_of(["t"], far) == gone[:2]
    assert history.gone_of(["u", "t"], far) == gone
    assert history.gone_of(["t"], at(10)) == gone[:1]
    assert history.gone_of(["t"], at(3)) == ()
    assert history.gone_of(["other"], far) == ()


def version(run: str = "r", base: int | None = None, *, complete: bool = False, **units: str) -> Version:
    """A version that rewrote these units, each with one file and one event counted."""
    return Version(
        at=NOW, run=run, cut=START, base=base, complete=complete, archive_entry=1, kernel="k",
        units={unit: (file(path),) for unit, path in units.items()},
        unit_counts=dict.fromkeys(units, Counts(read=1, counted=1)),
    )  # fmt: skip


def batch(*entries: EntryBase) -> BatchHistory:
    return BatchHistory(log_of(*entries))


def test_a_reservation_holds_until_it_says_or_its_version_stands() -> None:
    reserved = [Reserved(at=NOW, run=run, cut=START, until=NOW + HOUR, archive_entry=1) for run in ("done", "open")]
    history = batch(*reserved, version("done"))
    assert history.held(NOW) == reserved[1:]
    assert history.held(NOW + HOUR - timedelta(seconds=1)) == reserved[1:]
    assert history.held(NOW + HOUR) == []


def test_a_version_holds_its_units_and_those_of_its_base_for_other_dates() -> None:
    history = batch(version(a="1a", b="1b"), version(base=1, b="2b"), version(base=2, complete=True, c="3c"))
    assert history.files(1) == {"a": (file("1a"),), "b": (file("1b"),)}
    assert history.files(2) == {"a": (file("1a"),), "b": (file("2b"),)}
    assert history.files(3) == {"c": (file("3c"),)}, "a complete one lists every unit"
    assert [number for number, _ in history.lineage(2)] == [2, 1]
    assert [number for number, _ in history.lineage(3)] == [3]
    assert [sorted(history.unit_counts(number)) for number in (1, 2, 3)] == [["a", "b"], ["a", "b"], ["c"]]
    assert history.unit_counts(None) == history.unit_counts(9) == {}


@pytest.mark.parametrize("gone", [1, 2])
def test_a_version_that_is_gone_or_whose_base_is_cannot_be_read(gone: int) -> None:
    log = log_of(version(a="1a"), version(base=1, b="2b"))
    log.remove(gone)
    for look in (BatchHistory(log).files, BatchHistory(log).lineage):
        with pytest.raises(SeamlineError) as caught:
            look(2)
        assert caught.value.condition is Condition.OUT_OF_RETENTION
        assert f"version {gone} " in str(caught.value)


def served(definition: str | None, number: int | None) -> Published:
    return Published(at=NOW, view="v", definitions=(), live=(), served=definition, version=number)


def test_versions_stood_that_were_served_and_not_gone_back_from() -> None:
    def stood(*states: Published) -> set[int]:
        return set(ViewHistory(log_of(*states)).stood("d"))

    assert stood(served("d", None), served("d", 2), served("e", 9), served("d", 5)) == {2, 5}
    assert stood(served("d", 2), served("d", 5), served("d", 2)) == {2}
    assert stood(served("d", 2), served("d", None)) == set()
    assert stood() == set()


def test_a_views_state_is_its_newest() -> None:
    states = [served("d", number) for number in (None, 1, 2)]
    assert ViewHistory(log_of(*states)).state == states[-1]
    assert ViewHistory(log_of()).state is None


def test_since_when_every_epoch_stands_is_the_same_asked_after_each_entry_or_once_at_the_end() -> None:
    entries = [
        *map(epoch, (1, 2, 3, 4)),
        retired(1),
        *map(epoch, (5, 6, 8, 9)),
        retired(0, (3, 4)),
        epoch(10),
        retired(8),
    ]
    log, asked = log_of(), []
    history = SpeedHistory(log)
    for number, entry in enumerate(entries, 1):
        log.put(number, entry)
        history.catch_up()
        asked.append(history.epochs.since(history.last_epoch))
        assert asked[-1] == SpeedHistory(log).epochs.since(history.last_epoch)
    assert asked == [1, 1, 1, 1, 2, 2, 2, 8, 8, 8, 8, 9]
