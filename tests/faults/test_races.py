"""Two who write at once: refreshes, an operator, compaction, reservations. One wins, the other decides again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from clocks import Moved
from field import CONTRACT, SALES, Field, orders
from waiting import wait_until

from seamline.commitpoint import hooked
from seamline.entries.batch import Version
from seamline.entries.views import Published
from seamline.errors import Condition, SeamlineError
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.jobs.batch import Batch, Outcome

CHANGED = SALES.replace("count(*) AS orders", "count(*) AS orders, max(amount) AS most")

SETTINGS = """\
[speed]
compact_epochs = 4
retention_hours = 1
retire_seconds = 1
[batch]
keep_versions = 1
reservation_minutes = 600
"""


NO_IDS = {"orders": CONTRACT.replace("  - {{property: seamline.eventId, value: id}}\n", "")}
"""Epochs whose ids are remembered stay until the log's own time has moved on, whatever a process's clock says."""


class Doing:
    """Something done in a thread of its own: what it gave, or what it raised."""

    def __init__(self, action: Callable[[], Any]) -> None:
        self.gave: Any = None
        self.raised: BaseException | None = None
        self._action = action
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.gave = self._action()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            self.raised = error

    def done(self, seconds: float = 120) -> Any:
        """What it gave, once it has ended. Raises what it raised."""
        self.thread.join(seconds)
        assert not self.thread.is_alive(), "still at it"
        if self.raised is not None:
            raise self.raised
        return self.gave


def states(here: Field) -> list[Published]:
    """Every state of the view, oldest first."""
    return list(ViewHistory(here.lake.view_log("sales")).states.values())


def versions(here: Field, definition: str | None) -> dict[int, Version]:
    """Batch versions of a definition, published or not."""
    return BatchHistory(here.lake.batch_log(str(definition))).versions


def both(batch: Batch, point: str) -> list[Outcome]:
    """Two refreshes in two threads, which meet at a commit point (unless one of them has nothing left to do)."""
    there: set[threading.Thread] = set()
    runs: list[Doing] = []

    def meet(reached: str) -> None:
        me = threading.current_thread()
        if reached == point and me not in there and any(run.thread is me for run in runs):
            there.add(me)
            wait_until(lambda: len(there) == 2 or not all(r.thread.is_alive() for r in runs), 60, "the other")

    with hooked(meet):
        runs += [Doing(lambda: batch.refresh("sales")) for _ in range(2)]
        return [run.done() for run in runs]


def meanwhile(batch: Batch, point: str, action: Callable[[], object]) -> Outcome:
    """A refresh, and when it first reaches a commit point, an action in another thread, which it waits for."""
    acted: list[Doing] = []

    def hook(reached: str) -> None:
        if reached == point and not acted:
            acted.append(Doing(action))
            acted[0].done()

    with hooked(hook):
        outcome = batch.refresh("sales")
    assert acted, f"{point} was not reached"
    return outcome


def test_of_two_refreshes_at_once_one_wins_and_the_other_decides_again(field: Callable[..., Field], spark: Any) -> None:
    here = field()
    batch = here.batch(spark)
    published: list[int | None] = [None]
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        for number, point in enumerate(("batch.after-reserve", "batch.after-files", "batch.after-version")):
            here.send(*orders(40, f"{number}-"))
            reader.reaches(here.topic.end)
            wait_until(here.archived(), 90, "all archived")
            made = [outcome.version for outcome in both(batch, point)]
            assert made.count(None) == 1, f"{made}: one wins, the other finds nothing left to do"
            published.append(max(made, key=lambda version: version or 0))
            reader.asks()
        wait_until(lambda: reader.seen[-1].version == published[-1], 60, "the last version is served")
    assert not failed + also_failed
    assert [state.version for state in states(here)] == published, "each is published once"
    assert len(versions(here, states(here)[-1].served)) == 3, "two runs of one work make one version"
    assert [seen.version for seen in reader.seen] == sorted((s.version for s in reader.seen), key=published.index)


def test_an_operators_word_stands_against_a_refresh_that_is_under_way(field: Callable[..., Field], spark: Any) -> None:
    here = field()
    batch = here.batch(spark)
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:

        def more(name: str) -> None:
            here.send(*orders(20, name))
            reader.reaches(here.topic.end)
            wait_until(here.archived(), 90, "all archived")

        more("one")
        first = batch.refresh("sales").version
        more("two")
        second = batch.refresh("sales").version
        more("three")
        outcome = meanwhile(batch, "batch.after-version", lambda: batch.rollback("sales", first))
        assert [state.version for state in states(here)] == [None, first, second, first, outcome.version]
        made = versions(here, outcome.definition)
        assert made[int(outcome.version or 0)].base == first, "never stacked on a base that is no longer served"
        (unpublished,) = made.keys() - {first, second, outcome.version}
        assert made[unpublished].base == second
        old = outcome.definition

        here.change("sales", CHANGED)
        more("four")
        new = batch.refresh("sales").definition
        assert new != old
        more("five")
        outcome = meanwhile(batch, "batch.after-files", lambda: batch.rollback("sales", first, old))
        assert outcome.definition == old, "the run for the other definition gave way"
        more("six")
        assert batch.refresh("sales").definition == old, "nor does a later one overrule the operator"
        assert {state.served for state in states(here)[-3:]} == {old}
        reader.asks()
    assert not failed + also_failed
    assert {seen.definition for seen in reader.seen} == {old, new}


def test_a_compaction_that_races_a_reserved_cut_leaves_no_hole_and_no_overlap(
    field: Callable[..., Field], spark: Any
) -> None:
    here, clock = field(settings=SETTINGS, contracts=NO_IDS), Moved()
    reserved, compacted = threading.Event(), threading.Event()
    runs: list[Doing] = []

    def hook(point: str) -> None:
        if point == "compact.after-files" and not runs:
            runs.append(Doing(lambda: here.batch(spark, clock).refresh("sales")))
            assert reserved.wait(90)
        elif point == "batch.after-reserve" and not reserved.is_set():
            reserved.set()
            assert compacted.wait(90)
        elif point == "compact.after-entry":
            compacted.set()

    with here.read() as reader, here.speed(spark, clock) as failed:
        with here.archive(spark):
            one_by_one(here, reader, "a", 1)
            wait_until(here.archived(), 90, "an epoch archived")
            first = here.batch(spark, clock).refresh("sales")
            one_by_one(here, reader, "more", 2)
            wait_until(here.archived(), 90, "three epochs archived")
        with hooked(hook):
            one_by_one(here, reader, "b", 5)
            wait_until(lambda: runs, 60, "a compaction")
            outcome = runs[0].done()
        history = SpeedHistory(here.lake.speed_log("main"))
        assert (2, 5) in history.compacted
        assert first.cut == history.epochs[1].end
        assert outcome.cut == history.epochs[3].end, "the cut lies inside what was compacted meanwhile"
        wait_until(lambda: reader.seen[-1].version == outcome.version, 60, "the version is served")
        clock.by = timedelta(hours=3)
        wait_until(lambda: 1 not in now(history).epochs, 60, "what may go is retired")
        assert {2, 3, 4, 5} <= history.epochs.keys(), "the segment stays whole: the cut lies inside"
        one_by_one(here, reader, "c", 5)
        with here.read() as fresh:
            fresh.reaches(here.topic.end)
    assert not failed
    assert {seen.version for seen in reader.seen} == {None, first.version, outcome.version}


def test_a_reservation_holds_its_epochs_until_it_expires_and_its_batch_cannot_publish_after_that(
    field: Callable[..., Field], spark: Any
) -> None:
    here, clock = field(settings=SETTINGS, contracts=NO_IDS), Moved()
    frozen, woken = threading.Event(), threading.Event()
    doing: list[Doing] = []

    def freeze(point: str) -> None:
        if point == "batch.after-files" and doing and not frozen.is_set():
            frozen.set()
            assert woken.wait(300)

    with here.read() as reader, here.speed(spark, clock) as failed, here.archive(spark) as also_failed, hooked(freeze):
        batch = here.batch(spark, clock)
        one_by_one(here, reader, "a", 1)
        wait_until(here.archived(), 90, "an epoch archived")
        first = batch.refresh("sales").version
        one_by_one(here, reader, "b", 2)
        wait_until(here.archived(), 90, "three epochs archived")
        doing.append(Doing(lambda: batch.refresh("sales")))
        assert frozen.wait(90)
        one_by_one(here, reader, "c", 5)
        wait_until(here.archived(), 90, "eight epochs archived")
        history = SpeedHistory(here.lake.speed_log("main"))
        assert set(history.compacted) == {(4, 7)}, "no compaction crosses the reserved cut"
        second = batch.rebuild("sales")
        assert second.cut == history.frontier
        clock.by = timedelta(hours=3)
        wait_until(lambda: not now(history).epochs.keys() & {1, 2, 3}, 60, "what may go is retired")
        assert (4, 7) in history.compacted, "a reservation holds what follows its cut, even if its batch is dead"
        reader.asks()
        clock.by = timedelta(hours=14)
        wait_until(lambda: (4, 7) not in now(history).compacted, 60, "it expired")
        woken.set()
        with pytest.raises(SeamlineError) as refused:
            doing[0].done()
        assert refused.value.condition is Condition.RESERVATION_EXPIRED
        one_by_one(here, reader, "d", 2)
        with here.read() as fresh:
            fresh.reaches(here.topic.end)
    assert not failed + also_failed
    assert [state.version for state in states(here)] == [None, first, second.version]


def one_by_one(here: Field, reader: Any, name: str, count: int) -> None:
    """Records that are an epoch each."""
    for one in orders(count, name):
        here.send(one)
        reader.reaches(here.topic.end)


def now(history: SpeedHistory) -> SpeedHistory:
    """The same, with what is new in it."""
    history.catch_up()
    return history
