"""Rebuild time of one (hour, key) view from archived events, against DuckDB alone and plain Spark SQL, in one run.

    python benchmarks/rebuild.py [--events 2000000] [--dates 10] [--rounds 3]

The events are written as a raw Delta table as the archive writes it. Each round times the three side by side, warm;
the figures are medians. All three read the same files, drop duplicates by event id and time, and give the same groups.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
from deltalake import DeltaTable, write_deltalake

from seamline.clock import system_clock
from seamline.entries import Archived, Claim, Epoch
from seamline.frontier import START, Frontier, Partition, topic_source
from seamline.jobs.batch import Batch
from seamline.jobs.spark import spark_runner
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.schemas.catalogue import Catalogue, apply_views
from seamline.schemas.contracts import Contract, parse_contract
from seamline.schemas.views import parse_views
from seamline.spark import session

SOURCE = topic_source("clicks", "bench")
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: clicks
version: 1.0.0
status: active
schema:
  - name: clicks
    properties:
      - {name: id, logicalType: string, required: true}
      - {name: seen, logicalType: timestamp, required: true}
      - {name: page, logicalType: string, required: true}
      - {name: ms, logicalType: integer}
customProperties:
  - {property: seamline.eventTime, value: seen}
  - {property: seamline.eventId, value: id}
  - {property: seamline.topic, value: clicks}
"""
VIEW = """CREATE MATERIALIZED VIEW pages AS
SELECT time_bucket(INTERVAL '1 hour', seen) AS hour, page, count(*) AS clicks, sum(ms) AS ms, max(ms) AS slowest
FROM clicks GROUP BY ALL"""


def write_raw(lake: Lake, contract: Contract, events: int, dates: int) -> str:
    """A raw table of `events` rows over `dates` dates; 1 in 100 is a copy."""
    table = lake.raw_path(contract.name, contract.layout)
    each = events // dates
    kept = "(CASE WHEN i % 100 = 99 THEN i - 1 ELSE i END)"
    for n in range(dates):
        day = date(2026, 1, 1) + timedelta(days=n)
        rows = duckdb.sql(
            f"SELECT '{SOURCE}' AS _source, 0::INTEGER AS _partition, (i + {n * each})::BIGINT AS _offset,"
            f" TIMESTAMPTZ '{day} 00:00:00+00' + to_milliseconds((i * 86400000 // {each})::BIGINT) AS _timestamp,"
            " NULL::BLOB AS _key, ('{\"id\":\"' || i || '\"}')::BLOB AS _value,"
            f" '{contract.decoding}' AS _contract_version, NULL::VARCHAR AS _reject, DATE '{day}' AS _event_date,"
            f" '{n}-' || {kept} AS id,"
            f" TIMESTAMPTZ '{day} 00:00:00+00' + to_milliseconds(({kept} * 86400000 // {each})::BIGINT) AS seen,"
            f" 'page' || (hash(i) % {max(1, each // 200)}) AS page, (hash(i, 1) % 5000)::BIGINT AS ms"
            f" FROM range({each}) r(i)"
        ).to_arrow_table()
        write_deltalake(lake.absolute(table), rows, mode="append", partition_by=["_event_date"])
    return table


def ledger(lake: Lake, contract: Contract, table: str, events: int, dates: int) -> None:
    """One epoch and one archive entry over all of it: what a batch run needs to find a cut."""
    now, end = datetime.now(UTC), Frontier({Partition(SOURCE, 0): events})
    (definition,) = Catalogue(lake).live("main")
    speed = Writer.take(lake.speed_log("main"), Claim(at=now, holder="bench"))
    speed.put(
        Epoch(at=now, number=1, claim=speed.claim, start=START, end=end, files={definition.hash: None},
              decodings=(contract.decoding,))
    )  # fmt: skip
    archive = Writer.take(lake.archive_log("main"), Claim(at=now, holder="bench"))
    days = tuple(date(2026, 1, 1) + timedelta(days=n) for n in range(dates))
    version = DeltaTable(lake.absolute(table)).version()
    archive.put(
        Archived(at=now, claim=archive.claim, start=START, end=end, tables={table: version}, dates={table: days})
    )


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--dates", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake, contract = Lake.open(folder), parse_contract(CONTRACT, "clicks.yaml")
        apply_views(lake, {v.name: v for v in parse_views(VIEW, "pages.sql")}, {"clicks": contract}, system_clock)
        table = write_raw(lake, contract, asked.events, asked.dates)
        ledger(lake, contract, table, asked.events, asked.dates)
        files = DeltaTable(lake.absolute(table)).file_uris()
        spark = session("bench", "local[2]")
        batch = Batch(lake, runner=spark_runner(spark))
        out = Path(folder) / "out"
        out.mkdir()
        select = (
            "SELECT {bucket} AS hour, page, count(*) AS clicks, sum(ms) AS ms, max(ms) AS slowest FROM ({events})"
            " GROUP BY 1, 2"
        )
        plain = duckdb.connect(config={"threads": 2})
        plain.execute("SET TimeZone = 'UTC'")
        distinct = f"SELECT DISTINCT ON (id, seen) * FROM read_parquet({files!r})"
        alone = select.format(bucket="time_bucket(INTERVAL '1 hour', seen)", events=distinct)
        spark.read.format("delta").load(lake.absolute(table)).createOrReplaceTempView("raw")
        by_spark = select.format(
            bucket="date_trunc('hour', seen)", events="SELECT * FROM (SELECT *, row_number() OVER ("
            "PARTITION BY id, seen ORDER BY _partition, _offset) AS n FROM raw WHERE _reject IS NULL) WHERE n = 1"
        )  # fmt: skip
        runs: dict[str, list[float]] = {"seamline": [], "duckdb": [], "spark": []}
        for _ in range(asked.rounds + 1):
            runs["seamline"].append(timed(lambda: batch.rebuild("pages")))
            runs["duckdb"].append(timed(lambda: plain.execute(f"COPY ({alone}) TO '{out}/d.parquet' (FORMAT parquet)")))
            runs["spark"].append(timed(lambda: spark.sql(by_spark).write.mode("overwrite").parquet(f"{out}/spark")))
        spark.stop()
    medians = {name: statistics.median(times[1:]) for name, times in runs.items()}
    print(f"{asked.events:,} events, {asked.dates} dates, dedup by event id, median of {asked.rounds} warm rounds")
    for name, seconds in medians.items():
        ratio = medians["seamline"] / seconds
        print(f"{name:10} {seconds:8.2f} s   rebuild / this = {ratio:5.2f}")


if __name__ == "__main__":
    main()
