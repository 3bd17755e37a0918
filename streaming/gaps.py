"""Offsets that hold no record: markers and aborted records of transactions, and what compaction has removed.

Where a partition ends with such, a frontier that moves with records alone stands before them for ever: the partition
seems to lag, and once Kafka's retention takes them, records seem to be lost. So a consumer that sees committed records
only is asked how far it comes without finding any.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import OffsetOutOfRangeError, UnsupportedCodecError

from seamline.streaming.clients import python_options

SECONDS = 1.0
"""How long is looked at most; what is passed meanwhile counts."""

READING = {"isolation_level": "read_committed", "enable_auto_commit": False, "auto_offset_reset": "none"}


def first_records(
    bootstrap: str, options: Mapping[str, str], wanted: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    """For each position that is wanted where the first committed record at or after it lies, or how far there is none.

    `ends`: up to there all is decided, committed or aborted. What was passed will never hold a record. Nothing, where a
    position lies before the first offset there is, or a record is packed in a way that this client cannot read: it is
    there, then. Raises kafka-python's errors.
    """
    given = {"fetch_max_wait_ms": 50, **python_options(options, KafkaConsumer.DEFAULT_CONFIG), **READING}
    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), **given)
    try:
        consumer.assign(list(wanted))
        for there, offset in wanted.items():
            consumer.seek(there, offset)
        return _read_on(consumer, wanted, ends)
    except (OffsetOutOfRangeError, UnsupportedCodecError):
        return {}
    finally:
        consumer.close(autocommit=False)


def _read_on(
    consumer: KafkaConsumer, wanted: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, int]:
    found, left, deadline = dict(wanted), set(wanted), time.monotonic() + SECONDS
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
