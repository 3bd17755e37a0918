"""Kafka to queryable: how many events a second, and how soon an event is in an answer.

A real broker and a real speed process, JSON records of which one in a hundred is a copy, one (hour, key) view. Soon is
from the producer's send to the end of the first query whose answer covers the record. Events a second are counted over
a backlog: from the first epoch's commit to the last's, so without the start of the process.
"""

from __future__ import annotations

import bisect
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from figures import Figure, Size
from lakes import CONTRACT, EVENT_ID, VIEW
from producer import COPY_EVERY, EPOCH

from seamline.clock import system_clock
from seamline.history.speed import SpeedHistory
from seamline.machine.broker import Broker
from seamline.machine.broker_settings import BrokerLog
from seamline.schemas.project import BOOTSTRAP, Project, load_project
from seamline.schemas.states import apply_views
from seamline.serving.serving import Serving
from seamline.sides.spark import session
from seamline.streaming.kafka import Cluster

TOPIC = "clicks"
PARTITIONS = 4
RATE = 1_000
WARM = 10
"""Seconds of records that are not measured."""

SIZES = {Size.SMALL: (400_000, 20), Size.WHOLE: (4_000_000, 60)}
"""Records of the backlog; seconds of steady records."""

FILL = """SELECT CAST(id % 97 AS STRING) AS key, concat('{{"id": "', n, '", "seen": "',
  date_format(timestamp_millis({epoch} + n * 10), "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"), '", "page": "page', n % 1000,
  '", "ms": ', n % 5000, '}}') AS value
FROM (SELECT id, CASE WHEN id % {every} = {every} - 1 THEN id - {every} DIV 2 ELSE id END AS n
      FROM range(0, {count}, 1, {partitions}))"""


class Watcher(threading.Thread):
    """Asks the view again and again, and keeps when an answer first covered how much of each partition."""

    def __init__(self, project: Project) -> None:
        super().__init__(daemon=True)
        self.serving = Serving(project.lake, project.settings)
        self.ends: dict[int, list[tuple[int, float]]] = defaultdict(list)
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.002):
            if self.serving.catch_up() and (reached := self._asked()):
                now = time.time()
                for partition, offset in reached.items():
                    self.ends[partition].append((offset, now))

    def _asked(self) -> dict[int, int]:
        try:
            answer = self.serving.query("SELECT sum(clicks) FROM pages")
        except Exception as error:  # noqa: BLE001 - not ready before the first epoch; whatever else is told at the end
            self.error = error
            return {}
        return {partition.number: offset for partition, offset in answer.provenance["pages"].reached.items()}

    def covered(self) -> int:
        return sum(ends[-1][0] for ends in list(self.ends.values()))

    def at(self, partition: int, offset: int) -> float:
        ends = self.ends[partition]
        return ends[bisect.bisect_right(ends, (offset, float("inf")))][1]


def measure(size: Size) -> list[Figure]:
    """Events a second; produce-to-answer with and without an event id."""
    count, seconds = SIZES[size]
    rate = throughput(count)
    found = [Figure("Kafka to queryable, dedup", rate, "events/s", sizes={"events": count}, bar="at least 40,000")]
    for dedup, bars in ((True, ("under 0.5", "under 1.5")), (False, ("under 0.35", ""))):
        delays = freshness(seconds, dedup=dedup)
        sizes: dict[str, float | int | str] = {"events/s": RATE, "seconds": seconds, "copies": f"1 in {COPY_EVERY}"}
        named = "with event id" if dedup else "without event id"
        for part, bar in zip((50, 99), bars, strict=True):
            value = delays[len(delays) * part // 100]
            found.append(Figure(f"produce to answer, {named}, p{part}", value, "s", sizes=sizes, bar=bar))
    return found


def throughput(count: int) -> float:
    """Events/s over a backlog of `count` records."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), dedup=True) as project:
        fill(project.bootstrap, count)
        watcher = Watcher(project)
        watcher.start()
        with speed(project):
            wait_for(watcher, count)
        watcher.done.set()
        history = SpeedHistory(project.lake.speed_log("main"))
        epochs = [history.epochs[number] for number in sorted(history.epochs)]
        read = sum(counts.read for epoch in epochs[1:] for counts in epoch.counts.values())
        return read / (epochs[-1].at - epochs[0].at).total_seconds()


def freshness(seconds: int, *, dedup: bool) -> list[float]:
    """Seconds from send to answer of records sent at a steady rate, sorted."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), dedup=dedup) as project:
        watcher = Watcher(project)
        watcher.start()
        with speed(project):
            produce(project, WARM, 0)
            wait_for(watcher, WARM * RATE)
            placed = produce(project, seconds, 1_000_000)
            wait_for(watcher, (WARM + seconds) * RATE)
        watcher.done.set()
        return sorted(watcher.at(partition, offset) - at for at, partition, offset in placed)


@contextmanager
def running(folder: Path, *, dedup: bool) -> Iterator[Project]:
    """A project with a broker of its own and an empty topic."""
    for name, text in (
        ("contracts/clicks.yaml", CONTRACT if dedup else CONTRACT.replace(EVENT_ID, "")),
        ("views/pages.sql", VIEW + ";\n"),
        ("seamline.toml", f"[kafka]\npartitions = {PARTITIONS}\n"),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    project = load_project(folder)
    with Broker(project.state / "broker", BrokerLog(project.state / "broker.log")) as broker:
        (project.state / BOOTSTRAP).write_text(broker.bootstrap)
        cluster = Cluster(broker.bootstrap)
        cluster.create_missing([TOPIC], PARTITIONS)
        cluster.close()
        apply_views(project.lake, project.views, project.contracts, system_clock)
        yield project


@contextmanager
def speed(project: Project) -> Iterator[None]:
    """The speed role, as `seamline up` starts it."""
    command = [sys.executable, "-m", "seamline", "run", "speed", "--project", str(project.folder)]
    with (project.state / "speed.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        child.terminate()
        child.wait(60)


def fill(bootstrap: str, count: int) -> None:
    """A backlog, written by Spark."""
    spark = session("bench", "local[2]")
    text = FILL.format(epoch=int(EPOCH.timestamp() * 1000), every=COPY_EVERY, count=count, partitions=PARTITIONS)
    options = {"kafka.bootstrap.servers": bootstrap, "topic": TOPIC}
    spark.sql(text).write.format("kafka").options(**options).save()
    spark.stop()


def produce(project: Project, seconds: int, first: int) -> list[tuple[float, int, int]]:
    """Steady records from a process of its own: (time of send, partition, offset)."""
    out = project.state / f"placed-{first}.json"
    script = Path(__file__).with_name("producer.py")
    arguments = [project.bootstrap, TOPIC, str(RATE), str(seconds), str(first), str(out)]
    subprocess.run([sys.executable, str(script), *arguments], check=True)
    return [(at, partition, offset) for at, partition, offset in json.loads(out.read_text())]


def wait_for(watcher: Watcher, total: int) -> None:
    """Until an answer covers `total` records."""
    deadline = time.time() + 600
    while watcher.covered() < total:
        if time.time() > deadline:
            raise SystemExit(f"only {watcher.covered()} of {total} records were covered within 600 s")
        time.sleep(0.01)
