"""An operator's words to a backfill: pause, go on, leave a date out, cancel; and the pace it is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from dying import Death, dies_at
from lakes import DAY, VIEW, Bench, Counting, order, orders

from seamline.clock import system_clock
from seamline.commitpoint import hooked
from seamline.config import Settings
from seamline.errors import Condition, SeamlineError, TerminalError
from seamline.history.backfills import BackfillHistory
from seamline.jobs.asked import DateRange
from seamline.jobs.pace import AIM, LEAST_ROWS, MOST_ROWS, Allowance, Window, next_rows
from seamline.jobs.retention import retain
from seamline.jobs.stepwise import TRIES, Allowed
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.words import Words
from seamline.jobs.work import local_runner
from seamline.lake import RUNS

FIRST, ALL = DAY.date(), DateRange()
SENT = orders(6, step=timedelta(days=1))
ONE_A_MINUTE = Allowed(Allowance(units_a_minute=1))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Six days of an order each, in a version that is served."""
    made = Bench(tmp_path)
    made.send(*SENT)
    made.both()
    made.batch.refresh("sales")
    return made


def words(bench: Bench) -> Words:
    return Words(bench.lake, "sales", bench.clock, "ann")


def the_open(bench: Bench) -> str:
    (found,) = BackfillHistory(bench.lake.backfill_log("sales")).open
    return found


def ended(bench: Bench) -> list[tuple[str, int | None]]:
    return [(one.asked, one.version) for one in BackfillHistory(bench.lake.backfill_log("sales")).ended]


class Failing:
    """Fails on some dates, so many times; remembers which units it did."""

    def __init__(self, bench: Bench, *dates: str, times: int = 1000) -> None:
        self.done: list[str] = []
        self._run, self._dates, self._left = local_runner(bench.lake), dates, dict.fromkeys(dates, times)

    def __call__(self, tasks: list[UnitTask]) -> Iterable[UnitResult]:
        for task in tasks:
            if task.wanted is None and self._left.get(task.unit, 0):
                self._left[task.unit] -= 1
                raise TerminalError(Condition.KERNEL_MEMORY, f"{task.unit} does not fit")
            for result in self._run([task]):
                self.done += [result.unit] if task.wanted is None else []
                yield result


def paused_after(bench: Bench, units: int) -> Counting:
    """A backfill of all dates, one unit at a time, that is paused while it is at the last of so many."""
    runner = Counting(bench)

    def wait(by: timedelta) -> None:
        bench.clock.advance(by)
        if len(runner.units) == units:
            words(bench).pause(the_open(bench))

    with pytest.raises(SeamlineError, match="is paused, by ann") as stopped:
        replace(bench.batch, runner=runner).backfill("sales", ALL, replace(ONE_A_MINUTE, wait=wait))
    assert stopped.value.condition is Condition.BACKFILL_STOPPED
    return runner


def test_paused_it_ends_after_its_portion_and_is_not_run_until_it_may_go_on(bench: Bench) -> None:
    runner, served = paused_after(bench, 2), bench.served
    assert len(runner.units) == 2
    with pytest.raises(SeamlineError, match="is paused"):
        bench.batch.backfill("sales", ALL)
    words(bench).resume(the_open(bench))
    rest = Counting(bench)
    outcome = replace(bench.batch, runner=rest).backfill("sales", ALL)
    assert sorted([*runner.units, *rest.units]) == [f"2024-05-0{n}" for n in range(1, 7)]
    assert bench.served == (served[0], outcome.version)
    assert ended(bench) == [("..", outcome.version)]
    assert bench.answer() == bench.expected(*SENT)


def sweep(bench: Bench) -> None:
    """A pass two days on, by the store's own clock."""
    bench.wait(seconds=(system_clock() - bench.clock()).total_seconds() + 2 * 86_400)
    retain(bench.lake, Settings(), bench.clock)  # type: ignore[call-arg]


def markers(bench: Bench) -> list[str]:
    return [item["path"] for item in bench.lake.listed(RUNS)]


def test_what_was_done_stays_for_days_of_a_pause(bench: Bench) -> None:
    done, late = paused_after(bench, 4).units, order("late", DAY + timedelta(days=5))
    bench.send(late)
    bench.both()
    bench.batch.refresh("sales")  # the backfill's base is another by now
    sweep(bench)
    words(bench).resume(the_open(bench))
    rest = Counting(bench)
    outcome = replace(bench.batch, runner=rest).backfill("sales", ALL)
    assert bench.served[1] == outcome.version
    assert sorted(rest.units) == sorted({f"2024-05-0{n}" for n in range(1, 7)} - {*done} | {"2024-05-06"})
    assert bench.answer() == bench.expected(*SENT, late)
    sweep(bench)
    assert markers(bench) == []
    assert bench.answer() == bench.expected(*SENT, late)


