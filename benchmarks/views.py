"""Six views over one contract: a rebuild of all over a rebuild of one, and a refresh that touches many small dates.

The rebuild of six is what `seamline batch rebuild` does: begun together, so that each date is read once, then finished
view by view, each with its audit and its entries. The refresh is of a few thousand new events of which two in a hundred
are late and touch every date there is; beside it, the same with each view by itself.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from figures import Cost, Figure, Size, median, ratios, side_by_side, timed
from lakes import Clicks

from seamline.jobs.batch import Batch
from seamline.jobs.spark_runner import spark_runner
from seamline.jobs.unit import Runner
from seamline.sides.spark import session

HOUR, DAY, WEEK = (f"time_bucket(INTERVAL '1 {unit}', seen) AS {unit}" for unit in ("hour", "day", "week"))
SELECTS = {
    "pages": f"{HOUR}, page, count(*) AS clicks, sum(ms) AS ms, max(ms) AS slowest FROM clicks",
    "hours": f"{HOUR}, count(*) AS clicks, avg(ms) AS ms FROM clicks",
    "days": f"{DAY}, page, count(*) AS clicks, min(ms) AS fastest FROM clicks",
    "quick": f"{DAY}, count(*) AS clicks, sum(ms) AS ms FROM clicks WHERE ms < 1000",
    "weeks": f"{WEEK}, page, count(*) AS clicks, avg(ms) AS mean FROM clicks",
    "slow": f"{HOUR}, page, count(*) AS clicks, max(seen) AS latest FROM clicks WHERE ms >= 4000",
}
"""The first is the view of the other benchmarks."""
VIEWS = ";\n".join(f"CREATE MATERIALIZED VIEW {name} AS SELECT {text} GROUP BY ALL" for name, text in SELECTS.items())

REBUILDS = {Size.SMALL: (1_000_000, (10,), 3), Size.WHOLE: (10_000_000, (10, 100), 3)}
"""Events, numbers of dates, rounds."""
REFRESHES = {Size.SMALL: (50, 3), Size.WHOLE: (147, 5)}
"""Dates, rounds."""
FEW, NEW, LATE = 300, 9_786, 0.02
"""Events of each date at first; new ones of a round; which part of them is late."""


def measure(size: Size) -> list[Figure]:
    """Ratios by clock and CPU."""
    events, all_dates, rounds = REBUILDS[size]
    spark = session("bench", "local[2]")
    try:
        found = [
            figure
            for dates in all_dates
            for dedup in (False, True)
            for figure in _rebuilds(spark_runner(spark), events, dates, rounds, dedup=dedup)
        ]
        return found + _refreshes(spark_runner(spark), *REFRESHES[size])
    finally:
        spark.stop()


def _rebuilds(runner: Runner, events: int, dates: int, rounds: int, *, dedup: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        clicks = Clicks(Path(folder) / "lake", events // dates, dedup=dedup, view=VIEWS)
        clicks.send(dates)
        batch = Batch(clicks.lake, runner=runner)
        _together(batch, rebuild=True)
        works = {
            "six": lambda: _together(batch, rebuild=True),
            "one": lambda: batch.rebuild("pages"),
            "alone": lambda: _alone(batch, rebuild=True),
        }
        costs = side_by_side(works, rounds)
    name = f"rebuild of six views, {'dedup by event id' if dedup else 'no event id'}, {dates} dates"
    sizes = {"events": events, "dates": dates, "rounds": rounds, "one, s": round(costs["one"].wall, 3)}
    return [
        Figure(name, costs["six"].wall, "s", "", sizes),
        *ratios(name, costs["six"], costs["one"], "a rebuild of one", sizes, "at most 2, goal 1.5"),
        *ratios(name, costs["six"], costs["alone"], "each view by itself", sizes),
    ]


def _refreshes(runner: Runner, dates: int, rounds: int) -> list[Figure]:
    """Each round sends events of which some are late for every date, refreshes all views, and the next round each by
    itself."""
    with tempfile.TemporaryDirectory() as folder:
        clicks = Clicks(Path(folder) / "lake", FEW, view=VIEWS)
        clicks.send(dates)
        batch = Batch(clicks.lake, runner=runner)
        _together(batch, rebuild=False)
        works = {"together": lambda: _together(batch, rebuild=False), "alone": lambda: _alone(batch, rebuild=False)}
        found: dict[str, list[Cost]] = {name: [] for name in works}
        for number in range(rounds + 1):
            for name, work in works.items():
                late = max(1, round(NEW * LATE) // (dates - 1))
                clicks.send(dates - 1, each=late, at_once=True)
                clicks.send(1, each=NEW - late * (dates - 1), first=dates - 1)
                cost = timed(work)
                if number:
                    found[name].append(cost)
    together, alone = (median(found[name]) for name in works)
    units = dates * len(SELECTS)
    sizes = {"dates": dates, "views": len(SELECTS), "new": NEW, "rounds": rounds}
    name = f"refresh of {dates} dates of six views"
    return [
        Figure(f"{name}, by clock", together.wall, "s", "", sizes),
        Figure(f"{name}, CPU a unit", together.cpu / units, "s", "", sizes, "at most 0.056"),
        *ratios(name, together, alone, "each view by itself", sizes),
    ]


def _together(batch: Batch, *, rebuild: bool) -> None:
    begun = batch.begin(SELECTS, rebuild=rebuild)
    for view in SELECTS:
        run = batch.rebuild if rebuild else batch.refresh
        if run(view, begun.get(view)).version is None:
            raise SystemExit(f"{view} got no version")


def _alone(batch: Batch, *, rebuild: bool) -> None:
    for view in SELECTS:
        run = batch.rebuild if rebuild else batch.refresh
        run(view)
