"""What sketches cost: made by a rebuild beside Spark's own, merged, held in memory, and not paid for where not asked.

The view has six of them; Spark makes the nearest of its own (HLL and theta sketches of DataSketches, KLL, its
approx_top_k), in one hand-written query over the same files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from figures import Figure, Size, ratios, side_by_side, timed
from lakes import Clicks
from rebuild import CORES, FAIR

from seamline.jobs.batch import Batch
from seamline.jobs.spark import spark_runner
from seamline.kernel import Limits, kernel, quote
from seamline.schemas.algebra import ALGEBRA, Call
from seamline.schemas.algebra.forms import evaluated, fill
from seamline.spark import session

SIZES = {Size.SMALL: (1_000_000, 10, 3), Size.WHOLE: (10_000_000, 10, 5)}
"""Events, dates, rounds."""
SKETCHES = (
    "approx_count_distinct(id) AS ids",
    "approx_count_distinct(ms % 1000) AS tastes",
    "approx_quantile(ms, [0.5, 0.9, 0.99]) AS waits",
    "approx_quantile(ms * 1.5, 0.5) AS middle",
    "approx_top_k(ms % 20, 5) AS top",
    "theta_sketch_agg(id) AS readers",
)
VIEW = f"""CREATE MATERIALIZED VIEW pages AS
SELECT time_bucket(INTERVAL '1 hour', seen) AS hour, page, count(*) AS clicks, {", ".join(SKETCHES)}
FROM clicks GROUP BY ALL"""
BY_SPARK = """SELECT date_trunc('hour', seen) AS hour, page, count(*) AS clicks, hll_sketch_agg(id, 12) AS ids,
  hll_sketch_agg(ms % 1000, 12) AS tastes, kll_sketch_agg_bigint(ms) AS waits,
  kll_sketch_agg_double(CAST(ms * 1.5 AS DOUBLE)) AS middle, approx_top_k_accumulate(ms % 20, 1000) AS top,
  theta_sketch_agg(id, 12) AS readers FROM raw WHERE _reject IS NULL GROUP BY 1, 2"""
MERGED = 100_000
"""Partial rows that each kind merges, of a tenth as many groups."""
GROUPS = {Size.SMALL: 100_000, Size.WHOLE: 1_000_000}
"""Live groups held in memory, each with two distinct counts."""


def measure(size: Size) -> list[Figure]:
    """Rebuild over Spark, merging, memory, and a query that asks for no sketch."""
    events, dates, rounds = SIZES[size]
    spark = session("bench", f"local[{CORES}]", FAIR)
    try:
        return [*_rebuild(spark, events, dates, rounds), *_merging(), *_memory(GROUPS[size])]
    finally:
        spark.stop()


def _rebuild(spark: Any, events: int, dates: int, rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        clicks = Clicks(Path(folder) / "lake", events // dates, dedup=False, view=VIEW)
        clicks.send(dates)
        batch = Batch(clicks.lake, runner=spark_runner(spark))
        spark.read.format("delta").load(clicks.lake.absolute(clicks.table)).createOrReplaceTempView("raw")
        costs = side_by_side(
            {
                "seamline": lambda: batch.rebuild("pages"),
                "spark": lambda: spark.sql(BY_SPARK).write.mode("overwrite").parquet(f"{folder}/spark"),
            },
            rounds,
        )
    sizes: dict[str, float | int | str] = {"events": events, "dates": dates, "rounds": rounds, "sketches": 6}
    name = "rebuild of six sketches"
    yield Figure(name, costs["seamline"].wall, "s", "", sizes)
    yield from ratios(name, costs["seamline"], costs["spark"], "Spark's own sketches", sizes, "at most 1.2")


def _merging() -> Iterator[Figure]:
    """Seconds to merge MERGED partial rows, ten a group and ten events each, for every entry that keeps more than
    plain numbers."""
    engine = kernel(Limits(memory="4GB", threads=CORES))
    for entry in ALGEBRA.values():
        texts = entry.tried[-1]
        form = entry.form(Call(("BIGINT",) * entry.arguments, evaluated(texts), texts))
        if form is None or not any("[]" in part.stored or "STRUCT" in part.stored for part in form.parts):
            continue
        at = "{'t': to_timestamp(i), 's': 's', 'p': 0, 'o': i}"
        values = {"x": "x", "y": "y", "filter": "", "where": "true", "at": at}
        made = ", ".join(f"{fill(p.partial, values)} AS {quote('c' + p.suffix)}" for p in form.parts)
        merged = ", ".join(
            f"{fill(p.merge, {'c': quote('c' + p.suffix)})} AS {quote('c' + p.suffix)}" for p in form.parts
        )
        events = (
            f"SELECT i % {MERGED // 10} AS k, i // {MERGED} AS part, i, (hash(i) % 100)::BIGINT AS x, i AS y"
            f" FROM range({MERGED * 10}) r(i)"
        )
        partials = engine.run(f"SELECT k, {made} FROM ({events}) AS events GROUP BY k, part")
        cost = timed(lambda p=partials, m=merged: engine.run(f"SELECT k, {m} FROM p GROUP BY k", {"p": p}))  # type: ignore[misc]
        yield Figure(f"merging 100,000 partial rows, {entry.signature}", cost.wall, "s", "", {"groups": MERGED // 10})


def _memory(groups: int) -> Iterator[Figure]:
    """Bytes of partial rows as serving holds them: two distinct counts a group, mostly small."""
    form = ALGEBRA["approx_count_distinct"].form(Call(("BIGINT",)))
    assert form is not None
    (part,) = form.parts
    columns = [
        f"{fill(part.partial, {'x': x, 'where': 'true', 'filter': ''})} AS {name}"
        for name, x in (("a", "x"), ("b", "y"))
    ]
    # one group in a thousand has 2,000 values, the others three or four
    events = (
        f"SELECT CASE WHEN i % 4 = 0 AND i < {groups * 2} THEN i % {max(1, groups // 1000)} ELSE i % {groups} END AS k,"
        f" i AS x, i // 2 AS y FROM range({groups * 4}) r(i)"
    )
    engine = kernel(Limits(memory="8GB", threads=CORES))
    held: pa.Table = engine.run(f"SELECT k, {', '.join(columns)} FROM ({events}) AS events GROUP BY k")
    yield Figure(
        "memory of live groups with two distinct counts", held.nbytes / 2**20, "MiB", "",
        {"groups": groups}, "at most 1,024 MiB for 1,000,000",
    )  # fmt: skip
