"""What it costs that each version computes a sample of its groups another way: a rebuild and a refresh, with and
without it, in this process alone. The views are an hour's pages, and weeks, whose groups reach over many dates.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from figures import Cost, Figure, Size, Work, median, ratios
from lakes import GROUPS, VIEW, Clicks

from seamline.config import BatchSection
from seamline.jobs.batch import Batch

SIZES = {Size.SMALL: (500_000, 20, 3), Size.WHOLE: (10_000_000, 40, 5)}
"""Events, dates, rounds."""
WEEKS = (
    f"CREATE MATERIALIZED VIEW pages AS {GROUPS.format(bucket='''date_trunc('week', seen)''')} FROM clicks GROUP BY ALL"
)
WITHOUT = BatchSection(verify_sample=0)  # type: ignore[call-arg]


def measure(size: Size) -> list[Figure]:
    """CPU and clock with the sample over those without."""
    events, dates, rounds = SIZES[size]
    return [
        figure
        for name, view in (("hours", VIEW), ("weeks", WEEKS))
        for figure in _measure(name, view, events, dates, rounds)
    ]


def _measure(name: str, view: str, events: int, dates: int, rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        clicks = Clicks(Path(folder) / "lake", events // dates, view=view)
        clicks.send(dates)
        verifying = Batch(clicks.lake)
        plain = replace(verifying, settings=WITHOUT)
        verifying.rebuild("pages")
        costs: dict[str, list[Cost]] = {}
        for number in range(rounds):
            for word, batch in (("with", verifying), ("without", plain)):
                costs.setdefault(f"rebuild {word}", []).append(_timed(partial(batch.rebuild, "pages")))
                clicks.send(1, first=number)
                costs.setdefault(f"refresh {word}", []).append(_timed(partial(batch.refresh, "pages")))
    sizes: dict[str, float | int | str] = {"events": events, "dates": dates, "rounds": rounds}
    found = {what: median(of) for what, of in costs.items()}
    return [
        figure
        for work in ("rebuild", "refresh")
        for figure in ratios(
            f"{work} of {name} with a sample", found[f"{work} with"], found[f"{work} without"], "without it", sizes
        )
    ]


def _timed(work: Work) -> Cost:
    """All of it is done in this process, whose own clock of CPU counts finer than those of a tree of processes."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)
