"""What of a speed log is put together, dropped and swept, decided from entries alone: nothing goes that a chain, a
query that began before, or the next writer may need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from obstore.store import MemoryStore
from stream_parts import link

from seamline.entries.base import Claim, DataFile, EntryBase
from seamline.entries.speed import Compacted, Epoch, Retired
from seamline.frontier import Frontier, Partition
from seamline.history.speed import SpeedHistory
from seamline.ledger import Log
from seamline.streaming.speed.compact import (
    Link,
    cover,
    first_cut,
    plan_compaction,
    plan_retirement,
    plan_sweep,
    standing,
    stands_from_the_beginning,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
A_DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def at(number: int) -> Frontier:
    """Where an epoch ends."""
    return Frontier({Partition("t@1", 0): 10 * number} if number else {})


def epoch(number: int, **named: Any) -> Epoch:
    given: dict[str, Any] = {"at": NOW, "files": {"d": None}, "start": at(number - 1), "end": at(number)}
    return Epoch(number=number, claim=1, **{**given, **named})


def compacted(first: int, last: int, **named: Any) -> Compacted:
    given: dict[str, Any] = {"files": {"d": None}, "start": at(first - 1), "end": at(last)}
    return Compacted(at=NOW, claim=1, first=first, last=last, **{**given, **named})


def retired(last: int, *replaced: tuple[int, int], when: datetime = NOW) -> Retired:
    return Retired(at=when, claim=1, last=last, replaced=replaced)


def history(*entries: EntryBase) -> SpeedHistory:
    log = Log(MemoryStore(), "speed/main")
    for number, entry in enumerate(entries, 1):
        log.put(number, entry)
    return SpeedHistory(log)


def epochs(first: int, last: int) -> list[Epoch]:
    return [epoch(number) for number in range(first, last + 1)]


# --- compaction


def spans(*entries: EntryBase) -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in cover(history(*entries))]


def test_the_widest_segments_cover_what_stands_and_none_is_in_two() -> None:
    assert spans(*epochs(1, 6), compacted(1, 2), compacted(3, 4), compacted(1, 4)) == [(1, 4), (5, 5), (6, 6)]
    assert spans(*epochs(1, 6), compacted(5, 6), compacted(1, 4)) == [(1, 4), (5, 6)]
    assert spans(*epochs(1, 6), compacted(1, 4), compacted(4, 6)) == [(1, 4), (5, 5), (6, 6)]


def links(*wide: tuple[int, int], **named: Any) -> list[Link]:
    return [link(a, b, at(a - 1), at(b), **named) for a, b in wide]


def run(found: list[Link], size: int, **named: Any) -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in plan_compaction(found, [], size, **named)]


def test_segments_are_put_together_that_meet_and_are_as_wide_as_each_other() -> None:
    singles = [(n, n) for n in range(1, 5)]
    assert run(links(*singles), 3) == singles[:3]
    assert run(links((1, 1), (2, 2), (4, 4), (5, 5)), 3) == []
    assert run(links((1, 1), (3, 3), (4, 4)), 2) == [(3, 3), (4, 4)]
    apart = [*links((1, 1)), link(2, 2, at(5), at(6))]
    assert run(apart, 2) == [], "records lie between them"
    assert run(links((1, 2), (3, 3), (4, 4)), 2) == [(3, 3), (4, 4)]
    assert run(links((1, 2), (3, 3)), 2) == []
    assert run([*links((1, 1)), *links((2, 2), listed=("e",))], 2) == []
    assert run(links(*singles), 1) == [], "one segment is together"


def test_three_times_over_segments_are_put_together_and_no_more() -> None:
    assert run(links((1, 4), (5, 8)), 2) == [(1, 4), (5, 8)]
    assert run(links((1, 8), (9, 16)), 2) == []
    assert run(links((1, 8), (9, 9), (10, 10)), 2) == [(9, 9), (10, 10)]


def test_what_cannot_be_read_is_not_put_together_with_anything() -> None:
    assert run(links(*((n, n) for n in range(1, 6))), 2, reads=lambda one: one.first not in (1, 3)) == [
        (4, 4), (5, 5),
    ]  # fmt: skip


@pytest.mark.parametrize(("cut", "first"), [(0, 1), (1, 2), (2, 3), (3, 1)])
def test_a_cut_may_lie_where_a_segment_begins_or_ends_and_nowhere_inside(cut: int, first: int) -> None:
    found = plan_compaction(links(*((n, n) for n in range(1, 7))), [at(cut)], 3)
    assert found[0].first == first


# --- which epochs must stand


def test_a_definition_stands_from_the_beginning_while_its_segments_lead_there() -> None:
    assert stands_from_the_beginning("d", history(*epochs(1, 3)))
    assert not stands_from_the_beginning("d", history(*epochs(2, 3)))
    assert not stands_from_the_beginning("e", history(*epochs(1, 3)))
    assert not stands_from_the_beginning("d", history(epoch(1), epoch(3)))


def test_a_first_cut_is_the_newest_that_the_archive_has_passed_since_the_definition_is_listed() -> None:
    stood = history(epoch(1), epoch(2, files={}), *epochs(3, 5))
    assert [first_cut("d", stood, at(archived)) for archived in (0, 2, 3, 4, 9)] == [at(n) for n in (2, 2, 3, 4, 5)]
    assert first_cut("e", stood, at(1)) == at(5)


# --- retirement


def plan(
    stood: SpeedHistory, cut: int, now: datetime = NOW + A_DAY + SECOND, since: int | None = None
) -> tuple[int, tuple[tuple[int, int], ...]] | None:
    return plan_retirement(stood, [at(cut)], now, A_DAY, since)


def test_epochs_go_that_are_old_remembered_no_more_and_below_every_cut_but_never_the_newest() -> None:
    stood = history(*epochs(1, 5))
    assert plan(stood, 3) == (3, ())
    assert plan(stood, 5) == (4, ())
    assert plan(stood, 0) is None
    assert plan(stood, 3, NOW + A_DAY) is None, "as old as its retention is not beyond it"
    assert plan(stood, 5, since=3) == (2, ())
    assert plan(stood, 5, since=1) is None
    assert plan(history(), 0) is None
    mixed = history(epoch(1), epoch(2, at=NOW + HOUR), epoch(3), epoch(4))
    assert plan(mixed, 4) == (1, ()), "the oldest first"


def test_what_a_segment_stands_for_goes_once_however_young_it_is() -> None:
    wide = [compacted(1, 2), compacted(3, 4), compacted(5, 6)]
    stood = history(*epochs(1, 6), *wide)
    assert plan(stood, 6, NOW) == (0, ((1, 2), (3, 4))), "the newest epoch stays"
    assert plan(stood, 3, NOW) == (0, ((1, 2),))
    assert plan(stood, 1, NOW) is None
    assert plan(stood, 6, since=3) == (2, ((3, 4),)), "of what goes by age nothing is replaced"
    assert plan(history(*epochs(1, 7), *wide, retired(0, (1, 2), (3, 4))), 6, NOW) == (0, ((5, 6),))
    left = history(*epochs(1, 4), compacted(1, 2), compacted(2, 3), retired(0, (1, 2)))
    assert plan(left, 4, NOW) == (0, ((2, 3),)), "one that stands is enough, also the last of them"


# --- sweeping


def test_what_was_dropped_stands_until_its_grace_is_over() -> None:
    entries: list[tuple[int, EntryBase]] = [
        (1, Claim(at=NOW, holder="w")), (2, epoch(1)), (3, epoch(2)), (4, epoch(3)), (5, epoch(4)),
        (6, compacted(1, 1)), (7, compacted(2, 3)), (8, retired(1, (2, 3))), (9, epoch(5)),
    ]  # fmt: skip
    assert sorted(standing(entries, NOW + HOUR)) == [2, 3, 4, 5, 6, 7, 9]
    assert sorted(standing(entries, NOW + HOUR + SECOND)) == [5, 7, 9]


def test_entries_go_from_the_oldest_up_to_the_first_that_stands_and_claims_stay() -> None:
    entries: list[tuple[int, EntryBase]] = [
        (2, epoch(1)), (3, Claim(at=NOW, holder="w")), (4, epoch(2)), (5, epoch(3)), (6, retired(1)), (7, epoch(4)),
    ]  # fmt: skip
    late = NOW + 2 * A_DAY
    assert plan_sweep(entries, [], late)[1] == [2]
    assert plan_sweep([*entries, (8, retired(2, when=NOW + A_DAY))], [], late)[1] == [2, 4]
    assert plan_sweep([*entries, (8, retired(4, when=NOW + A_DAY))], [], late)[1] == [2, 4, 5, 6], "the newest stays"
    assert plan_sweep([(1, Claim(at=NOW, holder="w"))], [], late)[1] == []


def test_files_go_that_no_standing_entry_lists_once_they_are_older_than_a_day() -> None:
    files = {"d": DataFile(path="mine", rows=1)}
    entries: list[tuple[int, EntryBase]] = [(1, epoch(1, files=files, ids=DataFile(path="ids", rows=1)))]
    listed = [(path, NOW) for path in ("mine", "ids", "stray")]
    assert plan_sweep(entries, listed, NOW + A_DAY)[0] == []
    assert plan_sweep(entries, listed, NOW + A_DAY + SECOND)[0] == ["stray"]
