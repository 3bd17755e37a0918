"""The batches of one query: one at a time, none after its end, and nothing between them once one has failed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from seamline.frontier import START, Frontier, Partition
from seamline.streaming.batches import NOTHING, Batches, Prepared
from seamline.streaming.tasks import Row, Task, Tasks

HERE = Partition("clicks@1", 0)


class Counting:
    """A role that counts: each batch reads one record for every task's row."""

    def __init__(self) -> None:
        self.topics: tuple[str, ...] = ("clicks",)
        self.frontier = START
        self.idled = 0
        self.during: Callable[[], None] = lambda: None

    def prepare(self) -> Prepared:
        return NOTHING

    def begin(self, prepared: Prepared) -> None:
        pass

    def batch(self, tasks: Tasks) -> None:
        read = len(list(tasks(lambda table: [])))
        self.during()
        self.frontier = Frontier({HERE: self.frontier[HERE] + read})

    def idle(self) -> None:
        self.idled += 1


def rows(number: int, seen: list[bool] | None = None) -> Callable[[Task, bool], list[Row]]:
    """What applies a task to so many records; `seen` is told whether they were said to be few."""

    def apply(_: Task, few: bool) -> list[Row]:
        if seen is not None:
            seen.append(few)
        return [Row("tally", "", b"")] * number

    return apply


def test_a_batch_after_a_small_one_is_said_to_be_small() -> None:
    batches, seen = Batches(Counting(), 3, threading.Event()), list[bool]()
    for number in (2, 3, 1):
        batches.run(rows(number, seen))
    assert seen == [False, True, False]


def test_no_batch_begins_after_the_end_of_its_query_also_while_the_next_one_runs() -> None:
    role = Counting()
    before = Batches(role, 0, threading.Event())
    before.close()
    after = Batches(role, 0, threading.Event())
    before.run(rows(1))
    assert role.frontier == START
    after.run(rows(1))
    assert role.frontier == Frontier({HERE: 1})


def test_a_batch_that_hangs_is_no_quiet_and_whoever_ends_the_query_may_do_other_things_meanwhile() -> None:
    role, within, go_on = Counting(), threading.Event(), threading.Event()
    role.during = lambda: (within.set(), go_on.wait(30))[0]
    batches = Batches(role, 0, threading.Event())
    assert batches.is_quiet(0)
    running = threading.Thread(target=batches.run, args=(rows(1),))
    running.start()
    assert within.wait(30)
    assert not batches.is_quiet(0)
    batches.close()
    assert batches.runs(0.1)
    go_on.set()
    assert not batches.runs(30)
    running.join(30)
    batches.run(rows(1))
    assert role.frontier == Frontier({HERE: 1})


def test_nothing_is_done_for_other_topics_or_after_a_signal() -> None:
    role, stop = Counting(), threading.Event()
    batches = Batches(role, 0, stop)
    assert batches.wanted
    role.topics = ("clicks", "orders")
    batches.run(rows(1))
    assert (batches.wanted, role.frontier) == (False, START)
    role.topics = ("clicks",)
    stop.set()
    batches.run(rows(1))
    assert (batches.wanted, role.frontier) == (False, START)


def test_a_role_is_idle_between_batches_but_not_after_one_that_failed() -> None:
    role = Counting()
    sound, failed = Batches(role, 0, threading.Event()), Batches(role, 0, threading.Event())
    sound.idle()
    assert role.idled == 1

    def fail() -> None:
        raise ValueError("disk full")

    role.during = fail
    with pytest.raises(ValueError, match="disk full"):
        failed.run(rows(1))
    assert str(failed.error) == "disk full"
    failed.idle()
    assert role.idled == 1
