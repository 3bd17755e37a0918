"""The speed layer's guarantees: counted once whatever arrives twice or dies, and never a record lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import obstore
import pytest
from dying import Death
from hypothesis import given
from hypothesis import strategies as st
from stream_parts import (
    NOW,
    VIEW,
    answer,
    contract,
    definition,
    epochs,
    event,
    expected,
    kernel_rows,
    link,
    make_project,
    memory_lake,
    open_speed,
    produce,
    read_so_far,
    records,
    running,
    tasks,
)
from waiting import wait_until

from seamline.attempts import SWEPT_AFTER
from seamline.clock import ManualClock, system_clock
from seamline.commitpoint import hooked
from seamline.config import Settings
from seamline.entries.base import Claim, Counts
from seamline.entries.speed import Compacted, Epoch
from seamline.errors import Condition, ConflictError, SeamlineError, TerminalError, TransientError
from seamline.frontier import START, Frontier, Partition
from seamline.history.speed import SpeedHistory
from seamline.lake import Lake
from seamline.packs import CARRIED
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import load_project
from seamline.schemas.states import apply_views
from seamline.segment import build_chain
from seamline.streaming.speed.compact import Link, cover, plan_compaction, plan_retirement, plan_sweep
from seamline.streaming.speed.maintenance import Maintenance
from seamline.streaming.speed.role import run_speed
from seamline.streaming.speed.together import compact_run
from seamline.streaming.stream_plan import make_plan
from seamline.streaming.tasks import KEPT_BYTES, Task

CLICKS = contract()
PER_HOUR = definition(CLICKS)
MALFORMED = [b"{", b"\xff", b"null", b'{"id": "x"}', b'{"id": "x", "ts": "2026-01-01T00:00:00Z", "n": "7"}']


NEVER = timedelta(seconds=-1)
"""No end need be asked for."""


@pytest.mark.parametrize("kept_bytes", [KEPT_BYTES, 0], ids=["events sent along", "read again"])
def test_duplicates_and_malformed_records_are_counted_for_what_they_are(kept_bytes: int) -> None:
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS], kept_bytes=kept_bytes)
    one, two = [event(1), event(2), *MALFORMED, event(1)], [event(2), event(3)]
    committed = speed.run_batch(tasks(records(one), records(two, partition=1)))
    assert committed is not None
    assert committed.counts == {"clicks": Counts(read=10, counted=3, rejected=5, duplicate=2)}
    assert committed.end == Frontier({Partition("clicks@1", 0): 8, Partition("clicks@1", 1): 2})
    assert answer(lake, PER_HOUR) == expected(PER_HOUR, one + two, CLICKS)


def test_only_events_too_large_to_send_along_are_read_again_for_their_copies() -> None:
    applied = []

    def counting(task: Task) -> list[Any]:
        applied.append(task)
        return list(task(records([event(1), event(1)])))

    for kept_bytes in (KEPT_BYTES, 0):
        open_speed(memory_lake(), [CLICKS], kept_bytes=kept_bytes).run_batch(counting)
    assert len(applied) == 1 + 2


@pytest.mark.parametrize("kept_bytes", [KEPT_BYTES, 0], ids=["events sent along", "read again"])
def test_a_copy_in_a_later_epoch_is_left_out_also_after_a_restart(kept_bytes: int) -> None:
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS], kept_bytes=kept_bytes)
    speed.run_batch(tasks(records([event(1), event(2)])))
    speed.run_batch(tasks(records([event(2), event(3)], first=2)))
    again = open_speed(lake, [CLICKS], kept_bytes=kept_bytes)
    committed = again.run_batch(tasks(records([event(1), event(3), event(4)], first=4)))
    assert committed is not None
    assert committed.counts["clicks"] == Counts(read=3, counted=1, duplicate=2)
    assert answer(lake, PER_HOUR) == expected(PER_HOUR, [event(n) for n in (1, 2, 3, 4)], CLICKS)


def test_of_copies_in_one_batch_the_lowest_position_stays() -> None:
    lake = memory_lake()
    first, second = b'{"id":"a","ts":"2026-01-01T00:00:00Z","n":1}', b'{"id":"a","ts":"2026-01-01T00:00:00Z","n":2}'
    open_speed(lake, [CLICKS]).run_batch(tasks(records([second], partition=1), records([first], partition=0)))
    assert [row["total"] for row in answer(lake, PER_HOUR)] == [1]


def hours(n: int) -> timedelta:
    return timedelta(hours=n)


def minutes(n: int) -> timedelta:
    return timedelta(minutes=n)


NONE = [datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)]
"""What Kafka's timestamps 0 and -1 are: none."""


