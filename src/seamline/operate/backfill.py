"""Backfills: event dates that are recomputed because an operator says so. What one would do is a value that can be
saved; running it makes one version, which holds the rest of what is served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

from seamline.advance import Show, unshown
from seamline.clock import system_clock
from seamline.entries.base import Counts, Value
from seamline.entries.batch import Version
from seamline.errors import Condition, UserError
from seamline.history.batch import BatchHistory
from seamline.jobs.asked import DateRange
from seamline.jobs.decide import LedgerAsRead, decide, newest_state, plan_of
from seamline.jobs.plan import Nothing, Plan, table_of
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Decided, Outcome, Target, Unpublished
from seamline.jobs.work import finished
from seamline.operate.batch import batch_layer
from seamline.operate.spark_units import SparkUnits
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project
from seamline.schemas.views.properties import by_hour
from seamline.sides.raw import by_day, raw_files
from seamline.units import HOURS, Unit

RUNS = 16
"""An estimate goes by so many past runs, the newest."""


class PlannedUnit(Value):
    """One event date that would be recomputed."""

    unit: str
    """As the ledger names it."""

    parts: int
    """How many pieces of work it is: one, or one an hour."""

    rows: int
    """Raw rows to read, or a base view's partial rows."""

    bytes: int
    """Of raw files; 0 where it is folded from a base view."""

    why: str


class BackfillPlan(Value):
    """What a backfill would do now."""

    view: str
    asked: str
    """The event dates, from..to."""

    definition: str | None
    version: int | None
    """What is served now, and would be built on."""

    units: tuple[PlannedUnit, ...]
    """Those that were asked for, and those that a refresh would rewrite with them."""

    reason: str = ""
    """Why there is nothing to do, where there is not."""

    seconds: float | None = None
    """About how long it would take, as past runs of this definition did; None: there is none to go by."""

    runs: int = 0
    """How many runs that is from."""

    @property
    def rows(self) -> int:
        """Rows to read."""
        return sum(unit.rows for unit in self.units)

    @property
    def bytes(self) -> int:
        """Bytes to read."""
        return sum(unit.bytes for unit in self.units)


def plan_backfill(project: Project, view: str, asked: DateRange) -> BackfillPlan:
    """What a backfill of some event dates would do now; nothing is written. Raises VIEW_UNKNOWN, KERNEL_VERSION."""
    resources, ledger = (
        Resources(project.lake, settings=project.settings.batch),
        LedgerAsRead.of(project.lake, system_clock()),
    )
    state = newest_state(ledger.catalogue, view)
    decided = decide(resources, view, rebuild=False, ledger=ledger, asked=asked)
    if not isinstance(decided, Decided):
        return BackfillPlan(
            view=view, asked=asked.name, definition=state.served, version=state.version, units=(), reason=_why(decided)
        )
    target, refresh = decided.target, plan_of(state, decided.target, rebuild=False)
    units = tuple(_units(resources, target, decided.plan, refresh, asked))
    seconds, runs = pace(target.logs.batch)
    return BackfillPlan(
        view=view, asked=asked.name, definition=state.served, version=state.version, units=units, runs=runs,
        seconds=None if seconds is None else seconds * sum(unit.rows for unit in units),
    )  # fmt: skip


def _why(decided: Nothing | Unpublished) -> str:
    if isinstance(decided, Nothing):
        return decided.reason
    return f"version {decided.number} of an earlier run of it only waits to be published: run it again"


def _units(
    resources: Resources, target: Target, plan: Plan, refresh: Plan | Nothing, asked: DateRange
) -> Iterator[PlannedUnit]:
    """In order. Takes time by raw's files, or the base's."""
    parts = HOURS if target.source is None and by_hour(target.definition.properties) else 1
    for contract in target.contracts:
        table = table_of(contract)
        held = _held(resources, target, plan, contract.name, table)
        for day in sorted(held if plan.dates is None else plan.dates[table]):
            changed = isinstance(refresh, Plan) and (refresh.dates is None or day in refresh.dates.get(table, ()))
            rows, size = held.get(day, (0, 0))
            why = [word for word, holds in (("asked for", day in asked), ("changed since", changed)) if holds]
            yield PlannedUnit(
                unit=target.unit(contract, day).name, parts=parts, rows=rows, bytes=size, why="; ".join(why)
            )


def _held(resources: Resources, target: Target, plan: Plan, contract: str, table: str) -> dict[date, tuple[int, int]]:
    """Rows and bytes to read by event date."""
    if target.source is None:
        days = by_day(raw_files(resources.lake, table, plan.tables.get(table)))
        return {day: (sum(f.rows for f in files), sum(f.size for f in files)) for day, files in days.items()}
    found: dict[date, tuple[int, int]] = {}
    for unit, files in target.source.batch.files(target.source.number or 0).items():
        parsed = Unit.parse(unit)
        if parsed.contract in ("", contract):
            found[parsed.day] = found.get(parsed.day, (0, 0))[0] + sum(file.rows for file in files), 0
    return found


