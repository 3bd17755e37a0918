"""A view over two contracts of one topic, through Kafka, Spark and both layers: the answer is its own SELECT's."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from kafka import KafkaProducer
from stream_parts import running
from waiting import wait_until

from seamline.clock import system_clock
from seamline.entries.base import Counts
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.batch import Batch, Outcome
from seamline.jobs.spark_runner import spark_runner
from seamline.kernel import kernel
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project, load_project
from seamline.schemas.states import apply_views
from seamline.serving.serving import Serving
from seamline.streaming.archive.importing import import_events
from seamline.streaming.archive.role import run_archive
from seamline.streaming.speed.role import run_speed

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: 1.0.0
status: active
schema:
  - name: {name}
    properties:
      - {{name: id, logicalType: string, required: true}}
      - {{name: {time}, logicalType: timestamp, required: true}}
      - {{name: {who}, logicalType: string}}
      - {{name: change, logicalType: {number}}}
customProperties:
  - {{property: seamline.eventTime, value: {time}}}
  - {{property: seamline.eventId, value: id}}
  - {{property: seamline.topic, value: {topic}}}
  - {{property: seamline.discriminator, value: {{path: what, value: {name}}}}}
"""
KINDS = {"likes": ("liked_at", "user_id", "integer"), "follows": ("created", "follower", "number")}
VIEW = """\
CREATE MATERIALIZED VIEW activity TBLPROPERTIES ('owner' = 'growth') AS
SELECT time_bucket(INTERVAL '1 hour', at_time) AS hour, kind, count(*) AS actions, sum(change) AS change,
       count(DISTINCT actor) AS actors, first(actor) AS first_actor
FROM (SELECT liked_at AS at_time, user_id AS actor, 'like' AS kind, change FROM likes
      UNION ALL BY NAME
      SELECT created AS at_time, follower AS actor, 'follow' AS kind, change FROM follows
      WHERE follower <> 'nobody') AS e
GROUP BY ALL
"""
SETTINGS = """\
[kafka]
bootstrap_servers = "{bootstrap}"
partitions = 2
[spark]
master = "local[2]"
[archive]
trigger_ms = 200
"""
BEGIN = datetime(2026, 1, 1, 22, tzinfo=UTC)