@pytest.mark.parametrize("clock", [timedelta(), hours(2), hours(-3)], ids=["right", "ahead", "behind"])
@pytest.mark.parametrize(
    ("waits", "at", "duplicates"),
    [
        ([minutes(0), hours(5), hours(0)], [minutes(0), minutes(1), minutes(61)], [0, 1, 1]),
        ([minutes(0), minutes(1), minutes(1)], [minutes(0), minutes(65), minutes(30)], [0, 0, 1]),
        ([hours(9), hours(-9), hours(9)], [minutes(0), hours(-1), hours(2)], [0, 1, 0]),
    ],
    ids=["a copy of a copy after an outage", "a backlog, and one out of order", "clocks that step"],
)
def test_copies_are_those_whose_kafka_timestamps_lie_within_the_horizon_whatever_a_clock_says(
    waits: list[timedelta], at: list[timedelta], duplicates: list[int], clock: timedelta
) -> None:
    for again in (False, True):  # the process starts again before each record
        lake, time = memory_lake(), ManualClock(NOW + clock)
        speed, found = open_speed(lake, [CLICKS], time), []
        for number, (wait, after) in enumerate(zip(waits, at, strict=True)):
            time.advance(wait)
            speed = open_speed(lake, [CLICKS], time) if again else speed
            committed = speed.run_batch(tasks(records([event(1)], first=number, at=[NOW + after])))
            assert committed is not None
            found.append(committed.counts["clicks"].duplicate)
        assert found == duplicates
        at_once = open_speed(memory_lake(), [CLICKS], ManualClock(NOW + clock))
        committed = at_once.run_batch(tasks(records([event(1)] * len(at), at=[NOW + after for after in at])))
        assert committed is not None
        assert committed.counts["clicks"].duplicate == sum(duplicates)


@pytest.mark.parametrize("none", NONE, ids=["0", "-1"])
def test_a_record_without_a_timestamp_is_an_event_and_near_to_any(none: datetime) -> None:
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS])
    batch = records([event(1), event(2), event(1)], at=[none, NOW, none])
    for first, again in (0, batch), (3, records([event(1), event(2)], first=3, at=[NOW, none])):
        committed = speed.run_batch(tasks(again))
        assert committed is not None
        wanted = Counts(read=3, counted=2, duplicate=1) if first == 0 else Counts(read=2, duplicate=2)
        assert committed.counts["clicks"] == wanted


def test_what_is_forgotten_is_said_and_a_partition_far_behind_or_a_timestamp_far_ahead_forgets_nothing() -> None:
    lake, clock = memory_lake(), ManualClock(NOW)
    ends = {n: 10_000 for n in (0, 1)}
    speed = open_speed(
        lake, [CLICKS], clock, ends=lambda: Frontier({Partition("clicks@1", n): end for n, end in ends.items()})
    )

    def read(partition: int, at: timedelta) -> int:
        """One record, as time passes; the first epoch whose ids were remembered meanwhile."""
        clock.advance(minutes(20))
        offset = speed.frontier[Partition("clicks@1", partition)]
        record = records([event(offset)], first=offset, partition=partition, at=[NOW + at])
        committed = speed.run_batch(tasks(record))
        assert committed is not None
        return committed.memories[CLICKS.decoding].since

    assert [read(1, hours(0))] + [read(0, minutes(20 * n)) for n in range(1, 9)] == [1] * 9
    assert read(0, hours(90)) == 1, "a clock on a producer is wrong"
    read(1, minutes(160))
    assert read(0, minutes(200)) > 1, "both partitions are beyond it"
    since = read(0, minutes(220))
    ends[1] = speed.frontier[Partition("clicks@1", 1)]
    for n in range(12, 20):
        since = read(0, minutes(20 * n))
    assert since > 10, "the other one is read to its end, and holds nothing"
    committed = open_speed(lake, [CLICKS], clock).run_batch(tasks(records([event(0)], first=40, at=[NOW])))
    assert committed is not None
    memory = committed.memories[CLICKS.decoding]
    assert (memory.since, memory.start) == (since, SpeedHistory(lake.speed_log("main")).epochs[since].start)
    assert committed.counts["clicks"].duplicate == 0, "an id of before is not known, though it is near"


def test_records_below_the_frontier_are_ignored_and_an_empty_batch_commits_nothing() -> None:
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS])
    speed.run_batch(tasks(records([event(1), event(2)])))
    assert speed.run_batch(tasks(records([event(1), event(2)]))) is None
    assert speed.run_batch(tasks()) is None
    committed = speed.run_batch(tasks(records([event(2), event(3)], first=1)))
    assert committed is not None
    assert committed.counts["clicks"] == Counts(read=1, counted=1)
    assert len(epochs(lake)) == 2


