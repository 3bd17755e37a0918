"""Each system: the process of its stream, started and killed, and its answers, asked the same way of all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import duckdb
from deltalake import DeltaTable
from kafka import KafkaConsumer, TopicPartition

from beside.mess import PROBE
from beside.truth import Answer, Group
from seamline.schemas.project import Project
from seamline.serving.serving import Serving

HERE = Path(__file__).parents[1]
TOPIC = "clicks"
OUT = "answers"
"""Where Flink puts its groups."""

PROBES = f"SELECT page, max(slowest) AS slowest FROM pages WHERE page LIKE '{PROBE}%' GROUP BY page"
GROUPS = "SELECT hour, page, clicks::BIGINT AS clicks, ms::BIGINT AS ms, slowest FROM pages"


def files(folder: Path) -> set[Path]:
    """All that is kept in it: no logs, no checksums beside a file, and nothing that is about to be renamed."""
    return {
        Path(where) / name
        for where, _, names in os.walk(folder)
        for name in names
        if not name.startswith(".") and "tmp" not in name and not name.endswith((".log", ".out"))
    }


class System(ABC):
    """One system over one topic. `folder`: all that its stream writes."""

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.streams = [self.started()]

    @abstractmethod
    def command(self) -> Sequence[str]:
        """What starts its stream."""

    @abstractmethod
    def catch_up(self) -> bool:
        """Whether there is something new to answer from."""

    @abstractmethod
    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """An answer from what was there at the last `catch_up`."""

    def files(self) -> set[Path]:
        """All that must outlive the process."""
        return files(self.folder)

    def started(self) -> subprocess.Popen[bytes]:
        """Its stream, in a process group of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "stream.out").open("ab") as out:
            return subprocess.Popen(
                self.command(), cwd=HERE, env=os.environ | {"PYTHONPATH": str(HERE)},
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """SIGKILL to the stream and all its processes."""
        os.killpg(self.streams[-1].pid, signal.SIGKILL)
        self.streams[-1].wait()

    def start_again(self) -> None:
        """As a supervisor does."""
        self.streams.append(self.started())

    def close(self) -> None:
        """Ends the stream."""
        if self.streams[-1].poll() is None:
            self.kill()

    def probes(self) -> dict[int, int]:
        """By partition, the newest probe in an answer."""
        return {int(str(page)[-1]): int(str(slowest)) for page, slowest in self.rows(PROBES)}

    def answer(self) -> Answer:
        """Every group."""
        return {(hour, page): (clicks, ms, slowest) for hour, page, clicks, ms, slowest in self.rows(GROUPS)}  # type: ignore[misc]


class Seamline(System):
    """The speed role and serving."""

    name = "Seamline"

    def __init__(self, folder: Path, project: Project) -> None:
        self.project = project
        super().__init__(folder)
        self.serving = Serving(project.lake, project.settings)

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "seamline", "run", "speed", "--project", str(self.project.folder)]

    def catch_up(self) -> bool:
        return self.serving.catch_up()

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        table = self.serving.query(sql).table
        return [tuple(row.values()) for row in table.to_pylist()]

    def files(self) -> set[Path]:
        return files(self.project.folder / "lake")

    def close(self) -> None:
        super().close()
        self.serving.close()


class SparkByHand(System):
    """A hand-written stream to a Delta table, which DuckDB reads. `way`: that of spark_stream.py."""

    delta: DeltaTable | None = None

    def __init__(self, folder: Path, bootstrap: str, way: str) -> None:
        self.name, self.way, self.bootstrap = f"Spark, {way}", way, bootstrap
        super().__init__(folder)
        self.table = str(folder / "pages")
        self.engine = duckdb.connect(config={"threads": 2})
        self.engine.execute("SET TimeZone = 'UTC'")

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "beside.spark_stream", self.bootstrap, TOPIC, str(self.folder), self.way]

    def catch_up(self) -> bool:
        before = self.delta.version() if self.delta else 0
        if self.delta:
            self.delta.update_incremental()
        elif DeltaTable.is_deltatable(self.table):
            self.delta = DeltaTable(self.table)
        if not self.delta or self.delta.version() == before:
            return False
        files = self.delta.file_uris()
        stored = f"SELECT * FROM read_parquet({files!r})"
        added = (
            "SELECT hour, page, sum(clicks) AS clicks, sum(ms) AS ms, max(slowest) AS slowest FROM stored GROUP BY ALL"
        )
        views = {"stored": stored, "pages": "FROM stored" if self.way == "watermark" else added}
        for name, text in views.items():
            self.engine.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {text}")
        return True

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        return list(self.engine.execute(sql).fetchall())


class Flink(System):
    """A hand-written stream to an upserted topic, whose newest values are kept in memory.

    `python`: one with apache-flink; `jar`: its Kafka connector.
    """

    name = "Flink"

    def __init__(self, folder: Path, bootstrap: str, python: str, jar: str) -> None:
        self.bootstrap, self.python, self.jar = bootstrap, python, jar
        super().__init__(folder)
        self.consumer = KafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=20)
        self.consumer.assign([TopicPartition(OUT, number) for number in range(2)])
        self.consumer.seek_to_beginning()
        self.held: dict[Group, tuple[int, int | None, int | None]] = {}

    def command(self) -> Sequence[str]:
        script = str(HERE / "beside" / "flink_stream.py")
        return [self.python, script, self.bootstrap, TOPIC, OUT, str(self.folder), self.jar]

    def catch_up(self) -> bool:
        found = [record for records in self.consumer.poll(timeout_ms=1).values() for record in records]
        for record in found:
            key, value = json.loads(record.key), json.loads(record.value)
            hour = datetime.fromisoformat(f"{key['hour']}:00:00+00:00")
            self.held[hour, key["page"]] = (value["clicks"], value["ms"], value["slowest"])
        return bool(found)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        raise NotImplementedError(f"Flink's groups are in no database here: {sql}")

    def probes(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for (_, page), (_, _, slowest) in self.held.items():
            if page and page.startswith(PROBE):
                found[int(page[-1])] = max(found.get(int(page[-1]), 0), slowest or 0)
        return found

    def answer(self) -> Answer:
        return dict(self.held)

    def close(self) -> None:
        super().close()
        self.consumer.close()
