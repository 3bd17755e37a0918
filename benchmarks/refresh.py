"""A refresh after 1% new events, all of one date in a hundred, over a full rebuild of the same view.

Each round sends 1% more to the next date, archived and covered by an epoch, refreshes, and rebuilds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from figures import Cost, Figure, Size, median, ratios, timed
from lakes import Clicks

from seamline.jobs.batch import Batch
from seamline.jobs.spark_runner import spark_runner
from seamline.sides.spark import session

SIZES = {Size.SMALL: (2_000_000, 100, 3), Size.WHOLE: (30_000_000, 100, 5)}
"""Events, dates, rounds."""


def measure(size: Size) -> list[Figure]:
    """The refresh in seconds, and its ratios to the rebuild."""
    events, dates, rounds = SIZES[size]
    spark = session("bench", "local[2]")
    try:
        with tempfile.TemporaryDirectory() as folder:
            clicks = Clicks(Path(folder) / "lake", events // dates)
            clicks.send(dates)
            batch = Batch(clicks.lake, runner=spark_runner(spark))
            batch.rebuild("pages")
            refreshed, rebuilt = _rounds(clicks, batch, dates, rounds)
    finally:
        spark.stop()
    sizes = {"events": events, "dates": dates, "new": events // 100, "rounds": rounds, "rebuild, s": rebuilt.wall}
    name = "refresh after +1% of one date"
    return [
        Figure(name, refreshed.wall, "s", "", sizes),
        *ratios(name, refreshed, rebuilt, "a full rebuild", sizes, "at most 0.1"),
    ]


def _rounds(clicks: Clicks, batch: Batch, dates: int, rounds: int) -> tuple[Cost, Cost]:
    refreshed, rebuilt = [], []
    for number in range(rounds + 1):
        clicks.send(1, first=dates // 2 + number)
        refreshed.append(timed(lambda: batch.refresh("pages")))
        rebuilt.append(timed(lambda: batch.rebuild("pages")))
    return median(refreshed[1:]), median(rebuilt[1:])