@pytest.mark.parametrize("point", ["speed.before-files", "speed.after-files", "speed.after-entry"])
def test_killed_at_any_commit_point_counts_once(point: str) -> None:
    lake = memory_lake()
    batches = [[event(1), event(2)], [event(2), event(3)], [event(4), b"?"]]

    def die(reached: str) -> None:
        if reached == point:
            raise Death

    for first in range(0, 6, 2):
        batch = tasks(records(batches[first // 2], first=first))
        with pytest.raises(Death), hooked(die):
            open_speed(lake, [CLICKS]).run_batch(batch)
        open_speed(lake, [CLICKS]).run_batch(batch)
    history = SpeedHistory(lake.speed_log("main"))
    assert history.counts == {"clicks": Counts(read=6, counted=4, rejected=1, duplicate=1)}
    assert answer(lake, PER_HOUR) == expected(PER_HOUR, [v for batch in batches for v in batch], CLICKS)


def test_a_process_that_failed_right_after_its_entry_commits_nothing_more() -> None:
    """What it holds is older than the ledger: going on from there would count records again."""
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS])
    speed.run_batch(tasks(records([event(1)])))

    def fail(reached: str) -> None:
        if reached == "speed.after-entry":
            raise Death

    with pytest.raises(Death), hooked(fail):
        speed.run_batch(tasks(records([event(2)], first=1)))
    another = definition(CLICKS, "per_hour_too")
    speed.use(make_plan([CLICKS], [(PER_HOUR, (CLICKS,)), (another, (CLICKS,))]))  # an epoch is owed
    for go_on in (speed.announce, lambda: speed.run_batch(tasks(records([event(2)], first=1)))):
        with pytest.raises(TransientError) as caught:
            go_on()
        assert caught.value.condition is Condition.PROCESS_FAILED
    history = SpeedHistory(lake.speed_log("main"))
    assert {n: epoch.end for n, epoch in history.epochs.items()} == {
        n: Frontier({Partition("clicks@1", 0): n}) for n in (1, 2)
    }
    assert open_speed(lake, [CLICKS]).frontier == history.frontier


def test_a_writer_that_lost_its_claim_cannot_commit() -> None:
    lake = memory_lake()
    old = open_speed(lake, [CLICKS])
    new = open_speed(lake, [CLICKS])
    with pytest.raises(ConflictError) as caught:
        old.run_batch(tasks(records([event(1)])))
    assert caught.value.condition is Condition.WRITER_CONFLICT
    assert new.run_batch(tasks(records([event(1)]))) is not None


def test_a_topic_that_was_made_again_is_found_before_the_entry() -> None:
    lake = memory_lake()

    def check() -> None:
        raise TerminalError(Condition.TOPIC_RECREATED, "clicks")

    with pytest.raises(TerminalError):
        open_speed(lake, [CLICKS], check=check).run_batch(tasks(records([event(1)])))
    assert epochs(lake) == []


def test_a_definition_that_comes_later_is_listed_from_then_on_and_a_hole_before() -> None:
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS])
    speed.run_batch(tasks(records([event(1)])))
    later = definition(CLICKS, text=VIEW.replace("1 hour", "1 day"))
    speed.use(make_plan([CLICKS], [(PER_HOUR, (CLICKS,)), (later, (CLICKS,))]))
    speed.run_batch(tasks(records([event(2)], first=1)))
    history = SpeedHistory(lake.speed_log("main"))
    assert len(build_chain(PER_HOUR.hash, None, START, history.segments(PER_HOUR.hash), history.frontier).segments) == 2
    assert (
        len(build_chain(later.hash, 1, epochs(lake)[0].end, history.segments(later.hash), history.frontier).segments)
        == 1
    )
    with pytest.raises(SeamlineError) as caught:
        build_chain(later.hash, None, START, history.segments(later.hash), history.frontier)
    assert caught.value.condition is Condition.SEAM_HOLE


def test_two_decodings_of_one_contract_are_counted_side_by_side() -> None:
    older = contract(n="string")
    lake = memory_lake()
    speed = open_speed(
        lake, [CLICKS], live=[(PER_HOUR, (CLICKS,)), (definition(older, text=VIEW.replace("sum", "max")), (older,))]
    )
    committed = speed.run_batch(tasks(records([event(1), event(1)])))
    assert committed is not None
    assert committed.counts["clicks"] == Counts(read=2, counted=1, duplicate=1)
    assert committed.counts[f"clicks@{older.decoding}"] == Counts(read=2, rejected=2)


