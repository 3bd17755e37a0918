"""Units of one hour: what they hold is what their date holds, and a version's grain may be another than its base's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from dying import Death
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import DAY, VIEW, Bench, contract, order

from seamline.commitpoint import hooked
from seamline.entries.base import Counts
from seamline.entries.batch import Version
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.work import local_runner
from seamline.units import Unit, standing, whole_name

BY_HOUR = VIEW.replace("sales AS", "sales TBLPROPERTIES ('partition.grain' = 'hour') AS")
GRAINS = {"day": VIEW, "hour": BY_HOUR}
FIRST = DAY.replace(hour=0)


def newest(bench: Bench) -> Version:
    history = bench.versions()
    return history.versions[max(history.versions)]


def hours(*of: int, day: str = "2024-05-01") -> set[str]:
    return {f"{day}T{hour:02}" for hour in of}


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["2024-05-01", "likes/2024-05-01", "2024-05-01T00", "Total/2024-05-01T23"])
def test_a_units_name_says_what_it_is(name: str) -> None:
    unit = Unit.parse(name)
    assert unit.name == name
    assert unit.whole.name == whole_name(name) == name.partition("-01T")[0].removesuffix("-01") + "-01"


def test_what_is_rewritten_replaces_its_whole_date_of_its_contract_alone() -> None:
    base = {"a/2024-05-01": 1, "b/2024-05-01": 2, "a/2024-05-02T00": 3, "a/2024-05-02T07": 4, "a/2024-05-03T01": 5}
    found = standing(base, {"a/2024-05-01T05": 6, "a/2024-05-02": 7})
    assert found == {"b/2024-05-01": 2, "a/2024-05-03T01": 5, "a/2024-05-01T05": 6, "a/2024-05-02": 7}


# --- what hours hold -------------------------------------------------------------------------------------


def test_hours_hold_together_what_their_date_holds(tmp_path: Path) -> None:
    """Events at an hour's first and last microsecond, copies, rejected records, and what was archived by others."""
    bench = Bench(tmp_path, view=BY_HOUR, extra=", logicalTypeOptions: {minimum: 0}")
    edge = timedelta(microseconds=1)
    sent = [order(f"o{h}", FIRST + timedelta(hours=h)) for h in (0, 1, 5, 23)]
    sent += [order("late", FIRST + timedelta(hours=5) - edge), order("last", FIRST + timedelta(hours=24) - edge)]
    sent += [order("next", FIRST + timedelta(hours=24)), order("old", FIRST.replace(year=2000, hour=7))]
    bench.send(*sent, sent[2], b"{", order("minus", FIRST + timedelta(hours=9), amount=-1), sent[0])
    bench.both()
    outcome = bench.batch.refresh("sales")
    assert outcome.audit.compared
    assert outcome.audit.clean
    assert outcome.counts == Counts(read=12, counted=8, rejected=2, duplicate=2)
    assert bench.answer() == bench.expected(*sent)
    version = newest(bench)
    today = "2024-06-01T00"  # rejected records stand under their Kafka timestamps' date, in its first hour
    assert {name for name, files in version.units.items() if files} == {
        *hours(0, 1, 4, 5, 23), "2024-05-02T00", "2000-05-01T07"
    }  # fmt: skip
    assert version.unit_counts[today] == Counts(read=2, rejected=2)
    assert version.unit_counts["2024-05-01T05"] == Counts(read=2, counted=1, duplicate=1)
    assert set(version.units) == {name for name, files in version.units.items() if files} | {today, "2000-05-01T00"}


@pytest.mark.thorough
@settings(max_examples=3)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.sampled_from([-1, 1, 2])), min_size=1, max_size=8),
    st.lists(st.integers(0, 7), max_size=3),
    st.booleans(),
)
def test_by_the_hour_and_by_the_day_a_mended_contract_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[int, int, int]], copies: list[int], again: bool
) -> None:
    """Records that one decoding has rejected or written and another decodes again, in any hour."""
    found = []
    for view in GRAINS.values():
        bench = Bench(tmp_path_factory.mktemp("lake"), view=view, extra=", logicalTypeOptions: {minimum: 0}")
        values = [order(f"{n}", FIRST + timedelta(hours=h, minutes=m), amount=a) for n, (m, h, a) in enumerate(sent)]
        values += [values[n % len(values)] for n in copies]
        bench.send(*values)
        bench.both()
        bench.contract = contract()
        bench.apply(view)
        bench.wait(minutes=61)
        bench.send(*values[: 2 * again], order("more", FIRST))
        bench.speed()
        bench.wait(minutes=61)
        bench.send(order("end", FIRST))
        bench.both()
        outcome = bench.batch.rebuild("sales")
        assert outcome.version is not None, outcome.reason
        found.append((bench.answer(), outcome.counts))
    assert found[0] == found[1]
    assert found[0][0] == bench.expected(*values, order("more", FIRST), order("end", FIRST))


