"""Every aggregate of the algebra's table in one view, through both layers: the answer is its own SELECT's."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from algebra_laws import same
from kafka import KafkaProducer
from stream_parts import running
from waiting import wait_until

from seamline.clock import system_clock
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.batch import Batch
from seamline.jobs.spark_runner import spark_runner
from seamline.kernel import kernel
from seamline.schemas.algebra import ALGEBRA, Call
from seamline.schemas.algebra.forms import evaluated
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project, load_project
from seamline.schemas.states import apply_views
from seamline.schemas.views.definition import Definition
from seamline.serving.serving import Serving
from seamline.streaming.archive.role import run_archive
from seamline.streaming.speed.role import run_speed

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: things
version: 1.0.0
status: active
schema:
  - name: things
    properties:
      - {{name: id, logicalType: string, required: true}}
      - {{name: dt, logicalType: timestamp, required: true}}
      - {{name: kind, logicalType: string}}
      - {{name: n, logicalType: integer}}
      - {{name: d, logicalType: number}}
      - {{name: m, logicalType: number, physicalType: "decimal(38,4)"}}
      - {{name: b, logicalType: boolean}}
      - {{name: s, logicalType: string}}
customProperties:
  - {{property: seamline.eventTime, value: dt}}
  - {{property: seamline.eventId, value: id}}
  - {{property: seamline.topic, value: {topic}}}
"""
FIELDS = {"n": "BIGINT", "m": "DECIMAL(38,4)", "d": "DOUBLE", "b": "BOOLEAN", "s": "VARCHAR"}
SETTINGS = """\
[kafka]
bootstrap_servers = "{bootstrap}"
partitions = 2
[spark]
master = "local[2]"
[archive]
trigger_ms = 200
"""


def calls() -> Iterator[str]:
    """Every entry, with each of its constants, over the first field and over the last field that it takes."""
    for entry in ALGEBRA.values():
        name, _, distinct = entry.name.partition(" ")
        for texts in entry.tried:
            values = evaluated(texts)
            taken = [f for f, kind in FIELDS.items() if entry.form(Call((kind,) * entry.arguments, values, texts))]
            for field in {taken[0], taken[-1]}:
                arguments = ", ".join([*[field, "n"][: entry.arguments], *texts])
                yield f"{name}({distinct} {arguments})"


def view_text() -> str:
    """One view over all calls; some are filtered, and some are computed with."""
    lines = ["time_bucket(INTERVAL '1 hour', dt) AS hour", "kind", "count(*) AS events", "sum(n) AS total"]
    for number, call in enumerate(sorted(calls())):
        lines.append(f"{call}{' FILTER (WHERE n > 3)' if number % 3 == 0 else ''} AS c{number}")
    lines.append("sum(m) / nullif(count(*), 0) AS rate")
    columns = ",\n       ".join(lines)
    return f"CREATE MATERIALIZED VIEW everything AS\nSELECT {columns}\nFROM things GROUP BY ALL HAVING count(*) > 1"


def things(count: int, seed: int) -> list[dict[str, Any]]:
    """Events of two hours and three kinds, with NULLs and ties, all of one size of numbers."""
    rng, rows = random.Random(seed), []
    start = datetime(2026, 1, 1, 10, tzinfo=UTC)
    for number in range(count):
        row = {
            "id": f"{seed}-{number}",
            "dt": (start + timedelta(minutes=rng.randrange(120))).isoformat(),
            "kind": rng.choice("abc"),
            "n": rng.randrange(-5, 12),
            "d": rng.randrange(-40, 400) / 8,
            "m": rng.randrange(-(10**9), 10**9) / 10**4,
            "b": rng.random() < 0.5,
            "s": rng.choice(["ünï", "x", "", "yy", "z" * 9]),
        }
        rows.append({key: value for key, value in row.items() if key in ("id", "dt") or rng.random() < 0.9})
    return rows


