"""Sends some of a seed's records, and writes down when each probe was sent: a process of its own.

python -m beside.sending BOOTSTRAP TOPIC SEED COUNT FIRST END RATE OUT     RATE in records a second; 0: all it can
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from kafka import KafkaProducer

from beside.mess import Kind, run


def main(bootstrap: str, topic: str, seed: int, count: int, first: int, end: int, rate: int, out: Path) -> None:
    """Sends those from `first` up to `end` of a run, and waits until all is acknowledged."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=2 if rate else 50, batch_size=1 << 17, acks="all")
    producer.partitions_for(topic)
    chosen = [one for one in run(seed, count) if first <= one.number < end]
    began, probes, waited = time.time(), {}, []
    for place, one in enumerate(chosen):
        if rate:
            time.sleep(max(0.0, began + place / rate - time.time()))
        if one.kind is Kind.PROBE:
            probes[one.number] = time.time()
        waited.append(producer.send(topic, value=one.value, partition=one.partition))
    for future in waited:
        future.get(60)
    producer.close()
    out.write_text(json.dumps(probes))


if __name__ == "__main__":
    bootstrap, topic, *numbers, out = sys.argv[1:]
    seed, count, first, end, rate = map(int, numbers)
    main(bootstrap, topic, seed, count, first, end, rate, Path(out))
