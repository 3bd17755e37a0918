"""One stream under faults: a project of its own, its records with their truth, and its roles, which may be killed.

A role runs in a thread of this process (quick, with the run's one Spark session) or as a process of its own, which can
be killed, frozen and woken. The broker is the run's, unless a test brings one of its own.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, KafkaProducer
from reader import NOT_READY, Reader, check, library
from stream_parts import running
from truth import Event, Topic

from seamline.clock import Clock, system_clock
from seamline.errors import Condition
from seamline.history.archive import ArchiveHistory
from seamline.jobs.batch import Batch
from seamline.jobs.spark_runner import spark_runner
from seamline.schemas.project import Project, load_project
from seamline.schemas.states import apply_views
from seamline.streaming.archive.role import run_archive
from seamline.streaming.kafka import Cluster
from seamline.streaming.speed.role import run_speed

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
schema:
  - name: orders
    properties:
      - {{name: id, logicalType: string}}
      - {{name: placed, logicalType: timestamp}}
      - {{name: shop, logicalType: string}}
      - {{name: amount, logicalType: integer}}
      - {{name: weight, logicalType: number}}
      - {{name: buyer, logicalType: string}}
customProperties:
  - {{property: seamline.eventTime, value: placed}}
  - {{property: seamline.eventId, value: id}}
  - {{property: seamline.topic, value: {topic}}}
"""

SALES = """CREATE MATERIALIZED VIEW sales AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount,
       min(amount) AS least, max(placed) AS latest, avg(weight) AS weight
FROM orders GROUP BY ALL"""

CONTRACTS = {"orders": CONTRACT}
VIEWS = {"sales": SALES}

SETTINGS = """\
[kafka]
bootstrap_servers = "{bootstrap}"
partitions = {partitions}
[spark]
master = "local[2]"
[archive]
trigger_ms = 200
"""

GARBAGE: tuple[bytes | None, ...] = (
    b'{"id": "x", "placed": ',
    b"\xff\xfe",
    b'{"id": "no time", "shop": "a"}',
    b'{"id": "wrong type", "placed": "2024-05-01T00:00:00Z", "amount": "many"}',
    b'{"id": "far", "placed": "9999-05-01T00:00:00Z"}',
    b"",
    None,
)
"""Records that must be rejected, each for another reason."""

SILENT = subprocess.DEVNULL

LARGEST = 12 << 20
"""Bytes of one record at most."""

SHORT_LIVED = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Of a JVM that will not live long enough to earn the cost of its best code."""


def orders(count: int, prefix: str = "o", at: datetime | None = None) -> list[Event]:
    """`count` distinct valid orders of two shops, a second apart, the last at `at` (default: a minute ago)."""
    last = at or datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    times = [last - timedelta(seconds=count - 1 - n) for n in range(count)]
    return [Event(f"{prefix}{n}", times[n], "ab"[n % 2], n, n % 8 / 4, f"b{n % 5}") for n in range(count)]


class Written(NamedTuple):
    """A record's own bytes, beside the event that must be read from them (None: it must be rejected)."""

    event: Event | None
    value: bytes


