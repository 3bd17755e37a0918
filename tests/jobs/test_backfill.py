"""Event dates that an operator wants recomputed: those alone, in one entry, whatever happens meanwhile."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from dying import Death, dies_at
from lakes import DAY, VIEW, Bench, Counting, order, orders

from seamline.commitpoint import hooked
from seamline.entries.batch import Version
from seamline.jobs.asked import DateRange
from seamline.schemas.catalogue import Catalogue

FIRST = DAY.date()


def days(first: int, last: int) -> DateRange:
    return DateRange(FIRST + timedelta(first), FIRST + timedelta(last))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Six days of an order each, in a version that is served."""
    made = Bench(tmp_path)
    made.send(*orders(6, step=timedelta(days=1)))
    made.both()
    made.batch.refresh("sales")
    return made


def newest(bench: Bench) -> Version:
    return max(bench.versions().versions.items())[1]


def names(first: int, last: int) -> list[str]:
    return [(FIRST + timedelta(n)).isoformat() for n in range(first, last + 1)]


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (DateRange(), ".."),
        (DateRange(FIRST), "2024-05-01.."),
        (DateRange(None, FIRST), "..2024-05-01"),
        (days(0, 2), "2024-05-01..2024-05-03"),
    ],
)
def test_a_range_is_called_by_its_ends_and_holds_both(asked: DateRange, name: str) -> None:
    assert asked.name == name
    assert DateRange.parse(name) == asked
    assert FIRST in asked
    assert (FIRST - timedelta(1) in asked) == (asked.first is None)
    assert (FIRST + timedelta(3) in asked) == (asked.last is None)


def test_the_asked_dates_are_computed_and_no_others_and_no_answer_moves(bench: Bench) -> None:
    before, runner = bench.answer(), Counting(bench)
    outcome = replace(bench.batch, runner=runner).backfill("sales", days(1, 3))
    assert runner.units == names(1, 3)
    assert outcome.audit.clean
    assert bench.served[1] == outcome.version
    assert (newest(bench).asked, sorted(newest(bench).units)) == ("2024-05-02..2024-05-04", names(1, 3))
    assert bench.answer() == before == bench.expected(*orders(6, step=timedelta(days=1)))


def test_a_file_that_was_lost_is_made_again_by_a_backfill_of_its_date(bench: Bench) -> None:
    lost = newest(bench).units["2024-05-03"][0].path
    Path(bench.lake.absolute(lost)).unlink()
    outcome = bench.batch.backfill("sales", days(2, 2))
    assert outcome.version == bench.served[1]
    assert not outcome.audit.compared
    assert "1 files of what was served are gone" in outcome.audit.note
    assert bench.answer() == bench.expected(*orders(6, step=timedelta(days=1)))


def test_what_a_refresh_would_rewrite_is_rewritten_with_them(bench: Bench) -> None:
    late = order("late", DAY + timedelta(days=5))
    bench.send(late)
    bench.both()
    runner = Counting(bench)
    replace(bench.batch, runner=runner).backfill("sales", days(0, 0))
    assert sorted(runner.units) == [*names(0, 0), *names(5, 5)]
    assert bench.answer() == bench.expected(*orders(6, step=timedelta(days=1)), late)


def test_dates_that_hold_nothing_and_a_view_without_a_version_are_said(tmp_path: Path, bench: Bench) -> None:
    assert "holds an event date of 2024-05-11..2024-05-12" in bench.batch.backfill("sales", days(10, 11)).reason
    fresh = Bench(tmp_path / "fresh")
    fresh.send(*orders(2))
    fresh.both()
    assert "no batch version is served yet" in fresh.batch.backfill("sales", DateRange()).reason


