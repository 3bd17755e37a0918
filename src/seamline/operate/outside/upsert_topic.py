"""The topic of a view's changes: upserts by group, in transactions, each closed by a marker in partition 0.

What is published is read back from the topic: what was committed, and nothing else, up to its last marker. So a
publisher that was killed goes on from there; one that comes later fences it, and what it had not committed never was.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import (
    InvalidProducerEpochError,
    InvalidTxnStateError,
    KafkaConfigurationError,
    KafkaError,
    ProducerFencedError,
)
from kafka.partitioner.default import murmur2

from seamline.commitpoint import reach
from seamline.errors import Condition, ConflictError, SeamlineError, TerminalError, TransientError, UserError
from seamline.operate.outside.marks import Marker
from seamline.operate.outside.records import Upsert
from seamline.streaming.clients import REFUSALS, python_options, refused, turned_away
from seamline.streaming.kafka import Cluster, Topic

MARKER = b'"seamline"'
"""The key of markers: a group's is an object."""

MADE = {
    "cleanup.policy": "compact,delete", "retention.ms": "-1", "retention.bytes": "-1",
    "segment.ms": "86400000",
}  # fmt: skip
"""How a topic is made beside that: nothing goes for its age, and an operator's word may delete what nobody needs. Its
files go with their segments, of which a new one begins with the first record after a day."""

SETTINGS: dict[str, int] = {"min.compaction.lag.ms": 3_600_000, "delete.retention.ms": 31_536_000_000}
"""What a topic must have at least, beside being compacted. While somebody reads up to a marker, for an
hour, what it needs is not compacted away; and a tombstone stays for a year, longer than the version that has its group
is the newest."""

FENCED: tuple[type[Exception], ...] = (ProducerFencedError, InvalidProducerEpochError, InvalidTxnStateError)

IN_FLIGHT = 10_000
"""Records sent and not yet acknowledged."""

LOOKED_BACK = 64
"""Offsets before a partition's end among which its last marker mostly is."""

SECONDS = 120.0
"""How long the cluster may take to give what it holds."""


@dataclass(frozen=True)
class PublishedRow:
    """A row of a topic."""

    key: bytes
    value: bytes | None
    headers: Mapping[str, bytes]


class UpsertTopic(Protocol):
    """What is asked of a topic of changes."""

    @property
    def name(self) -> str:
        """Its name."""

    def last(self) -> Marker | None:
        """The last marker; None where nothing was ever published. Raises INPUT_INVALID where it is another's."""

    def read(self, marker: Marker) -> Iterator[PublishedRow]:
        """The rows up to a marker, those of one key in the order in which they were sent."""

    def send(self, upserts: Iterable[Upsert], marker: Marker) -> Marker:
        """All of them and then the marker (without its ends and counts) in one transaction; returns it as it stands."""

    def check_drops(self) -> None:
        """Raises INPUT_INVALID where nothing may be deleted from it."""

    def drop(self, marker: Marker) -> None:
        """Deletes the rows up to a marker: nobody can read them any more."""