class Field:
    """A project in `folder` with `contracts` on `topic`, which exists, and `views`, applied.

    The truth is each view's own SELECT over all events of the topic in one table, unless `hold_against` names another.
    """

    def __init__(
        self, folder: Path, bootstrap: str, topic: str, *, partitions: int = 2, settings: str = "",
        views: Mapping[str, str] = VIEWS, contracts: Mapping[str, str] = CONTRACTS,
    ) -> None:  # fmt: skip
        self.bootstrap = bootstrap
        self.name = topic
        self.views = dict(views)
        (folder / "contracts").mkdir(parents=True)
        (folder / "views").mkdir()
        for name, text in contracts.items():
            (folder / "contracts" / f"{name}.yaml").write_text(text.format(topic=topic))
        for name, text in views.items():
            (folder / "views" / f"{name}.sql").write_text(text + ";\n")
        (folder / "seamline.toml").write_text(SETTINGS.format(bootstrap=bootstrap, partitions=partitions) + settings)
        self.project: Project = load_project(folder)
        self.lake = self.project.lake
        self.apply()
        self.topic = Topic([0] * partitions, self.source)
        self.readers: list[Reader] = []
        self._dress = itertools.count()

    @property
    def source(self) -> str:
        """The topic with the id that the broker has given it."""
        cluster = Cluster(self.bootstrap)
        try:
            return str(cluster.topics([self.name])[self.name].source)
        finally:
            cluster.close()

    def apply(self) -> None:
        """`seamline views apply` with what is in the folder now."""
        self.project = load_project(self.project.folder)
        for one in apply_views(self.lake, self.project.views, self.project.contracts, system_clock):
            if one.change in ("changed", "returned"):
                self.views[one.definition] = self.project.views[one.view].text

    def change(self, view: str, text: str) -> None:
        """Writes a view anew and applies it; each answer is held against the text of the definition it names."""
        (self.project.folder / "views" / f"{view}.sql").write_text(text + ";\n")
        self.apply()

    def hold_against(self, view: str, text: str) -> None:
        """The truth of a view as it is defined now, where its own text cannot be run over plain events."""
        defined = self.project.views[view].text
        self.views.update({name: text for name, kept in self.views.items() if name == view or kept == defined})

    # the topic

    def send(self, *given: Event | Written | bytes | None, partition: int | None = None) -> None:
        """Events (in another dress each time, so that copies differ in their bytes) or bytes that must be rejected.

        Returns when the broker has acknowledged all; where each lies is remembered.
        """
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", max_request_size=LARGEST)
        try:
            self.hand(producer, *given, partition=partition)
        finally:
            producer.close()

    def hand(
        self, producer: KafkaProducer, *given: Event | Written | bytes | None, partition: int | None = None
    ) -> None:
        """The same through a producer of the test's own."""
        sent = []
        for number, one in enumerate(given):
            event, value = self._written(one)
            at = number % len(self.topic.partitions) if partition is None else partition
            sent.append((event, value, producer.send(self.name, key=b"k", value=value, partition=at)))
        producer.flush()
        for event, value, future in sent:
            self._place(event, value, future.get(30))

    def _written(self, one: Event | Written | bytes | None) -> tuple[Event | None, bytes | None]:
        if isinstance(one, Event):
            return one, one.encode(next(self._dress) % 4)
        return one if isinstance(one, Written) else (None, one)

    def _place(self, event: Event | None, value: bytes | None, meta: Any) -> None:
        at = datetime.fromtimestamp(meta.timestamp / 1000, UTC)
        self.topic.place(meta.partition, meta.offset, at, value, event)

    def admin(self) -> KafkaAdminClient:
        """Kafka's own client; the caller closes it."""
        return KafkaAdminClient(bootstrap_servers=self.bootstrap)

    # reading while it runs

    @contextmanager
    def read(self, view: str = "sales", *, allowed: frozenset[Condition] = NOT_READY) -> Iterator[Reader]:
        """Asks the view all through the block; afterwards every answer of every reader so far must be true."""
        reader = Reader(library(self.project), self.lake, view, allowed=allowed)
        self.readers.append(reader)
        with self.checked(), reader:
            yield reader

    @contextmanager
    def checked(self) -> Iterator[None]:
        """After the block every answer of every reader so far must be true."""
        yield
        assert check(self.readers, self.topic, self.views) > 0, "nothing was answered"

    # the roles

    @contextmanager
    def speed(self, spark: Any, clock: Clock = system_clock) -> Iterator[list[BaseException]]:
        """The speed role in a thread; what it raised is in the list."""
        with running(partial(run_speed, clock=clock), self.project, spark) as raised:
            yield raised

    @contextmanager
    def archive(self, spark: Any, clock: Clock = system_clock) -> Iterator[list[BaseException]]:
        """The archive role in a thread."""
        with running(partial(run_archive, clock=clock), self.project, spark) as raised:
            yield raised

    @contextmanager
    def process(self, role: str, *, stop_at: str = "", **env: str) -> Iterator[subprocess.Popen[bytes]]:
        """A role as a process of its own, which SIGKILL ends at a commit point if one is named; killed at the end."""
        with self.command("run", role, stop_at=stop_at, **env) as child:
            yield child

    @contextmanager
    def command(
        self, *words: str, stop_at: str = "", errors: int | None = None, **env: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """`seamline WORDS` as a process of its own; its errors go to `<last word>.log`, or to `errors`."""
        stopping = {"SEAMLINE_STOP_AT": stop_at} if stop_at else {}
        variables = {**os.environ, "JAVA_TOOL_OPTIONS": SHORT_LIVED, **stopping, **env}
        line = [sys.executable, "-m", "seamline", *words, "--project", str(self.project.folder)]
        self.project.state.mkdir(exist_ok=True)
        with (self.project.state / f"{words[-1]}.log").open("ab") as log:
            child = subprocess.Popen(line, env=variables, stdout=SILENT, stderr=log if errors is None else errors)
        try:
            yield child
        finally:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()
            child.wait(30)

    def batch(self, spark: Any, clock: Clock = system_clock) -> Batch:
        """The batch layer, its units as Spark tasks."""
        return Batch(self.lake, runner=spark_runner(spark), settings=self.project.settings.batch, clock=clock)

    def archived(self) -> Callable[[], bool]:
        """Whether the archive has everything that was sent."""
        history = ArchiveHistory(self.lake.archive_log("main"))
        end = self.topic.end

        def look() -> bool:
            history.catch_up()
            return end <= history.frontier

        return look
