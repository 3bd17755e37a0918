"""A full rebuild of one (hour, key) view from archived events, over DuckDB alone and over tuned Spark SQL.

All three read the same files, count each event once where the contract has an event id, and write the same groups as
Parquet. Spark SQL runs in a process of its own, since one has one JVM, and each goes by its own settings. Seamline does
more meanwhile: it counts what it read, rejected and left out, writes one file for each event
date so that a killed run goes on, audits the groups against the version served before, and publishes.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
from figures import Figure, Size, ratios, side_by_side
from lakes import GROUPS, Clicks

from seamline.history.batch import BatchHistory
from seamline.jobs.batch import Batch
from seamline.jobs.spark_runner import spark_runner
from seamline.sides.spark import session

CORES = 2
FAIR = {"spark.driver.memory": "4g", "spark.driver.extraJavaOptions": ""}
"""Spark SQL gets memory and both compilers of its JVM, of which Seamline uses the first alone."""
SIZES = {Size.SMALL: (1_000_000, (10, 50), 3), Size.WHOLE: (10_000_000, (10, 100), 5)}
"""Events, numbers of dates, rounds."""
FEW_DATES = 10
"""Up to so many, a date's statements cost much more than being asked."""
BARS = {
    (True, True): ("at most 1.5", "at most 0.25"),
    (True, False): ("at most 1.5", "at most 0.4"),
    (False, True): ("at most 1.5", "at most 0.2"),
    (False, False): ("at most 1.3", "at most 0.4"),
}
"""Over DuckDB and over Spark: of few dates or of many, with dedup or without."""


def measure(size: Size) -> list[Figure]:
    """Seconds, and ratios by clock and CPU, with and without dedup, for few and many dates."""
    events, all_dates, rounds = SIZES[size]
    spark = session("bench", f"local[{CORES}]")
    try:
        with _spark_sql() as sql:
            return [
                figure
                for dates in all_dates
                for dedup in (False, True)
                for figure in _measure(spark, sql, events, dates, rounds, dedup=dedup)
            ]
    finally:
        spark.stop()


@contextmanager
def _spark_sql() -> Iterator[Connection]:
    """A Spark SQL that is given (Delta table, query, folder) and says when it has written; its process is a child of
    this one, so its CPU time counts."""
    process = multiprocessing.get_context("spawn")
    here, there = process.Pipe()
    child = process.Process(target=_serve, args=(there,))
    child.start()
    try:
        yield here
    finally:
        here.send(None)
        child.join()


def _serve(pipe: Connection) -> None:
    spark = session("bench-sql", f"local[{CORES}]", FAIR)
    while (asked := pipe.recv()) is not None:
        table, query, out = asked
        spark.read.format("delta").load(table).createOrReplaceTempView("raw")
        spark.sql(query).write.mode("overwrite").parquet(out)
        pipe.send(True)
    spark.stop()


def _ask(sql: Connection, *asked: str) -> None:
    sql.send(asked)
    sql.recv()


def _measure(spark: Any, sql: Connection, events: int, dates: int, rounds: int, *, dedup: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        clicks = Clicks(Path(folder) / "lake", events // dates, dedup=dedup)
        clicks.send(dates)
        batch = Batch(clicks.lake, runner=spark_runner(spark))
        out = Path(folder) / "out"
        out.mkdir()
        alone = duckdb.connect(config={"threads": CORES})
        alone.execute("SET TimeZone = 'UTC'")
        by_duckdb = duckdb_text(clicks.files, out, dedup=dedup)
        by_spark = (clicks.lake.absolute(clicks.table), spark_text(dedup=dedup), f"{out}/spark")
        costs = side_by_side(
            {
                "seamline": lambda: batch.rebuild("pages"),
                "duckdb": lambda: alone.execute(by_duckdb),
                "spark": lambda: _ask(sql, *by_spark),
            },
            rounds,
        )
        check_equal(clicks, out)
    name = f"rebuild, {'dedup by event id' if dedup else 'no event id'}, {dates} dates"
    sizes: dict[str, float | int | str] = {"events": events, "dates": dates, "rounds": rounds}
    for who, cost in costs.items():
        sizes |= {f"{who}, s": round(cost.wall, 3), f"{who}, CPU s": round(cost.cpu, 3)}
    over_duckdb, over_spark = BARS[dates <= FEW_DATES, dedup]
    return [
        Figure(name, costs["seamline"].wall, "s", "", sizes),
        *ratios(name, costs["seamline"], costs["duckdb"], "DuckDB alone", sizes, over_duckdb),
        *ratios(name, costs["seamline"], costs["spark"], "Spark SQL", sizes, over_spark),
    ]


def duckdb_text(files: list[str], out: Path, *, dedup: bool) -> str:
    """What one would write in DuckDB."""
    source = f"read_parquet({files!r})"
    events = f"(SELECT DISTINCT ON (id, seen) * FROM {source})" if dedup else source
    groups = GROUPS.format(bucket="time_bucket(INTERVAL '1 hour', seen)")
    return f"COPY ({groups} FROM {events} GROUP BY ALL) TO '{out}/duckdb.parquet' (FORMAT parquet, COMPRESSION zstd)"


def spark_text(*, dedup: bool) -> str:
    """What one would write in Spark SQL: adaptive, a partition a core, columnar reads, and no window.

    One hash aggregate for each event is what dropDuplicates plans, and quicker than row_number over a sort.
    """
    events = "SELECT first(page) AS page, first(ms) AS ms, seen FROM raw WHERE _reject IS NULL GROUP BY id, seen"
    groups = GROUPS.format(bucket="date_trunc('hour', seen)")
    return f"{groups} FROM ({events if dedup else 'SELECT * FROM raw WHERE _reject IS NULL'}) GROUP BY 1, 2"


def check_equal(clicks: Clicks, out: Path) -> None:
    """All three gave the same groups. Raises SystemExit."""
    history = BatchHistory(clicks.lake.batch_log(clicks.definition.hash))
    files = [clicks.lake.absolute(f.path) for unit in history.files(max(history.versions)).values() for f in unit]
    digest = "count(*), sum(clicks)::BIGINT, sum(ms)::BIGINT, sum(hash(page, clicks, ms::BIGINT, slowest))"
    found = {
        str(source): duckdb.execute(f"SELECT {digest} FROM read_parquet({source!r})").fetchall()
        for source in (files, f"{out}/duckdb.parquet", f"{out}/spark/*.parquet")
    }
    if len({str(rows) for rows in found.values()}) != 1:
        raise SystemExit(f"the three do not agree: {list(found.values())}")
