"""Runs units of batch work on Spark, which is opened when there is the first unit to run, and then kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from seamline.executors import await_executors
from seamline.jobs.spark_runner import spark_runner
from seamline.jobs.unit import Runner, UnitResult, UnitTask
from seamline.schemas.project import Project
from seamline.spark import is_lost, session


class SparkUnits:
    """A runner of units; a refresh that finds nothing to do starts no JVM. `watch` is told (done, all, of
    what) of a run, `tell` what it waits for (nothing, once that has come)."""

    def __init__(self, project: Project) -> None:
        self.watch: Callable[[int, int, str], None] | None = None
        self.tell: Callable[[str], None] = lambda waits: None
        self._project = project
        self._session: Any = None
        self._opened = False

    def __call__(self, tasks: list[UnitTask]) -> Iterable[UnitResult]:
        return self._runner(step_of(tasks))(tasks)

    def __enter__(self) -> SparkUnits:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None and not self.lost:
            self._session.stop()
        self._session = None

    @property
    def lost(self) -> bool:
        """Whether the JVM that this has opened has ended: no unit can run in this process any more."""
        return self._opened and is_lost()

    def _runner(self, step: str) -> Runner:
        if self._session is None:
            self._opened = True
            settings = self._project.settings.spark
            log = self._project.state / "logs" / "spark-batch.log"
            self._session = session("seamline-batch", settings.master, settings.given, log=log)
            await_executors(self._session, self.tell)
        watch = self.watch
        return spark_runner(self._session, watch and (lambda done, total: watch(done, total, step)))


def step_of(tasks: Iterable[UnitTask]) -> str:
    """What units are counted as: those of a version, or those that are recomputed to look it over (no part of it)."""
    return "units" if any(task.run for task in tasks) else "units of the audit"
