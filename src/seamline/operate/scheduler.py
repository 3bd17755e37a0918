"""The scheduler role: refreshes every view every few minutes, and at once where a definition waits for a first version,
or a file was imported that the served one does not hold.

Duties run one at a time; a duty that fails is logged and comes round again. What it knows, it reads from the ledger:
it may be killed at any time, and started again anywhere.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from seamline.clock import system_clock
from seamline.errors import Condition, SeamlineError, TransientError
from seamline.hints import Hints
from seamline.history.archive import ArchiveHistory
from seamline.history.base import History, read_on
from seamline.history.batch import BatchHistory
from seamline.jobs.ahead import by_turns
from seamline.jobs.batch import Batch
from seamline.jobs.clearing import clear, remove
from seamline.jobs.plan import imports_of
from seamline.jobs.retention import retain
from seamline.jobs.stages import Outcome
from seamline.observe.meters import METERS
from seamline.observe.timed import saying
from seamline.operate.forgetproof import prove
from seamline.operate.samples import Areas, Duty, DutyEnds, scheduler_samples
from seamline.operate.schedule import JOBS, Ran, job, once, recorded
from seamline.operate.spark_units import SparkUnits
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project

log = logging.getLogger("seamline.scheduler")

LOOK_SECONDS = 2.0
"""How often it looks for definitions that wait for their first version."""
AGAIN_SECONDS = 5.0
"""A definition that still waits is tried again after this long."""
Result = TypeVar("Result")


class Duties:
    """What there is to do for one project. `units` runs the batch work."""

    def __init__(self, project: Project, units: SparkUnits) -> None:
        self.project = project
        sweep = project.settings.serving.pace(project.lake.uri).sweep
        self._hints = Hints(project.lake.store, ("views", "batch", "archive"), sweep, system_clock)
        self._catalogue = Catalogue(project.lake)
        self._said: dict[str, str] = {}
        self._batches: dict[str, BatchHistory] = {}
        self._archives: dict[str, ArchiveHistory] = {}
        self._areas: Areas | None = None
        self._batch = Batch(project.lake, runner=units, settings=project.settings.batch, kernel=project.settings.kernel)

    @property
    def areas(self) -> Areas | None:
        """What the lake held when it was last listed; None before that."""
        return self._areas

    @property
    def by_job(self) -> Mapping[str, Callable[[], list[str]]]:
        """What does each job of `seamline.operate.schedule.JOBS`; it says what failed."""
        return {"refresh": self.refresh, "retain": self.retain, "measure": self.measure}

    def refresh(self) -> list[str]:
        """Refreshes each view after those it is derived from; one that fails does not keep the others from theirs. Says
        which failed, and why."""
        failed: list[str] = []
        self._catalogue.catch_up()
        for views in by_turns(self._catalogue.in_order()):
            begin = partial(self._batch.begin, views, rebuild=False)
            begun = attempt(f"refresh of {len(views)} views", begin, failed) or {}
            for view in views:
                began = time.monotonic()
                with saying(view=view):
                    outcome = attempt(f"refresh of {view}", partial(self._batch.refresh, view, begun.get(view)), failed)
                    if outcome is not None:
                        self._tell(view, outcome, time.monotonic() - began)
        return failed + self.forget()

    def _tell(self, view: str, outcome: Outcome, seconds: float) -> None:
        if outcome.version is None:
            if self._said.get(view) != outcome.reason:
                log.info("%s: %s", view, outcome.reason)
            self._said[view] = outcome.reason
            return
        self._said.pop(view, None)
        audit = outcome.audit
        words = "nothing to compare" if not audit.compared else "equal" if audit.clean else f"DRIFT {audit.drift}"
        log.info(
            "%s: version %d of definition %s, %d units, %d counted, audit: %s, %.1f s",
            view, outcome.version, outcome.definition, outcome.units, outcome.counts.counted, words, seconds,
        )  # fmt: skip

    def forget(self) -> list[str]:
        """Goes on with requests to forget records. Says what failed."""
        failed: list[str] = []
        for stream in self.project.streams:
            why = attempt(f"forgetting in stream {stream}", partial(clear, self._batch, stream), failed)
            if why:
                log.info("records of stream %s are not forgotten yet: %s", stream, why)
            gone = partial(remove, self.project.lake, stream, system_clock())
            attempt(f"removal of what was forgotten in stream {stream}", gone, failed)
            attempt(f"proof of what was forgotten in stream {stream}", partial(prove, self.project, stream), failed)
        return failed

    def retain(self) -> list[str]:
        """Drops what no served or restorable version needs. Says why it failed."""
        failed: list[str] = []
        attempt("retention", lambda: retain(self.project.lake, self.project.settings, system_clock), failed)
        return failed

    def measure(self) -> list[str]:
        """Lists the lake, for its metrics alone: a request for each 1,000 objects, which is why it is rarely done. Says
        why it failed."""
        failed: list[str] = []
        found = attempt("a look at what the lake holds", self.project.lake.areas, failed)
        if found is not None:
            self._areas = Areas(system_clock(), found)
        return failed

    def waiting(self) -> frozenset[str]:
        """Live definitions without a batch version yet, and served ones without a file that was imported for them.

        Where nothing moved it is one request, whatever the number of views.
        """
        moved = self._hints.look()
        self._catalogue.catch_up(moved)
        followed: list[History] = [*self._batches.values(), *self._archives.values()]
        read_on([one for one in followed if one.log.name in moved], beyond=moved.places is None)
        self._hints.done(moved)
        states = self._catalogue.states.values()
        live = {definition for state in states for definition in state.live}
        new = {definition for definition in live if not self._versions(definition).versions}
        served = [(state.served, state.version) for state in states if state.served in live]
        return frozenset(new | {one for one, number in served if one is not None and self._lacks_import(one, number)})

    def _lacks_import(self, definition: str, number: int | None) -> bool:
        stream = self._catalogue.stream(definition)
        if stream not in self._archives:
            self._archives[stream] = ArchiveHistory(self.project.lake.archive_log(stream))
        version = self._versions(definition).versions.get(number) if number is not None else None
        held = version.imports if version else ()
        return not {*imports_of(self._archives[stream], self._catalogue.contracts(definition))} <= {*held}

    def _versions(self, definition: str) -> BatchHistory:
        if definition not in self._batches:
            self._batches[definition] = BatchHistory(self.project.lake.batch_log(definition))
        return self._batches[definition]


def attempt(what: str, duty: Callable[[], Result], failed: list[str]) -> Result | None:
    """A duty's result, or None where it failed: that is logged, stands in `failed`, and it comes round again."""
    try:
        return duty()
    except SeamlineError as error:
        log.warning("%s: %s", what, error)
        failed.append(f"{what}: [{error.condition}] {error.message}")
    except Exception as error:
        log.exception("%s failed", what)
        failed.append(f"{what}: {type(error).__name__}: {error}")
    return None