def frontier(offset: int) -> Frontier:
    return Frontier({Partition("t@1", 0): offset}) if offset else START


def links(count: int) -> list[Link]:
    return [link(n, n, frontier(n - 1), frontier(n)) for n in range(1, count + 1)]


@given(st.integers(1, 40), st.integers(2, 6), st.lists(st.integers(0, 40), max_size=4), st.booleans())
def test_compaction_never_crosses_a_cut_and_keeps_the_range(
    count: int, size: int, cuts: list[int], settled: bool
) -> None:
    standing, at = links(count), [frontier(cut) for cut in cuts]
    while run := plan_compaction(standing, at, size, NOW + timedelta(days=settled)):
        assert not any(run[0].start < cut < run[-1].end for cut in at)
        level = 1 + max(one.level for one in run)
        one = link(run[0].first, run[-1].last, run[0].start, run[-1].end, run[0].definitions, level)
        place = standing.index(run[0])
        standing[place : place + len(run)] = [one]
    assert standing[0].start == START
    assert standing[-1].end == frontier(count)
    assert all(before.end == after.start for before, after in pairwise(standing))


def test_epochs_that_list_other_definitions_are_not_put_together() -> None:
    standing = links(4)
    standing[2:] = [link(n, n, frontier(n - 1), frontier(n), "de") for n in (3, 4)]
    assert plan_compaction(standing, [], 3, NOW) == ()
    assert [one.first for one in plan_compaction(standing, [], 2, NOW)] == [1, 2]


def test_a_compacted_run_answers_the_same_and_remembers_its_ids() -> None:
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS])
    for number in range(4):
        speed.run_batch(tasks(records([event(number), event(max(0, number - 1))], first=2 * number)))
    run = plan_compaction(cover(speed.history), [], 4, NOW)
    compacted = compact_run(speed, run, {PER_HOUR.hash: PER_HOUR.merging})
    file = compacted.file(PER_HOUR.hash)
    assert file is not None
    whole = lake.kernel().run(PER_HOUR.merge_and_finalise, {"partials": lake.read([file.path])}).to_pylist()
    assert whole == answer(lake, PER_HOUR) == expected(PER_HOUR, [event(n) for n in range(4)], CLICKS)
    committed = open_speed(lake, [CLICKS]).run_batch(tasks(records([event(n) for n in range(5)], first=8)))
    assert committed is not None
    assert committed.counts["clicks"] == Counts(read=5, counted=1, duplicate=4)


def test_epochs_are_retired_only_below_every_cut_and_beyond_retention_and_never_the_newest() -> None:
    lake, clock = memory_lake(), ManualClock(NOW)
    speed = open_speed(lake, [CLICKS], clock)
    for number in range(6):
        speed.run_batch(tasks(records([event(number)], first=number)))
        clock.advance(timedelta(hours=2))
    history = speed.history
    ends = [epoch.end for epoch in history.epochs.values()]
    short, day = timedelta(hours=5), timedelta(days=1)
    for since in (None, 9):
        assert plan_retirement(history, [START], clock(), short, NEVER, since) is None
        assert plan_retirement(history, [ends[1], ends[4]], clock(), short, NEVER, since) == (2, ())
        assert plan_retirement(history, [ends[5]], clock(), short, NEVER, since) == (4, ())
    assert plan_retirement(history, [ends[5]], clock(), short, NEVER, 3) == (2, ()), (
        "the ids of the third are remembered"
    )
    assert plan_retirement(history, [ends[5]], clock(), day, NEVER, None) is None
    clock.advance(day)
    assert plan_retirement(history, [], clock(), short, NEVER, 9) == (5, ())


def test_replaced_segments_go_once_every_cut_has_passed_theirs() -> None:
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS])
    for number in range(5):
        speed.run_batch(tasks(records([event(number)], first=number)))
    for _ in range(3):  # twice two epochs, then these
        compact_run(speed, plan_compaction(cover(speed.history), [], 2, NOW), {})
    assert sorted(speed.history.compacted) == [(1, 2), (1, 4), (3, 4)]
    ends, long = [epoch.end for epoch in speed.history.epochs.values()], timedelta(days=7)
    assert plan_retirement(speed.history, [ends[1]], system_clock(), long, NEVER, None) is None
    assert plan_retirement(speed.history, [ends[3], ends[4]], system_clock(), long, NEVER, None) == (0, ((1, 4),))


