"""What a backfill would do, as a value that can be saved and run later: units, why, what they read, about how long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from time import monotonic, process_time

from seamline.clock import system_clock
from seamline.entries.base import Counts, Value
from seamline.entries.batch import Version
from seamline.entries.views import Published
from seamline.errors import Condition, UserError
from seamline.frontier import Frontier
from seamline.history.batch import BatchHistory
from seamline.jobs.asked import DateRange
from seamline.jobs.compute import tasks_of
from seamline.jobs.decide import LedgerAsRead, decide, newest_state, plan_of, read_targets
from seamline.jobs.plan import Nothing, Plan, table_of, touches
from seamline.jobs.reserve import reservation
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Decided, Reservation, Target, Unpublished
from seamline.jobs.words import Words
from seamline.jobs.work import run_unit
from seamline.lake import Lake
from seamline.schemas.project import Project
from seamline.schemas.views.properties import by_hour
from seamline.sides.raw import by_day, raw_files
from seamline.units import HOURS, Unit

RUNS = 16
"""An estimate goes by so many past runs, the newest."""

PROBED_ROWS = 300_000
"""Of the unit that is tried where no run tells, at most, if there is one."""


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


class Estimate(Value):
    """About what a plan takes."""

    seconds: float
    cpu: float | None
    """Seconds of CPU in its units; None: no run has said so."""

    runs: int
    """Past runs of the definition that it goes by; 0: one unit was tried, in this process and on one core."""


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

    gone: tuple[str, ...] = ()
    """Where raw of what was asked for is gone in part, by contract: those dates stay as they are."""

    cut: Frontier | None = None
    """Where the served version ends."""

    after: Frontier | None = None
    """Where the one that would be served ends."""

    estimate: Estimate | None = None

    @property
    def rows(self) -> int:
        """Rows to read."""
        return sum(unit.rows for unit in self.units)

    @property
    def bytes(self) -> int:
        """Bytes to read."""
        return sum(unit.bytes for unit in self.units)


def plan_backfill(project: Project, view: str, asked: DateRange, definition: str | None = None) -> BackfillPlan:
    """What a backfill of some event dates would do now, or the version that a live `definition` waits for; no entry is
    put. Raises VIEW_UNKNOWN, KERNEL_VERSION."""
    resources = Resources(project.lake, settings=project.settings.batch, kernel=project.settings.kernel)
    ledger = LedgerAsRead.of(project.lake, system_clock())
    state = newest_state(ledger.catalogue, view)
    none = BackfillPlan(view=view, asked=asked.name, definition=state.served, version=state.version, units=())
    if state.served is None:
        return none.model_copy(update={"reason": "nothing is served yet: run 'seamline views apply'"})
    if definition is None or definition == state.served:
        backfill = Words(project.lake, view, system_clock).begun(asked.name, state.served)
        decided = decide(resources, view, rebuild=False, ledger=ledger, asked=backfill)
    else:
        decided = _of_definition(ledger, view, definition)
    if not isinstance(decided, Decided):
        return none.model_copy(update={"reason": _why(decided)})
    target, plan = decided.target, decided.plan
    units = tuple(_units(resources, decided, _whys(state, decided, asked)))
    rows = sum(unit.rows for unit in units)
    base = target.logs.batch.versions.get(plan.base) if plan.base is not None else None
    estimate = estimated(target.logs.batch, rows) or probed(resources, decided, rows)
    cut = base.cut if base else None
    gone = tuple(_gone(plan, asked)) if target.source is None else ()
    said = {"units": units, "estimate": estimate, "cut": cut, "after": plan.cut, "gone": gone}
    return none.model_copy(update=said)


def _gone(plan: Plan, asked: DateRange) -> Iterator[str]:
    for table, day in sorted(plan.gone.items()):
        if asked.first is None or asked.first < day:
            yield f"raw of {Lake.contract_of(table)} is gone before {day}: what stands of earlier event dates stays"


def _of_definition(ledger: LedgerAsRead, view: str, definition: str) -> Decided | Nothing:
    history, state = ledger.catalogue.history(view), newest_state(ledger.catalogue, view)
    target = next((one for one in read_targets(ledger, history) if one.definition.hash == definition), None)
    if target is None:
        raise UserError(
            Condition.VIEW_UNKNOWN,
            f"definition {definition} of {view} is not worked on",
            detail=", ".join(state.live),
            hint=f"'seamline views history {view}' lists those there were",
        )
    plan = plan_of(state, target, rebuild=False)
    return plan if isinstance(plan, Nothing) else Decided(history, state, target, plan, ledger.at)


def _why(decided: Nothing | Unpublished) -> str:
    if isinstance(decided, Nothing):
        return decided.reason
    return f"version {decided.number} of an earlier run of it only waits to be published: run it again"


def _units(resources: Resources, decided: Decided, whys: Whys) -> Iterator[PlannedUnit]:
    """In order. Takes time by raw's files, or the base's."""
    target, plan = decided.target, decided.plan
    parts = HOURS if target.source is None and by_hour(target.definition.properties) else 1
    for contract in target.contracts:
        table = table_of(contract)
        held = _held(resources, target, plan, contract.name, table)
        for day in sorted(held if plan.dates is None else plan.dates[table]):
            (rows, size), unit = held.get(day, (0, 0)), target.unit(contract, day).name
            yield PlannedUnit(unit=unit, parts=parts, rows=rows, bytes=size, why="; ".join(whys(table, day)))


Whys = Callable[[str, date], Iterator[str]]
"""Of a raw table's event date, why it would be recomputed."""


