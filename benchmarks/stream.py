"""Freshness and throughput of the speed layer: real broker, real Spark, example events with fresh ids.

    python benchmarks/stream.py [--events 200000] [--seconds 30] [--rate 1000]

Freshness is from a record's send to the moment a reader of the ledger sees the epoch that covers it. Throughput is
events over the time from the first send to the last epoch, everything produced as fast as the producer can.
"""

from __future__ import annotations

import argparse
import bisect
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

from kafka import KafkaProducer

from seamline.broker import Broker
from seamline.clock import system_clock
from seamline.history import SpeedHistory
from seamline.schemas.catalogue import apply_views
from seamline.schemas.project import BOOTSTRAP, load_project
from seamline.streaming.kafka import Cluster

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "github"
TOPIC = "github-events"


class Seen(threading.Thread):
    """When the ledger first showed each epoch's end, by partition."""

    def __init__(self, history: SpeedHistory) -> None:
        super().__init__(daemon=True)
        self.history = history
        self.ends: dict[int, list[tuple[int, float]]] = defaultdict(list)
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.005):
            if self.history.catch_up():
                now = time.time()
                for partition, offset in self.history.frontier.items():
                    self.ends[partition.number].append((offset, now))

    def covered(self) -> int:
        return sum(offset for _, offset in self.history.frontier.items())

    def at(self, partition: int, offset: int) -> float:
        ends = self.ends[partition]
        return ends[bisect.bisect_right(ends, (offset, float("inf")))][1]


def events(count: int, start: int) -> list[tuple[bytes, bytes]]:
    """Example events with ids of their own."""
    lines = gzip.decompress(sorted(EXAMPLE.glob("*.gz"))[0].read_bytes()).splitlines()
    made = []
    for i in range(count):
        event = json.loads(lines[i % len(lines)])
        event["id"] = str(10**10 + start + i)
        made.append((event["repo"].encode(), json.dumps(event).encode()))
    return made


def produce(bootstrap: str, batch: list[tuple[bytes, bytes]], rate: int) -> list[tuple[float, int, int]]:
    """Sends all; returns (time of send, partition, offset)."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=2, acks="all")
    began, futures = time.time(), []
    for i, (key, value) in enumerate(batch):
        if rate:
            time.sleep(max(0.0, began + i / rate - time.time()))
        futures.append((time.time(), producer.send(TOPIC, key=key, value=value)))
    placed = [(at, (meta := future.get(60)).partition, meta.offset) for at, future in futures]
    producer.close()
    return placed


def wait_for(seen: Seen, total: int) -> None:
    deadline = time.time() + 300
    while seen.covered() < total:
        if time.time() > deadline:
            raise SystemExit(f"only {seen.covered()} of {total} records were covered within 300 s")
        time.sleep(0.01)


def measure(folder: Path, count: int, seconds: int, rate: int) -> dict[str, float]:
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.gz"))
    project = load_project(folder)
    with Broker(project.state / "broker", project.state / "broker.log") as broker:
        (project.state / BOOTSTRAP).write_text(broker.bootstrap)
        Cluster(broker.bootstrap).create_missing([TOPIC], project.settings.kafka.partitions)
        apply_views(project.lake, project.views, project.contracts, system_clock)
        with (project.state / "speed.log").open("wb") as log:
            command = [sys.executable, "-m", "seamline", "run", "speed", "--project", str(folder)]
            speed = subprocess.Popen(command, stderr=log, stdout=log)
        seen = Seen(SpeedHistory(project.lake.speed_log("main")))
        seen.start()
        try:
            produce(broker.bootstrap, events(5000, 0), 0)
            wait_for(seen, 5000)  # warm
            steady = produce(broker.bootstrap, events(seconds * rate, 10_000), rate)
            wait_for(seen, 5000 + len(steady))
            batch = events(count, 10_000_000)
            began = time.time()
            produce(broker.bootstrap, batch, 0)
            sent = time.time() - began
            wait_for(seen, 5000 + len(steady) + count)
            took = time.time() - began
            delays = sorted(seen.at(p, o) - at for at, p, o in steady)
        finally:
            seen.done.set()
            speed.terminate()
            speed.wait(30)
    return {
        "freshness p50, s": delays[len(delays) // 2],
        "freshness p99, s": delays[len(delays) * 99 // 100],
        "produced, events/s": count / sent,
        "produced and queryable, events/s": count / took,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=int, default=1000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        figures = measure(Path(temporary) / "project", asked.events, asked.seconds, asked.rate)
    for name, value in figures.items():
        print(f"{name:40} {value:12,.3f}")


if __name__ == "__main__":
    main()
