"""A reservation, a version's entry and the state that serves it: what each says, and when it is not put."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from batch_parts import (
    CLICKS,
    HOUR,
    NOW,
    PLAN,
    D,
    archived,
    at,
    epoch,
    lake_of,
    log_of,
    logs,
    reserved,
    served,
    target,
    version,
)

from seamline.commitpoint import hooked
from seamline.config import BatchSection
from seamline.entries.base import Counts, DataFile, EntryBase
from seamline.entries.batch import Audit, ColumnDrift, Verified, Version, Withdrawn
from seamline.errors import Condition, ConflictError, SeamlineError, TransientError
from seamline.history.views import ViewHistory
from seamline.jobs.decide import decide, raw_read
from seamline.jobs.plan import Plan
from seamline.jobs.publish import publish, put, serve, version_entry
from seamline.jobs.reserve import reserve
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Audited, Decided, Recomputed, Reservation, Unpublished
from seamline.jobs.unit import TODAY, UnitResult
from seamline.lake import Lake
from seamline.schemas.catalogue import Catalogue

SPEED, ARCHIVE = [epoch(1), epoch(2)], [archived(0, 20)]
CLEAN = Audit(compared=True)
DRIFT = ColumnDrift(column="total", groups=1, largest="1")
DRIFTED = Audit(compared=True, drift=(DRIFT,))
WRONG = Audit(compared=True, verified=Verified(wrong=(DRIFT,)))


def file(name: str) -> DataFile:
    return DataFile(path=name, rows=1)


def result(unit: str, read: int = 0, path: str = "") -> UnitResult:
    counts = Counts(read=read, counted=read)
    return UnitResult(unit=unit, file=file(path) if path else None, counts=counts, **TODAY)


# --- what an entry says


def entry(plan: Plan, *results: UnitResult, batch: tuple[EntryBase, ...] = ()) -> Version:
    of = target(logs(SPEED, ARCHIVE, list(batch)))
    decision = Decided(ViewHistory(log_of(served(1))), served(1), of, plan, NOW)
    reservation = Reservation(decision, reserved("a"), plan)
    return version_entry(Audited(Recomputed(reservation, (), results), CLEAN), "raw files", NOW)


FIRST = replace(PLAN, base=None, dates=None, against=None)


def test_a_first_version_lists_every_unit_but_hours_without_records() -> None:
    results = (
        result("2026-01-01T00"), result("2026-01-01T01", 2, "b"), result("2026-01-01T02"), result("2026-01-02"),
        result("2026-01-03", 3),
    )  # fmt: skip
    plan = replace(FIRST, tables={"raw/clicks/a": 3}, imports=("import:clicks",), folded=7)
    made = entry(plan, *results)
    units = {"2026-01-01T00": (), "2026-01-01T01": (file("b"),), "2026-01-02": (), "2026-01-03": ()}
    reads = {"2026-01-01T00": 0, "2026-01-01T01": 2, "2026-01-02": 0, "2026-01-03": 3}
    assert made == Version(
        attempt=made.attempt, at=NOW, run="a", cut=at(20), base=None, complete=True, units=units, archive_entry=2,
        folded=7, tables={"raw/clicks/a": 3}, imports=("import:clicks",), counts=Counts(read=5, counted=5),
        audit=CLEAN, raw="raw files",
        unit_counts={unit: Counts(read=read, counted=read) for unit, read in reads.items()}, **TODAY,
    )  # fmt: skip


def chain(length: int) -> tuple[Version, ...]:
    """Versions of one day each, each on the one before it."""
    return tuple(
        version(
            10,
            number - 1 or None,
            units={f"2026-01-{number:02}": (file(f"f{number}"),)},
            unit_counts={f"2026-01-{number:02}": Counts(read=number, counted=number)},
        )
        for number in range(1, length + 1)
    )


def test_a_version_on_a_base_lists_its_own_units_and_each_sixteenth_all_that_stand() -> None:
    own = result("2026-01-01", 100, "own")
    for length in (1, 14):
        made = entry(replace(PLAN, base=length), own, batch=chain(length))
        assert (made.base, made.complete) == (length, False)
        assert (made.units, made.unit_counts) == ({own.unit: (file("own"),)}, {own.unit: own.counts})
        assert made.counts.read == 100 + sum(range(2, length + 1))
    made = entry(replace(PLAN, base=15), own, batch=chain(15))
    assert (made.base, made.complete, made.counts.read) == (15, True, 100 + sum(range(2, 16)))
    stand = {f"2026-01-{n:02}": n for n in range(2, 16)}
    assert made.units == {own.unit: (file("own"),), **{unit: (file(f"f{n}"),) for unit, n in stand.items()}}
    assert {unit: counts.read for unit, counts in made.unit_counts.items()} == {own.unit: 100, **stand}


# --- when it is put


def resources(lake: Lake, now: datetime = NOW, **settings: Any) -> Resources:
    return Resources(lake, settings=BatchSection(**settings), clock=lambda: now)


def decided(lake: Lake) -> Decided:
    decision = decide(resources(lake), "per_hour", rebuild=False)
    assert isinstance(decision, Decided)
    return decision


def run_over(lake: Lake, audit: Audit = CLEAN) -> Audited:
    """A run over a lake, reserved, with one file made in place of all that it would compute."""
    reservation = reserve(resources(lake), decided(lake))
    Path(lake.absolute("own")).write_bytes(b"partials")
    return Audited(Recomputed(reservation, (), (result("2026-01-01", 1, "own"), result("2026-01-02"))), audit)


def entries(lake: Lake) -> dict[int, EntryBase]:
    return dict(lake.batch_log(D).after(0))


def expired(step: Callable[[], object]) -> None:
    with pytest.raises(SeamlineError) as raised:
        step()
    assert raised.value.condition is Condition.RESERVATION_EXPIRED


def lose_epochs(lake: Lake) -> None:
    """The epochs after the second do not reach to the frontier any more."""
    lake.speed_log("main").put(3, epoch(3))
    lake.speed_log("main").put(4, epoch(4))
    lake.speed_log("main").remove(3)


def test_a_reservation_is_put_next_or_the_one_that_holds_is_gone_on_with() -> None:
    lake, reached = lake_of(SPEED, ARCHIVE, version(10, run="other")), list[str]()
    state = Catalogue(lake).states["per_hour"]
    lake.view_log("per_hour").put(2, state.model_copy(update={"attempt": "another"}))
    lake.view_log("per_hour").put(3, Withdrawn(at=NOW, definition=D, below=1))
    with hooked(reached.append):
        first = reserve(resources(lake), decided(lake))
    assert list(entries(lake)) == [1, 2]
    assert entries(lake)[2] == first.entry
    assert (first.entry.cut, first.entry.until, first.entry.view_entry) == (at(20), NOW + HOUR, 2)
    assert reached == ["batch.after-reserve"]
    assert reserve(resources(lake), decided(lake)).entry == first.entry
    assert list(entries(lake)) == [1, 2]


def test_nothing_is_reserved_once_the_log_has_gone_on() -> None:
    lake = lake_of(SPEED, ARCHIVE)
    decision = decided(lake)
    lake.batch_log(D).put(1, version(10))
    with pytest.raises(ConflictError):
        reserve(resources(lake), decision)
    assert list(entries(lake)) == [1]


def test_nothing_is_reserved_by_a_decision_of_half_a_day_ago() -> None:
    """Raw as it stood then may be gone before the reservation ends."""
    lake = lake_of(SPEED, ARCHIVE)
    decision = decided(lake)
    with pytest.raises(TransientError, match="began at"):
        reserve(resources(lake, NOW + 13 * HOUR), decision)
    assert list(entries(lake)) == []
    assert reserve(resources(lake, NOW + 11 * HOUR), decision).entry.until == NOW + 12 * HOUR


def test_no_reservation_is_gone_on_with_whose_epochs_are_lost() -> None:
    lake = lake_of(SPEED, ARCHIVE)
    decision = decided(lake)
    lose_epochs(lake)
    expired(lambda: reserve(resources(lake), decision))


def test_a_version_is_put_after_whatever_its_log_holds_by_then() -> None:
    lake = lake_of(SPEED, ARCHIVE)
    run = run_over(lake)
    lake.batch_log(D).put(2, version(10, run="other"))
    made = put(resources(lake), run)
    assert entries(lake)[3] == made.version
    assert (made.number, made.version.run, made.version.raw) == (3, run.computed.reservation.entry.run, "")
    assert made.reserved == entries(lake)[1]


def test_a_version_that_a_twin_of_the_run_has_put_is_as_good() -> None:
    lake = lake_of(SPEED, ARCHIVE)
    run = run_over(lake)
    made = put(resources(lake), run)
    assert put(resources(lake), run) == made
    assert list(entries(lake)) == [1, 2]


def test_only_a_version_with_drift_says_which_raw_files_it_was_computed_from() -> None:
    lake = lake_of(SPEED, ARCHIVE)
    run = run_over(lake, DRIFTED)
    files = raw_read(lake, [CLICKS], FIRST)
    assert put(resources(lake), run).version.raw == files != ""


def test_a_run_whose_reservation_ended_puts_neither_a_version_nor_a_state() -> None:
    lake = lake_of(SPEED, ARCHIVE)
    run = run_over(lake)
    expired(lambda: put(resources(lake, NOW + HOUR), run))
    assert list(entries(lake)) == [1]
    made = put(resources(lake), run)
    expired(lambda: serve(resources(lake, NOW + HOUR), made))
    assert Catalogue(lake).states["per_hour"].version is None


def test_a_version_whose_epochs_are_lost_is_not_served() -> None:
    lake = lake_of(SPEED, ARCHIVE)
    made = put(resources(lake), run_over(lake))
    lose_epochs(lake)
    expired(lambda: serve(resources(lake), made))


def test_a_version_is_not_served_once_anything_that_it_is_made_of_is_withdrawn() -> None:
    def serves(made: Version, below: int) -> int | None:
        lake = lake_of(SPEED, ARCHIVE)
        state, of = Catalogue(lake).states["per_hour"], target(logs(SPEED, ARCHIVE, [version(10), made]))
        lake.view_log("per_hour").put(2, Withdrawn(at=NOW, definition=D, below=below))
        return serve(resources(lake), Unpublished(state, of, 2, made, reserved("a"))).version

    on_a_base, whole = version(20, 1), version(20, 1, complete=True)
    assert serves(on_a_base, 1) == serves(whole, 2) == 2
    for made, below in ((on_a_base, 2), (whole, 3)):
        with pytest.raises(SeamlineError) as raised:
            serves(made, below)
        assert raised.value.condition is Condition.OUT_OF_RETENTION


def test_a_run_puts_its_version_and_serves_it_and_one_that_is_put_is_only_served() -> None:
    for is_put in (False, True):
        lake, reached = lake_of(SPEED, ARCHIVE), list[str]()
        run = run_over(lake)
        made = put(resources(lake), run) if is_put else run
        with hooked(reached.append):
            outcome = publish(resources(lake), made)
        puts = [] if is_put else ["batch.before-version", "batch.after-version"]
        assert reached == [*puts, "view.before-entry", "batch.after-publish"]
        state = Catalogue(lake).states["per_hour"]
        assert (state.served, state.version) == (outcome.definition, outcome.version) == (D, 2)
        assert (outcome.view, outcome.cut, outcome.units, outcome.counts.read) == ("per_hour", at(20), 2, 1)


@pytest.mark.parametrize(
    ("audit", "hold", "said"),
    [
        (CLEAN, True, ""),
        (DRIFTED, False, ""),
        (DRIFTED, True, "differs from what was served (total: 1 groups, at most 1)"),
        (WRONG, False, "differs from raw, computed another way (total: 1 groups, such as 1)"),
        (WRONG, True, "differs from raw, computed another way (total: 1 groups, such as 1)"),
    ],
    ids=["clean", "drift", "drift held", "wrong", "wrong held"],
)
def test_a_version_with_drift_is_held_where_that_is_set_and_a_wrong_one_always(
    audit: Audit, hold: bool, said: str
) -> None:
    lake = lake_of(SPEED, ARCHIVE)
    run = run_over(lake, audit)
    if not said:
        assert publish(resources(lake, hold_on_drift=hold), run).version == 2
        return
    with pytest.raises(SeamlineError) as raised:
        publish(resources(lake, hold_on_drift=hold), run)
    assert raised.value.condition is Condition.DRIFT_HELD
    assert said in raised.value.message
    assert isinstance(entries(lake)[2], Version), "it stays in the ledger"
    assert Catalogue(lake).states["per_hour"].version is None
