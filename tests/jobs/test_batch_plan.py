"""What a batch run would do, from what the ledger says: which definition, up to which cut, which dates on which base;
and when a run that was started before goes on, or a version that it left is published."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from batch_parts import (
    CLICKS,
    DAYS,
    HOUR,
    NOW,
    OTHERWISE,
    PER_HOUR,
    PLAN,
    TABLE,
    D,
    archived,
    at,
    epoch,
    log_of,
    logs,
    remembering,
    reserved,
    served,
    version,
)
from stream_parts import memory_lake

from seamline.entries.archive import Archived
from seamline.entries.base import EntryBase
from seamline.entries.batch import Version
from seamline.entries.speed import Epoch
from seamline.errors import SeamlineError
from seamline.frontier import START, Frontier
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.jobs.plan import (
    Logs,
    Nothing,
    Plan,
    choose_cut,
    dirty_dates,
    imports_of,
    plan_run,
    targets,
    unremembered,
)
from seamline.jobs.reserve import check_holds, check_stands, continued, reservation, resumed, unpublished
from seamline.jobs.stages import Target


def planned(of: Logs, number: int | None = None, *, rebuild: bool = False) -> Plan | Nothing:
    return plan_run(served(number), [CLICKS], PER_HOUR, of, rebuild=rebuild)


def reason(of: Plan | Nothing | Frontier) -> str:
    assert isinstance(of, Nothing)
    return of.reason


# --- which definition


def test_a_definition_that_waits_for_its_first_version_goes_first_and_the_newest_of_them() -> None:
    assert targets([]) == ()
    assert targets([served(None, None)]) == ()
    assert targets([served(1, "a", ("a",)), served(1, "a", ("a", "b", "c"))]) == ("c", "b", "a")
    assert targets([served(1, "a", ("a", "b")), served(2, "b", ("a", "b"))]) == ("b",)


def test_an_operator_who_went_back_from_a_definition_is_not_overruled_while_it_stays_live() -> None:
    states = [served(1, "a", ("a", "b")), served(2, "b", ("a", "b")), served(1, "a", ("a", "b"))]
    assert targets(states) == ("a",)
    gone, again = served(1, "a", ("a",)), served(1, "a", ("a", "b"))
    assert targets([*states, gone, again]) == ("b", "a"), "applied again, it is new"


# --- up to which cut


def cut(speed: list[Epoch], archive: list[Archived], base: Version | None = None) -> Frontier | Nothing:
    return choose_cut(logs(speed, archive), PER_HOUR, [CLICKS], base)


def test_the_cut_is_the_newest_end_of_an_epoch_that_the_archive_has_passed() -> None:
    speed = [epoch(1), epoch(2), epoch(3)]
    assert [cut(speed, [archived(0, end)]) for end in (9, 10, 29, 30, 99)] == [at(n) for n in (0, 10, 20, 30, 30)]
    begun = [epoch(1, start=at(5)), epoch(2)]
    assert cut(begun, []) == at(5), "where the stream began nothing was to be archived"
    assert "archive has not passed" in reason(cut([epoch(2), epoch(3)], [archived(0, 9)]))


def test_after_a_cut_each_epoch_lists_the_definition_as_it_is_read() -> None:
    far = [archived(0, 99)]
    for lacking in ({"files": {}}, OTHERWISE.model_dump()):
        assert cut([epoch(1), epoch(2, **lacking), epoch(3)], far) == at(30)
        assert cut([epoch(1), epoch(2, **lacking), epoch(3)], [archived(0, 25)]) == at(20)
        assert isinstance(cut([epoch(1), epoch(2, **lacking)], far), Nothing)
    assert "does not list" in reason(cut([epoch(1, files={})], far))
    assert "is not read for events, total" in reason(cut([epoch(1, **OTHERWISE.model_dump())], far))


def test_a_lake_of_imports_alone_is_cut_where_every_log_begins() -> None:
    assert cut([], [archived(0, 0, imports=("clicks",))]) == START
    assert "no epoch yet" in reason(cut([], [archived(0, 0, imports=("other",))]))


def test_a_first_version_waits_until_no_copy_of_a_record_below_its_cut_can_be_counted_above() -> None:
    far = [archived(0, 99)]
    speed = [remembering(1, False), remembering(2, False), remembering(3, True)]
    assert cut(speed, far) == at(30)
    assert "one dedup horizon beyond" in reason(cut(speed[:2], far))
    assert "does not read clicks by this decoding yet" in reason(cut([epoch(1, decodings=())], far))
    assert cut(speed[:2], far, version(10)) == at(20), "its base was cut where that held"
    hole = [epoch(1, files={}), *speed[1:2]]
    assert isinstance(cut(hole, far, version(5)), Nothing), "nobody says what was remembered after its base"
    assert cut(hole, far, version(10)) == at(20)
    without = replace(CLICKS, event_id=None)
    assert unremembered(SpeedHistory(log_of(*speed)), speed[0], without) == "", "without ids there are no copies"


# --- which dates on which base


def test_a_first_version_and_a_rebuild_take_every_date_and_a_refresh_those_that_were_touched() -> None:
    speed, archive = [epoch(1), epoch(2)], [archived(0, 10, DAYS[0]), archived(10, 20, DAYS[1])]
    first = planned(logs(speed, archive))
    assert first == Plan("per_hour", D, at(20), None, None, 2, {}, ())
    of = logs(speed, archive, [version(10)])
    assert planned(of, 1) == Plan("per_hour", D, at(20), 1, {TABLE: frozenset([DAYS[1]])}, 2, {}, (), 1)
    assert planned(of, 1, rebuild=True) == Plan("per_hour", D, at(20), None, None, 2, {}, (), 1)


def test_there_is_nothing_to_do_where_neither_cut_dates_nor_imports_moved() -> None:
    speed, archive = [epoch(1), epoch(2)], [archived(0, 20, DAYS[0])]
    done = [version(20)]
    assert "is as far as" in reason(planned(logs(speed, archive, done), 1))
    assert isinstance(planned(logs(speed, archive, done), 1, rebuild=True), Plan)
    moved = planned(logs([*speed, epoch(3)], [*archive, archived(20, 30)], done), 1)
    assert isinstance(moved, Plan)
    assert (moved.cut, moved.dates) == (at(30), {TABLE: frozenset()}), "its cut moves though no date was touched"
    empty = planned(logs(speed, [*archive, archived(20, 20, imports=("clicks",))], done), 1)
    assert isinstance(empty, Plan)
    assert empty.imports == ("import:clicks",)
    refiled = planned(logs(speed, [*archive, archived(20, 20, DAYS[3])], done), 1)
    assert isinstance(refiled, Plan)
    assert refiled.dates == {TABLE: frozenset([DAYS[3]])}


def test_where_no_newer_cut_can_be_a_refresh_stays_at_that_of_its_base() -> None:
    done: list[EntryBase] = [version(20)]
    for speed in ([epoch(1), epoch(2), epoch(3, files={})], [epoch(1)]):
        waits = planned(logs(speed, [archived(0, 20)], done), 1)
        assert isinstance(waits, Nothing)
        imported = planned(logs(speed, [archived(0, 20), archived(20, 20, imports=("clicks",))], done), 1)
        assert isinstance(imported, Plan)
        assert imported.cut == at(20)
    assert reason(planned(logs([epoch(1, files={})], [archived(0, 20)], done), 1)).endswith("this definition yet)")


def test_a_rebuild_waits_where_what_comes_after_its_cut_cannot_be_read() -> None:
    otherwise = OTHERWISE.model_dump()
    done: list[EntryBase] = [version(10)]
    held = {D: None}, {D: {"path": "p", "rows": 1}}
    for files, waits in zip(held, (False, True), strict=True):
        of = logs([epoch(1), epoch(2, files=files, **otherwise)], [archived(0, 20)], done)
        assert isinstance(planned(of, 1, rebuild=True), Nothing) is waits
    before = logs([epoch(1, files=held[1], **otherwise)], [archived(0, 20)], done)
    assert isinstance(planned(before, 1, rebuild=True), Plan), "what lies below its cut is not read"


def test_on_a_base_that_cannot_be_read_only_a_rebuild_is_made() -> None:
    of = logs([epoch(1), epoch(2)], [archived(0, 20, DAYS[0])], [version(10, **OTHERWISE.model_dump())])
    with pytest.raises(SeamlineError, match="KERNEL_VERSION"):
        planned(of, 1)
    assert isinstance(planned(of, 1, rebuild=True), Plan)


def test_another_definition_than_the_served_one_has_no_base() -> None:
    of = logs([epoch(1)], [archived(0, 10)], [version(10)])
    first = plan_run(served(1, "other", ("other", D)), [CLICKS], PER_HOUR, of, rebuild=False)
    assert isinstance(first, Plan)
    assert (first.base, first.against) == (None, None)


def test_dates_are_touched_by_what_the_base_did_not_read_below_the_cut() -> None:
    taken = [
        archived(0, 10, DAYS[0]), archived(10, 30, DAYS[1]), archived(30, 40, DAYS[2]),
        archived(40, 40, DAYS[3]), archived(40, 40, DAYS[4], imports=("clicks",)),
        archived(5, 5, DAYS[5]), archived(20, 20, DAYS[6]), archived(0, 40, DAYS[7], table="raw/other"),
    ]  # fmt: skip
    archive = ArchiveHistory(log_of(*taken))

    def dates(base: Version, to: int) -> list[date]:
        return sorted(dirty_dates(archive, [CLICKS], base, at(to))[TABLE])

    assert list(dirty_dates(archive, [CLICKS], version(20), at(40))) == [TABLE]
    all_read = version(20, archive_entry=8)
    assert dates(all_read, 20) == []
    assert dates(all_read, 30) == [DAYS[1], DAYS[3], DAYS[4]], "what was refiled beyond the base's cut counts now"
    assert dates(all_read, 31) == [DAYS[1], DAYS[2], DAYS[3], DAYS[4]]
    assert dates(version(10, archive_entry=8), 20) == [DAYS[1], DAYS[3], DAYS[4], DAYS[6]]
    assert dates(version(20, archive_entry=4), 20) == [DAYS[4], DAYS[5], DAYS[6]]


# --- a run that was started before


def test_a_reservation_says_what_its_plan_decided() -> None:
    made = reservation(replace(PLAN, tables={TABLE: 4}, imports=("i",), folded=7), "run", NOW, HOUR, 3)
    said = {"tables": {TABLE: 4}, "dates": {TABLE: ()}, "imports": ("i",)}
    assert made == reserved("run", view_entry=3, folded=7, attempt=made.attempt, **said)


def test_a_run_goes_on_with_the_newest_reservation_that_holds_and_starts_where_it_would() -> None:
    view = ViewHistory(log_of(served(1), served(1)))

    def goes_on(*entries: EntryBase, of: ViewHistory = view, now: datetime = NOW) -> str | None:
        found = continued(PLAN, of, BatchHistory(log_of(*entries)), now)
        return found.run if found else None

    assert goes_on() is None
    assert goes_on(reserved("a"), reserved("b", at=NOW + HOUR / 2), reserved("c")) == "b"
    assert goes_on(reserved("a"), now=NOW + HOUR) is None
    assert goes_on(reserved("a"), version(20, run="a")) is None
    assert goes_on(reserved("a", base=2)) is goes_on(reserved("a", folded=2)) is None
    assert goes_on(reserved("a"), of=ViewHistory(log_of(served(1), served(2)))) is None, "another was served since"
    assert goes_on(reserved("a", view_entry=2), of=ViewHistory(log_of(served(2), served(1)))) == "a"
    assert goes_on(reserved("a"), of=ViewHistory(log_of(served(1), served(1, "e")))) is None
    assert goes_on(reserved("a", view_entry=3)) is None


def test_a_run_gives_up_when_its_reservation_ends_or_its_files_are_half_as_old_as_a_sweep_allows() -> None:
    second, half_a_day = timedelta(seconds=1), timedelta(hours=12)
    held = reserved("a", until=NOW + HOUR)
    check_holds("per_hour", held, NOW + HOUR - second)
    with pytest.raises(SeamlineError, match="RESERVATION_EXPIRED"):
        check_holds("per_hour", held, NOW + HOUR)
    held = reserved("a", until=NOW + 2 * half_a_day)
    check_holds("per_hour", held, NOW + half_a_day)
    with pytest.raises(SeamlineError, match="may be swept before its entry stands"):
        check_holds("per_hour", held, NOW + half_a_day + second)


def test_a_run_gives_up_where_the_epochs_after_its_cut_no_longer_stand() -> None:
    lake = memory_lake()
    target = Target(PER_HOUR, (CLICKS,), "main", logs([], []), None)
    check_stands(lake, "per_hour", target, at(10))  # of imports alone there are no epochs
    for number in (1, 2, 3):
        lake.speed_log("main").put(number, epoch(number))
    check_stands(lake, "per_hour", target, at(10))
    lake.speed_log("main").remove(2)
    check_stands(lake, "per_hour", target, at(20))
    with pytest.raises(SeamlineError, match="RESERVATION_EXPIRED"):
        check_stands(lake, "per_hour", target, at(10))


def test_the_newest_version_is_published_that_a_run_left_while_its_reservation_holds() -> None:
    view = ViewHistory(log_of(served(1)))

    def left(*entries: EntryBase, now: datetime = NOW) -> int | None:
        return unpublished(PLAN, view, BatchHistory(log_of(*entries)), now)

    both = reserved("a"), reserved("b")
    assert left(*both, version(20, run="a"), version(20, run="b"), version(20, run="c")) == 4
    assert left(*both, version(20, run="a"), now=NOW + HOUR - timedelta(seconds=1)) == 3
    assert left(*both, version(20, run="a"), now=NOW + HOUR) is None
    assert left(*both, version(20, run="c")) is None
    assert left(reserved("a", base=2), version(20, run="a")) is None


def test_a_run_that_goes_on_does_what_it_was_started_for_whatever_came_since() -> None:
    newer = Plan("per_hour", D, at(30), 1, {}, 3, {TABLE: 9}, ("import:clicks",), 1)
    then = reserved("a", dates={TABLE: (DAYS[1],)}, tables={TABLE: 4})
    assert resumed(newer, then) == Plan("per_hour", D, at(20), 1, {TABLE: frozenset([DAYS[1]])}, 2, {TABLE: 4}, (), 1)
    assert resumed(replace(newer, base=None), reserved("a", base=None)).dates is None
    folding = replace(newer, folded=4)
    assert resumed(folding, reserved("a", folded=4)) == folding


def test_a_reservation_that_does_not_say_what_it_reads_is_not_gone_on_with() -> None:
    view, of_before = ViewHistory(log_of(served(1))), reserved("a", tables=None)
    assert continued(PLAN, view, BatchHistory(log_of(of_before)), NOW) is None


def test_imports_are_those_of_the_contracts() -> None:
    archive = ArchiveHistory(log_of(archived(0, 0, imports=("clicks", "other"))))
    assert imports_of(archive, [CLICKS]) == ("import:clicks",)
