"""A producer that goes on through everything, and the truth of what it wrote: read back from the topic, by position.

Whether a send that was never acknowledged stands in the topic, only the topic knows. So what counts is what stands
there in the end: every value that was ever sent is known by its bytes, with what it means.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import Any, NamedTuple

from field import GARBAGE
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from truth import Event, Topic
from world import PARTITIONS, TOPIC, Broken, World

from seamline.frontier import Position
from seamline.streaming.kafka import Cluster

MEMORY = timedelta(minutes=15)
"""How old an event may be when it is sent again: well within the dedup horizon."""


class Acked(NamedTuple):
    """A record that the broker has acknowledged. `sent`: seconds of the monotonic clock."""

    sent: float
    position: Position
    value: bytes | None


class Maker:
    """Makes records up: fresh, doubled, an hour and 30 days late, without an id, malformed."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._numbers = itertools.count()
        self._sent: deque[tuple[datetime, Event]] = deque(maxlen=5000)

    def make(self, now: datetime) -> tuple[bytes | None, Event | None]:
        """The bytes of one record, and the event that they mean, if any."""
        kind, dress = self._random.random(), self._random.randrange(4)
        if kind < 0.05:
            return self._random.choice(GARBAGE), None
        if kind < 0.15 and (old := self._old(now)) is not None:
            return old.encode(dress), old
        event = self._fresh(now - self._lateness())
        if self._random.random() < 0.03:
            event = replace(event, id=None)
        self._sent.append((now, event))
        return event.encode(dress), event

    def _fresh(self, placed: datetime) -> Event:
        number, random = next(self._numbers), self._random
        return Event(
            f"e{number}",
            placed,
            random.choice("abcd"),
            random.randrange(100),
            random.randrange(8) / 4,
            f"b{number % 7}",
        )

    def _lateness(self) -> timedelta:
        kind = self._random.random()
        if kind < 0.03:
            return timedelta(days=30)
        return timedelta(hours=1) if kind < 0.08 else timedelta(seconds=self._random.uniform(0, 30))

    def _old(self, now: datetime) -> Event | None:
        while self._sent and now - self._sent[0][0] > MEMORY:
            self._sent.popleft()
        told = [event for _, event in itertools.islice(self._sent, len(self._sent)) if event.id is not None]
        return self._random.choice(told) if told else None


class Producer:
    """Sends `rate` records a second until the block ends. A client that failed is replaced; nothing is sent again."""

    def __init__(self, world: World, seed: int, rate: float = 40) -> None:
        self.acked: list[Acked] = []
        self.meaning: dict[bytes | None, Event | None] = {}
        self.sent = self.failed = 0
        self._world = world
        self._maker = Maker(Random(f"{seed} records"))
        self._random = Random(f"{seed} partitions")
        self._pause = 1 / rate
        self._client: Any = None
        self._broken = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="producer", daemon=True)
        self.source = ""

    def __enter__(self) -> Producer:
        cluster = Cluster(self._world.project.bootstrap)
        self.source = cluster.topics([TOPIC])[TOPIC].source
        cluster.close()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends it; what can still be delivered is."""
        self._stop.set()
        self._thread.join(180)

    def check(self) -> None:
        """Raises Broken where it has died."""
        if not self._stop.is_set() and not self._thread.is_alive():
            raise Broken("the producer has died; see what was printed")

    def after(self, moment: float) -> Acked | None:
        """The first record that was sent after a moment and acknowledged."""
        later = [one for one in itertools.takewhile(lambda one: one.sent > moment - 60, reversed(self.acked))]
        return min((one for one in later if one.sent > moment), key=lambda one: one.sent, default=None)

    def _run(self) -> None:
        while not self._stop.wait(self._pause):
            if self._client is None or self._broken:
                self._renew()
            if self._client is not None:
                self._send()
        if self._client is not None:
            with suppress(KafkaError):
                self._client.flush(timeout=120)
            self._client.close(timeout=10)

    def _renew(self) -> None:
        if self._client is not None:
            self._client.close(timeout=1)
        self._client = None
        with suppress(KafkaError, OSError):
            self._client = KafkaProducer(
                bootstrap_servers=self._world.project.bootstrap, acks="all", enable_idempotence=True, linger_ms=5,
                reconnect_backoff_max_ms=500, max_block_ms=10_000, bootstrap_timeout_ms=5_000,
            )  # fmt: skip
            self._broken = False

    def _send(self) -> None:
        value, event = self._maker.make(datetime.now(UTC))
        self.meaning[value] = event
        self.sent += 1
        now = time.monotonic()
        try:
            future = self._client.send(TOPIC, key=b"k", value=value, partition=self._random.randrange(PARTITIONS))
            future.add_callback(partial(self._acknowledged, now, value))
            future.add_errback(self._refused)
        except KafkaError as error:
            self._refused(error)

    def _acknowledged(self, sent: float, value: bytes | None, meta: Any) -> None:
        self.acked.append(Acked(sent, Position(self.source, meta.partition, meta.offset), value))

    def _refused(self, _error: BaseException) -> None:
        self.failed += 1
        self._broken = True


def read_back(producer: Producer, bootstrap: str) -> Topic:
    """What stands in the topic, with what each record means. Raises Broken where an acknowledged one is not there."""
    topic, acknowledged = Topic([0] * PARTITIONS, producer.source), list(producer.acked)
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, isolation_level="read_committed", enable_auto_commit=False, group_id=None
    )
    try:
        partitions = [TopicPartition(TOPIC, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(one) < ends[one] for one in partitions):
            for one, records in consumer.poll(timeout_ms=1000).items():
                for record in records:
                    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
                    topic.place(one.partition, record.offset, at, record.value, producer.meaning[record.value])
    finally:
        consumer.close()
    standing = {(number, r.offset): r.value for number, records in enumerate(topic.partitions) for r in records}
    for acked in acknowledged:
        if standing.get((acked.position.partition, acked.position.offset), b"nothing") != acked.value:
            raise Broken(f"the broker acknowledged {acked.value!r} at {acked.position}, where it does not stand")
    return topic