def test_cancelled_it_is_over_and_what_it_made_is_swept(bench: Bench) -> None:
    paused_after(bench, 4)
    served = bench.served
    words(bench).cancel(the_open(bench))
    assert ended(bench) == [("..", None)]
    sweep(bench)
    assert markers(bench) == []
    assert bench.served == served
    rest = Counting(bench)
    replace(bench.batch, runner=rest).backfill("sales", ALL)
    assert len(rest.units) == 6, "another backfill takes nothing over from it"
    assert bench.answer() == bench.expected(*SENT)


def test_cancelled_while_it_runs_it_puts_no_version(bench: Bench) -> None:
    """What it took over from earlier runs may be swept from then on."""
    before = bench.versions().versions.keys()

    def hook(reached: str) -> None:
        if reached == "batch.after-files":
            words(bench).cancel(the_open(bench))

    with hooked(hook), pytest.raises(SeamlineError, match="is over: it was cancelled"):
        bench.batch.backfill("sales", ALL)
    assert bench.versions().versions.keys() == before


def test_a_sweep_between_the_last_look_and_the_version_refuses_it(bench: Bench) -> None:
    """The run has looked, is frozen; it is cancelled, its old files are swept; it wakes: its number is taken."""
    paused_after(bench, 4)
    words(bench).resume(the_open(bench))
    before, done = bench.versions().versions.keys(), list[str]()

    def hook(reached: str) -> None:
        if reached == "batch.before-version" and not done:
            done.append(reached)
            now = bench.clock()
            words(bench).cancel(the_open(bench))
            sweep(bench)
            bench.clock.advance(now - bench.clock())

    bench.send(order("late", DAY + timedelta(days=5)))
    bench.both()
    bench.batch.refresh("sales")
    before = bench.versions().versions.keys()
    with hooked(hook):
        outcome = bench.batch.backfill("sales", ALL)
    assert done
    assert bench.versions().versions.keys() - before == {outcome.version}, "decided again, as another backfill"
    assert [version is None for _, version in ended(bench)] == [True, False]
    assert bench.answer() == bench.expected(*SENT, order("late", DAY + timedelta(days=5)))


def test_a_backfill_longer_than_its_reservation_comes_to_its_end(bench: Bench) -> None:
    runner = Counting(bench)
    slow = replace(ONE_A_MINUTE, pace=Allowance(units_a_minute=0.05), wait=bench.clock.advance)  # 20 minutes a unit
    outcome = replace(bench.batch, runner=runner).backfill("sales", ALL, slow)
    assert sorted(runner.units) == [f"2024-05-0{n}" for n in range(1, 7)], "each once, over two reservations"
    assert len({one.run for one in bench.versions().reserved.values()}) == 3
    assert bench.served[1] == outcome.version


# --- units that fail


def test_a_unit_that_fails_three_times_stops_it_by_name_once_the_others_are_done(bench: Bench) -> None:
    served, failing = bench.served, Failing(bench, "2024-05-03")
    with pytest.raises(
        SeamlineError, match=r"1 unit\(s\) of sales failed 3 times each: 2024-05-03: .* does not fit"
    ) as failed:
        replace(bench.batch, runner=failing).backfill("sales", ALL)
    assert failed.value.condition is Condition.UNIT_FAILED
    assert "--skip-unit 2024-05-03" in failed.value.hint
    assert sorted(failing.done) == [f"2024-05-0{n}" for n in (1, 2, 4, 5, 6)]
    assert BackfillHistory(bench.lake.backfill_log("sales")).open[the_open(bench)].failed == {
        "2024-05-03": "2024-05-03 does not fit"
    }
    assert bench.served == served
    rest = Counting(bench)
    replace(bench.batch, runner=rest).backfill("sales", ALL)
    assert rest.units == ["2024-05-03"]
    assert bench.answer() == bench.expected(*SENT)


def test_one_that_fails_less_often_is_done(bench: Bench) -> None:
    failing = Failing(bench, "2024-05-03", "2024-05-05", times=TRIES - 1)
    outcome = replace(bench.batch, runner=failing).backfill("sales", ALL)
    assert sorted(failing.done) == [f"2024-05-0{n}" for n in range(1, 7)]
    assert bench.served[1] == outcome.version


def test_where_what_units_run_in_is_gone_no_unit_is_to_blame(bench: Bench) -> None:
    failing = Failing(bench, "2024-05-03")
    with pytest.raises(SeamlineError, match=r"^\[KERNEL_MEMORY"):
        replace(bench.batch, runner=failing).backfill("sales", ALL, Allowed(over=lambda: True))
    assert BackfillHistory(bench.lake.backfill_log("sales")).open[the_open(bench)].failed == {}


