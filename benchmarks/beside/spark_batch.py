"""The batch side that one would write by hand in Spark: a process of its own, which may be killed and run again.

python -m beside.spark_batch BOOTSTRAP TOPIC FOLDER

First all that is new in the topic goes to a raw Delta table: a stream that ends where the topic ended when it began,
exactly once by its checkpoint. Then the groups are computed from all of raw, each event id once, and a Delta table of
them is overwritten in one commit. Its `cut` is the hour that lies a watermark's delay before the newest event: below it
an answer takes the batch's groups, from it on the stream's, as systems do that cut by event time.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyspark.sql import functions as f

from beside.spark_stream import DELAY, SETTINGS, grouped, read, valid
from seamline.sides.spark import session


def main(bootstrap: str, topic: str, folder: Path) -> None:
    """Runs to its end."""
    spark = session("byhand", "local[2]", SETTINGS, log=folder / "batch.log")
    raw, groups = str(folder / "raw"), str(folder / "batch")
    records = read(spark, bootstrap, topic).select("value", "timestamp", "partition", "offset")
    stream = records.writeStream.format("delta").option("checkpointLocation", str(folder / "raw-checkpoint"))
    stream.trigger(availableNow=True).start(raw).awaitTermination()
    events = valid(spark.read.format("delta").load(raw)).dropDuplicates(["id"])
    newest = events.agg(f.date_trunc("hour", f.max("seen") - f.expr(f"INTERVAL {DELAY}")).alias("cut"))
    rows = grouped(events).crossJoin(f.broadcast(newest)).coalesce(1)
    rows.write.format("delta").mode("overwrite").save(groups)
    spark.stop()


if __name__ == "__main__":
    bootstrap, topic, folder = sys.argv[1:]
    main(bootstrap, topic, Path(folder))
