"""A stream to which nothing comes: no query runs, nothing is made, and the next record is read like any other."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewPartitions
from stream_parts import event, make_project, produce, read_so_far, running
from waiting import wait_until

from seamline.clock import system_clock
from seamline.frontier import START, Frontier
from seamline.history.archive import ArchiveHistory
from seamline.schemas.project import Project, load_project
from seamline.streaming.archive.role import run_archive
from seamline.streaming.arrivals import Arrivals
from seamline.streaming.batches import NOTHING, Batches, Prepared
from seamline.streaming.kafka import Cluster
from seamline.streaming.speed.role import run_speed
from seamline.streaming.tasks import Tasks

LOOKS = 5

KILLED_AT_REST = """
import sys, threading, time
from pathlib import Path
from pyspark import SparkContext
from pyspark.sql import SparkSession
from seamline.errors import TransientError
from seamline.history.speed import SpeedHistory
from seamline.schemas.project import load_project
from seamline.streaming.speed.role import run_speed

project = load_project(Path(sys.argv[1]))

def kill():
    while not SpeedHistory(project.lake.speed_log("main")).last_epoch:
        time.sleep(0.1)
    while SparkSession._instantiatedSession.streams.active:
        time.sleep(0.1)
    SparkContext._gateway.proc.kill()

threading.Thread(target=kill, daemon=True).start()
try:
    run_speed(project, "main")
except TransientError as error:
    print(error.condition, error.message)
