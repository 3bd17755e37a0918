"""Makes the archives that let a broker and Spark start in half the time, by one small run of both.

What such a run loads is what a role loads: a topic is read by a stream, and its records go through a Python worker.
Some 25 s, once for each Java and release.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock
from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic
from pyspark import SparkContext
from pyspark.sql import SparkSession

from seamline.errors import Condition, TransientError
from seamline.machine.broker import Broker
from seamline.machine.class_archive import kafka_archive, making, spark_archive
from seamline.private import made
from seamline.sides.spark import LAPTOP, session

TOPIC = "classes"
JAVA_OPTIONS = "spark.driver.extraJavaOptions"

ENDS_WITHIN = 120.0
"""Seconds that a JVM may take to write its archive as it ends."""

KEPT = 8
"""Archives, those that were asked for last: of other releases and Javas, too, which take 150 MB each."""


def ensure_archives() -> tuple[Path, Path]:
    """Makes what is missing; safe to call from several processes. Raises TransientError PROCESS_FAILED where a JVM
    writes none, and what a broker or Spark raises that does not start."""
    targets = kafka_archive(), spark_archive()
    folder = made(targets[0].parent)
    with FileLock(folder / ".lock"):
        missing = [target for target in targets if not target.exists()]
        for target in {*targets} - {*missing}:
            target.touch()
        if missing:
            with tempfile.TemporaryDirectory(prefix=".training-", dir=folder) as aside:
                _train(Path(aside), missing)
                _put(Path(aside), missing)
    return targets


def _train(aside: Path, missing: Sequence[Path]) -> None:
    """One run of both; what is missing is written into the folder as they end."""
    kafka, spark = (aside / target.name if target in missing else None for target in (kafka_archive(), spark_archive()))
    running = Broker(aside / "broker", archiving=kafka)
    try:
        bootstrap = running.start().bootstrap
        if spark is not None:
            _stream(bootstrap, aside, spark)
    finally:
        running.stop(ENDS_WITHIN)


def _stream(bootstrap: str, aside: Path, archive: Path) -> None:
    """A topic with a record, read by a stream whose batch goes through a worker."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(TOPIC, 1, 1)], wait_for_metadata=True)
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    producer.send(TOPIC, value=b"{}").get(ENDS_WITHIN)
    producer.close()
    options = " ".join([LAPTOP[JAVA_OPTIONS], *making(archive)])
    spark = session("seamline-classes", "local[2]", {JAVA_OPTIONS: options}, log=aside / "spark.log")
    try:
        _read(spark, bootstrap)
    finally:
        _end(spark)


def _read(spark: SparkSession, bootstrap: str) -> None:
    given = {"kafka.bootstrap.servers": bootstrap, "subscribe": TOPIC, "startingOffsets": "earliest"}
    frame = spark.readStream.format("kafka").options(**given).load().selectExpr("offset")

    def batch(rows: object, _: int) -> None:
        rows.mapInArrow(lambda batches: batches, "offset long").collect()  # type: ignore[attr-defined]

    frame.writeStream.foreachBatch(batch).trigger(availableNow=True).start().awaitTermination()


def _end(spark: SparkSession) -> None:
    """Spark's JVM ends as the pipe to it closes, and writes its archive."""
    jvm = SparkContext._gateway.proc  # type: ignore[union-attr]
    spark.stop()
    jvm.stdin.close()
    jvm.wait(ENDS_WITHIN)


def _put(aside: Path, missing: Sequence[Path]) -> None:
    for target in missing:
        fresh = aside / target.name
        if not fresh.exists():
            raise TransientError(
                Condition.PROCESS_FAILED,
                f"Java has written no archive of its classes for {target.name.partition('-')[0]}",
                hint="all works without one; starts take twice as long",
            )
        os.replace(fresh, target)
    old = sorted(missing[0].parent.glob("*.jsa"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in old[KEPT:]:
        file.unlink(missing_ok=True)
