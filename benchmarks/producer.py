"""Sends clicks at a steady rate and writes down when each was sent and where it lies: a process of its own.

python benchmarks/producer.py BOOTSTRAP TOPIC RATE SECONDS FIRST OUT
"""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kafka import KafkaProducer

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
COPY_EVERY = 100
"""One click in so many is a copy of the one half as many before it."""


def click(number: int) -> bytes:
    """The JSON of one click, ten milliseconds of event time after the one before."""
    seen = (EPOCH + timedelta(milliseconds=10 * number)).isoformat()
    return json.dumps({"id": str(number), "seen": seen, "page": f"page{number % 1000}", "ms": number % 5000}).encode()


def original(number: int) -> int:
    """Of which click a record is: its own, or the one that it is a copy of."""
    return number - COPY_EVERY // 2 if number % COPY_EVERY == COPY_EVERY - 1 else number


def main(bootstrap: str, topic: str, rate: int, seconds: int, first: int, out: Path) -> None:
    """Sends and waits until all is acknowledged."""
    clicks = [click(original(first + n)) for n in range(rate * seconds)]
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=2, acks="all")
    producer.partitions_for(topic)
    began, sent = time.time(), []
    for number, value in enumerate(clicks):
        time.sleep(max(0.0, began + number / rate - time.time()))
        sent.append((time.time(), producer.send(topic, key=str(number % 97).encode(), value=value)))
    placed = [(at, (meta := future.get(60)).partition, meta.offset) for at, future in sent]
    producer.close()
    out.write_text(json.dumps(placed))


if __name__ == "__main__":
    bootstrap, topic, rate, seconds, first, out = sys.argv[1:]
    main(bootstrap, topic, int(rate), int(seconds), int(first), Path(out))