@pytest.mark.parametrize(
    "point",
    ["batch.after-reserve", "batch.after-unit", "batch.after-files", "batch.before-version", "batch.after-version"],
)
def test_killed_anywhere_it_goes_on_with_the_units_left(bench: Bench, point: str) -> None:
    runner = Counting(bench)
    with pytest.raises(Death), hooked(dies_at(point)):
        bench.batch.backfill("sales", DateRange())
    served = bench.served
    outcome = replace(bench.batch, runner=runner).backfill("sales", DateRange())
    left = {"batch.after-reserve": 6, "batch.after-unit": 5}.get(point, 0)
    assert len(runner.units) == left
    assert bench.served == (served[0], outcome.version)
    assert bench.answer() == bench.expected(*orders(6, step=timedelta(days=1)))
    assert [v.asked for _, v in sorted(bench.versions().versions.items())] == ["", ".."]


@pytest.mark.parametrize("point", ["batch.after-files", "batch.after-version"])
def test_a_refresh_that_comes_first_costs_it_only_the_dates_that_it_touched(bench: Bench, point: str) -> None:
    """A long backfill would never end if each refresh threw its work away."""
    late = order("late", DAY + timedelta(days=4))

    def hook(reached: str) -> None:
        if reached == point and not bench.versions().versions.keys() - known and not done:
            done.append(reached)
            bench.send(late)
            bench.both()
            bench.batch.refresh("sales")

    known, done, runner = {*bench.versions().versions}, list[str](), Counting(bench)
    if point == "batch.after-version":
        known = {*known, max(known) + 2}
    with hooked(hook):
        outcome = replace(bench.batch, runner=runner).backfill("sales", DateRange())
    assert done
    assert runner.units == [*names(0, 5), *names(4, 4)]
    assert outcome.audit.clean
    assert bench.served[1] == outcome.version
    assert newest(bench).asked == ".."
    assert bench.answer() == bench.expected(*orders(6, step=timedelta(days=1)), late)


def test_asked_for_again_after_it_was_served_all_of_it_is_computed_again(bench: Bench) -> None:
    for _ in range(2):
        runner = Counting(bench)
        replace(bench.batch, runner=runner).backfill("sales", days(0, 1))
        assert runner.units == names(0, 1)


def test_a_backfill_and_a_refresh_go_on_with_their_own_reservations(bench: Bench) -> None:
    with pytest.raises(Death), hooked(dies_at("batch.after-reserve")):
        bench.batch.backfill("sales", days(0, 1))
    late = order("late", DAY + timedelta(days=4))
    bench.send(late)
    bench.both()
    runner = Counting(bench)
    replace(bench.batch, runner=runner).refresh("sales")
    assert runner.units == names(4, 4)


def test_a_changed_definition_that_is_being_built_is_not_what_is_backfilled(bench: Bench) -> None:
    served = bench.served[0]
    bench.apply(VIEW.replace("FROM orders", "FROM orders WHERE amount >= 0"))
    outcome = bench.batch.backfill("sales", days(0, 1))
    assert (outcome.definition, bench.served[0]) == (served, served)


def test_a_view_over_a_view_folds_the_asked_dates_again(bench: Bench) -> None:
    keys = "time_bucket(INTERVAL '1 day', hour) AS day"
    by_shop = f"CREATE MATERIALIZED VIEW shops AS SELECT {keys}, MEASURE(amount) AS amount FROM sales GROUP BY 1;"
    base = VIEW.rstrip().rstrip(";") + ";\n"
    bench.apply(base + by_shop)
    bench.speed()
    bench.send(order("more", DAY + timedelta(days=2)))
    bench.both()
    for view in ("sales", "shops"):
        bench.batch.refresh(view)
    runner = Counting(bench)
    outcome = replace(bench.batch, runner=runner).backfill("shops", days(2, 3))
    assert runner.units == names(2, 3)
    assert outcome.audit.clean


def test_unknown_dates_are_none_of_a_view(bench: Bench) -> None:
    assert Catalogue(bench.lake).states["sales"].served == bench.served[0]
    assert bench.batch.backfill("sales", DateRange(date(1999, 1, 1), date(1999, 1, 2))).version is None
