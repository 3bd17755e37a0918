"""The Spark rim of the batch layer: units and their file lists are distributed, never rows.

Each task opens the lake itself, reads and writes Parquet by the kernel, leaves its marker in the lake and returns one
small result. A task that Spark runs twice writes two files, of which the one that is returned is used.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from seamline.entries import new_attempt
from seamline.jobs.unit import Runner, UnitResult, UnitTask, perform
from seamline.lake import Lake

LOOK_SECONDS = 0.5
"""How often the driver asks Spark how far it is."""


def spark_runner(spark: Any, progress: Callable[[int, int], None] | None = None) -> Runner:
    """Runs units as Spark tasks, one each, the largest first. `progress` is told (done, total) while they run."""

    def run(tasks: list[UnitTask]) -> Iterable[UnitResult]:
        if not tasks:
            return []
        with _watched(spark.sparkContext, len(tasks), progress) as group:
            return _collect(spark.sparkContext, tasks, group)

    return run


def remote(task: UnitTask) -> UnitResult:
    """One unit, wherever Spark runs it."""
    return perform(Lake.open(task.lake), task)


def _collect(context: Any, tasks: list[UnitTask], group: str) -> list[UnitResult]:
    context.setJobGroup(group, f"{len(tasks)} units of batch work", True)
    try:
        results: list[UnitResult] = context.parallelize(tasks, len(tasks)).map(remote).collect()
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)
    return results


class _watched:  # noqa: N801 - a context manager reads as a word
    """Asks the status tracker from a thread of its own: collect() blocks, and results come all at once."""

    def __init__(self, context: Any, total: int, progress: Callable[[int, int], None] | None) -> None:
        self._context = context
        self._total = total
        self._progress = progress
        self._group = f"units-{new_attempt()}"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> str:
        if self._progress:
            self._thread.start()
        return self._group

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _look(self) -> None:
        tracker, said = self._context.statusTracker(), 0
        while not self._over.wait(LOOK_SECONDS):
            stages = (
                tracker.getStageInfo(stage)
                for job in tracker.getJobIdsForGroup(self._group)
                for stage in getattr(tracker.getJobInfo(job), "stageIds", ())
            )
            done = sum(info.numCompletedTasks for info in stages if info is not None)
            if done != said and self._progress:
                self._progress(done, self._total)
                said = done
