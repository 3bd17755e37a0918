"""Whether anything has arrived for a stream at rest: a fetch that the broker holds until there is a record.

So a record is seen at once, and a stream that gets none costs its role and the broker close to nothing. Spark has no
such way: a running query asks for the partitions' ends at every trigger.
"""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from seamline.frontier import Frontier, Partition
from seamline.streaming.batches import Prepared
from seamline.streaming.clients import python_options
from seamline.streaming.gaps import READING
from seamline.streaming.kafka import Cluster

log = logging.getLogger(__name__)

HELD_MS = 10_000
"""How long the broker holds a fetch, at most."""

TOPICS_SECONDS = 5.0
"""How often is looked whether the topics have the partitions they had."""


class Arrivals:
    """Of the topics of one query. Costs one fetch in HELD_MS and one look at the topics in TOPICS_SECONDS.

    What changes: the consumer, opened by the first look and dropped with what it has seen; when the topics are looked
    at next.
    """

    def __init__(self, cluster: Cluster, prepared: Prepared) -> None:
        self._cluster = cluster
        self._prepared = prepared
        self._consumer: KafkaConsumer | None = None
        self._topics_at = 0.0

    def seen(self, frontier: Frontier, seconds: float) -> bool:
        """Whether a committed record at or after `frontier` came within `seconds`; True, too, where that cannot be
        said: a query finds out."""
        try:
            if self._consumer is None:
                self._consumer = self._opened(frontier)
            if not self._consumer.poll(timeout_ms=int(1000 * seconds), max_records=1):
                return False
        except KafkaError as error:
            log.info("reads on, since it cannot be seen whether records arrive: %s", error)
        self.close()
        return True

    def moved(self) -> bool:
        """Whether the topics are others by now, or have other partitions. Raises BROKER_UNAVAILABLE."""
        if time.monotonic() < self._topics_at:
            return False
        self._topics_at = time.monotonic() + TOPICS_SECONDS
        return self._cluster.existing(self._prepared.topics) != dict(self._prepared.topics)

    def close(self) -> None:
        """Drops the connection; the next look opens another."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(autocommit=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _opened(self, frontier: Frontier) -> KafkaConsumer:
        """A consumer from where the next query begins: the frontier, and no earlier than what was prepared."""
        given = python_options(self._cluster.options, KafkaConsumer.DEFAULT_CONFIG)
        waits = {"fetch_max_wait_ms": HELD_MS, "fetch_min_bytes": 1, "max_partition_fetch_bytes": 1 << 16}
        consumer = KafkaConsumer(bootstrap_servers=self._cluster.bootstrap.split(","), **{**given, **READING, **waits})
        at = {
            TopicPartition(topic.name, number): Partition(topic.source, number)
            for topic in self._prepared.topics.values()
            for number in topic.partitions
        }
        consumer.assign(list(at))
        for there, partition in at.items():
            consumer.seek(there, max(self._prepared.positions[partition], frontier[partition]))
        return consumer
