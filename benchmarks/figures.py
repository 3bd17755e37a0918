"""What every benchmark gives: figures; and how they are measured: rounds side by side, medians of wall and CPU time.

A ratio is taken within one run, of works that took turns, so that a machine busy with something else slows both. Where
it was busy all the same, the ratio of CPU times (this process, its JVM and their workers) says more than that of
clocks: it does not count waiting for a core.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import psutil


class Size(Enum):
    """How much each benchmark does: SMALL takes minutes for all of them together."""

    SMALL = "small"
    WHOLE = "whole"


@dataclass(frozen=True)
class Figure:
    """One figure. `against`: what it was compared with; `bar`: what it should be; `sizes`: of what was measured."""

    name: str
    value: float
    unit: str
    against: str = ""
    sizes: Mapping[str, float | int | str] = field(default_factory=dict)
    bar: str = ""


@dataclass(frozen=True)
class Cost:
    """Seconds of one work: by the clock, and of CPU over all its processes."""

    wall: float
    cpu: float


Work = Callable[[], object]


def side_by_side(works: Mapping[str, Work], rounds: int) -> dict[str, Cost]:
    """Each work once in every round, after a round that only warms up; the medians."""
    found: dict[str, list[Cost]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            cost = timed(work)
            if number:
                found[name].append(cost)
    return {name: median(costs) for name, costs in found.items()}


def timed(work: Work) -> Cost:
    """One run of a work."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    work()
    return Cost(time.perf_counter() - wall, cpu_seconds() - cpu)


def median(costs: list[Cost]) -> Cost:
    """Of walls and of CPU times, each on its own."""
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


_seen: dict[tuple[int, float], float] = {}
"""CPU time of every process that was ever looked at, by its id and start, as it was last seen."""


def cpu_seconds() -> float:
    """CPU time of this process and all below it, so far.

    Those that have ended count as they were last seen: Spark ends a Python worker that was idle for a minute, and its
    daemon does not count it among its own children.
    """
    me = psutil.Process()
    for process in (me, *me.children(recursive=True)):
        try:
            _seen[process.pid, process.create_time()] = sum(process.cpu_times()[:2])
        except psutil.NoSuchProcess:
            continue
    return sum(_seen.values())


def ratios(
    name: str, mine: Cost, other: Cost, against: str, sizes: Mapping[str, float | int | str], bar: str = ""
) -> list[Figure]:
    """One cost over another, by clock and by CPU."""
    return [
        Figure(f"{name}, by clock", mine.wall / other.wall, "ratio", against, sizes, bar),
        Figure(f"{name}, by CPU", mine.cpu / other.cpu, "ratio", against, sizes, bar),
    ]
