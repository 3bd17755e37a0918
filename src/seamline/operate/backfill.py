"""Backfills: event dates that are recomputed because an operator says so. Running one makes one version, which holds
the rest of what is served; it may be paused, taken up again, and looked at before it is served."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from seamline.advance import Advance, Show, unshown
from seamline.clock import system_clock
from seamline.entries.backfills import Backfill, Ended
from seamline.entries.base import Value
from seamline.entries.batch import Audit, Reserved
from seamline.errors import Condition, UserError
from seamline.history.backfills import BackfillHistory
from seamline.history.batch import BatchHistory
from seamline.jobs.asked import DateRange
from seamline.jobs.decide import newest_state
from seamline.jobs.pace import Allowance
from seamline.jobs.stages import Outcome
from seamline.jobs.stepwise import Allowed
from seamline.jobs.words import Words, all_open
from seamline.lake import Lake
from seamline.operate.batch import batch_layer
from seamline.operate.spark_units import SparkUnits
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project
from seamline.schemas.views.properties import by_hour
from seamline.units import HOURS
from seamline.whoami import whoami

LOCAL = "local"
"""How the name of a Spark master on this machine begins."""


@dataclass(frozen=True)
class Instructions:
    """How a backfill is to be run."""

    pace: Allowance = field(default_factory=Allowance)

    cores: int | None = None
    """Of Spark's master; None: as refreshes have."""

    shadow: bool = False
    """Whether its version is built beside what is served, and only looked at."""

    skipped: tuple[str, ...] = ()
    """Units that keep their old files."""


def run_backfill(
    project: Project, view: str, asked: DateRange, order: Instructions | None = None, show: Show = unshown
) -> Outcome:
    """Recomputes some event dates of what a view serves, audits, and publishes one version. Run again after it was
    killed or paused, it goes on with the units left. Raises what `Batch.backfill` does."""
    order = order or Instructions()
    here = _with_cores(project, order.cores)
    with SparkUnits(here) as units, show(f"backfill {view} {asked.name}") as advance:
        allowed = Allowed(
            order.pace, order.shadow, wait=_wait, tell=partial(_tell, advance), over=lambda: units.lost
        )  # fmt: skip
        batch = batch_layer(here, units, advance)
        return batch.backfill(view, asked, allowed, by=whoami(), skipped=order.skipped)


def _with_cores(project: Project, cores: int | None) -> Project:
    """The project with so many of Spark's cores for what is run from it."""
    if cores is None:
        return project
    spark, settings = project.settings.spark, project.settings
    update = {"master": f"local[{cores}]"} if spark.master.startswith(LOCAL) else {"cores": cores}
    return replace(project, settings=settings.model_copy(update={"spark": spark.model_copy(update=update)}))


def _wait(by: timedelta) -> None:
    time.sleep(by.total_seconds())


def _tell(advance: Advance, waits: str) -> None:
    advance(0, f"waits until {waits}" if waits else "")


# --- what is under way, and the words to it


class UnderWay(Value):
    """A backfill that has not led to a version that is served."""

    id: str
    view: str
    asked: str
    state: str
    """open, paused, failed or built."""

    by: str
    since: datetime

    done: int
    """Units that some run of it has done."""

    units: int | None
    """Of the newest run; None: it has not said yet."""

    newest: datetime | None
    """When the last of them was done."""

    failed: dict[str, str]
    """Units that failed as often as is tried, by why."""

    skipped: tuple[str, ...]
    """Dates that keep their old files."""

    version: int | None
    """Built beside what is served."""

    audit: Audit | None
    """That one's."""


def under_way(project: Project) -> list[UnderWay]:
    """The backfills of every view, the oldest first. Takes a listing for each of their runs."""
    return [_under_way(project.lake, one) for one in all_open(project.lake)]