def pace(batch: BatchHistory) -> tuple[float | None, int]:
    """Seconds for each record, as the newest runs of a definition took from their reservation to their version, and how
    many runs that is; None where there is none. Pure."""
    began = {reserved.run: reserved.at for reserved in batch.reserved.values()}
    runs = [(v.at - began[v.run], _read(v)) for _, v in sorted(batch.versions.items()) if v.run in began]
    timed = [(took, read) for took, read in runs if read][-RUNS:]
    took, read = sum((took for took, _ in timed), timedelta()), sum(read for _, read in timed)
    return (took.total_seconds() / read if read else None), len(timed)


def _read(version: Version) -> int:
    """Records that a run read: not known of one that lists its base's units, too."""
    if version.complete and version.base is not None:
        return 0
    return sum(version.unit_counts.values(), Counts()).read


def load_plan(file: Path) -> BackfillPlan:
    """A plan that was saved. Raises INPUT_INVALID."""
    try:
        return BackfillPlan.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            Condition.INPUT_INVALID,
            f"{file} is no backfill plan: {next(iter(str(error).splitlines()), '')}",
            hint="'seamline backfill plan VIEW --out FILE' writes one",
        ) from error


def check_plan(saved: BackfillPlan, now: BackfillPlan) -> None:
    """Whether what a saved plan was made for is as it was. Raises PLAN_MOVED with what changed.

    A newer served version of the same definition is none: a backfill builds on what is served when it runs.
    """
    changed = []
    if saved.definition != now.definition:
        changed.append(f"definition {saved.definition} was served, {now.definition} is now")
    before, after = ({unit.unit: unit.rows for unit in one.units if _is_asked(unit)} for one in (saved, now))
    for unit in sorted(before.keys() | after.keys()):
        if before.get(unit) != after.get(unit):
            changed.append(f"{unit} had {before.get(unit, 'no')} rows, and has {after.get(unit, 'none')} now")
    if changed:
        more = f", and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UserError(
            Condition.PLAN_MOVED,
            f"the plan for {saved.view} was made for what has changed: {'; '.join(changed[:3])}{more}",
            hint=f"look at 'seamline backfill plan {saved.view}' again",
        )


def _is_asked(unit: PlannedUnit) -> bool:
    return unit.why.startswith("asked")


def run_backfill(project: Project, view: str, asked: DateRange, show: Show = unshown) -> Outcome:
    """Recomputes some event dates of what a view serves, audits, and publishes one version. Run again after it was
    killed, it goes on with the units left. Raises what a refresh does."""
    with SparkUnits(project) as units, show(f"backfill {view} {asked.name}") as advance:
        return batch_layer(project, units, advance).backfill(view, asked)


class UnderWay(Value):
    """A backfill that was begun and has not led to a version."""

    view: str
    asked: str
    run: str
    since: datetime
    until: datetime
    """When its reservation ends: unless it has come to its version by then, it decides again."""

    done: int
    """Units."""


class PastBackfill(Value):
    """A version that a backfill made."""

    view: str
    asked: str
    version: int
    definition: str
    at: datetime
    units: int
    counted: int
    clean: bool
    served: bool


def under_way(project: Project) -> list[UnderWay]:
    """The backfills of every view, the oldest first. Takes a listing for each that was begun."""
    now = system_clock()
    found = [
        UnderWay(
            view=view, asked=one.asked, run=one.run, since=one.at, until=one.until,
            done=len(finished(project.lake, one.run)),
        )
        for view, _, batch in _batches(project)
        for one in batch.held(now)
        if one.asked
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.since)


def past(project: Project, view: str | None = None) -> list[PastBackfill]:
    """The versions that backfills made and that still stand, the newest first. Raises VIEW_UNKNOWN."""
    catalogue = Catalogue(project.lake)
    if view is not None:
        newest_state(catalogue, view)
    found = [
        PastBackfill(
            view=of, asked=one.asked, version=number, definition=definition, at=one.at, units=len(one.units),
            counted=one.counts.counted, clean=one.audit.clean,
            served=(definition, number) == (catalogue.states[of].served, catalogue.states[of].version),
        )
        for of, definition, batch in _batches(project)
        for number, one in batch.versions.items()
        if one.asked and view in (None, of)
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.at, reverse=True)


def _batches(project: Project) -> Iterable[tuple[str, str, BatchHistory]]:
    for view, state in sorted(Catalogue(project.lake).states.items()):
        for definition in state.live:
            yield view, definition, BatchHistory(project.lake.batch_log(definition))