"""


class Still:
    """A role whose batch waits until it is told to end."""

    topics: tuple[str, ...] = ("clicks",)
    frontier = START

    def __init__(self) -> None:
        self.begun, self.ends = threading.Event(), threading.Event()

    def prepare(self) -> Prepared:
        return NOTHING

    def begin(self, prepared: Prepared) -> None:
        pass

    def batch(self, tasks: Tasks) -> None:
        self.begun.set()
        self.ends.wait(30)

    def idle(self) -> None:
        pass


def archived(project: Project) -> int:
    return sum(one.read for one in ArchiveHistory(project.lake.archive_log("main")).counts.values())


def objects(project: Project) -> dict[str, int]:
    """Every object of the lake but leases, which are rewritten where they stand, with its size."""
    return {str(item["path"]): int(item["size"]) for item in project.lake.listed("") if "lease" not in item["path"]}


def resting_project(folder: Path, bootstrap: str, topic: str) -> Project:
    """One whose roles rest soon."""
    make_project(folder, bootstrap, topic)
    settings = folder / "seamline.toml"
    settings.write_text(settings.read_text().replace("[kafka]", "[kafka]\nrest_seconds = 0.5"))
    return load_project(folder)


def prepared(cluster: Cluster, topic: str) -> Prepared:
    topics = cluster.topics([topic])
    return Prepared(topics, cluster.end(topics.values()))


def frontier(cluster: Cluster, topic: str) -> Frontier:
    return cluster.end(cluster.topics([topic]).values())


def test_it_is_quiet_once_no_batch_has_ended_for_so_long() -> None:
    role = Still()
    batches = Batches(role, 0, threading.Event())
    wait_until(lambda: batches.is_quiet(0.2), 10, "quiet at first")
    assert not batches.is_quiet(60)
    role.ends.set()
    batches.run(lambda task, few: [])
    assert not batches.is_quiet(0.2)
    wait_until(lambda: batches.is_quiet(0.2), 10, "quiet again")
    batches.stir()
    assert not batches.is_quiet(0.2)


def test_a_record_is_seen_while_it_is_waited_for_and_no_earlier_one(
    broker: Any, fresh_topic: Callable[..., str]
) -> None:
    topic, cluster = fresh_topic(2), Cluster(broker.bootstrap)
    produce(broker.bootstrap, topic, [b"read already"] * 4)
    at = frontier(cluster, topic)
    with Arrivals(cluster, prepared(cluster, topic)) as arrivals:
        assert not arrivals.seen(at, 1.0)
        produce(broker.bootstrap, topic, [b"new"])
        wait_until(lambda: arrivals.seen(at, 0.1), 30, "the record")
        assert not arrivals.seen(frontier(cluster, topic), 1.0), "what the query has read meanwhile"


def test_records_of_a_transaction_are_seen_once_it_is_committed_and_never_where_it_is_aborted(
    broker: Any, fresh_topic: Callable[..., str]
) -> None:
    topic, cluster = fresh_topic(1), Cluster(broker.bootstrap)
    at = frontier(cluster, topic)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id=topic)
    producer.init_transactions()
    try:
        with Arrivals(cluster, prepared(cluster, topic)) as arrivals:
            for commit in (False, True):
                producer.begin_transaction()
                producer.send(topic, b"1")
                producer.flush()
                assert not arrivals.seen(at, 1.0)
                if commit:
                    producer.commit_transaction()
                    wait_until(lambda: arrivals.seen(at, 0.1), 30, "the committed record")
                else:
                    producer.abort_transaction()
                    assert not arrivals.seen(at, 1.0)
    finally:
        producer.close()


def test_a_position_that_cannot_be_read_any_more_ends_the_rest(broker: Any, fresh_topic: Callable[..., str]) -> None:
    topic, cluster = fresh_topic(1), Cluster(broker.bootstrap)
    given = prepared(cluster, topic)
    beyond = Frontier({partition: 9 for partition in given.positions})
    with Arrivals(cluster, given) as arrivals:
        wait_until(lambda: arrivals.seen(beyond, 0.1), 30, "the query is let find out")


def test_a_partition_that_is_added_ends_the_rest(broker: Any, fresh_topic: Callable[..., str]) -> None:
    topic, cluster = fresh_topic(1), Cluster(broker.bootstrap)
    with Arrivals(cluster, prepared(cluster, topic)) as arrivals:
        assert not arrivals.moved()
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap)
        admin.create_partitions({topic: NewPartitions(2)})
        admin.close()
        wait_until(arrivals.moved, 30, "the second partition")


# ---------------------------------------------------------------- through Spark and a broker


@pytest.mark.parametrize(
    ("run", "read"),
    [(run_speed, lambda project: read_so_far(project.lake)), (run_archive, archived)],
    ids=["speed", "archive"],
)
def test_at_rest_no_query_runs_no_object_is_made_and_the_next_record_is_read(
    run: Callable[..., None],
    read: Callable[[Project], int],
    broker: Any,
    spark: Any,
    fresh_topic: Callable[..., str],
    tmp_path: Path,
) -> None:
    topic = fresh_topic(2)
    project = resting_project(tmp_path / "p", broker.bootstrap, topic)
    looks = 0

    def clock() -> datetime:
        nonlocal looks
        looks += 1
        return system_clock()

    with running(partial(run, clock=clock), project, spark) as raised:
        for number in (1, 2):
            produce(broker.bootstrap, topic, [event(number)])
            wait_until(lambda number=number: raised or read(project) == number, 90, "the record read")
            wait_until(lambda: raised or not spark.streams.active, 60, "no query")
            before, looked = objects(project), looks
            wait_until(lambda looked=looked: raised or looks >= looked + LOOKS, 60, "looks between batches")
            assert objects(project) == before
            assert not spark.streams.active
    assert not raised


def test_a_jvm_that_dies_at_rest_ends_the_role(broker: Any, fresh_topic: Callable[..., str], tmp_path: Path) -> None:
    topic = fresh_topic(2)
    project = resting_project(tmp_path / "p", broker.bootstrap, topic)
    produce(broker.bootstrap, topic, [event(1)])
    command = [sys.executable, "-c", KILLED_AT_REST, str(project.folder)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert run.stdout.splitlines() == ["PROCESS_FAILED Spark's JVM has died"], run.stderr
