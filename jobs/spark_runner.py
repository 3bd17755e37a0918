"""The Spark rim of the batch layer: units and their file lists are distributed, never rows.

Each task opens the lake itself and takes a few units, one after the other: it reads and writes Parquet by the kernel,
leaves a unit's marker in the lake and returns one small result for each. What Spark runs twice writes two files, of
which the one that is returned is used.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark import TaskContext
from pyspark.errors import PySparkException

from seamline.attempts import new_attempt
from seamline.errors import Condition, SeamlineError, TransientError
from seamline.jobs.bundle import Bundle, bundles, spread
from seamline.jobs.unit import Runner, UnitResult, UnitTask
from seamline.jobs.work import perform_together, resume
from seamline.lake import Lake
from seamline.sides.spark import from_task, local_cores, settle_worker

LOOK_SECONDS = 0.5
"""How often the driver asks Spark how far it is."""

SHARES = 8
"""Spark tasks for each core, at most: too few of them leave cores idle."""

ENOUGH_ROWS = 1_000_000
"""Raw rows of one Spark task, where so many tasks do not leave cores idle: it costs some 20 ms whatever it does."""


def spark_runner(spark: Any, progress: Callable[[int, int], None] | None = None) -> Runner:
    """Runs units as Spark tasks, the largest first. `progress` is told (done, total) while they run."""

    def run(tasks: list[UnitTask]) -> Iterable[UnitResult]:
        if not tasks:
            return []
        context = spark.sparkContext
        found = spread(bundles(tasks), context.defaultParallelism)
        idle = (local_cores(context.master) or 0) // len(found)  # nobody knows what else a cluster's cores do
        shares = share_out(found, context.defaultParallelism, threads=max(1, idle))
        told = progress if tasks[0].wanted is None else None  # a sample is looked up after the units
        with _watched(context, len(tasks), len(shares), told) as group:
            return _collect(context, shares, group)

    return run


def share_out(found: Sequence[Bundle], cores: int, threads: int = 1) -> list[list[Bundle]]:
    """Bundles put together by size into a few Spark tasks for each core, largest first; every unit in one of them.

    `threads`: of each unit's kernel, more than one where there are fewer bundles than cores. Pure.
    """
    shares: list[list[Bundle]] = [[] for _ in range(min(len(found), SHARES * cores, _tasks(found, cores)))]
    filled = [(0, number) for number in range(len(shares))]
    for bundle in sorted(found, key=lambda bundle: -_size(bundle)):
        size, number = heapq.heappop(filled)
        shares[number].append(tuple(replace(task, threads=threads) for task in bundle))
        heapq.heappush(filled, (size + max(1, _size(bundle)), number))
    return sorted(shares, key=lambda share: -sum(map(_size, share)))


def _tasks(found: Sequence[Bundle], cores: int) -> int:
    """How many Spark tasks these bundles are worth; as many as they are where nobody knows their rows."""
    tasks = [task for bundle in found for task in bundle]
    if not all(task.rows for task in tasks):
        return len(found)
    return max(cores, -(-sum(task.rows for task in tasks) // ENOUGH_ROWS))


def remote(share: Sequence[Bundle]) -> list[UnitResult]:
    """Units bundle after bundle, wherever Spark runs them; what a task did before it died is not done again."""
    context = TaskContext.get()
    run = resume if context is not None and context.attemptNumber() > 0 else perform_together
    results = [result for bundle in share for result in run(Lake.open(bundle[0].lake), bundle)]
    settle_worker()
    return results


def _size(bundle: Bundle) -> int:
    return sum(task.size for task in bundle)


def _collect(context: Any, shares: list[list[Bundle]], group: str) -> list[UnitResult]:
    context.setJobGroup(group, f"{sum(len(bundle) for share in shares for bundle in share)} units of batch work", True)
    try:
        results: list[UnitResult] = context.parallelize(shares, len(shares)).flatMap(remote).collect()
    except (PySparkException, Py4JError) as error:
        raise _failed(error) from error
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)
    return results


def _failed(error: Exception) -> SeamlineError:
    """What a unit raised, else that its process died: those that are done stay done."""
    raised = from_task(error)
    if raised is not None:
        return raised
    said = [line.strip(": ") for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    cause = next((line for line in said if "failure" in line), said[-1])
    hint = "run it again: it goes on with the units that are left"
    return TransientError(Condition.PROCESS_FAILED, f"units died: {cause[:500]}", hint=hint)


class _watched:  # noqa: N801 - a context manager reads as a word
    """Asks the status tracker from a thread of its own: collect() blocks, and results come all at once."""

    def __init__(self, context: Any, total: int, shares: int, progress: Callable[[int, int], None] | None) -> None:
        self._context = context
        self._total = total
        self._shares = shares
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
            shares = sum(info.numCompletedTasks for info in stages if info is not None)
            done = self._total * shares // self._shares
            if done > said and self._progress:  # Spark forgets stages that have ended: what was done stays done
                self._progress(done, self._total)
                said = done
