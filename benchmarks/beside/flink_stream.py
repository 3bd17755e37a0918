"""The stream that one would write by hand in Flink SQL, from Kafka to an upserted topic: a process of its own.

python beside/flink_stream.py BOOTSTRAP TOPIC OUT FOLDER JAR     with a Python that has apache-flink

Each id's first record counts (ROW_NUMBER by time of processing), groups are not in windows, and so nothing is too late;
state is forgotten after two hours. A number is read as text, as a bad one would be NULL otherwise, and tried.
Started again, it goes on from its newest complete checkpoint; what it writes twice writes the same.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyflink.common import Configuration  # type: ignore[import-not-found]  # in an environment of its own
from pyflink.table import EnvironmentSettings, TableEnvironment  # type: ignore[import-not-found]

SETTINGS = {
    "parallelism.default": "2",
    "execution.checkpointing.interval": "1 s",
    "execution.checkpointing.mode": "EXACTLY_ONCE",
    "execution.checkpointing.num-retained": "2",
    "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
    "state.backend.type": "hashmap",
    "table.exec.state.ttl": "2 h",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "50 ms",
    "table.exec.mini-batch.size": "5000",
    "table.local-time-zone": "UTC",
    "table.exec.sink.upsert-materialize": "NONE",
}

SOURCE = """CREATE TABLE clicks (id STRING, seen STRING, page STRING, ms STRING,
  arrived TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL, now_at AS PROCTIME())
WITH ('connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{bootstrap}',
  'properties.isolation.level' = 'read_committed', 'properties.fetch.max.wait.ms' = '20',
  'scan.startup.mode' = 'earliest-offset', 'format' = 'json', 'json.ignore-parse-errors' = 'true')"""

SINK = """CREATE TABLE pages (`hour` STRING, page STRING, clicks BIGINT, ms BIGINT, slowest BIGINT,
  PRIMARY KEY (`hour`, page) NOT ENFORCED)
WITH ('connector' = 'upsert-kafka', 'topic' = '{out}', 'properties.bootstrap.servers' = '{bootstrap}',
  'properties.linger.ms' = '2', 'key.format' = 'json', 'value.format' = 'json')"""

VIEW = """INSERT INTO pages
SELECT SUBSTRING(seen, 1, 13) AS `hour`, page, COUNT(*), SUM(TRY_CAST(ms AS BIGINT)), MAX(TRY_CAST(ms AS BIGINT))
FROM (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY now_at ASC) AS place FROM (
    SELECT *, TRY_CAST(REPLACE(REPLACE(seen, 'T', ' '), 'Z', '') AS TIMESTAMP(3)) AS seen_at FROM clicks)
  WHERE id IS NOT NULL AND page IS NOT NULL AND (ms IS NULL OR TRY_CAST(ms AS BIGINT) IS NOT NULL)
    AND seen_at <= CAST(arrived AS TIMESTAMP(3)) + INTERVAL '1' DAY)
WHERE place = 1 GROUP BY SUBSTRING(seen, 1, 13), page"""


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that is complete: the one that says so of itself last."""
    found = sorted(folder.glob("*/chk-*/_metadata"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None


def main(bootstrap: str, topic: str, out: str, folder: Path, jar: str) -> None:
    """Runs until it is ended."""
    settings = SETTINGS | {"pipeline.jars": f"file://{jar}", "execution.checkpointing.dir": f"file://{folder}"}
    if before := newest(folder):
        settings["execution.state-recovery.path"] = f"file://{before}"
    configuration = Configuration()
    for key, value in settings.items():
        configuration.set_string(key, value)
    chosen = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(configuration).build()
    tables = TableEnvironment.create(chosen)
    tables.execute_sql(SOURCE.format(topic=topic, bootstrap=bootstrap))
    tables.execute_sql(SINK.format(out=out, bootstrap=bootstrap))
    tables.execute_sql(VIEW).wait()


if __name__ == "__main__":
    bootstrap, topic, out, folder, jar = sys.argv[1:]
    main(bootstrap, topic, out, Path(folder), jar)