class KafkaUpserts:
    """A topic in a cluster, and the one producer that may write to it: who opens it fences who did before.

    Raises BROKER_UNAVAILABLE, KAFKA_AUTH, WRITER_CONFLICT where another has opened it since, INPUT_INVALID where it is
    another's or kept in another way.
    """

    def __init__(self, bootstrap: str, options: Mapping[str, str], name: str, partitions: int) -> None:
        self.name = name
        self._bootstrap, self._options = bootstrap, options
        self._topic = _made(bootstrap, options, name, partitions)
        ours = {
            "acks": "all", "enable_idempotence": True, "transactional_id": f"seamline.{name}",
            "allow_auto_create_topics": False,
        }  # fmt: skip
        with self._told():
            self._producer = KafkaProducer(bootstrap_servers=bootstrap.split(","), **{**_sending(options), **ours})
        try:
            with self._told():
                self._producer.init_transactions()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the producer."""
        self._producer.close(timeout=5)

    def last(self) -> Marker | None:
        first, end = self._range()
        for start in _backwards(first[0], end[0]):
            found = [one for one in self._records({0: start}, {0: end[0]}) if one.key == MARKER]
            if found:
                return self._marker(found[-1].value)
        if any(True for _ in self._records(dict(enumerate(first)), dict(enumerate(end)))):
            raise self._of_another("records, and no marker")
        return None

    def read(self, marker: Marker) -> Iterator[PublishedRow]:
        first, _ = self._range()
        ends = dict(enumerate(marker.ends))
        for one in self._records({n: first[n] for n in ends}, ends):
            if one.key != MARKER:
                yield PublishedRow(one.key, one.value, dict(one.headers))

    def send(self, upserts: Iterable[Upsert], marker: Marker) -> Marker:
        with self._told():
            self._producer.begin_transaction()
            try:
                closed = self._sent(upserts, marker)
            except Exception:
                with suppress(KafkaError):  # what is to be told is the error that there is
                    self._producer.abort_transaction()
                raise
            self._producer.commit_transaction()
        reach("publish.after-commit")
        return closed

    def check_drops(self) -> None:
        with closing(Cluster(self._bootstrap, self._options)) as cluster:
            policy = cluster.settings([self._topic], ["cleanup.policy"])[self.name]["cleanup.policy"]
        if "delete" not in policy:
            raise UserError(
                Condition.INPUT_INVALID,
                f"topic {self.name} lets nobody delete from it: cleanup.policy={policy}",
                detail=", ".join(f"{key}={value}" for key, value in MADE.items()),
                hint=f"kafka-configs.sh --alter --topic {self.name} --add-config"
                " cleanup.policy=[compact,delete],retention.ms=-1,retention.bytes=-1",
                where=self.name,
            )

    def drop(self, marker: Marker) -> None:
        first, _ = self._range()
        before = {TopicPartition(self.name, n): end for n, end in enumerate(marker.ends) if first[n] < end}
        given = python_options(self._options, KafkaAdminClient.DEFAULT_CONFIG)
        with self._told(), closing(KafkaAdminClient(bootstrap_servers=self._bootstrap.split(","), **given)) as admin:
            if before:
                admin.delete_records(before)

    def _sent(self, upserts: Iterable[Upsert], marker: Marker) -> Marker:
        ends = list(marker.ends) or [0] * len(self._topic.partitions)
        headers, rows, gone = marker.headers(), 0, 0
        waiting: deque[Any] = deque()

        def settle(left: int) -> None:
            while len(waiting) > left:
                done = waiting.popleft().get(timeout=SECONDS)
                ends[done.partition] = max(ends[done.partition], done.offset + 1)

        for key, value in upserts:
            at = partition_of(key, len(ends))
            waiting.append(self._producer.send(self.name, key=key, value=value, headers=headers, partition=at))
            rows, gone = rows + (value is not None), gone + (value is None)
            if len(waiting) >= IN_FLIGHT:
                settle(IN_FLIGHT // 2)
        self._producer.flush()
        settle(0)
        reach("publish.after-rows")
        closed = replace(marker, ends=tuple(ends), rows=rows, gone=gone)
        sent = self._producer.send(self.name, key=MARKER, value=closed.to_bytes(), headers=headers, partition=0)
        self._producer.flush()
        sent.get(timeout=SECONDS)
        reach("publish.after-marker")
        return closed

    def _range(self) -> tuple[list[int], list[int]]:
        """By partition, the first offset and the one after the last that is committed."""
        with closing(Cluster(self._bootstrap, self._options)) as cluster:
            ends = (cluster.earliest([self._topic]), cluster.end([self._topic]))
        first, end = ([at for _, at in sorted(one.items())] for one in ends)
        return first, end

    def _records(self, starts: Mapping[int, int], ends: Mapping[int, int]) -> Iterator[Any]:
        """Committed records between offsets, by partition."""
        wanted = {TopicPartition(self.name, n): end for n, end in ends.items() if starts[n] < end}
        ours = {
            "isolation_level": "read_committed", "enable_auto_commit": False, "auto_offset_reset": "none",
            "group_id": None,
        }  # fmt: skip
        given = {**python_options(self._options, KafkaConsumer.DEFAULT_CONFIG), **ours}
        with self._told():
            consumer = KafkaConsumer(bootstrap_servers=self._bootstrap.split(","), **given)
            try:
                consumer.assign(list(wanted))
                for there in wanted:
                    consumer.seek(there, starts[there.partition])
                yield from _read_up_to(consumer, wanted)
            finally:
                consumer.close(autocommit=False)

    def _marker(self, value: bytes | None) -> Marker:
        try:
            return Marker.from_bytes(value or b"")
        except (KeyError, ValueError, TypeError) as error:
            raise self._of_another("a marker that this release cannot read") from error

    def _of_another(self, what: str) -> UserError:
        return UserError(
            Condition.INPUT_INVALID,
            f"topic {self.name} holds something else: {what}",
            detail="a topic that nothing but this view's publishing writes, or none",
            hint="name another one with --topic",
            where=self.name,
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Says Kafka's errors in the words of the system."""
        try:
            yield
        except KafkaConfigurationError as error:
            raise UserError(Condition.CONFIG_INVALID, f"kafka.options: {error}", hint="correct them") from error
        except KafkaError as error:
            raise self._failed(error) from error

    def _failed(self, error: KafkaError) -> SeamlineError:
        if any(isinstance(error, one) or one.__name__ in str(error) for one in FENCED):  # named by what follows it
            return ConflictError(
                Condition.WRITER_CONFLICT,
                f"another publisher of topic {self.name} was started since ({type(error).__name__})",
                detail="one publisher of a topic; the newest is it",
                hint="leave it to that one, or stop it and run this again",
                where=self.name,
            )
        why = error if isinstance(error, REFUSALS) else turned_away(self._bootstrap, self._options)
        if why:
            return refused(self._bootstrap, why)
        message = f"topic {self.name}: {type(error).__name__}: {error}"
        if getattr(error, "retriable", True):
            hint = "see 'seamline doctor'; run again: what was not committed never was"
            return TransientError(Condition.BROKER_UNAVAILABLE, message, hint=hint, where=self._bootstrap)
        return TerminalError(
            Condition.INPUT_INVALID, message, detail="transactions and records as the cluster takes them",
            hint="see the cluster's limits, of a record and of a transaction's time", where=self.name,
        )  # fmt: skip


