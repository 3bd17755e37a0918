"""The embedded broker: a real single-node Kafka (KRaft), formatted and started from its jars on this machine alone.

Its folder keeps everything: `cluster.json` (cluster id and ports), `server.properties`, `data/`, the logs. The
cluster id is chosen once and the data formatted once: later starts, of newer versions too, reuse both. Ports stay the
same from start to start while they are free. It listens on 127.0.0.1 only, and ends with the process that started it.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from seamline.errors import Condition, TransientError
from seamline.machine import process
from seamline.machine.broker_settings import JVM, LOG4J, PROPERTIES, BrokerLog, write_settings
from seamline.machine.class_archive import kafka_archive, making, sharing
from seamline.machine.jars import kafka_classpath
from seamline.machine.java import find_java

START_SECONDS = 60.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class BrokerState:
    """What a broker's folder remembers. `pid` and `born` name the last process started on it."""

    cluster_id: str
    port: int = 0
    controller_port: int = 0
    pid: int = 0
    born: float = 0.0


class Broker:
    """One embedded broker over one folder. `start` and `stop` may be called again and again; data stays.

    `archiving`: its Java writes the archive of its classes there as it ends, and uses none.
    """

    def __init__(
        self,
        folder: Path,
        log: BrokerLog | None = None,
        settings: dict[str, str] | None = None,
        archiving: Path | None = None,
    ) -> None:
        self.folder = folder.absolute()
        self._logs = log or BrokerLog(self.folder / "broker.log")
        self.log = self._logs.file.absolute()
        self._settings = settings or {}
        self._archiving = archiving
        self._cluster: BrokerState | None = None
        self._child: process.Child | None = None

    @property
    def bootstrap(self) -> str:
        """`127.0.0.1:port`; known once started."""
        if self._cluster is None:
            raise RuntimeError("the broker was not started")
        return f"127.0.0.1:{self._cluster.port}"

    @property
    def pid(self) -> int | None:
        """The JVM's process id while it runs."""
        return self._child.pid if self._child and self.is_running() else None

    @property
    def cluster_id(self) -> str:
        """The id the data was formatted with."""
        return self._load().cluster_id

    def is_running(self) -> bool:
        """Whether the process is there (not whether it answers)."""
        return self._child is not None and self._child.exit_code() is None

    def start(self, seconds: float = START_SECONDS) -> Broker:
        """Starts it unless it runs; returns when it answers a metadata request.

        Raises TransientError BROKER_UNAVAILABLE with the end of its log where it does not within `seconds`.
        """
        if self.is_running():
            return self
        self.folder.mkdir(parents=True, exist_ok=True)
        cluster = self._load()
        self._wait_for_predecessor(cluster)
        for attempt in range(3):
            cluster = self._with_ports(cluster, afresh=attempt > 0)
            ports = (cluster.port, cluster.controller_port)
            write_settings(self.folder, self._logs, ports, self._settings)
            self._format(cluster)
            self._launch(cluster)
            if process.until(lambda: not self.is_running() or self._answers(), seconds) and self.is_running():
                return self
            said = self._tail()
            self.kill()
            if "already in use" not in said:  # else someone took the port between our look and Kafka's bind
                break
        raise TransientError(
            Condition.BROKER_UNAVAILABLE,
            f"the embedded broker did not start: {said}",
            hint="see the log; `seamline doctor` checks memory, disk and ports",
            where=str(self.log),
        )

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ends it cleanly; by force after `seconds`. Returns when it is gone."""
        if self._child:
            self._child.terminate()
            self._child.wait(seconds)
            self.kill()

    def kill(self) -> None:
        """SIGKILL, as a machine that loses power. Returns when it is gone."""
        if self._child:
            self._child.clear()
            self._child = None

    def __enter__(self) -> Broker:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------ files

    def _load(self) -> BrokerState:
        file, formatted = self.folder / "cluster.json", self.folder / "data" / "meta.properties"
        if file.exists():
            return BrokerState(**json.loads(file.read_text()))
        kept = _property(formatted.read_text(), "cluster.id") if formatted.exists() else None
        cluster = BrokerState(kept or base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
        self._save(cluster)
        return cluster

    def _save(self, cluster: BrokerState) -> None:
        self._cluster = cluster
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "cluster.json.tmp"
        partial.write_text(json.dumps(asdict(cluster)))
        os.replace(partial, self.folder / "cluster.json")

    def _with_ports(self, cluster: BrokerState, *, afresh: bool) -> BrokerState:
        ports = (cluster.port, cluster.controller_port)
        if afresh or not all(ports) or not all(map(_is_free, ports)):
            ports = free_ports()
        return replace(cluster, port=ports[0], controller_port=ports[1])

    # ---------------------------------------------------------------- process

    def _java(self, *arguments: str, shared: Sequence[str]) -> list[str]:
        classpath = os.pathsep.join(map(str, kafka_classpath()))
        log4j = f"-Dlog4j2.configurationFile={self.folder / LOG4J}"
        return [str(find_java().binary), *JVM, *shared, log4j, "-cp", classpath, *arguments]

    def _format(self, cluster: BrokerState) -> None:
        if (self.folder / "data" / "meta.properties").exists():
            return
        told = ("format", f"--cluster-id={cluster.cluster_id}", "-c", str(self.folder / PROPERTIES))
        command = self._java("kafka.tools.StorageTool", *told, shared=sharing(kafka_archive()))
        child = process.start([*command, "--ignore-formatted"], log=self._output, fresh_log=True)
        child.wait(START_SECONDS)
        code = child.exit_code()
        child.clear()
        if code != 0:
            raise TransientError(
                Condition.BROKER_UNAVAILABLE, f"formatting failed ({code}): {self._tail()}", where=str(self.folder)
            )

    def _launch(self, cluster: BrokerState) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        shared = making(self._archiving) if self._archiving else sharing(kafka_archive())
        command = self._java("kafka.Kafka", str(self.folder / PROPERTIES), shared=shared)
        self._child = process.start(command, log=self._output, fresh_log=True)
        self._save(replace(cluster, pid=self._child.pid, born=process.born(self._child.pid)))

    def wait_for_predecessor(self) -> None:
        """Returns when the process that was last started on the folder is gone. Raises BROKER_UNAVAILABLE."""
        if (self.folder / "cluster.json").exists():
            self._wait_for_predecessor(self._load())

    def _wait_for_predecessor(self, cluster: BrokerState) -> None:
        """A broker whose parent died ends by itself within seconds; another one's is not ours to end."""

        def gone() -> bool:
            return not cluster.pid or process.born(cluster.pid) != cluster.born

        if not process.until(gone, process.ORPHAN_GRACE + 10):
            raise TransientError(
                Condition.BROKER_UNAVAILABLE,
                f"another broker (pid {cluster.pid}) runs over this folder",
                hint="stop the other `seamline up` of this project first",
                where=str(self.folder),
            )

    def _answers(self) -> bool:
        """Whether a metadata request names this very cluster and a broker that takes requests."""
        assert self._cluster is not None
        if _is_free(self._cluster.port):
            return False
        try:
            admin = KafkaAdminClient(bootstrap_servers=self.bootstrap, request_timeout_ms=5000)
            try:
                seen = admin.describe_cluster()
            finally:
                admin.close()
        except (KafkaError, OSError, AssertionError):
            return False
        return seen["cluster_id"] == self._cluster.cluster_id and bool(seen["brokers"])

    @property
    def _output(self) -> Path:
        """What the JVM prints itself: close to nothing, unless it cannot start."""
        return self.log.with_suffix(".out")

    def _tail(self) -> str:
        lines: list[str] = []
        for file in (self._output, self.log):
            if file.exists():
                lines += file.read_text(errors="replace").splitlines()[-200:]
        telling = [line for line in lines if "Exception" in line or "ERROR" in line or "FATAL" in line]
        return " | ".join((telling or lines)[-3:])[:1000] or "it said nothing"


def free_ports() -> tuple[int, int]:
    """Two ports that are free on 127.0.0.1 now, held together so that they differ."""
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _property(text: str, key: str) -> str | None:
    pairs: Iterable[tuple[str, str, str]] = (line.partition("=") for line in text.splitlines())
    return next((value.strip() for name, _, value in pairs if name.strip() == key), None)