def test_a_unit_left_out_keeps_its_files_and_the_version_says_so_until_it_is_mended(bench: Bench) -> None:
    files = bench.versions().files(bench.served[1] or 0)
    with pytest.raises(SeamlineError):
        replace(bench.batch, runner=Failing(bench, "2024-05-03")).backfill("sales", ALL)
    outcome = bench.batch.backfill("sales", ALL, by="ann", skipped=["2024-05-03"])
    now = bench.versions()
    assert now.files(outcome.version or 0)["2024-05-03"] == files["2024-05-03"]
    (skipped,) = now.versions[outcome.version or 0].skipped.items()
    assert skipped[0] == "2024-05-03"
    assert skipped[1].startswith("ann, ")
    bench.send(order("other", DAY + timedelta(days=4)))
    bench.both()
    bench.batch.refresh("sales")
    assert [*bench.versions().versions[bench.served[1] or 0].skipped] == ["2024-05-03"], "not by a refresh of others"
    bench.batch.backfill("sales", DateRange(FIRST + timedelta(2), FIRST + timedelta(2)))
    assert bench.versions().versions[bench.served[1] or 0].skipped == {}


def test_a_unit_left_out_that_has_late_records_keeps_them_in_speed(bench: Bench) -> None:
    """The version ends where its base did: else the late record would be in neither layer."""
    base, late = bench.versions().versions[bench.served[1] or 0], order("late", DAY + timedelta(days=2))
    bench.send(late)
    bench.both()
    outcome = bench.batch.backfill("sales", ALL, skipped=["2024-05-03"])
    made = bench.versions().versions[outcome.version or 0]
    assert (made.cut, made.archive_entry) == (base.cut, base.archive_entry)
    assert outcome.audit.clean
    assert bench.answer() == bench.expected(*SENT, late)
    bench.batch.refresh("sales")
    refreshed = bench.versions().versions[bench.served[1] or 0]
    assert [*refreshed.units] == ["2024-05-03"]
    assert refreshed.skipped == {}
    assert bench.answer() == bench.expected(*SENT, late)


def test_of_units_done_before_another_was_left_out_those_stand_that_hold_the_same(bench: Bench) -> None:
    late = [order(f"late{n}", DAY + timedelta(days=n)) for n in (2, 4)]
    bench.send(*late)
    bench.both()
    with pytest.raises(SeamlineError):
        replace(bench.batch, runner=Failing(bench, "2024-05-03")).backfill("sales", ALL)
    rest = Counting(bench)
    replace(bench.batch, runner=rest).backfill("sales", ALL, skipped=["2024-05-03"])
    assert rest.units == ["2024-05-05"], "it held a record beyond the cut that the version has now"
    assert bench.answer() == bench.expected(*SENT, *late)


@pytest.mark.parametrize("unit", ["tuesday", "likes/2024-05-03"])
def test_what_is_no_unit_of_the_view_cannot_be_left_out(bench: Bench, unit: str) -> None:
    with pytest.raises(SeamlineError, match="cannot be left out") as refused:
        bench.batch.backfill("sales", ALL, skipped=[unit])
    assert refused.value.condition is Condition.INPUT_INVALID
    assert BackfillHistory(bench.lake.backfill_log("sales")).open == {}


# --- beside what is served


def test_a_shadow_is_built_and_compared_and_not_served_until_it_is_promoted(bench: Bench) -> None:
    served = bench.served
    built = bench.batch.backfill("sales", ALL, Allowed(shadow=True))
    assert (built.version, bench.served) == (None, served)
    assert (built.audit.compared, built.audit.clean, built.audit.groups) == (True, True, 6)
    number = BackfillHistory(bench.lake.backfill_log("sales")).open[the_open(bench)].built
    assert number == max(bench.versions().versions)
    bench.batch.refresh("sales")
    assert bench.served == served
    rest = Counting(bench)
    promoted = replace(bench.batch, runner=rest).backfill("sales", ALL)
    assert (promoted.version, rest.units) == (number, [])
    assert bench.served[1] == number
    assert ended(bench) == [("..", number)]


def test_promoted_after_a_refresh_it_is_built_on_that_from_the_same_units(bench: Bench) -> None:
    bench.batch.backfill("sales", ALL, Allowed(shadow=True))
    late = order("late", DAY + timedelta(days=4))
    bench.send(late)
    bench.both()
    bench.batch.refresh("sales")
    rest = Counting(bench)
    replace(bench.batch, runner=rest).backfill("sales", ALL)
    assert rest.units == ["2024-05-05"]
    assert bench.answer() == bench.expected(*SENT, late)


# --- meanwhile