def _under_way(lake: Lake, one: Backfill) -> UnderWay:
    markers = {
        item["path"].removeprefix(lake.marker_prefix(run.run)): item["last_modified"]
        for run in one.runs
        for item in lake.listed(lake.marker_prefix(run.run))
    }
    batch = BatchHistory(lake.batch_log(one.definition))
    last = one.runs[-1].run if one.runs else None
    reserved = next((r for r in batch.reserved.values() if r.run == last), None)
    built = batch.versions.get(one.built) if one.built is not None else None
    return UnderWay(
        id=one.id, view=one.view, asked=one.asked, state=state_of(one), by=one.by, since=one.since, done=len(markers),
        units=_units_of(lake, one, reserved), newest=max(markers.values(), default=None), failed=one.failed,
        skipped=tuple(one.skipped), version=one.built if built else None, audit=built.audit if built else None,
    )  # fmt: skip


def state_of(one: Backfill) -> str:
    """In a word. Pure."""
    words = (("paused", one.paused), ("failed", one.failed), ("built", one.built is not None))
    return next((word for word, holds in words if holds), "open")


def _units_of(lake: Lake, one: Backfill, reserved: Reserved | None) -> int | None:
    if reserved is None or reserved.dates is None:
        return None
    parts = HOURS if by_hour(Catalogue(lake).properties(one.definition)) else 1
    return parts * sum(len(days) for days in reserved.dates.values())


def named(project: Project, which: str | None) -> Backfill:
    """The open backfill of that id, or the only one of that view, or the only one there is. Raises INPUT_INVALID."""
    found = all_open(project.lake)
    alike = [one for one in found if which in (None, one.id, one.view)]
    if len(alike) != 1:
        said = f"{which} is not one" if which else f"{len(found)} are under way"
        raise UserError(
            Condition.INPUT_INVALID,
            f"which backfill is meant is not clear: {said}",
            detail=", ".join(f"{one.id} ({one.view} {one.asked})" for one in found) or "none is under way",
            hint="'seamline backfill status' lists them; name one by its id",
        )
    return alike[0]


def pause(project: Project, which: str | None) -> Backfill:
    """Its run ends after the units it is at. Raises INPUT_INVALID, BACKFILL_STOPPED."""
    one = named(project, which)
    return _words(project, one.view).pause(one.id)


def resume(project: Project, which: str | None) -> Backfill:
    """It may go on. Raises the same."""
    one = named(project, which)
    return _words(project, one.view).resume(one.id)


def cancel(project: Project, which: str | None) -> Backfill:
    """It is over, and nothing of it is served. Raises the same."""
    one = named(project, which)
    _words(project, one.view).cancel(one.id)
    return one


def _words(project: Project, view: str) -> Words:
    return Words(project.lake, view, system_clock, whoami())


# --- what there was


class PastBackfill(Value):
    """A version that a backfill made, or that it was cancelled."""

    view: str
    asked: str
    at: datetime
    by: str = ""
    version: int | None = None
    definition: str | None = None
    units: int | None = None
    counted: int | None = None
    clean: bool | None = None
    served: bool = False
    skipped: tuple[str, ...] = ()


def past(project: Project, view: str | None = None) -> list[PastBackfill]:
    """The versions that backfills made and that still stand, and those that were cancelled, the newest first. Raises
    VIEW_UNKNOWN."""
    catalogue = Catalogue(project.lake)
    if view is not None:
        newest_state(catalogue, view)
    found = [
        one
        for of, state in sorted(catalogue.states.items())
        if view in (None, of)
        for one in _past(project.lake, of, state.live, (state.served, state.version))
    ]
    return sorted(found, key=lambda one: one.at, reverse=True)


def _past(
    lake: Lake, view: str, live: tuple[str, ...], served: tuple[str | None, int | None]
) -> Iterator[PastBackfill]:
    ended = BackfillHistory(lake.backfill_log(view)).ended
    by = {one.version: one.by for one in ended}
    yield from (_cancelled(one) for one in ended if one.version is None)
    for definition in live:
        for number, one in BatchHistory(lake.batch_log(definition)).versions.items():
            if one.asked:
                yield PastBackfill(
                    view=view, asked=one.asked, at=one.at, by=by.get(number, ""), version=number, definition=definition,
                    units=len(one.units), counted=one.counts.counted, clean=one.audit.clean,
                    served=(definition, number) == served, skipped=tuple(one.skipped),
                )  # fmt: skip


def _cancelled(one: Ended) -> PastBackfill:
    return PastBackfill(view=one.view, asked=one.asked, at=one.at, by=one.by)
