"""What may happen to a topic: it grows, is made again, loses records, or holds transactions that were aborted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from field import Field, orders
from kafka import KafkaProducer, TopicPartition
from waiting import wait_until

from seamline.commitpoint import hooked
from seamline.errors import Condition, TerminalError
from seamline.frontier import Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.history.speed import SpeedHistory
from seamline.streaming.archive.role import run_archive
from seamline.streaming.kafka import Cluster
from seamline.streaming.speed.role import run_speed

Make = Callable[..., Field]


def refused(role: Callable[..., None], here: Field, spark: Any) -> TerminalError:
    """What a role says that must not start."""
    with pytest.raises(TerminalError) as caught:
        role(here.project, "main", spark=spark)
    return caught.value


def only(raised: Sequence[BaseException]) -> TerminalError:
    """The one thing that a role in a thread raised."""
    (error,) = raised
    assert isinstance(error, TerminalError), error
    return error


def test_a_partition_that_is_added_while_it_runs_is_read_from_its_start(field: Make, spark: Any) -> None:
    here = field()
    history = orders(100)
    here.send(*history)
    added = Partition(here.topic.source, 2)
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        assert added not in reader.reaches(here.topic.end).reached
        admin = here.admin()
        admin.create_partitions({here.name: 3})
        admin.close()
        here.topic.grow(3)
        here.send(*orders(30, "new-"), *history[:10], partition=2)
        assert reader.reaches(here.topic.end).reached[added] == 40
        wait_until(here.archived(), 90, "all archived")
    assert not failed + also_failed


def test_a_topic_deleted_and_made_again_is_refused_with_both_ids_and_answers_stay(field: Make, spark: Any) -> None:
    here = field(1)
    here.send(*orders(20))
    was, end = here.topic.source, here.topic.end
    with here.read() as reader:
        with here.speed(spark) as failed, here.archive(spark) as also_failed:
            reader.reaches(end)
            wait_until(here.archived(), 90, "all archived")
            admin = here.admin()
            admin.delete_topics([here.name])
            admin.close()
            cluster = Cluster(here.bootstrap)
            wait_until(lambda: all(t.source != was for t in cluster.existing([here.name]).values()), 60, "it is gone")
            cluster.create_missing([here.name], 1)
            cluster.close()
            other(here)
            wait_until(lambda: failed and also_failed, 120, "both roles have stopped")
            reader.asks()
        errors = [only(failed), only(also_failed), refused(run_speed, here, spark), refused(run_archive, here, spark)]
        assert {seen.reached for seen in reader.asks()} == {end}  # type: ignore[union-attr]
    for error in errors:
        assert error.condition is Condition.TOPIC_RECREATED
        assert was.split("@")[1] in str(error)
        assert here.source.split("@")[1] in str(error)


def other(here: Field) -> None:
    """Records that are not of the topic that is known: never read, or a count would tell."""
    producer = KafkaProducer(bootstrap_servers=here.bootstrap)
    for event in orders(30, "other-"):
        producer.send(here.name, value=event.encode())
    producer.close()


def test_records_that_expired_before_they_were_read_stop_the_stream_and_are_named(field: Make, spark: Any) -> None:
    """Under a stream that lags; at its next start; and for an archive that begins after speed has."""
    here = field(1, settings="[speed]\nmax_records = 40\n")
    filling = b"x" * 200_000  # so that no client has fetched what expires before it was asked for
    here.send(*(one for event in orders(50) for one in (event, filling)))
    committing, expired = threading.Event(), threading.Event()

    def hold(point: str) -> None:
        if point == "speed.after-files" and not expired.is_set():
            committing.set()
            assert expired.wait(120)

    with here.read() as reader:
        with hooked(hold), here.speed(spark) as failed:
            assert committing.wait(120)
            admin = here.admin()
            admin.delete_records({TopicPartition(here.name, 0): 70})
            admin.close()
            expired.set()
            reader.reaches(Frontier({Partition(here.topic.source, 0): 40}))
            wait_until(lambda: failed, 120, "speed has stopped")
        reader.asks()
        errors = [only(failed), refused(run_speed, here, spark), refused(run_archive, here, spark)]
        reader.asks()
    assert {error.condition for error in errors} == {Condition.RECORDS_EXPIRED}
    ranges = [f"{here.name}/0 [40, 70)", f"{here.name}/0 [40, 70)", f"{here.name}/0 [0, 70)"]
    assert [error.where for error in errors] == ranges
    assert SpeedHistory(here.lake.speed_log("main")).last_epoch == 1
    assert ArchiveHistory(here.lake.archive_log("main")).frontier == Frontier()


def test_what_a_transaction_aborted_is_not_counted_and_gaps_in_offsets_are_none_in_the_answer(
    field: Make, spark: Any
) -> None:
    here = field()
    history = orders(60)
    producer = KafkaProducer(bootstrap_servers=here.bootstrap, acks="all", transactional_id=here.name)
    producer.init_transactions()
    with here.read() as reader, here.speed(spark) as failed, here.archive(spark) as also_failed:
        for number in range(3):
            producer.begin_transaction()
            for event in orders(15, f"aborted{number}-"):
                producer.send(here.name, value=event.encode())
            producer.flush()
            reader.asks()
            producer.abort_transaction()
            producer.begin_transaction()
            here.hand(producer, *history[20 * number : 20 * number + 20], *history[:5])
            reader.asks()
            producer.commit_transaction()
        here.send(*history[:10], *orders(10, "outside-"))
        reader.reaches(here.topic.end)
        wait_until(here.archived(), 90, "all archived")
        version = here.batch(spark).rebuild("sales").version
        wait_until(lambda: reader.seen[-1].version == version, 60, "the version is served")
    producer.close()
    assert not failed + also_failed
    read = sum(one.read for one in ArchiveHistory(here.lake.archive_log("main")).counts.values())
    assert read == 3 * 25 + 20
    assert here.topic.origin.distance(here.topic.end) >= read + 45 + 6, "aborted records and markers leave gaps"
