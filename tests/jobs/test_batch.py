"""Batch versions: only touched dates, counted once, the same after any death, and never over an operator's word."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from dying import Death
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import CONTRACT, DAY, VIEW, Bench, Counting, contract, order, orders

from seamline.commitpoint import hooked
from seamline.config import BatchSection
from seamline.entries.base import Counts
from seamline.errors import Condition, SeamlineError
from seamline.jobs.asked import DateRange
from seamline.schemas.contracts.contract import parse_contract

CHANGED = VIEW.replace("FROM orders", "FROM orders WHERE amount >= 0")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_first_version_moves_no_answer_and_its_audit_is_clean(bench: Bench) -> None:
    bench.send(*orders(20), b"{", order("o3", shop="b", amount=3))
    bench.both()
    before = bench.answer()
    outcome = bench.batch.refresh("sales")
    assert (outcome.version, outcome.counts.counted) == (2, 20)
    assert outcome.counts.balanced
    assert outcome.audit.compared
    assert outcome.audit.clean
    assert outcome.audit.groups == 2
    assert bench.answer() == before
    assert before == bench.expected(*orders(20))


def test_a_refresh_rewrites_the_touched_dates_only(bench: Bench) -> None:
    first = orders(6, step=timedelta(days=1))
    bench.send(*first)
    bench.both()
    bench.batch.refresh("sales")
    late = order("late", DAY + timedelta(days=2))
    bench.send(late)
    bench.both()
    runner = Counting(bench)
    outcome = replace(bench.batch, runner=runner).refresh("sales")
    assert runner.units == ["2024-05-03"]
    assert outcome.counts == Counts(read=7, counted=7)
    assert outcome.audit.clean
    assert bench.answer() == bench.expected(*first, late)


def test_there_is_nothing_to_do_where_nothing_was_touched(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.both()
    bench.batch.refresh("sales")
    bench.send(*orders(3, "p"))
    bench.archive()  # beyond every epoch
    assert bench.batch.refresh("sales").version is None
    assert sorted(bench.versions().versions) == [2]


def test_the_cut_is_the_newest_epoch_end_that_the_archive_has_passed(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.both()
    reached = bench.end
    bench.send(*orders(3, "p"))
    bench.speed()
    assert bench.batch.refresh("sales").cut == reached
    assert bench.answer() == bench.expected(*orders(3), *orders(3, "p"))


def test_copies_across_epochs_and_the_cut_count_once(bench: Bench) -> None:
    bench.send(*orders(5))
    bench.both()
    bench.send(*orders(5), partition=1)
    bench.both()
    outcome = bench.batch.refresh("sales")
    assert outcome.counts == Counts(read=10, counted=5, duplicate=5)
    bench.send(*orders(6))
    bench.both()
    assert bench.answer() == bench.expected(*orders(6))
    assert bench.batch.refresh("sales").counts == Counts(read=16, counted=6, duplicate=10)
    assert bench.answer() == bench.expected(*orders(6))


def test_ties_are_settled_alike_whichever_copy_of_an_event_a_layer_counts(tmp_path: Path) -> None:
    """Speed counts the copy that comes first, batch the one of the lowest position: here on the two sides of another
    event of the same time."""
    calls = "first(amount) AS a, last(amount) AS b, array_agg(amount) AS c, string_agg(amount, ' ') AS d"
    view = f"CREATE MATERIALIZED VIEW sales AS SELECT placed::DATE AS day, {calls}, any_value(shop) AS e FROM orders"
    bench = Bench(tmp_path, view=f"{view} GROUP BY ALL")
    one, other = order("o1", amount=1), order("o2", amount=2)
    bench.send(other, one, partition=1)
    bench.both()
    before = bench.answer()
    assert before == bench.expected(one, other) == bench.expected(other, one)
    bench.send(one, partition=0)
    bench.both()
    outcome = bench.batch.refresh("sales")
    assert outcome.counts == Counts(read=3, counted=2, duplicate=1)
    assert (outcome.audit.compared, outcome.audit.clean) == (True, True)
    assert bench.answer() == before


def test_an_import_is_served_from_the_next_version_on_and_explains_its_difference(bench: Bench) -> None:
    bench.send(*orders(4))
    bench.both()
    bench.batch.refresh("sales")
    source = bench.import_file("f", *orders(6), *orders(2, "q", DAY - timedelta(days=9)))
    outcome = bench.batch.refresh("sales")
    assert outcome.counts == Counts(read=12, counted=8, duplicate=4)
    assert outcome.audit.drift == ()
    assert {d.explained for d in outcome.audit.explained} == {"1 imported file(s)"}
    assert bench.versions().versions[outcome.version or 0].imports == (source,)
    assert bench.answer() == bench.expected(*orders(6), *orders(2, "q", DAY - timedelta(days=9)))


def test_a_lake_of_imports_alone_has_a_version(bench: Bench) -> None:
    bench.import_file("f", *orders(4))
    assert bench.batch.refresh("sales").counts.counted == 4
    assert bench.answer() == bench.expected(*orders(4))


@pytest.mark.thorough
def test_every_sixteenth_version_lists_all_files(bench: Bench) -> None:
    sent = []
    for day in range(18):
        sent.append(order(f"o{day}", DAY + timedelta(days=day % 3)))
        bench.send(sent[-1])
        bench.both()
        bench.clock.advance(timedelta(minutes=1))
        bench.batch.refresh("sales")
    versions = bench.versions().versions
    assert [n for n, v in enumerate(versions.values(), start=1) if v.complete] == [1, 16]
    assert max(versions.values(), key=lambda v: v.at).counts.counted == 18
    assert bench.answer() == bench.expected(*sent)


# --- a mended contract, a changed view


def test_records_rejected_before_are_counted_once_the_contract_is_mended(tmp_path: Path) -> None:
    bench = Bench(tmp_path, extra=", logicalTypeOptions: {maximum: 2}")
    bench.send(*orders(6))
    bench.both()
    assert bench.batch.refresh("sales").counts == Counts(read=6, counted=3, rejected=3)
    bench.contract = contract()
    mended = bench.apply(VIEW)
    bench.wait(minutes=61)
    bench.send(order("new", amount=9))
    bench.both()
    bench.wait(minutes=61)
    bench.send(order("newer", amount=9))
    bench.both()
    outcome = bench.batch.refresh("sales")
    assert bench.served[0] == mended
    assert outcome.counts == Counts(read=8, counted=8)
    assert bench.answer() == bench.expected(*orders(6), order("new", amount=9), order("newer", amount=9))


def test_a_changed_view_is_switched_to_in_one_entry_once_its_version_stands(bench: Bench) -> None:
    bench.send(*orders(6))
    bench.both()
    bench.batch.refresh("sales")
    old = bench.served
    new = bench.apply(CHANGED)
    bench.send(order("minus", amount=-5))
    bench.archive()
    assert "not list this definition yet" in bench.batch.refresh("sales").reason
    assert bench.served == old
    bench.speed()
    outcome = bench.batch.refresh("sales")
    assert outcome.definition == new
    assert bench.served == (new, outcome.version)
    assert bench.answer() == bench.expected(*orders(6), order("minus", amount=-5))
    bench.batch.rollback("sales", old[1], old[0])
    assert bench.served == old
    bench.send(order("later"))
    bench.both()
    assert bench.batch.refresh("sales").definition == old[0]  # an operator has gone back: nothing undoes that


def test_a_mended_contract_waits_for_nothing_since_its_events_have_the_same_ids(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.both()
    bench.contract = contract(", logicalTypeOptions: {minimum: 1}")
    new = bench.apply(VIEW)
    bench.send(*orders(4)[1:])
    bench.both()
    outcome = bench.batch.refresh("sales")
    assert outcome.definition == new
    assert outcome.counts == Counts(read=6, counted=3, rejected=1, duplicate=2)
    bench.send(*orders(5)[1:])
    bench.both()
    assert bench.answer() == bench.expected(*orders(5)[1:])
    assert bench.batch.refresh("sales").audit.explained == bench.batch.refresh("sales").audit.drift == ()


def test_a_copy_of_what_only_the_mended_contract_accepts_is_explained(tmp_path: Path) -> None:
    bench = Bench(tmp_path, extra=", logicalTypeOptions: {minimum: 1}")
    bench.send(*orders(3))
    bench.both()
    bench.contract = contract()
    new = bench.apply(VIEW)
    bench.send(order("more"))
    bench.both()
    assert bench.batch.refresh("sales").definition == new
    bench.send(*orders(3))
    bench.both()
    assert sum(row["orders"] for row in bench.answer()) == 4 + 1
    audit = bench.batch.refresh("sales").audit
    assert audit.drift == ()
    assert {drift.explained for drift in audit.explained} == {"1 copies beyond the dedup horizon"}
    assert bench.answer() == bench.expected(*orders(3), order("more"))


def test_another_event_id_waits_until_the_logs_time_is_one_dedup_horizon_on(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.both()
    other = CONTRACT.replace(" EXTRA", "").replace("eventId, value: id", "eventId, value: shop")
    bench.contract = parse_contract(other, "orders.yaml")
    new = bench.apply(VIEW)
    for prefix in "pq":
        bench.send(*orders(3, prefix))
        bench.both()
        assert bench.batch.refresh("sales").definition != new
        bench.wait(hours=30)  # whatever a clock says
    bench.send(*orders(3, "r"))
    bench.both()
    bench.wait(minutes=1)
    bench.send(*orders(3, "s"))
    bench.both()
    assert bench.batch.refresh("sales").definition == new


# --- deaths and rivals


@pytest.mark.parametrize(
    ("point", "units"),
    [
        pytest.param("batch.after-reserve", 5, marks=pytest.mark.thorough),
        ("batch.after-unit", 4),
        pytest.param("batch.after-files", 0, marks=pytest.mark.thorough),
        ("batch.after-version", 0),
        pytest.param("batch.after-publish", 0, marks=pytest.mark.thorough),
    ],
)
def test_a_run_killed_anywhere_goes_on_where_it_was(bench: Bench, point: str, units: int) -> None:
    sent = orders(8, step=timedelta(hours=12))
    bench.send(*sent)
    bench.both()

    def die(reached: str) -> None:
        if reached == point:
            raise Death

    with hooked(die), pytest.raises(Death):
        bench.batch.refresh("sales")
    bench.send(order("more"))
    bench.both()
    runner = Counting(bench)
    replace(bench.batch, runner=runner).refresh("sales")
    versions = bench.versions()
    if point == "batch.after-publish":  # that run was over: this is the next one
        assert len(versions.versions) == 2
        assert runner.units == ["2024-05-01"]
    else:
        assert len(runner.units) == units
        (version,) = versions.versions.values()
        assert version.counts == Counts(read=8, counted=8)
        assert len(versions.reserved) == 1
    assert bench.answer() == bench.expected(*sent, order("more"))


def test_of_two_refreshes_at_once_one_version_is_served(bench: Bench) -> None:
    bench.send(*orders(8))
    bench.both()
    rivals = iter([True])

    def rival(reached: str) -> None:
        if reached == "batch.after-files" and next(rivals, False):
            bench.batch.refresh("sales")

    with hooked(rival):
        bench.batch.refresh("sales")
    versions = bench.versions()
    assert list(versions.versions) == [2]
    assert bench.served[1] == 2
    assert bench.answer() == bench.expected(*orders(8))


def test_an_operators_rollback_wins_over_a_refresh_under_way(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.both()
    first = bench.batch.refresh("sales").version
    bench.send(*orders(3, "p"))
    bench.both()
    second = bench.batch.refresh("sales").version
    bench.send(*orders(3, "q"))
    bench.both()
    words = iter([True])

    def operator(reached: str) -> None:
        if reached == "batch.after-version" and next(words, False):
            bench.batch.rollback("sales", first)

    with hooked(operator):
        outcome = bench.batch.refresh("sales")
    version = bench.versions().versions[outcome.version or 0]
    assert version.base == first != second  # decided again, upon what the operator chose
    assert bench.answer() == bench.expected(*orders(3), *orders(3, "p"), *orders(3, "q"))


def test_a_version_that_an_operator_went_back_from_is_not_served_again(bench: Bench) -> None:
    for id_ in "abc":
        bench.send(order(id_))
        bench.both()
        if id_ != "c":
            bench.batch.refresh("sales")
    first, second = sorted(bench.versions().versions)
    bench.batch.rollback("sales", first)
    outcome = bench.batch.refresh("sales")
    assert outcome.version not in (first, second)
    assert bench.versions().versions[outcome.version or 0].base == first
    assert bench.answer() == bench.expected(order("a"), order("b"), order("c"))


def test_each_rebuild_is_a_version_of_its_own(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.both()
    assert len({bench.batch.rebuild("sales").version for _ in range(3)}) == 3


def test_a_reservation_that_ran_out_publishes_nothing(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.both()

    def slow(reached: str) -> None:
        if reached == "batch.after-version":
            bench.wait(minutes=61)

    with hooked(slow), pytest.raises(SeamlineError) as raised:
        bench.batch.refresh("sales")
    assert raised.value.condition is Condition.RESERVATION_EXPIRED
    assert bench.served[1] is None
    assert bench.batch.refresh("sales").version == 4


def test_a_version_whose_epochs_are_gone_is_not_published(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.both()
    for id_ in "xy":
        bench.send(order(id_))
        bench.speed()

    def lose(reached: str) -> None:
        if reached == "batch.after-version":
            bench.lake.speed_log("main").remove(3)

    with hooked(lose), pytest.raises(SeamlineError) as raised:
        bench.batch.refresh("sales")
    assert raised.value.condition is Condition.RESERVATION_EXPIRED
    assert bench.served[1] is None


def test_an_unknown_version_cannot_be_chosen(bench: Bench) -> None:
    with pytest.raises(SeamlineError) as raised:
        bench.batch.rollback("sales", 7)
    assert raised.value.condition is Condition.OUT_OF_RETENTION


def test_rebuild_recomputes_every_date_and_is_audited_against_what_was_served(bench: Bench) -> None:
    bench.send(*orders(6, step=timedelta(days=1)))
    bench.both()
    bench.batch.refresh("sales")
    runner = Counting(bench)
    outcome = replace(bench.batch, runner=runner).rebuild("sales")
    assert len(runner.units) == 6
    assert outcome.audit.compared
    assert outcome.audit.clean
    assert bench.versions().versions[outcome.version or 0].complete


# --- any order of everything

POINTS = ("batch.after-reserve", "batch.after-unit", "batch.after-files", "batch.after-version", "batch.after-publish")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(0, 12)),
        st.tuples(st.just("speed"), st.just(0)),
        st.tuples(st.just("archive"), st.just(0)),
        st.tuples(st.just("refresh"), st.just(0)),
        st.tuples(st.just("rebuild"), st.just(0)),
        st.tuples(st.just("kill"), st.integers(0, len(POINTS) - 1)),
        st.tuples(st.just("backfill"), st.integers(0, 12)),
        st.tuples(st.just("backfill killed"), st.integers(0, len(POINTS) - 1)),
        st.tuples(st.just("rollback"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(1, 4)),  # all together within the dedup horizon
    ),
    max_size=14,
)


def take(bench: Bench, step: str, value: int) -> list[bytes]:
    """Does one step; gives what it sent."""

    def die(reached: str) -> None:
        if reached == POINTS[value]:
            raise Death

    if step == "send":
        sent = [order(f"o{value}", DAY + timedelta(hours=9 * value), amount=value), order(f"o{value + 1}")]
        bench.send(*sent, partition=value % 2)
        return sent
    if step in ("kill", "backfill killed"):
        with hooked(die), suppress(Death):
            bench.batch.refresh("sales") if step == "kill" else bench.batch.backfill("sales", DateRange())
    elif step == "backfill":
        bench.batch.backfill("sales", DateRange(DAY.date(), (DAY + timedelta(hours=9 * value)).date()))
    elif step == "rollback":
        versions = sorted(bench.versions().versions)
        if versions:
            bench.batch.rollback("sales", versions[value % len(versions)])
    elif step == "wait":
        bench.wait(minutes=value)
    else:
        getattr(bench, step)() if step in ("speed", "archive") else getattr(bench.batch, step)("sales")
    return []


@settings(max_examples=settings().max_examples // 3)
@given(steps=STEPS)
def test_whatever_happens_in_whatever_order_the_answer_is_exact(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench = Bench(tmp_path_factory.mktemp("lake"))
    bench.settings = BatchSection(reservation_minutes=6)  # type: ignore[call-arg]
    sent = [order("first")]
    bench.send(*sent)
    bench.both()
    for step, value in steps:
        sent += take(bench, step, value)
    bench.both()
    assert bench.answer() == bench.expected(*sent)
    bench.batch.refresh("sales")
    assert bench.answer() == bench.expected(*sent)
    assert all(version.audit.drift == () for version in bench.versions().versions.values())
    bench.batch.rebuild("sales")
    assert bench.answer() == bench.expected(*sent)


def test_a_refresh_with_nothing_to_do_says_of_which_definition(bench: Bench) -> None:
    """Both have versions of the same numbers: after a change, a bare number would say nothing."""
    bench.send(*orders(4))
    bench.both()
    first = bench.batch.refresh("sales")
    changed = bench.apply(VIEW.replace("sum(amount)", "max(amount)"))
    waits = bench.batch.refresh("sales").reason
    assert f"definition {changed} waits: the newest epoch does not list this definition yet" in waits
    assert f"version {first.version} of definition {first.definition}, which is served, is as far" in waits