def test_a_segment_of_epochs_holds_them_and_nothing_is_another_when_their_entries_are_gone() -> None:
    """Nor for who reads it for the first time, who had read some of it, or who asks as of one of them."""
    lake, clock = memory_lake(), ManualClock(NOW)
    speed = open_speed(lake, [CLICKS], clock)
    for number in range(1, 6):
        speed.carried = CARRIED if number % 2 else 0
        speed.run_batch(tasks(records([event(number), event(number - 1)], first=2 * number)))
        if number == 2:
            behind = SpeedHistory(lake.speed_log("main"))
    log, before = speed.history.log, SpeedHistory(lake.speed_log("main"))
    rows = {n: rows_of(lake, epoch) for n, epoch in before.epochs.items()}
    compact_run(speed, plan_compaction(cover(speed.history), [], 4, NOW), {PER_HOUR.hash: PER_HOUR.merging})
    clock.advance(timedelta(hours=1))
    assert Maintenance(speed, Catalogue(lake), Settings()).remove() == 4
    assert [type(entry) for _, entry in log.entries()] == [Claim, Epoch, Compacted]
    behind.load()
    for history in (SpeedHistory(log), behind, speed.history):
        assert history.counts == before.counts
        assert (history.frontier, history.last_epoch, history.newest) == (before.frontier, 5, before.newest)
        assert history.beginning == before.beginning
        assert {n: rows_of(lake, epoch) for n, epoch in history.epochs.items()} == rows
        assert [told_of(epoch) for epoch in history.epochs.values()] == [told_of(e) for e in before.epochs.values()]
    assert answer(lake, PER_HOUR) == expected(PER_HOUR, [event(n) for n in range(6)], CLICKS)


def told_of(epoch: Epoch) -> Epoch:
    """What an epoch says, but for where its data stands."""
    return epoch.model_copy(update={"pack": "", "within": False})


def rows_of(lake: Lake, epoch: Epoch) -> list[Any]:
    """What an epoch's partials and ids hold."""
    held = [epoch.file(PER_HOUR.hash), epoch.id_file]
    return [kernel_rows(lake, "FROM partials ORDER BY ALL", {"partials": lake.read([f.path])}) for f in held if f]


def test_a_sweep_spares_what_stands_and_what_is_young() -> None:
    lake = memory_lake()
    speed = open_speed(lake, [CLICKS], carried=0)
    committed = speed.run_batch(tasks(records([event(1)])))
    assert committed is not None
    assert committed.pack.endswith(".pack")
    now = system_clock()
    old, young = now - SWEPT_AFTER - timedelta(hours=1), now
    listed = [(committed.pack, old), ("speed/main/orphan.pack", old), ("speed/main/new.pack", young)]
    assert plan_sweep(speed.history, listed, now) == ["speed/main/orphan.pack"]


def test_a_sweep_that_is_frozen_after_its_listing_spares_what_was_young_then(monkeypatch: pytest.MonkeyPatch) -> None:
    lake, clock = memory_lake(), ManualClock(system_clock())
    speed = open_speed(lake, [CLICKS], clock)
    maintenance = Maintenance(speed, Catalogue(lake), Settings())
    obstore.put(lake.store, "speed/main/new.pack", b"whose entry comes meanwhile")
    listing = obstore.list

    def slow(*given: Any, **named: Any) -> Any:
        listed = list(listing(*given, **named))
        clock.advance(2 * SWEPT_AFTER)
        return listed

    monkeypatch.setattr(obstore, "list", slow)
    assert maintenance.sweep() == 0
    assert [item["path"] for item in lake.listed("speed/")] == ["speed/main/new.pack"]
    assert maintenance.sweep() == 1
    assert not list(lake.listed("speed/"))


# ---------------------------------------------------------------- through Spark and a broker


def test_a_view_applied_while_the_stream_runs_gets_epochs(
    broker: Any, spark: Any, fresh_topic: Callable[..., str], tmp_path: Path
) -> None:
    topic = fresh_topic(1)
    project = make_project(tmp_path / "p", broker.bootstrap, topic, partitions=1)
    produce(broker.bootstrap, topic, [event(1)])
    with running(run_speed, project, spark) as raised:
        wait_until(lambda: raised or read_so_far(project.lake) == 1, 90, "all records read")
        (tmp_path / "p" / "views" / "per_day.sql").write_text(VIEW.format(name="per_day").replace("hour", "day"))
        changed = load_project(project.folder)
        apply_views(changed.lake, changed.views, changed.contracts, system_clock)
        produce(broker.bootstrap, topic, [event(2)])
        wait_until(lambda: raised or read_so_far(project.lake) == 2, 60, "all records read")
    assert not raised
    first, *others = (len(epoch.files) for epoch in epochs(project.lake))
    assert (first, set(others)) == (1, {2}), "an epoch without records may have said it before the second record came"