class Place:
    """A project with the one view, its topic, and the truth of what was sent."""

    def __init__(self, folder: Path, bootstrap: str, topic: str, view: str = "") -> None:
        for part, text in (("contracts/things.yaml", CONTRACT), ("views/everything.sql", "{}"), ("seamline.toml", "")):
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            (folder / part).write_text(text.format(topic=topic) if text != "{}" else view or view_text())
        (folder / "seamline.toml").write_text(SETTINGS.format(bootstrap=bootstrap))
        self.project: Project = load_project(folder)
        self.lake, self.bootstrap, self.topic = self.project.lake, bootstrap, topic
        apply_views(self.lake, self.project.views, self.project.contracts, system_clock)
        self.rows: list[dict[str, Any]] = []
        self.sent = 0

    @property
    def definition(self) -> Definition:
        (found,) = Catalogue(self.lake).live("main")
        return found

    def send(self, rows: list[dict[str, Any]]) -> None:
        """Each event, and every tenth once more; copies in the partition of the first."""
        producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        for number, row in enumerate(rows):
            at = number % 2
            meta = producer.send(self.topic, json.dumps(row).encode(), partition=at).get(30)
            self.rows.append(row | {"_source": "topic", "_partition": at, "_offset": meta.offset})
            if number % 10 == 0:
                producer.send(self.topic, json.dumps(row).encode(), partition=at).get(30)
        self.sent += len(rows) + -(-len(rows) // 10)
        producer.close()

    def covered(self, log: SpeedHistory | ArchiveHistory) -> bool:
        """Whether a log reaches to the end of what was sent."""
        log.catch_up()
        return sum(offset for _, offset in log.frontier.items()) >= self.sent

    def events(self) -> pa.Table:
        """What was sent, typed, each event once."""
        typed = ", ".join(f"{name}::{kind} AS {name}" for name, kind in FIELDS.items())
        select = (
            f"SELECT id, dt::TIMESTAMPTZ AS dt, kind, {typed}, _source, _partition::INT AS _partition, _offset FROM raw"
        )
        names = ["id", "dt", "kind", *FIELDS, "_source", "_partition", "_offset"]
        raw = {name: [row.get(name) for row in self.rows] for name in names}
        raw["m"] = [None if value is None else str(value) for value in raw["m"]]
        return kernel().run(select, {"raw": pa.table(raw)})

    def check(self) -> None:
        """The served answer against the view's own SELECT, and sketches against one pass of the kernel."""
        serving = Serving(self.lake, self.project.settings)
        got = serving.query("SELECT * FROM everything ORDER BY hour, kind").table.to_pylist()
        events, definition = self.events(), self.definition
        own = kernel().run(
            f"SELECT * FROM ({definition.select_over('events')}) ORDER BY hour, kind", {"events": events}
        )
        partials = kernel().run(definition.partial, {"events": events})
        once = f"SELECT * FROM ({definition.merge_and_finalise}) ORDER BY hour, kind"
        at_once = kernel().run(once, {"partials": partials}).to_pylist()
        for mine, theirs, single in zip(got, own.to_pylist(), at_once, strict=True):
            for column in definition.columns:
                want = single if column.exactness == "approximate" else theirs
                exact, name = column.exactness == "exact", column.name
                assert same(mine[name], want[name], exact, 1e6), (name, column.aggregate, mine[name], want[name])


def check_spark_reads(spark: Any, here: Place, version: int) -> None:
    """A batch version's files are plain Parquet to Spark: every column, and counts and sums by its own merge."""
    units = BatchHistory(here.lake.batch_log(here.definition.hash)).files(version)
    stored = spark.read.parquet(*(here.lake.absolute(file.path) for files in units.values() for file in files))
    assert set(stored.columns) == {column.name for column in here.definition.partial_columns}
    assert len(stored.collect()) > 0
    summed = stored.groupBy("hour", "kind").agg({"events": "sum", "total": "sum"}).collect()
    by_spark = {(row["hour"].timestamp(), row["kind"]): (row["sum(events)"], row["sum(total)"]) for row in summed}
    rows = Serving(here.lake, here.project.settings).query("SELECT hour, kind, events, total FROM everything").table
    served = {(r["hour"].timestamp(), r["kind"]): (r["events"], r["total"]) for r in rows.to_pylist()}
    assert served == {key: found for key, found in by_spark.items() if found[0] > 1}


def test_all_of_them_in_one_view_through_both_layers(
    broker: Any, fresh_topic: Callable[..., str], spark: Any, tmp_path: Path
) -> None:
    here = Place(tmp_path, broker.bootstrap, fresh_topic(2))
    speed, archive = SpeedHistory(here.lake.speed_log("main")), ArchiveHistory(here.lake.archive_log("main"))
    with ExitStack() as stack:
        roles = [stack.enter_context(running(partial(run), here.project, spark)) for run in (run_speed, run_archive)]
        here.send(things(300, 1))
        wait_until(lambda: here.covered(speed), 90, "speed has all")
        here.check()
        wait_until(lambda: here.covered(archive), 90, "the archive has all")
        outcome = Batch(here.lake, spark_runner(spark), here.project.settings.batch).rebuild("everything")
        assert outcome.version is not None
        assert outcome.audit.clean, outcome.audit
        here.check()
        check_spark_reads(spark, here, outcome.version)
        here.send(things(200, 2))
        wait_until(lambda: here.covered(speed), 90, "speed has the rest")
        here.check()
    assert roles == [[], []]
