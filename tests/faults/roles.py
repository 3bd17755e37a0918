"""A role over the run's broker without Spark: what it prepares is read by a plain consumer, and handed to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from field import Field
from kafka import KafkaConsumer, TopicPartition

from seamline.claims import claim
from seamline.clock import system_clock
from seamline.frontier import Frontier, Partition
from seamline.streaming.archive.role import ArchiveRole
from seamline.streaming.kafka import Cluster
from seamline.streaming.speed.role import SpeedRole
from seamline.streaming.tasks import RECORDS


class Played:
    """One role while it has its claim. `read` plays one query over all there is, up to some records a partition."""

    def __init__(self, role: SpeedRole | ArchiveRole, bootstrap: str) -> None:
        self.role = role
        self.bootstrap = bootstrap

    def read(self, most: int = 1000) -> Frontier:
        """Prepares, reads up to `most` committed records of each partition in one batch, and is idle; again as long as
        it changes its topics."""
        while True:
            prepared = self.role.prepare()
            topics = self.role.topics
            self.role.begin(prepared)
            sources = {topic.name: topic.source for topic in prepared.topics.values()}
            table = consumed(self.bootstrap, prepared.positions, sources, most)
            if table.num_rows:
                self.role.batch(lambda task, table=table: task(table))  # type: ignore[misc]
            self.role.idle()
            if self.role.topics == topics:
                return self.frontier

    def rest(self) -> Frontier:
        """Is idle once its partitions have been at rest for long enough that offsets without records are passed."""
        resting = self.role._reading._resting
        resting.rest = resting.every = 0.0
        for _ in range(2):
            self.role.idle()
        return self.frontier

    @property
    def frontier(self) -> Frontier:
        return self.role.frontier


@contextmanager
def speed(field: Field) -> Iterator[Played]:
    """The speed role."""
    with _played(field, SpeedRole, field.lake.speed_log("main")) as played:
        yield played


@contextmanager
def archive(field: Field) -> Iterator[Played]:
    """The archive role."""
    with _played(field, ArchiveRole, field.lake.archive_log("main")) as played:
        yield played


@contextmanager
def _played(field: Field, kind: Any, log: Any) -> Iterator[Played]:
    cluster = Cluster(field.bootstrap)
    try:
        with claim(field.lake, log, kind.__name__) as writer:
            yield Played(kind(field.project, "main", writer, cluster, system_clock), field.bootstrap)
    finally:
        cluster.close()


def consumed(bootstrap: str, positions: Frontier, sources: dict[str, str], most: int) -> pa.Table:
    """Committed records from `positions` on, as Spark would hand them over: at most `most` of each partition."""
    names = {source: name for name, source in sources.items()}
    wanted = {TopicPartition(names[at.source], at.number): at for at in positions}
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False, fetch_max_wait_ms=20
    )
    rows: list[dict[str, Any]] = []
    try:
        consumer.assign(list(wanted))
        ends = consumer.end_offsets(list(wanted))
        for there, at in wanted.items():
            consumer.seek(there, positions[at])
        counted = dict.fromkeys(wanted, 0)
        while any(counted[there] < most and consumer.position(there) < ends[there] for there in wanted):
            for there, records in consumer.poll(timeout_ms=200).items():
                rows += [_row(wanted[there], one) for one in records[: most - counted[there]]]
                counted[there] += min(len(records), most - counted[there])
    finally:
        consumer.close()
    return pa.Table.from_pylist(rows, schema=RECORDS)


def _row(at: Partition, record: Any) -> dict[str, Any]:
    moment = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    place = {"source": at.source, "partition": at.number, "offset": record.offset, "timestamp": moment}
    return {**place, "key": record.key, "value": record.value}
