"""One micro-batch becomes one entry: what it counts, which files it names, when one without records is owed, and when
what is remembered is looked through."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from obstore.store import MemoryStore
from stream_parts import (
    CONTRACT,
    NOW,
    VIEW,
    answer,
    contract,
    definition,
    event,
    expected,
    memory_lake,
    open_speed,
    records,
    tasks,
)

from seamline.clock import ManualClock
from seamline.entries.base import Counts
from seamline.entries.speed import Epoch
from seamline.errors import Condition, SeamlineError
from seamline.frontier import START, Frontier, Partition
from seamline.history.speed import SpeedHistory
from seamline.kernel import Limits
from seamline.lake import Lake
from seamline.ledger import Log
from seamline.schemas.contracts.contract import parse_contract
from seamline.streaming.gathered import Gathered
from seamline.streaming.speed.epoch import check_balance, check_same, commit_epoch, count, is_owed
from seamline.streaming.stream_plan import StreamPlan, make_plan
from seamline.streaming.tasks import KEPT_BYTES, POSITIONS, Task

CLICKS = contract()
PER_HOUR = definition(CLICKS)
PRESSES = replace(contract("presses"), name="presses")
PER_PRESS = definition(PRESSES, "per_press", VIEW.replace("FROM clicks", "FROM presses"))
WITHOUT_ID = parse_contract(
    CONTRACT.format(topic="clicks", n="integer").replace("      - {property: seamline.eventId, value: id}\n", ""), "c"
)
BOTH = [(PER_HOUR, (CLICKS,)), (PER_PRESS, (PRESSES,))]


def at(offset: int, topic: str = "clicks") -> Frontier:
    return Frontier({Partition(f"{topic}@1", 0): offset})


def read(lake: Lake) -> list[Any]:
    """The data files that were written."""
    return list(Path(lake.uri).rglob("*.parquet"))


# --- what is counted and written


@pytest.mark.parametrize("kept_bytes", [KEPT_BYTES, 0], ids=["events sent along", "read again"])
def test_a_batch_of_copies_adds_nothing_and_names_no_file_and_what_came_with_it_stands(kept_bytes: int) -> None:
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS, PRESSES], live=BOTH, kept_bytes=kept_bytes)
    speed.run_batch(tasks(records([event(1), event(2)])))
    pressed = records([event(7)], source="presses@1")
    committed = speed.run_batch(tasks(records([event(1), event(1), event(2)], first=2), pressed))
    assert committed is not None
    assert committed.counts == {"clicks": Counts(read=3, duplicate=3), "presses": Counts(read=1, counted=1)}
    assert committed.files[PER_HOUR.hash] is None
    assert answer(lake, PER_HOUR) == expected(PER_HOUR, [event(1), event(2)], CLICKS)
    assert answer(lake, PER_PRESS) == expected(PER_PRESS, [event(7)], PRESSES)


def test_copies_of_what_no_view_reads_are_counted_all_the_same() -> None:
    speed = open_speed(memory_lake(), [CLICKS], live=[(PER_PRESS, (PRESSES,))])
    committed = speed.run_batch(tasks(records([event(1), event(1)])))
    assert committed is not None
    assert committed.counts["clicks"] == Counts(read=2, counted=1, duplicate=1)


def test_rows_of_one_group_from_several_tasks_are_one_row_of_the_file() -> None:
    speed = open_speed(memory_lake(), [CLICKS])
    committed = speed.run_batch(tasks(records([event(1)]), records([event(2)], partition=1)))
    assert committed is not None
    file = committed.files[PER_HOUR.hash]
    assert file is not None
    assert file.rows == 1


def test_events_without_an_id_are_neither_remembered_nor_copies() -> None:
    lake = memory_lake()
    speed = open_speed(lake, [WITHOUT_ID], live=[(definition(WITHOUT_ID), (WITHOUT_ID,))])
    committed = speed.run_batch(tasks(records([event(1), event(1)])))
    assert committed is not None
    assert committed.counts["clicks"] == Counts(read=2, counted=2)
    assert (committed.ids, committed.memories) == (None, {})


def test_what_no_contract_claims_is_told_only_where_there_is_any_and_a_contract_also_where_nothing_came() -> None:
    seen = Gathered(read={"a": 4, "": 0}, rejected={"a": 1})
    copies = POSITIONS.empty_table()
    assert count(seen, copies, {"1": "a", "2": "b"}) == {"a": Counts(read=4, counted=3, rejected=1), "b": Counts()}
    assert count(Gathered(read={"": 2}, rejected={"": 2}), copies, {}) == {"": Counts(read=2, rejected=2)}


def test_nothing_is_committed_that_does_not_add_up() -> None:
    speed = open_speed(memory_lake(), [CLICKS])
    with pytest.raises(SeamlineError) as caught:
        commit_epoch(speed, Gathered(read={"clicks": 1}, rejected={"clicks": 2}), POSITIONS.empty_table(), NOW)
    assert caught.value.condition is Condition.KERNEL_FAILED
    assert SpeedHistory(speed.lake.speed_log("main")).last_epoch == 0


@pytest.mark.parametrize(
    ("counts", "holds"),
    [
        (Counts(read=3, counted=1, rejected=1, duplicate=1), True),
        (Counts(), True),
        (Counts(read=3, counted=3, rejected=1), False),
        (Counts(read=0, counted=-1, rejected=1), False),
        (Counts(read=1, counted=2, duplicate=-1), False),
    ],
)
def test_each_record_read_is_counted_rejected_or_a_duplicate(counts: Counts, holds: bool) -> None:
    epoch = Epoch(at=NOW, number=1, claim=1, start=START, end=at(1), files={}, counts={"c": counts})
    if holds:
        check_balance(epoch)
        return
    with pytest.raises(SeamlineError, match="do not add up"):
        check_balance(epoch)


def test_a_second_reading_that_ends_elsewhere_commits_nothing() -> None:
    applied: list[Task] = []

    def moving(task: Task) -> list[Any]:
        applied.append(task)
        return list(task(records([event(1), event(1), *[event(2)] * (len(applied) - 1)])))

    speed = open_speed(memory_lake(), [CLICKS], kept_bytes=0)
    with pytest.raises(SeamlineError) as caught:
        speed.run_batch(moving)
    assert (len(applied), caught.value.condition) == (2, Condition.BROKER_UNAVAILABLE)
    assert SpeedHistory(speed.lake.speed_log("main")).last_epoch == 0
    check_same(Gathered(end=at(3)), Gathered(end=at(3)))


def test_a_stream_begins_where_it_is_told_to_and_goes_on_where_its_epochs_end() -> None:
    lake = memory_lake()
    kernel = lake.kernel(threads=1)
    given = {"engine": kernel, "task_limits": Limits((), "512MB", 1)}
    speed = open_speed(lake, [CLICKS], origin=at(5), **given)
    assert (speed.engine, speed.task_limits, speed.frontier) == (kernel, given["task_limits"], at(5))
    committed = speed.run_batch(tasks(records([event(n) for n in range(7)])))
    assert committed is not None
    assert (committed.start, committed.end, committed.counts["clicks"].read) == (at(5), at(7), 2)
    assert open_speed(lake, [CLICKS], origin=at(9)).frontier == at(7)


# --- epochs without records


def epoch(**named: Any) -> Epoch:
    return Epoch(at=NOW, number=1, claim=1, start=START, end=at(1), **named)


def test_an_epoch_is_owed_while_the_newest_lacks_a_definition_or_a_decoding_that_is_live() -> None:
    plan = make_plan([CLICKS], [(PER_HOUR, (CLICKS,))])
    files, decodings = {PER_HOUR.hash: None}, (CLICKS.decoding,)

    def owed(*epochs: Epoch, plan: StreamPlan = plan) -> bool:
        log = Log(MemoryStore(), "speed/main")
        for number, one in enumerate(epochs, 1):
            log.put(number, one)
        return is_owed(SpeedHistory(log), plan)

    assert not owed(), "the first records bring it"
    assert not owed(epoch(files=files, decodings=decodings))
    assert not owed(epoch(files={**files, "more": None}, decodings=(*decodings, "more")))
    assert owed(epoch(files={}, decodings=decodings))
    assert owed(epoch(files=files))


def test_what_is_owed_is_said_once_and_where_nothing_is_to_be_read_is_passed_over() -> None:
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS])
    assert speed.announce() is None
    speed.run_batch(tasks(records([event(1)])))
    assert speed.announce() is speed.announce(at(1)) is None
    speed.use(make_plan([CLICKS, PRESSES], BOTH))
    written = read(lake)
    said = speed.announce()
    assert said is not None
    assert (said.start, said.end, set(said.files.values())) == (at(1), at(1), {None})
    assert speed.announce() is None
    passed = speed.announce(at(7))
    assert passed is not None
    assert (passed.start, passed.end, speed.frontier) == (at(1), at(7), at(7))
    assert passed.counts == {"clicks": Counts(), "presses": Counts()}
    assert read(lake) == written, "what has no rows is no file"


# --- what is remembered


def test_kafka_is_asked_for_its_ends_once_a_minute_and_only_where_something_could_be_forgotten() -> None:
    clock, asked, sent = ManualClock(NOW), list[datetime](), 0

    def ends() -> None:
        asked.append(clock())

    speed = open_speed(memory_lake(), [CLICKS], clock, ends=ends)

    def batch(wait: timedelta) -> int:
        """How often it was asked, as a record of this time came."""
        nonlocal sent
        clock.advance(wait)
        sent += 1
        speed.run_batch(tasks(records([event(sent)], first=sent - 1, at=[clock()])))
        found = len(asked)
        asked.clear()
        return found

    second, hour = timedelta(seconds=1), timedelta(hours=1)
    assert [batch(timedelta(0)), batch(2 * hour)] == [0, 0], "nothing lies a horizon behind"
    assert batch(second) == 1
    assert [batch(59 * second), batch(second)] == [0, 1]
    assert batch(-61 * second) == 1, "a clock that was set back does not stop it"
