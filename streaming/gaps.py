"""Offsets that hold no record: markers and aborted records of transactions, and what compaction has removed.

Where a partition ends with such, a frontier that moves with records alone stands before them for ever: the partition
seems to lag, and once Kafka's retention takes them, records seem to be lost. So a consumer that sees committed records
only is asked how far it comes without finding any.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError, UnsupportedCodecError

from seamline.frontier import START, Frontier, Partition
from seamline.streaming.clients import python_options
from seamline.streaming.kafka import Cluster, Topic, unavailable

SECONDS = 1.0
"""How long is looked at most; what is passed meanwhile counts."""


class Gaps:
    """When to look: at partitions that have stood still for `rest` seconds before their end, every so often."""

    def __init__(self, cluster: Cluster, rest: float = 2.0, every: float = 5.0) -> None:
        self.cluster = cluster
        self.rest = rest
        self.every = every
        self._stood: dict[Partition, tuple[int, float]] = {}
        self._next = 0.0

    def passed(self, positions: Frontier, topics: Iterable[Topic]) -> Frontier:
        """Of `positions`, those that no record stands at, and where the next one may; the others are left out.

        Raises TransientError BROKER_UNAVAILABLE.
        """
        now, topics = time.monotonic(), list(topics)
        self._stood = {
            at: seen if (seen := self._stood.get(at)) and seen[0] == offset else (offset, now)
            for at, offset in positions.items()
        }
        resting = Frontier({at: offset for at, (offset, since) in self._stood.items() if now - since >= self.rest})
        if now < self._next or not list(resting):
            return START
        self._next = now + self.every
        ends = self.cluster.end(topics)
        behind = Frontier({at: offset for at, offset in resting.items() if offset < ends[at]})
        return first_records(self.cluster, behind, ends, topics) if list(behind) else START


def first_records(cluster: Cluster, positions: Frontier, ends: Frontier, topics: Iterable[Topic]) -> Frontier:
    """For each of `positions` where the first committed record at or after it lies, or how far there is none.

    `ends`: up to there all is decided, committed or aborted. What was passed will never hold a record. Nothing is known
    where a position lies before the first offset there is, or a record is packed in a way that this client cannot read:
    it is there, then. Raises TransientError BROKER_UNAVAILABLE.
    """
    places = {TopicPartition(t.name, n): Partition(t.source, n) for t in topics for n in t.partitions}
    wanted = {there: positions[at] for there, at in places.items() if at in positions}
    try:
        found = _read_on(cluster, wanted, {there: ends[places[there]] for there in wanted})
    except (OffsetOutOfRangeError, UnsupportedCodecError):
        return START
    except (KafkaError, OSError) as error:
        raise unavailable(cluster.bootstrap, error) from error
    return Frontier({places[there]: offset for there, offset in found.items()})


def _read_on(
    cluster: Cluster, wanted: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    reading = {"isolation_level": "read_committed", "enable_auto_commit": False, "auto_offset_reset": "none"}
    given = {**python_options(cluster.options, KafkaConsumer.DEFAULT_CONFIG), **reading}
    consumer = KafkaConsumer(bootstrap_servers=cluster.bootstrap.split(","), **{"fetch_max_wait_ms": 50, **given})
    try:
        consumer.assign(list(wanted))
        for there, offset in wanted.items():
            consumer.seek(there, offset)
        found, deadline = dict(wanted), time.monotonic() + SECONDS
        left = set(wanted)
        while left and time.monotonic() < deadline:
            for there, records in consumer.poll(timeout_ms=100).items():
                if there in left:
                    found[there] = max(found[there], records[0].offset)
                    left.discard(there)
                    consumer.pause(there)
            for there in left:
                found[there] = max(found[there], consumer.position(there) or 0)
            left = {there for there in left if found[there] < ends[there]}
        return found
    finally:
        consumer.close(autocommit=False)
