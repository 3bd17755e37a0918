"""Small projects, records and running roles for the tests of the streaming layer."""

from __future__ import annotations

import json
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from obstore.store import MemoryStore

from seamline.clock import Clock, system_clock
from seamline.entries.base import Claim
from seamline.entries.speed import Compacted, Epoch
from seamline.frontier import Frontier
from seamline.history.speed import SpeedHistory
from seamline.kernel import kernel
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.project import Project, load_project
from seamline.schemas.states import apply_views
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.text import parse_views
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import make_shelves
from seamline.streaming.speed.compact import Link
from seamline.streaming.speed.epoch import Speed
from seamline.streaming.stream_plan import make_plan
from seamline.streaming.tasks import RECORDS, Task, Tasks

NOW = datetime(2026, 1, 2, tzinfo=UTC)

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: clicks
version: 1.0.0
status: active
schema:
  - name: clicks
    logicalType: object
    properties:
      - {{name: id, logicalType: string}}
      - {{name: ts, logicalType: timestamp}}
      - {{name: n, logicalType: {n}}}
    customProperties:
      - {{property: seamline.topic, value: {topic}}}
      - {{property: seamline.eventTime, value: ts}}
      - {{property: seamline.eventId, value: id}}
"""
VIEW = """\
CREATE MATERIALIZED VIEW {name} AS
SELECT time_bucket(INTERVAL '1 hour', ts) AS hour, count(*) AS events, sum(n) AS total FROM clicks GROUP BY ALL
"""


def contract(topic: str = "clicks", n: str = "integer", more: str = "") -> Contract:
    return parse_contract(CONTRACT.format(topic=topic, n=n) + more, "clicks.yaml")


def definition(of: Contract, name: str = "per_hour", text: str = VIEW) -> Definition:
    (view,) = parse_views(text.format(name=name), "views.sql")
    return compile_view(view, of)


def event(number: int, day: int = 1) -> bytes:
    return json.dumps({"id": str(number), "ts": f"2026-01-{day:02}T00:00:00Z", "n": number}).encode()


def records(
    values: Sequence[bytes], first: int = 0, partition: int = 0, source: str = "clicks@1", at: Sequence[datetime] = ()
) -> pa.Table:
    """Records like RECORDS, at these Kafka timestamps (or all at NOW)."""
    rows = len(values)
    times = list(at) or [NOW] * rows
    columns = [[source] * rows, [partition] * rows, list(range(first, first + rows)), times, [None] * rows]
    return pa.table([*columns, list(values)], schema=RECORDS)


def tasks(*tables: pa.Table) -> Tasks:
    """As Spark would: each table is one task's records."""

    def apply(task: Task[Any]) -> list[Any]:
        return [row for table in tables for row in task(table)]

    return apply


def memory_lake() -> Lake:
    """The ledger in memory, data files in a folder of the run."""
    return Lake(tempfile.mkdtemp(prefix="seamline-test-lake-"), MemoryStore())


def open_speed(lake: Lake, contracts: Sequence[Contract], clock: Clock = system_clock, **named: Any) -> Speed:
    """A new process, as it were: a claim, and what the ledger says."""
    live = named.pop("live", None) or [(definition(one), (one,)) for one in contracts]
    writer = Writer.take(lake.speed_log("main"), Claim(at=clock(), holder="test"))
    return Speed(lake, "main", writer, make_plan(contracts, live), clock=clock, **named)


def open_archive(
    lake: Lake, contracts: Sequence[Contract], live: Sequence[Contract] = (), clock: Clock = system_clock
) -> Archive:
    """A new process, as it were: a claim, what the ledger says, and tables restored to it."""
    writer = Writer.take(lake.archive_log("main"), Claim(at=clock(), holder="test"))
    return Archive(lake, "main", writer, make_shelves(contracts, live, "main"), clock=clock)


def link(first: int, last: int, start: Frontier, end: Frontier, listed: Iterable[str] = ("d",), level: int = 0) -> Link:
    """A segment without rows: an epoch, or what was put together of several."""
    given: dict[str, Any] = {"at": NOW, "claim": 1, "start": start, "end": end, "files": dict.fromkeys(listed)}
    if not level:
        return Link(first, last, Epoch(number=first, **given))
    return Link(first, last, Compacted(first=first, last=last, level=level, **given))


def answer(lake: Lake, of: Definition) -> list[dict[str, Any]]:
    """The view over every epoch that stands."""
    history = SpeedHistory(lake.speed_log("main"))
    listed = [epoch for epoch in history.epochs.values() if of.hash in epoch.files]
    paths = [file.path for epoch in listed if (file := epoch.file(of.hash)) is not None]
    return kernel_rows(lake, of.merge_and_finalise, {"partials": lake.read(paths)}) if paths else []


def kernel_rows(lake: Lake, statement: str, inputs: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lake.kernel().run(statement, inputs).to_pylist()
    return rows


def expected(of: Definition, values: Sequence[bytes], by: Contract) -> list[dict[str, Any]]:
    """The user's own SELECT over the distinct valid events."""
    from seamline.schemas.contracts.decode import decode_statement

    rows = kernel().run(decode_statement(by), {"records": records(values)})
    once = "SELECT DISTINCT ON (id, ts) * FROM decoded WHERE _reject IS NULL"
    events = kernel().run(once, {"decoded": rows})
    answered: list[dict[str, Any]] = kernel().run(of.select_over("events"), {"events": events}).to_pylist()
    return answered


def make_project(folder: Path, bootstrap: str, topic: str, partitions: int = 2) -> Project:
    """A project with one contract and one view, applied."""
    (folder / "contracts").mkdir(parents=True)
    (folder / "views").mkdir()
    (folder / "contracts" / "clicks.yaml").write_text(CONTRACT.format(topic=topic, n="integer"))
    (folder / "views" / "per_hour.sql").write_text(VIEW.format(name="per_hour"))
    (folder / "seamline.toml").write_text(
        f'[kafka]\nbootstrap_servers = "{bootstrap}"\npartitions = {partitions}\n[spark]\nmaster = "local[2]"\n'
        "[archive]\ntrigger_ms = 200\n"
    )
    project = load_project(folder)
    apply_views(project.lake, project.views, project.contracts, system_clock)
    return project


def produce(bootstrap: str, topic: str, values: Sequence[bytes], partition: int | None = None) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=bootstrap)
    try:
        for value in values:
            producer.send(topic, value=value, partition=partition)
        producer.flush()
    finally:
        producer.close()


@contextmanager
def running(run: Callable[..., None], project: Project, spark: Any) -> Iterator[list[BaseException]]:
    """A role in a thread of this process until the block ends; what it raised is in the list."""
    stop, raised = threading.Event(), list[BaseException]()

    def body() -> None:
        try:
            run(project, "main", spark=spark, stop=stop)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            raised.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield raised
    finally:
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def epochs(lake: Lake) -> list[Epoch]:
    history = SpeedHistory(lake.speed_log("main"))
    return [history.epochs[number] for number in sorted(history.epochs)]


def read_so_far(lake: Lake) -> int:
    return sum(counts.read for counts in SpeedHistory(lake.speed_log("main")).counts.values())