# --- another grain than the base's -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("day", "hour"),
        pytest.param("hour", "day", marks=pytest.mark.thorough),
        pytest.param("hour", "hour", marks=pytest.mark.thorough),
    ],
)
def test_a_date_rewritten_by_another_grain_replaces_all_of_its_units(tmp_path: Path, was: str, becomes: str) -> None:
    bench = Bench(tmp_path, view=GRAINS[was])
    sent = [order(f"o{n}", FIRST + timedelta(hours=5 * n)) for n in range(9)]  # both the first and the second of May
    bench.send(*sent, b"{")
    bench.both()
    bench.batch.refresh("sales")
    before = newest(bench)
    definition = bench.served[0]
    assert bench.apply(GRAINS[becomes]) == definition, "the grain is no part of a definition's identity"
    late = order("late", FIRST + timedelta(hours=17))
    bench.send(late, sent[1])
    bench.both()
    outcome = bench.batch.refresh("sales")
    assert outcome.audit.compared
    assert outcome.audit.clean, outcome.audit
    assert outcome.counts == Counts(read=12, counted=10, rejected=1, duplicate=1)
    assert bench.answer() == bench.expected(*sent, late)
    assert bench.served[1] is not None
    stands = bench.versions().files(bench.served[1])
    first, second = ({name for name in units if name.startswith("2024-05-01")} for units in (stands, before.units))
    by = {"day": {"2024-05-01"}, "hour": hours(0, 5, 10, 15, 17, 20)}
    assert first == by[becomes]
    assert second == by[was] - (hours(17) if was == "hour" else set())
    assert {name for name in stands if name > "2024-05-02"} == {name for name in before.units if name > "2024-05-02"}
    whole = bench.batch.rebuild("sales")
    assert whole.counts == outcome.counts
    assert bench.answer() == bench.expected(*sent, late)


@pytest.mark.thorough
def test_versions_whose_grain_changes_each_time_add_up_over_a_complete_one(tmp_path: Path) -> None:
    """One in so many versions lists every file that stands: of each date, those of the grain it was written by."""
    bench = Bench(tmp_path, view=BY_HOUR)
    sent = [order("first", FIRST)]
    bench.send(*sent)
    bench.both()
    bench.batch.refresh("sales")
    for number in range(17):
        bench.apply(GRAINS[("day", "hour")[number % 2]])
        sent.append(order(f"o{number}", FIRST + timedelta(hours=number, days=number % 2)))
        bench.send(sent[-1])
        bench.both()
        outcome = bench.batch.refresh("sales")
        assert outcome.audit.clean
        assert outcome.counts == Counts(read=number + 2, counted=number + 2)
        assert bench.answer() == bench.expected(*sent)
    history = bench.versions()
    assert len([n for n, version in history.versions.items() if version.complete]) > 1


# --- deaths ----------------------------------------------------------------------------------------------


class Counting:
    """A runner that remembers which units it ran."""

    def __init__(self, bench: Bench) -> None:
        self.units: list[str] = []
        self._run = local_runner(bench.lake)

    def __call__(self, tasks: list[UnitTask]) -> Iterable[UnitResult]:
        for task, result in zip(tasks, self._run(tasks), strict=True):
            if task.wanted is None:  # a sample is read once more, to be verified
                self.units.append(result.unit)
            yield result


@pytest.mark.parametrize("becomes", ["hour", pytest.param("day", marks=pytest.mark.thorough)])
def test_a_run_killed_half_way_through_hours_goes_on_with_those_that_are_left(tmp_path: Path, becomes: str) -> None:
    """Also where the view's grain was changed meanwhile: then its date is done anew."""
    bench = Bench(tmp_path, view=BY_HOUR)
    sent = [order(f"o{n}", FIRST + timedelta(hours=n)) for n in range(24)]
    bench.send(*sent, b"{")
    bench.both()
    left = 24

    def die(reached: str) -> None:
        nonlocal left
        left -= reached == "batch.after-unit"
        if left == 10:
            raise Death

    with hooked(die), pytest.raises(Death):
        bench.batch.refresh("sales")
    bench.apply(GRAINS[becomes])
    runner = Counting(bench)
    outcome = replace(bench.batch, runner=runner).refresh("sales")
    names = {"hour": 2 * 24 - 14, "day": 2}
    assert len(runner.units) == names[becomes], "hours of the event's date and of the rejected record's"
    assert outcome.counts == Counts(read=25, counted=24, rejected=1)
    assert outcome.audit.clean
    assert bench.answer() == bench.expected(*sent)
