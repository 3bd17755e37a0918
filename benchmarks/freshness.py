"""Freshness of the speed layer: from a record's Kafka timestamp to the ledger entry that holds it.

    python benchmarks/freshness.py [--rate 1000] [--duplicates 0.03] [--seconds 60]

Starts an embedded broker and the speed role as a process of its own, produces at a steady rate, and prints percentiles
over all records after the first 25 seconds of epochs, and whether every record was counted exactly once.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from seamline.broker import Broker
from seamline.clock import system_clock
from seamline.entries import Counts, Epoch
from seamline.history import SpeedHistory
from seamline.schemas.catalogue import apply_views
from seamline.schemas.project import Project, load_project
from seamline.streaming.kafka import Cluster

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: readings
version: 1.0.0
status: active
schema:
  - name: readings
    logicalType: object
    properties:
      - {name: id, logicalType: string}
      - {name: ts, logicalType: timestamp}
      - {name: n, logicalType: integer}
    customProperties:
      - {property: seamline.eventTime, value: ts}
      - {property: seamline.eventId, value: id}
"""
VIEW = """\
CREATE MATERIALIZED VIEW per_hour AS
SELECT time_bucket(INTERVAL '1 hour', ts) AS hour, n, count(*) AS readings, sum(n) AS total FROM readings GROUP BY ALL
"""
TOPIC = "readings"
WARM = 25.0
"""Seconds of epochs that are left out: the JVM compiles what it runs."""
START = datetime(2026, 1, 1, tzinfo=UTC)


def make_project(folder: Path, bootstrap: str) -> Project:
    """One contract with an event id, one view."""
    for name in ("contracts", "views"):
        (folder / name).mkdir(parents=True)
    (folder / "contracts" / "readings.yaml").write_text(CONTRACT)
    (folder / "views" / "per_hour.sql").write_text(VIEW)
    (folder / "seamline.toml").write_text(f'[kafka]\nbootstrap_servers = "{bootstrap}"\n')
    project = load_project(folder)
    apply_views(project.lake, project.views, project.contracts, system_clock)
    return project


def produce(bootstrap: str, rate: int, duplicates: float, seconds: float) -> int:
    """Steadily, in the open: a slow consumer does not slow it. Returns how many records were sent."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=2)
    began, sent, chance = time.time(), 0, random.Random(7)
    while sent < rate * seconds:
        due = min(int((time.time() - began) * rate), int(rate * seconds))
        for number in range(sent, due):
            copy = number > 10 and chance.random() < duplicates
            event = chance.randrange(max(0, number - 3 * rate), number) if copy else number
            at = (START + timedelta(seconds=event)).isoformat()
            value = json.dumps({"id": str(event), "ts": at, "n": event % 7}).encode()
            producer.send(TOPIC, key=str(event).encode(), value=value)
        sent = max(sent, due)
        time.sleep(0.005)
    producer.close()
    return sent


def timestamps(bootstrap: str, records: int) -> dict[tuple[int, int], float]:
    """(partition, offset) to the record's Kafka timestamp, seconds."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    partitions = [TopicPartition(TOPIC, number) for number in consumer.partitions_for_topic(TOPIC) or ()]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    found: dict[tuple[int, int], float] = {}
    while len(found) < records:
        for at, batch in consumer.poll(1000).items():
            found.update({(at.partition, one.offset): one.timestamp / 1000 for one in batch})
    consumer.close()
    return found


def latencies(project: Project, stamps: dict[tuple[int, int], float], warm: float) -> list[float]:
    """Seconds from timestamp to entry, sorted, of records in epochs later than `warm` seconds after the first."""
    log = project.lake.speed_log("main")
    placed = [
        (entry, Path(project.lake.absolute(log.path(number))).stat().st_mtime)
        for number, entry in log.entries()
        if isinstance(entry, Epoch)
    ]
    return sorted(
        put - stamps[partition.number, offset]
        for epoch, put in placed
        if put > placed[0][1] + warm
        for partition, end in epoch.end.items()
        for offset in range(epoch.start[partition], end)
    )


def main() -> int:
    """Prints the figures; 0 where every record was counted exactly once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--duplicates", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Broker(Path(folder, "kafka")) as broker:
        project = make_project(Path(folder, "project"), broker.bootstrap)
        command = [sys.executable, "-m", "seamline.streaming.speed", "--project", str(project.folder)]
        with subprocess.Popen(command) as role:
            history = SpeedHistory(project.lake.speed_log("main"))
            while not history.claim:
                time.sleep(0.1)
                history.catch_up()
            sent = produce_when_ready(broker.bootstrap, history, given)
            counts = Counts()
            while counts.read < sent and role.poll() is None:
                time.sleep(0.1)
                history.catch_up()
                counts = sum(history.counts.values(), Counts())
            role.terminate()
        found = latencies(project, timestamps(broker.bootstrap, sent), warm=WARM)
        report(found, counts, history.last_epoch)
    return 0 if counts.read == sent and counts.balanced else 1


def produce_when_ready(bootstrap: str, history: SpeedHistory, given: argparse.Namespace) -> int:
    """A first record is sent alone, and waited for: starting up is not what is measured."""
    Cluster(bootstrap).create_missing([TOPIC], 4)
    sent = produce(bootstrap, 1, 0.0, 1)
    while not history.last_epoch:
        time.sleep(0.1)
        history.catch_up()
    return sent + produce(bootstrap, given.rate, given.duplicates, given.seconds)


def report(found: list[float], counts: Counts, epochs: int) -> None:
    """Percentiles in milliseconds."""
    marks = (
        {name: found[min(int(len(found) * share), len(found) - 1)] for name, share in MARKS.items()} if found else {}
    )
    print(f"{counts} in {epochs} epochs")
    print(f"{len(found)} records: " + ", ".join(f"{name} {1000 * value:.0f} ms" for name, value in marks.items()))


MARKS = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}

if __name__ == "__main__":
    sys.exit(main())
