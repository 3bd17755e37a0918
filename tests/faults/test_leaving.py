"""A topic is left at an end that both roles reach; what Kafka has no more is passed over by an operator's word alone.

Against the run's broker, without Spark: truth is the number of records that were sent, as the test counts them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from field import CONTRACT, Field, orders
from kafka import KafkaProducer, TopicPartition
from roles import Played, archive, consumed, speed
from waiting import wait_until

from seamline.clock import system_clock
from seamline.config import Settings
from seamline.errors import Condition, TerminalError, TransientError
from seamline.frontier import Frontier, Partition, joined
from seamline.history.archive import ArchiveHistory
from seamline.history.speed import SpeedHistory
from seamline.history.topics import TopicsHistory
from seamline.jobs.batch import Batch
from seamline.serving.serving import Serving
from seamline.streaming.archive.importing import import_events
from seamline.streaming.archive.role import ArchiveRole
from seamline.streaming.kafka import Cluster
from seamline.streaming.reading import accept
from seamline.streaming.speed.role import SpeedRole

Make = Callable[..., Field]
COUNTED = "SELECT sum(orders)::BIGINT AS n FROM sales"


def served(here: Field, sql: str = COUNTED) -> int:
    serving = Serving(here.lake, Settings())
    try:
        return int(serving.query(sql).table["n"][0].as_py() or 0)
    finally:
        serving.close()


def produce(here: Field, topic: str, *values: bytes, partition: int = 0) -> None:
    producer = KafkaProducer(bootstrap_servers=here.bootstrap, acks="all")
    for value in values:
        producer.send(topic, value=value, partition=partition)
    producer.close()


def events(count: int, prefix: str) -> list[bytes]:
    return [event.encode() for event in orders(count, prefix)]


def refusal(played: Played) -> TerminalError:
    with pytest.raises(TerminalError) as caught:
        played.read()
    return caught.value


def delete_records(here: Field, partition: int, before: int, topic: str = "") -> None:
    admin = here.admin()
    admin.delete_records({TopicPartition(topic or here.name, partition): before})
    admin.close()


def agree(here: Field, count: int) -> None:
    """Speed alone, and then the batch layer, which recomputes from raw and compares: the same, and right."""
    assert served(here) == count
    outcome = Batch(here.lake).rebuild("sales")
    assert outcome.version is not None
    assert outcome.audit.clean, outcome.audit
    assert outcome.cut == SpeedHistory(here.lake.speed_log("main")).frontier
    assert served(here) == count


@pytest.mark.parametrize("behind", ["speed", "archive"])
def test_a_contract_that_moves_to_another_topic_counts_each_record_of_both(
    field: Make, fresh_topic: Callable[..., str], behind: str
) -> None:
    here, moved = field(1), fresh_topic(1)
    history = events(8, "a")
    produce(here, here.name, *history)
    with speed(here) as first, archive(here) as second:
        first.read(5 if behind == "speed" else 8)
        second.read(8 if behind == "speed" else 5)
    produce(here, here.name, *events(4, "b"))
    (here.project.folder / "contracts" / "orders.yaml").write_text(CONTRACT.format(topic=moved))
    here.apply()
    produce(here, moved, *events(6, "c"), history[0], history[7])
    with speed(here) as first, archive(here) as second:
        second.read()
        produce(here, here.name, *events(2, "after the end was recorded"))
        first.read()
        second.read()
        assert first.role.topics == second.role.topics == (moved,)
        assert first.frontier == second.frontier
    agree(here, 8 + 4 + 6)
    read = TopicsHistory(here.lake.topics_log("main")).read
    assert [one.end for one in read.values() if one.end] == [Frontier({Partition(here.source, 0): 12})]


def test_a_role_that_was_late_to_learn_that_a_topic_is_left_is_followed_by_the_other(
    field: Make, fresh_topic: Callable[..., str]
) -> None:
    """Speed is within a batch, over records that came after the end, while the archive records that end."""
    here, moved = field(1), fresh_topic(1)
    produce(here, here.name, *events(8, "a"))
    with speed(here) as first:
        first.read()
        (here.project.folder / "contracts" / "orders.yaml").write_text(CONTRACT.format(topic=moved))
        here.apply()
        with archive(here) as second:
            second.read()
            produce(here, here.name, *events(3, "b"))
            at = Partition(here.source, 0)
            late = consumed(here.bootstrap, Frontier({at: 8}), {here.name: here.source}, 3)
            assert isinstance(first.role, SpeedRole)
            first.role.speed.run_batch(lambda task: task(late))
            first.role.idle()
            first.read()
            assert first.frontier[at] == 11
            assert second.read() == first.frontier
    agree(here, 11)


def test_a_topic_whose_contract_is_removed_holds_up_no_view_of_its_stream(
    field: Make, fresh_topic: Callable[..., str]
) -> None:
    other = fresh_topic(1)
    gone = CONTRACT.replace("orders", "others").replace("{topic}", other).replace("{{", "{").replace("}}", "}")
    here = field(1)
    file = here.project.folder / "contracts" / "others.yaml"
    file.write_text(gone)
    here.apply()
    produce(here, here.name, *events(3, "a"))
    produce(here, other, *events(9, "x"))
    with speed(here) as first, archive(here) as second:
        first.read()
        second.read(4)
        file.unlink()
        produce(here, here.name, *events(2, "b"))
        first.read()
        second.read()
        assert first.role.topics == second.role.topics == (here.name,)
    agree(here, 5)
    counts = ArchiveHistory(here.lake.archive_log("main")).counts
    assert (counts["orders"].counted, counts["others"].counted) == (5, 9), "what was read of it is kept"


def test_offsets_without_records_are_no_lag_and_their_expiry_is_no_loss(field: Make) -> None:
    here = field(1)
    producer = KafkaProducer(bootstrap_servers=here.bootstrap, acks="all", transactional_id=here.name)
    producer.init_transactions()
    for commit in (True, False):
        producer.begin_transaction()
        for value in events(10, f"{commit}"):
            producer.send(here.name, value=value)
        producer.flush()
        _ = producer.commit_transaction() if commit else producer.abort_transaction()
    producer.close()
    cluster = Cluster(here.bootstrap)
    topics = cluster.topics([here.name]).values()
    wait_until(lambda: next(iter(cluster.end(topics).items()))[1] == 22, 30, "all is decided")
    end = cluster.end(topics)
    with speed(here) as first, archive(here) as second:
        assert first.read().distance(end) == second.read().distance(end) == 12
        assert first.rest() == second.rest() == end
        status = Serving(here.lake, Settings()).status({"main": end}).streams["main"]
        assert (status.lag_records, status.archive_lag_records) == (0, 0)
        delete_records(here, 0, 22)
        produce(here, here.name, *events(3, "more"))
        first.read()
        second.read()
    cluster.close()
    agree(here, 13)


def test_a_record_that_stands_behind_a_gap_is_not_passed(field: Make) -> None:
    here = field(1)
    produce(here, here.name, *events(4, "a"))
    producer = KafkaProducer(bootstrap_servers=here.bootstrap, acks="all", transactional_id=here.name)
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(here.name, value=events(1, "t")[0])
    producer.flush()
    with speed(here) as first:
        first.read()
        assert first.rest() == Frontier({Partition(here.source, 0): 4}), "its transaction is open"
        producer.abort_transaction()
        producer.close()
        produce(here, here.name, *events(2, "b"))
        assert first.rest() == Frontier({Partition(here.source, 0): 6})
        first.read()
    assert served(here) == 6


def test_records_of_an_added_partition_that_expired_unread_are_named_and_passed_over_by_an_operators_word(
    field: Make,
) -> None:
    here = field(1)
    produce(here, here.name, *events(5, "a"))
    with speed(here) as first, archive(here) as second:
        first.read()
        second.read()
    admin = here.admin()
    admin.create_partitions({here.name: 2})
    admin.close()
    produce(here, here.name, *events(10, "lost"), *events(3, "kept"), partition=1)
    delete_records(here, 1, 10)
    cluster = Cluster(here.bootstrap)
    with speed(here) as first, archive(here) as second:
        for role in (first, second):
            error = refusal(role)
            assert (error.condition, error.where) == (Condition.RECORDS_EXPIRED, f"{here.name}/1 [0, 10)")
            assert f"seamline topics accept {here.name}" in error.hint
        (gone,) = accept(here.lake, "main", here.name, cluster, "lost", system_clock)
        assert (gone.partition, gone.start, gone.end) == (1, 0, 10)
        first.read()
        second.read()
    with pytest.raises(TerminalError, match="nothing of topic"):
        accept(here.lake, "main", here.name, cluster, "lost", system_clock)
    cluster.close()
    agree(here, 8)


def test_what_expired_between_both_roles_is_refused_to_the_one_that_lacks_it_after_an_import_too(field: Make) -> None:
    here, history = field(1), events(9, "a")
    produce(here, here.name, *history)
    with speed(here) as first:
        first.read()
    import_events(here.project, "orders", lambda: events(2, "imported"))
    delete_records(here, 0, 7)
    cluster = Cluster(here.bootstrap)
    with archive(here) as second:
        error = refusal(second)
        assert (error.condition, error.where) == (Condition.RECORDS_EXPIRED, f"{here.name}/0 [0, 7)")
        import_into(second, here, history[:7])
        accept(here.lake, "main", here.name, cluster, "imported", system_clock)
        second.read()
    cluster.close()
    outcome = Batch(here.lake).rebuild("sales")
    assert outcome.version is not None
    assert served(here) == 11


def import_into(running: Played, here: Field, values: list[bytes]) -> None:
    """The archive takes it from its inbox when it is idle next; here nobody waits for that."""
    with pytest.raises(TransientError):
        import_events(here.project, "orders", lambda: values, wait_seconds=0)
    assert isinstance(running.role, ArchiveRole)
    running.role.archive.take_all(running.role._inbox)


def test_a_topic_made_again_is_gone_on_with_under_its_name_by_an_operators_word(field: Make) -> None:
    here = field(1)
    was = here.source
    produce(here, here.name, *events(8, "a"))
    with speed(here) as first, archive(here) as second:
        first.read()
        second.read(5)
    admin = here.admin()
    admin.delete_topics([here.name])
    wait_until(lambda: here.name not in admin.list_topics(), 60, "the topic is gone")
    admin.close()
    cluster = Cluster(here.bootstrap)
    cluster.create_missing([here.name], 1)
    produce(here, here.name, *events(4, "b"))
    with speed(here) as first, archive(here) as second:
        assert {refusal(role).condition for role in (first, second)} == {Condition.TOPIC_RECREATED}
        (gone,) = accept(here.lake, "main", here.name, cluster, "lost", system_clock)
        assert (gone.source, gone.start, gone.end) == (was, 5, 8)
        ends = joined([first.read(), second.read()])
        assert first.frontier == second.frontier == ends
    cluster.close()
    assert served(here) == 12
    outcome = Batch(here.lake).rebuild("sales")
    assert outcome.audit.drift
    assert outcome.audit.note == f"accepted as gone: {here.name}/0 5 to 8 (lost)"
    assert served(here) == 9, "three records are in no raw table, and were told to be lost"
    serving = Serving(here.lake, Settings())
    said = serving.query(COUNTED).provenance.to_json()["sales"]
    status = serving.status().streams["main"].to_json()
    serving.close()
    assert said["gone"] == status["gone"] == [gone.said()]


@pytest.mark.parametrize("fresh", [True, False])
def test_the_frontier_of_a_topic_whose_beginning_has_expired_long_ago_comes_to_its_end(
    field: Make, fresh: bool
) -> None:
    """A stream's origin is where the topic begins when the first role comes: nothing before it was ever to be read."""
    here = field(2)
    produce(here, here.name, *events(5, "a"), partition=0)
    produce(here, here.name, *events(5, "a"), partition=1)
    delete_records(here, 0, 5)
    if not fresh:
        delete_records(here, 1, 3)
    with speed(here) as first, archive(here) as second:
        first.read()
        second.read()
        cluster = Cluster(here.bootstrap)
        end = cluster.end(cluster.topics([here.name]).values())
        cluster.close()
        assert first.rest() == second.rest() == end
    agree(here, 5 if fresh else 2)
