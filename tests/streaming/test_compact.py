"""What of a speed log is put together, dropped and swept, decided from entries alone: nothing goes that a chain, a
query that began before, or the next writer may need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from obstore.store import MemoryStore
from stream_parts import link

from seamline.entries.base import Claim, DataFile, EntryBase
from seamline.entries.speed import Compacted, Epoch, Retired, told
from seamline.frontier import Frontier, Partition
from seamline.history.speed import SpeedHistory
from seamline.ledger import Log
from seamline.streaming.speed.compact import (
    Link,
    cover,
    due,
    first_cut,
    plan_compaction,
    plan_retirement,
    plan_sweep,
    stands_from_the_beginning,
)

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
TEN_MINUTES = timedelta(minutes=10)
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


def links(*parts: tuple[int, ...], **named: Any) -> list[Link]:
    """By first and last epoch, and level (0: an epoch)."""
    return [link(a, b, at(a - 1), at(b), level=level[0] if level else 0, **named) for a, b, *level in parts]


def run(found: list[Link], size: int, *cuts: int, later: timedelta = timedelta(0), **named: Any) -> list[int]:
    """The first epochs of what is put together."""
    return [one.first for one in plan_compaction(found, map(at, cuts), size, NOW + later, **named)]


def singles(first: int, last: int) -> list[tuple[int, ...]]:
    return [(n, n) for n in range(first, last + 1)]


def test_segments_are_put_together_that_meet_and_are_of_one_level() -> None:
    assert run(links(*singles(1, 4)), 3) == [1, 2, 3]
    assert run(links((1, 1), (2, 2), (4, 4), (5, 5)), 3) == []
    assert run(links((1, 1), (3, 3), (4, 4)), 2) == [3, 4]
    assert run([*links((1, 1)), link(2, 2, at(5), at(6))], 2) == [], "records lie between them"
    assert run(links((1, 2, 1), (3, 3), (4, 4)), 2) == [3, 4]
    assert run(links((1, 2, 1), (3, 3)), 2) == []
    assert run([*links((1, 1)), *links((2, 2), listed=("e",))], 2) == []
    assert run(links(*singles(1, 4)), 1) == [], "one segment is together"


def test_level_by_level_segments_are_put_together_three_times_and_no_more() -> None:
    assert run(links((1, 4, 1), (5, 8, 1)), 2) == [1, 5]
    assert run(links((1, 4, 2), (5, 8, 2)), 2) == [1, 5]
    assert run(links((1, 8, 3), (9, 16, 3)), 2) == []
    assert run(links((1, 8, 3), (9, 9), (10, 10)), 2) == [9, 10]
    assert run(links((1, 4, 1), (5, 8, 1), (9, 9), (10, 10)), 2) == [9, 10], "the lowest level first"


def test_one_of_a_lower_level_goes_with_those_around_it() -> None:
    assert run(links((1, 4, 1), (5, 5), (6, 9, 1), (10, 10)), 2) == [1, 5, 6], "and not what may still grow"


def test_what_can_grow_no_more_is_put_together_as_it_is_once_its_end_is_settled() -> None:
    """Else each cut that there ever was would leave up to a run of epochs behind."""
    before_a_cut = links(*singles(1, 7))
    assert run(before_a_cut, 4, 3, later=TEN_MINUTES) == [4, 5, 6, 7], "three before the cut"
    left = links((1, 1), (2, 2), (3, 3), (4, 7, 1))
    for cuts in ((3,), ()):
        assert run(left, 4, *cuts, later=TEN_MINUTES) == []
        assert run(left, 4, *cuts, later=TEN_MINUTES + SECOND) == [1, 2, 3]
    assert run(links((1, 1), (2, 5, 1)), 4, 1, later=A_DAY) == [], "one is together"
    assert run(links((1, 4, 1), (5, 8, 1), (9, 9)), 4, 8, later=A_DAY) == [1, 5]
    assert run(links(*singles(1, 3)), 4, later=A_DAY) == [], "these may still grow"


def test_what_stands_at_last_follows_from_the_cuts_and_the_volume() -> None:
    """A thousand epochs, and the cuts of three versions."""
    found = links(*singles(1, 1000))
    while run_of := plan_compaction(found, map(at, (925, 962, 999)), 8, NOW + A_DAY):
        first, last = run_of[0].first, run_of[-1].last
        level = 1 + max(one.level for one in run_of)
        (made,) = links((first, last, level))
        found = sorted([one for one in found if not first <= one.first <= last] + [made], key=lambda one: one.first)
    assert [(a.last + 1, a.end) for a in found[:-1]] == [(b.first, b.start) for b in found[1:]]
    assert {925, 962, 999} <= {one.last for one in found}
    assert len(found) <= 4 * 8


def test_what_cannot_be_read_is_not_put_together_with_anything() -> None:
    assert run(links(*singles(1, 5)), 2, reads=lambda one: one.first not in (1, 3)) == [4, 5]


@pytest.mark.parametrize(("cut", "first"), [(0, 1), (1, 2), (2, 3), (3, 1)])
def test_a_cut_may_lie_where_a_segment_begins_or_ends_and_nowhere_inside(cut: int, first: int) -> None:
    assert run(links(*singles(1, 6)), 3, cut)[0] == first


def test_no_segment_goes_on_over_a_cut_at_an_epoch_without_records() -> None:
    around = [*links((1, 1)), link(2, 2, at(1), at(1)), link(3, 3, at(1), at(2))]
    assert run(around, 3) == [1, 2, 3]
    assert run(around, 3, 1) == []
    assert run(around, 2, 1) in ([1, 2], [2, 3])


def test_a_cut_that_divides_a_segment_already_keeps_it_as_it_is() -> None:
    assert run(links((1, 4, 1), (5, 8, 1), (9, 12, 1)), 2, 6) == []
    beside = Frontier({Partition("other@1", 0): 1})
    assert not plan_compaction(links(*singles(1, 4)), [beside], 2, NOW), "nor does one that no end has passed"


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
    stood: SpeedHistory,
    cut: int,
    now: datetime = NOW + A_DAY + SECOND,
    since: int | None = None,
    as_of: timedelta = -SECOND,
) -> tuple[int, tuple[tuple[int, int], ...]] | None:
    return plan_retirement(stood, [at(cut)], now, A_DAY, as_of, since)


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


def test_ends_stand_for_as_long_as_they_may_be_asked_for() -> None:
    stood = history(*epochs(1, 5), compacted(1, 4))
    assert plan(stood, 5, NOW + HOUR, as_of=HOUR) is None
    assert plan(stood, 5, NOW + HOUR + SECOND, as_of=HOUR) == (0, ((1, 4),))


def test_narrower_segments_go_too_and_with_them_the_epochs_that_they_hold() -> None:
    held = [compacted(1, 2, epochs=told(epochs(1, 2))), compacted(3, 4, epochs=told(epochs(3, 4)))]
    stood = history(*epochs(1, 5), *held)
    assert plan(stood, 5, NOW) is None, "nothing stands beside them: they hold their epochs themselves"
    stood = history(*epochs(1, 5), *held, compacted(1, 4))
    assert plan(stood, 5, NOW) == (0, ((1, 4),))
    after = history(*epochs(1, 5), *held, compacted(1, 4), retired(0, (1, 4)))
    assert (sorted(after.epochs), sorted(after.compacted)) == ([5], [(1, 4)])


def test_what_was_put_together_goes_by_age_as_one() -> None:
    held = compacted(1, 4, epochs=told(epochs(1, 4)))
    for stood in (history(*epochs(1, 6), held), history(epoch(5), epoch(6), compacted(1, 4))):
        assert plan(stood, 3) is None, "a cut lies inside"
        assert plan(stood, 4) == (4, ())
        assert plan(stood, 6) == (5, ())


# --- removing and sweeping


def numbers(stood: SpeedHistory, now: datetime) -> list[int]:
    return [one.number for one in due(stood.superseded.values(), stood.number, now)]


def test_what_was_dropped_is_read_for_an_hour_and_then_goes_with_what_says_so() -> None:
    stood = history(Claim(at=NOW, holder="w"), *epochs(1, 4), compacted(1, 1), compacted(2, 3), retired(1, (2, 3)))
    assert numbers(stood, NOW + HOUR) == []
    assert numbers(stood, NOW + HOUR + SECOND) == [2, 3, 4, 6], "claims stay, and the newest entry of the log"
    claim = Claim(at=NOW, holder="x")
    stood = history(*epochs(1, 4), compacted(2, 3), retired(1, (2, 3)), claim)
    assert numbers(stood, NOW + HOUR + SECOND) == [1, 2, 3, 6]


def test_an_entry_whose_epoch_another_holds_goes_after_ten_minutes_without_its_files() -> None:
    own = {"d": DataFile(path="own", rows=1)}
    inside = [epoch(1, files=own), epoch(2)]
    stood = history(*inside, epoch(3), compacted(1, 2, epochs=told(inside), held=("own",)), epoch(4))
    late = NOW + timedelta(minutes=10)
    assert numbers(stood, late) == []
    assert [(one.number, one.paths) for one in due(stood.superseded.values(), 9, late + SECOND)] == [(1, ()), (2, ())]
    stood.removed([1])
    assert numbers(stood, NOW + A_DAY) == [2]


def test_files_go_that_no_entry_lists_once_they_are_older_than_a_day() -> None:
    files = {"d": DataFile(path="mine", rows=1)}
    stood = history(
        epoch(1, files=files, ids=DataFile(path="ids", rows=1)),
        epoch(2, files={"d": DataFile(path="dropped", rows=1)}),
        epoch(3),
        compacted(1, 1, held=("held",)),
        retired(0, (2, 2)),
    )
    listed = [(path, NOW) for path in ("mine", "ids", "held", "dropped", "stray")]
    assert plan_sweep(stood, listed, NOW + A_DAY) == []
    assert plan_sweep(stood, listed, NOW + A_DAY + SECOND) == ["stray"]
