"""A published view read by plain Spark: its Delta table and its Kafka topic, merged exactly. Seamline is not needed.

    spark-submit --packages io.delta:delta-spark_4.2_2.13:4.4.0,org.apache.spark:spark-sql-kafka-0-10_2.13:4.2.0 \\
        --conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension \\
        --conf spark.sql.catalog.spark_catalog=org.apache.spark.sql.delta.catalog.DeltaCatalog \\
        merge.py localhost:9092 shop.orders_by_hour

What each step relies on stands in docs/publishing.md.
"""

from __future__ import annotations

import json
import sys
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql.functions import col, expr, from_json, lit, max_by, struct
from pyspark.sql.types import StructType

MARKER = '"seamline"'
"""The key of markers."""

BEYOND = """exists(map_entries(reached), source -> exists(map_entries(source.value), at ->
    at.value > coalesce(try_element_at(try_element_at(cut, source.key), at.key), 0)))"""
"""Whether a frontier reaches further than the cut in any partition of any topic."""

FRONTIER = "map<string, map<string, bigint>>"


def kafka(spark: SparkSession, bootstrap: str, wanted: dict[str, list[int]], **options: str) -> DataFrame:
    """Committed records of some partitions."""
    reader = spark.read.format("kafka").option("kafka.bootstrap.servers", bootstrap)
    return (
        reader.option("assign", json.dumps(wanted))
        .option("kafka.isolation.level", "read_committed")
        .option("includeHeaders", "true")
        .options(**options)
        .load()
    )


def last_marker(spark: SparkSession, bootstrap: str, topic: str) -> dict[str, Any]:
    """1. The last marker: up to it table and topic make one answer."""
    records = kafka(spark, bootstrap, {topic: [0]}).where(col("key").cast("string") == MARKER)
    found = records.select(max_by(col("value").cast("string"), "offset")).first()
    if found is None or found[0] is None:
        raise SystemExit(f"nothing was published to {topic} yet")
    marker: dict[str, Any] = json.loads(found[0])
    return marker


def upserts(spark: SparkSession, bootstrap: str, topic: str, marker: dict[str, Any]) -> DataFrame:
    """3. and 4. Of each key the last row beyond the cut, or none: (key, value) as JSON texts."""
    ends = {str(partition): end for partition, end in enumerate(marker["ends"])}
    records = kafka(
        spark, bootstrap, {topic: [int(partition) for partition in ends]},
        startingOffsets="earliest", endingOffsets=json.dumps({topic: ends}),
    )  # fmt: skip
    header = expr("filter(headers, one -> one.key = 'seamline.reached')[0].value").cast("string")
    rows = records.where(col("key").cast("string") != MARKER).select(
        col("key").cast("string").alias("key"),
        col("value").cast("string").alias("value"),
        "offset",
        from_json(header, FRONTIER).alias("reached"),
        from_json(lit(json.dumps(marker["cut"])), FRONTIER).alias("cut"),
    )
    last = max_by(struct("value"), "offset").alias("last")  # in a struct: max_by passes over NULL
    return rows.where(BEYOND).groupBy("key").agg(last).select("key", "last.value")


def merged(spark: SparkSession, bootstrap: str, topic: str, schema: StructType | None = None) -> DataFrame:
    """The view as of the last marker. `schema`: its columns, while there is no table that says them."""
    marker = last_marker(spark, bootstrap, topic)
    if base := marker["base"]:  # 2.
        table = spark.read.format("delta").option("versionAsOf", base["version"]).load(base["table"])
    elif schema is not None:
        table = spark.createDataFrame([], schema)
    else:
        raise SystemExit("the view has no batch version yet: give its columns")
    keys = StructType([table.schema[name] for name in marker["keys"]])
    changed = upserts(spark, bootstrap, topic, marker).localCheckpoint()  # read once
    touched = changed.select(from_json("key", keys).alias("key")).select("key.*").alias("touched")
    same: Column = reduce(
        lambda one, other: one & other, (table[name].eqNullSafe(col(f"touched.{name}")) for name in keys.names)
    )
    rows = changed.where("value IS NOT NULL").select(from_json("value", table.schema).alias("row")).select("row.*")
    return table.join(touched, same, "left_anti").unionByName(rows)


if __name__ == "__main__":
    merged(SparkSession.builder.appName("merge").getOrCreate(), *sys.argv[1:3]).show(truncate=False)