def test_one_that_died_after_it_was_served_is_over_and_is_not_done_again(bench: Bench) -> None:
    with pytest.raises(Death), hooked(dies_at("batch.after-publish")):
        bench.batch.backfill("sales", ALL)
    served, rest = bench.served, Counting(bench)
    outcome = replace(bench.batch, runner=rest).backfill("sales", ALL)
    assert (outcome.version, rest.units) == (served[1], [])
    assert ended(bench) == [("..", served[1])]


def test_two_backfills_of_one_view_both_come_to_their_end(bench: Bench) -> None:
    first, second = DateRange(None, FIRST + timedelta(2)), DateRange(FIRST + timedelta(2), None)
    done: list[int | None] = []

    def hook(reached: str) -> None:
        if reached == "batch.after-files" and not done:
            done.append(None)
            done[0] = bench.batch.backfill("sales", second).version

    with hooked(hook):
        outcome = bench.batch.backfill("sales", first)
    assert [version for _, version in ended(bench)] == [done[0], outcome.version]
    assert bench.served[1] == outcome.version
    assert bench.answer() == bench.expected(*SENT)


def test_a_rollback_meanwhile_is_not_undone_by_what_was_begun_before_it(bench: Bench) -> None:
    first = bench.served[1]
    bench.send(order("late", DAY))
    bench.both()
    bench.batch.refresh("sales")
    done: list[str] = []

    def hook(reached: str) -> None:
        if reached == "batch.before-version" and not done:
            done.append(reached)
            bench.batch.rollback("sales", first)

    with hooked(hook):
        outcome = bench.batch.backfill("sales", ALL)
    assert bench.versions().versions[outcome.version or 0].base == first
    assert bench.answer() == bench.expected(*SENT, order("late", DAY))


def test_under_another_definition_it_is_refused(bench: Bench) -> None:
    paused_after(bench, 2)
    words(bench).resume(the_open(bench))
    changed = VIEW.replace("count(*) AS orders", "count(*) AS orders, min(amount) AS least")
    bench.apply(changed)
    bench.send(order("more", DAY))
    bench.both()
    bench.batch.refresh("sales")
    with pytest.raises(SeamlineError, match="was begun under definition") as refused:
        bench.batch.backfill("sales", ALL)
    assert refused.value.condition is Condition.PLAN_MOVED
    words(bench).cancel(the_open(bench))
    assert bench.batch.backfill("sales", ALL).version == bench.served[1]


def test_words_at_once_are_all_heard(bench: Bench) -> None:
    """A word that meets another's entry is said again on what stands then."""
    paused_after(bench, 1)
    id_, said = the_open(bench), list[str]()

    def clock() -> datetime:
        if not said:
            said.append("")
            words(bench).pause(id_)
            words(bench).resume(id_)
        return bench.clock()

    Words(bench.lake, "sales", clock, "bob").cancel(id_)
    assert ended(bench) == [("..", None)]
    with pytest.raises(SeamlineError, match="is over"):
        words(bench).pause(id_)


# --- pace


@pytest.mark.parametrize(
    ("window", "now", "opens"),
    [
        ("22:00-06:00", "2024-05-01 21:59", "2024-05-01 22:00"),
        ("22:00-06:00", "2024-05-01 22:00", "2024-05-01 22:00"),
        ("22:00-06:00", "2024-05-01 03:00", "2024-05-01 03:00"),
        ("22:00-06:00", "2024-05-01 06:00", "2024-05-01 22:00"),
        ("08:00-09:30", "2024-05-01 09:29", "2024-05-01 09:29"),
        ("08:00-09:30", "2024-05-01 09:30", "2024-05-02 08:00"),
    ],
)
def test_units_are_begun_within_hours_alone(window: str, now: str, opens: str) -> None:
    at, then = (datetime.fromisoformat(text).replace(tzinfo=UTC) for text in (now, opens))
    assert Window.parse(window).name == window
    assert Allowance(Window.parse(window)).opens(at, at, 0) == then


@pytest.mark.parametrize("text", ["22-06", "22:00", "08:00-08:00", "25:00-06:00", ""])
def test_what_are_no_hours_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hour"):
        Window.parse(text)


def test_a_portion_follows_what_the_last_one_took() -> None:
    assert next_rows(1_000_000, AIM) == 1_000_000
    assert next_rows(1_000_000, AIM / 10) == 2_000_000
    assert next_rows(1_000_000, AIM * 10) == 500_000
    assert next_rows(LEAST_ROWS, AIM * 10) == LEAST_ROWS
    assert next_rows(MOST_ROWS, timedelta(0)) == MOST_ROWS
    assert Allowance(units_a_minute=30).most_units == 5
    assert Allowance(units_a_minute=0.1).most_units == 1
