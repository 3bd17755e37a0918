"""What sketches cost: made by a rebuild beside Spark's own, merged, held in memory, and not paid for where not asked.

The view has six of them; Spark makes the nearest of its own, of like precision (HLL and theta sketches of DataSketches
with 4,096 entries, KLL, approx_top_k with 1,000 counters), in one hand-written query over the same files, to Parquet.
Once by hour and page, some eight events a group, and once by hour alone, where sketches are full.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from figures import Figure, Size, ratios, side_by_side, timed
from lakes import Clicks
from rebuild import CORES, FAIR

from seamline.config import KernelSection, Settings
from seamline.history.batch import BatchHistory
from seamline.jobs.batch import Batch
from seamline.jobs.spark_runner import spark_runner
from seamline.kernel import Limits, kernel, quote
from seamline.schemas.algebra import ALGEBRA, Call
from seamline.schemas.algebra.forms import evaluated, fill
from seamline.serving.serving import Serving
from seamline.sides.spark import session

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
VIEW = """CREATE MATERIALIZED VIEW pages AS
SELECT time_bucket(INTERVAL '1 hour', seen) AS hour{keys}, count(*) AS clicks, sum(ms) AS ms, {sketches}
FROM clicks GROUP BY ALL"""
BY_SPARK = """SELECT date_trunc('hour', seen) AS hour{keys}, count(*) AS clicks, sum(ms) AS ms,
  hll_sketch_agg(id, 12) AS ids, hll_sketch_agg(ms % 1000, 12) AS tastes, kll_sketch_agg_bigint(ms) AS waits,
  kll_sketch_agg_double(CAST(ms * 1.5 AS DOUBLE)) AS middle, approx_top_k_accumulate(ms % 20, 1000) AS top,
  theta_sketch_agg(id, 12) AS readers FROM raw WHERE _reject IS NULL GROUP BY ALL"""
SHAPES = {"small groups": ", page", "large groups": ""}
"""The keys after the hour."""
TUNED = {"spark.sql.objectHashAggregate.sortBased.fallbackThreshold": "1000"}
"""By default Spark sorts once a task has 128 groups of such aggregates, which costs it a tenth where groups are few and
large; where they are many and small, sorting is what suits it: hashing 12,000 of them takes it nearly twice the CPU."""
MERGED = 100_000
"""Partial rows that each kind merges, of a tenth as many groups."""
GROUPS = {Size.SMALL: 100_000, Size.WHOLE: 1_000_000}
"""Live groups held in memory, each with two distinct counts."""
QUESTIONS = 20
"""Times that a question is asked in one round: by CPU, one alone is too short to tell."""


def measure(size: Size) -> list[Figure]:
    """Rebuild over Spark, merging, memory, and a query that asks for no sketch."""
    events, dates, rounds = SIZES[size]
    spark = session("bench", f"local[{CORES}]", {**FAIR, **TUNED})
    try:
        rebuilt = [figure for shape in SHAPES for figure in _rebuild(spark, shape, events, dates, rounds)]
    finally:
        spark.stop()
    return [*rebuilt, *_unasked(events, dates), *_merging(), *_memory(GROUPS[size])]


def _view(keys: str, *sketches: str) -> str:
    return VIEW.format(keys=keys, sketches=", ".join(sketches))


def _rebuild(spark: Any, shape: str, events: int, dates: int, rounds: int) -> Iterator[Figure]:
    by_spark = BY_SPARK.format(keys=SHAPES[shape])
    with tempfile.TemporaryDirectory() as folder:
        clicks = Clicks(Path(folder) / "lake", events // dates, dedup=False, view=_view(SHAPES[shape], *SKETCHES))
        clicks.send(dates)
        batch = Batch(clicks.lake, runner=spark_runner(spark))
        spark.read.format("delta").load(clicks.lake.absolute(clicks.table)).createOrReplaceTempView("raw")
        costs = side_by_side(
            {
                "seamline": lambda: batch.rebuild("pages"),
                "spark": lambda: spark.sql(by_spark).write.mode("overwrite").parquet(f"{folder}/spark"),
            },
            rounds,
        )
        groups = check_equal(clicks, folder)
    sizes: dict[str, float | int | str] = {"events": events, "dates": dates, "rounds": rounds, "groups": groups}
    for who, cost in costs.items():
        sizes |= {f"{who}, s": round(cost.wall, 3), f"{who}, CPU s": round(cost.cpu, 3)}
    name = f"rebuild of six sketches, {shape}"
    yield Figure(name, costs["seamline"].wall, "s", "", sizes)
    yield from ratios(name, costs["seamline"], costs["spark"], "Spark's own sketches", sizes, "at most 1.2")


def check_equal(clicks: Clicks, folder: str) -> int:
    """Both made the same groups of the same events; returns how many. Raises SystemExit."""
    history = BatchHistory(clicks.lake.batch_log(clicks.definition.hash))
    files = [clicks.lake.absolute(f.path) for unit in history.files(max(history.versions)).values() for f in unit]
    keys = ", ".join(key.name for key in clicks.definition.keys)
    digest = (
        f"count(*), sum(clicks)::BIGINT, sum(ms)::BIGINT, sum(hash({keys.replace('hour', 'epoch_ms(hour)')}, clicks))"
    )
    found = {
        str(duckdb.execute(f"SELECT {digest} FROM read_parquet({source!r})").fetchall())
        for source in (files, f"{folder}/spark/*.parquet")
    }
    if len(found) != 1:
        raise SystemExit(f"the two do not agree: {found}")
    return sum(file.rows for unit in history.files(max(history.versions)).values() for file in unit)


# --- a query that asks for no sketch

QUESTION = "SELECT page, sum(clicks) AS clicks, sum(ms) AS ms FROM pages GROUP BY ALL ORDER BY 2 DESC, 1 LIMIT 10"


def _unasked(events: int, dates: int) -> Iterator[Figure]:
    """The same question of a view with six sketches and of one without: of a batch version's files, and of runs in
    memory."""
    with tempfile.TemporaryDirectory() as folder:
        for place in ("files", "memory"):
            asked = {
                name: _serving(Path(folder) / place / name, events, dates, sketches, rebuilt=place == "files")
                for name, sketches in (("with", SKETCHES), ("without", ()))
            }
            costs = side_by_side({name: partial(_ask, serving) for name, serving in asked.items()}, 5)
            rows = {str(serving.query(QUESTION).table.to_pydict()) for serving in asked.values()}
            for serving in asked.values():
                serving.close()
            if len(rows) != 1:
                raise SystemExit(f"the two views do not agree: {rows}")
            sizes = {"events": events, "questions": QUESTIONS}
            name = f"a question that asks for no sketch, {place}"
            yield Figure(name, costs["with"].wall * 1000 / QUESTIONS, "ms", "", sizes)
            yield from ratios(name, costs["with"], costs["without"], "a view without them", sizes, "at most 1.2")


def _ask(serving: Serving) -> None:
    for _ in range(QUESTIONS):
        serving.query(QUESTION)


def _serving(folder: Path, events: int, dates: int, sketches: Sequence[str], *, rebuilt: bool) -> Serving:
    clicks = Clicks(folder, events // dates, dedup=False, view=_view(", page", *sketches).replace(", \nFROM", "\nFROM"))
    clicks.send(dates)
    if rebuilt:
        Batch(clicks.lake).rebuild("pages")
    return Serving(clicks.lake, Settings(kernel=KernelSection(memory="4GB", threads=CORES)))


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
    # one group in a thousand has 2,000 values, the others two
    events = (
        f"SELECT CASE WHEN i < {groups * 2} THEN i % {max(1, groups // 1000)} ELSE i % {groups} END AS k,"
        f" i AS x, i // 2 AS y FROM range({groups * 4}) r(i)"
    )
    engine = kernel(Limits(memory="8GB", threads=CORES))
    held: pa.Table = engine.run(f"SELECT k, {', '.join(columns)} FROM ({events}) AS events GROUP BY k")
    yield Figure(
        "memory of live groups with two distinct counts", held.nbytes / 2**20, "MiB", "",
        {"groups": groups}, "at most 1,024 MiB for 1,000,000",
    )  # fmt: skip
