"""What is kept of a decoding's ids as it begins to be read: its own, those of the one before it, or a fresh start."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stream_parts import NOW, contract, definition, event, memory_lake, open_speed, records, tasks

from seamline.clock import ManualClock
from seamline.entries.speed import Epoch, Memory, Retired
from seamline.frontier import START
from seamline.history.speed import SpeedHistory
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.streaming.speed.compact import cover, plan_compaction
from seamline.streaming.speed.epoch import Speed
from seamline.streaming.speed.recall import predecessor
from seamline.streaming.speed.together import compact_run
from seamline.streaming.stream_plan import make_plan

CLICKS = contract()
MENDED = contract(more="      - {property: seamline.ahead, value: 2 days}\n")


def read(speed: Speed, *numbers: int, topic: str = "clicks") -> Epoch:
    """One epoch over these events, after those that are read."""
    first = sum(offset for partition, offset in speed.frontier.items() if partition.source == f"{topic}@1")
    epoch = speed.run_batch(tasks(records([event(n) for n in numbers], first=first, source=f"{topic}@1")))
    assert epoch is not None
    return epoch


def begun() -> tuple[Lake, Speed]:
    lake = memory_lake()
    return lake, open_speed(lake, [CLICKS], ManualClock(NOW), live=[(definition(CLICKS), (CLICKS,))])


@pytest.mark.parametrize("restarts", [False, True])
def test_a_mended_contract_goes_on_with_the_ids_of_the_one_before_it(restarts: bool) -> None:
    lake, speed = begun()
    read(speed, 1, 2)
    live = [(definition(CLICKS), (CLICKS,)), (definition(MENDED, "too"), (MENDED,))]
    if restarts:
        speed = open_speed(lake, [MENDED], ManualClock(NOW), live=live)
    speed.use(make_plan([MENDED], live))
    epoch = read(speed, 2, 3)
    assert (MENDED.identity, MENDED.decoding == CLICKS.decoding) == (CLICKS.identity, False)
    assert epoch.counts["clicks"].duplicate == epoch.counts[f"clicks@{CLICKS.decoding}"].duplicate == 1
    memory = epoch.memories[MENDED.decoding]
    assert (memory.spans, memory.whole) == (((1, CLICKS.decoding), (2, MENDED.decoding)), True)
    again = read(open_speed(lake, [MENDED], ManualClock(NOW), live=live), 1, 3, 4)
    assert again.counts["clicks"].duplicate == 2
    assert again.memories == epoch.memories


def test_a_new_contract_lacks_nothing_where_its_topic_is_new_and_waits_for_the_logs_time_where_it_was_read() -> None:
    other, renamed = contract("presses"), replace(CLICKS, name="presses")
    for more, whole in ((replace(other, name="presses"), True), (renamed, False)):
        _, speed = begun()
        read(speed, 1)
        speed.use(make_plan([CLICKS, more], [(definition(CLICKS), (CLICKS,))]))
        epoch = read(speed, 1, topic=more.topic)
        memory = epoch.memories[more.decoding]
        assert (memory.since, memory.whole) == (2, whole)
        assert speed.history.lacks(epoch, more.decoding) is not whole


def test_a_decoding_that_was_not_read_for_a_while_begins_afresh() -> None:
    _, speed = begun()
    other = replace(CLICKS, name="presses")
    plans = [make_plan(some, [(definition(CLICKS), (CLICKS,))]) for some in ([CLICKS, other], [CLICKS])]
    found = []
    for plan in (plans[0], plans[1], plans[0]):
        speed.use(plan)
        found.append(read(speed, 1).memories.get(other.decoding))
    assert [memory and (memory.since, memory.whole) for memory in found] == [(1, True), None, (3, False)]


@pytest.mark.parametrize("retired", [False, True], ids=["epochs stand", "a compacted segment stands for them"])
def test_ids_are_recalled_from_compacted_segments_and_a_lost_epoch_is_a_gap(retired: bool) -> None:
    lake, speed = begun()
    for number in range(1, 6):
        read(speed, number, number + 10)
    compact_run(speed, plan_compaction(cover(speed.history), [], 3, NOW), {})
    if retired:
        speed.writer.put(Retired(at=NOW, claim=speed.writer.claim, last=0, replaced=((1, 3),)))
    again = read(open_speed(lake, [CLICKS], ManualClock(NOW)), 1, 12, 3, 14, 5)
    assert again.counts["clicks"].duplicate == 5
    assert again.memories[CLICKS.decoding].spans == ((1, CLICKS.decoding),)
    log = lake.speed_log("main")
    numbers = [n for n in range(1, log.last() + 1) if isinstance(entry := log.read(n), Epoch) and entry.number == 4]
    log.remove(numbers[0])
    after = read(open_speed(lake, [CLICKS], ManualClock(NOW)), 3, 4, 5)
    memory = after.memories[CLICKS.decoding]
    assert (memory.since, memory.whole, after.counts["clicks"].duplicate) == (5, False, 2)


def test_ids_of_an_epoch_written_before_are_known_by_the_second_they_were_counted_in() -> None:
    lake, speed = begun()
    first = read(speed, 1, 2)
    assert first.ids is not None
    assert first.id_file is not None
    older = lake.speed_path("main", "ids", "older")
    statement = f"SELECT decoding, hi, lo, {int(NOW.timestamp())}::UINTEGER AS seen FROM ids"
    lake.write(lake.kernel(), statement, {"ids": lake.read([first.id_file.path])}, older)
    log = lake.speed_log("main")
    number = speed.writer.last
    log.remove(number)
    written = first.model_copy(update={"memories": {}, "ids": first.ids.model_copy(update={"path": older})})
    log.put(number, written)
    history = SpeedHistory(log)
    assert not history.lacks(history.epochs[1], CLICKS.decoding)
    epoch = read(open_speed(lake, [CLICKS], ManualClock(NOW)), 2, 3)
    assert epoch.counts["clicks"].duplicate == 1
    assert epoch.memories[CLICKS.decoding] == Memory(
        horizon=3600, identity=CLICKS.identity, spans=((1, CLICKS.decoding),), start=START, whole=True
    )


LONGER = contract(more="      - {property: seamline.dedupHorizon, value: 2 hours}\n")


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("after", [CLICKS, LONGER], ids=["as before", "longer"])
def test_a_horizon_holds_from_the_next_epoch_on_whether_the_process_was_away_or_not(
    after: Contract, restarts: bool
) -> None:
    lake, speed = begun()
    read(speed, 1, 2)
    live = [(definition(CLICKS), (CLICKS,))]
    if restarts:
        speed = open_speed(lake, [after], ManualClock(NOW), live=live)
    speed.use(make_plan([after], live))
    epoch = read(speed, 2, 3)
    assert after.decoding == CLICKS.decoding
    memory = epoch.memories[CLICKS.decoding]
    assert (memory.horizon, memory.whole) == (after.horizon.total_seconds(), after is CLICKS)
    assert epoch.counts["clicks"].duplicate == 1


_ID, _TS = ("      - {name: id, logicalType: string}\n", "      - {name: ts, logicalType: timestamp}\n")
TURNED = parse_contract(CLICKS.text.replace(_ID + _TS, _TS + _ID), "clicks.yaml")


@pytest.mark.parametrize("restarts", [False, True])
def test_of_several_decodings_a_new_one_goes_on_with_the_ids_of_one_that_accepts_the_same(restarts: bool) -> None:
    lake = memory_lake()
    older = (definition(MENDED, "older"), (MENDED,))
    speed = open_speed(lake, [MENDED], ManualClock(NOW), live=[older])
    read(speed, 1)
    live = [older, (definition(CLICKS), (CLICKS,))]
    speed.use(make_plan([CLICKS], live))
    read(speed, 2)
    assert TURNED.decoding not in (CLICKS.decoding, MENDED.decoding)
    live.append((definition(TURNED, "newer"), (TURNED,)))
    if restarts:
        speed = open_speed(lake, [TURNED], ManualClock(NOW), live=live)
    speed.use(make_plan([TURNED], live))
    memory = read(speed, 3).memories[TURNED.decoding]
    assert [decoding for _, decoding in memory.spans] == [MENDED.decoding, CLICKS.decoding, TURNED.decoding]


def test_a_decoding_that_has_no_ids_yet_is_gone_on_with_as_well() -> None:
    lake = memory_lake()
    live = [(definition(CLICKS), (CLICKS,)), (definition(MENDED, "too"), (MENDED,))]
    speed = open_speed(lake, [MENDED], ManualClock(NOW), live=live)
    memories = read(speed, 1).memories
    assert {decoding: memory.since for decoding, memory in memories.items()} == {CLICKS.decoding: 1, MENDED.decoding: 1}


def test_a_text_that_is_handed_over_goes_on_with_the_ids_of_the_one_before_it_and_no_other() -> None:
    plan = make_plan([CLICKS], [(definition(CLICKS), (CLICKS,))]).decodings[0]
    older = Memory(horizon=60, identity=plan.identity, spans=((1, "older"),), start=START, whole=True)
    before = older.model_copy(update={"spans": ((1, "older"), (3, "before"))})
    memories = {"older": older, "before": before}
    assert predecessor(plan, {}, memories) == "older"
    assert predecessor(replace(plan, likes=("before",)), {}, memories) == "before"
    assert predecessor(replace(plan, likes=("older",), after=("before",)), {}, memories) == "before"
    assert predecessor(replace(plan, identity="other"), {}, memories) == ""