def run_job(project: Project, name: str) -> Ran:
    """Runs one job now, in this process. Raises INPUT_INVALID where none is called so."""
    job(name)
    with SparkUnits(project) as units:
        return recorded(project, name, Duties(project, units).by_job[name], once, system_clock)


def _duty(project: Project, duties: Duties, scheduler: BackgroundScheduler, name: str, first: datetime) -> Duty:
    def next_run() -> datetime | None:
        found = scheduler.get_job(name)
        return found.next_run_time if found is not None else None

    def do() -> bool:
        return not recorded(project, name, duties.by_job[name], next_run, system_clock).failed

    return Duty(name, do, JOBS[name].every(project), first)


def run_scheduler(project: Project, stop: threading.Event, *, spark: Any = None) -> None:
    """Runs the duties until `stop`; one that is under way is finished first. `spark` is left open where it is given.

    Raises TransientError PROCESS_FAILED where Spark's JVM has died: another process has to open a fresh one.
    """
    every = JOBS["refresh"].every(project)
    with SparkUnits(project, spark) as units:
        duties = Duties(project, units)
        apart = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(1)}, job_defaults=apart, timezone="UTC"
        )
        now = system_clock()
        recurring = [_duty(project, duties, scheduler, name, now + every * (name == "retain")) for name in JOBS]
        ends = DutyEnds(now)
        for duty in recurring:
            log.info("%s every %s", duty.name, duty.every)
            scheduler.add_job(
                partial(ends.run, duty), "interval", seconds=duty.every.total_seconds(), id=duty.name,
                next_run_time=duty.first,
            )  # fmt: skip
        scheduler.start()
        tried = 0.0
        page = METERS.reading("scheduler", lambda: scheduler_samples(recurring, ends, scheduler.get_job, duties.areas))
        try:
            with page:
                while not stop.wait(LOOK_SECONDS):
                    if units.lost:
                        raise TransientError(
                            Condition.PROCESS_FAILED, "the JVM that batch work runs in has died",
                            hint="the supervisor starts the scheduler again; logs/spark-batch.log may say why it died",
                        )  # fmt: skip
                    if time.monotonic() - tried >= AGAIN_SECONDS and duties.waiting():
                        tried = time.monotonic()
                        scheduler.modify_job("refresh", next_run_time=system_clock())
        finally:
            scheduler.shutdown(wait=True)