def _whys(state: Published, decided: Decided, asked: DateRange) -> Whys:
    target, plan, batch = decided.target, decided.plan, decided.target.logs.batch
    served = batch.versions.get(state.version or 0) if target.definition.hash == state.served else None
    refresh = plan_of(state, target, rebuild=False)
    since = [part for part in target.logs.archive.touched if served is None or touches(part, served, plan.cut)]

    def why(table: str, day: date) -> Iterator[str]:
        if served is None:
            yield "new definition"
            return
        if day in asked:
            yield "asked for"
        if not isinstance(refresh, Plan) or (refresh.dates is not None and day not in refresh.dates.get(table, ())):
            return
        on_day = [part.beside for part in since if part.dates is None or day in part.dates.get(table, ())]
        if False in on_day or not on_day:
            yield "changed since"
        if True in on_day:
            yield "imported or filed again since"

    return why


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


# --- how long


def estimated(batch: BatchHistory, rows: int) -> Estimate | None:
    """By what the newest runs of a definition took from their reservation to their version; None where there is none
    to go by. Pure."""
    began = {reserved.run: reserved.at for reserved in batch.reserved.values()}
    runs = [v for _, v in sorted(batch.versions.items()) if v.run in began and _read(v)][-RUNS:]
    if not runs:
        return None
    took, read = sum((v.at - began[v.run] for v in runs), timedelta()), sum(map(_read, runs))
    told = [v for v in runs if v.cpu]
    cpu = sum(v.cpu for v in told) / sum(map(_read, told)) * rows if told else None
    return Estimate(seconds=took.total_seconds() / read * rows, cpu=cpu, runs=len(runs))


def _read(version: Version) -> int:
    """Records that a run read: not known of one that lists its base's units, too."""
    if version.complete and version.base is not None:
        return 0
    return sum(version.unit_counts.values(), Counts()).read


def probed(resources: Resources, decided: Decided, rows: int) -> Estimate | None:
    """By one unit that is computed here and thrown away; None where none holds anything to read."""
    entry = reservation(decided.plan, "", decided.at, timedelta(), 0)
    held = [task for task in tasks_of(resources, Reservation(decided, entry, decided.plan)) if task.rows]
    small = [task for task in held if task.rows <= PROBED_ROWS]
    task = max(small, key=lambda one: one.rows) if small else min(held, key=lambda one: one.rows, default=None)
    if task is None:
        return None
    lake, clock, cpu = resources.lake, monotonic(), process_time()
    result = run_unit(lake, resources.engine, replace(task, groups=0))
    seconds, spent = monotonic() - clock, process_time() - cpu
    scratch = {result.file.path if result.file else "", *(one.mended for one in held)} - {""}
    lake.delete(scratch)
    return Estimate(seconds=seconds / task.rows * rows, cpu=spent / task.rows * rows, runs=0)


# --- plans that were saved


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
