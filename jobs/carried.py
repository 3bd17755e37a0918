"""Units that an earlier run of the same work has done, and that are the same still: it need not be done twice.

A long run competes with refreshes: each of them moves the base, and what was begun on the older one cannot be published
any more. Of its units those are taken over that nothing has touched since.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from seamline.entries.batch import Reserved
from seamline.jobs.plan import dirty_dates, table_of
from seamline.jobs.resources import Resources
from seamline.jobs.sample import least_statement
from seamline.jobs.stages import Reservation
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.work import finished
from seamline.units import Unit

YOUNG = timedelta(hours=6)
"""A run that began longer ago gives nothing: its files have to be listed while they are half as old as a sweep allows.
"""

SAMPLED = 4
"""Units of those taken over whose groups are looked through for the version's sample."""


def carried(resources: Resources, reservation: Reservation, tasks: Iterable[UnitTask]) -> dict[str, UnitResult]:
    """By unit, the results of earlier runs of what was asked for that stand. Takes time by those runs' units."""
    found: dict[str, UnitResult] = {}
    if not reservation.plan.asked or reservation.target.source is not None:
        return found
    wanted = {task.unit: task for task in tasks if not task.mended}  # those come from other dates, too
    for earlier in _earlier(resources, reservation):
        fresh = _fresh(reservation, earlier, wanted.keys() - found.keys())
        if fresh:
            done = finished(resources.lake, earlier.run)
            found |= {unit: done[unit] for unit in sorted(fresh & done.keys())}
    return {unit: _sampled(resources, reservation, result, n) for n, (unit, result) in enumerate(found.items())}


def _earlier(resources: Resources, reservation: Reservation) -> list[Reserved]:
    """Reservations of the same work that led to nothing that was served, the newest first."""
    mine, now, plan, batch = reservation.entry, resources.clock(), reservation.plan, reservation.target.logs.batch
    states = reservation.decision.view.states.values()
    served = {state.version for state in states if state.served == plan.definition}
    ended = {version.run for number, version in batch.versions.items() if number in served}
    alike = [
        one
        for one in batch.reserved.values()
        if one.asked == mine.asked and one.run not in {mine.run, *ended} and one.tables is not None
        if now - one.at < YOUNG and one.cut <= plan.cut and one.archive_entry <= plan.archive_entry
    ]
    return sorted(alike, key=lambda one: one.at, reverse=True)


def _fresh(reservation: Reservation, earlier: Reserved, units: Iterable[str]) -> set[str]:
    """Those that a run from that reservation on would compute alike."""
    target, plan = reservation.target, reservation.plan
    dirty = dirty_dates(target.logs.archive, target.contracts, earlier, plan.cut)
    if dirty is None:
        return set()
    tables = {contract.name: table_of(contract) for contract in target.contracts}
    parsed = {unit: Unit.parse(unit) for unit in units}
    return {unit for unit, one in parsed.items() if one.day not in dirty[tables[target.contract_of(one).name]]}


def _sampled(resources: Resources, reservation: Reservation, result: UnitResult, number: int) -> UnitResult:
    """The result with the groups of the least hashes of this run; of all but some units none."""
    if number >= SAMPLED or result.file is None or not resources.settings.verify_sample:
        return result.model_copy(update={"groups": ()})
    keys = reservation.target.definition.merging.keys
    least = least_statement(reservation.entry.run, keys, resources.settings.verify_sample)
    rows = resources.engine.run(least, {"partials": resources.lake.read([result.file.path])}).to_pylist()
    return result.model_copy(update={"groups": tuple((row["h"], row["n"]) for row in rows)})
