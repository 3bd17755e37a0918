"""Event dates that an operator wants recomputed, whatever has changed, and the plan that does so.

The definition stays, and the rest of the served version stands: a backfill rewrites units of it, together with what a
refresh would, and is published in one entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

from seamline.entries.batch import Version
from seamline.entries.views import Published
from seamline.jobs.plan import Nothing, Plan, served_version, table_of, tables_of
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
    state: Published, target: Target, asked: DateRange, days: Days, refresh: Plan | Nothing
) -> Plan | Nothing:
    """The `refresh` that there is to do, rewriting these dates too. Nothing where no version is served that they could
    be rewritten of, or they hold nothing. Pure."""
    if not any(days.values()):
        return Nothing(f"neither raw nor the served version holds an event date of {asked.name}")
    served, base = served_version(state, target.definition, target.logs.batch, rebuild=False)
    if served is None or base is None:
        return Nothing(f"no batch version is served yet: 'seamline batch refresh {state.view}' makes the first")
    plan = _again(state, target, served, base, refresh) if isinstance(refresh, Nothing) else refresh
    if isinstance(plan, Nothing):
        return plan
    dates = None if plan.dates is None else {of: plan.dates.get(of, frozenset()) | more for of, more in days.items()}
    return replace(plan, dates=dates, asked=asked.name)


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
    return Plan(
        state.view, target.definition.hash, base.cut, served, none, entry, tables, base.imports, against, base.folded
    )  # fmt: skip
