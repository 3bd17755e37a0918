"""What the embedded broker is told: a laptop's JVM, one node that replicates nothing, and a log that does not grow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROPERTIES, LOG4J = "server.properties", "log4j2.properties"
"""The files in a broker's folder that say so."""

JVM = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # a laptop's broker: no core is spent on compiling it twice
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
)

SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # one node: nothing can be replicated
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # a laptop: few files, few threads, no waiting for members that never come
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    # one that was killed may not register again until its old session ends: 9 s by default
    "broker.session.timeout.ms": "5000",
    "broker.heartbeat.interval.ms": "1000",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
    # what is archived may be deleted by hand; nothing expires by itself, and no topic appears by a misspelling
    "log.retention.ms": "-1",
    "log.retention.bytes": "-1",
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(16 << 20),
    "replica.fetch.max.bytes": str(16 << 20),
}

LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = file
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %c{{1}}: %m%n
appender.file.policies.type = SizeBasedTriggeringPolicy
appender.file.policies.size = {most}
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = {keep}
"""


@dataclass(frozen=True)
class BrokerLog:
    """Where the broker logs, and how much of it is kept."""

    file: Path
    most: int = 10 << 20
    """Bytes after which a new file is begun."""

    keep: int = 3
    """Full ones that are kept. (One at least: that is all its logger knows.)"""


def retained(hours: int) -> dict[str, str]:
    """Settings for so many hours; 0: for ever."""
    return {"log.retention.ms": str(hours * 3_600_000)} if hours else {}


def write_settings(folder: Path, log: BrokerLog, ports: tuple[int, int], more: Mapping[str, str]) -> None:
    """Writes both files for the ports of clients and of the controller; `more` settings win."""
    client, controller = (f"127.0.0.1:{port}" for port in ports)
    settings = {
        **SETTINGS,
        "log.dirs": str(folder / "data"),
        "listeners": f"PLAINTEXT://{client},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{client}",
        "controller.quorum.voters": f"1@{controller}",
        **more,
    }
    lines = (f"{key}={_escape(value)}\n" for key, value in settings.items())
    (folder / PROPERTIES).write_text("".join(lines))
    (folder / LOG4J).write_text(LOGGING.format(log=_escape(str(log.file)), most=log.most, keep=max(1, log.keep)))


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\")
