"""The stream that one would write by hand in Spark: a process of its own, started again from its checkpoint.

python -m beside.spark_stream BOOTSTRAP TOPIC FOLDER watermark|arrival

`watermark`: dropDuplicatesWithinWatermark by event id and an aggregate by hour and page, both under a watermark of
event time; each micro-batch's groups, as they are now, are merged into a Delta table. A batch that is written twice
writes the same.

`arrival`: dropDuplicatesWithinWatermark by event id under a watermark of Kafka's timestamps, so that late events stay;
each micro-batch's own groups are appended to a Delta table in one transaction with the batch's number, and a batch
whose number stands there is not written again. Whoever reads adds up. Small files go together every COMPACTED batches.

Both write by deltalake, which commits without a Spark job.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from seamline.sides.spark import session

DELAY = "1 hour"
"""Of both watermarks."""
COMPACTED = 100
APP = "byhand"
SCHEMA = pa.schema(
    [
        ("hour", pa.timestamp("us", "UTC")),
        ("page", pa.string()),
        ("clicks", pa.int64()),
        ("ms", pa.int64()),
        ("slowest", pa.int64()),
    ]
)
SETTINGS = {
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.memory": "2g",
    "spark.sql.streaming.minBatchesToRetain": "10",
    "spark.sql.streaming.stateStore.maintenanceInterval": "30s",
}
MAX_OFFSETS = "100000"
"""Of one micro-batch: a backlog is not taken in one bite."""


def read(spark: SparkSession, bootstrap: str, topic: str) -> DataFrame:
    """The topic, as a stream."""
    reader = spark.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", topic)
    reader = reader.option("startingOffsets", "earliest").option("maxOffsetsPerTrigger", MAX_OFFSETS)
    return reader.option("kafka.isolation.level", "read_committed").option("kafka.fetch.max.wait.ms", "20").load()


def valid(kafka: DataFrame) -> DataFrame:
    """The events whose records are as the contract says: whole, with what is required, and not of the future."""
    fields = "id STRING, seen TIMESTAMP, page STRING, ms BIGINT, broken STRING"
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "broken"}
    parsed = kafka.select(
        f.from_json(f.col("value").cast("string"), fields, options).alias("e"), f.col("timestamp").alias("arrived")
    )
    whole = parsed.select("e.*", "arrived").where("broken IS NULL AND id IS NOT NULL AND page IS NOT NULL")
    return whole.where("seen <= arrived + INTERVAL 1 DAY").drop("broken")


def grouped(events: DataFrame) -> DataFrame:
    """By hour and page."""
    hour = f.date_trunc("hour", "seen").alias("hour")
    counted = (f.count("*").alias("clicks"), f.sum("ms").alias("ms"), f.max("ms").alias("slowest"))
    return events.groupBy(hour, "page").agg(*counted)


def windowed(events: DataFrame) -> DataFrame:
    """The same in a window, which is what a watermark lets go of."""
    counted = (f.count("*").alias("clicks"), f.sum("ms").alias("ms"), f.max("ms").alias("slowest"))
    hours = events.groupBy(f.window("seen", "1 hour"), "page").agg(*counted)
    return hours.select(f.col("window.start").alias("hour"), "page", "clicks", "ms", "slowest")


def merge(table: str, rows: DataFrame, number: int) -> None:
    """Puts the groups, as they are now, over those that stand there."""
    groups = rows.toArrow().cast(SCHEMA)
    if groups.num_rows:
        merging = DeltaTable(table).merge(groups, "t.hour = s.hour AND t.page = s.page", "s", "t")
        merging.when_matched_update_all().when_not_matched_insert_all().execute()
    _tidy(table, number)


def append(table: str, rows: DataFrame, number: int) -> None:
    """Adds the batch's groups unless it has done so before."""
    groups, delta = grouped(rows).toArrow().cast(SCHEMA), DeltaTable(table)
    before = delta.transaction_version(APP)
    if groups.num_rows and (before is None or before < number):
        once = CommitProperties(app_transactions=[Transaction(APP, number)])
        write_deltalake(delta, groups, mode="append", commit_properties=once)
    _tidy(table, number)


def _tidy(table: str, number: int) -> None:
    if number % COMPACTED == COMPACTED - 1:
        delta = DeltaTable(table)
        delta.optimize.compact()
        delta.create_checkpoint()


def main(bootstrap: str, topic: str, folder: Path, way: str) -> None:
    """Runs until it is ended."""
    table = str(folder / "pages")
    if not DeltaTable.is_deltatable(table):
        DeltaTable.create(table, SCHEMA)
    spark = session("byhand", "local[2]", SETTINGS, log=folder / "spark.log")
    events, writes = valid(read(spark, bootstrap, topic)), merge if way == "watermark" else append
    if way == "watermark":
        rows = windowed(events.withWatermark("seen", DELAY).dropDuplicatesWithinWatermark(["id"]))
    else:
        rows = events.withWatermark("arrived", DELAY).dropDuplicatesWithinWatermark(["id"])

    def write(batch: Any, number: int) -> None:
        writes(table, batch, number)

    query = rows.writeStream.outputMode("update" if way == "watermark" else "append").foreachBatch(write)
    query.option("checkpointLocation", str(folder / "checkpoint")).trigger(processingTime="0 seconds").start()
    spark.streams.awaitAnyTermination()


if __name__ == "__main__":
    bootstrap, topic, folder, way = sys.argv[1:]
    main(bootstrap, topic, Path(folder), way)
