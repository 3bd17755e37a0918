"""Runs units of batch work on Spark, which is opened when there is the first unit to run, and then kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any

from seamline.jobs.spark_runner import spark_runner
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.schemas.project import Project
from seamline.sides.executors import Tell, await_executors
from seamline.sides.spark import is_lost, session

WatchSteps = Callable[[int, int, str], None]
"""Units done, units in all, and what they are counted as."""


def untold(waits: str) -> None:
    """Nobody is told."""


class SparkUnits:
    """A runner of units; a refresh that finds nothing to do starts no JVM.

    What changes: the first run opens the session, and the end of the context closes it; one that was given stays open.
    """

    def __init__(self, project: Project, spark: Any = None) -> None:
        self._project = project
        self._session: Any = spark
        self._given = spark is not None
        self._opened = False

    def __call__(self, tasks: list[UnitTask]) -> Iterable[UnitResult]:
        return self.run(tasks)

    def run(self, tasks: list[UnitTask], watch: WatchSteps | None = None, tell: Tell = untold) -> Iterable[UnitResult]:
        """Runs units; `watch` is told how far they are, `tell` what they wait for (nothing, once that has come)."""
        progress = partial(_watched, watch, step_of(tasks)) if watch else None
        return spark_runner(self._opened_session(tell), progress)(tasks)

    def __enter__(self) -> SparkUnits:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened and self._session is not None and not self.lost:
            self._session.stop()
            self._session = None

    @property
    def lost(self) -> bool:
        """Whether the JVM that units run in has ended: none can run in this process any more."""
        return (self._opened or self._given) and is_lost()

    def _opened_session(self, tell: Tell) -> Any:
        if self._session is None:
            self._opened = True
            settings = self._project.settings.spark
            log = self._project.state / "logs" / "spark-batch.log"
            self._session = session("seamline-batch", settings.master, settings.given, log=log)
            await_executors(self._session, tell)
        return self._session


def _watched(watch: WatchSteps, step: str, done: int, total: int) -> None:
    watch(done, total, step)


def step_of(tasks: Iterable[UnitTask]) -> str:
    """What units are counted as: those of a version, or those that are recomputed to look it over (no part of it)."""
    return "units" if any(task.run for task in tasks) else "units of the audit"
