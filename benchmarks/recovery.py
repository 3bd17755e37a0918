"""How long until answers are fresh again after SIGKILL of the speed process, over a young and an old ledger.

The epochs are committed by the same code that the process runs, on records that stand in a real broker; then the real
process is started, killed with its JVM, and started again at once, as the supervisor does. The clock runs from the
kill until an answer covers a record that was sent after it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from figures import Cost, Figure, Size, cpu_seconds, median, ratios
from kafka import KafkaProducer
from lakes import CONTRACT, VIEW

from seamline.clock import system_clock
from seamline.entries.base import Claim
from seamline.frontier import Frontier, Partition
from seamline.ledger import Writer
from seamline.machine.broker import Broker
from seamline.machine.broker_settings import BrokerLog
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import BOOTSTRAP, Project, load_project
from seamline.schemas.states import apply_views
from seamline.serving.serving import Serving
from seamline.streaming.kafka import Cluster
from seamline.streaming.speed.epoch import Speed
from seamline.streaming.stream_plan import make_plan
from seamline.streaming.tasks import RECORDS, Row, Task

SIZES = {Size.SMALL: ((20, 500), 1), Size.WHOLE: ((100, 5_000), 3)}
"""Epochs in the ledger, kills of each."""
EACH = 20
"""Records of one epoch."""
TOPIC = "clicks"
DEADLINE = 180.0


def measure(size: Size) -> list[Figure]:
    """Seconds for each age, and the older over the younger."""
    ages, kills = SIZES[size]
    found = {}
    for epochs in ages:
        with tempfile.TemporaryDirectory() as folder:
            found[epochs] = median(_recoveries(Path(folder), epochs, kills))
    sizes = {"records an epoch": EACH, "kills": kills}
    young, old = ages
    name = "recovery after SIGKILL of speed"
    return [
        *(Figure(f"{name}, {n} epochs", cost.wall, "s", "", sizes, "at most 20") for n, cost in found.items()),
        *(Figure(f"{name}, {n} epochs, CPU", cost.cpu, "s", "", sizes) for n, cost in found.items()),
        *ratios(f"{name}, {old} epochs", found[old], found[young], f"{young} epochs", sizes, "near 1"),
    ]


def _recoveries(folder: Path, epochs: int, kills: int) -> list[Cost]:
    project = _project(folder)
    with Broker(project.state / "broker", BrokerLog(project.state / "broker.log")) as broker:
        (project.state / BOOTSTRAP).write_text(broker.bootstrap)
        Cluster(broker.bootstrap).create_missing([TOPIC], 1)
        apply_views(project.lake, project.views, project.contracts, system_clock)
        producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", linger_ms=5)
        age(project, broker.bootstrap, producer, epochs)
        serving, took = Serving(project.lake, project.settings), []
        process = _start(project)
        try:
            _fresh(serving, _send(producer, 1))
            for _ in range(kills):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                cpu, began = cpu_seconds(), time.monotonic()
                process = _start(project)
                _fresh(serving, _send(producer, 1))
                took.append(Cost(time.monotonic() - began, cpu_seconds() - cpu))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            serving.close()
            producer.close()
    return took


def _project(folder: Path) -> Project:
    for name, text in {"contracts/clicks.yaml": CONTRACT, "views/pages.sql": f"{VIEW};\n"}.items():
        (folder / name).parent.mkdir()
        (folder / name).write_text(text)
    (folder / "seamline.toml").write_text('[spark]\nmaster = "local[2]"\n')
    return load_project(folder)


def _value(number: int) -> bytes:
    at = datetime.now(UTC).isoformat()
    return f'{{"id": "{number}-{time.time_ns()}", "seen": "{at}", "page": "p{number % 50}", "ms": 5}}'.encode()


def _send(producer: KafkaProducer, count: int) -> int:
    """The offset after the last record sent."""
    futures = [producer.send(TOPIC, value=_value(n)) for n in range(count)]
    return max(int(future.get(60).offset) for future in futures) + 1


def _run(records: pa.Table, task: Task[Any]) -> Iterable[Row]:
    """One task of a micro-batch, here."""
    return task(records)


def age(project: Project, bootstrap: str, producer: KafkaProducer, epochs: int) -> None:
    """Commits epochs over records of the topic, without Spark."""
    values = [_value(n) for n in range(epochs * EACH)]
    for future in [producer.send(TOPIC, value=value) for value in values]:
        future.get(60)
    source = Cluster(bootstrap).topics([TOPIC])[TOPIC].source
    catalogue = Catalogue(project.lake)
    plan = make_plan(project.contracts.values(), [(d, catalogue.contracts(d.hash)) for d in catalogue.live("main")])
    writer = Writer.take(project.lake.speed_log("main"), Claim(at=system_clock(), holder="bench"))
    speed = Speed(project.lake, "main", writer, plan, origin=Frontier({Partition(source, 0): 0}))
    for first in range(0, len(values), EACH):
        records = _records(source, first, values[first : first + EACH])
        speed.run_batch(partial(_run, records))


def _records(source: str, first: int, values: list[bytes]) -> pa.Table:
    now = datetime.now(UTC)
    rows = [
        {"source": source, "partition": 0, "offset": first + n, "timestamp": now, "key": None, "value": value}
        for n, value in enumerate(values)
    ]
    return pa.Table.from_pylist(rows, schema=RECORDS)


def _start(project: Project) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "seamline", "run", "speed", "--project", str(project.folder)]
    with (project.state / "speed.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _fresh(serving: Serving, offset: int) -> None:
    """Returns once an answer covers every record below `offset`. Raises SystemExit after a deadline."""
    deadline = time.monotonic() + DEADLINE
    new = True
    while time.monotonic() < deadline:
        if new:
            answer = serving.query("SELECT sum(clicks) AS clicks FROM pages")
            reached = answer.provenance["pages"].reached
            if max((end for _, end in reached.items()), default=0) >= offset:
                return
        else:
            time.sleep(0.05)
        new = serving.catch_up()
    raise SystemExit(f"no answer covered offset {offset} within {DEADLINE:.0f} s")