def partition_of(key: bytes, partitions: int) -> int:
    """As Kafka's own clients choose it."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def _sending(options: Mapping[str, str]) -> dict[str, Any]:
    """Producer options, where the configuration does not say otherwise."""
    ours = {
        "linger_ms": 5, "batch_size": 256 << 10, "max_request_size": 16 << 20, "compression_type": "gzip",
        "transaction_timeout_ms": 900_000,  # the longest that brokers allow by default
    }  # fmt: skip
    return {**ours, **python_options(options, KafkaProducer.DEFAULT_CONFIG)}


def _backwards(first: int, end: int) -> Iterator[int]:
    """Where to look from: ever further back, to the first."""
    by = LOOKED_BACK
    while end - by > first:
        yield end - by
        by *= 8
    if first < end:
        yield first


def _read_up_to(consumer: KafkaConsumer, ends: Mapping[TopicPartition, int]) -> Iterator[Any]:
    left, deadline = set(ends), time.monotonic() + SECONDS
    while left:
        for there, records in consumer.poll(timeout_ms=100).items():
            deadline = time.monotonic() + SECONDS
            yield from (record for record in records if record.offset < ends[there])
        left = {there for there in left if (consumer.position(there) or 0) < ends[there]}
        for there in consumer.assignment() - left:
            consumer.pause(there)
        if left and time.monotonic() > deadline:
            raise KafkaError(f"nothing came for {SECONDS:g} s of {len(left)} partitions")


def _made(bootstrap: str, options: Mapping[str, str], name: str, partitions: int) -> Topic:
    """The topic, which is made if it is missing. Raises INPUT_INVALID where it is kept in another way."""
    settings = {**MADE, **{key: str(least) for key, least in SETTINGS.items()}}
    with closing(Cluster(bootstrap, options)) as cluster:
        cluster.create_missing([name], partitions, settings)
        (topic,) = cluster.topics([name]).values()
        stands = cluster.settings([topic], settings)[name]
    if not _keeps_all(stands):
        raise UserError(
            Condition.INPUT_INVALID,
            f"topic {name} is kept otherwise: {', '.join(f'{key}={stands[key]}' for key in settings)}",
            detail="cleanup.policy=compact, or compact,delete without a bound, "
            + ", ".join(f"{key}={least} or more" for key, least in SETTINGS.items()),
            hint="set these with kafka-configs, or let 'seamline publish' make the topic",
            where=name,
        )
    return topic


def _keeps_all(stands: Mapping[str, str]) -> bool:
    """Whether a topic with these settings is compacted, removes nothing for its age, and is slow enough. Pure."""
    policy = {one.strip() for one in stands["cleanup.policy"].split(",")}
    bounded = "delete" in policy and not stands["retention.ms"] == stands["retention.bytes"] == "-1"
    return "compact" in policy and not bounded and all(int(stands[key]) >= least for key, least in SETTINGS.items())
