"""What is never taken away, and who gives up before it would be: cuts, the served version, what a query may still read,
the files of a slow writer, and a topic that is another by now."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from handmade import Handmade, rows
from stream_parts import memory_lake, open_speed, records, tasks
from test_needed import NOW, Stream, end
from test_speed import CLICKS, event

from seamline.attempts import check_age
from seamline.clock import ManualClock
from seamline.config import Settings
from seamline.entries.speed import Retired
from seamline.errors import Condition, SeamlineError
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.retention import lowest_needed, retain
from seamline.lake import Lake
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.views.properties import Keep
from seamline.streaming.kafka import Cluster
from seamline.streaming.speed.compact import cover, plan_compaction
from seamline.streaming.speed.maintenance import Maintenance

HOUR = timedelta(hours=1)
A_DAY = timedelta(days=1)
"""Files that no entry lists are swept when they are as old as this."""


def compacted(stream: Stream) -> list[int]:
    """The epochs that would be put together, four at a time."""
    cuts = stream.cuts([("a", 1)], end(8), live="a")
    return [link.first for link in plan_compaction(cover(SpeedHistory(stream.writer.log)), cuts, 4, NOW)]


def test_no_compaction_crosses_a_cut_that_a_batch_run_has_reserved() -> None:
    stream = Stream(*["a"] * 8)
    stream.version("a", 2)
    assert compacted(stream) == [3, 4, 5, 6]
    stream.reserve("a", 4)
    assert compacted(stream) == [5, 6, 7, 8]
    stream.reserve("a", 6)
    assert compacted(stream) == []


@pytest.mark.parametrize("late", [False, True])
def test_a_writer_gives_up_where_its_files_could_be_swept_before_its_entry_stands(late: bool) -> None:
    """Half a day is half of what a sweep allows: the other half is for clocks that differ and a put that hangs."""
    lake, clock = memory_lake(), ManualClock(datetime.now(UTC))
    slow = A_DAY / 2 + timedelta(minutes=1) if late else A_DAY / 2 - timedelta(minutes=1)
    speed = open_speed(lake, [CLICKS], clock, check=lambda: clock.advance(slow))
    if late:
        with pytest.raises(SeamlineError) as given_up:
            speed.run_batch(tasks(records([event(1)])))
        assert given_up.value.condition is Condition.STORE_UNAVAILABLE
    else:
        speed.run_batch(tasks(records([event(1)])))
    assert SpeedHistory(lake.speed_log("main")).last_epoch == (0 if late else 1)


def test_an_attempt_is_too_old_at_half_of_what_a_sweep_allows() -> None:
    check_age(NOW, NOW + A_DAY / 2)
    with pytest.raises(SeamlineError, match="STORE_UNAVAILABLE"):
        check_age(NOW, NOW + A_DAY / 2 + timedelta(seconds=1))


class Described:
    """Kafka's admin client, for topics of these ids."""

    def __init__(self, **ids: str) -> None:
        self.ids = ids

    def describe_topics(self, names: Iterable[str]) -> list[dict[str, Any]]:
        return [
            {"name": name, "topic_id": self.ids[name], "error_code": 0, "partitions": [{"partition_index": 0}]}
            for name in names
        ]


def test_a_topic_that_was_made_again_is_no_longer_the_one_that_was_read() -> None:
    cluster = Cluster("nowhere:9092")
    cluster._client = Described(orders="A", clicks="B")
    cluster.check_ids(["orders@A", "clicks@B"])
    with pytest.raises(SeamlineError) as caught:
        cluster.check_ids(["orders@A", "clicks@C"])
    assert caught.value.condition is Condition.TOPIC_RECREATED
    assert caught.value.where == "clicks"


def test_retention_spares_the_version_that_is_served_and_what_it_builds_on(tmp_path: Path) -> None:
    made = Handmade(tmp_path)
    for n in range(5):
        made.epoch(rows(10, 10 * n))
    first = made.version(made.sent[:10], cut=10)
    served = made.version(made.sent[10:20], cut=20, base=first, unit="2024-05-02")
    for n in (3, 4, 5):
        made.version(made.sent[: 10 * n], cut=10 * n, publish=False)
    log = made.lake.batch_log(made.served().hash)
    assert lowest_needed(BatchHistory(log), Keep(versions=1), served, made.clock()) == first
    assert lowest_needed(BatchHistory(log), Keep(versions=1), None, made.clock()) == BatchHistory(log).number
    before = made.serving().query("SELECT * FROM sales ORDER BY ALL").table
    made.clock.advance(2 * A_DAY)
    retain(made.lake, Settings(batch={"keep_versions": 1}), made.clock)
    serving = made.serving()
    assert serving.query("SELECT * FROM sales ORDER BY ALL").table == before
    assert sorted(BatchHistory(log).versions) == [first, served, 3, 4, 5]


@pytest.mark.parametrize(("later", "stands"), [(timedelta(minutes=59), True), (timedelta(minutes=61), False)])
def test_what_was_retired_can_be_read_for_an_hour_by_queries_that_began_before(
    tmp_path: Path, later: timedelta, stands: bool
) -> None:
    lake, clock = Lake.open(str(tmp_path)), ManualClock(NOW)
    speed = open_speed(lake, [CLICKS], clock, carried=0)
    epochs = [speed.run_batch(tasks(records([event(n)], first=n))) for n in range(3)]
    speed.writer.put(Retired(at=NOW, claim=speed.writer.claim, last=2))
    speed.history.catch_up()
    clock.advance(later)
    Maintenance(speed, Catalogue(lake), Settings()).remove()
    read = [lake.exists(epoch.pack) for epoch in epochs if epoch is not None]
    assert read == [stands, stands, True]
    assert [n for n, _ in speed.history.log.entries()] == ([1, 2, 3, 4, 5] if stands else [1, 4, 5])


def test_an_hour_is_longer_than_the_longest_query() -> None:
    assert timedelta(seconds=Settings().serving.query_seconds) < HOUR
    with pytest.raises(ValueError, match="query_seconds"):
        Settings(serving={"query_seconds": 3601})
