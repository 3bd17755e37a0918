"""Event dates that an operator wants recomputed, whatever has changed, and the plan that does so.

The definition stays, and the rest of the served version stands: a backfill rewrites units of it, together with what a
refresh would, and is published in one entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from seamline.entries.backfills import Backfill
from seamline.entries.batch import Version
from seamline.entries.views import Published
from seamline.errors import Condition, UserError
from seamline.jobs.gone import gone_of, out_of_retention
from seamline.jobs.plan import Nothing, Plan, served_version, staying, table_of, tables_of
from seamline.jobs.stages import Target
from seamline.lake import Lake
from seamline.sides.raw import raw_files
from seamline.units import Unit

Days = Mapping[str, frozenset[date]]
"""Event dates by raw table."""


@dataclass(frozen=True)
class DateRange:
    """A range of event dates, both ends in it; None: from the first on, up to the last."""

    first: date | None = None
    last: date | None = None

    @property
    def name(self) -> str:
        """As reservations and versions say it: `2026-01-01..2026-01-03`."""
        return f"{self.first or ''}..{self.last or ''}"

    @staticmethod
    def parse(name: str) -> DateRange:
        """The range of a name. Raises ValueError."""
        first, _, last = name.partition("..")
        return DateRange(date.fromisoformat(first) if first else None, date.fromisoformat(last) if last else None)

    def __contains__(self, day: date) -> bool:
        return (self.first is None or self.first <= day) and (self.last is None or day <= self.last)


def days_of(lake: Lake, state: Published, target: Target, asked: DateRange) -> Days:
    """The dates of a range of which raw, or the served version, holds anything. Takes time by the files of raw."""
    held = {table_of(contract): _held_in_raw(lake, target, table_of(contract)) for contract in target.contracts}
    served = state.version if state.served == target.definition.hash else None
    for unit in target.logs.batch.files(served) if served is not None else ():
        held[table_of(target.contract_of(Unit.parse(unit)))].add(Unit.parse(unit).day)
    return {table: frozenset(day for day in days if day in asked) for table, days in held.items()}


def _held_in_raw(lake: Lake, target: Target, table: str) -> set[date]:
    return {file.date for file in raw_files(lake, table, target.logs.archive.tables.get(table))}


def plan_asked(
    state: Published, target: Target, asked: Backfill, days: Days, refresh: Plan | Nothing
) -> Plan | Nothing:
    """The `refresh` that there is to do, rewriting these dates too. Nothing where no version is served that they could
    be rewritten of, or they hold nothing; dates whose raw is gone stay as they are. Raises OUT_OF_RETENTION where all
    of them are, INPUT_INVALID where a date cannot be left out. Pure."""
    gone = gone_of(target.logs.archive, target.contracts) if target.source is None else {}
    wanted, days = days, staying(days, gone)
    if any(wanted.values()) and not any(days.values()):
        raise out_of_retention(state.view, frozenset().union(*wanted.values()), max(gone.values()))
    if not any(days.values()):
        return Nothing(f"neither raw nor the served version holds an event date of {asked.asked}")
    served, base = served_version(state, target.definition, target.logs.batch, rebuild=False)
    if served is None or base is None:
        return Nothing(f"no batch version is served yet: 'seamline batch refresh {state.view}' makes the first")
    plan = _again(state, target, served, base, refresh) if isinstance(refresh, Nothing) else refresh
    if isinstance(plan, Nothing):
        return plan
    if asked.skipped:
        days, plan = _without(target, asked, days, plan, served, base)
        if not any(days.values()) and not any((plan.dates or {}).values()):
            return Nothing("every date of it is left out")
    dates = None if plan.dates is None else {of: plan.dates.get(of, frozenset()) | more for of, more in days.items()}
    skipped = {unit: f"{word.by or 'an operator'}, {word.at.isoformat()}" for unit, word in asked.skipped.items()}
    return replace(plan, dates=dates, asked=asked.asked, backfill=asked.id, skipped=skipped)


def _without(target: Target, asked: Backfill, days: Days, plan: Plan, served: int, base: Version) -> tuple[Days, Plan]:
    """The dates and the plan without those that keep their old files.

    Those hold the records below the base's cut. So where one of them has records beyond it, the new version ends at
    that cut, too: else they would be in neither layer.
    """
    left = _skipped_days(target, asked)
    unknown = [unit for unit in asked.skipped if not _is_unit(target, unit)]
    if unknown or plan.dates is None:
        raise UserError(
            Condition.INPUT_INVALID,
            f"{', '.join(unknown or asked.skipped)} of {asked.view} cannot be left out",
            detail="an event date of the view that holds something, as 'backfill plan' names it"
            if unknown
            else "this version builds on none, so it needs every date",
            hint=f"'seamline backfill plan {asked.view}' lists its units",
        )
    if any(plan.dates.get(table, frozenset()) & of for table, of in left.items()):
        plan = _held_back(target, asked, plan, served, base)
    kept = {table: of - left.get(table, frozenset()) for table, of in days.items()}
    return kept, plan


def _held_back(target: Target, asked: Backfill, plan: Plan, served: int, base: Version) -> Plan:
    if target.source is not None and base.folded != target.source.number:
        raise UserError(
            Condition.INPUT_INVALID,
            f"{asked.view} is derived from {target.source.view}, which has changed on a date that is to be left out",
            hint=f"'seamline backfill run {target.source.view}' mends it there",
        )
    none = {table_of(contract): frozenset[date]() for contract in target.contracts}
    return replace(plan, cut=base.cut, base=served, dates=none, archive_entry=base.archive_entry, imports=base.imports)


def _skipped_days(target: Target, asked: Backfill) -> dict[str, set[date]]:
    found: dict[str, set[date]] = {}
    for unit in asked.skipped:
        if _is_unit(target, unit):
            parsed = Unit.parse(unit)
            found.setdefault(table_of(target.contract_of(parsed)), set()).add(parsed.day)
    return found


def _is_unit(target: Target, name: str) -> bool:
    """Whether it is named as units of it are."""
    try:
        unit = Unit.parse(name)
    except ValueError:
        return False
    return unit.contract in {target.unit(contract, unit.day).contract for contract in target.contracts}


def _again(state: Published, target: Target, served: int, base: Version, nothing: Nothing) -> Plan | Nothing:
    """The served version's own cut once more, where there is nothing new: so raw below it holds what it did then."""
    archive, source = target.logs.archive, target.source
    none = {table_of(contract): frozenset[date]() for contract in target.contracts}
    entry, tables = archive.number, tables_of(archive, target.contracts)
    if source is not None:
        if source.version is None or source.version.tables is None or base.folded != source.number:
            return nothing
        entry, tables = base.archive_entry, source.version.tables
    against = served if base.tables is not None else None
    gone = gone_of(archive, target.contracts) if source is None or source.version is None else source.version.gone
    return Plan(
        state.view, target.definition.hash, base.cut, served, none, entry, tables, base.imports, against, base.folded,
        gone=gone, begins=base.begins,
    )  # fmt: skip