class Place:
    """A project with both contracts and the view, its topic, and what was sent of each."""

    def __init__(self, folder: Path, bootstrap: str, topic: str) -> None:
        for part in ("contracts", "views"):
            (folder / part).mkdir()
        for name, (time, who, number) in KINDS.items():
            text = CONTRACT.format(name=name, topic=topic, time=time, who=who, number=number)
            (folder / f"contracts/{name}.yaml").write_text(text)
        (folder / "views/activity.sql").write_text(VIEW)
        (folder / "seamline.toml").write_text(SETTINGS.format(bootstrap=bootstrap))
        self.project: Project = load_project(folder)
        self.lake, self.bootstrap, self.topic = self.project.lake, bootstrap, topic
        apply_views(self.lake, self.project.views, self.project.contracts, system_clock)
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in KINDS}
        self.sent = 0
        self.random = random.Random(7)

    def event(self, kind: str, number: int) -> dict[str, Any]:
        time, who, _ = KINDS[kind]
        at = BEGIN + timedelta(minutes=self.random.randrange(300), microseconds=number)
        actor = self.random.choice(["a", "b", "c", "nobody"])
        return {
            "what": kind,
            "id": f"{number}",
            time: at.isoformat(),
            who: actor,
            "change": self.random.choice((-1, 1)),
        }

    def send(self, first: int, count: int) -> None:
        """Events of both kinds, every tenth twice in one partition, and some that no contract takes."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        for number in range(first, first + count):
            kind, at = ("likes", "follows")[number % 2], number // 2 % 2
            event = self.event(kind, number)
            for _ in range(2 if number % 10 == 0 else 1):
                producer.send(self.topic, json.dumps(event).encode(), partition=at).get(30)
                self.sent += 1
            self.rows[kind].append(event)
            if number % 20 == 0:
                producer.send(self.topic, json.dumps({**event, "change": "much"}).encode(), partition=at).get(30)
                self.sent += 1
        producer.close()

    def covered(self, log: SpeedHistory | ArchiveHistory) -> bool:
        """Whether a log reaches to the end of what was sent."""
        log.catch_up()
        return sum(offset for _, offset in log.frontier.items()) >= self.sent

    def check(self) -> list[dict[str, Any]]:
        """The served answer against the view's own SELECT over what was sent."""
        serving = Serving(self.lake, self.project.settings)
        got = serving.query("SELECT * FROM activity ORDER BY hour, kind").table.to_pylist()
        tables = {}
        for name, (time, who, number) in KINDS.items():
            kind = "BIGINT" if number == "integer" else "DOUBLE"
            typed = f"id, {time}::TIMESTAMPTZ AS {time}, {who}, change::{kind} AS change"
            place = "'t' AS _source, 0 AS _partition, 0::BIGINT AS _offset"
            raw = pa.Table.from_pylist(self.rows[name])
            tables[f"{name}_sent"] = kernel().run(f"SELECT {typed}, {place} FROM raw", {"raw": raw})
        (definition,) = Catalogue(self.lake).live("main")
        own = definition.select_over({name: f"{name}_sent" for name in KINDS})
        want = kernel().run(f"SELECT * FROM ({own}) ORDER BY hour, kind", tables).to_pylist()
        assert got == want
        return got

    def refresh(self, spark: Any, *, rebuild: bool = False) -> Outcome:
        batch = Batch(self.lake, spark_runner(spark), self.project.settings.batch)
        outcome = batch.rebuild("activity") if rebuild else batch.refresh("activity")
        assert outcome.version is not None, outcome.reason
        assert outcome.audit.compared
        assert outcome.audit.clean, outcome.audit
        return outcome


def test_two_contracts_of_a_topic_in_one_view_through_both_layers(
    broker: Any, fresh_topic: Callable[..., str], spark: Any, tmp_path: Path
) -> None:
    here = Place(tmp_path, broker.bootstrap, fresh_topic(2))
    speed, archive = SpeedHistory(here.lake.speed_log("main")), ArchiveHistory(here.lake.archive_log("main"))
    with ExitStack() as stack:
        roles = [stack.enter_context(running(run, here.project, spark)) for run in (run_speed, run_archive)]
        here.send(0, 60)
        wait_until(lambda: here.covered(speed), 90, "speed has all")
        assert len(here.check()) > 8
        wait_until(lambda: here.covered(archive), 90, "the archive has all")
        outcome = here.refresh(spark, rebuild=True)
        assert outcome.counts == Counts(read=69, counted=60, rejected=3, duplicate=6)
        here.check()
        here.send(60, 20)
        wait_until(lambda: here.covered(speed) and here.covered(archive), 90, "both have the rest")
        here.check()
        imported = [here.event("follows", number) for number in range(1000, 1010)]
        done = import_events(here.project, "follows", lambda: (json.dumps(event).encode() for event in imported))
        assert done.counts == Counts(read=10, counted=10)
        here.rows["follows"] += imported
        outcome = here.refresh(spark)
        assert {drift.explained for drift in outcome.audit.explained} == {"1 imported file(s)"}
        assert outcome.counts == Counts(read=102, counted=90, rejected=4, duplicate=8)
        here.check()
    assert roles == [[], []]
    for definition in Catalogue(here.lake).live("main"):
        units = BatchHistory(here.lake.batch_log(definition.hash)).files(outcome.version or 0)
        days = ("2026-01-01", "2026-01-02")
        assert set(units) >= {f"{name}/{day}" for name in KINDS for day in days}
    total = sum(speed.counts[name].read for name in KINDS)
    assert total == here.sent
    assert all(speed.counts[name].balanced and speed.counts[name].read for name in KINDS)
